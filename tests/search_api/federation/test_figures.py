"""What is told of how facilities have answered lately."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from search_api.federation.errors import FacilitySilent
from search_api.federation.figures import MOST_KEPT, WINDOW_S, Window, percentile
from search_api.federation.metrics import FederationMeasurements
from tests.search_api.federation.asking_world import NOW, asking, facility, live, of


class Time:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_percentiles_of_few_values() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    assert [percentile([float(n) for n in range(100)], share) for share in (0.5, 0.9, 0.99)] == [
        50.0,
        90.0,
        99.0,
    ]


def test_the_window_forgets_what_is_old_and_holds_no_more_than_it_should() -> None:
    time = Time()
    window = Window(time)
    for _ in range(MOST_KEPT * 3):
        window.answered(0.1, NOW)
    assert len(window.requests()) == MOST_KEPT
    time.now += WINDOW_S + 1
    window.failed(1.0, NOW, "HTTP 502")
    assert [one.well for one in window.requests()] == [False]
    assert window.latencies_s() == []


def test_a_second_attempt_waits_for_what_is_slow_here() -> None:
    window = Window(Time())
    assert window.hedge_delay_s() is None
    for number in range(100):
        window.answered(number / 100, NOW)
    assert window.hedge_delay_s() == pytest.approx(0.95, abs=0.01)


def test_a_fast_facility_is_not_asked_twice_for_milliseconds() -> None:
    window = Window(Time())
    for _ in range(50):
        window.answered(0.001, NOW)
    assert window.hedge_delay_s() == 0.02


def test_second_attempts_are_a_small_share_of_requests() -> None:
    window, second = Window(Time()), 0
    for _ in range(1000):
        window.answered(0.1, NOW)
        if window.hedge_delay_s() is not None:
            window.hedged()
            second += 1
    assert 40 <= second <= 55


async def test_an_unknown_source_has_no_figures() -> None:
    async with asking() as world:
        figures = world.asker.figures("nobody")
    assert (figures.requests, figures.error_rate, figures.p50_s) == (0, 0.0, None)
    assert (figures.breaker, figures.last_contact) == ("closed", None)


async def test_figures_tell_rates_times_and_the_pause() -> None:
    """Fault G12."""
    async with facility() as here, asking() as world:
        for number in range(6):
            await world.ask(live(here), of("Document", limit=number + 1))
        world.clock.move(10)
        here.faults.set("error:429:60")
        for _ in range(2):
            with pytest.raises(FacilitySilent):
                await world.ask(live(here))
        figures = world.asker.figures("test")
    assert (figures.requests, figures.error_rate) == (7, pytest.approx(1 / 7))
    assert figures.p50_s is not None
    assert figures.p99_s is not None
    assert 0 < figures.p50_s <= figures.p99_s < 5
    assert figures.last_contact == NOW
    assert figures.last_failure == NOW + timedelta(seconds=10)
    assert figures.breaker == "open"
    assert figures.paused_until == NOW + timedelta(seconds=70)
    assert figures.paused_because == figures.last_reason
    assert "pause" in str(figures.last_reason)


async def test_every_source_has_its_measurements() -> None:
    registry = CollectorRegistry()
    measured = FederationMeasurements(registry)
    keeping = {"facility_cache_s": 30.0, "measurements": measured}
    async with facility() as here, asking(**keeping) as world:
        source = live(here, name='od"d\nname')
        await world.ask(source)
        await world.ask(source)
        here.faults.set("error:429")
        with pytest.raises(FacilitySilent):
            await world.ask(source, of("Document", limit=1))
        world.asker.show_measurements()
    text = generate_latest(registry).decode()
    name = r'source="od\"d\nname"'
    assert f'pan_commons_live_questions_total{{outcome="answered",{name}}} 1.0' in text
    assert f'pan_commons_live_questions_total{{outcome="kept",{name}}} 1.0' in text
    assert f'pan_commons_live_questions_total{{outcome="failed",{name}}} 1.0' in text
    assert f"pan_commons_live_breaker{{{name}}} 2.0" in text
    assert f"pan_commons_live_request_seconds_count{{{name}}} 1.0" in text
    assert f"pan_commons_live_requests_in_flight{{{name}}} 0.0" in text
