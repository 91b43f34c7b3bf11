"""What the tests of the search API share: a fixed clock and a fresh reading."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.engines.base import Engine
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.records import PageCommit, SourceRecord
from catalogue.store import Store
from mappings import crosswalk
from mappings.context import Header
from search_api.app import create_app, runner_options
from search_api.conditions import Reading
from search_api.settings import ServerSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def reading() -> Callable[[], Reading]:
    """Makes what reading one request needs; two facilities are configured."""
    facilities = (
        Facility("ESS", "European Spallation Source", "https://search.example.org/api"),
        Facility("ILL", "Institut Laue-Langevin", "https://ill.example.org/api"),
    )
    return lambda: Reading(NOW, facilities, ServerSettings())


Payloads = Iterable[tuple[str, Any]]
Keep = Callable[[Catalogue, Facility, Source, Payloads], Awaitable[None]]


async def keep_payloads(
    catalogue: Catalogue, facility: Facility, source: Source, payloads: Payloads
) -> None:
    """Put payloads (format, JSON or XML) through the crosswalks into the store, and index them."""
    store = catalogue.store
    others = [other for other in store.facilities() if other.name != facility.name]
    sources = [other for other in store.sources() if other.name != source.name]
    store.put_configuration([*others, facility], [*sources, source])
    context = mapping_context(facility, source)
    run = store.begin_run(source.name, kind="full", holder="test", now=NOW)
    records = []
    for number, (form, payload) in enumerate(payloads):
        header = Header(f"{form}/{number}")
        mapped = crosswalk(form, payload, context, header)
        raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        records.append(SourceRecord(header, form, raw, mapped))
    store.commit_page(run, PageCommit(records, None, NOW))
    store.finish_run(run, "ok", "end_of_list", NOW)
    await catalogue.indexer.index_once()


@pytest.fixture
def keep() -> Keep:
    """Puts what facilities send through the crosswalks into the store, and indexes it."""
    return keep_payloads


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    async with Catalogue.open(tmp_path / "data") as opened:
        yield opened


Serve = Callable[..., Awaitable[TestClient[Any, Any]]]


def as_served(settings: ServerSettings) -> dict[str, Any]:
    """How ``pan-commons serve`` runs the application, limits of HTTP's lines included. That
    handlers end with their client, aiohttp's test server sees to itself."""
    options = dict(runner_options(settings))
    del options["handler_cancellation"]
    return options


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts real servers on loopback over a catalogue, and stops them."""
    clients: list[TestClient[Any, Any]] = []

    async def start(catalogue: Catalogue, **settings: Any) -> TestClient[Any, Any]:
        chosen = ServerSettings(**{"status_max_age_s": 0, "look_again_s": 0.0, **settings})
        app = create_app(catalogue, now=lambda: NOW, settings=chosen)
        server = TestServer(app)
        await server.start_server(**as_served(chosen))
        client: TestClient[Any, Any] = TestClient(server)
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


class Background:
    """A real server in a thread of its own, for tests that draw many requests synchronously."""

    def __init__(
        self,
        folder: Path,
        sources: Iterable[tuple[Facility, Source, Payloads]],
        engine: Engine | None = None,
    ) -> None:
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._wait(self._start(folder, list(sources)))
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _start(
        self, folder: Path, sources: list[tuple[Facility, Source, Payloads]]
    ) -> int | None:
        if self._engine is None:
            self._catalogue = await Catalogue.open(folder)
        else:
            await self._engine.open()
            self._catalogue = Catalogue(Store.open(folder), self._engine, SnapshotFile(folder))
        for facility, source, payloads in sources:
            await keep_payloads(self._catalogue, facility, source, payloads)
        chosen = ServerSettings()
        app = create_app(self._catalogue, now=lambda: NOW, settings=chosen)
        self._server = TestServer(app)
        await self._server.start_server(**as_served(chosen))
        return self._server.port

    def close(self) -> None:
        async def stop() -> None:
            await self._server.close()
            await self._catalogue.close()

        self._connection.close()
        self._wait(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of one request; the path is sent as it stands."""
        self._connection.request(method, path, body, dict(headers or {}))
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    def found(self, path: str, given: Any, name: str = "filter") -> Any:
        """The answer to a filter, as JSON."""
        text = json.dumps(given)
        address = f"{path}?{name}={quote(text)}"
        if len(address) < 8_000:
            _, _, body = self.ask(address)
        else:
            headers = {"Content-Type": "application/json"}
            _, _, body = self.ask(path, method="POST", body=text.encode(), headers=headers)
        return json.loads(body)


@pytest.fixture(scope="module")
def background(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Background]]:
    """Starts ``Background`` servers over payloads, and stops them after the module."""
    started: list[Background] = []

    def start(
        *sources: tuple[Facility, Source, Payloads], engine: Engine | None = None
    ) -> Background:
        started.append(Background(tmp_path_factory.mktemp("data"), sources, engine))
        return started[-1]

    yield start
    for server in started:
        server.close()
