"""When a source is harvested next: intervals or cron expressions, in UTC, with jitter and back-off.

Pure: the clock is an argument, and jitter is a function of the source's name, so that a restart
gives the same answer and many sources with one schedule do not start in the same second.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from facility_http.waiting import LONGEST_PARKING_S

DEFAULT_SCHEDULE = "6h"
JITTER_SHARE = 0.1
"""Largest jitter of an interval, as a share of it."""
MAX_JITTER = timedelta(minutes=10)
"""Largest jitter at all: whoever writes ``0 3 * * *`` means three o'clock, about."""
FIRST_BACK_OFF = timedelta(minutes=5)
MAX_BACK_OFF = timedelta(hours=24)
SHORTEST_INTERVAL = timedelta(seconds=1)
CLOCK_SKEW = timedelta(minutes=1)
"""Clocks that are kept in time step back by so much at most."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_INTERVAL = re.compile(r"(?:every\s+)?((?:\d+\s*[smhdw]\s*)+)", re.ASCII)
_PART = re.compile(r"(\d+)\s*([smhdw])", re.ASCII)


class ScheduleError(ValueError):
    """The text is neither an interval nor a cron expression."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Either ``interval`` or ``cron`` (five fields, UTC) is set; ``text`` is as written."""

    text: str
    interval: timedelta | None = None
    cron: str | None = None


def parse_schedule(text: str) -> Schedule:
    """Read ``6h``, ``every 1d 12h``, ``90s`` or a cron expression such as ``30 2 * * 1-5``.

    Raises:
        ScheduleError: neither; the message says what would be right.
    """
    wanted = " ".join(text.split())
    if match := _INTERVAL.fullmatch(wanted):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(match.group(1)))
        try:
            interval = timedelta(seconds=seconds)
        except OverflowError:
            raise ScheduleError(f"{text!r} is longer than any harvester will live.") from None
        if interval < SHORTEST_INTERVAL:
            raise ScheduleError(f"{text!r} is no interval; the shortest is 1s.")
        return Schedule(text, interval=interval)
    try:
        next(CronSim(wanted, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as problem:
        raise ScheduleError(
            f"{text!r} is no schedule ({problem}); write an interval such as '6h' or '1d 12h', "
            "or a cron expression of five fields in UTC such as '30 2 * * *'."
        ) from None
    except StopIteration:
        raise ScheduleError(f"{text!r} names a moment that never comes.") from None
    return Schedule(text, cron=wanted)


def next_start(
    schedule: Schedule,
    *,
    source: str,
    last_started_at: datetime | None,
    failures: int,
    now: datetime,
    not_before: datetime | None = None,
) -> datetime:
    """The instant from which ``source`` is due, possibly in the past (then: at once).

    Args:
        last_started_at: start of the last run; ``None`` when it never ran. An instant in the
            future says that the clock was set back since (fault H10), and nothing about how long
            ago the run was: the source is due, and its next run has the new time.
        failures: failed runs in a row, newest included; each doubles the pause, from five
            minutes to a day, but never before the schedule itself would allow.
        not_before: what the server asked for by ``Retry-After`` (fault A03); later than any pause
            that is granted, it was written by another clock.
    """
    due = now
    if last_started_at is not None and last_started_at <= now + CLOCK_SKEW:
        due = _following(schedule, last_started_at) + _jitter(schedule, source)
        if failures:
            due = max(due, last_started_at + back_off(failures))
    if not_before is not None and not_before <= now + timedelta(seconds=LONGEST_PARKING_S):
        due = max(due, not_before)
    return due


def back_off(failures: int) -> timedelta:
    """The pause after that many failed runs in a row."""
    if failures <= 0:
        return timedelta(0)
    doublings = min(failures - 1, 20)
    pause: timedelta = FIRST_BACK_OFF * 2**doublings
    return min(pause, MAX_BACK_OFF)


def _following(schedule: Schedule, last: datetime) -> datetime:
    if schedule.interval is not None:
        return last + schedule.interval
    assert schedule.cron is not None
    moment: datetime = next(CronSim(schedule.cron, last.astimezone(UTC)))
    return moment


def _jitter(schedule: Schedule, source: str) -> timedelta:
    """The same for the same source: between nothing and a tenth of the interval."""
    digest = hashlib.blake2b(source.encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    longest = MAX_JITTER
    if schedule.interval is not None:
        longest = min(MAX_JITTER, schedule.interval * JITTER_SHARE)
    return longest * share
