"""All objects are looked through only when nobody waits, or when nobody ever rests; much that was
made at once hardly ever."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from search_api import garbage
from search_api.garbage import (
    ALL_EVERY,
    EVERY_S,
    LOOK_AGAIN_S,
    LOOKS,
    YOUNG,
    Collect,
    collect_in_quiet_moments,
    left_alone,
)


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


@pytest.fixture
def sparing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a server, until the test is over."""
    spared = garbage._Spared()
    spared.is_on = True
    monkeypatch.setattr(garbage, "_SPARED", spared)
    yield
    gc.unfreeze()


def test_what_is_left_alone_is_not_looked_through_then_or_later(sparing: None) -> None:
    with left_alone():
        made = [{"object": number} for number in range(2 * YOUNG)]
        assert not gc.isenabled()
        with left_alone():  # another thread's
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    watched = {id(one) for one in gc.get_objects()}
    assert id(made) not in watched
    later = [made]
    assert id(later) in {id(one) for one in gc.get_objects()}


def test_what_is_little_is_looked_through_as_ever(sparing: None) -> None:
    gc.collect()
    with left_alone():
        made = [{"object": number} for number in range(10)]
    assert id(made) in {id(one) for one in gc.get_objects()}


def test_the_collector_works_again_after_a_failure(sparing: None) -> None:
    with pytest.raises(ZeroDivisionError), left_alone():
        _ = 1 / 0
    assert gc.isenabled()


def test_nothing_is_left_alone_outside_of_servers() -> None:
    with left_alone():
        assert gc.isenabled()


def test_in_the_end_all_is_looked_through_where_something_was_left(
    monkeypatch: pytest.MonkeyPatch, sparing: None
) -> None:
    with left_alone():
        _ = [{"object": number} for number in range(2 * YOUNG)]
    done: list[str] = []
    for name in ("unfreeze", "collect", "freeze"):
        monkeypatch.setattr(gc, name, lambda name=name: done.append(name))
    collect = Collect()
    for _ in range(2 * ALL_EVERY):
        collect()
    first = ["collect"] * (ALL_EVERY - 1) + ["unfreeze", "collect", "freeze"]
    assert done == first + ["collect"] * ALL_EVERY
