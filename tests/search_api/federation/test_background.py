"""Work that outlives whoever began it."""

from __future__ import annotations

import asyncio

import pytest

from search_api.federation.background import to_the_end


async def test_work_is_waited_for_even_by_who_was_told_to_leave() -> None:
    """Fault G13: whoever leaves while a lease is written must know whether it is his."""
    begun, may_end, seen = asyncio.Event(), asyncio.Event(), list[str]()

    async def write() -> str:
        begun.set()
        await may_end.wait()
        return "written"

    async def caller() -> None:
        seen.append(await to_the_end(write()))
        seen.append("left" if (task := asyncio.current_task()) and task.cancelling() else "stayed")
        await asyncio.sleep(0)
        seen.append("went on")

    task = asyncio.create_task(caller())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["written", "left"]


async def test_what_goes_wrong_with_the_work_is_the_callers_to_know() -> None:
    async def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await to_the_end(fail())


async def test_nobody_leaves_where_nobody_was_told_to() -> None:
    async def write() -> int:
        return 1

    assert await to_the_end(write()) == 1
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
