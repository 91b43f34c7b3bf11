"""Facilities and their sources: what they are, how their last harvest went, who is silent.

Silence is data: every list says in its headers, and every search in its answer, which facilities
could not be reached lately and since when. What they told us before stays findable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio.to_thread

from catalogue.facilities import Facility, Source
from catalogue.records import RunRecord, SourceStatus
from search_api.errors import BadRequest

Json = dict[str, Any]
Result = TypeVar("Result")
MOST_REMEMBERED = 256
State = Literal["ok", "silent", "unharvested", "live", "disabled"]


class Sources(Protocol):
    """What is needed of the record store."""

    def facilities(self) -> tuple[Facility, ...]: ...

    def sources(self) -> tuple[Source, ...]: ...

    def source_status(self, source: str) -> SourceStatus: ...


@dataclass(frozen=True, slots=True)
class FacilityState:
    """A facility with the status of each of its sources."""

    facility: Facility
    sources: Sequence[tuple[Source, SourceStatus]]

    @property
    def state(self) -> State:
        """How its harvests stand; ``live`` where there are none because it is only asked live."""
        enabled = [(source, status) for source, status in self.sources if source.enabled]
        if not enabled:
            return "disabled"
        enabled = [(source, status) for source, status in enabled if source.mode != "live"]
        if not enabled:
            return "live"
        if any(status.silent_since is not None for _, status in enabled):
            return "silent"
        if all(status.last_success_at is None for _, status in enabled):
            return "unharvested"
        return "ok"

    @property
    def silent_since(self) -> datetime | None:
        """The first failure after the last contact that worked, over all its sources."""
        found = [status.silent_since for _, status in self.sources if status.silent_since]
        return min(found, default=None)

    @property
    def told_nothing(self) -> bool:
        """Whether nothing of it ever came in, so that nothing can stand in for it."""
        return not self.records and all(
            status.last_success_at is None for _, status in self.sources
        )

    @property
    def records(self) -> int:
        return sum(status.records for _, status in self.sources)


class FacilityStates:
    """The states of all facilities, read again when they are older than ``max_age_s``."""

    def __init__(self, sources: Sources, max_age_s: float) -> None:
        self._sources = sources
        self._max_age_s = max_age_s
        self._read_at: datetime | None = None
        self._first = asyncio.Lock()
        self.version = 0
        self.all: tuple[FacilityState, ...] = ()
        self.facilities: tuple[Facility, ...] = ()
        self._providers: Mapping[str, str] = {}
        self._headers: Mapping[str, str] = {}
        self._remembered: dict[object, Any] = {}

    async def refresh(self, now: datetime) -> None:
        """Read the states again if they are old. Whoever comes meanwhile has the old ones; before
        there are any, all wait for the first."""
        if self._read_at is None:
            async with self._first:
                if self._read_at is None:
                    await self._read_again()
                    self._read_at = now
            return
        if 0 <= (now - self._read_at).total_seconds() < self._max_age_s:
            return
        self._read_at = now
        await self._read_again()

    async def _read_again(self) -> None:
        self.read_now(await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True))

    def _read(self) -> tuple[FacilityState, ...]:
        by_facility: dict[str, list[tuple[Source, SourceStatus]]] = {}
        for source in self._sources.sources():
            status = self._sources.source_status(source.name)
            by_facility.setdefault(source.facility, []).append((source, status))
        return tuple(
            FacilityState(facility, tuple(by_facility.get(facility.name, ())))
            for facility in self._sources.facilities()
        )

    def read_now(self, states: tuple[FacilityState, ...]) -> None:
        """Take these states as the present ones."""
        if states != self.all:
            self.version += 1
            self._remembered = {}
        self.all = states
        self.facilities = tuple(state.facility for state in states)
        self._providers = {facility.name: facility.provider for facility in self.facilities}
        silent = [state.facility.name for state in states if state.state == "silent"]
        answering = sum(state.state == "ok" for state in states)
        self._headers = {
            "X-Facilities-Total": str(len(states)),
            "X-Facilities-Ok": str(answering),
            "X-Facilities-Silent": header_text(", ".join(silent)),
        }

    def remembered(self, name: object, work_out: Callable[[], Result]) -> Result:
        """What follows from the states alone, worked out once while they stay the same."""
        found: Result | None = self._remembered.get(name)
        if found is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[name] = work_out()
        return found

    def provider_of(self, facility: str) -> str:
        """The Search API base URL of a facility, exactly as configured."""
        return self._providers.get(facility, "")

    def named(self, name: str) -> Facility | None:
        return next((f for f in self.facilities if f.name == name), None)

    def headers(self) -> Mapping[str, str]:
        """The ``X-Facilities-*`` headers of every list."""
        return self._headers


def expect_facilities(names: Iterable[str], facilities: Sequence[Facility], field: str) -> None:
    """Raise ``BadRequest`` for the first short name, without case, that is nobody's: an empty
    answer would look like a facility that has nothing."""
    known = {facility.name.casefold() for facility in facilities}
    for name in names:
        if name.casefold() not in known:
            raise BadRequest(
                f"There is no facility {name[:100]!r}.",
                field=field,
                allowed=[facility.name for facility in facilities],
                given=name,
            )


def header_text(text: str) -> str:
    """Text that may stand in a header: no control characters (fault I09), Latin-1 only."""
    if text.isascii() and text.isprintable():
        return text
    kept = "".join(character for character in text if character.isprintable())
    return kept.encode("latin-1", errors="replace").decode("latin-1")


def facility_json(state: FacilityState) -> Json:
    facility = state.facility
    return {
        "name": facility.name,
        "title": facility.title,
        "provider": facility.provider,
        "country": facility.country,
        "ror": facility.ror,
        "home": facility.home,
        "time_zone": facility.time_zone,
        "probes": list(facility.probes),
        "demo": facility.demo,
        "state": state.state,
        "silent_since": state.silent_since,
        "records": state.records,
        "services": [
            {"name": service.name, "template": service.template, "login": service.login}
            for service in facility.services
        ],
        "sources": [source_json(source, status) for source, status in state.sources],
    }


def source_json(source: Source, status: SourceStatus) -> Json:
    return {
        "name": source.name,
        "protocol": source.protocol,
        "url": public_url(source.url),
        "format": source.format,
        "set": source.set,
        "mode": source.mode,
        "enabled": source.enabled,
        "records": status.records,
        "quarantined": status.quarantined,
        "last_success_at": status.last_success_at,
        "silent_since": status.silent_since,
        "held": None if status.waiting is None else status.waiting["run"],
        "last_run": None if status.last_run is None else run_json(status.last_run),
    }


def run_json(run: RunRecord) -> Json:
    return {
        "number": run.number,
        "kind": run.kind,
        "state": run.state,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "stop": run.stop,
        "counts": dict(run.counts),
        "problems": {reason: count for reason, (count, _) in run.problems.items()},
    }


def public_url(url: str) -> str:
    """An address without the name and password that may stand in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
