"""Indexing beside harvesting: a daemon's durable records are searchable within two seconds, those
of a harvest that ends in larger steps, and all of them at its end.

Only one process writes an embedded index (semantics 10.1). Where another one does, a daemon as a
rule, we wait until it has got as far as we have written.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from catalogue.ahead import Ahead
from catalogue.catalogue import Catalogue
from catalogue.errors import CatalogueError, EngineError, IndexBusy
from catalogue.indexer import AT_ONCE, Pace
from harvester.trouble import Trouble

log = logging.getLogger(__name__)

IN_STEPS = Pace(changes=50_000, longest_s=15.0)
"""For a harvest that somebody waits for: indexing each of 3,600 records that refer to each other at
once wrote 7,400 documents, and each step ends with segments that have to be merged again."""

OTHERS_TURN_S = 30.0
"""How long to wait without progress for another process that indexes."""

LOOK_AGAIN_S = 0.2

FINISH_S = 20.0
"""How long a process that is to end still indexes: with what runs may take (``run.GRACE_S``) less
than service managers wait. A million changes take minutes."""

COMMIT_S = 10.0
"""How long it then waits for what was applied to be committed."""

LEFT = "ended before all was indexed; the next harvest or the daemon goes on"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine is to be brought up to date."""

    folder: Path
    engine: str
    elasticsearch_url: str | None


@dataclass(slots=True)
class Indexing:
    """How far the index is: ``position`` is a change number, ``lag`` counts those it is behind,
    ``None`` where nobody knows; ``problem`` says why it is behind."""

    position: int | None = None
    lag: int | None = None
    problem: str | None = None


class IndexFollower:
    """Indexes in the background of a command or daemon.

    An engine that is away costs nothing but time: changes wait in the outbox.

    Args:
        ahead: where those who commit pages in this process leave documents for the index.
    """

    def __init__(
        self, settings: EngineSettings, pace: Pace = AT_ONCE, ahead: Ahead | None = None
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._ahead = ahead
        self._stop = anyio.Event()
        self._enough = anyio.Event()
        self._hurried = False
        self._over = anyio.Event()
        self.state = Indexing()

    async def follow(self) -> None:
        """Index until ``finish`` is called."""
        settings, trouble = self._settings, Trouble()
        pause = 1.0
        try:
            while True:
                try:
                    opening = Catalogue.open(
                        settings.folder, settings.engine, settings.elasticsearch_url
                    )
                    async with opening as catalogue:
                        if trouble.over():
                            log.warning("index: It can be opened again.")
                        foreign = await catalogue.indexer.foreign()
                        if foreign is not None and trouble.again(foreign):
                            log.warning("index: %s", foreign)
                        if self._ahead is not None:
                            self._ahead.open(catalogue.engine.numbering)
                            catalogue.indexer.ahead = self._ahead
                        await catalogue.indexer.follow(self._stop, pace=self._pace)
                        await self._catch_up(catalogue)
                    return
                except (CatalogueError, OSError) as problem:
                    self.state = Indexing(problem=str(problem))
                    if trouble.again(problem):
                        log.warning("index: %s", problem)
                except Exception as mistake:
                    # It must not end the harvests beside it; changes wait in the store.
                    self.state = Indexing(problem=f"a mistake of ours: {mistake!r}")
                    if trouble.again(mistake):
                        log.exception("index: a mistake of ours")
                if self._stop.is_set():
                    return
                with anyio.move_on_after(pause):
                    await self._stop.wait()
                pause = min(pause * 2, 30.0)
        finally:
            if self._ahead is not None:
                self._ahead.open(None)
            self._over.set()

    async def _catch_up(self, catalogue: Catalogue) -> None:
        """Bring in what is left, or wait for whoever is at it."""
        last_lag: int | None = None
        began = anyio.current_time()
        while True:
            others_turn = False
            try:
                await catalogue.indexer.index_once(self._enough)
                self.state.problem = None
            except EngineError as problem:
                self.state.problem = str(problem)
                others_turn = isinstance(problem, IndexBusy)
            self.state.lag = await catalogue.indexer.lag()
            self.state.position = await catalogue.engine.position()
            if not self.state.lag:
                foreign = await catalogue.indexer.foreign()
                self.state.problem = None if foreign is None else str(foreign)
                return
            if self._enough.is_set() or (others_turn and self._hurried):
                self.state.problem = self.state.problem or LEFT
                return
            if last_lag is None or self.state.lag < last_lag:
                last_lag, began = self.state.lag, anyio.current_time()
            elif anyio.current_time() - began > OTHERS_TURN_S:
                return
            with anyio.move_on_after(LOOK_AGAIN_S):
                await self._enough.wait()

    async def finish(
        self, stopping: anyio.Event | None = None, within_s: float = FINISH_S
    ) -> Indexing:
        """Index what is outstanding, stop, and say how far it came.

        Args:
            stopping: once the process is to end, there is no more time than ``within_s``. What was
                applied by then is committed, and the rest is for the next process.
        """
        self._stop.set()
        async with anyio.create_task_group() as tasks:
            if stopping is not None:
                tasks.start_soon(self._hurry, stopping, within_s, tasks.cancel_scope)
            await self._over.wait()
            tasks.cancel_scope.cancel()
        if not self._over.is_set():
            self.state.problem = LEFT
        return self.state

    async def _hurry(
        self, stopping: anyio.Event, within_s: float, scope: anyio.CancelScope
    ) -> None:
        await stopping.wait()
        self._hurried = True
        await anyio.sleep(within_s)
        self._enough.set()
        await anyio.sleep(COMMIT_S)
        scope.cancel()
