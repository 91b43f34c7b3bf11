"""What API nodes without a store of their own need besides the records (semantics 10.4).

Facilities, sources and their states, and the raw records behind each entity, as JSON. No secrets:
of a source's options only those that change what a record means are passed on.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

from catalogue.facilities import Facility, Service, Source
from catalogue.records import RunRecord, SourceStatus, StoredRecord
from mappings.context import Header

MAX_PAYLOAD_BYTES = 1_000_000
_PASSED_ON = frozenset({"is_public_is_constant", "keyword_separator"})

Json = dict[str, Any]


class StateStore(Protocol):
    """What of the record store is passed on."""

    @property
    def demo(self) -> bool | None: ...

    def facilities(self) -> tuple[Facility, ...]: ...

    def sources(self) -> tuple[Source, ...]: ...

    def source_status(self, source: str) -> SourceStatus: ...

    def last_change(self) -> int: ...

    def stored_records(self, key: str) -> tuple[StoredRecord, ...]: ...


def state_of(store: StateStore) -> Json:
    """Facilities, sources and their states."""
    sources = store.sources()
    return {
        "demo": store.demo,
        "last_change": store.last_change(),
        "facilities": [asdict(facility) for facility in store.facilities()],
        "sources": [_source_json(source) for source in sources],
        "statuses": {
            source.name: _status_json(store.source_status(source.name)) for source in sources
        },
    }


def facilities_from(state: Mapping[str, Any]) -> tuple[Facility, ...]:
    return tuple(
        Facility(
            **{
                **one,
                "probes": tuple(one["probes"]),
                "services": tuple(Service(**service) for service in one["services"]),
            }
        )
        for one in state.get("facilities", ())
    )


def sources_from(state: Mapping[str, Any]) -> tuple[Source, ...]:
    return tuple(Source(**one) for one in state.get("sources", ()))


def status_from(state: Mapping[str, Any], source: str) -> SourceStatus:
    """The state of a source; of one that was never told about, an empty one."""
    held = state.get("statuses", {}).get(source)
    if held is None:
        return SourceStatus(source, 0, 0, None, None, None)
    run = held["last_run"]
    return SourceStatus(
        source,
        held["records"],
        held["quarantined"],
        None if run is None else _run_from(run),
        _moment(held["last_success_at"]),
        _moment(held["silent_since"]),
        {"waiting": held.get("waiting")},
    )


def raw_json(records: Sequence[StoredRecord]) -> Json:
    """The raw records behind an entity; a payload over a megabyte is left out."""
    return {
        "records": [
            {
                "source": one.source,
                "facility": one.facility,
                "header": asdict(one.header),
                "format": one.format,
                "state": one.state,
                "harvested_at": one.harvested_at.isoformat(),
                "payload": None
                if one.payload is None or len(one.payload) > MAX_PAYLOAD_BYTES
                else base64.b64encode(one.payload).decode(),
                "versions": dict(one.versions),
            }
            for one in records
        ]
    }


def raw_from(value: Mapping[str, Any]) -> tuple[StoredRecord, ...]:
    return tuple(
        StoredRecord(
            one["source"],
            one["facility"],
            Header(**{**one["header"], "sets": tuple(one["header"].get("sets", ()))}),
            one["format"],
            one["state"],
            datetime.fromisoformat(one["harvested_at"]),
            None if one["payload"] is None else base64.b64decode(one["payload"]),
            one["versions"],
        )
        for one in value.get("records", ())
    )


def _source_json(source: Source) -> Json:
    shown = asdict(source)
    shown["options"] = {k: v for k, v in source.options.items() if k in _PASSED_ON}
    return shown


def _status_json(status: SourceStatus) -> Json:
    run = status.last_run
    return {
        "records": status.records,
        "quarantined": status.quarantined,
        "last_run": None if run is None else _run_json(run),
        "last_success_at": _text(status.last_success_at),
        "silent_since": _text(status.silent_since),
        # Of the harvester's memory what people are shown, and no more.
        "waiting": status.memory.get("waiting"),
    }


_RUN_INSTANTS = ("started_at", "ended_at", "heartbeat_at")


def _run_json(run: RunRecord) -> Json:
    shown = {name: getattr(run, name) for name in ("number", "source", "kind", "state", "stop")}
    shown |= {name: _text(getattr(run, name)) for name in _RUN_INSTANTS}
    return {**shown, "counts": dict(run.counts)}


def _run_from(value: Mapping[str, Any]) -> RunRecord:
    instants: dict[str, Any] = {name: _moment(value[name]) for name in _RUN_INSTANTS}
    return RunRecord(**{**value, **instants})


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
