"""Answers are kept only as long as they hold (semantics 2.5)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalogue.engines.base import Seen
from catalogue.errors import EngineUnavailable
from catalogue.query import (
    AccessIs,
    And,
    Compare,
    Everything,
    Join,
    Node,
    Not,
    OpenAt,
)
from search_api.cache import FOREVER, AnswerCache, Position, depends_on_clock, next_opening
from search_api.replies import Reply
from search_api.responses import Finished, finish

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


class LookedAt:
    """A catalogue whose engine tells where it is when the test says so."""

    def __init__(self) -> None:
        self.engine = self
        self.looks = 0
        self.position_seen: Seen | None = None
        self.open = asyncio.Event()

    async def position(self) -> int:
        self.looks += 1
        await self.open.wait()
        return 7


async def a_few_turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_all_who_wait_for_one_look_go_on_at_once() -> None:
    """One by one, each would wait for another turn of a busy event loop."""
    there: Any = LookedAt()
    position = Position(there, look_again_s=60.0)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(position.now()) for _ in range(100)]
        await a_few_turns()
        there.open.set()
        await a_few_turns()
        assert [one.done() for one in asked] == [True] * 100
    assert {one.result() for one in asked} == {7}
    assert there.looks == 1


async def test_when_whoever_looks_leaves_another_looks() -> None:
    there: Any = LookedAt()
    position = Position(there, look_again_s=60.0)
    first, second = (asyncio.ensure_future(position.now()) for _ in range(2))
    await a_few_turns()
    first.cancel()
    there.open.set()
    assert await second == 7
    assert there.looks == 2


async def test_where_a_look_fails_all_who_waited_for_it_are_told() -> None:
    """An Elasticsearch that hangs was looked at by one after the other, each until its deadline."""

    class Silent(LookedAt):
        async def position(self) -> int:
            await super().position()
            raise EngineUnavailable(f"no answer to look {self.looks}")

    there: Any = Silent()
    position = Position(there, look_again_s=60.0)
    asked = [asyncio.ensure_future(position.now()) for _ in range(10)]
    await a_few_turns()
    there.open.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert {(type(one), str(one)) for one in told} == {(EngineUnavailable, "no answer to look 1")}
    with pytest.raises(EngineUnavailable, match="look 2"):
        await position.now()


async def test_while_somebody_looks_again_the_others_go_by_the_last_look() -> None:
    there: Any = LookedAt()
    there.open.set()
    clock = iter([0.0, 0.0, 1.5, 1.5, 1.5, 2.5])
    position = Position(there, look_again_s=1.0, monotonic=lambda: next(clock))
    assert await position.now() == 7
    there.open.clear()
    who_looks = asyncio.ensure_future(position.now())
    await a_few_turns()
    assert await position.now() == 7
    assert there.looks == 2
    too_late = asyncio.ensure_future(position.now())
    await a_few_turns()
    assert not too_late.done()
    there.open.set()
    assert await who_looks == await too_late == 7


async def test_what_questions_have_seen_of_the_index_spares_a_look() -> None:
    there: Any = LookedAt()
    there.position_seen = Seen(10.0, 8)
    position = Position(there, look_again_s=1.0, monotonic=lambda: 10.5)
    assert await position.now() == 8
    assert there.looks == 0


def reply(size: int = 10) -> Finished:
    return finish(Reply(b"x" * size))


def test_an_answer_is_kept_for_its_longest_life_and_no_longer() -> None:
    cache = AnswerCache(100_000, keep_s=5)
    cache.put(("a",), reply(), NOW, FOREVER)
    assert cache.get(("a",), NOW + timedelta(seconds=4)) == reply()
    assert cache.get(("a",), NOW + timedelta(seconds=5)) is None
    assert cache.get(("b",), NOW) is None


def test_an_answer_ends_when_something_opens() -> None:
    cache = AnswerCache(100_000, keep_s=1e6)
    cache.put(("a",), reply(), NOW, LATER)
    assert cache.get(("a",), LATER - timedelta(seconds=1)) is not None
    assert cache.get(("a",), LATER) is None


def test_an_answer_that_holds_only_now_is_not_kept() -> None:
    cache = AnswerCache(100_000, keep_s=5)
    cache.put(("a",), reply(), NOW, NOW)
    assert cache.get(("a",), NOW) is None


def test_the_least_used_goes_first_and_giants_are_not_kept() -> None:
    cache = AnswerCache(10_000, keep_s=5)
    for name in "abcdefghi":
        cache.put((name,), reply(333), NOW, FOREVER)
    cache.get(("a",), NOW)
    cache.put(("j",), reply(333), NOW, FOREVER)
    cache.put(("k",), reply(333), NOW, FOREVER)
    assert cache.get(("a",), NOW) is not None
    assert cache.get(("b",), NOW) is None
    cache.put(("giant",), reply(9_000), NOW, FOREVER)
    assert cache.get(("giant",), NOW) is None
    assert not AnswerCache(0, keep_s=5).is_on


@pytest.mark.parametrize(
    ("access", "instant"),
    [
        ({}, FOREVER),
        ({"openFrom": "2020-01-01T00:00:00Z"}, FOREVER),
        ({"openFrom": "2026-03-02T00:00:00Z"}, LATER),
        ({"embargoUntil": "2026-03-02T00:00:00Z", "openFrom": "2027-01-01T00:00:00Z"}, LATER),
    ],
)
def test_the_next_opening_is_read_from_the_record(access: Any, instant: datetime) -> None:
    assert next_opening({"access": access}, NOW) == instant


@pytest.mark.parametrize(
    ("node", "depends"),
    [
        (Everything(), False),
        (Compare("title", "eq", "x"), False),
        (Compare("isPublic", "eq", True), True),
        (OpenAt(NOW), True),
        (And((Everything(), Not(AccessIs(("open",), NOW)))), True),
        (Join("datasets", Compare("isPublic", "eq", True)), True),
    ],
)
def test_questions_about_openness_depend_on_the_clock(node: Node, depends: bool) -> None:
    assert depends_on_clock(node) is depends
