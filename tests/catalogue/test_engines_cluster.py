"""Nodes that have only Elasticsearch, and a cluster that loses one of its own (semantics 10.4)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from aiohttp.test_utils import TestClient, TestServer
from engine_servers import elasticsearch_url, started_cluster
from generated_world import generated
from search_world import NOW
from store_world import World, dataset, document, instrument, record

from catalogue.catalogue import Catalogue
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.errors import EngineError, EngineUnavailable, StoreReadOnly
from catalogue.indexer import Indexer
from catalogue.plan import All
from catalogue.query import Search, Text
from catalogue.verifying import verify
from search_api.app import create_app
from search_api.settings import ServerSettings

pytestmark = pytest.mark.elasticsearch


@pytest.fixture
async def url(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """An Elasticsearch that was filled from a store which is elsewhere."""
    address = elasticsearch_url()
    monkeypatch.setenv("ELASTICSEARCH_PREFIX", f"test-{secrets.token_hex(4)}")
    world.put(
        record(
            "oai:1",
            document("doi:10.5072/p", title="Glass", datasets=["dataset:doi:10.5072/c"]),
            dataset("doi:10.5072/c", title="run 1", instrumentKey="instrument:local:ess:id02"),
            instrument("local:ess:id02", name="ID02"),
        )
    )
    world.finish()
    async with Catalogue.open(world.store.folder, "elasticsearch", address) as indexing:
        assert await indexing.indexer.index_once() == 3
        yield address
        engine = indexing.engine
        assert isinstance(engine, ElasticsearchEngine)
        await engine.remove_all()


async def test_a_node_with_an_empty_folder_serves_every_route(
    world: World, url: str, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    async with Catalogue.open(empty, "elasticsearch", url, read_only=True) as node:
        app = create_app(node, now=lambda: world.now + timedelta(minutes=1))
        async with TestClient(TestServer(app)) as client:
            for path in (
                "/api/Documents",
                (
                    "/api/Documents/10.5072%2Fp?filter=%7B%22include%22%3A%5B%7B%22relation%22"
                    "%3A%22datasets%22%7D%5D%7D"
                ),
                "/api/Documents/count",
                "/api/Datasets",
                "/api/Instruments",
                "/api/search?q=glass&explain=true",
                "/api/suggest?q=gl",
                "/api/facilities",
                "/api/records/document:doi:10.5072%2Fp",
                "/health/live",
                "/health/ready",
            ):
                answer = await client.get(path)
                assert answer.status == 200, (path, await answer.text())
            found = await (await client.get("/api/search?q=glass")).json()
            assert [hit["pid"] for hit in found["hits"]] == ["10.5072/p"]
    assert not (empty / "store.sqlite").exists()


async def test_its_records_are_those_of_the_store(world: World, url: str, tmp_path: Path) -> None:
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        here, there = node.store, world.store
        keys = ["document:doi:10.5072/p", "dataset:doi:10.5072/c", "instrument:local:ess:id02"]
        assert here.entities(keys) == there.entities(keys)
        assert here.find("Document", "https://doi.org/10.5072/P") == there.find(
            "Document", "10.5072/p"
        )
        assert here.children(keys[:1], "datasets") == there.children(keys[:1], "datasets")
        assert here.parents(keys[1:2], "datasets") == there.parents(keys[1:2], "datasets")
        assert here.parents(keys[2:], "instrument") == there.parents(keys[2:], "instrument")
        assert here.facilities() == there.facilities()
        assert [source.name for source in here.sources()] == [s.name for s in there.sources()]
        assert here.source_status("ess-oai").records == there.source_status("ess-oai").records
        assert here.stored_records(keys[0]) == there.stored_records(keys[0])
        assert here.last_change() == there.last_change()
        with pytest.raises(StoreReadOnly, match="only Elasticsearch"):
            here.begin_run("ess-oai", kind="full", holder="x", now=NOW)


async def test_it_finds_a_record_by_each_of_its_names_in_every_writing(
    world: World, url: str, tmp_path: Path
) -> None:
    """Semantics 1.2: as the store does, also where pid and DOI are one."""
    alternates = ["https://doi.org/10.5072/Other", "hdl:20.500.12269/alt", "P-2019"]
    world.put(
        record("oai:both", document("doi:10.5072/both", doi="10.5072/both")),
        record("oai:handle", document("hdl:20.500.12269/a/mb0033")),
        record("oai:other", document("doi:10.5072/first", alternateIds=alternates)),
        record("oai:local", document("local:ESS:1000001")),
        record("oai:child", document("doi:10.5072/parent", datasets=["dataset:doi:10.5072/c"])),
    )
    world.put(record("oai:there", document("local:ILL:1000001")), of="ill-oai")
    async with Catalogue.open(world.store.folder, "elasticsearch", url) as indexing:
        await indexing.indexer.index_once()
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        for pid, expected in (
            *(("10.5072/both", 1), ("https://doi.org/10.5072/BOTH", 1), ("doi:10.5072/Both", 1)),
            *(("20.500.12269/A/MB0033", 1), ("https://hdl.handle.net/20.500.12269/a/mb0033", 1)),
            *(("10.5072/other", 1), ("https://dx.doi.org/10.5072/OTHER", 1)),
            *(("hdl:20.500.12269/ALT", 1), ("1000001", 2), (" pid:1000001", 2)),
            *(("P-2019", 1), ("p-2019", 0), ("10.5072/nobody", 0), ("10.5072/c", 0)),
            *(("document:doi:10.5072/both", 0), ("x" * 3_000, 0), ("", 0)),
        ):
            found = node.store.find("Document", pid)
            assert found == world.store.find("Document", pid), pid
            assert len(found) == expected, pid


async def test_more_relations_than_one_answer_holds_are_all_read(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F09."""
    beamline = "instrument:local:ess:id02"
    for number in range(5):
        own = dataset(f"doi:10.5072/run{number}", instrumentKey=beamline)
        world.put(record(f"oai:run{number}", own))
    async with Catalogue.open(world.store.folder, "elasticsearch", url) as indexing:
        await indexing.indexer.index_once()
    monkeypatch.setattr("catalogue.engines.elasticsearch_records.STEP", 2)
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        found = node.store.parents([beamline], "instrument")[beamline]
        assert sorted(found) == sorted(world.store.parents([beamline], "instrument")[beamline])
        assert len(found) == 6
        # Whole records of a large question would not fit into one answer either.
        assert node.store.entities(found) == world.store.entities(found)


async def test_an_index_that_is_missing_is_no_answer_that_there_is_no_such_record(
    world: World, url: str, tmp_path: Path
) -> None:
    """Fault F10: the server tells it document by document, within a good answer."""
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        engine: Any = node.engine
        await engine._client.indices.delete(index=engine.index("Document"))
        with pytest.raises(EngineUnavailable, match="index_not_found"):
            node.store.entity("document:doi:10.5072/p")
        await engine._client.indices.delete(index=f"{engine.prefix}-raw")
        with pytest.raises(EngineUnavailable, match="does not give"):
            node.store.stored_records("document:doi:10.5072/p")


async def test_a_count_of_some_shards_only_is_none(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F10."""
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        store: Any = node.store
        assert store.count("Document") == 1
        told = {"count": 1, "_shards": {"total": 3, "failed": 1}}
        partial = SimpleNamespace(body=told)
        monkeypatch.setattr(store._client, "count", lambda **_: partial)
        with pytest.raises(EngineUnavailable, match="in part only"):
            store.count("Document")


async def test_a_forgotten_person_stands_in_no_payload_that_such_a_node_shows(
    world: World, url: str, tmp_path: Path
) -> None:
    """Semantics 11.1: also where the record itself is the same without them."""
    key = "document:doi:10.5072/letter"
    spoken = document("doi:10.5072/letter", title="A letter")
    old = document("doi:10.5072/old", title="An old letter")
    world.put(
        record("oai:letter", spoken, payload=b"<dc>from Zaphod Quirk</dc>"),
        record("oai:old", old, payload=b"<dc>to Zaphod Quirk</dc>"),
    )
    async with Catalogue.open(world.store.folder, "elasticsearch", url) as indexing:
        await indexing.indexer.index_once()
        async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
            (held,) = node.store.stored_records(key)
            assert held.payload is not None
            assert b"Zaphod" in held.payload
            # The same Document, of which the source says something else: no change to be indexed.
            world.put(record("oai:old", old, payload=b"<dc>to somebody</dc>"))
            world.store.forget("Zaphod Quirk", now=NOW, kind="person")
            await indexing.indexer.index_once()
            assert [one.payload for one in node.store.stored_records(key)] == [None]
            (other,) = node.store.stored_records("document:doi:10.5072/old")
            assert other.payload == b"<dc>to somebody</dc>"


async def test_what_was_said_before_is_asked_of_whoever_has_the_store(
    world: World, url: str, tmp_path: Path
) -> None:
    """Semantics 10.4: superseded versions lie in no index, where others could read them."""
    settings = ServerSettings(operator_key="a key of the operator")
    async with Catalogue.open(tmp_path / "x", "elasticsearch", url, read_only=True) as node:
        app = create_app(node, settings=settings, now=lambda: world.now)
        async with TestClient(TestServer(app)) as client:
            for path in (
                "/api/history/document:doi:10.5072%2Fp",
                "/api/history?source=ess-oai&identifier=oai:1",
            ):
                headers = {"X-Operator-Key": "a key of the operator"}
                answer = await client.get(path, headers=headers)
                assert answer.status == 503
                assert "a node that has the record store" in await answer.text()


async def test_a_cluster_that_loses_a_node_loses_nothing_and_says_what_it_cannot(
    tmp_path: Path,
) -> None:
    """Three nodes, one killed while indexing and querying: nothing lost, answers honest."""
    cluster = started_cluster(tmp_path, 3)
    world = generated(11, documents=60)
    engine = ElasticsearchEngine(cluster.url, prefix="test-three", shards=3, replicas=1)
    try:
        await engine.open()
        indexer = Indexer(world, engine, batch=10)
        committed = 0
        honest: list[tuple[int, int]] = []  # committed when asked, counted

        async def ask_all_the_time(stop: anyio.Event) -> None:
            while not stop.is_set():
                known = committed
                try:
                    reader = await engine.reader()
                    honest.append((known, await reader.count("Document", All())))
                except EngineError:
                    pass  # said to be unavailable or incomplete: that is honest, too
                await anyio.sleep(0.05)

        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_all_the_time, stop)
            await indexer.index_once()
            committed = 60
            cluster.nodes[2].kill()
            for number in range(20):
                world.document(f"late{number}", title="glass")
            with anyio.fail_after(120):
                while True:
                    try:
                        await indexer.index_once()
                        break
                    except EngineUnavailable:
                        await anyio.sleep(0.5)
            stop.set()
        assert (await verify(world, engine)).sound
        # Before a commit, copies of a shard may have come differently far; after it, none lacks it.
        partial = [(known, counted) for known, counted in honest if not known <= counted <= 80]
        assert partial == [], "a partial answer was taken for the whole"
    finally:
        await engine.close()
        cluster.stop()


async def test_an_unfilled_elasticsearch_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                    ) -> None:  # fmt: skip
    monkeypatch.setenv("ELASTICSEARCH_PREFIX", f"test-{secrets.token_hex(4)}")
    address = elasticsearch_url()
    async with Catalogue.open(tmp_path, "elasticsearch", address, read_only=True) as node:
        with pytest.raises(EngineError, match="no search index"):
            await node.search(Search("Document", NOW, text=Text("glass")))
