"""Dates: precision, zone, ranges, and what is no date."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.dates import Moment, experiment, instant, instant_text, moment, span

BERLIN = "Europe/Berlin"


def _read(text: str, zone: str = "UTC") -> Moment:
    found = moment(text, zone)
    assert found is not None
    return found


def test_an_instant_becomes_utc_and_its_year_stays_local() -> None:
    """§3.1: 2018-01-01T00:00+01:00 is 2018 on the facility's calendar, 2017 in UTC."""
    found = _read("2018-01-01T00:00:00+01:00", BERLIN)
    assert (found.text, found.year, found.precision) == ("2017-12-31T23:00:00Z", 2018, "instant")
    assert _read("2017-12-31T23:30:00Z", BERLIN).year == 2018
    assert _read("2017-12-31T23:30:00Z").year == 2017
    assert _read("2018-01-01T00:00:00+01:00").year == 2018


def test_milliseconds_only_if_sent() -> None:
    assert _read("2019-03-19T14:36:46.000Z").text == "2019-03-19T14:36:46.000Z"
    assert _read("2019-03-19T14:36:46.123456Z").text == "2019-03-19T14:36:46.123Z"
    assert _read("2019-03-19T14:36:46Z").text == "2019-03-19T14:36:46Z"
    assert _read("2019-03-19 14:36").text == "2019-03-19T14:36:00Z"


def test_without_offset_the_facilitys_zone_holds() -> None:
    assert _read("2017-07-01T12:00:00", BERLIN).text == "2017-07-01T10:00:00Z"


@pytest.mark.parametrize(
    ("text", "precision", "opens"),
    [
        ("2028-09-06", "day", "2028-09-06T22:00:00Z"),
        ("2028-09", "month", "2028-09-30T22:00:00Z"),
        ("2028-12", "month", "2028-12-31T23:00:00Z"),
        ("2028", "year", "2028-12-31T23:00:00Z"),
        ("2028-09-06T10:00:00Z", "instant", "2028-09-06T10:00:00Z"),
    ],
)
def test_what_is_due_on_a_bare_date_opens_at_its_end(text: str, precision: str, opens: str) -> None:
    """§2.5; the text keeps its precision (§3.1)."""
    found = _read(text, "Europe/Paris")
    assert (found.text, found.precision, found.opens) == (text, precision, opens)


def test_a_date_begins_at_local_midnight() -> None:
    assert _read("2018", BERLIN).begins == "2017-12-31T23:00:00Z"
    assert _read("2018-01-01T05:00:00Z").begins == "2018-01-01T05:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "0000--",
        "201007-02",
        "210-10-06",
        "2017-01-00T03:24:00Z",
        "2017-13-01",
        "2017-02-30",
        "updatedAt",
        "0000",
        "0000-00-00",
        "0500-01-01",
        "2017-00",
        "",
        "soon",
        "12/05/2017",
        "1983 or 1984",
        "from 1983 to 1984",
        "31.12.1999",
        "9999-12-31",
        "0001-01-01T00:00:00Z",
        "2017-07-01T25:00:00Z",
        "x" * 100 + " 1999",
    ],
)
def test_what_is_no_date_is_none_and_never_today(text: str) -> None:
    """Fault D01."""
    assert moment(text) is None


@pytest.mark.parametrize(
    ("text", "year"),
    [("Published in 1983", 1983), ("c1992", 1992), ("Winter 2003", 2003), ("ca. 1999", 1999)],
)
def test_a_year_in_words_is_a_year_that_is_not_certain(text: str, year: int) -> None:
    """Fault D01."""
    found = _read(text)
    assert (found.text, found.precision, found.certain) == (str(year), "year", False)


def test_a_leap_second_is_taken_as_the_one_before() -> None:
    assert _read("2016-12-31T23:59:60Z").text == "2016-12-31T23:59:59Z"


def test_ranges() -> None:
    both = span("2021-03-01T07:00:00Z/2021-03-04")
    assert both is not None
    assert both.start is not None
    assert both.end is not None
    assert (both.start.precision, both.end.precision) == ("instant", "day")
    to = span("../2021")
    assert to is not None
    assert (to.start, to.end) == (None, moment("2021"))
    since = span("2021/")
    assert since is not None
    assert since.end is None
    one = span("2021")
    assert one is not None
    assert one.start == one.end == moment("2021")
    assert span("soon/later") is None
    assert span("soon") is None


def test_the_experiments_interval_covers_whole_days_on_the_local_calendar() -> None:
    when = experiment(moment("2021-06-01", "Europe/Paris"), moment("2021-06-03", "Europe/Paris"))
    assert when is not None
    assert instant_text(when.start_seconds) == "2021-05-31T22:00:00Z"
    assert instant_text(when.end_seconds) == "2021-06-03T21:59:59Z"
    assert (when.first_year, when.last_year) == (2021, 2021)


def test_an_experiment_may_know_only_one_end_and_ignores_one_before_its_start() -> None:
    only_end = experiment(None, moment("2020"))
    assert only_end is not None
    assert (only_end.first_year, only_end.last_year) == (2020, 2020)
    wrong = experiment(moment("2020-05-05"), moment("2019-01-01"))
    assert wrong is not None
    assert (wrong.first_year, wrong.last_year) == (2020, 2020)
    assert experiment(None, None) is None


@settings(max_examples=100)
@given(st.integers(-2208988800, 7258118400))
def test_instants_come_back_as_they_were(seconds: int) -> None:
    whole = datetime.fromtimestamp(seconds, UTC)
    found = _read(whole.isoformat(), BERLIN)
    assert instant(found.text) == whole
    assert found.first_second == int(whole.timestamp())
    assert _read(found.text, BERLIN).text == found.text


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = moment(text)
    if found is not None:
        assert moment(found.text) is not None
        assert found.first_second <= found.last_second
    span(text)
