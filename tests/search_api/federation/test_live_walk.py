"""An hour of ten facilities that come and go at random, on simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import anyio
import pytest

from search_api.settings import ServerSettings
from simulator import Schedule, random_walk
from simulator.scripts import Script
from simulator.simulated_time import SimulatedLoop, run_simulated
from tests.search_api.federation.live_world import CHECKED_S, Answered, Prepared, World, live_world

HOUR_S = 3_600.0
DEADLINE_S = 3.0
GRACE_S = 0.05
LONGEST_REQUEST_S = ServerSettings().facility_longest_s
LONGEST_PAUSE_S = 3_960.0
ALL = 500
QUESTIONS = (
    {"q": "lysozyme"},
    {"q": "magnetic water", "match": "any"},
    {"q": "", "year": "2014-2018"},
    {"q": "polymer", "type": "datasets"},
    {"q": ""},
)
BLAME = ("timed_out", "failed", "paused")


def was_ever_ill(script: Script, from_s: float, until_s: float) -> bool:
    """Whether a facility had any fault in this stretch of time (seconds after the start)."""
    stretch = [max(from_s, 0.0), *(t for t in script.beginnings_s if from_s <= t <= until_s)]
    return any(script.at(moment) for moment in stretch)


def check_answer(
    live: Answered, truth: Answered, scripts: Sequence[Script], began_s: float, now: datetime
) -> None:
    """What holds for every answer, whatever has happened."""
    assert live.seconds <= DEADLINE_S + GRACE_S
    states = live.states()
    if live.status == 503:
        assert all(was_ever_ill(script, 0, began_s + live.seconds) for script in scripts)
        return
    assert live.status == 200
    assert len(live.keys) == len(set(live.keys))
    assert set(live.keys) <= set(truth.keys)
    missing = {name for name, state in states.items() if state in BLAME}
    for name in missing:
        script = scripts[int(name[1:])]
        line = live.lines[name]
        if line["state"] == "paused":
            assert was_ever_ill(script, began_s - LONGEST_PAUSE_S, began_s), line
            assert datetime.fromisoformat(line["until"]) > now - timedelta(seconds=DEADLINE_S)
        else:
            # Who asks the same waits for the request that is under way, however long that is.
            before_s = LONGEST_REQUEST_S if line["state"] == "timed_out" else 1.0
            assert was_ever_ill(script, began_s - before_s, began_s + live.seconds), line
        assert line["why"], line
    if live.is_exact:
        assert not missing
        assert (live.total, set(live.keys)) == (truth.total, set(truth.keys))
    else:
        assert live.total <= truth.total
    # Of what a silent facility has too, others may not know the field that was asked for.
    expected = {hit["key"] for hit in truth.json["hits"] if not missing & set(hit["facilities"])}
    if "stale" not in states.values():
        assert expected <= set(live.keys), [(name, live.lines[name]) for name in states]
    assert live.headers["X-Facilities-Missing"] == ", ".join(sorted(missing))


@pytest.mark.parametrize("seed", [1, 2])
def test_an_hour_of_faults(ten_facilities: Prepared, tmp_path: Path, seed: int) -> None:
    """Faults G01, G02, G05, G12 to G16, E07: no answer past its deadline, no hit twice, nobody
    blamed who was well, and everybody who is well for long is asked again."""
    walks: list[Schedule] = [
        [*random_walk(Random(seed * 100 + place), HOUR_S, mean_s=90.0), (HOUR_S, "")]
        for place in range(10)
    ]
    scripts = [Script.read(walk) for walk in walks]

    async def main(loop: SimulatedLoop) -> list[dict[str, str]]:
        seen = []
        async with live_world(loop, tmp_path, ten_facilities, schedules=walks) as world:
            truths = [await world.truth.search(limit=ALL, **asked) for asked in QUESTIONS]
            number = 0
            while loop.time() < CHECKED_S + HOUR_S:
                asked = QUESTIONS[number % len(QUESTIONS)]
                began_s = loop.time() - CHECKED_S
                live = await ask(world, asked)
                check_answer(live, truths[number % len(QUESTIONS)], scripts, began_s, loop.now())
                if live.status == 200:
                    seen.append(live.states())
                number += 1
                await anyio.sleep(17)
            # Everybody is well from now on: whoever was paused comes back.
            for _ in range(40):
                await anyio.sleep(120)
                last = await ask(world, {"q": f"film {number}", "match": "any"})
                number += 1
            assert set(last.states().values()) == {"answered"}
        return seen

    seen = run_simulated(main)
    states = {state for states in seen for state in states.values()}
    assert states >= {"answered", "timed_out", "failed", "paused"}


async def ask(world: World, asked: dict[str, str]) -> Answered:
    """A question nobody has asked lately, so that facilities are really asked."""
    return await world.live.search(limit=ALL, deadline_ms=int(DEADLINE_S * 1000), **asked)


def test_many_clients_at_once_while_facilities_come_and_go(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Under load: 40 clients for ten minutes, distinct questions, the same rules."""
    walks: list[Schedule] = [random_walk(Random(700 + n), 600.0, mean_s=60.0) for n in range(10)]
    scripts = [Script.read(walk) for walk in walks]

    async def main(loop: SimulatedLoop) -> int:
        answers = 0
        async with live_world(loop, tmp_path, ten_facilities, schedules=walks) as world:
            truths = [await world.truth.search(limit=ALL, **asked) for asked in QUESTIONS]

            async def client(number: int) -> None:
                nonlocal answers
                random = Random(number)
                while loop.time() < CHECKED_S + 600:
                    which = random.randrange(len(QUESTIONS))
                    began_s = loop.time() - CHECKED_S
                    live = await ask(world, QUESTIONS[which])
                    check_answer(live, truths[which], scripts, began_s, loop.now())
                    answers += 1
                    await anyio.sleep(random.uniform(20, 60))

            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(client, number)
        return answers

    assert run_simulated(main) > 300
