"""Elasticsearch: our bulk writing and our answers beside the bare client's, in one run.

    python -m benchmarks.elasticsearch [--documents 30000] [--written 4000] [--rounds 200] [--json]

The server is the one that ``ELASTICSEARCH_URL`` names, or one started as the tests do, with a heap
of 1 GB. Each Document has one Dataset. Both sides do the same in turn, now the one first and now
the other.

Bulk: documents a second until they are searchable, by the bare client from bodies that were made
beforehand, and by us from the same documents ("rendered"), from documents that have yet to be
rendered ("engine documents"), and from the store through outbox and indexer, with what nodes
without a store need ("store"). All send requests of the same size, two at a time, with the same
versions and refresh.

Questions: 1 to 4 words, half of them common, with three facets, through the catalogue and by the
bare client, which sends the bodies that we sent, without those that look up how frequent words are;
as one ``_search`` or ``_msearch`` for each request of ours. *New*: no word is known from before;
*known*: all are. The server's request cache is off. ``ratio`` is the median of what each question
took with us beside what it took bare. Besides the clock: the client's processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "catalogue"))

import anyio
from elasticsearch import AsyncElasticsearch

from benchmarks.search import FACETS, NOW, fill, questions
from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.documents import EngineDocument, engine_document
from catalogue.engines.base import Rendered
from catalogue.engines.elasticsearch import PART, ElasticsearchEngine
from catalogue.engines.elasticsearch_bulk import SENDERS, Item
from catalogue.engines.elasticsearch_mapping import document_id, rendered
from catalogue.indexer import Indexer
from catalogue.query import Search, Text, data_only
from catalogue.store import Store

ROUNDS_OF_WRITING = 3
BATCH = 2_000
WARM_UP = 50


def documents_of(store: Store) -> list[EngineDocument]:
    found: list[EngineDocument] = []
    reached = 0
    while changes := store.changes_since(reached, 1_000):
        found += [engine_document(change) for change in changes]
        reached = changes[-1].entity.change
    return found


class Spent(NamedTuple):
    """What something took: on the clock, and of this process's processor time."""

    seconds: float
    processor_s: float


async def spent(work: Callable[[], Awaitable[Any]]) -> Spent:
    clock, processor = time.perf_counter(), time.process_time()
    await work()
    return Spent(time.perf_counter() - clock, time.process_time() - processor)


# --- writing --------------------------------------------------------------------------------------


class Writing:
    """Ways to write the same documents; each into indices of its own, which go afterwards."""

    def __init__(self, url: str, store: Store, documents: Sequence[EngineDocument]) -> None:
        self.url = url
        self.store = store
        self.documents = documents
        self.rendered = [rendered(document) for document in documents]

    async def _with_engine(
        self, work: Callable[[ElasticsearchEngine], Awaitable[Callable[[], Awaitable[Any]]]]
    ) -> Spent:
        engine = ElasticsearchEngine(self.url, prefix=f"bench-{secrets.token_hex(4)}")
        await engine.open()
        try:
            return await spent(await work(engine))
        finally:
            await engine.remove_all()
            await engine.close()

    async def _applied(
        self, engine: ElasticsearchEngine, documents: Sequence[EngineDocument | Rendered]
    ) -> None:
        for at in range(0, len(documents), BATCH):
            await engine.apply(documents[at : at + BATCH])
        await engine.commit(documents[-1].change)

    async def rendered_by_us(self) -> Spent:
        async def work(engine: ElasticsearchEngine) -> Callable[[], Awaitable[Any]]:
            return partial(self._applied, engine, self.rendered)

        return await self._with_engine(work)

    async def documents_by_us(self) -> Spent:
        async def work(engine: ElasticsearchEngine) -> Callable[[], Awaitable[Any]]:
            return partial(self._applied, engine, self.documents)

        return await self._with_engine(work)

    async def store_by_us(self) -> Spent:
        async def work(engine: ElasticsearchEngine) -> Callable[[], Awaitable[Any]]:
            indexer = Indexer(self.store, engine, folder=self.store.folder)

            async def all_of_it() -> None:
                await indexer.index_once()
                await indexer.close()

            return all_of_it

        return await self._with_engine(work)

    async def bare(self, share: float = 1.0) -> Spent:
        async def work(engine: ElasticsearchEngine) -> Callable[[], Awaitable[Any]]:
            bodies = self._bodies(engine, self.rendered[: int(share * len(self.rendered))])
            return partial(self._sent, engine, bodies)

        return await self._with_engine(work)

    @staticmethod
    def _bodies(engine: ElasticsearchEngine, documents: Sequence[Rendered]) -> list[list[bytes]]:
        lines = [
            Item(engine.index(d.entity_class), document_id(d.key), d.key, d.change, d.body,
                 d.deleted).lines
            for d in documents
        ]  # fmt: skip
        return [
            [line for pair in lines[at : at + PART] for line in pair]
            for at in range(0, len(lines), PART)
        ]

    async def _sent(self, engine: ElasticsearchEngine, bodies: list[list[bytes]]) -> None:
        waiting = list(reversed(bodies))
        async with AsyncElasticsearch(self.url, request_timeout=60) as client:

            async def send() -> None:
                while waiting:
                    answer = await client.bulk(operations=cast(Any, waiting.pop()))
                    if answer["errors"]:
                        raise RuntimeError("the bare bulk was refused")

            async with anyio.create_task_group() as tasks:
                for _ in range(SENDERS):
                    tasks.start_soon(send)
            await client.indices.refresh(index=f"{engine.prefix}-*")


async def bulk(url: str, store: Store, documents: Sequence[EngineDocument]) -> dict[str, Any]:
    writing = Writing(url, store, documents)
    await writing.bare(0.25)  # the server warms up
    ways = {
        "bare": writing.bare,
        "rendered": writing.rendered_by_us,
        "engine documents": writing.documents_by_us,
        "store": writing.store_by_us,
    }
    found: dict[str, list[Spent]] = {name: [] for name in ways}
    for number in range(ROUNDS_OF_WRITING):
        for name in reversed(ways) if number % 2 else ways:
            found[name].append(await ways[name]())
    bare = statistics.median(one.seconds for one in found["bare"])
    return {
        name: {
            "per_s": round(len(documents) / statistics.median(one.seconds for one in times)),
            "ratio": round(bare / statistics.median(one.seconds for one in times), 2),
            "processor_us_each": round(
                1e6 * statistics.median(one.processor_s for one in times) / len(documents)
            ),
        }
        for name, times in found.items()
    }


# --- questions ------------------------------------------------------------------------------------

Sent = list[Sequence[Mapping[str, Any]]]


class Asking:
    """A question through the catalogue, and what it sent by the bare client."""

    def __init__(self, catalogue: Catalogue, client: AsyncElasticsearch) -> None:
        self.catalogue = catalogue
        self.client = client
        self.engine = cast(Any, catalogue.engine)
        self._answers = self.engine._searches.answers

    async def ours(self, search: Search, *, known: bool) -> Spent:
        if not known:
            self.engine._frequencies.clear()
        return await spent(partial(self.catalogue.search, search))

    async def sent(self, search: Search, *, known: bool) -> tuple[Sent, bool]:
        """The bodies of each request, and whether it was relaxed."""
        requests: Sent = []

        async def noted(bodies: Sequence[Mapping[str, Any]]) -> Any:
            requests.append([_alone(one) for one in bodies if not _looks_up(one)])
            return await self._answers(bodies)

        self.engine._searches.answers = noted
        if not known:
            self.engine._frequencies.clear()
        relaxed = (await self.catalogue.search(search)).relaxed
        self.engine._searches.answers = self._answers
        return requests, relaxed

    async def bare(self, requests: Sent) -> Spent:
        index = self.engine.alias("Document")

        async def ask() -> None:
            for bodies in requests:
                if len(bodies) == 1:
                    await self.client.search(
                        index=index, body=dict(bodies[0]), search_type="dfs_query_then_fetch"
                    )
                    continue
                header = {"search_type": "dfs_query_then_fetch"}
                lines = [line for body in bodies for line in (header, body)]
                await self.client.msearch(index=index, searches=lines)

        return await spent(ask)


def _alone(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "pit"}


def _looks_up(body: Mapping[str, Any]) -> bool:
    """Whether a search only counts how frequent words are."""
    return "from0" in body.get("aggs", {})


async def answers(url: str, folder: Path, store: Store, rounds: int) -> dict[str, Any]:
    engine = ElasticsearchEngine(url, prefix=f"bench-{secrets.token_hex(4)}")
    await engine.open()
    catalogue = Catalogue(store, engine, SnapshotFile(folder))
    client = AsyncElasticsearch(url, request_timeout=60)
    try:
        await catalogue.indexer.index_once()
        await client.indices.put_settings(
            index=engine.alias("Document"), settings={"index.requests.cache.enable": False}
        )
        asking = Asking(catalogue, client)
        return {
            f"text with three facets, {name}": await _in_turn(asking, rounds, known=known)
            for name, known in (("new", False), ("known", True))
        }
    finally:
        await catalogue.settle_snapshots()
        await catalogue.indexer.close()
        await engine.remove_all()
        await client.close()
        await engine.close()


async def _in_turn(asking: Asking, rounds: int, *, known: bool) -> dict[str, Any]:
    rows: list[tuple[bool, int, Spent, Spent]] = []
    for number, words in enumerate(questions(rounds + WARM_UP)):
        search = Search("Document", NOW, data_only(), Text(words), facets=FACETS)
        if known:
            await asking.catalogue.search(search)
        requests, relaxed = await asking.sent(search, known=known)
        if number % 2:
            bare = await asking.bare(requests)
            ours = await asking.ours(search, known=known)
        else:
            ours = await asking.ours(search, known=known)
            bare = await asking.bare(requests)
        if number >= WARM_UP:
            rows.append((relaxed, len(requests), ours, bare))
    found: dict[str, Any] = {
        "all": _compared(rows),
        "strict": _compared([row for row in rows if not row[0]]),
        "relaxed": _compared([row for row in rows if row[0]]),
    }
    return {name: value for name, value in found.items() if value}


def _compared(rows: Sequence[tuple[bool, int, Spent, Spent]]) -> dict[str, float]:
    if not rows:
        return {}
    ours = [row[2] for row in rows]
    bare = [row[3] for row in rows]
    middle = [statistics.median(one.seconds for one in side) for side in (ours, bare)]
    processor = [statistics.median(one.processor_s for one in side) for side in (ours, bare)]
    return {
        "questions": len(rows),
        "requests": round(statistics.mean(row[1] for row in rows), 2),
        "ours_p50_ms": round(1_000 * middle[0], 2),
        "bare_p50_ms": round(1_000 * middle[1], 2),
        "ratio_p50": round(middle[0] / middle[1], 2),
        "ratio": round(statistics.median(row[2].seconds / row[3].seconds for row in rows), 2),
        "ours_processor_ms": round(1_000 * processor[0], 2),
        "bare_processor_ms": round(1_000 * processor[1], 2),
    }


async def report(url: str, chosen: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if chosen.part in ("bulk", "both"):
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
            await asyncio.to_thread(fill, store, chosen.written, 1)
            documents = await asyncio.to_thread(documents_of, store)
            found[f"bulk, {len(documents):,} entities"] = await bulk(url, store, documents)
    if chosen.part in ("questions", "both"):
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
            await asyncio.to_thread(fill, store, chosen.documents, 1)
            asked = await answers(url, Path(folder), store, chosen.rounds)
            found |= {f"{name}, {chosen.documents:,} Documents": one for name, one in asked.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=30_000, help="that are asked about")
    parser.add_argument("--written", type=int, default=4_000, help="Documents written in bulk")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--part", choices=("bulk", "questions", "both"), default="both")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("ELASTICSEARCH_URL")
        cluster = None
        if not url:
            import elasticsearch_server

            cluster = elasticsearch_server.start(Path(folder), heap="1g")
            url = cluster.url
        try:
            found = asyncio.run(report(url, chosen))
        finally:
            if cluster is not None:
                cluster.stop()
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(name, "" if isinstance(value, dict) else value)
        for part, figures in value.items() if isinstance(value, dict) else ():
            print(f"    {part:20} {figures}")


if __name__ == "__main__":
    main()
