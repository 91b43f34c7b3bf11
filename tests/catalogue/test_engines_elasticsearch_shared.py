"""An Elasticsearch that several share: nodes that continue each other's cursors, stores that must
not write one prefix, users with few rights, tombstones (semantics 1.4, 9.3, 10.4)."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from engine_servers import elasticsearch_url
from generated_world import generated
from search_world import NOW, Entities

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile, question_digest, read_cursor
from catalogue.engines.base import Reader
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.elasticsearch_views import AMID_COMMIT_S, TRIES
from catalogue.errors import CursorExpired, EngineError, ForeignStore
from catalogue.indexer import Indexer
from catalogue.plan import All
from catalogue.query import Compare, Join, Search, Text
from catalogue.store import Store
from catalogue.verifying import rebuild, verify

pytestmark = pytest.mark.elasticsearch
TLS = Path(__file__).parent.parent / "data" / "tls"


@pytest.fixture
async def engine() -> AsyncIterator[ElasticsearchEngine]:
    made = ElasticsearchEngine(
        elasticsearch_url(), prefix=f"test-{secrets.token_hex(4)}", store="one"
    )
    await made.open()
    yield made
    await made.remove_all()
    await made.close()


@pytest.fixture
async def other(engine: ElasticsearchEngine) -> AsyncIterator[ElasticsearchEngine]:
    """Another node's engine on the same indices."""
    made = ElasticsearchEngine(engine.urls, prefix=engine.prefix, read_only=True)
    yield made
    await made.close()


def catalogue_of(world: Entities, engine: ElasticsearchEngine, folder: Path) -> Catalogue:
    return Catalogue(world, engine, SnapshotFile(folder))  # type: ignore[arg-type]


def keys(answer: object) -> list[str]:
    return [hit.entity.key for hit in answer.hits]  # type: ignore[attr-defined]


# --- cursors --------------------------------------------------------------------------------------


async def test_any_node_continues_a_relevance_cursor_as_if_nothing_had_changed(
    engine: ElasticsearchEngine, other: ElasticsearchEngine, tmp_path: Path
) -> None:
    """Semantics 9.3: the cursor needs nothing of the node that gave it."""
    world = generated(5, documents=40)
    here = catalogue_of(world, engine, tmp_path / "a")
    await here.indexer.index_once()
    await other.open()
    there = catalogue_of(world, other, tmp_path / "b")
    search = Search("Document", NOW, text=Text("lysozyme scattering", match="any"), limit=100)
    whole = await here.search(search)
    assert len(whole.hits) > 8
    found: list[tuple[str, float]] = []
    question = replace(search, limit=3)
    nodes = [here, there]
    while True:
        answer = await nodes[len(found) // 3 % 2].search(question)
        found += [(hit.entity.key, hit.score) for hit in answer.hits]
        assert answer.total == whole.total
        if answer.cursor is None:
            break
        question = replace(question, cursor=answer.cursor, now=NOW + timedelta(minutes=1))
        # What comes in between is in no page of this cursor.
        world.document(f"late{len(found)}", title="lysozyme scattering lysozyme")
        await here.indexer.index_once()
    assert found == [(hit.entity.key, hit.score) for hit in whole.hits]
    assert not (tmp_path / "a" / "serving.sqlite").exists()


async def test_a_cursor_whose_view_is_gone_has_expired(
    engine: ElasticsearchEngine, tmp_path: Path
) -> None:
    catalogue = catalogue_of(generated(5, documents=40), engine, tmp_path)
    await catalogue.indexer.index_once()
    search = Search("Document", NOW, text=Text("lysozyme scattering", match="any"), limit=3)
    cursor = (await catalogue.search(search)).cursor
    assert cursor is not None
    late = replace(search, cursor=cursor, now=NOW + timedelta(minutes=11))
    with pytest.raises(CursorExpired, match="Ask again without it"):
        await catalogue.search(late)
    for pit in (await engine.reader())._view.pits.values():
        await engine._client.close_point_in_time(id=pit)
    with pytest.raises(CursorExpired, match="Ask again without it"):
        await catalogue.search(replace(search, cursor=cursor))


async def test_the_views_of_related_classes_are_kept_for_a_cursor_too(
    engine: ElasticsearchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 9.3: ten minutes, also where conditions are asked of Datasets."""
    catalogue = catalogue_of(generated(5, documents=40), engine, tmp_path)
    await catalogue.indexer.index_once()
    kept: set[str] = set()
    answers = engine._searches.answers

    async def noted(bodies: Sequence[Mapping[str, Any]]) -> Any:
        kept.update(one["pit"]["id"] for one in bodies if one["pit"]["keep_alive"] == "11m")
        return await answers(bodies)

    monkeypatch.setattr(engine._searches, "answers", noted)
    where = Join("datasets", Compare("size", "gte", 0))
    text = Text("lysozyme scattering", match="any")
    search = Search("Document", NOW, where, text, limit=1)
    answer = await catalogue.search(search)
    assert answer.cursor is not None
    named = read_cursor(answer.cursor, question_digest(search), None).view
    assert set(named) == {"Document", "Dataset"}
    assert set(named.values()) <= kept
    assert (await catalogue.search(replace(search, cursor=answer.cursor))).hits


async def test_a_reader_shows_one_view_to_its_end(engine: ElasticsearchEngine) -> None:
    world = generated(3, documents=8)
    indexer = Indexer(world, engine)
    await indexer.index_once()
    reader = await engine.reader()
    before = await reader.count("Document", All())
    world.document("late", title="glass")
    await indexer.index_once()
    assert await reader.count("Document", All()) == before
    assert await (await engine.reader()).count("Document", All()) == before + 1


async def test_a_view_that_the_server_lost_is_made_anew(
    engine: ElasticsearchEngine, tmp_path: Path
) -> None:
    """After a restart of its node, say: the question is asked again, not refused."""
    catalogue = catalogue_of(generated(3, documents=8), engine, tmp_path)
    await catalogue.indexer.index_once()
    expected = keys(await catalogue.search(Search("Document", NOW)))
    for pit in (await engine.reader())._view.pits.values():
        await engine._client.close_point_in_time(id=pit)
    assert keys(await catalogue.search(Search("Document", NOW))) == expected


async def test_another_node_s_commit_is_seen_soon(
    engine: ElasticsearchEngine, other: ElasticsearchEngine
) -> None:
    """A view is checked against the position; the clock is moved, not waited for."""
    moment = 0.0
    other._views._clock = lambda: moment
    world = generated(3, documents=8)
    indexer = Indexer(world, engine)
    await indexer.index_once()
    await other.open()
    before = await (await other.reader()).count("Document", All())
    world.document("late", title="glass")
    await indexer.index_once()
    moment = 0.6
    assert await (await other.reader()).count("Document", All()) == before + 1


async def counts(reader: Reader) -> dict[str, int]:
    return {name: await reader.count(cast(Any, name), All()) for name in ("Dataset", "Document")}


async def one_of_each(engine: ElasticsearchEngine) -> tuple[Entities, Indexer]:
    """A world of one Document with one Dataset, in the index."""
    world = Entities()
    world.document("a", datasets=[world.dataset("a1")])
    indexer = Indexer(world, engine)
    await indexer.index_once()
    return world, indexer


async def test_a_view_shows_one_state_of_all_classes(
    engine: ElasticsearchEngine, other: ElasticsearchEngine
) -> None:
    """Of two, a Document would be found for not having what its new Datasets have."""
    world, indexer = await one_of_each(engine)
    await other.open()
    reader = await other.reader()
    assert await reader.count("Dataset", All()) == 1
    world.document("b", datasets=[world.dataset("b1")])
    await indexer.index_once()
    assert await counts(reader) == {"Dataset": 1, "Document": 1}


async def test_a_view_that_would_begin_amid_a_commit_is_not_used(
    engine: ElasticsearchEngine, other: ElasticsearchEngine
) -> None:
    """The classes have an index each, which become visible one after the other."""
    moment = 0.0
    other._views._clock = lambda: moment
    world, indexer = await one_of_each(engine)
    await other.open()
    before = await other.reader()
    world.document("b", datasets=[world.dataset("b1")])
    indices = engine._client.indices
    refresh = indices.refresh
    amid: list[dict[str, int]] = []

    async def one_after_the_other(*, index: str) -> Any:
        nonlocal moment
        await refresh(index=engine.index("Document"))
        moment += 1
        amid.append(await counts(await other.reader()))
        return await refresh(index=index)

    indices.refresh = one_after_the_other  # type: ignore[assignment]
    await indexer.index_once()
    assert amid == [{"Dataset": 1, "Document": 1}]
    moment += AMID_COMMIT_S
    assert await counts(await other.reader()) == {"Dataset": 2, "Document": 2}
    assert await counts(before) == {"Dataset": 1, "Document": 1}


async def test_a_commit_that_was_never_ended_does_not_keep_questions_from_being_answered(
    engine: ElasticsearchEngine, other: ElasticsearchEngine
) -> None:
    """Its process was killed; nobody may come after it for a while."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    other._views._sleep = sleep
    await one_of_each(engine)
    position = await engine.position()
    await engine._notes.add(f"position-{engine._generation}", {"committing": True})
    await other.open()
    assert await other.position() == position
    assert await counts(await other.reader()) == {"Dataset": 1, "Document": 1}
    assert 0 < len(waited) <= TRIES


# --- whose the indices are ------------------------------------------------------------------------


async def test_whoever_waits_sees_that_somebody_indexes_also_while_nothing_moves(
    engine: ElasticsearchEngine, other: ElasticsearchEngine, tmp_path: Path
) -> None:
    """Semantics 10.2: there is no lock to look at, but an indexer renews what it publishes."""
    await other.open()
    assert not await other.has_writer()
    with Store.open(tmp_path) as store:
        await engine.publish(store)
    assert await other.has_writer()
    for off in (-60.0, 60.0):
        other._notes._wall_s = lambda off=off: time.time() + off  # type: ignore[misc]
        assert not await other.has_writer()


async def test_two_stores_cannot_write_one_prefix(engine: ElasticsearchEngine) -> None:
    second = ElasticsearchEngine(engine.urls, prefix=engine.prefix, store="two")
    try:
        with pytest.raises(ForeignStore, match="--take-over"):
            await second.open()
    finally:
        await second.close()


async def test_a_catalogue_of_another_store_is_not_opened_and_leaves_nothing_open(
    engine: ElasticsearchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_PREFIX", engine.prefix)
    closed: list[str] = []
    close = ElasticsearchEngine.close

    async def noted(self: ElasticsearchEngine) -> None:
        closed.append(self.prefix)
        await close(self)

    monkeypatch.setattr(ElasticsearchEngine, "close", noted)
    with pytest.raises(ForeignStore):
        await Catalogue.open(tmp_path, "elasticsearch", engine.urls)
    assert closed == [engine.prefix]


async def test_indices_are_taken_over_by_a_rebuild_and_the_former_store_stops(
    engine: ElasticsearchEngine,
) -> None:
    world, others = generated(3, documents=8), generated(4, documents=5)
    await Indexer(world, engine).index_once()
    second = ElasticsearchEngine(engine.urls, prefix=engine.prefix, store="two", taking_over=True)
    await second.open()
    try:
        await rebuild(others, second)
        assert (await verify(others, second)).sound
        world.document("late", title="glass")
        with pytest.raises(ForeignStore, match="belong to another record store"):
            await Indexer(world, engine).index_once()
        assert (await verify(others, second)).sound
    finally:
        await second.close()


# --- tombstones -----------------------------------------------------------------------------------


async def test_tombstones_go_after_a_week_and_only_those(engine: ElasticsearchEngine) -> None:
    """Semantics 1.4."""
    world = Entities()
    world.document("stays", title="glass")
    gone = [world.document(f"gone{n}", title="glass") for n in range(3)]
    indexer = Indexer(world, engine)
    await indexer.index_once()
    for n, key in enumerate(gone):
        world.delete(key)
        age = timedelta(days=(8, 6, 9)[n])
        world.held[key] = world.held[key]._replace(changed_at=NOW - age)
    await indexer.index_once()
    engine._now = lambda: NOW
    assert await engine.purge() == 2
    await engine.commit(world.last_change())
    left = await engine._client.search(index=engine.alias("Document"), size=10)
    assert {hit["_source"]["key"] for hit in left["hits"]["hits"]} == {
        "document:doi:10.5072/stays", gone[1],
    }  # fmt: skip
    assert (await verify(world, engine)).sound


# --- few rights, TLS ------------------------------------------------------------------------------


class Guard:
    """Stands before Elasticsearch and lets a user do nothing beyond indices of one prefix."""

    def __init__(self, upstream: str, prefix: str, key: str) -> None:
        self.upstream = upstream
        self.ours = re.compile(rf"^{re.escape(prefix)}-[\w*.-]+$")
        self.key = key
        self.refused: list[str] = []

    def allows(self, request: web.Request, body: bytes) -> bool:
        first = request.path.strip("/").split("/")[0]
        if all(self.ours.match(name) for name in first.split(",")):
            return True
        if first == "_bulk":
            actions = [json.loads(line) for line in body.splitlines() if b'"_index"' in line]
            return all(self.ours.match(next(iter(a.values()))["_index"]) for a in actions)
        if first == "_aliases":
            actions = json.loads(body)["actions"]
            return all(self.ours.match(next(iter(a.values()))["index"]) for a in actions)
        # By point in time, which was opened under the rights of its index.
        if first == "_msearch":
            return all(b'"pit"' in line for line in body.splitlines()[1::2])
        return first == "_pit" or (first == "_search" and b'"pit"' in body)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"ApiKey {self.key}":
            return self._refusal(401)
        body = await request.read()
        if not self.allows(request, body):
            self.refused.append(f"{request.method} {request.path}")
            return self._refusal(403)
        headers = {"Accept-Encoding": "identity"} | {
            name: value for name, value in request.headers.items()
            if name.lower() in ("accept", "content-type")
        }  # fmt: skip
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            url = f"{self.upstream}{request.path_qs}"
            async with session.request(request.method, url, data=body, headers=headers) as answer:
                shown = {
                    name: answer.headers[name]
                    for name in ("Content-Type", "X-Elastic-Product")
                    if name in answer.headers
                }
                return web.Response(body=await answer.read(), status=answer.status, headers=shown)

    @staticmethod
    def _refusal(status: int) -> web.Response:
        error = {"error": {"type": "security_exception"}, "status": status}
        return web.json_response(
            error, status=status, headers={"X-Elastic-Product": "Elasticsearch"}
        )


async def test_rights_on_our_own_indices_are_enough_over_tls_with_an_api_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    guard = Guard(elasticsearch_url(), prefix, "c2VjcmV0")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(TLS / "localhost.pem", TLS / "localhost-key.pem")
    application = web.Application(client_max_size=100_000_000)
    application.router.add_route("*", "/{path:.*}", guard.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "c2VjcmV0")
    try:
        distrustful = ElasticsearchEngine(url, prefix=prefix)
        with pytest.raises(EngineError, match="ELASTICSEARCH_CA_CERTS"):
            await distrustful.open()
        await distrustful.close()
        monkeypatch.setenv("ELASTICSEARCH_CA_CERTS", str(TLS / "localhost.pem"))
        # The second address is the same node: it stands for another of the cluster.
        engine = ElasticsearchEngine(
            f"{url},{url.replace('127.0.0.1', 'localhost')}", prefix=prefix, store="one"
        )
        await engine.open()
        world = generated(7, documents=20)
        catalogue = catalogue_of(world, engine, tmp_path)
        await catalogue.indexer.index_once()
        world.delete(next(key for key in world.held if key.startswith("document:")))
        await catalogue.indexer.index_once()
        await engine.purge()
        await rebuild(world, engine)
        assert (await verify(world, engine)).sound
        search = Search("Document", NOW, text=Text("lysozyme scattering", match="any"), limit=3)
        answer = await catalogue.search(replace(search, explain=True))
        assert answer.hits
        await catalogue.search(replace(search, cursor=answer.cursor))
        await catalogue.suggest("ly")
        assert await engine.size_bytes()
        await engine.remove_all()
        await engine.close()
        # Settings of the cluster may not be looked at; nothing else beyond our own was asked for.
        assert {asked.partition("?")[0] for asked in guard.refused} <= {"GET /_cluster/settings"}
    finally:
        await runner.cleanup()
