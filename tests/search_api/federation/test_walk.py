"""Ten facilities through an hour of faults in simulated time: late never, blamed never wrongly."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import pytest

from search_api.federation.asking import Asker
from search_api.federation.errors import FacilitySilent
from search_api.federation.questions import LiveSource
from search_api.federation.serving_store import ServingStore
from simulator import FacilitySpec, Record, RestOptions, running
from simulator.scripts import Schedule, random_walk
from simulator.simulated_time import SimulatedLoop, run_simulated
from tests.search_api.federation.asking_world import (
    NOW,
    documents,
    expected,
    live,
    of,
    pids,
    settings,
)

WELL = ("well0", "well1", "well2", "well3")
ILL = tuple(f"ill{number}" for number in range(6))
DEADLINE_S = 3.0
ROUNDING_S = 0.01


@dataclass
class Seen:
    """What came of all questions."""

    answered: int = 0
    stale: int = 0
    silent: int = 0
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    blamed: list[str] = field(default_factory=list)
    paused_at_the_end: list[str] = field(default_factory=list)


async def one_question(
    loop: SimulatedLoop, asker: Asker, source: LiveSource, number: int, seen: Seen
) -> None:
    """Ask, and hold the answer against what is true."""
    name, limit = source.source.name, number % 7 + 1
    began = loop.time()
    question = of("Document", limit=limit, skip=number % 3)
    try:
        answer = await asker.ask(source, question, deadline=began + DEADLINE_S)
    except FacilitySilent as silence:
        seen.silent += 1
        if name in WELL:
            seen.blamed.append(f"{name}: {silence}")
    else:
        seen.answered += 1
        seen.stale += answer.stale
        empty_now_and_then = name in ILL and not pids(answer)
        true = expected()[number % 3 :][:limit]
        if pids(answer) != true and not empty_now_and_then:
            seen.wrong.append(f"{name} at {began}: {pids(answer)} for {true}")
        if name in WELL and answer.stale:
            seen.blamed.append(f"{name}: stale because {answer.reason}")
    if loop.time() - began > DEADLINE_S + ROUNDING_S:
        seen.late.append(f"{name}: {loop.time() - began:.2f} s")


async def walk(loop: SimulatedLoop, folder: Path, seed: int, duration_s: float) -> Seen:
    """Ask every facility about every two seconds, from two workers that share a memory."""
    chance, seen = Random(seed), Seen()
    records = [Record(one["pid"], NOW, document=one) for one in documents()]
    stores = [ServingStore(folder), ServingStore(folder)]
    async with AsyncExitStack() as stack:
        sources: list[LiveSource] = []
        for name in (*WELL, *ILL):
            schedule: Schedule = ()
            if name in ILL:
                schedule = [*random_walk(chance, duration_s, well=0.4), (duration_s, "")]
            spec = FacilitySpec(name, records=records, rest=RestOptions(), schedule=schedule)
            here = await stack.enter_async_context(running(spec, clock=loop.now))
            sources.append(live(here, name=name))
        keeping = settings(facility_cache_s=1.0, facility_stale_s=120.0, facility_at_once=3)
        askers = [
            await stack.enter_async_context(
                Asker(store, keeping, node="here", now=loop.now, monotonic=loop.time,
                      random=chance.random, environment={})
            )
            for store in stores
        ]  # fmt: skip
        async with anyio.create_task_group() as tasks:
            number = 0
            while loop.time() < duration_s:
                for source in sources:
                    number += 1
                    asker = chance.choice(askers)
                    tasks.start_soon(one_question, loop, asker, source, number, seen)
                await asyncio.sleep(chance.expovariate(1 / 2.0))
        await until_well(askers, sources, seen)
    for store in stores:
        store.close()
    return seen


async def until_well(askers: list[Asker], sources: list[LiveSource], seen: Seen) -> None:
    """After the faults: hours pass, everybody is asked now and then, and nobody stays paused."""
    for number in range(12):
        await asyncio.sleep(1300)
        for source in sources:
            try:
                deadline = askers[0].monotonic() + DEADLINE_S
                question = of("Document", limit=1000 + number)
                await askers[number % 2].ask(source, question, deadline=deadline)
            except FacilitySilent as silence:
                if silence.state != "paused":
                    seen.blamed.append(f"{source.source.name}, well again: {silence}")
    for asker in askers:
        await asker.look()
    seen.paused_at_the_end = [
        source.source.name
        for source in sources
        for asker in askers
        if asker.figures(source.source.name).breaker != "closed"
        or asker.figures(source.source.name).in_flight
    ]


def held(tmp_path: Path, seed: int, duration_s: float) -> Seen:
    """Walk, and hold what must always hold."""
    seen = run_simulated(lambda loop: walk(loop, tmp_path, seed, duration_s))
    assert seen.late == []
    assert seen.wrong == []
    assert seen.blamed == []
    assert seen.paused_at_the_end == []
    assert seen.answered > seen.silent > 0
    assert seen.stale > 0
    return seen


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_some_minutes_of_faults(tmp_path: Path) -> None:
    """Faults G02, G03, G12, G13 and G15, in any order."""
    held(tmp_path, seed=1, duration_s=180.0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_hour_of_faults(tmp_path: Path, seed: int) -> None:
    """The same for as long as a server's memory of troubles."""
    held(tmp_path, seed=seed, duration_s=3600.0)
