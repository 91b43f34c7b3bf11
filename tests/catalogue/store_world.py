"""What the store's tests are made of: small facilities, records and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from catalogue.facilities import Facility, Source
from catalogue.records import PageCommit, PageReport, Run, SourceRecord
from catalogue.store import Store
from mappings.context import Header, Mapped
from mappings.errors import MappingError

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def facility(name: str, **more: Any) -> Facility:
    """A facility with a Search API at an address made of its name."""
    return Facility(name, f"{name} facility", f"https://{name.lower()}.example/api", **more)


def source(name: str, at: str, **more: Any) -> Source:
    """An OAI-PMH source of a facility."""
    return Source(name, at, "oai-pmh", f"https://{at.lower()}.example/oai", "oai_datacite", **more)


def document(key: str, **fields: Any) -> dict[str, Any]:
    """A Document in JSON form."""
    pid = key.rpartition(":")[2]
    return {
        "class": "Document",
        "key": f"document:{key}",
        "pid": pid,
        "kind": "data",
        "access": {"evidence": []},
        **fields,
    }


def dataset(key: str, **fields: Any) -> dict[str, Any]:
    """A Dataset in JSON form."""
    pid = key.rpartition(":")[2]
    return {
        "class": "Dataset",
        "key": f"dataset:{key}",
        "pid": pid,
        "kind": "data",
        "access": {"evidence": []},
        **fields,
    }


def instrument(key: str, **fields: Any) -> dict[str, Any]:
    """An Instrument in JSON form."""
    return {"class": "Instrument", "key": f"instrument:{key}", "name": key, **fields}


def record(
    identifier: str,
    *entities: Mapping[str, Any],
    payload: bytes | None = None,
    datestamp: str | None = None,
    sets: tuple[str, ...] = (),
    error: MappingError | None = None,
) -> SourceRecord:
    """A record with what the crosswalk made of it; its payload says what it was made of."""
    body = payload if payload is not None else orjson.dumps([identifier, entities])
    mapped = error or Mapped(tuple(dict(entity) for entity in entities))
    return SourceRecord(Header(identifier, datestamp, sets), "oai_datacite", body, mapped)


def tombstone(identifier: str, datestamp: str | None = None) -> SourceRecord:
    """A record that the facility says is deleted."""
    return SourceRecord(Header(identifier, datestamp), "oai_datacite", None, None, deleted=True)


class World:
    """A store with two facilities, and a harvest that goes through it page by page."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.store = Store.open(folder, **more)
        self.store.put_configuration(
            [facility("ESS"), facility("ILL")],
            [
                source("ess-oai", "ESS", trust=10),
                source("ess-rest", "ESS", trust=20),
                source("ill-oai", "ILL", trust=30),
            ],
        )
        self.now = NOON
        self._runs: dict[str, Run] = {}

    def run(self, name: str = "ess-oai") -> Run:
        """The run of a source that is going on, begun when there is none."""
        if name not in self._runs:
            self._runs[name] = self.store.begin_run(name, kind="full", holder="test", now=self.now)
        return self._runs[name]

    def put(
        self,
        *records: SourceRecord,
        of: str = "ess-oai",
        checkpoint: Mapping[str, Any] | None = None,
        deleted: Sequence[str] = (),
        left_set: Sequence[str] = (),
    ) -> PageReport:
        """Commit one page, a second later than the one before."""
        self.now += timedelta(seconds=1)
        page = PageCommit(records, checkpoint, self.now, deleted, left_set)
        return self.store.commit_page(self.run(of), page)

    def finish(self, name: str = "ess-oai", state: Any = "ok", **more: Any) -> None:
        """End the run of a source."""
        self.now += timedelta(seconds=1)
        run = self._runs.pop(name)
        self.store.finish_run(run, state, more.pop("stop", "end_of_list"), self.now, **more)

    def changed(self, since: int) -> dict[str, bool]:
        """Keys with a change number above ``since``; true for those that are deleted."""
        return {
            change.entity.key: change.entity.deleted for change in self.store.changes_since(since)
        }
