"""A second attempt beside a slow first one; whichever answers first is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import anyio

from facility_http.errors import FacilityHttpError

Answer = TypeVar("Answer")


class _Race(Generic[Answer]):
    """Attempts at one thing, until one answers or all have failed."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.answers: list[Answer] = []
        self.failures: list[FacilityHttpError] = []
        self.running = 0

    async def run(self, attempt: Callable[[], Awaitable[Answer]]) -> None:
        try:
            self.answers.append(await attempt())
        except FacilityHttpError as error:
            self.failures.append(error)
        finally:
            self.running -= 1
            if self.answers or not self.running:
                self.over.set()


async def hedged(
    attempt: Callable[[], Awaitable[Answer]],
    delay_s: float,
    spare_place: Callable[[], AbstractContextManager[bool]],
    on_second: Callable[[], None],
) -> Answer:
    """Make an attempt, and after ``delay_s`` without an answer another one beside it.

    Args:
        spare_place: gives whether there is room for a second one at this moment.
        on_second: told when a second one is made.

    Raises:
        FacilityHttpError: what failed first, when no attempt has answered.
    """
    race: _Race[Answer] = _Race()
    async with anyio.create_task_group() as tasks:
        race.running = 1
        tasks.start_soon(race.run, attempt)
        with anyio.move_on_after(delay_s):
            await race.over.wait()
        if not race.over.is_set():
            with spare_place() as free:
                if free:
                    on_second()
                    race.running += 1
                    tasks.start_soon(race.run, attempt)
                await race.over.wait()
        tasks.cancel_scope.cancel()
    if not race.answers:
        raise race.failures[0]
    return race.answers[0]
