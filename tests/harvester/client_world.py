"""OAI-PMH facilities and walks through their lists: for tests of the protocol clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from facility_http.http import Fetcher
from harvester.oai_pmh import OaiClient, OaiOptions, OaiPage
from simulator import FacilitySpec, Record
from simulator import OaiOptions as Endpoint
from tests.facility_http.http_world import INTERNAL, fetcher

START = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


def record(number: int, *, title: str | None = None, sets: tuple[str, ...] | None = None) -> Record:
    """``oai:test:NNNN``, one an hour; even and odd numbers are in sets of that name."""
    return Record(
        f"oai:test:{number:04}",
        START + timedelta(hours=number),
        sets if sets is not None else ("even" if number % 2 == 0 else "odd",),
        document={
            "pid": f"10.5072/{number}",
            "doi": f"10.5072/{number}",
            "type": "proposal",
            "title": title or f"Röntgen 😀 {number}",
            "summary": "Synthetic.",
        },
    )


def oai_spec(count: int = 25, faults: str = "", **options: Any) -> FacilitySpec:
    """An OAI-PMH endpoint with ``count`` records, ten a page unless said otherwise."""
    settings = {"page_size": 10, "sets": {"even": "Even", "odd": "Odd"}, **options}
    return FacilitySpec(
        "Test",
        records=[record(number) for number in range(count)],
        oai=Endpoint(**settings),
        faults=faults,
    )


@dataclass
class Walked:
    """What came of walking a list."""

    pages: list[OaiPage]

    @property
    def identifiers(self) -> list[str]:
        return [one.header.identifier for page in self.pages for one in page.records]

    @property
    def stop(self) -> str | None:
        return self.pages[-1].stop

    @property
    def notes(self) -> dict[str, int]:
        merged: dict[str, int] = {}
        for page in self.pages:
            for name, count in page.notes.items():
                merged[name] = merged.get(name, 0) + count
        return merged


async def walk(
    url: str,
    *,
    options: OaiOptions | None = None,
    http: Fetcher | None = None,
    prefix: str = "oai_dc",
    verb: str = "ListRecords",
    **arguments: Any,
) -> Walked:
    """Walk a list to its end with a client of its own."""
    async with http or fetcher() as shared:
        client = OaiClient(shared, url, access=INTERNAL, options=options)
        return Walked([page async for page in client.pages(verb, prefix, **arguments)])


def identifiers(*numbers: int) -> list[str]:
    """The identifiers of ``record(number)``."""
    return [f"oai:test:{number:04}" for number in numbers]
