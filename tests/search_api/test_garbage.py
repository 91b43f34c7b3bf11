"""All objects are looked through only when nobody waits, or when nobody ever rests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search_api.garbage import EVERY_S, LOOK_AGAIN_S, LOOKS, collect_in_quiet_moments


class Enough(Exception):
    """The test has seen what it wanted."""


async def run(busy: Callable[[], bool], most: int) -> tuple[list[float], list[int]]:
    """The pauses made, and after how many of them everything was looked through."""
    slept: list[float] = []
    collected: list[int] = []

    async def sleep(seconds: float) -> None:
        if len(slept) == most:
            raise Enough
        slept.append(seconds)

    with pytest.raises(Enough):
        await collect_in_quiet_moments(
            busy, sleep=sleep, collect=lambda: collected.append(len(slept))
        )
    return slept, collected


async def test_a_quiet_server_is_looked_through_every_minute() -> None:
    slept, collected = await run(lambda: False, 3)
    assert slept == [EVERY_S] * 3
    assert collected == [1, 2, 3]


async def test_a_busy_one_when_it_pauses() -> None:
    answers = iter([True, True, False])
    slept, collected = await run(lambda: next(answers), 3)
    assert slept == [EVERY_S, LOOK_AGAIN_S, LOOK_AGAIN_S]
    assert collected == [3]


async def test_one_that_never_pauses_at_last_all_the_same() -> None:
    _, collected = await run(lambda: True, 1 + LOOKS)
    assert collected == [1 + LOOKS]
