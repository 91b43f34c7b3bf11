"""Elasticsearch: our bulk writing and our answers beside the bare client's, in one run.

    python -m benchmarks.elasticsearch [--records 10000] [--rounds 200] [--json]

The server is the one that ``ELASTICSEARCH_URL`` names, or one started as the tests do. Reported:
documents a second through the engine (from engine documents to searchable) and by a bare ``_bulk``
of documents that are already built, in turn; and the time of text questions with three facets
through the catalogue and by a raw ``_search`` with the same body.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "catalogue"))

import orjson
from elasticsearch import AsyncElasticsearch

from benchmarks.search import FACETS, NOW, fill, percentiles, questions, timed
from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.documents import EngineDocument, engine_document
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.elasticsearch_mapping import document_id, rendered
from catalogue.query import Search, Text, data_only
from catalogue.store import Store

BARE_BYTES = 5_000_000
"""Body of one bare ``_bulk``: what Elastic's own guide recommends."""

ROUNDS_OF_WRITING = 3


def documents_of(store: Store) -> list[EngineDocument]:
    found: list[EngineDocument] = []
    reached = 0
    while changes := store.changes_since(reached, 1_000):
        found += [engine_document(change) for change in changes]
        reached = changes[-1].entity.change
    return found


async def written_by_us(url: str, documents: Sequence[EngineDocument]) -> float:
    """Seconds from engine documents to searchable, in batches as the indexer's."""
    engine = ElasticsearchEngine(url, prefix=f"bench-{secrets.token_hex(4)}")
    await engine.open()
    started = time.perf_counter()
    for at in range(0, len(documents), 2_000):
        await engine.apply(documents[at : at + 2_000])
    await engine.commit(documents[-1].change)
    seconds = time.perf_counter() - started
    await engine.remove_all()
    await engine.close()
    return seconds


async def written_bare(url: str, documents: Sequence[EngineDocument]) -> float:
    """Seconds for bulk bodies made beforehand, and a refresh."""
    engine = ElasticsearchEngine(url, prefix=f"bench-{secrets.token_hex(4)}")
    await engine.open()
    bodies: list[list[bytes]] = [[]]
    size = 0
    for document in documents:
        action = {"index": {"_index": engine.index(document.entity_class),
                            "_id": document_id(document.key)}}  # fmt: skip
        body = rendered(document).body
        if size + len(body) > BARE_BYTES:
            bodies.append([])
            size = 0
        bodies[-1] += [orjson.dumps(action), body]
        size += len(body)
    client = AsyncElasticsearch(url, request_timeout=60)
    started = time.perf_counter()
    for lines in bodies:
        answer = await client.bulk(operations=cast(Any, lines))
        if answer["errors"]:
            raise RuntimeError("the bare bulk was refused")
    await client.indices.refresh(index=f"{engine.prefix}-*")
    seconds = time.perf_counter() - started
    await client.close()
    await engine.remove_all()
    await engine.close()
    return seconds


async def bulk(url: str, documents: Sequence[EngineDocument]) -> dict[str, Any]:
    ours: list[float] = []
    bare: list[float] = []
    await written_bare(url, documents[: len(documents) // 4])  # the server warms up
    for _ in range(ROUNDS_OF_WRITING):
        bare.append(await written_bare(url, documents))
        ours.append(await written_by_us(url, documents))
    rates = [round(len(documents) / statistics.median(times)) for times in (ours, bare)]
    return {"ours_per_s": rates[0], "bare_per_s": rates[1], "ratio": round(rates[0] / rates[1], 2)}


async def answers(url: str, folder: Path, store: Store, rounds: int) -> dict[str, Any]:
    engine = ElasticsearchEngine(url, prefix=f"bench-{secrets.token_hex(4)}")
    await engine.open()
    catalogue = Catalogue(store, engine, SnapshotFile(folder))
    client = AsyncElasticsearch(url, request_timeout=60)
    try:
        await catalogue.indexer.index_once()
        ours: list[float] = []
        raw: list[float] = []
        for number, words in enumerate(questions(rounds + 50)):
            search = Search("Document", NOW, data_only(), Text(words), facets=FACETS)
            sent = _bodies_of(engine)
            seconds = await timed(lambda search=search: catalogue.search(search))
            body = next(one for one in sent if one.get("aggs"))
            alone = {key: value for key, value in body.items() if key != "pit"}
            again = await timed(
                lambda body=alone: client.search(
                    index=engine.alias("Document"), body=body, search_type="dfs_query_then_fetch",
                    request_cache=False,
                )
            )  # fmt: skip
            if number >= 50:
                ours.append(seconds)
                raw.append(again)
        found: dict[str, Any] = {"ours": percentiles(ours), "raw _search": percentiles(raw)}
        found["ratio_p50"] = round(found["ours"]["p50_ms"] / found["raw _search"]["p50_ms"], 2)
        return found
    finally:
        await catalogue.settle_snapshots()
        await engine.remove_all()
        await client.close()
        await engine.close()


def _bodies_of(engine: ElasticsearchEngine) -> list[dict[str, Any]]:
    """A list that fills with the bodies of the searches that the engine sends from now on."""
    sent: list[dict[str, Any]] = []
    client: Any = engine._client
    search = type(client).search

    async def noted(**options: Any) -> Any:
        sent.append(options["body"])
        return await search(client, **options)

    client.search = noted
    return sent


async def report(url: str, count: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        await asyncio.to_thread(fill, store, count, 1)
        documents = await asyncio.to_thread(documents_of, store)
        return {
            "documents": len(documents),
            "bulk": await bulk(url, documents),
            "text with three facets": await answers(url, Path(folder), store, rounds),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("ELASTICSEARCH_URL")
        cluster = None
        if not url:
            import elasticsearch_server

            cluster = elasticsearch_server.start(Path(folder))
            url = cluster.url
        try:
            found = asyncio.run(report(url, chosen.records, chosen.rounds))
        finally:
            if cluster is not None:
                cluster.stop()
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
