"""What lies beside the records in Elasticsearch: small notes of ours (the position, the owner), and
what API nodes without a store need besides (semantics 10.4)."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import anyio
import anyio.to_thread
import elasticsearch
import orjson
from elasticsearch import AsyncElasticsearch

from catalogue.engines import shared_state
from catalogue.engines.base import Rendered
from catalogue.engines.elasticsearch_bulk import BulkWriter, Item
from catalogue.engines.elasticsearch_client import translated
from catalogue.engines.elasticsearch_mapping import document_id
from catalogue.engines.elasticsearch_silence import Silence
from catalogue.engines.shared_state import StateStore

log = logging.getLogger(__name__)

WRITTEN_AT = "written_at"
KEPT_S = 10.0
"""Twice as long as an indexer leaves the notes as they are (``indexer.PUBLISH_S``)."""


class Note(NamedTuple):
    """A note, and what tells whether it was written since."""

    value: Mapping[str, Any]
    version: tuple[int, int]


class Notes:
    """The notes of one prefix."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        prefix: str,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        wall_s: Callable[[], float] = time.time,
        *,
        silence: Silence,
    ) -> None:
        self._client = client
        self._silence = silence
        self._prefix = prefix
        self._sleep = sleep
        self._wall_s = wall_s

    async def get(self, name: str) -> Note | None:
        """A note, if there is one."""
        async with self._silence.broken_by("reading its notes"):
            try:
                found = await self._silence.asking.get(index=f"{self._prefix}-meta", id=name)
            except elasticsearch.NotFoundError:
                return None
        return Note(found["_source"]["value"], (found["_primary_term"], found["_seq_no"]))

    async def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a note where every API node sees it."""
        async with translated("writing its notes"):
            await self._client.index(
                index=f"{self._prefix}-meta", id=name, document={"value": value}
            )

    async def add(self, name: str, value: Mapping[str, Any]) -> None:
        """Add to a note what it does not say yet; all else in it stays."""
        async with translated("writing its notes"):
            await self._client.update(
                index=f"{self._prefix}-meta",
                id=name,
                doc={"value": value},
                doc_as_upsert=True,
                retry_on_conflict=3,
            )

    async def remove(self, name: str) -> None:
        """Take a note away, if there is one."""
        async with translated("removing its notes"):
            with contextlib.suppress(elasticsearch.NotFoundError):
                await self._client.delete(index=f"{self._prefix}-meta", id=name)

    async def publish(self, store: StateStore, documents: Sequence[Rendered]) -> None:
        """Facilities, sources and their states, and the raw records of changed entities."""

        def gather() -> tuple[dict[str, Any], list[Item]]:
            return shared_state.state_of(store), [self._raw(store, one) for one in documents]

        state, items = await anyio.to_thread.run_sync(gather)
        if items:
            applied = await BulkWriter(self._send, self._sleep).write(items)
            for key, reason in applied.rejected.items():
                log.warning("index: the raw records of %s are not passed on: %s", key, reason)
        await self.put("state", {**state, WRITTEN_AT: self._wall_s()})

    async def are_kept(self) -> bool:
        """Whether somebody publishes, as an indexer does every few seconds, also while there is
        nothing new. A clock that jumped either way says nothing of it (fault H10)."""
        note = await self.get("state")
        written_at = None if note is None else note.value.get(WRITTEN_AT)
        return written_at is not None and abs(self._wall_s() - written_at) <= KEPT_S

    def _raw(self, store: StateStore, document: Rendered) -> Item:
        value = shared_state.raw_json(store.stored_records(document.key))
        return Item(
            f"{self._prefix}-raw",
            document_id(document.key),
            document.key,
            document.change,
            orjson.dumps({"value": value}),
            document.deleted,
        )

    async def _send(self, lines: list[bytes]) -> Any:
        # The client's types know mappings only; its serializer passes bytes through.
        return await self._client.bulk(operations=cast(Any, lines))
