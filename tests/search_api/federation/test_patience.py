"""Patience and its limits: deadlines, queues, pauses, probes, and who is blamed for what."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import orjson
import psutil
import pytest
from aiohttp import web

from search_api.federation.breaker import PAUSES, SUCCESSES_TO_CLOSE
from search_api.federation.errors import FacilitySilent
from search_api.federation.questions import Question
from search_api.federation.serving_store import ServingStore
from tests.facility_http.http_world import serving as server
from tests.search_api.federation.asking_world import (
    EVERY,
    NOW,
    Clock,
    World,
    asking,
    expected,
    facility,
    live,
    of,
    pids,
)


async def silence(world: World, source: Any, question: Question = EVERY, **how: Any) -> Any:
    """The silence that a question meets."""
    with pytest.raises(FacilitySilent) as met:
        await world.ask(source, question, **how)
    return met.value


def different(number: int) -> Question:
    """Questions that nobody shares."""
    return of("Document", limit=number + 1)


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds."""
    for _ in range(200_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")


class Gate:
    """A Search API that answers only when it is let; counts what it has been asked."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        return web.json_response([{"pid": "1"}])

    async def until_asked(self, times: int) -> None:
        """Wait until so many requests have come."""
        await until(lambda: self.asked >= times)


async def test_a_facility_that_hangs_costs_its_own_limit() -> None:
    """Faults G02 and G03."""
    async with facility("stall") as here, asking(facility_timeout_s=0.1) as world:
        met = await silence(world, live(here))
        assert (met.state, met.ours) == ("timed_out", False)
        assert "0.1 s" in met.reason
        assert world.asker.figures("test").error_rate == 1.0


async def test_a_source_may_have_a_limit_of_its_own() -> None:
    """Fault G03."""
    async with facility("stall") as here, asking(facility_timeout_s=30.0) as world:
        met = await silence(world, live(here, live_timeout_s=0.1))
    assert (met.state, met.reason) == ("timed_out", "no answer within 0.1 s")


async def test_our_own_deadline_blames_nobody() -> None:
    """Fault G02: late for us is not late for it; what comes later is kept."""
    gate = Gate()
    async with server(gate.answer) as url, asking(facility_cache_s=60.0) as world:
        met = await silence(world, live(url), within_s=0.05)
        assert (met.state, met.ours) == ("timed_out", True)
        assert world.asker.figures("test").error_rate == 0.0
        gate.open.set()
        await until(lambda: world.asker.figures("test").requests == 1)
        answer = await world.ask(live(url))
        assert (pids(answer), gate.asked) == (["1"], 1)
        assert answer.age_s > 0


async def test_a_deadline_that_is_over_asks_nobody_for_long() -> None:
    gate = Gate()
    async with server(gate.answer) as url, asking() as world:
        for number in range(20):
            met = await silence(world, live(url), different(number), within_s=-1.0)
            assert (met.state, met.ours) == ("timed_out", True)
        await until(lambda: world.asker.figures("test").waiting == 0)


async def test_waiting_in_our_queue_is_nobodys_slowness() -> None:
    """Fault A05: the bulkhead keeps some back, and these never count against the facility."""
    gate = Gate()
    async with server(gate.answer) as url, asking(facility_at_once=2) as world:
        async with anyio.create_task_group() as tasks:
            met: list[FacilitySilent] = []

            async def ask(number: int) -> None:
                met.append(await silence(world, live(url), different(number), within_s=0.1))

            for number in range(6):
                tasks.start_soon(ask, number)
        assert gate.most_at_once == 2
        assert sorted("own queue" in one.reason for one in met) == [False] * 2 + [True] * 4
        assert all(one.ours for one in met)
        figures = world.asker.figures("test")
        assert (figures.in_flight, figures.waiting, figures.requests) == (2, 0, 0)
        assert figures.breaker == "closed"
        gate.open.set()


async def test_one_that_hangs_holds_up_no_other() -> None:
    """Fault G03: connections are each facility's own."""
    gate = Gate()
    async with server(gate.answer) as url, facility() as well, asking(facility_at_once=2) as world:
        hanging = live(url, name="hanging")

        async def ask_in_vain(number: int) -> None:
            await silence(world, hanging, different(number), within_s=1)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(ask_in_vain, number)
            await gate.until_asked(2)
            for number in range(20):
                answer = await world.ask(live(well, name="well"), different(number % 7))
                assert pids(answer) == expected()[: number % 7 + 1]
            tasks.cancel_scope.cancel()


KINDS = [
    ("reset", "unreachable", 3),
    ("stall", "timed_out", 3),
    ("error:429", "too_many", 1),
    ("error:403", "access", 1),
    ("html", "access", 1),
    ("error:502", "broken", 5),
    ("empty-body", "broken", 5),
]


@pytest.mark.parametrize(("faults", "trouble", "after"), KINDS)
async def test_each_kind_of_trouble_pauses_for_as_long_as_it_should(
    faults: str, trouble: Any, after: int
) -> None:
    """Fault G12: what happened decides, and the reason and the time of return are told."""
    limit_s = 0.1 if faults == "stall" else 5.0
    async with facility(faults) as here, asking(facility_timeout_s=limit_s) as world:
        for number in range(after):
            met = await silence(world, live(here), different(number))
            assert met.state != "paused"
        asked = len(here.requests)
        met = await silence(world, live(here))
        assert met.state == "paused"
        assert met.until == NOW + timedelta(seconds=PAUSES[trouble].first_s)
        assert met.reason
        assert len(here.requests) == asked
        world.clock.move(PAUSES[trouble].first_s - 0.5)
        assert (await silence(world, live(here))).state == "paused"


@pytest.mark.parametrize(
    ("header", "pause_s"), [("120", 120), ("date", 120), ("absurd", 3600), ("1", 30), ("past", 30)]
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_is_honoured_and_capped(
    status: int, header: str, pause_s: float
) -> None:
    """Faults A02 and A03."""
    async with facility(f"error:{status}:{header}") as here, asking() as world:
        here.clock = world.clock
        met = await silence(world, live(here))
        assert (met.state, "asks for a pause" in met.reason) == ("failed", True)
        met = await silence(world, live(here))
        assert met.until == NOW + timedelta(seconds=pause_s)


async def test_a_503_that_says_nothing_is_a_failure_among_others() -> None:
    async with facility("error:503") as here, asking() as world:
        for number in range(PAUSES["broken"].after - 1):
            await silence(world, live(here), different(number))
        assert world.asker.figures("test").breaker == "closed"


async def test_a_facility_that_comes_back_is_trusted_step_by_step() -> None:
    """Fault G13: one probe at a time, several successes."""
    async with facility("reset") as here, asking() as world:
        for number in range(3):
            await silence(world, live(here), different(number))
        here.faults.clear()
        world.clock.move(5)
        assert world.asker.figures("test").breaker == "half_open"
        for number in range(SUCCESSES_TO_CLOSE):
            assert world.asker.figures("test").breaker == "half_open"
            assert await world.ask(live(here), different(number))
        assert world.asker.figures("test").breaker == "closed"


async def test_while_one_probes_the_others_wait_for_the_next_time() -> None:
    """Fault G13."""
    gate = Gate()
    async with facility("reset") as ill, server(gate.answer) as url, asking() as world:
        for number in range(3):
            await silence(world, live(ill), different(number))
        world.clock.move(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.ask, live(url), different(0))
            await gate.until_asked(1)
            for number in range(1, 30):
                met = await silence(world, live(url), different(number))
                assert met.state == "paused"
            assert gate.asked == 1
            gate.open.set()
        assert gate.asked == 1


async def test_a_probe_that_is_given_up_leaves_the_next_one_its_chance() -> None:
    """Fault G13: whoever leaves while the lease is written does not keep it."""
    async with facility("reset") as here, asking() as world:
        for number in range(3):
            await silence(world, live(here), different(number))
        world.clock.move(5)
        here.faults.clear()
        change = world.serving.change_breaker
        writing, written = threading.Event(), threading.Event()

        def slowly(*arguments: Any) -> Any:
            writing.set()
            written.wait()
            return change(*arguments)

        world.serving.change_breaker = slowly  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(silence, world, live(here), different(0))
            await until(writing.is_set)
            tasks.cancel_scope.cancel()
        written.set()
        await until(lambda: not world.asker.figures("test").in_flight)
        assert pids(await world.ask(live(here), different(1))) == expected()[:2]


async def test_a_probe_that_fails_pauses_for_longer() -> None:
    async with facility("reset") as here, asking() as world:
        for number in range(3):
            await silence(world, live(here), different(number))
        for pause_s in (10, 20, 40):
            world.clock.move(300)
            assert (await silence(world, live(here))).state == "failed"
            met = await silence(world, live(here))
            assert met.until == world.clock() + timedelta(seconds=pause_s)


async def test_workers_share_pauses_and_the_probe(tmp_path: Path) -> None:
    """Faults G12 and G13: two processes' memories over one file."""
    clock, gate = Clock(), Gate()
    first, second = ServingStore(tmp_path), ServingStore(tmp_path)
    async with (
        facility("reset") as ill,
        server(gate.answer) as url,
        asking(serving=first, clock=clock) as one,
        asking(serving=second, clock=clock) as other,
    ):
        for number in range(3):
            await silence(one, live(ill), different(number))
        await other.asker.look()
        met = await silence(other, live(ill))
        assert (met.state, met.reason) == ("paused", "no connection")
        clock.move(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.ask, live(url), different(0))
            await gate.until_asked(1)
            assert (await silence(other, live(url), different(1))).state == "paused"
            gate.open.set()
        for number in range(SUCCESSES_TO_CLOSE - 1):
            await other.ask(live(url), different(number))
        await one.asker.look()
        assert one.asker.figures("test").breaker == "closed"
        assert gate.asked == SUCCESSES_TO_CLOSE
    first.close()
    second.close()


async def test_one_class_behind_a_login_keeps_the_others_open() -> None:
    async with facility("error:403@Datasets") as here, asking() as world:
        await silence(world, live(here), of("Dataset"))
        assert (await silence(world, live(here), of("Dataset"))).state == "paused"
        assert pids(await world.ask(live(here))) == expected()
        assert world.asker.figures("test").breaker == "closed"


async def test_failures_must_be_in_a_row() -> None:
    async with facility("error:502@every2") as here, asking() as world:
        for number in range(12):
            await world.ask(live(here), different(number % 7))
            assert (await silence(world, live(here), different(number % 7))).state == "failed"


async def test_what_was_sent_before_a_pause_does_not_prolong_it() -> None:
    gate = Gate()

    async def handle(request: web.Request) -> web.Response:
        await gate.answer(request)
        return web.Response(status=429)

    async with server(handle) as url, asking() as world:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(silence, world, live(url), different(number))
            await gate.until_asked(8)
            gate.open.set()
        met = await silence(world, live(url))
        assert met.until == NOW + timedelta(seconds=PAUSES["too_many"].first_s)


async def test_a_second_attempt_is_made_beside_a_slow_first_one() -> None:
    asked: list[int] = []
    never = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        asked.append(orjson.loads(request.query["filter"])["limit"])
        if asked.count(500) == 1:
            await never.wait()
        return web.json_response([{"pid": "1"}])

    async with server(handle) as url, asking() as world:
        for number in range(40):
            await world.ask(live(url), different(number))
        answer = await world.ask(live(url), of("Document", limit=500))
        assert pids(answer) == ["1"]
        assert asked.count(500) == 2
        assert world.asker.figures("test").error_rate == 0.0


@pytest.mark.parametrize("why", ["dear", "too little known", "share used up", "no place"])
async def test_no_second_attempt_where_it_would_do_harm(why: str) -> None:
    gate = Gate()
    gate.open.set()
    known = 5 if why == "too little known" else 40

    async with (
        server(gate.answer) as url,
        asking(facility_at_once=1 if why == "no place" else 8) as world,
    ):
        for number in range(known):
            await world.ask(live(url), different(number))
        gate.open.clear()
        before = gate.asked
        line = world.asker._line(live(url).source)
        if why == "share used up":
            for _ in range(3):
                line.window.hedged()
        question = Question("Document", {"limit": 500}, cheap=why != "dear")
        met = await silence(world, live(url), question, within_s=0.15)
        assert gate.asked == before + 1
        gate.open.set()
    assert met.state == "timed_out"


async def test_a_probe_has_no_second_attempt() -> None:
    gate = Gate()
    gate.open.set()
    async with server(gate.answer) as url, facility("reset") as ill, asking() as world:
        for number in range(40):
            await world.ask(live(url), different(number))
        for number in range(3):
            await silence(world, live(ill), different(100 + number))
        world.clock.move(5)
        gate.open.clear()
        before = gate.asked
        await silence(world, live(url), different(200), within_s=0.15)
        assert gate.asked == before + 1
        gate.open.set()


async def test_equal_questions_share_a_request() -> None:
    gate = Gate()
    async with server(gate.answer) as url, asking() as world:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await world.ask(live(url)))

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(ask)
            await gate.until_asked(1)
            gate.open.set()
    assert gate.asked == 1
    assert [pids(answer) for answer in answers] == [["1"]] * 30


async def test_sharing_can_be_switched_off() -> None:
    gate = Gate()
    async with (
        server(gate.answer) as url,
        asking(facility_single_flight=0) as world,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(5):
            tasks.start_soon(world.ask, live(url))
        await gate.until_asked(5)
        gate.open.set()
    assert gate.asked == 5


async def test_those_who_wait_survive_the_leaving_of_the_first() -> None:
    gate = Gate()
    async with server(gate.answer) as url, asking() as world, anyio.create_task_group() as tasks:
        first = anyio.CancelScope()
        answers: list[Any] = []

        async def ask_first() -> None:
            with first:
                await world.ask(live(url))

        async def ask_too() -> None:
            answers.append(await world.ask(live(url)))

        tasks.start_soon(ask_first)
        await gate.until_asked(1)
        tasks.start_soon(ask_too)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        gate.open.set()
    assert (gate.asked, [pids(one) for one in answers]) == (1, [["1"]])


async def test_a_failure_is_shared_and_each_gets_an_error_of_his_own() -> None:
    async with facility("error:502") as here, asking() as world:
        met: list[FacilitySilent] = []

        async def ask() -> None:
            met.append(await silence(world, live(here)))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
    assert len(here.requests) == 1
    assert len({id(one) for one in met}) == 10
    assert {(one.state, one.reason) for one in met} == {("failed", "HTTP 502")}


async def test_a_question_nobody_waits_for_leaves_our_queue() -> None:
    gate = Gate()
    async with server(gate.answer) as url, asking(facility_at_once=1) as world:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.ask, live(url), different(0))
            await gate.until_asked(1)
            for number in range(1, 10):
                await silence(world, live(url), different(number), within_s=0.01)
            await until(lambda: world.asker.figures("test").waiting == 0)
            gate.open.set()
        assert gate.asked == 1


async def test_closing_ends_what_is_under_way() -> None:
    gate = Gate()
    async with server(gate.answer) as url:
        async with asking() as world, anyio.create_task_group() as tasks:
            met: list[Any] = []

            async def ask() -> None:
                met.append(await silence(world, live(url)))

            tasks.start_soon(ask)
            await gate.until_asked(1)
            await world.asker.__aexit__(None, None, None)
        assert [one.reason for one in met] == ["this server is closing"]


async def test_failures_and_leavings_keep_no_connection() -> None:
    """Fault A06: hundreds of each kind, and the sockets are counted."""
    process = psutil.Process()
    faults = ("error:502", "empty-body", "html", "reset", "break-off", "stall", "slow:30s", "")
    async with facility() as here, asking(facility_timeout_s=0.05, facility_at_once=4) as world:
        await world.ask(live(here))
        for fault in faults:
            here.faults.set(fault)
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    source = live(here, name=f"s{number % 5}-{fault}")

                    async def ask(source: Any = source, number: int = number) -> None:
                        with contextlib.suppress(FacilitySilent):
                            await world.ask(source, different(number), within_s=0.2)

                    tasks.start_soon(ask)
        here.faults.clear()
        names = [f"s{number}-{fault}" for number in range(5) for fault in faults]
        await until(lambda: not any(world.asker.figures(name).in_flight for name in names))
        port = int(here.base_url.rsplit(":", 1)[1])
        open_now = [
            one
            for one in process.net_connections("tcp")
            if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED"
        ]
        # Five sources with four places each keep theirs after the four faults that end in whole
        # answers; what broke off, stalled or was left is gone.
        assert len(open_now) <= 1 + 4 * 5 * 4
