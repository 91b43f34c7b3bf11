"""A second attempt beside a slow first one; whichever answers first is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import anyio

from facility_http.errors import FacilityHttpError
from search_api.federation.alarms import Alarm, Alarms

Answer = TypeVar("Answer")
Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class Hedged(Generic[Answer]):
    """Makes an attempt, and after a while without an answer another one beside it.

    The first runs in the caller's task, so that the many that need no second cost a timer and no
    more. A second one never outlives ``run``.

    Args:
        start: runs the second attempt in a task group; see ``background.Background.start``.
        spare_place: gives whether there is room for a second one at this moment.
        on_second: told when a second one is made.
    """

    def __init__(
        self,
        attempt: Callable[[], Awaitable[Answer]],
        start: Start,
        spare_place: Callable[[], AbstractContextManager[bool]],
        on_second: Callable[[], None],
        alarms: Alarms | None = None,
    ) -> None:
        self._alarms = alarms or Alarms()
        self._attempt = attempt
        self._start = start
        self._spare_place = spare_place
        self._on_second = on_second
        self._task: asyncio.Task[Any] | None = None
        self._alarm: Alarm | None = None
        self._stopped = self._over = False
        self._second: anyio.CancelScope | None = None
        self._second_over: asyncio.Event | None = None
        self._answers: list[Answer] = []

    async def run(self, limit_s: float, delay_s: float | None) -> Answer:
        """The answer that comes first.

        Args:
            limit_s: for everything together.
            delay_s: after how long a second attempt is made; ``None``: not at all.

        Raises:
            FacilityHttpError: of the first attempt, when none has answered.
            TimeoutError: the limit was passed.
        """
        # One alarm for both, and no scope: nearly every request comes by here and needs neither.
        self._task = task = asyncio.current_task()
        assert task is not None
        cancelled = task.cancelling()
        if delay_s is None or delay_s >= limit_s:
            self._alarm = self._alarms.after(limit_s, self._stop)
        else:
            ends_at = asyncio.get_running_loop().time() + limit_s
            self._alarm = self._alarms.after(delay_s, self._begin_second, ends_at)
        try:
            return await self._first_good()
        except asyncio.CancelledError:
            if not self._stopped or task.uncancel() > cancelled:
                raise
            if not self._answers:
                raise TimeoutError from None
            return self._answers[0]
        finally:
            self._over = True
            self._alarm.cancel()
            if self._second_over is not None:
                if self._second is not None:
                    self._second.cancel()
                with anyio.CancelScope(shield=True):
                    await self._second_over.wait()

    async def _first_good(self) -> Answer:
        try:
            return await self._attempt()
        except FacilityHttpError:
            if self._second_over is None:
                raise
            await self._second_over.wait()
            if not self._answers:
                raise
            return self._answers[0]

    def _stop(self) -> None:
        """End what ``run`` waits for: the time is over, or the second attempt has answered."""
        if not self._over and not self._stopped:
            assert self._task is not None
            self._stopped = True
            self._task.cancel()

    def _begin_second(self, ends_at: float) -> None:
        self._alarm = self._alarms.at(ends_at, self._stop)
        self._second, self._second_over = anyio.CancelScope(), asyncio.Event()
        self._start(self._beside)

    async def _beside(self) -> None:
        assert self._second is not None
        assert self._second_over is not None
        try:
            with self._second, self._spare_place() as free:
                if free:
                    self._on_second()
                    self._answers.append(await self._attempt())
                    self._stop()
        except FacilityHttpError:
            pass  # The first one still has its chance.
        finally:
            self._second_over.set()
