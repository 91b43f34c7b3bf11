"""One timer ends whatever has had its time, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from search_api.deadlines import Deadlines


async def forever(deadlines: Deadlines) -> str:
    deadline = deadlines.begin()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if deadlines.end(deadline):
            return "late"
        raise
    finally:
        deadlines.end(deadline)
    return "done"


async def quickly(deadlines: Deadlines) -> str:
    deadline = deadlines.begin()
    try:
        return "done"
    finally:
        deadlines.end(deadline)


async def test_what_has_had_its_time_is_told_so_and_the_task_goes_on() -> None:
    deadlines = Deadlines(0.001)

    async def twice() -> list[str]:
        return [await forever(deadlines), await quickly(deadlines), await forever(deadlines)]

    assert await asyncio.wait_for(twice(), 10) == ["late", "done", "late"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_has_its_own_time_although_they_share_a_timer() -> None:
    deadlines = Deadlines(0.001)
    told = await asyncio.gather(
        forever(deadlines), quickly(deadlines), forever(deadlines), quickly(deadlines)
    )
    assert told == ["late", "done", "late", "done"]


async def test_who_is_cancelled_by_others_is_not_late() -> None:
    deadlines = Deadlines(1_000)
    task = asyncio.create_task(forever(deadlines))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_ends_in_time_is_not_cancelled_afterwards() -> None:
    deadlines = Deadlines(0.0)
    assert await quickly(deadlines) == "done"
    # The timer comes after it, and finds nothing open but the second.
    assert await forever(deadlines) == "late"
