"""Where answers are worked out: few at a time, so that it can be told how long the next would wait.

Waiting for facilities costs nothing, so many questions may wait at once; working out their answers
takes the processor, one after another. When more is asked than can be worked out in the time that
an answer keeps for it, new questions are shed at once, with 503 and ``Retry-After``, instead of
all being late.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from search_api.errors import Overloaded

Result = TypeVar("Result")

INLINE = 40
"""So many records are looked at on the event loop, some milliseconds; more in a worker thread."""
AT_ONCE = 2
"""Python works on one at a time whatever the number; the second keeps it busy meanwhile."""
_FIRST_GUESS_S = 0.00005
_SHARE_OF_NEWS = 0.1


class Workshop:
    """Works for one server process.

    Args:
        monotonic: seconds, to measure how long work takes.
    """

    def __init__(
        self, at_once: int = AT_ONCE, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._at_once = at_once
        self._limiter: anyio.CapacityLimiter | None = None
        self._per_record_s: dict[str, float] = {}
        self.backlog_s = 0.0
        self._questions = 0
        self._per_question_s = 0.0
        self._worked_s = self._worked_before_s = 0.0

    async def run(self, size: int, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do the work here when it is about few records, else where it does not hold the loop."""
        if size <= INLINE:
            # Nobody waits behind it, but it is part of what a question takes: when it was not
            # counted, so many were let in that the last came up to 0.4 s late (measured).
            took_s, result = self._timed(work, arguments)
            self._worked_s += took_s
            return result
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._at_once)
        in_thread = partial(
            anyio.to_thread.run_sync, self._timed, work, arguments, limiter=self._limiter
        )
        return await self.aside(size, getattr(work, "__qualname__", "work"), in_thread)

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

    @contextmanager
    def question(self, spare_s: float, retry_after_s: int) -> Iterator[None]:
        """Let a question in, if all that is in already can be worked out in the time that an answer
        keeps for it: questions that wait for one silent facility come due together.

        Raises:
            Overloaded: it would be late.
        """
        if self.backlog_s + self._questions * self._per_question_s > spare_s:
            raise Overloaded(retry_after_s)
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            done_s = self._worked_s - self._worked_before_s
            self._worked_before_s = self._worked_s
            self._per_question_s += _SHARE_OF_NEWS * (done_s - self._per_question_s)

    def _timed(
        self, work: Callable[..., Result], arguments: tuple[Any, ...]
    ) -> tuple[float, Result]:
        began = self._monotonic()
        result = work(*arguments)
        return self._monotonic() - began, result

    def _learn(self, kind: str, per_record_s: float) -> None:
        known = self._per_record_s.get(kind, per_record_s)
        self._per_record_s[kind] = known + _SHARE_OF_NEWS * (per_record_s - known)
