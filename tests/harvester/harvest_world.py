"""A facility that is running, a store in a folder, and runs between them: for harvest tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from catalogue.facilities import Facility, Source
from catalogue.records import RunRecord
from catalogue.store import Store
from facility_http.http import Fetcher
from harvester.place import Order
from harvester.progress import Silent
from harvester.run import Harvesting, harvest_source
from simulator import Facility as Endpoint
from simulator import FacilitySpec, OaiOptions, Record, RestOptions, running

NOW = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)
START = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


def oai_record(number: int, *, title: str | None = None, when: datetime | None = None) -> Record:
    """Record ``oai:test:NNN``; odd numbers are in set ``odd``, even ones in ``even``."""
    return Record(
        f"oai:test:{number:04}",
        when or START + timedelta(hours=number),
        ("even" if number % 2 == 0 else "odd",),
        document={
            "pid": f"10.5072/{number}",
            "doi": f"10.5072/{number}",
            "type": "proposal",
            "title": title or f"Röntgen {number}",
            "summary": "Synthetic.",
        },
    )


def oai_spec(
    count: int = 25, *, records: Iterable[Record] | None = None, rest: bool = False, **options: Any
) -> FacilitySpec:
    """An endpoint with ``count`` records, ten a page unless said otherwise."""
    settings = {"page_size": 10, "sets": {"even": "Even", "odd": "Odd"}, **options}
    held = list(records) if records is not None else [oai_record(n) for n in range(count)]
    return FacilitySpec(
        "Test", records=held, oai=OaiOptions(**settings), rest=RestOptions() if rest else None
    )


@dataclass
class Clock:
    """A clock that only moves when told."""

    instant: datetime = NOW

    def __call__(self) -> datetime:
        return self.instant

    def advance(self, **by: float) -> None:
        self.instant += timedelta(**by)


@dataclass
class Naps:
    """Sleeps of the fetcher, remembered and not slept."""

    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


@dataclass
class World:
    """One facility with one source, its store and its clock."""

    endpoint: Endpoint
    store: Store
    facility: Facility
    source: Source
    clock: Clock
    naps: Naps
    http: Fetcher
    stopping: anyio.Event = field(default_factory=anyio.Event)

    def configure(self, **changes: Any) -> None:
        """Change the source's configuration."""
        self.source = replace(self.source, **changes)
        self.store.put_configuration([self.facility], [self.source])

    async def harvest(self, order: Order | None = None, **shared: Any) -> RunRecord:
        """One run of the source."""
        harvesting = Harvesting(
            **{
                "store": self.store,
                "http": self.http,
                "now": self.clock,
                "watcher": Silent(),
                "stopping": self.stopping,
                **shared,
            }
        )
        return await harvest_source(harvesting, self.facility, self.source, order)

    def held(self) -> set[str]:
        """Identifiers that the store holds as live."""
        return set(self.store.live_identifiers(self.source.name, None, 1_000_000))

    def offered(self) -> set[str]:
        """Identifiers that the endpoint has."""
        return set(self.endpoint.records.identifiers())

    def titles(self) -> dict[str, str]:
        """Titles of live Documents by pid."""
        changes = self.store.changes_since(0, 1_000_000)
        return {
            change.entity.record["pid"]: change.entity.record["title"]
            for change in changes
            if change.entity.entity_class == "Document" and not change.entity.deleted
        }

    def verbs(self) -> list[str]:
        """The requests so far, by verb."""
        return [request.verb for request in self.endpoint.requests]


@asynccontextmanager
async def a_world(
    tmp_path: Path,
    spec: FacilitySpec | None = None,
    *,
    clock: Clock | None = None,
    protocol: str = "oai-pmh",
    server_clock: Callable[[], datetime] | None = None,
    **source: Any,
) -> AsyncIterator[World]:
    """Start the facility, open a store, configure the one source ``test``."""
    clock, naps = clock or Clock(), Naps()
    async with running(spec or oai_spec(), clock=server_clock or clock, sleep=naps) as endpoint:
        facility = Facility("TST", "Test facility", "http://127.0.0.1/api", demo=True)
        url = endpoint.api_url if protocol == "panosc" else endpoint.oai_url
        made = {
            "name": "test",
            "facility": "TST",
            "protocol": protocol,
            "url": url,
            "format": "oai_datacite" if protocol == "oai-pmh" else "panosc-json",
            "internal": True,
            "demo": True,
            **source,
        }
        with Store.open(tmp_path / "data") as store:
            async with Fetcher(sleep=naps, now=clock) as http:
                world = World(endpoint, store, facility, Source(**made), clock, naps, http)
                world.configure()
                yield world


async def until(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    """Look again and again until something is so: for what other processes do."""
    with anyio.fail_after(seconds):
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await anyio.sleep(0.02)
