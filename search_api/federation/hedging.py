"""A second attempt beside a slow first one; whichever answers first is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

import anyio

from facility_http.errors import FacilityHttpError

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
    ) -> None:
        self._attempt = attempt
        self._start = start
        self._spare_place = spare_place
        self._on_second = on_second
        self._first = anyio.CancelScope()
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
        loop = asyncio.get_running_loop()
        self._first.deadline = loop.time() + limit_s
        timer = None if delay_s is None else loop.call_later(delay_s, self._begin_second)
        try:
            with self._first:
                try:
                    return await self._attempt()
                except FacilityHttpError:
                    if timer is not None:
                        timer.cancel()
                    if self._second_over is not None:
                        await self._second_over.wait()
                    if not self._answers:
                        raise
            if self._answers:
                return self._answers[0]
            raise TimeoutError
        finally:
            if timer is not None:
                timer.cancel()
            if self._second_over is not None:
                if self._second is not None:
                    self._second.cancel()
                with anyio.CancelScope(shield=True):
                    await self._second_over.wait()

    def _begin_second(self) -> None:
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
                    self._first.cancel()
        except FacilityHttpError:
            pass  # The first one still has its chance.
        finally:
            self._second_over.set()
