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
from catalogue.errors import CatalogueError, EngineError
from catalogue.indexer import AT_ONCE, Pace

log = logging.getLogger(__name__)

IN_STEPS = Pace(changes=50_000, longest_s=15.0)
"""For a harvest that somebody waits for: indexing each of 3,600 records that refer to each other at
once wrote 7,400 documents, and each step ends with segments that have to be merged again."""

OTHERS_TURN_S = 30.0
"""How long to wait without progress for another process that indexes."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine is to be brought up to date."""

    folder: Path
    engine: str
    elasticsearch_url: str | None


@dataclass(slots=True)
class Indexing:
    """How far the index is: ``position`` is a change number; ``problem`` why it is behind."""

    position: int = 0
    lag: int = 0
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
        self._over = anyio.Event()
        self.state = Indexing()

    async def follow(self) -> None:
        """Index until ``finish`` is called."""
        settings = self._settings
        pause = 1.0
        try:
            while True:
                try:
                    opening = Catalogue.open(
                        settings.folder, settings.engine, settings.elasticsearch_url
                    )
                    async with opening as catalogue:
                        if self._ahead is not None:
                            self._ahead.open(catalogue.engine.numbering)
                            catalogue.indexer.ahead = self._ahead
                        await catalogue.indexer.follow(self._stop, pace=self._pace)
                        await self._catch_up(catalogue)
                    return
                except CatalogueError as problem:
                    self.state.problem = str(problem)
                    log.warning("index: %s", problem)
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
            try:
                await catalogue.indexer.index_once()
                self.state.problem = None
            except EngineError as problem:
                self.state.problem = str(problem)
            self.state.lag = await catalogue.indexer.lag()
            self.state.position = await catalogue.engine.position()
            if not self.state.lag:
                self.state.problem = None
                return
            if last_lag is None or self.state.lag < last_lag:
                last_lag, began = self.state.lag, anyio.current_time()
            elif anyio.current_time() - began > OTHERS_TURN_S:
                return
            await anyio.sleep(0.2)

    async def finish(self) -> Indexing:
        """Index what is outstanding, stop, and say how far it came."""
        self._stop.set()
        await self._over.wait()
        return self.state
