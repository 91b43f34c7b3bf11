"""Work that would be late is refused at once, in numbers that the work itself has taught."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from search_api.errors import Overloaded
from search_api.federation.workshop import INLINE, Workshop


def clock(*seconds: float) -> Iterator[float]:
    yield from seconds


async def test_little_work_is_done_at_once_and_counts_for_nothing() -> None:
    shop = Workshop()
    assert await shop.run(INLINE, sum, [1, 2]) == 3
    assert shop.backlog_s == 0


async def test_little_work_is_part_of_what_a_question_takes() -> None:
    """Ten facilities with ten records each: none of it is much, all of it together is."""
    now = [0.0]
    shop = Workshop(monotonic=lambda: now[0])

    def little() -> None:
        now[0] += 0.1

    for _ in range(60):
        with shop.question(100.0, 2):
            for _ in range(10):
                await shop.run(10, little)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(shop.question(2.5, 2))
        with pytest.raises(Overloaded), shop.question(2.5, 2):
            pass


async def test_what_waits_is_told_in_seconds_as_work_has_shown_them() -> None:
    ticks = clock(0.0, 10.0, 10.0, 10.5)
    shop = Workshop(monotonic=lambda: next(ticks))
    seen: list[float] = []

    def slow() -> None:
        seen.append(shop.backlog_s)

    await shop.run(1_000, slow)  # took ten seconds: ten milliseconds a record
    await shop.run(100, slow)
    assert seen[1] == pytest.approx(1.0)
    assert shop.backlog_s == pytest.approx(0.0)


async def test_a_question_that_would_be_late_is_refused_with_a_time_to_come_again() -> None:
    shop = Workshop(monotonic=lambda: 0.0)
    shop.backlog_s = 0.3
    with pytest.raises(Overloaded) as caught, shop.question(0.25, 2):
        pass
    assert caught.value.headers() == {"Retry-After": "2"}
    with shop.question(0.5, 2):
        pass


async def test_questions_that_will_come_due_together_count_before_they_do() -> None:
    """Waiting for a silent facility costs nothing until its time is over, and then all at once."""
    now = [0.0]
    shop = Workshop(monotonic=lambda: now[0])

    def slow() -> None:
        now[0] += 1.0

    for _ in range(60):  # every question takes a second to work out, as is learnt by and by
        with shop.question(100.0, 2):
            await shop.run(1_000, slow)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(shop.question(3.0, 2))
        with pytest.raises(Overloaded), shop.question(2.5, 2):
            pass
    with shop.question(2.5, 2):
        pass


async def test_work_that_fails_leaves_nothing_behind() -> None:
    shop = Workshop()

    def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await shop.run(1_000, broken)
    assert shop.backlog_s == 0
