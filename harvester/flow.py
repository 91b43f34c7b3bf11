"""Pages on their way: fetching, mapping and committing are three tasks with short queues between
them, so that memory is that of a few pages, whatever the size of a source (fault H11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from catalogue.errors import StoreError
from catalogue.records import ReadyRecord
from facility_http.errors import FacilityHttpError
from harvester.pages import RawPage, RawRecord, Sweep
from harvester.workers import MAPPING_AT_ONCE

QUEUE_PAGES = 2


@dataclass(slots=True, eq=False)
class Prepared:
    """A page on its way through mapping; ``records`` are there once ``ready`` is set."""

    page: RawPage
    records: list[ReadyRecord] = field(default_factory=list)
    ready: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True, slots=True)
class Flow:
    """The pages of one sweep, from the endpoint into the store, in their order.

    ``prepare`` maps the records of a page, ``commit`` makes it durable. ``fail`` is told what ends
    the flow early; what was fetched before a failure of the endpoint is still committed.
    ``should_stop``: after the page in hand no other is asked for.
    """

    sweep: Sweep
    prepare: Callable[[Sequence[RawRecord]], Awaitable[list[ReadyRecord]]]
    commit: Callable[[RawPage, list[ReadyRecord]], Awaitable[None]]
    fail: Callable[[Exception], None]
    should_stop: Callable[[], bool]

    async def run(self) -> None:
        """Until the sweep ends, something fails, or a stop is asked for."""
        to_map, fetched = anyio.create_memory_object_stream[RawPage](QUEUE_PAGES)
        to_commit, mapped = anyio.create_memory_object_stream[Prepared](QUEUE_PAGES)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fetch, to_map)
            tasks.start_soon(self._map, fetched, to_commit, tasks.cancel_scope)
            async with mapped:
                try:
                    async for prepared in mapped:
                        await prepared.ready.wait()
                        await self.commit(prepared.page, prepared.records)
                except (StoreError, FacilityHttpError) as problem:
                    self.fail(problem)
                    tasks.cancel_scope.cancel()

    async def _fetch(self, out: MemoryObjectSendStream[RawPage]) -> None:
        async with out, aclosing(self.sweep.pages()) as pages:
            try:
                async for page in pages:
                    await out.send(page)
                    if self.should_stop():
                        return
            except FacilityHttpError as problem:
                # What was fetched before is still mapped and committed.
                self.fail(problem)
            except anyio.BrokenResourceError:
                return  # Nobody takes pages any more: whoever committed them has failed.

    async def _map(
        self,
        pages: MemoryObjectReceiveStream[RawPage],
        out: MemoryObjectSendStream[Prepared],
        flowing: anyio.CancelScope,
    ) -> None:
        """Map a few pages at the same time; they leave in the order in which they came."""
        # One more than there are processes: none waits for its next page until this loop, which
        # shares the interpreter with commits, comes to it.
        slots = anyio.CapacityLimiter(MAPPING_AT_ONCE + 1)

        async def one(prepared: Prepared) -> None:
            try:
                prepared.records = await self.prepare(prepared.page.records)
                # Not after a failure: a page without its records must never be committed.
                prepared.ready.set()
            except (StoreError, FacilityHttpError) as problem:
                self.fail(problem)
                flowing.cancel()
            finally:
                slots.release_on_behalf_of(prepared)

        async with out, pages, anyio.create_task_group() as tasks:
            async for page in pages:
                prepared = Prepared(page)
                await slots.acquire_on_behalf_of(prepared)
                tasks.start_soon(one, prepared)
                try:
                    await out.send(prepared)
                except anyio.BrokenResourceError:
                    return
