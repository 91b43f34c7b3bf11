"""Small servers, fetchers that never wait, and facilities: for tests of the protocol clients."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from harvester.http import Access, Fetcher, Limits, Response
from harvester.oai_pmh import OaiClient, OaiOptions, OaiPage
from harvester.waiting import Patience
from simulator import FacilitySpec, Record
from simulator import OaiOptions as Endpoint

INTERNAL = Access(internal=True)
NOW = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)
START = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that gives every request to ``handler``; gives its base URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answers(
    *replies: web.Response | Callable[[], web.Response],
) -> tuple[Handler, list[web.Request]]:
    """A handler that gives one reply after another, the last one for ever, and its log."""
    log: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        log.append(request)
        reply = replies[min(len(log), len(replies)) - 1]
        made = reply() if callable(reply) else reply
        return web.Response(body=made.body, status=made.status, headers=made.headers)

    return handle, log


@dataclass
class Waits:
    """A sleep that only takes notes, and a clock that they move."""

    slept: list[float] = field(default_factory=list)
    instant: float = 1000.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.instant += seconds

    def monotonic(self) -> float:
        return self.instant


def fetcher(waits: Waits | None = None, **own: Any) -> Fetcher:
    """A fetcher that never waits; ``random`` is 0, so pauses are at their full length."""
    waits = waits or Waits()
    settings: dict[str, Any] = {
        "sleep": waits.sleep,
        "monotonic": waits.monotonic,
        "random": lambda: 0.0,
        "now": lambda: NOW,
        "patience": Patience(attempts=4),
        "limits": Limits(connect_s=5.0, read_gap_s=5.0),
    }
    return Fetcher("tests@example.org", **{**settings, **own})


async def read_text(response: Response) -> str:
    """A reader that takes any body."""
    return (await response.body()).decode("utf-8", "replace")


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
