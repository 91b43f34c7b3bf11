"""Work that would be late is refused at once, in numbers that the work itself has taught."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from math import inf

import pytest

from search_api.errors import Overloaded
from search_api.federation.workshop import IN_A_TURN_S, INLINE, Workshop


def clock(*seconds: float) -> Iterator[float]:
    yield from seconds


async def test_little_work_is_done_at_once_and_counts_for_nothing() -> None:
    shop = Workshop()
    assert await shop.run(INLINE, sum, [1, 2]) == 3
    assert shop.backlog_s == 0


async def test_work_that_has_shown_to_be_quick_is_done_without_a_thread() -> None:
    spent_s = [0.0]
    threads: list[bool] = []

    def work(takes_s: float) -> None:
        threads.append(threading.current_thread() is not threading.main_thread())
        spent_s[0] += takes_s

    shop = Workshop(processor=lambda: spent_s[0])
    size = 2 * INLINE
    await shop.run(size, work, IN_A_TURN_S / 2)
    await shop.run(size, work, IN_A_TURN_S / 2)
    assert threads == [True, False]
    await shop.run(4 * size, work, 100 * IN_A_TURN_S)  # of so many it would take too long
    await shop.run(size, work, IN_A_TURN_S)  # as all of its kind have since
    assert threads == [True, False, True, True]
    assert shop.backlog_s == pytest.approx(0.0)


async def test_who_works_in_a_turn_of_the_loop_lets_others_have_theirs_first() -> None:
    shop = Workshop(processor=lambda: 0.0)
    size, order = 2 * INLINE, list[str]()
    await shop.run(size, order.append, "in a thread")

    async def other() -> None:
        order.append("other")

    await asyncio.gather(shop.run(size, order.append, "here"), other())
    assert order == ["in a thread", "other", "here"]


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
    ticks, spent = clock(0.0, 10.0, 10.0, 10.5), clock(0.0, 10.0, 10.0, 10.5)
    shop = Workshop(monotonic=lambda: next(ticks), processor=lambda: next(spent))
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


class Busy:
    """A shop whose clock goes on only by what is done in it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.shop = Workshop(monotonic=lambda: self.now_s)

    def finish(self, took_s: float, ends_at: float = inf, *, is_firm: bool = False) -> None:
        with self.shop.finishing(ends_at, 2, is_firm=is_firm):
            self.now_s += took_s


async def test_what_is_kept_for_finishing_is_what_it_has_taken_lately() -> None:
    busy = Busy()
    assert busy.shop.finishing_s == 0
    for took_s in (0.4, 0.6) * 20:
        busy.finish(took_s)
    assert 0.6 < busy.shop.finishing_s < 1.2
    for _ in range(40):
        busy.finish(0.01)
    assert busy.shop.finishing_s < 0.05


async def test_what_was_learnt_of_a_busy_minute_is_forgotten_in_a_quiet_one() -> None:
    """Or a server that sheds everything would never learn that it need not."""
    busy = Busy()
    for _ in range(20):
        busy.finish(3.0)
    with ExitStack() as inside:
        inside.enter_context(busy.shop.question(inf, 2, 1.2))
        with pytest.raises(Overloaded), busy.shop.question(inf, 2, 1.2):
            pass
        busy.now_s += 10.0
        with busy.shop.question(inf, 2, 1.2):
            pass


async def test_a_question_is_let_in_however_long_answers_took_when_nobody_else_is_there() -> None:
    busy = Busy()
    busy.finish(30.0)
    with busy.shop.question(inf, 2, 1.2):
        pass


async def test_who_cannot_be_answered_in_time_gives_way_once_the_facilities_have_spoken() -> None:
    """Faults G02, I08: what would be late is not worked on while others are waiting."""
    busy = Busy()
    for _ in range(20):
        busy.finish(0.1)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(busy.shop.question(inf, 2))
        inside.enter_context(busy.shop.finishing(busy.now_s + 0.25, 2))
        inside.enter_context(busy.shop.finishing(busy.now_s + 0.25, 2))
        before = busy.now_s
        with pytest.raises(Overloaded):  # the third in a row takes 0.3 s
            busy.finish(0.1, before + 0.25)
        assert busy.now_s == before
        busy.finish(0.1, before + 0.35)


async def test_an_answer_that_nobody_waits_for_any_more_is_none_unless_nobody_else_waits() -> None:
    busy = Busy()
    with busy.shop.question(inf, 2):
        busy.finish(5.0, busy.now_s + 1.0, is_firm=True)
        busy.now_s += 60.0
        with busy.shop.question(inf, 2), pytest.raises(Overloaded):
            busy.finish(5.0, busy.now_s + 1.0, is_firm=True)
        busy.now_s += 60.0
        with busy.shop.question(inf, 2):
            busy.finish(5.0, busy.now_s + 1.0)


async def test_how_late_the_event_loop_is_counts_while_there_are_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, shop = asyncio.get_running_loop(), Workshop()
    assert shop.lag_s == 0
    with shop.question(inf, 2):
        time = loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + 3.0)  # as if it had been held so long
        assert 2.9 < shop.lag_s < 4.0
        with pytest.raises(Overloaded), shop.question(inf, 2, 1.2):
            pass
        monkeypatch.undo()
    assert shop.lag_s == 0


async def test_work_that_fails_leaves_nothing_behind() -> None:
    shop = Workshop()

    def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await shop.run(1_000, broken)
    assert shop.backlog_s == 0
