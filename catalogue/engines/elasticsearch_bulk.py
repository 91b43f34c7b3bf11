"""Bulk writing that loses nothing silently (faults F01 to F05, F12).

Every item's answer is read. What is temporary is sent again, and only that; a body that is too
large is halved; a full disk stops the writer; a version conflict means that the index is newer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import elasticsearch
import orjson
from anyio.streams.memory import MemoryObjectReceiveStream

from catalogue.engines.base import Applied
from catalogue.engines.elasticsearch_client import error_type, translated
from catalogue.errors import EngineDamaged, EngineUnavailable, first_of_group

MAX_BODY_BYTES = 900_000
"""Far below what servers refuse (100 MB), and below the megabyte from which aiohttp warns that a
body of plain bytes holds up the event loop."""

MAX_ITEMS = 1_000
SENDERS = 2
"""Requests on their way at once, so that the server always has the next one at hand."""

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5

_TEMPORARY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Item:
    """A document to be written: ``version`` is its change number."""

    index: str
    identifier: str
    key: str
    version: int
    body: bytes
    deleted: bool

    @property
    def lines(self) -> list[bytes]:
        """Action and document, as the bulk format wants them."""
        action = {
            "index": {
                "_index": self.index,
                "_id": self.identifier,
                "version": self.version,
                "version_type": "external",
            }
        }
        return [orjson.dumps(action), self.body]


@dataclass
class BulkWriter:
    """Writes items in chunks by bytes and count.

    Args:
        send: the client's ``bulk``, given action and document lines.
        sleep: waits between attempts; tests pass one that does not.
    """

    send: Callable[[list[bytes]], Awaitable[Any]]
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    written: int = 0
    deleted: int = 0
    older: int = 0
    rejected: dict[str, str] = field(default_factory=dict)

    async def write(self, items: Sequence[Item]) -> Applied:
        """Write all items.

        Raises:
            EngineUnavailable: the server stays overloaded, takes no writes, or is gone. What was
                written before is written; doing all again does no harm.
            EngineDamaged: the index is not there.
        """
        chunk: list[Item] = []
        size = 0
        for item in items:
            length = len(item.body)
            if chunk and (size + length > MAX_BODY_BYTES or len(chunk) >= MAX_ITEMS):
                await self._send(chunk)
                chunk, size = [], 0
            chunk.append(item)
            size += length
        if chunk:
            await self._send(chunk)
        return Applied(self.written, self.deleted, self.older, dict(self.rejected))

    async def write_parts(self, parts: Sequence[Callable[[], Sequence[Item]]]) -> Applied:
        """Write items that are rendered part by part, in worker threads, while earlier ones are on
        their way.

        Raises:
            EngineUnavailable: see ``write``.
        """
        if len(parts) == 1:
            return await self.write(await anyio.to_thread.run_sync(parts[0]))
        send, receive = anyio.create_memory_object_stream[Sequence[Item]](SENDERS)

        async def render() -> None:
            async with send:
                for part in parts:
                    await send.send(await anyio.to_thread.run_sync(part))

        async def pass_on(own: MemoryObjectReceiveStream[Sequence[Item]]) -> None:
            async with own:
                async for items in own:
                    await self.write(items)

        with first_of_group():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(render)
                for _ in range(SENDERS):
                    tasks.start_soon(pass_on, receive.clone())
        return Applied(self.written, self.deleted, self.older, dict(self.rejected))

    async def _send(self, chunk: list[Item]) -> None:
        pause = FIRST_PAUSE_S
        for _ in range(ATTEMPTS):
            chunk = await self._attempt(chunk)
            if not chunk:
                return
            # Fewer at a time while the server is short of breath.
            await self.sleep(pause)
            pause *= 2
        raise EngineUnavailable(
            f"Elasticsearch still refuses {len(chunk)} documents after {ATTEMPTS} attempts."
        )

    async def _attempt(self, chunk: list[Item]) -> list[Item]:
        """Send once; returns the items to be sent again."""
        lines = [line for item in chunk for line in item.lines]
        async with translated("writing"):
            try:
                answer = await self.send(lines)
            except elasticsearch.ApiError as error:
                if error.status_code == 413:
                    return await self._halve(chunk)
                blocked = error_type(error.body) == "cluster_block_exception"
                if error.status_code in _TEMPORARY and not blocked:
                    return chunk
                raise
        return self._read(chunk, answer["items"])

    async def _halve(self, chunk: list[Item]) -> list[Item]:
        if len(chunk) == 1:
            self.rejected[chunk[0].key] = "the document alone is too large for the server (413)"
            return []
        middle = len(chunk) // 2
        await self._send(chunk[:middle])
        await self._send(chunk[middle:])
        return []

    def _read(self, chunk: Sequence[Item], answers: Sequence[Any]) -> list[Item]:
        again: list[Item] = []
        for item, answer in zip(chunk, answers, strict=True):
            result = answer["index"]
            status = int(result["status"])
            kind = error_type(result) or "refused"
            if status < 300:
                self.deleted += item.deleted
                self.written += not item.deleted
            elif status == 409:
                self.older += 1
            elif kind == "cluster_block_exception":
                raise EngineUnavailable(
                    "Elasticsearch takes no writes: the index is blocked, most often because its "
                    "disk is full."
                )
            elif kind == "index_not_found_exception":
                raise EngineDamaged("An index of ours is missing in Elasticsearch (writing).")
            elif status in _TEMPORARY:
                again.append(item)
            else:
                reason = result.get("error", {}).get("reason", "")
                self.rejected[item.key] = f"{kind}: {str(reason)[:300]}"
        return again
