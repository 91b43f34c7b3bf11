"""What is kept of a facility's answers, for how long, and when it may stand in for a failure."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.facility_cache import FacilityCache, key_of
from search_api.federation.questions import LiveSource, Question
from search_api.federation.serving_store import KeptBody, ServingStore
from simulator import Facility as Simulated
from tests.search_api.federation.asking_world import (
    COUNT,
    EVERY,
    NOW,
    Clock,
    asking,
    expected,
    facility,
    live,
    of,
    pids,
)

KEEPING = {"facility_cache_s": 30.0, "facility_cache_brief_s": 3.0, "facility_stale_s": 3600.0}


def hasty(here: Simulated, faults: str) -> LiveSource:
    """The source with a short limit where the fault is that nothing comes."""
    waits = faults.partition(":")[0] in ("stall", "hang", "slow")
    return live(here, live_timeout_s=0.1) if waits else live(here)


async def test_a_full_answer_is_good_for_a_while_and_tells_its_age() -> None:
    async with facility() as here, asking(**KEEPING) as world:
        first = await world.ask(live(here))
        world.clock.move(20)
        second = await world.ask(live(here))
        assert len(here.requests) == 1
        world.clock.move(10)
        third = await world.ask(live(here))
        assert len(here.requests) == 2
    assert (first.age_s, second.age_s, third.age_s) == (0.0, 20.0, 0.0)
    assert (second.stale, pids(second)) == (False, expected())
    assert second.digest == first.digest


async def test_an_empty_answer_is_good_for_a_moment() -> None:
    """Fault G14."""
    nothing = of("Document", where={"pid": "no such"})
    async with facility() as here, asking(**KEEPING) as world:
        for moved in (2, 2, 2):
            assert pids(await world.ask(live(here), nothing)) == []
            world.clock.move(moved)
        assert len(here.requests) == 2


@pytest.mark.parametrize("faults", ["ghosts:3", "null-rows", "forbidden:3"])
async def test_a_partial_answer_is_never_kept_as_the_whole(faults: str) -> None:
    """Fault G14: it is odd again when it comes from the cache, and the whole one outlives it."""
    async with facility(f"{faults}@every2") as here, asking(**KEEPING) as world:
        assert pids(await world.ask(live(here))) == expected()
        world.clock.move(31)
        partial = await world.ask(live(here))
        again = await world.ask(live(here))
        assert partial.objects is not None
        assert again.objects is not None
        assert partial.objects.odd == again.objects.odd != {}
        assert len(here.requests) == 2
        world.clock.move(4)
        here.faults.set("error:503")
        stale = await world.ask(live(here))
    assert (stale.stale, pids(stale), stale.age_s) == (True, expected(), 35.0)


@pytest.mark.parametrize(
    "faults", ["error:502", "error:429", "reset", "empty-body", "html", "object", "stall"]
)
async def test_a_failure_is_never_kept(faults: str) -> None:
    """Fault G14: once the facility is well it is asked again."""
    async with facility(faults) as here, asking(**KEEPING) as world:
        with pytest.raises(FacilitySilent):
            await world.ask(hasty(here, faults))
        here.faults.clear()
        world.clock.move(3600)
        assert pids(await world.ask(live(here))) == expected()


async def test_a_refusal_is_not_kept_and_nothing_stands_in_for_it() -> None:
    async with facility() as here, asking(**KEEPING) as world:
        question = of("Document", order="title ASC")
        await world.ask(live(here), question)
        world.clock.move(31)
        here.faults.set("order-400")
        for _ in range(2):
            with pytest.raises(QuestionRefused):
                await world.ask(live(here), question)
        assert len(here.requests) == 3


FAILURES = {
    "timed out": "stall",
    "silent": "hang",
    "late": "slow:60s",
    "429": "error:429",
    "429 with Retry-After": "error:429:120",
    "500": "error:500",
    "503": "error:503",
    "503 with Retry-After": "error:503:120",
    "bad JSON": "not-json",
    "cut off": "break-off",
    "empty body": "empty-body",
    "not a list": "object",
    "an error under 200": "error-200",
    "access refused": "error:403",
    "a bot wall": "html",
    "reset": "reset",
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_kept_answer_stands_in_for_every_kind_of_failure(failure: str) -> None:
    """Fault G15: the same path for all, and the age is told."""
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here))
        world.clock.move(100)
        here.faults.set(FAILURES[failure])
        source = hasty(here, FAILURES[failure])
        stale = await world.ask(source)
        assert (stale.stale, stale.age_s, pids(stale)) == (True, 100.0, expected())
        assert stale.reason
        world.clock.move(3501)
        with pytest.raises(FacilitySilent):
            await world.ask(source)


async def test_a_kept_answer_stands_in_where_nobody_listens_any_more() -> None:
    """Fault G15: a connection that is refused."""
    async with asking(**KEEPING) as world:
        async with facility() as here:
            await world.ask(live(here))
        world.clock.move(100)
        stale = await world.ask(live(here))
    assert (stale.stale, stale.age_s, stale.reason) == (True, 100.0, "no connection")


async def test_a_kept_answer_stands_in_at_our_own_deadline() -> None:
    """Fault G15."""
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here))
        world.clock.move(60)
        here.faults.set("hang")
        late = await world.ask(live(here), within_s=0.05)
    assert (late.stale, late.age_s) == (True, 60.0)
    assert "our" in str(late.reason)


async def test_a_kept_answer_stands_in_for_a_pause() -> None:
    """Fault G15."""
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here))
        world.clock.move(60)
        here.faults.set("error:429:600")
        with pytest.raises(FacilitySilent):
            await world.ask(live(here), of("Document", limit=1))
        asked = len(here.requests)
        paused = await world.ask(live(here))
        assert len(here.requests) == asked
    assert (paused.stale, "asks for a pause" in str(paused.reason)) == (True, True)


async def test_what_is_unsupported_is_not_covered_up() -> None:
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here))
        world.clock.move(60)
        here.faults.set("error:404")
        with pytest.raises(FacilitySilent) as silence:
            await world.ask(live(here))
    assert silence.value.state == "unsupported"


async def test_counts_are_kept_like_lists() -> None:
    count = Question("Document", {"where": {}}, count=True)
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here), count)
        world.clock.move(5)
        kept = await world.ask(live(here), count)
        assert len(here.requests) == 1
        here.faults.set("error:503")
        world.clock.move(60)
        stale = await world.ask(live(here), count)
    assert (kept.number, kept.age_s, stale.number, stale.stale) == (COUNT, 5.0, COUNT, True)


async def test_nothing_is_kept_when_that_is_switched_off() -> None:
    async with facility() as here, asking(facility_cache_s=0.0) as world:
        await world.ask(live(here))
        await world.ask(live(here))
        assert len(here.requests) == 2
        here.faults.set("error:503")
        with pytest.raises(FacilitySilent):
            await world.ask(live(here))


async def test_another_process_finds_what_this_one_has_kept(tmp_path: Path) -> None:
    """Fault G15: after a restart, too."""
    clock, store = Clock(), ServingStore(tmp_path)
    async with facility() as here:
        async with asking(serving=store, clock=clock, **KEEPING) as world:
            await world.ask(live(here))
        store.close()
        here.faults.set("error:503")
        clock.move(120)
        other = ServingStore(tmp_path)
        async with asking(serving=other, clock=clock, **KEEPING) as world:
            stale = await world.ask(live(here))
            assert world.asker.figures("test").last_contact == NOW
        other.close()
    assert (stale.stale, stale.age_s, pids(stale)) == (True, 120.0, expected())


async def test_who_never_told_anybody_anything_is_not_looked_for_when_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that hangs is missing from every answer, and each would wait for a look in vain."""
    looked: list[bytes] = []
    look = ServingStore.kept_answer

    def kept_answer(store: ServingStore, question: bytes, now: datetime) -> KeptBody | None:
        looked.append(question)
        return look(store, question, now)

    monkeypatch.setattr(ServingStore, "kept_answer", kept_answer)
    async with facility() as here, asking(**KEEPING) as world:
        here.faults.set("error:503x1")
        with pytest.raises(FacilitySilent):
            await world.ask(live(here))
        assert looked == []
        await world.ask(live(here))
        await world.asker.look()
        here.faults.set("error:503x1")
        with pytest.raises(FacilitySilent):
            await world.ask(live(here), of("Document", where={"pid": "no such"}))
        assert len(looked) == 1


async def test_what_is_kept_holds_no_key(tmp_path: Path) -> None:
    """Fault H12."""
    store = ServingStore(tmp_path)
    async with (
        facility() as here,
        asking(serving=store, environment={"TEST_KEY": "planted-key-123"}, **KEEPING) as world,
    ):
        await world.ask(live(here, api_key_variable="TEST_KEY"))
    store.close()
    written = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*")))  # noqa: ASYNC240
    assert b"planted-key-123" not in written
    assert b"breakers" in written


async def test_a_clock_set_back_neither_hides_what_is_new_nor_makes_ages_negative() -> None:
    """Fault H10."""
    async with facility() as here, asking(**KEEPING) as world:
        await world.ask(live(here))
        world.clock.move(-86_400)
        here.faults.set("error:503x1")
        stale = await world.ask(live(here))
        assert (stale.stale, 0 < stale.age_s < 1) == (True, True)
        again = await world.ask(live(here))
        assert len(here.requests) == 3
        assert (again.stale, again.age_s) == (False, 0.0)


async def test_nodes_passed_are_part_of_the_question() -> None:
    """Another node answers a second hop from its index only: that is another answer."""
    async with facility() as here, asking(**KEEPING) as world:
        deadline = world.asker.monotonic() + 5
        await world.asker.ask(live(here), EVERY, deadline=deadline)
        await world.asker.ask(live(here), EVERY, deadline=deadline, via=("other",))
        assert len(here.requests) == 2


def test_keys_tell_questions_apart_and_not_the_order_of_their_parts() -> None:
    source = live("http://example.org/api")
    same = [
        Question("Document", {"where": {"a": 1, "b": 2}, "limit": 1}),
        Question("Document", {"limit": 1, "where": {"b": 2, "a": 1}}),
        Question("Document", {"limit": 1, "where": {"b": 2, "a": 1}}, cheap=False),
    ]
    other = [
        Question("Dataset", {"where": {"a": 1, "b": 2}, "limit": 1}),
        Question("Document", {"where": {"a": 1, "b": "2"}, "limit": 1}),
        Question("Document", {"where": {"a": 1, "b": 2}, "limit": 1}, count=True),
        Question("Document", {"where": {"a": 1, "b": 2}, "limit": 1}, pid="x"),
    ]
    assert len({key_of(source, one, ()) for one in same}) == 1
    assert len({key_of(source, one, ()) for one in (same[0], *other)}) == 5
    moved = live("http://example.org/other")
    assert key_of(source, same[0], ()) != key_of(moved, same[0], ())


def test_the_cache_is_bounded_in_bytes_and_the_oldest_go() -> None:
    cache = FacilityCache(40_000, 30, 3, 3600)
    for number in range(100):
        cache.put(bytes([number]), "test", bytes(5_000), NOW, brief=False)
    kept = [number for number in range(100) if cache.fresh(bytes([number]), NOW)]
    assert kept == list(range(93, 100))
    assert sum(len(one.body) for one in cache.take_new()) <= 10_000
    assert cache.take_new() == []


def test_a_body_that_came_to_many_questions_is_held_once() -> None:
    cache = FacilityCache(40_000, 30, 3, 3600)
    bodies = [b"[%d]" % (number % 2) + b" " * 5_000 for number in range(40)]
    for number, body in enumerate(bodies):
        cache.put(bytes([number]), "test", body, NOW, brief=False, digest=body[:3])
    kept = [cache.fresh(bytes([number]), NOW) for number in range(40)]
    assert [one and one.body for one in kept] == bodies
    assert len({id(one and one.body) for one in kept}) == 2
    # What was held once is gone when the last that has it is.
    for number in range(40):
        cache.put(bytes([number]), "test", b"[]", NOW, brief=False, digest=b"[]")
    for number in range(40, 47):
        cache.put(bytes([number]), "test", bytes([number]) * 4_000, NOW, brief=False)
    left = [number for number in range(47) if cache.fresh(bytes([number]), NOW)]
    assert left == list(range(28, 47))


def test_a_body_too_large_for_the_cache_displaces_nothing() -> None:
    cache = FacilityCache(40_000, 30, 3, 3600)
    cache.put(b"small", "test", b"[1]", NOW, brief=False)
    cache.put(b"large", "test", bytes(20_000), NOW, brief=False)
    assert cache.fresh(b"small", NOW) is not None
    assert cache.fresh(b"large", NOW) is None


def test_the_newest_of_what_is_good_is_given() -> None:
    cache = FacilityCache(40_000, 30, 3, 3600)
    cache.put(b"q", "test", b"[1]", NOW, brief=False)
    later = NOW + timedelta(seconds=10)
    cache.put(b"q", "test", b"[]", later, brief=True)

    def body(kept: Any) -> Any:
        return kept and kept.body

    assert body(cache.fresh(b"q", later)) == b"[]"
    # When the brief one is over, the full one is what was last known to be whole.
    assert body(cache.fresh(b"q", later + timedelta(seconds=4))) == b"[1]"
    assert body(cache.stale(b"q", later + timedelta(seconds=60))) == b"[1]"
