"""What the tests of the search API share: a fixed clock and a fresh reading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.records import PageCommit, SourceRecord
from mappings import crosswalk
from mappings.context import Header
from search_api.app import create_app
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


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts real servers on loopback over a catalogue, and stops them."""
    clients: list[TestClient[Any, Any]] = []

    async def start(catalogue: Catalogue, **settings: Any) -> TestClient[Any, Any]:
        chosen = ServerSettings(**{"status_max_age_s": 0, "look_again_s": 0.0, **settings})
        app = create_app(catalogue, now=lambda: NOW, settings=chosen)
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
