"""How long a facility is waited for is learnt from how long it takes (fault G03)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from search_api.federation.asking import Asker
from search_api.federation.errors import FacilitySilent
from search_api.federation.latencies import (
    ENOUGH,
    FIRST_STEP_S,
    HALF_LIFE_S,
    IDLE_S,
    MOST_WEIGHT,
    STEP,
    STEPS,
    Bounds,
    Histories,
    History,
    Limits,
    aged,
    in_words,
    is_idle,
    kind_of,
    limits_from,
    seconds_of,
    step_of,
    together,
)
from search_api.federation.participants import Asked
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.serving_store import ServingStore
from simulator import Facility, FacilitySpec, Record, RestOptions, running
from simulator.scripts import Schedule
from simulator.simulated_time import SimulatedLoop, run_simulated
from tests.search_api.federation.asking_world import NOW, documents, live, of, pids, settings
from tests.search_api.federation.federation_world import Part, world
from tests.search_api.federation.federation_world import documents as nested
from tests.search_api.federation.served_world import served

BOUNDS = Bounds(wait_s=1.5, give_up_s=4.0, longest_s=20.0)


def history(*answers_s: float, given_up_s: tuple[float, ...] = (), at: float = 0.0) -> History:
    """What is noted of answers and of requests given up."""
    noted = Histories()
    for one in answers_s:
        noted.answered("a", "k", one)
    for one in given_up_s:
        noted.given_up("a", "k", one)
    return together(History(at=at), noted.take_new().get(("a", "k"), History()), at)


# --- what a history says ----------------------------------------------------------------------


@pytest.mark.parametrize("elapsed_s", [0.0, 0.004, 0.01, 0.011, 0.5, 3.9, 60.0])
def test_a_step_is_at_most_a_quarter_longer_than_what_it_holds(elapsed_s: float) -> None:
    assert elapsed_s <= seconds_of(step_of(elapsed_s)) <= max(FIRST_STEP_S, elapsed_s * STEP)


def test_no_time_is_told_as_none() -> None:
    assert [in_words(seconds) for seconds in (3.46, 0.1, 0.0021)] == ["3.5 s", "0.1 s", "2 ms"]


def test_the_last_step_holds_all_that_is_longer() -> None:
    assert step_of(1e9) == STEPS - 1


def test_of_an_unknown_facility_nothing_is_usual() -> None:
    """Fault G03: too little known is no reason to be impatient."""
    assert limits_from(History(), BOUNDS) == Limits(None, 4.0)
    assert limits_from(history(*[0.1] * int(ENOUGH - 1)), BOUNDS) == Limits(None, 4.0)


def test_a_quick_facility_is_waited_for_a_while_and_given_up_as_ever() -> None:
    assert limits_from(history(*[0.05] * 30), BOUNDS) == Limits(1.5, 4.0)


def test_a_slow_facility_is_given_more_time() -> None:
    """Fault G03: three or five seconds are too short for some."""
    found = limits_from(history(*[3.0] * 30), BOUNDS)
    assert found.wait_s == found.give_up_s == pytest.approx(6.5, rel=0.25)


def test_one_answer_in_a_hundred_is_no_rule() -> None:
    assert limits_from(history(*[0.05] * 199, 3.0), BOUNDS).wait_s == 1.5
    waited = limits_from(history(*[0.05] * 190, *[3.0] * 10), BOUNDS).wait_s
    assert waited is not None
    assert waited > 3.0


def test_who_is_given_up_gets_more_time_until_the_most() -> None:
    """Fault G03: what was given up after 4 s might have come after 5."""
    limit_s, seen = 4.0, []
    for _ in range(4):
        limit_s = limits_from(history(given_up_s=(limit_s,) * 3), BOUNDS).give_up_s
        seen.append(limit_s)
    assert seen == sorted(seen)
    assert 8.0 <= seen[0] <= 10.0
    assert seen[-1] == 20.0


def test_two_that_are_given_up_are_no_rule() -> None:
    assert limits_from(history(given_up_s=(4.0, 4.0)), BOUNDS).give_up_s == 4.0


def test_silence_makes_nobody_wait_longer_for_what_is_usual() -> None:
    """One that hangs now and then is given more time in the background, not by who waits."""
    limits = limits_from(history(*[0.05] * 40, given_up_s=(4.0,) * 10), BOUNDS)
    assert limits.wait_s == 1.5
    assert limits.give_up_s > 4.0


def test_what_is_configured_wins() -> None:
    configured = Bounds(1.5, 0.7, 20.0, is_configured=True)
    assert limits_from(history(*[3.0] * 30), configured) == Limits(None, 0.7)


def test_a_server_whose_limit_is_above_the_longest_keeps_its_own() -> None:
    assert limits_from(history(*[3.0] * 30), Bounds(1.5, 30.0, 20.0)).give_up_s == 30.0


def test_old_observations_fade_and_are_forgotten() -> None:
    old = history(*[3.0] * 30)
    assert aged(old, HALF_LIFE_S).answered == pytest.approx(15.0)
    assert limits_from(aged(old, HALF_LIFE_S), BOUNDS).wait_s is None


def test_a_clock_that_was_set_back_makes_nothing_younger() -> None:
    """Fault H10."""
    old = history(*[3.0] * 30, at=1e9)
    assert aged(old, 0.0).answered == 30.0


def test_a_change_shows_within_some_requests_however_long_the_history() -> None:
    long = History()
    for _ in range(50):
        long = together(long, history(*[0.05] * 100), 0.0)
    assert long.answered == pytest.approx(MOST_WEIGHT)
    changed = together(long, history(*[3.0] * 8), 0.0)
    waited = limits_from(changed, BOUNDS).wait_s
    assert waited is not None
    assert waited > 3.0


def test_questions_that_take_about_as_long_are_of_one_kind() -> None:
    kinds = [
        kind_of(Question("Document", {"limit": 100})),
        kind_of(Question("Document", {"limit": 1000})),
        kind_of(Question("Document", {})),
        kind_of(Question("Dataset", {"limit": 10})),
        kind_of(Question("Document", {"where": {}}, count=True)),
        kind_of(Question("Document", {}, pid="1")),
    ]
    assert kinds == ["Document list", "Document long list", "Document long list",
                     "Dataset list", "Document count", "Document one"]  # fmt: skip


@pytest.mark.parametrize(
    ("ago_s", "idle"), [(None, True), (0.0, False), (59.0, False), (61.0, True), (-61.0, True)]
)
def test_after_a_minute_alone_a_facility_may_sleep(ago_s: float | None, idle: bool) -> None:
    assert is_idle(None if ago_s is None else 1000.0 - ago_s, 1000.0) is idle


def test_histories_are_shared_and_survive(tmp_path: Path) -> None:
    stores = [ServingStore(tmp_path), ServingStore(tmp_path)]
    one, other = Histories(), Histories()
    for _ in range(12):
        one.answered("a", "Document list", 0.2)
        other.answered("a", "Document list", 3.0)
    one.take_over(stores[0].add_latencies(one.take_new(), NOW))
    other.take_over(stores[1].add_latencies(other.take_new(), NOW))
    one.take_over(stores[0].add_latencies(one.take_new(), NOW))
    assert one.limits("a", "Document list", BOUNDS) == other.limits("a", "Document list", BOUNDS)
    assert one.of("a")["Document list"].answered == 24.0
    for store in stores:
        store.close()
    again = ServingStore(tmp_path)
    assert again.add_latencies({}, NOW)["a", "Document list"].answered == 24.0
    again.close()


# --- facilities in simulated time -------------------------------------------------------------


class There:
    """A facility and one who asks it, in simulated time."""

    def __init__(self, loop: SimulatedLoop, asker: Asker, source: LiveSource, here: Facility):
        self.loop, self.asker, self.source, self.here = loop, asker, source, here

    async def ask(
        self, number: int, *, within_s: float = 3.5, is_patient: bool = False
    ) -> tuple[FacilityAnswer | FacilitySilent, float]:
        """The answer or the silence, and after how many seconds."""
        began = self.loop.time()
        question = of("Document", limit=number % 90 + 1)
        try:
            found: Any = await self.asker.ask(
                self.source, question, deadline=began + within_s, is_patient=is_patient
            )
        except FacilitySilent as silence:
            found = silence
        return found, self.loop.time() - began

    async def get_used_to(self) -> None:
        """So many answers that what is usual is known."""
        for number in range(30):
            found, _ = await self.ask(number)
            assert isinstance(found, FacilityAnswer)
        await self.asker.look()


def lived(scene: Callable[[There], Awaitable[None]], schedule: Schedule, **options: Any) -> None:
    """Play a scene with a facility that keeps to a schedule."""

    async def play(loop: SimulatedLoop) -> None:
        records = [Record(one["pid"], NOW, document=one) for one in documents()]
        spec = FacilitySpec("Test", records=records, rest=RestOptions(), schedule=schedule)
        store = ServingStore(None)
        keeping = settings(facility_timeout_s=4.0, facility_cache_s=600.0, facility_stale_s=0.0)
        async with (
            running(spec, clock=loop.now) as here,
            Asker(store, keeping, node="here", now=loop.now, monotonic=loop.time,
                  random=lambda: 0.0, environment={}) as asker,
        ):  # fmt: skip
            await scene(There(loop, asker, live(here, **options), here))
        store.close()

    run_simulated(play)


QUICK_THEN_SLOW: Schedule = [(0, ""), (5, "slow:2500ms")]


def test_one_that_is_usually_quick_is_not_waited_for_when_it_is_not() -> None:
    """Fault G03: a soft limit to answer, nobody blamed, and what comes late is kept."""

    async def scene(there: There) -> None:
        await there.get_used_to()
        await anyio.sleep(5)
        found, waited_s = await there.ask(40)
        assert isinstance(found, FacilitySilent)
        assert (found.state, found.ours) == ("timed_out", True)
        assert "usually" in found.reason
        assert waited_s == pytest.approx(1.5, abs=0.1)
        assert there.asker.figures("test").error_rate == 0.0
        await anyio.sleep(2)
        asked = len(there.here.requests)
        found, waited_s = await there.ask(40)
        assert isinstance(found, FacilityAnswer)
        assert pids(found)
        assert waited_s < 0.1
        assert len(there.here.requests) == asked

    lived(scene, QUICK_THEN_SLOW)


def test_one_that_became_slow_is_soon_waited_for() -> None:
    """Fault G03."""

    async def scene(there: There) -> None:
        await there.get_used_to()
        await anyio.sleep(5)
        in_vain = 0
        for number in range(30, 40):
            found, _ = await there.ask(number)
            in_vain += isinstance(found, FacilitySilent)
            await anyio.sleep(3)
            await there.asker.look()
        assert in_vain < 4

    lived(scene, QUICK_THEN_SLOW)


def test_who_names_a_deadline_waits_until_then() -> None:
    async def scene(there: There) -> None:
        await there.get_used_to()
        await anyio.sleep(5)
        async with anyio.create_task_group() as tasks:
            impatient: list[Any] = []

            async def leave_early() -> None:
                impatient.append(await there.ask(40))

            tasks.start_soon(leave_early)
            found, waited_s = await there.ask(40, is_patient=True)
        assert isinstance(found, FacilityAnswer)
        assert waited_s == pytest.approx(2.5, abs=0.1)
        assert isinstance(impatient[0][0], FacilitySilent)

    lived(scene, QUICK_THEN_SLOW)


def test_after_an_idle_spell_one_may_be_slow_to_wake() -> None:
    """Fault G03: every engine "times out" after an idle spell."""

    async def scene(there: There) -> None:
        await there.get_used_to()
        await anyio.sleep(IDLE_S + 5)
        found, waited_s = await there.ask(40)
        assert isinstance(found, FacilityAnswer)
        assert waited_s == pytest.approx(2.5, abs=0.1)

    lived(scene, QUICK_THEN_SLOW)


def test_one_that_needs_more_than_our_limit_is_given_it_in_the_end() -> None:
    """Fault G03: whoever takes six seconds is not given up after four for ever."""

    async def scene(there: There) -> None:
        for number in range(3):
            found, _ = await there.ask(number)
            assert isinstance(found, FacilitySilent)
            await anyio.sleep(1)
        await there.asker.look()
        await anyio.sleep(60)
        found, _ = await there.ask(4)
        assert isinstance(found, FacilitySilent)
        await anyio.sleep(4)
        found, _ = await there.ask(4)
        assert isinstance(found, FacilityAnswer)
        assert pids(found)

    lived(scene, [(0, "slow:6s")])


def test_a_limit_of_its_own_leaves_nothing_to_learn() -> None:
    """Fault G03: the configured value wins."""

    async def scene(there: There) -> None:
        await there.get_used_to()
        await anyio.sleep(5)
        found, waited_s = await there.ask(40)
        assert isinstance(found, FacilityAnswer)
        assert waited_s == pytest.approx(2.5, abs=0.1)
        figures = there.asker.limits(there.source.source)
        assert figures.bounds.is_configured
        assert {one.limits for one in figures.kinds.values()} == {Limits(None, 3.0)}

    lived(scene, QUICK_THEN_SLOW, live_timeout_s=3.0)


@pytest.mark.parametrize(("deadline_s", "is_patient"), [(None, False), (2.0, True)])
async def test_a_deadline_of_the_request_is_one_that_somebody_means(
    tmp_path: Path, deadline_s: float | None, is_patient: bool
) -> None:
    async with world(tmp_path, Part("Quick", nested(0, 3))) as there:
        terms: list[bool] = []
        ask = there.federation.asker.ask

        async def noting(*question: Any, **how: Any) -> FacilityAnswer:
            terms.append(how["is_patient"])
            return await ask(*question, **how)

        there.federation.asker.ask = noting  # type: ignore[method-assign]
        await there.ask(asked=Asked(deadline_s=deadline_s))
    assert set(terms) == {is_patient}


# --- looking in -------------------------------------------------------------------------------


async def test_what_was_learnt_is_shown(tmp_path: Path) -> None:
    """Fault G03."""
    quick = Part("Quick", nested(0, 5))
    own = Part("Own", nested(5, 5), options={"live_timeout_s": 2.5})
    async with served(tmp_path, quick, own) as there:
        for number in range(25):
            await there.client.get(f"/api/Documents?limit={number + 1}")
        await there.live.asker.look()
        found = {
            one["name"]: one for one in await (await there.client.get("/api/facilities")).json()
        }
        learnt, configured = found["Quick"]["live"]["limits"], found["Own"]["live"]["limits"]
        assert (learnt["origin"], learnt["give_up_ms"]) == ("learnt", 4000)
        kind = learnt["kinds"]["Document long list"]
        assert kind["answers"] >= 20
        assert 0 < kind["p50_ms"] <= kind["p99_ms"]
        assert (kind["wait_ms"], kind["give_up_ms"]) == (1500, 4000)
        assert (configured["origin"], configured["give_up_ms"]) == ("configured", 2500)
        assert configured["kinds"]["Document long list"]["wait_ms"] is None
