"""Pages on their way: fetching, mapping and committing are three tasks with short queues between
them, so that memory is that of a few pages, whatever the size of a source (fault H11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from catalogue.errors import StoreError
from catalogue.records import ReadyRecord
from facility_http.errors import FacilityHttpError
from harvester.pages import RawPage, RawRecord, Sweep
from harvester.workers import MAPPING_AT_ONCE

QUEUE_PAGES = 2
STOP_POLL_S = 0.2

T = TypeVar("T")


async def cut_off(
    work: Callable[[], Awaitable[T]], should_stop: Callable[[], bool], grace_s: float
) -> T | None:
    """What ``work`` gives, or ``None`` where it was cut off: once ``should_stop``, it has
    ``grace_s`` left. A facility may keep us waiting for an hour (fault A03)."""
    result: T | None = None
    failure: Exception | None = None

    async def watch(scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(STOP_POLL_S)
            if should_stop():
                break
        await anyio.sleep(grace_s)
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, tasks.cancel_scope)
        try:
            result = await work()
        except Exception as problem:
            # Raised outside, where it is no group of one.
            failure = problem
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


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
    ``should_stop``: after the page in hand no other is asked for; it has ``grace_s`` to come.
    """

    sweep: Sweep
    prepare: Callable[[Sequence[RawRecord]], Awaitable[list[ReadyRecord]]]
    commit: Callable[[RawPage, list[ReadyRecord]], Awaitable[None]]
    fail: Callable[[Exception], None]
    should_stop: Callable[[], bool]
    grace_s: float

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
        async with out:
            try:
                await cut_off(partial(self._send_pages, out), self.should_stop, self.grace_s)
            except FacilityHttpError as problem:
                # What was fetched before is still mapped and committed.
                self.fail(problem)
            except anyio.BrokenResourceError:
                return  # Nobody takes pages any more: whoever committed them has failed.

    async def _send_pages(self, out: MemoryObjectSendStream[RawPage]) -> None:
        async with aclosing(self.sweep.pages()) as pages:
            async for page in pages:
                await out.send(page)
                if self.should_stop():
                    return

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
