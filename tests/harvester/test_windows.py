"""Windows: no granule twice, none left out, whatever the server's dates are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.windows import (
    A_SECOND,
    GRANULE,
    LONG_AGO,
    MOST_WINDOWS,
    Granularity,
    Window,
    bisect,
    elsewhere,
    envelope,
    floor,
    is_wide,
    next_window,
    plausible_start,
    read_granularity,
    read_instant,
    split,
    write_instant,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_the_first_harvest_names_no_from() -> None:
    """Fault B14: earliestDatestamp may be wrong, so nothing depends on it."""
    window = next_window(None, overlap=HOUR, granularity="second", server_now=NOW)
    assert window == Window(None, None)


def test_the_next_window_begins_an_overlap_before_the_servers_last_response() -> None:
    """Faults B15, B16, B17."""
    last = datetime(2026, 2, 28, 3, 0, 0, tzinfo=UTC)
    window = next_window(last, overlap=HOUR, granularity="second", server_now=NOW)
    assert window == Window(datetime(2026, 2, 28, 2, 0, 0, tzinfo=UTC), None)


def test_a_day_server_is_asked_from_at_least_the_day_before() -> None:
    """Fault B13: both ends in the repository's own granularity, one granule of overlap."""
    last = datetime(2026, 2, 28, 3, 0, 0, tzinfo=UTC)
    window = next_window(last, overlap=timedelta(0), granularity="day", server_now=NOW)
    assert window.start is not None
    assert write_instant(window.start, "day") == "2026-02-27"


def test_a_checkpoint_in_the_future_is_clamped_to_the_servers_present() -> None:
    """Fault H10."""
    window = next_window(NOW + 400 * HOUR, overlap=HOUR, granularity="second", server_now=NOW)
    assert window.start == NOW - HOUR


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", NOW),
        (" 2026-03-01T12:00:00.123Z\n", NOW),
        ("2026-03-01T12:00:00", NOW),
        ("1000-01-01T00:00:00Z", datetime(1000, 1, 1, tzinfo=UTC)),
        ("2017-01-00T03:24:00Z", None),
        ("updatedAt", None),
        ("", None),
        (None, None),
    ],
)
def test_instants_as_servers_write_them(text: str | None, instant: datetime | None) -> None:
    assert read_instant(text) == instant


def test_years_below_1000_keep_four_digits() -> None:
    assert write_instant(datetime(1, 1, 1, tzinfo=UTC), "second") == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "granularity"),
    [
        ("YYYY-MM-DDThh:mm:ssZ", "second"),
        ("YYYY-MM-DDThh:mm:ssz", "second"),
        ("YYYY-MM-DD", "day"),
        ("", "day"),
        (None, "day"),
    ],
)
def test_an_unclear_granularity_is_the_one_everybody_must_support(
    text: str | None, granularity: Granularity
) -> None:
    """Fault B13."""
    assert read_granularity(text) == granularity


@pytest.mark.parametrize("earliest", [None, NOW + HOUR, datetime(1000, 1, 1, tzinfo=UTC)])
def test_an_impossible_earliest_datestamp_is_replaced(earliest: datetime | None) -> None:
    """Fault B14."""
    assert plausible_start(earliest, NOW) == LONG_AGO


EPOCH = datetime(1990, 1, 1, tzinfo=UTC)
instants = st.integers(0, 40 * 365 * 86_400).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
granularities = st.sampled_from(["day", "second"])


def test_a_history_since_1970_is_cut_into_a_bounded_number_of_windows() -> None:
    """Fault B14: all of them stand in the checkpoint of every page."""
    parts = split(
        Window(),
        timedelta(days=1),
        granularity="second",
        earliest=LONG_AGO,
        server_now=NOW,
    )
    assert MOST_WINDOWS / 2 < len(parts) <= MOST_WINDOWS + 1
    assert (parts[0].start, parts[-1].end) == (None, None)
    assert all(one.end + GRANULE["second"] == two.start for one, two in pairwise(parts))  # type: ignore[operator]


@settings(max_examples=100, deadline=None)
@given(instants | st.none(), instants | st.none(), instants, st.integers(1, 4000), granularities)
def test_split_windows_cover_everything_once_and_keep_open_ends(
    start: datetime | None,
    end: datetime | None,
    earliest: datetime,
    days: int,
    granularity: Granularity,
) -> None:
    window = Window(start, end)
    parts = split(
        window,
        timedelta(days=days),
        granularity=granularity,
        earliest=earliest,
        server_now=NOW,
    )
    assert parts[0].start == start
    assert parts[-1].end == end
    for before, after in pairwise(parts):
        assert before.end is not None
        assert after.start == before.end + A_SECOND


@settings(max_examples=60, deadline=None)
@given(instants | st.none(), instants | st.none(), instants, granularities, st.data())
def test_bisecting_ends_at_one_granule_and_never_loses_one(
    start: datetime | None,
    end: datetime | None,
    earliest: datetime,
    granularity: Granularity,
    data: st.DataObject,
) -> None:
    """Fault A08: round the poisoned page, one half at a time."""
    window = Window(start, end)
    for _ in range(64):
        halves = bisect(window, granularity=granularity, earliest=earliest, server_now=NOW)
        if halves is None:
            break
        left, right = halves
        assert left.end is not None
        assert right.start == left.end + A_SECOND
        assert floor(right.start, granularity) == right.start
        assert (left.start, right.end) == (window.start, window.end)
        window = data.draw(st.sampled_from(halves))
    else:
        pytest.fail("bisecting did not end")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW - HOUR, None),
        (NOW - HOUR, NOW),
        (None, LONG_AGO + HOUR),
        (LONG_AGO, LONG_AGO + HOUR),
    ],
)
def test_another_window_has_no_day_of_a_narrow_one(
    start: datetime | None, end: datetime | None
) -> None:
    """Fault B18: also where records are of 1970, as some servers date what they do not know."""
    window = Window(start, end)
    assert not is_wide(window, server_now=NOW)
    other = elsewhere(window, server_now=NOW)
    if other.end is not None:
        assert start is not None
        assert other.end.date() < start.date()
    else:
        assert other.start is not None
        assert other.start.date() > (end or NOW).date()
    assert is_wide(Window(), server_now=NOW)


def test_an_envelope_holds_all_and_is_open_where_one_is() -> None:
    one, two = Window(NOW - HOUR, NOW), Window(NOW + HOUR, NOW + 2 * HOUR)
    assert envelope([one, two]) == Window(NOW - HOUR, NOW + 2 * HOUR)
    assert envelope([Window(None, NOW), two, Window(NOW, None)]) == Window()


def test_windows_survive_a_checkpoint() -> None:
    for window in (Window(), Window(NOW, None), Window(None, NOW), Window(NOW, NOW)):
        assert Window.from_json(window.as_json()) == window
