"""Work that would be late is refused at once, in numbers that the work itself has taught."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search_api.errors import Overloaded
from search_api.federation.workshop import INLINE, Workshop


def clock(*seconds: float) -> Iterator[float]:
    yield from seconds


async def test_little_work_is_done_at_once_and_counts_for_nothing() -> None:
    shop = Workshop()
    assert await shop.run(INLINE, sum, [1, 2]) == 3
    assert shop.backlog_s == 0


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
    ticks = clock(0.0, 10.0, 20.0, 21.0)
    shop = Workshop(monotonic=lambda: next(ticks))
    await shop.run(1_000, sum, [])
    refused: list[Overloaded] = []

    def ask() -> None:
        try:
            shop.admit(0.25, 2)
        except Overloaded as error:
            refused.append(error)

    await shop.run(1_000, ask)
    shop.admit(0.25, 2)
    assert len(refused) == 0  # another kind of work: nothing is known of it yet
    slow = Workshop(monotonic=lambda: 0.0)
    slow.backlog_s = 0.3
    with pytest.raises(Overloaded) as caught:
        slow.admit(0.25, 2)
    assert caught.value.headers() == {"Retry-After": "2"}


async def test_work_that_fails_leaves_nothing_behind() -> None:
    shop = Workshop()

    def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await shop.run(1_000, broken)
    assert shop.backlog_s == 0
