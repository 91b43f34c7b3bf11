"""Whose the indices are, and tombstones that have served their time (semantics 1.4, 10).

Without scripts, ``_delete_by_query`` or rights beyond our own indices.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import elasticsearch
import orjson
from elasticsearch import AsyncElasticsearch

from catalogue.engines.elasticsearch_client import translated, whole
from catalogue.errors import EngineUnavailable, ForeignStore

TOMBSTONES_KEPT = timedelta(days=7)
"""A bulk item that is delayed for longer than this is no longer on its way."""

PURGE_EVERY_S = 3_600.0
PURGED_AT_ONCE = 1_000
OWNER = "owner"


async def claim(
    client: AsyncElasticsearch,
    prefix: str,
    store: str,
    create: Callable[[], Awaitable[None]],
) -> None:
    """Make the indices of a prefix those of a record store, if they are nobody's yet.

    Two stores that wrote one prefix would each call the other's records surplus, and their change
    numbers would fight as versions.

    Args:
        create: makes the index of notes, which the server would make with types by first values.

    Raises:
        ForeignStore: they are another store's.
    """
    owner = await _owner(client, prefix)
    if owner is None:
        await create()
        async with translated("claiming its indices"):
            try:
                await client.create(index=f"{prefix}-meta", id=OWNER, document=_note(store))
                return
            except elasticsearch.ConflictError:
                pass  # somebody else was first
        owner = await _owner(client, prefix)
    if owner != store:
        raise ForeignStore(
            f"The Elasticsearch indices {prefix}-* belong to another record store ({owner}; this "
            f"one is {store}). Choose another ELASTICSEARCH_PREFIX, or give them to this store "
            "with: pan-commons index rebuild --take-over"
        )


async def take_over(client: AsyncElasticsearch, prefix: str, store: str) -> None:
    """Make the indices of a prefix a record store's, whoever's they were."""
    async with translated("claiming its indices"):
        await client.index(index=f"{prefix}-meta", id=OWNER, document=_note(store))


async def _owner(client: AsyncElasticsearch, prefix: str) -> str | None:
    async with translated("looking whose its indices are"):
        try:
            found = await client.get(index=f"{prefix}-meta", id=OWNER)
        except elasticsearch.NotFoundError:
            return None
    return str(found["_source"]["value"].get("store"))


def _note(store: str) -> Mapping[str, Any]:
    return {"value": {"store": store}}


async def purge_tombstones(client: AsyncElasticsearch, index: str, now: datetime) -> int:
    """Remove tombstones older than ``TOMBSTONES_KEPT``; returns how many.

    Each only if it is still the one that was seen: a record that came back meanwhile stays.
    """
    purged = 0
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {
            "query": {"term": {"deleted": True}},
            "size": PURGED_AT_ONCE,
            "sort": [{"ordinal": "asc"}],
            "_source": ["changed_at"],
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }
        if after is not None:
            body["search_after"] = after
        async with translated("looking for old tombstones"):
            answer = await client.search(index=index, body=body, allow_partial_search_results=False)
        hits = whole(answer.body)["hits"]["hits"]
        old = [hit for hit in hits if _is_old(hit["_source"].get("changed_at"), now)]
        if old:
            purged += await _delete(client, index, old)
        if len(hits) < PURGED_AT_ONCE:
            return purged
        after = hits[-1]["sort"]


def _is_old(changed_at: str | None, now: datetime) -> bool:
    return changed_at is not None and now - datetime.fromisoformat(changed_at) > TOMBSTONES_KEPT


async def _delete(client: AsyncElasticsearch, index: str, hits: list[dict[str, Any]]) -> int:
    lines = [
        orjson.dumps(
            {
                "delete": {
                    "_index": hit["_index"],
                    "_id": hit["_id"],
                    "if_seq_no": hit["_seq_no"],
                    "if_primary_term": hit["_primary_term"],
                }
            }
        )
        for hit in hits
    ]
    async with translated("removing old tombstones"):
        answer = await client.bulk(operations=cast(Any, lines))
    statuses = [int(item["delete"]["status"]) for item in answer["items"]]
    refused = [status for status in statuses if status >= 300 and status not in (404, 409)]
    if refused:
        raise EngineUnavailable(
            f"Elasticsearch did not remove {len(refused)} old tombstones in {index} "
            f"(status {refused[0]})."
        )
    return sum(status < 300 for status in statuses)
