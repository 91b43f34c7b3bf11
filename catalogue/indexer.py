"""From the outbox to an engine: at least once, in order, and as often as needed (semantics 1.5).

The engine keeps the change number up to which it is complete. After any outage the indexer goes on
from there; a change that is applied twice is the same change (fault F12).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread

from catalogue.ahead import Ahead
from catalogue.engines.base import Applied, Engine, Rendered
from catalogue.errors import (
    CatalogueError,
    EngineDamaged,
    EngineError,
    EngineUnavailable,
    ForeignIndex,
    IndexBusy,
    IndexReplaced,
    StoreError,
    first_of_group,
)
from catalogue.preparing import LONG_WAY, Batch, Outbox, Preparers, complete, prepare
from catalogue.turns import turn_to_make

log = logging.getLogger(__name__)

BATCH = 500
"""Changes read from the outbox at once; bounds the memory of a catch-up."""

COMMIT_EVERY = 100_000
"""Changes between two commits of a long catch-up: a commit for each batch would leave thousands of
segments behind (fault F15)."""

COMMIT_EVERY_IN_PROCESS = 300_000
"""With an engine that takes them in a minute: each commit ends segments before the memory that they
may use is full, and small segments have to be merged."""

POLL_S = 0.25

LOOK_AGAIN_S = 0.05
UNMOVED_S = 1.0
"""How long an index stays where it is before it is asked whether anybody brings it further."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When ``follow`` takes a step: once ``changes`` wait, or ``longest_s`` after the step before.

    A child that arrives numbers its parents again, so that what is indexed
    the moment it is committed is indexed several times in one harvest.
    """

    changes: int
    longest_s: float


AT_ONCE = Pace(changes=0, longest_s=0.0)

IDLE_S = 60.0
"""How long the processes that prepare are kept after a long way: each holds some 150 MB."""

PUBLISH_S = 5.0
"""How often the states of the sources are told to nodes without a store, when nothing changes."""


@dataclass(slots=True)
class Indexed:
    """What one pass did. ``rejected`` maps keys to the engine's reason (fault F01)."""

    changes: int = 0
    written: int = 0
    deleted: int = 0
    position: int = 0
    rejected: dict[str, str] = field(default_factory=dict)


class Indexer:
    """Brings one engine up to date with the store.

    Args:
        progress: called after each batch with how many changes were applied by then.
        folder: where the store is, for processes that read it by themselves on a long way; without
            it all is done in this process.
        recovers: make a damaged index anew; else ``EngineDamaged`` is raised.
        stop: once set, what has been applied is committed and no more is; ``follow`` has its own.

    Attributes:
        ahead: documents that need not be read from the outbox.
        last_error: why ``follow`` cannot go on at present.
        making_anew: whether another index is being filled in the place of a damaged one.
    """

    def __init__(
        self,
        store: Outbox,
        engine: Engine,
        *,
        batch: int = BATCH,
        progress: Callable[[int], None] | None = None,
        folder: Path | None = None,
        recovers: bool = True,
        stop: anyio.Event | None = None,
    ) -> None:
        self.store = store
        self.engine = engine
        self.batch = batch
        self.progress = progress
        self.recovers = recovers
        self.ahead: Ahead | None = None
        self._begun: Indexed | None = None
        self._folder = folder
        self._preparers = Preparers(folder, engine.render) if folder is not None else None
        self.last_error: CatalogueError | None = None
        self.making_anew = False
        self._stop = stop
        self._published_at = float("-inf")
        self._long_way_at = float("-inf")
        self._lock = anyio.Lock()

    async def lag(self) -> int:
        """How many change numbers the engine is behind the store: all of them, if it is ahead.

        Then the store was exchanged for an older one, a backup that was put back.
        """
        position = await self.engine.position()
        newest = await anyio.to_thread.run_sync(self.store.last_change)
        return newest - position if position <= newest else newest

    async def foreign(self) -> ForeignIndex | None:
        """What another version's index is refused with. It is up to date as long as nothing
        changes, and nothing can be found in it."""
        try:
            await self.engine.reader()
        except ForeignIndex as refusal:
            return refusal
        except EngineError:
            pass  # Whoever reads or writes says so.
        return None

    async def wait_for(self, change: int, longest_s: float) -> int:
        """Wait until the engine has what the store had at ``change``, as long as somebody seems to
        bring it in; returns how many change numbers it is behind that in the end.

        Raises:
            EngineError: the engine cannot say how far it is.
        """
        began = seen_at = anyio.current_time()
        before = await self.engine.position()
        if before > change:
            # Perhaps of another store; nobody knows better than ``lag``.
            return await self.lag()
        position = before
        while position < change:
            now = anyio.current_time()
            if now - began >= longest_s:
                break
            if position != before:
                before, seen_at = position, now
            elif now - seen_at >= UNMOVED_S:
                if not await self.engine.has_writer():
                    break
                seen_at = now
            await anyio.sleep(LOOK_AGAIN_S)
            position = await self.engine.position()
        return max(0, change - position)

    async def index_once(self, stop: anyio.Event | None = None) -> int:
        """Apply what is outstanding; returns how many changes were read.

        Args:
            stop: once set, what has been applied is committed, and the rest left where it is.

        Raises:
            IndexBusy: another process is at it, and brings in our changes, too.
            EngineError: the engine cannot write now; nothing is lost, the next pass goes on.
        """
        with self._heeding(stop or self._stop):
            return (await self.catch_up()).changes

    async def catch_up(self) -> Indexed:
        """As ``index_once``, with the whole report.

        What is committed meanwhile waits for the next pass: it may be changed again before. An
        index that turns out to be damaged is made anew beside it, and reads go on meanwhile.
        """
        async with self._lock:
            if not self.engine.try_lock():
                raise IndexBusy("Another process is writing the search index.")
            try:
                return await self._catch_up_again()
            except EngineDamaged:
                if not self.recovers:
                    raise
                with self._anew():
                    await make_anew(
                        self.store, self.engine, self._folder, batch=self.batch, stop=self._stop
                    )
                return await self._catch_up_again()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Nothing of this process is written to the index meanwhile but by ``restart``."""
        async with self._lock:
            yield

    async def restart(self) -> None:
        """Put an empty index in the place of one that cannot be read, and fill it; for whoever is
        ``alone``. Beside it, as in ``catch_up``, what a question has no time for would come to
        nothing: here the next pass goes on with it.

        Raises:
            IndexBusy: another process writes the index, or makes it anew.
        """
        with self._anew():
            async with turn_to_make(self._folder, waits=False):
                await self.engine.restart_empty()
            if not self.engine.try_lock():
                raise IndexBusy("Another process is writing the search index.")
            await self._catch_up_again()

    @contextmanager
    def _anew(self) -> Iterator[None]:
        self.making_anew = True
        try:
            yield
        finally:
            self.making_anew = False

    async def _catch_up_again(self) -> Indexed:
        """Whenever an operator's rebuilt index takes the place of the one that was written, from
        where that one is (fault F13)."""
        while True:
            try:
                return await self._catch_up()
            except IndexReplaced as news:
                log.info("index: %s Going on with the one that took its place.", news)

    async def _catch_up(self) -> Indexed:
        newest = await anyio.to_thread.run_sync(self.store.last_change)
        report, self._begun = self._begun, None
        if report is None:
            report = Indexed(position=await self.engine.expect(newest))
            committed = report.position
        else:
            committed = await self.engine.position()
        commit_every = COMMIT_EVERY_IN_PROCESS if self.engine.in_process else COMMIT_EVERY
        if report.position > newest:
            # A rebuild may have taken its place just now, from a store that went on.
            newest = await anyio.to_thread.run_sync(self.store.last_change)
        if report.position > newest:
            raise EngineDamaged(
                f"The search index is at change {report.position}, of which the record store, at "
                f"{newest}, knows nothing."
            )
        async with self._coming(report.position, newest) as batches:
            async for batch in batches:
                await self._apply(batch, report)
                if report.position - committed >= commit_every:
                    await self.engine.commit(report.position)
                    committed = report.position
                if self.progress:
                    self.progress(report.changes)
                if self._is_stopped:
                    break
        if report.position > committed:
            await self.engine.commit(report.position)
        return report

    async def apply_ahead(self, expected: int) -> None:
        """Apply what lies ahead, next to what is indexed, for the next pass to commit: so that the
        engine is at work all along, and has little left to do in the end.

        Args:
            expected: changes until then.

        Raises:
            EngineError: the next pass begins where the index is.
        """
        ahead = self.ahead
        if ahead is None or self._lock.locked():
            return
        async with self._lock:
            if not self.engine.try_lock():
                return
            report, self._begun = self._begun, None
            if report is None:
                position = await self.engine.position()
                report = Indexed(position=await self.engine.expect(position + expected))
            while (batch := await self._ready_ahead(ahead, report.position)) is not None:
                await self._apply(batch, report)
            self._begun = report

    async def _ready_ahead(self, ahead: Ahead, after: int) -> Batch | None:
        """What lies ahead after a change number; what is not there and little is read from the
        outbox, as the first pages of a harvest are, which came before anybody waited for them."""
        page = ahead.take(after)
        if page is not None:
            return await anyio.to_thread.run_sync(complete, self.store, self.engine, page)
        begin = ahead.next_begin(after, after)
        if not after < begin < after + LONG_WAY:
            return None
        limit = min(self.batch, begin - after)
        batch = await anyio.to_thread.run_sync(
            prepare, self.store, self.engine.render, after, limit
        )
        return batch if batch.documents else None

    async def _apply(self, batch: Batch, report: Indexed) -> None:
        if self._publishes:
            applied = await self._apply_and_publish(batch)
        else:
            applied = await self.engine.apply(batch.documents)
        report.changes += len(batch.documents)
        report.written += applied.written
        report.deleted += applied.deleted
        report.rejected.update(applied.rejected)
        report.position = batch.position

    async def _apply_and_publish(self, batch: Batch) -> Applied:
        """Both at the same time; both are done before the position is."""
        with first_of_group():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._publish, batch.documents)
                return await self.engine.apply(batch.documents)
        raise AssertionError("an answer or an error")

    @asynccontextmanager
    async def _coming(self, after: int, newest: int) -> AsyncGenerator[AsyncIterable[Batch]]:
        """The batches; with an engine elsewhere the next is prepared while one is on its way."""
        if self.engine.in_process:
            async with aclosing(self._batches(after, newest)) as batches:
                yield batches
            return
        send, receive = anyio.create_memory_object_stream[Batch]()

        async def prepare_next() -> None:
            async with send, aclosing(self._batches(after, newest)) as batches:
                async for batch in batches:
                    try:
                        await send.send(batch)
                    except anyio.BrokenResourceError:
                        return  # no more are wanted

        with first_of_group():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(prepare_next)
                yield receive

    async def _batches(self, after: int, newest: int) -> AsyncGenerator[Batch]:
        """The changes up to ``newest``, prepared here until the processes are there to do it."""
        while after < newest:
            until = newest
            if self.ahead is not None:
                page = self.ahead.take(after)
                if page is not None:
                    yield await anyio.to_thread.run_sync(complete, self.store, self.engine, page)
                    after = page.until
                    continue
                until = self.ahead.next_begin(after, newest)
            here = self._preparers is None or until - after < LONG_WAY
            if self._preparers is not None and not here and self._preparers.warm():
                async with aclosing(self._preparers.batches(after, until)) as batches:
                    async for batch in batches:
                        after = batch.position
                        yield batch
                self._long_way_at = anyio.current_time()
                continue
            batch = await anyio.to_thread.run_sync(
                prepare, self.store, self.engine.render, after, min(self.batch, until - after)
            )
            if not batch.documents:
                return
            after = batch.position
            yield batch

    async def close(self) -> None:
        """End the processes that prepare, if there are any."""
        if self._preparers is not None:
            await self._preparers.close()

    @property
    def _publishes(self) -> bool:
        return hasattr(self.engine, "publish") and hasattr(self.store, "stored_records")

    async def _publish(self, documents: Sequence[Rendered] = ()) -> None:
        """Tell engines that serve nodes without a store what those need besides (10.4)."""
        if self._publishes:
            await cast(Any, self.engine).publish(self.store, documents)
            self._published_at = anyio.current_time()

    @property
    def _is_stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    @contextmanager
    def _heeding(self, stop: anyio.Event | None) -> Iterator[None]:
        before, self._stop = self._stop, stop
        try:
            yield
        finally:
            self._stop = before

    async def follow(
        self, stop: anyio.Event, *, poll_s: float = POLL_S, pace: Pace = AT_ONCE
    ) -> None:
        """Index whatever is committed, by whichever process, until ``stop`` is set; a long way is
        left where it is then.

        An engine that cannot be written keeps the changes waiting in the outbox; the log and
        ``last_error`` tell why, and the pause grows to half a minute; to five seconds for a server
        that is away.
        """
        with self._heeding(stop):
            await self._follow(stop, poll_s, pace)

    async def _follow(self, stop: anyio.Event, poll_s: float, pace: Pace) -> None:
        pause = poll_s
        last_step = anyio.current_time()
        while not stop.is_set():
            try:
                waiting = await self.lag()
                rested = anyio.current_time() - last_step
                if waiting and (waiting >= pace.changes or rested >= pace.longest_s):
                    await self.index_once()
                    last_step = anyio.current_time()
                elif self.ahead is not None and not self.ahead.empty:
                    await self.apply_ahead(pace.changes)
                elif anyio.current_time() - self._published_at > PUBLISH_S:
                    await self._publish()
                rested = anyio.current_time() - self._long_way_at
                if self._preparers and rested > IDLE_S and not self._lock.locked():
                    await self._preparers.close()
                self._now_hindered_by(None)
                pause = poll_s
            except IndexBusy as error:
                # Whoever is at it may end at any moment: be there soon after.
                self._now_hindered_by(error)
                pause = 1.0
            except (EngineError, StoreError) as error:
                if not stop.is_set():
                    self._now_hindered_by(error)
                # To ask whether a server is back costs nothing; whether a disk is full may.
                longest_s = 5.0 if isinstance(error, EngineUnavailable) else 30.0
                pause = min(longest_s, max(1.0, 2 * pause))
            with anyio.move_on_after(pause):
                await stop.wait()

    def _now_hindered_by(self, error: CatalogueError | None) -> None:
        """Say in the log what has become different: for hours nothing new may be found. That
        another process is at it is no hindrance."""
        before, self.last_error = self.last_error, error
        if error is not None and not isinstance(error, IndexBusy) and str(error) != str(before):
            log.warning("index: %s Changes wait in the store.", error)
        elif error is None and before is not None and not isinstance(before, IndexBusy):
            log.warning("index: It can be written again.")


async def make_anew(
    store: Outbox,
    engine: Engine,
    folder: Path | None,
    *,
    batch: int = BATCH,
    waits: bool = False,
    told: Callable[[IndexBusy], None] | None = None,
    progress: Callable[[int], None] | None = None,
    stop: anyio.Event | None = None,
) -> int:
    """Fill an index beside the one in use, and change over to it; returns changes applied.

    Questions are answered from the former index meanwhile, as far as it can be read. What is
    committed meanwhile is brought in before the swap and, by whoever follows the outbox, after it
    (fault F13).

    Args:
        folder: of the store, whose processes make one index at a time (``turn_to_make``).
        progress: told how many changes were applied so far.
        stop: gives it up.

    Raises:
        IndexBusy: another process makes one, and is not waited for.
        EngineError: it was given up, or cannot be written; nothing is left of what was begun.
    """
    async with turn_to_make(folder, waits=waits, told=told):
        other = await engine.beside()
        filler = Indexer(
            store, other, batch=batch, progress=progress, folder=folder, recovers=False, stop=stop
        )
        try:
            total = await filler.index_once()
            if progress is not None:
                filler.progress = lambda more: progress(total + more)
            total += await filler.index_once()
            if not total:
                await other.commit(0)
            if filler._is_stopped:
                raise EngineError("Making the search index anew was given up before its end.")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await other.discard()
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await filler.close()
        await engine.replace_with(other)
        return total
