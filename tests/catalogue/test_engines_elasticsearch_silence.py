"""An Elasticsearch that hangs after it was opened, or one of its nodes: a question is answered by
another node, or told so soon. What hangs is the way to a real server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
import elasticsearch
import pytest
from anyio.abc import SocketAttribute, SocketStream
from engine_servers import elasticsearch_url
from generated_world import generated

from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.elasticsearch_client import connect
from catalogue.engines.elasticsearch_silence import ANSWERS_WITHIN_S, Silence
from catalogue.errors import EngineError, EngineUnavailable
from catalogue.indexer import Indexer
from catalogue.plan import All
from search_api.settings import ServerSettings

pytestmark = pytest.mark.elasticsearch

PATIENCE_S = 1.0
NODES = 2


class Way:
    """A way to the server that takes everything, and lets nothing through while it is frozen."""

    def __init__(self, host: str, port: int) -> None:
        self._there = host, port
        self.thawed = anyio.Event()
        self.thawed.set()
        self.taken = 0

    def freeze(self) -> None:
        self.thawed = anyio.Event()

    async def take(self, near: SocketStream) -> None:
        async with (
            near,
            await anyio.connect_tcp(*self._there) as far,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._pass, near, far)
            tasks.start_soon(self._pass, far, near)

    async def _pass(self, source: SocketStream, target: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                self.taken += not self.thawed.is_set()
                await self.thawed.wait()
                await target.send(data)
            await target.send_eof()


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[tuple[Way, str]]:
    address = urlsplit(url)
    way = Way(str(address.hostname), int(address.port or 9200))
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, way.take)
        port = listener.extra(SocketAttribute.local_port)
        yield way, f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def engine_at(urls: str) -> AsyncIterator[ElasticsearchEngine]:
    """Of five Documents. It is closed, whatever hangs then."""
    prefix = f"test-{secrets.token_hex(4)}"
    engine = ElasticsearchEngine(urls, prefix=prefix, answers_within_s=PATIENCE_S)
    await engine.open()
    try:
        await Indexer(generated(3, documents=5), engine).index_once()
        yield engine
    finally:
        with anyio.fail_after(5 * PATIENCE_S):
            await engine.close()
        remover = ElasticsearchEngine(elasticsearch_url(), prefix=prefix)
        await remover.remove_all()
        await remover.close()


async def count(engine: ElasticsearchEngine) -> int:
    return await (await engine.reader()).count("Document", All())


async def test_where_one_of_two_nodes_hangs_the_other_answers() -> None:
    """Each question that came to the frozen one took half a minute, and failed."""
    url = elasticsearch_url()
    async with way_to(url) as (way, near), engine_at(f"{near},{url}") as engine:
        assert await count(engine) == 5
        way.freeze()
        with anyio.fail_after(10 * PATIENCE_S):
            assert [await count(engine) for _ in range(8)] == [5] * 8
        assert way.taken, "the frozen one was asked, too"


async def test_one_that_hangs_is_told_soon_and_tried_by_one_question_at_a_time() -> None:
    url = elasticsearch_url()
    async with way_to(url) as (way, near), engine_at(near) as engine:
        assert await count(engine) == 5
        way.freeze()
        told: list[str] = []

        async def ask() -> None:
            try:
                await count(engine)
            except EngineUnavailable as error:
                told.append(str(error))

        with anyio.fail_after(30):
            await ask()
            before = way.taken
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(ask)
        assert len(told) == 11
        assert all("in time" in one for one in told)
        assert sum("not asked again" in one for one in told) == 9
        assert way.taken - before <= 1, "the others asked nobody"
        way.thawed.set()
        assert await count(engine) == 5
        way.freeze()
        with anyio.fail_after(30):
            await ask()


async def test_a_refusal_is_an_answer_and_breaks_the_silence() -> None:
    client = connect(elasticsearch_url())
    silence = Silence(client, nodes=1)
    silence.lasts = True
    with pytest.raises(EngineError):
        async with silence.broken_by("looking"):
            await silence.asking.get(index="no-such-index", id="1")
    assert not silence.lasts
    await client.close()


async def test_a_question_that_is_too_much_is_no_silence_where_others_are_answered() -> None:
    client = connect(elasticsearch_url())
    silence = Silence(client, nodes=1)

    async def run_out_of_time(others: int) -> None:
        async with silence.broken_by("searching"):
            for _ in range(others):
                async with silence.broken_by("looking"):
                    await silence.asking.cluster.health()
            raise elasticsearch.ConnectionTimeout("too much")

    for others in (1, 0):
        with pytest.raises(EngineUnavailable, match="in time while searching"):
            await run_out_of_time(others)
        assert silence.lasts == (not others)
    await client.close()


async def test_a_question_is_told_before_its_time_is_up() -> None:
    assert ServerSettings().deadline_s > ANSWERS_WITHIN_S
    client = connect("http://127.0.0.1:9")
    for nodes in (1, 2, 3, 12):
        found = Silence(client, nodes).limits
        tries = 1 + found["max_retries"] * found["retry_on_timeout"]
        assert found["request_timeout"] * tries <= ANSWERS_WITHIN_S
    await client.close()
