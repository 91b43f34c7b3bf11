"""One request for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from search_api.federation.alarms import Alarm, Alarms
from search_api.federation.errors import FederationError

Answer = TypeVar("Answer")


class Flight(Generic[Answer]):
    """A request under way, and who waits for it.

    It runs in a task of its own, so that nobody's leaving ends it for the others. It ends with the
    last who leaves: no facility works for nobody. Where those who wait have run out of time, it
    goes on once it is ``sent``, to the facility's limit: a late answer is kept, and a limit that is
    passed is known. Where it takes unusually long, it ``is_slow``: those who wait for what is usual
    have then waited enough.

    ``end``: ends the task; set by whoever starts it. ``has_begun``: the task has.
    """

    def __init__(self, alarms: Alarms | None = None) -> None:
        self._alarms = alarms or Alarms()
        self.has_begun = False
        self.is_over = False
        self.is_wanted = True
        self.sent = False
        self.is_slow = False
        self.answer: Answer | None = None
        self.failure: FederationError | None = None
        self.end: Callable[[], object] | None = None
        # Who waits, and whether as long as it takes.
        self._waiting: dict[asyncio.Future[None], bool] = {}
        self._slow_alarm: Alarm | None = None

    def send(self, usual_s: float | None) -> None:
        """The facility's time begins; after ``usual_s`` it is slow, ``None``: never."""
        self.sent = True
        if usual_s is not None:
            self._slow_alarm = self._alarms.after(usual_s, self._be_slow)

    def land(self) -> None:
        """Be over, and wake all who wait."""
        self.is_over = True
        if self._slow_alarm is not None:
            self._slow_alarm.cancel()
        for woken in self._waiting:
            _wake(woken)

    def _be_slow(self) -> None:
        self.is_slow = True
        for woken, is_patient in self._waiting.items():
            if not is_patient:
                _wake(woken)

    async def wait(self, for_s: float, *, is_patient: bool = True) -> bool:
        """Wait until it is over; gives whether it is.

        Args:
            is_patient: wait for all of ``for_s``, however slow it is.
        """
        # A future and an alarm: everybody comes by here; a scope would cost three times as much.
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._waiting[woken] = is_patient
        ends_at = loop.time() + max(for_s, 0.0)
        alarm = self._alarms.at(ends_at, _wake, woken)
        has_left = True
        try:
            if not self.is_over and (is_patient or not self.is_slow):
                await woken
            has_left = False
        except asyncio.CancelledError:
            # Of several that wait until the same moment, the first may take the others along.
            has_left = loop.time() < ends_at
            raise
        finally:
            alarm.cancel()
            self._waiting.pop(woken, None)
            if not self._waiting and (has_left or not self.sent):
                self.is_wanted = False
                if self.end is not None:
                    self.end()
        return self.is_over


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
