"""Schedules: intervals and cron in UTC, jitter, back-off, clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harvester.schedule import (
    MAX_BACK_OFF,
    MAX_JITTER,
    ScheduleError,
    back_off,
    next_start,
    parse_schedule,
)

NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("6h", timedelta(hours=6)),
        ("every 1d 12h", timedelta(days=1, hours=12)),
        ("90s", timedelta(seconds=90)),
        ("1w2d", timedelta(days=9)),
    ],
)
def test_intervals(text: str, interval: timedelta) -> None:
    assert parse_schedule(text).interval == interval


@pytest.mark.parametrize("text", ["", "often", "0s", "61 * * * *", "0 0 31 2 *", "9" * 20 + "w"])
def test_nonsense_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text)


def due(text: str, **given: object) -> datetime:
    values = {"source": "a", "last_started_at": None, "failures": 0, "now": NOW} | given
    return next_start(parse_schedule(text), **values)  # type: ignore[arg-type]


def test_a_source_that_never_ran_is_due_at_once() -> None:
    assert due("6h") == NOW
    assert due("0 3 * * *") == NOW


def test_an_interval_counts_from_the_last_start_with_at_most_a_tenth_of_jitter() -> None:
    last = NOW - timedelta(hours=1)
    moment = due("2h", last_started_at=last)
    assert timedelta(hours=2) <= moment - last <= timedelta(hours=2) + MAX_JITTER


def test_jitter_is_the_same_after_a_restart_and_differs_between_sources() -> None:
    last = NOW - timedelta(hours=1)
    moments = {due("6h", last_started_at=last, source=f"s{n}") for n in range(20)}
    assert len(moments) == 20
    assert due("6h", last_started_at=last) == due("6h", last_started_at=last)


def test_cron_is_utc_so_summer_time_runs_nothing_twice_and_skips_nothing() -> None:
    """Fault H10: on 2026-03-29 European clocks jump from 02:00 to 03:00."""
    starts = []
    last = NOW - timedelta(days=1)
    for _ in range(3):
        last = due("30 2 * * *", last_started_at=last, now=last)
        starts.append(last)
    days = [start.date().isoformat() for start in starts]
    assert days == ["2026-03-28", "2026-03-29", "2026-03-30"]


@pytest.mark.parametrize("failures", [0, 7])
@pytest.mark.parametrize("text", ["1h", "30 2 * * *"])
def test_a_last_start_in_the_future_does_not_wait_for_the_clock(text: str, failures: int) -> None:
    """Fault H10: the clock was set back by ten years after that run. How long ago it was nobody
    knows; one interval *from now* would be from now at every look, and never come."""
    assert due(text, last_started_at=NOW + timedelta(days=3650), failures=failures) <= NOW
    assert due(text, last_started_at=NOW + timedelta(seconds=5), failures=failures) > NOW


def test_a_pause_that_no_server_can_have_asked_for_is_the_clocks() -> None:
    """Faults A03, H10: asked for until tomorrow, then the clock went back by ten years."""
    asked = NOW + timedelta(days=3650)
    assert due("1h", last_started_at=NOW - timedelta(days=1), not_before=asked) <= NOW
    asked = NOW + timedelta(days=6)
    assert due("1h", last_started_at=NOW - timedelta(days=1), not_before=asked) == asked


def test_a_failing_source_is_backed_off_from_minutes_to_a_day() -> None:
    """Fault H03."""
    pauses = [back_off(failures) for failures in range(15)]
    assert pauses == sorted(pauses)
    assert pauses[1] == timedelta(minutes=5)
    assert pauses[-1] == MAX_BACK_OFF == back_off(10**9)
    assert due("10s", last_started_at=NOW, failures=3) == NOW + timedelta(minutes=20)


def test_what_the_server_asked_for_is_kept_to() -> None:
    """Fault A03: Retry-After of a day parks the source, and the schedule does not undo it."""
    until = NOW + timedelta(hours=24)
    assert due("10m", last_started_at=NOW, not_before=until) == until
