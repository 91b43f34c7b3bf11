"""Facilities whose behaviour changes in the course of (simulated) time."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp
import pytest

from simulator import (
    BEHAVIOURS,
    Facility,
    FacilitySpec,
    RestOptions,
    flapping,
    random_walk,
    running,
    running_all,
)
from simulator.errors import PortInUse, UnknownFault
from simulator.scripts import Script
from simulator.simulated_time import START, SimulatedLoop, run_simulated


async def answered(session: aiohttp.ClientSession, facility: Facility) -> int | str:
    """The status of an answer, or the kind of silence."""
    try:
        async with session.get(facility.api_url + "/Documents") as response:
            body = await response.read()
            if response.status == 200:
                json.loads(body)
            return response.status
    except TimeoutError:
        return "silent"
    except ValueError:
        return "no JSON"
    except aiohttp.ClientConnectorError:
        return "refused"
    except aiohttp.ClientError:
        return "broken off"


def spec(name: str = "Test", **own: Any) -> FacilitySpec:
    return FacilitySpec(name, rest=RestOptions(), **own)


def patience(seconds: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds))


def test_a_schedule_says_what_holds_and_until_when() -> None:
    script = Script.read([(60, "slow:2s"), (120, ""), (20, "error:503,twice")])
    names = [[fault.name for fault in script.at(t)] for t in (0, 20, 59.9, 60, 119, 120, 9000)]
    assert names == [[], ["error", "twice"], ["error", "twice"], ["slow"], ["slow"], [], []]
    assert [script.next_change_s(t) for t in (0, 20, 60, 120)] == [20, 60, 120, None]
    with pytest.raises(UnknownFault):
        Script.read([(0, "slwo")])


def test_a_facility_goes_through_its_schedule() -> None:
    schedule = [
        (0, ""), (60, "error:503"), (120, "refuse"), (180, "hang"), (240, "stall:1"),
        (300, "reset"), (360, "not-json"), (420, ""),
    ]  # fmt: skip

    async def watch(loop: SimulatedLoop) -> list[int | str]:
        async with running(spec(schedule=schedule)) as facility, patience(5) as session:
            seen = []
            for number in range(8):
                await asyncio.sleep(number * 60 + 10 - loop.time())
                seen.append(await answered(session, facility))
            return seen

    assert run_simulated(watch) == [
        200, 503, "refused", "silent", "silent", "broken off", "no JSON", 200
    ]  # fmt: skip


def test_the_port_stays_the_facilitys_own_while_it_refuses() -> None:
    async def watch(loop: SimulatedLoop) -> tuple[list[int | str], str, str]:
        flaps = flapping(10, 5, 60)
        async with running(spec(schedule=flaps)) as facility, patience(5) as session:
            before = facility.api_url
            seen = []
            for number in range(12):
                await asyncio.sleep(number * 5 + 1 - loop.time())
                seen.append(await answered(session, facility))
            return seen, before, facility.api_url

    seen, before, after = run_simulated(watch)
    assert seen == [200, 200, "refused"] * 4
    assert before == after


def test_connections_kept_open_break_when_the_facility_goes_away() -> None:
    async def watch(loop: SimulatedLoop) -> tuple[int | str, float]:
        late = spec(faults="slow:30s", schedule=[(10, "refuse")])
        async with running(late) as facility, patience(20) as session:
            return await answered(session, facility), loop.time()

    # The client library tries once more by itself, and finds nobody.
    assert run_simulated(watch) == ("refused", 10)


def test_what_a_facility_always_has_stays_through_all_phases() -> None:
    async def watch(loop: SimulatedLoop) -> list[list[str]]:
        async with running(spec(faults="twice", schedule=[(10, "error:500")])) as facility:
            first = [fault.name for fault in facility.faults]
            await asyncio.sleep(11)
            return [first, [fault.name for fault in facility.faults]]

    assert run_simulated(watch) == [["twice"], ["twice", "error"]]


async def test_a_facility_that_refuses_from_the_start_can_be_started() -> None:
    async with running(spec(faults="refuse")) as facility, patience(5) as session:
        assert await answered(session, facility) == "refused"


async def test_a_port_that_somebody_listens_at_is_not_taken() -> None:
    async with running(spec()) as first:
        port = int(first.base_url.rpartition(":")[2])
        with pytest.raises(PortInUse, match="Other cannot listen"):
            async with running(spec("Other"), port=port):
                pass


def test_an_hour_of_ten_facilities_passes_in_moments_and_always_alike() -> None:
    walks = [random_walk(random.Random(n), 3600) for n in range(10)]
    assert walks == [random_walk(random.Random(n), 3600) for n in range(10)]

    async def watch(loop: SimulatedLoop) -> list[list[int | str]]:
        specs = [spec(f"F{n}", schedule=walk) for n, walk in enumerate(walks)]
        seen = []
        async with running_all(specs) as facilities, patience(5) as session:
            while loop.time() < 3600:
                seen.append(list(await asyncio.gather(*(answered(session, f) for f in facilities))))
                await asyncio.sleep(97)
            assert (facilities[0].clock() - START).total_seconds() != 0
        return seen

    seen = run_simulated(watch)
    kinds = {each for row in seen for each in row}
    assert kinds >= {200, 429, 503, "refused", "silent", "no JSON", "broken off"}
    assert 0.4 < sum(row.count(200) for row in seen) / (len(seen) * 10) < 0.95


def test_delays_are_drawn_alike_for_the_same_facility() -> None:
    async def delays(loop: SimulatedLoop) -> list[float]:
        async with running(spec(faults="slow:1s..3s")) as facility, patience(60) as session:
            found = []
            for _ in range(5):
                before = loop.time()
                await answered(session, facility)
                found.append(round(loop.time() - before, 6))
            return found

    first, again = run_simulated(delays), run_simulated(delays)
    assert first == again
    assert len(set(first)) == 5
    assert all(1 <= each <= 3 for each in first)


def test_bodies_trickle_and_services_hang() -> None:
    async def watch(loop: SimulatedLoop) -> list[tuple[int | str, float]]:
        seen = []
        for fault in ("trickle:1", "hang:1m", "slow:~4s"):
            begun = loop.time()
            async with running(spec(faults=fault)) as facility, patience(300) as session:
                seen.append((await answered(session, facility), round(loop.time() - begun)))
        return seen

    trickled, hung, drawn = run_simulated(watch)
    assert trickled == (200, 1)  # the second byte of []
    assert hung == (200, 60)
    assert drawn[0] == 200
    assert 0 < drawn[1] < 40


def test_every_behaviour_of_a_random_walk_is_a_fault() -> None:
    assert Script.read([(0, behaviour) for behaviour in BEHAVIOURS])
