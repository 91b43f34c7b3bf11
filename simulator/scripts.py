"""What a facility does in the course of time: faults that come and go by a schedule.

A schedule is written ``[(from_s, behaviour), …]``: from so many seconds after the start on, the
facility has these faults (``faults.py``; ``""`` is well) besides those it always has::

    [(0, ""), (60, "slow:2s"), (120, "refuse"), (180, "error:429:30"), (300, "")]

Time is whatever clock the facility was started with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from simulator.faults import Fault, parse_faults

Schedule = Sequence[tuple[float, str]]

SLOW = ("slow:20ms..400ms", "slow:~300ms", "slow:3s", "slow:8s")
SILENT = ("hang", "stall", "trickle")
BROKEN = ("refuse", "reset", "break-off", "truncate", "not-json", "empty-body", "html", "object")
REFUSING = ("error:429:20", "error:401", "error:403", "error:500", "error:503", "error:503:15")
PASSING = ("reset@every2", "error:503@every2", "empty@every3", "slow:2s@every3")
"""Now well, now not."""

BEHAVIOURS = (*SLOW, *SILENT, *BROKEN, *REFUSING, *PASSING)
"""What a random walk chooses from: everything that keeps an answer from coming whole in time."""


@dataclass(frozen=True, slots=True)
class Script:
    """A schedule that has been read: phases in the order of their beginnings (seconds)."""

    beginnings_s: tuple[float, ...]
    phases: tuple[tuple[Fault, ...], ...]

    @classmethod
    def read(cls, schedule: Schedule) -> Script:
        """Raises UnknownFault; what comes before the first beginning is well."""
        ordered = sorted([(0.0, ""), *schedule], key=lambda phase: phase[0])
        return cls(
            tuple(float(from_s) for from_s, _ in ordered),
            tuple(parse_faults(behaviour) for _, behaviour in ordered),
        )

    def at(self, elapsed_s: float) -> tuple[Fault, ...]:
        """The faults of this moment."""
        return self.phases[max(bisect_right(self.beginnings_s, elapsed_s) - 1, 0)]

    def next_change_s(self, elapsed_s: float) -> float | None:
        """When the next phase begins; ``None`` when this one is the last."""
        place = bisect_right(self.beginnings_s, elapsed_s)
        return self.beginnings_s[place] if place < len(self.beginnings_s) else None


def flapping(up_s: float, down_s: float, until_s: float, behaviour: str = "refuse") -> Schedule:
    """Well for a while, then ``behaviour`` for a while, in turns."""
    schedule: list[tuple[float, str]] = []
    from_s = 0.0
    while from_s < until_s:
        schedule += [(from_s, ""), (from_s + up_s, behaviour)]
        from_s += up_s + down_s
    return [*schedule, (until_s, "")]


def random_walk(
    random: Random,
    duration_s: float,
    *,
    mean_s: float = 60.0,
    well: float = 0.5,
    behaviours: Sequence[str] = BEHAVIOURS,
) -> Schedule:
    """Phases of random length (exponential, ``mean_s`` on average), a share of them ``well``."""
    schedule: list[tuple[float, str]] = []
    from_s = 0.0
    while from_s < duration_s:
        behaviour = "" if random.random() < well else random.choice(behaviours)
        schedule.append((round(from_s, 3), behaviour))
        from_s += random.expovariate(1 / mean_s)
    return schedule
