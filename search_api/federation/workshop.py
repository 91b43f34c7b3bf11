"""Where answers are worked out: few at a time, so that it can be told how long the next would wait.

Waiting for facilities costs nothing, so many questions may wait at once; working out their answers
takes the processor, one after another. When more is asked than can be worked out in the time that
an answer keeps for it, new questions are shed at once, with 503 and ``Retry-After``, instead of
all being late. How much time that has to be is learnt from the answers made lately; a question that
has too little of it left when its facilities have spoken is shed then, so that others are in time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from search_api.errors import Overloaded
from search_api.garbage import left_alone

Result = TypeVar("Result")

INLINE = 40
"""So many records are looked at on the event loop, some milliseconds; more in a worker thread."""
IN_A_TURN_S = 0.001
"""So are more, in a turn of the loop that is theirs, where they are known to take no longer: to go
to a thread and back costs a tenth of that of the processor, and more waiting where many ask."""
AT_ONCE = 2
"""Python works on one at a time whatever the number; the second keeps it busy meanwhile."""
_FIRST_GUESS_S = 0.00005
_SHARE_OF_NEWS = 0.1
_BEAT_S = 0.05
_SHARE_OF_FINISHED = 0.25
_DEVIATIONS = 4.0
_FORGOTTEN_BY_HALF_S = 1.0


class Workshop:
    """Works for one server process.

    Args:
        monotonic: seconds, to measure how long work takes; the clock of deadlines.
        processor: seconds that a thread has had of the processor.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        monotonic: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._monotonic = monotonic
        self._processor = processor
        self._at_once = at_once
        self._limiter: anyio.CapacityLimiter | None = None
        self._per_record_s: dict[str, float] = {}
        self._worked_apiece_s: dict[str, float] = {}
        self.backlog_s = 0.0
        self._questions = 0
        self._per_question_s = 0.0
        self._worked_s = self._worked_before_s = 0.0
        self._finishing = 0
        self._usual_s = self._deviation_s = self._apiece_s = 0.0
        self._finished_at = 0.0
        self._held_s = 0.0
        self._beats_at: float | None = None
        self._beat: asyncio.TimerHandle | None = None

    async def run(self, size: int, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do the work here when it is about few records, else where it does not hold the loop."""
        if size <= INLINE:
            # Nobody waits behind it, but it is part of what a question takes: when it was not
            # counted, so many were let in that the last came up to 0.4 s late (measured).
            took_s, result = self._timed(work, arguments)
            self._worked_s += took_s
            return result
        kind = getattr(work, "__qualname__", "work")
        work_on = partial(self._work_on, kind, size, work, arguments)
        if size * self._worked_apiece_s.get(kind, math.inf) <= IN_A_TURN_S:
            await asyncio.sleep(0)
            took_s, result = work_on()
            self._worked_s += took_s
            return result
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._at_once)
        in_thread = partial(anyio.to_thread.run_sync, work_on, limiter=self._limiter)
        return await self.aside(size, kind, in_thread)

    async def aside(
        self, size: int, kind: str, work: Callable[[], Awaitable[tuple[float, Result]]]
    ) -> Result:
        """Wait for work that is done elsewhere, which tells the seconds that it took: it counts as
        work all the same, since others wait behind it.

        ``backlog_s`` tells how many seconds of work are waiting or being done, as far as work of
        each kind has shown what it takes for a record.
        """
        expected_s = size * self._per_record_s.get(kind, _FIRST_GUESS_S)
        self.backlog_s += expected_s
        try:
            took_s, result = await work()
        finally:
            self.backlog_s -= expected_s
        self._worked_s += took_s
        self._learn(kind, took_s / size)
        return result

    @property
    def lag_s(self) -> float:
        """How late the event loop comes to what is due, while there are questions: a request has
        waited about so long before anybody sees it."""
        if self._beats_at is None:
            return 0.0
        return max(self._held_s, asyncio.get_running_loop().time() - self._beats_at)

    @property
    def finishing_s(self) -> float:
        """Within how many seconds answers are made once the facilities have spoken, nearly all of
        them; as answers made lately show, and less the longer ago that was."""
        return (self._usual_s + _DEVIATIONS * self._deviation_s) * self._still_true()

    @contextmanager
    def question(
        self, spare_s: float, retry_after_s: int, most_s: float = math.inf
    ) -> Iterator[None]:
        """Let a question in, if all that is in already can be worked out in the time that an answer
        keeps for it: questions that wait for one silent facility come due together.

        Args:
            most_s: what an answer may keep at most, for everything that is done besides, too.

        Raises:
            Overloaded: it would be late.
        """
        if self.backlog_s + self._questions * self._per_question_s > spare_s:
            raise Overloaded(retry_after_s)
        if self._questions and self.finishing_s + 2 * self.lag_s > most_s:
            raise Overloaded(retry_after_s)
        self._questions += 1
        if self._beat is None:
            self._listen()
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                self._stop_listening()
            done_s = self._worked_s - self._worked_before_s
            self._worked_before_s = self._worked_s
            self._per_question_s += _SHARE_OF_NEWS * (done_s - self._per_question_s)

    @contextmanager
    def finishing(
        self, ends_at: float, retry_after_s: int, *, is_firm: bool = False
    ) -> Iterator[None]:
        """The facilities have spoken, and the answer is made. Whoever is alone is answered late
        rather than not at all: nobody else would be served by it.

        Args:
            ends_at: on ``monotonic``, when the answer has to be there.
            is_firm: nobody waits for it any longer, since whoever asked has said so.

        Raises:
            Overloaded: it would be late, or is, and others wait.
        """
        began, before = self._monotonic(), self._finishing
        ready_at = began + (before + 1) * self._apiece_s * self._still_true() + self.lag_s
        if self._questions > 1 and ready_at > ends_at:
            raise Overloaded(retry_after_s)
        self._finishing += 1
        try:
            yield
        finally:
            self._finishing -= 1
        self._finished_at = self._monotonic()
        took_s = self._finished_at - began
        # Python works on one at a time, and all who are at it take turns.
        self._apiece_s += _SHARE_OF_FINISHED * (took_s / (before + 1) - self._apiece_s)
        off_s = took_s - self._usual_s
        self._usual_s += _SHARE_OF_FINISHED * off_s
        self._deviation_s += _SHARE_OF_FINISHED * (abs(off_s) - self._deviation_s)
        if is_firm and self._questions > 1 and self._finished_at > ends_at:
            raise Overloaded(retry_after_s)

    def _still_true(self) -> float:
        """What is left of what was learnt, from 1 to 0: less the longer nothing was made."""
        old_s = max(0.0, self._monotonic() - self._finished_at)
        return float(0.5 ** (old_s / _FORGOTTEN_BY_HALF_S))

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._beats_at = loop.time() + _BEAT_S
        self._beat = loop.call_at(self._beats_at, self._heard)

    def _heard(self) -> None:
        late_s = asyncio.get_running_loop().time() - (self._beats_at or 0.0)
        # What has just been held up a moment is likely to be again.
        self._held_s = max(late_s, self._held_s / 2)
        self._listen()

    def _stop_listening(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._beat = self._beats_at = None
        self._held_s = 0.0

    def _timed(
        self, work: Callable[..., Result], arguments: tuple[Any, ...]
    ) -> tuple[float, Result]:
        began = self._monotonic()
        result = work(*arguments)
        return self._monotonic() - began, result

    def _work_on(
        self, kind: str, size: int, work: Callable[..., Result], arguments: tuple[Any, ...]
    ) -> tuple[float, Result]:
        """The same of much, which no collection of garbage should look through. What it takes of
        the processor is learnt, which does not depend on how many others are at work."""
        spent_s = self._processor()
        with left_alone():
            timed = self._timed(work, arguments)
        apiece_s = (self._processor() - spent_s) / size
        known_s = self._worked_apiece_s.get(kind, apiece_s)
        self._worked_apiece_s[kind] = known_s + _SHARE_OF_NEWS * (apiece_s - known_s)
        return timed

    def _learn(self, kind: str, per_record_s: float) -> None:
        known = self._per_record_s.get(kind, per_record_s)
        self._per_record_s[kind] = known + _SHARE_OF_NEWS * (per_record_s - known)
