"""The federation behind its HTTP server, and facilities that answer when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio.to_thread
import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, get_port_socket

from search_api.app import SERVER, create_app
from search_api.federation.service import LiveService
from search_api.settings import ServerSettings
from tests.search_api.federation.federation_world import NOW, Part, World, world

Json = dict[str, Any]
ASK = {"Accept": "application/x-ndjson"}


@dataclass
class Gate:
    """Stands before a facility: requests go on when it is opened; it sees who asks and leaves."""

    target: str
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.asked.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        address = self.target + request.raw_path.removeprefix("/api")
        async with aiohttp.ClientSession() as session, session.get(address) as found:
            body = await found.read()
        return web.Response(body=body, status=found.status, content_type="application/json")


@dataclass(slots=True)
class Served:
    """A federation and a client of its server."""

    there: World
    client: TestClient[Any, Any]

    @property
    def live(self) -> LiveService:
        app = self.client.server.app  # type: ignore[attr-defined]
        live = app[SERVER].live
        assert live is not None
        return live

    @asynccontextmanager
    async def gate(self, name: str) -> AsyncIterator[Gate]:
        """Put a gate before a facility."""
        gate = Gate(self.there.facilities[name].api_url)
        app = web.Application()
        app.router.add_get("/api/{rest:.*}", gate.answer)
        server = TestServer(app)
        await server.start_server()
        store = self.there.catalogue.store
        sources = [
            replace(one, url=str(server.make_url("/api"))) if one.facility == name else one
            for one in store.sources()
        ]
        facilities = store.facilities()
        await anyio.to_thread.run_sync(store.put_configuration, facilities, sources)
        try:
            yield gate
        finally:
            gate.open.set()
            await server.close()

    async def messages(self, address: str) -> list[Json]:
        """All messages of a stream of lines."""
        response = await self.client.get(address, headers=ASK)
        assert response.status == 200, await response.text()
        return [orjson.loads(line) async for line in response.content]


@asynccontextmanager
async def served(
    folder: Path, *parts: Part, socket_factory: Any = get_port_socket, **own: Any
) -> AsyncIterator[Served]:
    """Start facilities and a server that asks them; nothing is kept between questions."""
    chosen = ServerSettings(
        **{
            "status_max_age_s": 0,
            "look_again_s": 0.0,
            "cache_bytes": 0,
            "facility_cache_s": 0.0,
            "facility_cache_brief_s": 0.0,
            "facility_stale_s": 0.0,
            **own,
        }
    )
    async with world(folder, *parts) as there:
        app = create_app(there.catalogue, now=lambda: NOW, settings=chosen)
        server = TestServer(app, socket_factory=socket_factory)
        async with TestClient(server) as client:
            yield Served(there, client)


async def message(response: aiohttp.ClientResponse) -> Json:
    """The next message of a stream of lines."""
    line = await response.content.readline()
    assert line, "the stream has ended"
    found: Json = orjson.loads(line)
    return found


def states(lines: list[Json]) -> dict[str, str]:
    return {line["name"]: line["state"] for line in lines}


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds."""
    for _ in range(200_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")
