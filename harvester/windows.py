"""Date windows of selective OAI-PMH harvesting: pure arithmetic on granules.

OAI-PMH 2.0, section 2.7.1: ``from`` and ``until`` are both inclusive and written in one
granularity, a day or a second. A window here has the same meaning, so two neighbours never share
a granule and never leave one out. It ends with the last second of its last granule: written as a
day or as a second, nothing falls out between two (fault B13).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Granularity = Literal["day", "second"]

GRANULE: Mapping[Granularity, timedelta] = {
    "day": timedelta(days=1),
    "second": timedelta(seconds=1),
}
A_SECOND = timedelta(seconds=1)
DAY_FORM = "YYYY-MM-DD"
SECOND_FORM = "YYYY-MM-DDThh:mm:ssZ"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a search for a broken record begins when ``earliestDatestamp`` is no help (fault B14)."""

MOST_WINDOWS = 1_000
"""Of a history: they all stand in the checkpoint of every page. Days since 1970, where
earliestDatestamp is no help, were 20,000."""

_INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2}):(\d{2})(?:[.,]\d+)?(?:Z|\+00:?00)?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` to ``end``, both included and in UTC; ``None`` is open on that side."""

    start: datetime | None = None
    end: datetime | None = None

    def as_json(self) -> dict[str, str | None]:
        """For a checkpoint."""
        return {
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, str | None]) -> Window:
        """What ``as_json`` wrote.

        Raises:
            ValueError: it is no window.
        """
        start, end = value.get("start"), value.get("end")
        return cls(
            None if start is None else datetime.fromisoformat(start),
            None if end is None else datetime.fromisoformat(end),
        )


def read_granularity(text: str | None) -> Granularity:
    """What Identify says; anything else than the form with seconds is taken for days, the form
    that every repository must support (OAI-PMH 2.0, section 3.3)."""
    return "second" if (text or "").strip().lower() == SECOND_FORM.lower() else "day"


def read_instant(text: str | None) -> datetime | None:
    """An OAI-PMH UTCdatetime, or ``None`` for what is no possible date (``2017-01-00``)."""
    match = _INSTANT.fullmatch((text or "").strip())
    if match is None:
        return None
    numbers = [int(part) if part else 0 for part in match.groups()]
    try:
        return datetime(*numbers, tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def write_instant(instant: datetime, granularity: Granularity) -> str:
    """The form in which ``from`` and ``until`` are sent; both ends alike (fault B13)."""
    utc = instant.astimezone(UTC)
    # strftime("%Y") does not pad years below 1000 on every platform.
    day = f"{utc.year:04d}-{utc.month:02d}-{utc.day:02d}"
    return day if granularity == "day" else f"{day}T{utc:%H:%M:%S}Z"


def floor(instant: datetime, granularity: Granularity) -> datetime:
    """The granule that contains the instant."""
    utc = instant.astimezone(UTC).replace(microsecond=0)
    return utc.replace(hour=0, minute=0, second=0) if granularity == "day" else utc


def next_window(
    last_response: datetime | None,
    *,
    overlap: timedelta,
    granularity: Granularity,
    server_now: datetime,
) -> Window:
    """What an incremental run asks for: from the last finished run's first responseDate, less the
    overlap, without an ``until``.

    Args:
        last_response: responseDate of the first answer of the last run that finished, by the
            *server's* clock (faults B15, B16); ``None`` asks for everything (fault B14: the first
            harvest names no ``from``).
        overlap: for records that become visible late (fault B17); at least one granule is taken.
        server_now: responseDate of this run. A ``last_response`` later than that (the server's
            clock was set back) is clamped to it (fault H10).
    """
    if last_response is None:
        return Window()
    reference = min(last_response, server_now)
    margin = max(overlap, GRANULE[granularity])
    try:
        return Window(floor(reference - margin, granularity))
    except OverflowError:
        return Window()


def plausible_start(earliest: datetime | None, server_now: datetime) -> datetime:
    """Where bisecting begins: ``earliestDatestamp`` when it can be true, else 1970.

    Impossible, in the future, or before the protocol's century: all seen (fault B14).
    """
    if earliest is None or earliest > server_now or earliest < LONG_AGO:
        return LONG_AGO
    return earliest


def split(
    window: Window,
    span: timedelta,
    *,
    granularity: Granularity,
    earliest: datetime,
    server_now: datetime,
) -> tuple[Window, ...]:
    """Cut a long history into windows of about ``span`` that commit by themselves, oldest first;
    into longer ones where these would be more than ``MOST_WINDOWS``.

    The first keeps an open start and the last an open end if the window had them, so nothing with
    an odd datestamp falls out at the edges.
    """
    granule = GRANULE[granularity]
    low = floor(window.start or earliest, granularity)
    high = floor(window.end or server_now, granularity)
    least = -(-(high - low) // MOST_WINDOWS // granule) * granule
    step = max(floor_span(span, granularity), granule, least)
    if high - low < step:
        return (window,)
    windows = []
    start: datetime | None = window.start
    edge = low + step
    while edge <= high:
        windows.append(Window(start, edge - A_SECOND))
        start = edge
        edge += step
    windows.append(Window(start, window.end))
    return tuple(windows)


def floor_span(span: timedelta, granularity: Granularity) -> timedelta:
    """A whole number of granules."""
    granule = GRANULE[granularity]
    return (span // granule) * granule


def bisect(
    window: Window, *, granularity: Granularity, earliest: datetime, server_now: datetime
) -> tuple[Window, Window] | None:
    """Two halves without gap or overlap, or ``None`` when one granule is left.

    An open end stays open in the half that touches it: a record with a datestamp before
    ``earliestDatestamp`` or after now is still in one of them.
    """
    granule = GRANULE[granularity]
    low = floor(window.start or earliest, granularity)
    high = floor(window.end or server_now, granularity)
    if window.start is None and low >= high:
        low = floor(LONG_AGO, granularity)
    granules = (high - low) // granule
    if granules < 1:
        return None
    middle = low + granule * (granules // 2 + 1)
    return Window(window.start, middle - A_SECOND), Window(middle, window.end)


def envelope(windows: Sequence[Window]) -> Window:
    """The one window that all of them lie in."""
    starts = [window.start for window in windows if window.start is not None]
    ends = [window.end for window in windows if window.end is not None]
    return Window(
        min(starts) if len(starts) == len(windows) else None,
        max(ends) if len(ends) == len(windows) else None,
    )


TWO_DAYS = timedelta(days=2)


def is_wide(window: Window, *, server_now: datetime) -> bool:
    """Whether more than two days lie between its ends, so that halves which are the same cannot be
    the same day to a server that forgets the time of day."""
    return (window.end or server_now) - (window.start or LONG_AGO) > TWO_DAYS


def elsewhere(window: Window, *, server_now: datetime) -> Window:
    """A window that has no day in common with a narrow one: all before it, or all behind it."""
    if window.start is not None and window.start > LONG_AGO + TWO_DAYS:
        return Window(None, window.start - TWO_DAYS)
    return Window((window.end or server_now) + TWO_DAYS, None)
