"""A question is answered in one worker thread, and ends when whoever asked has left."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import pytest

from catalogue.threads import Driver, in_thread, is_driven
from simulator.simulated_time import SimulatedLoop, run_simulated


async def test_all_steps_of_a_question_are_done_in_one_thread() -> None:
    async def question() -> list[int]:
        return [await in_thread(threading.get_ident) for _ in range(3)]

    threads = await Driver().in_one_thread(question)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    assert not is_driven()


async def test_a_step_by_itself_goes_to_a_thread() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_a_question_within_a_question_stays_where_it_is() -> None:
    driver = Driver(at_once=1)

    async def inner() -> int:
        return await in_thread(threading.get_ident)

    async def outer() -> tuple[int, int]:
        return await in_thread(threading.get_ident), await driver.in_one_thread(inner)

    first, second = await driver.in_one_thread(outer)
    assert first == second


async def test_an_error_reaches_whoever_asked() -> None:
    async def question() -> None:
        await in_thread(partial(int, "no number"))

    with pytest.raises(ValueError, match="no number"):
        await Driver().in_one_thread(question)


async def test_a_question_ends_at_its_next_step_when_whoever_asked_has_left() -> None:
    begun, left, ended = threading.Event(), threading.Event(), threading.Event()
    steps: list[str] = []

    async def question() -> None:
        try:
            begun.set()
            await in_thread(left.wait)
            await in_thread(partial(steps.append, "after"))
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(Driver().in_one_thread, question)
        await anyio.to_thread.run_sync(begun.wait)
        group.cancel_scope.cancel()
    left.set()
    await anyio.to_thread.run_sync(ended.wait)
    assert steps == []


async def test_waiting_for_anything_else_is_a_mistake_that_shows() -> None:
    async def question() -> None:
        await anyio.lowlevel.checkpoint()

    with pytest.raises((RuntimeError, anyio.NoEventLoopError)):
        await Driver().in_one_thread(question)


async def test_a_question_that_nobody_waits_for_any_more_is_not_begun() -> None:
    driver = Driver(at_once=1)
    go, begun = threading.Event(), threading.Event()
    worked_on: list[str] = []

    async def long() -> None:
        begun.set()
        await in_thread(go.wait)

    async def late() -> None:
        worked_on.append("late")

    async with anyio.create_task_group() as group:
        group.start_soon(driver.in_one_thread, long)
        await anyio.to_thread.run_sync(begun.wait)
        with anyio.move_on_after(0):
            await driver.in_one_thread(late)
        go.set()
    await driver.in_one_thread(lambda: in_thread(threading.get_ident))
    assert worked_on == []


async def test_a_long_question_holds_up_others_for_a_moment_only() -> None:
    driver = Driver(at_once=3)
    go, begun = threading.Event(), [threading.Event(), threading.Event()]

    async def long(number: int) -> None:
        begun[number].set()
        await in_thread(go.wait)

    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(driver.in_one_thread, partial(long, number))
        for one in begun:
            await anyio.to_thread.run_sync(one.wait)
        threads = [
            await driver.in_one_thread(partial(in_thread, threading.get_ident)) for _ in "ab"
        ]
        go.set()
    assert len(set(threads)) == 1


async def test_an_answer_that_waits_for_others_does_not_wait_for_a_long_one() -> None:
    driver = Driver(at_once=1)
    go, answered = threading.Event(), threading.Event()

    async def short() -> None:
        await driver.in_one_thread(partial(in_thread, go.wait))
        answered.set()

    async def others() -> None:
        await driver.in_one_thread(partial(in_thread, answered.wait))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(short)
            for _ in range(3):
                group.start_soon(others)
            await anyio.lowlevel.checkpoint()
            go.set()


async def test_many_questions_are_answered_by_few_threads() -> None:
    driver = Driver(at_once=2)

    async def question() -> int:
        return await in_thread(threading.get_ident)

    threads: list[int] = []

    async def ask() -> None:
        threads.append(await driver.in_one_thread(question))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask)
    assert len(threads) == 50
    assert len(set(threads)) <= 2


def test_threads_end_with_their_driver_and_serve_one_loop_after_the_other() -> None:
    driver = Driver(at_once=1)

    async def question() -> threading.Thread:
        return await in_thread(threading.current_thread)

    first = anyio.run(driver.in_one_thread, question)
    assert anyio.run(driver.in_one_thread, question) is first
    del driver
    first.join(10)
    assert not first.is_alive()


def test_simulated_time_stands_still_while_a_question_is_worked_on() -> None:
    """Else tests in which nobody waits would see deadlines pass."""

    async def main(loop: SimulatedLoop) -> float:
        async def question() -> None:
            await in_thread(lambda: sum(range(5_000_000)))

        with anyio.fail_after(10):
            await Driver().in_one_thread(question)
        return loop.time()

    assert run_simulated(main) < 1


def test_threads_end_when_their_driver_is_closed_and_begin_anew_when_asked() -> None:
    driver = Driver()

    async def question() -> threading.Thread:
        return await in_thread(threading.current_thread)

    first = anyio.run(driver.in_one_thread, question)
    driver.close()
    first.join(10)
    assert not first.is_alive()
    second = anyio.run(driver.in_one_thread, question)
    assert second is not first
    driver.close()
    driver.close()
    second.join(10)
    assert not second.is_alive()
