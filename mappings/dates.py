"""Dates as facilities write them: instants, days, months, years, ranges, each with its precision.

A ``Moment`` never becomes more exact than what was sent (semantics 3.1): a year stays a year. It
also knows the span it covers, in whole seconds of UTC, and its years on the facility's calendar.
What cannot be read is ``None``, never today (faults D01, D02).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Precision = Literal["instant", "day", "month", "year"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1000, 9998


class Moment(NamedTuple):
    """A date of a record.

    ``text`` is ISO 8601 at the precision sent; instants are UTC (``2017-11-07T23:00:00Z``, with
    milliseconds only if sent). ``first_second`` and ``last_second`` are seconds since 1970 UTC,
    both inside the span; for an instant they are equal. ``year`` is the year on the calendar of
    the facility, the one it wrote: 2018-01-01T00:00+01:00 is 2018. ``certain`` is false where a
    year was found in words ("c1992").
    """

    text: str
    precision: Precision
    first_second: int
    last_second: int
    year: int
    certain: bool = True

    @property
    def opens(self) -> str:
        """The instant (ISO UTC) at which something due at this date is open (semantics 2.5)."""
        if self.precision == "instant":
            return self.text
        return instant_text(self.last_second + 1)

    @property
    def begins(self) -> str:
        """The first instant of the span, ISO UTC."""
        return self.text if self.precision == "instant" else instant_text(self.first_second)


class Span(NamedTuple):
    """A range of two moments, either of which may be open."""

    start: Moment | None
    end: Moment | None


@lru_cache(maxsize=16384)
def instant_text(seconds: int) -> str:
    """Seconds since 1970 as ``2017-11-07T23:00:00Z``."""
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}Z"


def instant(text: str) -> datetime:
    """The aware UTC ``datetime`` of an instant that this module wrote."""
    return datetime.fromisoformat(text)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name; ``KeyError``, ``ValueError``, ``OSError``: there is none."""
    return ZoneInfo(name)


_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""

_YEAR = re.compile(r"[0-9]{4}", re.ASCII)
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}", re.ASCII)
# Years in words: only where exactly one plausible year stands free of other digits.
_YEAR_IN_WORDS = re.compile(r"(?<![0-9.,-])c?(1[6-9][0-9]{2}|20[0-9]{2})(?![0-9.,-])", re.ASCII)


def moment(text: str, time_zone: str = "UTC") -> Moment | None:
    """Read one date; ``None`` when it is none.

    Args:
        text: ``2018-01-01T00:00:00+01:00``, ``2018-01-01``, ``2018-01``, ``2018``, and with less
            certainty a sentence with one year in it.
        time_zone: the facility's, for what carries no offset.
    """
    if len(text) == 20 and text[4::3] == "--T::Z":
        # The commonest writing is already ours. Instants seldom come again: they are not kept.
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return _moment(text, time_zone)
        year = when.year
        # Near New Year, another time zone may have another year.
        near_new_year = when.month in (1, 12) and when.day in (1, 31)
        if _FIRST_YEAR <= year <= _LAST_YEAR and not near_new_year:
            since = when - _EPOCH
            seconds = since.days * 86_400 + since.seconds
            return _tuple(Moment, (text, "instant", seconds, seconds, year, True))
    return _moment(text, time_zone)


@lru_cache(maxsize=16384)
def _moment(text: str, time_zone: str) -> Moment | None:
    text = text.strip()
    length = len(text)
    try:
        if length >= 16 and _INSTANT.match(text):
            return _instant_moment(text, time_zone)
        if length == 10 and (found := _DAY.fullmatch(text)):
            year, month, day = map(int, found.groups())
            first = date(year, month, day)
            return _calendar_moment(text, "day", first, first + timedelta(days=1), time_zone)
        if length == 7 and (found := _MONTH.fullmatch(text)):
            year, month = map(int, found.groups())
            following = date(year + month // 12, month % 12 + 1, 1)
            return _calendar_moment(text, "month", date(year, month, 1), following, time_zone)
        if length == 4 and _YEAR.fullmatch(text):
            return _year_moment(int(text), time_zone, certain=True)
    except (ValueError, OverflowError):
        return None
    if length > 80:
        return None
    years = _YEAR_IN_WORDS.findall(text)
    if len(years) != 1 or not any(letter.isalpha() for letter in text) or text[0].isdigit():
        return None
    return _year_moment(int(years[0]), time_zone, certain=False)


def _instant_moment(text: str, time_zone: str) -> Moment | None:
    if ":60" in text[16:20]:
        text = text.replace(":60", ":59", 1)  # a leap second, which datetime cannot hold
    when = datetime.fromisoformat(text)
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        return None
    here = zone(time_zone)
    offset = when.utcoffset()
    if offset is None:
        when = when.replace(tzinfo=here)
        year = when.year
    elif offset:
        year = when.year  # written with an offset: the facility's own calendar
    else:
        year = when.astimezone(here).year
    utc = when.astimezone(UTC)
    seconds = (utc - _EPOCH) // _SECOND
    shown = utc.isoformat()[:19]
    if "." in text[19:21]:
        shown = f"{shown}.{utc.microsecond // 1000:03d}"
    return Moment(f"{shown}Z", "instant", seconds, seconds, year)


_SECOND = timedelta(seconds=1)


def _calendar_moment(
    text: str, precision: Precision, first: date, following: date, time_zone: str
) -> Moment | None:
    if not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        return None
    here = zone(time_zone)
    start = (_midnight(first, here) - _EPOCH) // _SECOND
    end = (_midnight(following, here) - _EPOCH) // _SECOND
    return Moment(text, precision, start, end - 1, first.year)


def _midnight(day: date, here: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=here).astimezone(UTC)


def _year_moment(year: int, time_zone: str, *, certain: bool) -> Moment | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    found = _calendar_moment(str(year), "year", date(year, 1, 1), date(year + 1, 1, 1), time_zone)
    return found if found is None or certain else found._replace(certain=False)


def span(text: str, time_zone: str = "UTC") -> Span | None:
    """Read ``a/b``, ``a/``, ``/b`` or one date; ``None`` when neither side can be read.

    A single date is a span whose start and end are that date.
    """
    left, slash, right = text.partition("/")
    start = moment(left, time_zone)
    end = moment(right, time_zone) if slash else start
    return None if start is None and end is None else _tuple(Span, (start, end))


class Experiment(NamedTuple):
    """When the experiment took place: seconds of UTC and years on the facility's calendar."""

    start_seconds: int
    end_seconds: int
    first_year: int
    last_year: int


def experiment(start: Moment | None, end: Moment | None) -> Experiment | None:
    """The experiment's interval from its start and end (semantics 3.1); one may be missing.

    An end before the start is a mistake of the source: then only the start counts.
    """
    if start is None and end is None:
        return None
    first = start or end
    last = end or start
    assert first is not None
    assert last is not None
    began, ended, year, last_year = first.first_second, last.last_second, first.year, last.year
    if ended < began:
        ended, last_year = first.last_second, year
    return _tuple(Experiment, (began, ended, year, last_year if last_year > year else year))
