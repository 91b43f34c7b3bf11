"""The heartbeat of a run: while it beats the run has its source's lease, and each time it hears
whether somebody wants the run to end (faults H01, H02)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import anyio
import anyio.to_thread

from catalogue.errors import LeaseLost, StoreError
from catalogue.records import Run
from catalogue.store import Store
from harvester.trouble import Trouble

log = logging.getLogger(__name__)

STOP_POLL_S = 0.5
"""How soon a run hears that somebody asked it to stop."""

Clock: TypeAlias = Callable[[], datetime]


class Pulse:
    """That of one run, whose lease lasts ``lease_s`` from each beat on.

    Attributes:
        stop_requested: an operator asked the run to end.
        lost: another process has the lease by now; nothing may be written any more.
    """

    def __init__(self, store: Store, run: Run, now: Clock, lease_s: float) -> None:
        self.stop_requested = False
        self.lost = False
        self._store = store
        self._run = run
        self._now = now
        self._lease_s = lease_s

    async def beat(self, scope: anyio.CancelScope) -> None:
        """Until cancelled; ``scope`` is, when the lease is lost."""
        every_s = self._lease_s / 4
        due = anyio.current_time() + every_s
        trouble = Trouble()
        while True:
            await anyio.sleep(min(every_s, STOP_POLL_S))
            try:
                asked = await anyio.to_thread.run_sync(self._store.stop_requested, self._run)
                self.stop_requested = self.stop_requested or asked
                if anyio.current_time() < due:
                    continue
                await anyio.to_thread.run_sync(
                    self._store.heartbeat, self._run, self._now(), self._lease_s
                )
            except LeaseLost:
                self.lost = True
                scope.cancel()
                return
            except StoreError as problem:
                # The commit meets the same trouble and decides; a late heartbeat is no reason.
                if trouble.again(problem):
                    log.warning("%s: heartbeat failed: %s", self._run.source, problem)
            else:
                due = anyio.current_time() + every_s
                if trouble.over():
                    log.warning("%s: the store takes heartbeats again", self._run.source)
