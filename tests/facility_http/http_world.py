"""Small servers and fetchers that never wait: for tests of whoever speaks to facilities."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from facility_http.answers import Limits, Response
from facility_http.http import Access, Fetcher
from facility_http.waiting import Patience

INTERNAL = Access(internal=True)
NOW = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)

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
