"""What is particular to Elasticsearch: bulk writing, errors, mappings (faults F01 to F13)."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import elastic_transport
import elasticsearch
import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from engine_servers import as_another_version, elasticsearch_url
from generated_world import generated
from search_world import NOW, Entities

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.documents import engine_document
from catalogue.engines import elasticsearch_client
from catalogue.engines.base import FacetRequest, PageRequest
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.elasticsearch_bulk import MAX_BODY_BYTES, BulkWriter, Item
from catalogue.engines.elasticsearch_client import IncompleteAnswer, translated, whole
from catalogue.engines.elasticsearch_mapping import mapping
from catalogue.errors import (
    CatalogueError,
    EngineDamaged,
    EngineError,
    EngineUnavailable,
    ForeignIndex,
)
from catalogue.indexer import Indexer
from catalogue.oracle import Oracle
from catalogue.plan import All
from catalogue.query import Search
from catalogue.verifying import rebuild, verify

CREATED = {"index": {"status": 201}}


def refused(status: int, kind: str) -> dict[str, Any]:
    return {"index": {"status": status, "error": {"type": kind, "reason": "so"}}}


def api_error(status: int, kind: str) -> elasticsearch.ApiError:
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "127.0.0.1", 1))
    body = {"error": {"type": kind, "root_cause": [{"type": kind}]}, "status": status}
    return elasticsearch.ApiError(kind, meta=meta, body=body)


def item(key: str, size: int = 10) -> Item:
    return Item("i", key, key, 1, b"x" * size, deleted=False)


class Server:
    """A double that answers bulk requests as scripted, and remembers what it was sent."""

    def __init__(self, answer: Callable[[int, list[str]], list[dict[str, Any]]]) -> None:
        self.answer = answer
        self.sent: list[list[str]] = []
        self.pauses: list[float] = []

    async def bulk(self, lines: list[bytes]) -> dict[str, Any]:
        keys = [line.decode().partition('"_id":"')[2].partition('"')[0] for line in lines[::2]]
        self.sent.append(keys)
        return {"errors": True, "items": self.answer(len(self.sent), keys)}

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def writer(self) -> BulkWriter:
        return BulkWriter(self.bulk, self.sleep)


async def test_every_item_s_answer_is_read() -> None:
    """Faults F01, F02: one bad document is rejected with its reason, all others are written."""
    server = Server(
        lambda _, keys: [
            refused(400, "document_parsing_exception") if key == "b" else CREATED for key in keys
        ]
    )
    applied = await server.writer().write([item("a"), item("b"), item("c")])
    assert applied.written == 2
    assert list(applied.rejected) == ["b"]
    assert "document_parsing_exception" in applied.rejected["b"]


async def test_only_what_was_refused_for_now_is_sent_again() -> None:
    """Fault F03."""
    server = Server(
        lambda turn, keys: [
            refused(429, "es_rejected_execution_exception") if turn < 3 and key == "b" else CREATED
            for key in keys
        ]
    )
    applied = await server.writer().write([item("a"), item("b")])
    assert server.sent == [["a", "b"], ["b"], ["b"]]
    assert applied.written == 2
    assert server.pauses == sorted(server.pauses)


async def test_a_server_that_never_recovers_is_given_up() -> None:
    server = Server(lambda _, keys: [refused(429, "es_rejected_execution_exception") for _ in keys])
    with pytest.raises(EngineUnavailable, match="still refuses 1"):
        await server.writer().write([item("a")])


async def test_a_full_disk_stops_the_writer_at_once() -> None:
    """Fault F04: it answers 429, too, and no retry helps."""
    server = Server(lambda _, keys: [refused(429, "cluster_block_exception") for _ in keys])
    with pytest.raises(EngineUnavailable, match="disk is full"):
        await server.writer().write([item("a")])
    assert len(server.sent) == 1


async def test_a_body_that_is_too_large_is_halved() -> None:
    """Fault F05: halved on 413; a document that is too large alone is rejected by name."""

    def answer(_: int, keys: list[str]) -> list[dict[str, Any]]:
        if "huge" in keys:
            raise api_error(413, "too_large")
        return [CREATED for _ in keys]

    server = Server(answer)
    applied = await server.writer().write([item("a"), item("b"), item("huge"), item("c")])
    assert applied.written == 3
    assert list(applied.rejected) == ["huge"]


async def test_requests_are_bounded_by_bytes() -> None:
    server = Server(lambda _, keys: [CREATED for _ in keys])
    await server.writer().write([item(str(n), MAX_BODY_BYTES // 2) for n in range(5)])
    assert [len(keys) for keys in server.sent] == [2, 2, 1]


async def test_parts_are_rendered_while_others_are_on_their_way() -> None:
    """Each item is sent once, and what a server says of any of them is not lost."""
    server = Server(
        lambda _, keys: [refused(400, "bad") if key == "7" else CREATED for key in keys]
    )
    parts = [lambda at=at: [item(str(n)) for n in range(at, at + 3)] for at in range(0, 21, 3)]
    applied = await server.writer().write_parts(parts)
    assert sorted(key for keys in server.sent for key in keys) == sorted(map(str, range(21)))
    assert (applied.written, list(applied.rejected)) == (20, ["7"])


async def test_a_server_that_is_gone_ends_the_rendering_of_parts() -> None:
    server = Server(lambda _, keys: [refused(429, "cluster_block_exception") for _ in keys])
    with pytest.raises(EngineUnavailable, match="disk is full"):
        await server.writer().write_parts([lambda: [item("a")] for _ in range(9)])


async def test_a_version_conflict_means_that_the_index_is_newer() -> None:
    """Fault F12."""
    server = Server(lambda _, keys: [refused(409, "version_conflict_engine_exception")])
    applied = await server.writer().write([item("a")])
    assert (applied.older, dict(applied.rejected)) == (1, {})


def test_no_field_can_be_added_by_a_record() -> None:
    """Faults F06, F07."""
    for name in ("Document", "Dataset", "Instrument"):
        assert mapping(name)["dynamic"] == "strict"
        assert len(mapping(name)["properties"]) < 60


def _library_errors() -> list[type[Exception]]:
    classes = [
        one
        for module in (elasticsearch, elasticsearch.exceptions)
        for _, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, Exception) and not issubclass(one, Warning)
    ]
    return sorted(set(classes), key=lambda one: one.__name__)


@pytest.mark.parametrize("kind", _library_errors(), ids=lambda kind: kind.__name__)
async def test_every_error_of_the_client_becomes_ours(kind: type[Exception]) -> None:
    if issubclass(kind, elastic_transport.ApiError):
        error = api_error(503, "unavailable")
        raised: Exception = kind("x", meta=error.meta, body=error.body)
    else:
        raised = kind("x")
    with pytest.raises(CatalogueError):
        async with translated("testing"):
            raise raised


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (503, "no_shard_available", "overloaded"),
        (429, "cluster_block_exception", "disk is full"),
        (403, "security_exception", "refuses our user"),
        (404, "index_not_found_exception", "missing"),
        (400, "parsing_exception", "parsing_exception"),
    ],
)
async def test_an_answer_s_status_is_told_in_words(status: int, kind: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        async with translated("testing"):
            raise api_error(status, kind)


@pytest.mark.parametrize(
    "answer",
    [{"timed_out": True, "_shards": {"failed": 0}}, {"_shards": {"failed": 1, "total": 3}}],
)
def test_a_partial_answer_is_never_taken_for_the_whole(answer: dict[str, Any]) -> None:
    """Fault F10."""
    with pytest.raises(IncompleteAnswer, match="in part only"):
        whole(answer)


def test_addresses_are_shown_without_passwords() -> None:
    """Fault H12."""
    shown = elasticsearch_client.without_password("https://user:secret@a:9200,http://b")
    assert shown == "https://a:9200,http://b"


async def test_an_address_where_nobody_answers_is_said_so() -> None:
    engine = ElasticsearchEngine("http://127.0.0.1:9")
    try:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await engine.open()
    finally:
        await engine.close()


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(EngineError, match="no address"):
        ElasticsearchEngine("nonsense")


# --- against the real server --------------------------------------------------------------------


@pytest.fixture
async def engine() -> AsyncIterator[ElasticsearchEngine]:
    made = ElasticsearchEngine(elasticsearch_url(), prefix=f"test-{secrets.token_hex(4)}")
    await made.open()
    yield made
    await made.remove_all()
    await made.close()


@pytest.mark.elasticsearch
async def test_a_delayed_older_write_does_not_bring_a_deleted_record_back(
    engine: ElasticsearchEngine,
) -> None:
    """Semantics 1.4: tombstones keep their version."""
    world = Entities()
    key = world.document("a", title="glass")
    older = engine_document(world.changes()[0])
    world.delete(key)
    await Indexer(world, engine).index_once()
    applied = await engine.apply([older])
    await engine.commit(world.last_change())
    assert applied.older == 1
    assert await (await engine.reader()).count("Document", All()) == 0


@pytest.mark.elasticsearch
async def test_a_rebuild_moves_the_alias_while_writes_go_on(engine: ElasticsearchEngine) -> None:
    """Fault F13."""
    world = generated(3, documents=8)
    indexer = Indexer(world, engine)
    await indexer.index_once()
    former = await engine._generations.current()
    await rebuild(world, engine)
    assert await engine._generations.current() != former
    world.document("late", title="glass")
    await indexer.index_once()
    assert (await verify(world, engine)).sound


@pytest.mark.elasticsearch
async def test_a_document_that_the_server_refuses_is_reported(engine: ElasticsearchEngine) -> None:
    """Fault F01, on the real server."""
    world = Entities()
    world.document("good", title="glass")
    world.document("bad", title="glass")
    good, bad = (engine_document(change) for change in world.changes())
    bad.numbers["no_such_field"] = 1
    applied = await engine.apply([bad, good])
    assert applied.written == 1
    assert "strict_dynamic_mapping_exception" in applied.rejected[bad.key]


@pytest.mark.elasticsearch
async def test_an_index_of_another_mapping_is_refused(
    engine: ElasticsearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_another_version(monkeypatch)
    with pytest.raises(ForeignIndex, match="index rebuild"):
        await engine.apply([])
    with pytest.raises(ForeignIndex, match="index rebuild"):
        await engine.reader()


@pytest.mark.elasticsearch
async def test_several_shards_score_and_count_as_one(engine: ElasticsearchEngine) -> None:
    """Semantics 8.2: statistics over all shards."""
    from catalogue.engines.base import PageRequest
    from catalogue.query import Text
    from catalogue.scoring import normalised
    from catalogue.text_query import plan_text

    world = generated(5, documents=60)
    sharded = ElasticsearchEngine(engine.urls, prefix=engine.prefix + "-three", shards=3)
    await sharded.open()
    try:
        await Indexer(world, sharded).index_once()
        plan = plan_text(Text("lysozyme scattering", match="any"))
        request = PageRequest("Document", plan.any_of, plan.scores, limit=1_000)
        page = await (await sharded.reader()).page(request)
        oracle = Oracle(world.changes())
        best = oracle.best_possible(plan.scores, "Document")
        assert page.best_possible == pytest.approx(best, rel=1e-3)
        for hit in page.hits:
            expected = oracle.raw_score(plan.scores, oracle.entities[hit.key], "Document")
            assert normalised(hit.score, best) == pytest.approx(
                normalised(expected, best), rel=1e-3
            )
    finally:
        await sharded.remove_all()
        await sharded.close()


@pytest.mark.elasticsearch
async def test_a_rebuilt_index_that_comes_into_use_in_the_midst_of_a_catch_up_lacks_nothing(
    engine: ElasticsearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F13: what went into the former index is behind no position of the new one."""
    world = Entities()
    world.document("a", title="glass")
    await Indexer(world, engine).index_once()
    operator = ElasticsearchEngine(engine.urls, prefix=engine.prefix)
    await operator.open()
    rebuilt = await operator.beside()
    await Indexer(world, rebuilt).index_once()
    for name in "bcd":
        world.document(name, title="more glass")
    apply = engine.apply
    batches = 0

    async def swap_after_two(documents: Any) -> Any:
        nonlocal batches
        batches += 1
        applied = await apply(documents)
        if batches == 2:
            await operator.replace_with(rebuilt)
            assert await engine.position() == 1  # as whoever asks for the lag does
        return applied

    monkeypatch.setattr(engine, "apply", swap_after_two)
    daemon = Indexer(world, engine, batch=1)
    await daemon.index_once()
    assert await daemon.lag() == 0
    assert await (await engine.reader()).count("Document", All()) == 4
    assert (await verify(world, engine)).sound
    await operator.close()


@pytest.mark.elasticsearch
@pytest.mark.parametrize("beside", [False, True])
async def test_a_write_that_comes_after_its_index_is_gone_makes_no_other(
    engine: ElasticsearchEngine, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    """Fault F07: the server would make an index of that name, with types by first values."""
    world = Entities()
    world.document("a", title="glass")
    writer = await engine.beside() if beside else engine
    send = writer._send

    async def late(lines: list[bytes]) -> Any:
        await engine._client.indices.delete(index=writer.index("Document"))
        return await send(lines)

    monkeypatch.setattr(writer, "_send", late)
    with pytest.raises(EngineDamaged, match="missing"):
        await writer.apply([engine_document(change) for change in world.changes()])
    assert not await engine._client.indices.exists(index=writer.index("Document"))
    if beside:
        await writer.discard()


@pytest.mark.elasticsearch
@pytest.mark.parametrize(
    ("removed", "reopened"),
    [
        (("document-*",), False),
        (("document-*", "dataset-*", "instrument-*"), True),
        (("*",), False),
    ],
    ids=["one", "those of records", "all"],
)
async def test_indices_that_somebody_removed_are_filled_anew_and_whole(
    engine: ElasticsearchEngine, removed: tuple[str, ...], reopened: bool
) -> None:
    """Fault F15: how far the former one was says nothing of the one that gets its name."""
    world = generated(3, documents=4)
    indexer = Indexer(world, engine)
    await indexer.index_once()
    named = ",".join(f"{engine.prefix}-{one}" for one in removed)
    there = await engine._client.indices.get(index=named)
    await engine._client.indices.delete(index=",".join(there))
    if reopened:
        await engine.open()
    world.document("late", title="glass")
    await indexer.index_once()
    assert await engine.position() == world.last_change()
    assert (await verify(world, engine)).sound
    found = await engine._client.indices.get_mapping(index=f"{engine.prefix}-*")
    assert {one["mappings"].get("dynamic") for one in found.values()} == {"strict"}


@pytest.mark.elasticsearch
async def test_an_interrupted_rebuild_leaves_nothing_that_the_next_one_takes_for_done(
    engine: ElasticsearchEngine,
) -> None:
    world = generated(3, documents=4)
    await Indexer(world, engine).index_once()
    begun = await engine.beside()
    await Indexer(world, begun).index_once()
    await begun.discard()
    await rebuild(world, engine)
    assert await engine.position() == world.last_change()
    assert (await verify(world, engine)).sound


@pytest.mark.elasticsearch
async def test_an_index_of_a_newer_version_is_not_read_after_it_came_into_use(
    engine: ElasticsearchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 6.3: not even by the first question."""
    world: Any = generated(3, documents=4)
    catalogue = Catalogue(world, engine, SnapshotFile(tmp_path), read_only=True)
    await catalogue.indexer.index_once()
    await catalogue.search(Search("Document", NOW))
    with monkeypatch.context() as newer:
        as_another_version(newer)
        operator = ElasticsearchEngine(engine.urls, prefix=engine.prefix)
        await operator.open()
        world.document("more", title="glass")
        await rebuild(world, operator)
        await operator.close()
    with pytest.raises(ForeignIndex, match="index rebuild"):
        await catalogue.search(Search("Document", NOW))


@pytest.mark.elasticsearch
async def test_facets_of_several_shards_with_more_values_than_these_send_are_exact(
    engine: ElasticsearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 9.1."""
    monkeypatch.setattr("catalogue.engines.elasticsearch_queries.SENT_BY_SHARDS", 2)
    monkeypatch.setattr("catalogue.engines.elasticsearch_bodies.FACET_ROOM", 0)
    sharded = ElasticsearchEngine(engine.urls, prefix=engine.prefix + "-three", shards=3)
    await sharded.open()
    world = Entities()
    for number in range(40):
        samples = [{"name": f"sample {n}"} for n in range(number % 7, 7)]
        world.dataset(f"d{number}", samples=samples)
    try:
        await Indexer(world, sharded).index_once()
        facet = FacetRequest("f_sample", 1, All())
        page = await (await sharded.reader()).page(PageRequest("Dataset", All(), facets=(facet,)))
        assert [list(counts) for counts in page.facets] == [[("sample 6", 40)]]
    finally:
        await sharded.remove_all()
        await sharded.close()


@pytest.mark.elasticsearch
async def test_a_view_that_lost_a_shard_is_renewed_before_the_question_is_refused(
    engine: ElasticsearchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point in time lies on the copies that it was opened on; others may have the shard, too."""
    world: Any = generated(3, documents=8)
    catalogue = Catalogue(world, engine, SnapshotFile(tmp_path))
    await catalogue.indexer.index_once()
    searches: Any = engine._searches
    answers = searches.answers
    refusals = [api_error(503, "no_shard_available_action_exception")]

    async def refused_once(bodies: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await answers(bodies)

    monkeypatch.setattr(searches, "answers", refused_once)
    search = Search("Document", NOW, limit=3)
    answer = await catalogue.search(search)
    assert len(answer.hits) == 3
    refusals += [api_error(503, "no_shard_available_action_exception") for _ in range(2)]
    with pytest.raises(EngineUnavailable, match="no_shard_available"):
        await catalogue.search(search)
