"""Sources that say "nothing new" for much longer than they ever did (fault B11).

A set that lost its meaning, a query that matches nothing any more, a feed that is no longer filled:
all of them answer as a facility on holiday does. Only the source's own past tells. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harvester.place import remembered_instant

USUAL_AFTER = 5
"""Changes that have to be seen before anything counts as usual."""
MUCH_LONGER = 5
SHORTEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quiet:
    """``memory`` is what the source remembers; ``unusual`` for how long nothing came, if that is
    much longer than ever before."""

    memory: dict[str, Any]
    unusual: timedelta | None = None


def look(memory: Mapping[str, Any], *, changed: bool, now: datetime) -> Quiet:
    """After a run that was carried out to its end.

    Args:
        memory: of the source, before the run.
        changed: the run brought something new, changed or gone.
        now: wall-clock time; a clock that was set back counts as no time (fault H10).
    """
    seen, longest = (
        _number(memory, "changes_seen"),
        timedelta(seconds=_number(memory, "longest_quiet_s")),
    )
    last = remembered_instant(memory, "changed_at")
    passed = timedelta(0) if last is None else max(now - last, timedelta(0))
    if changed:
        return Quiet(
            {
                "changes_seen": seen + 1,
                "longest_quiet_s": max(longest, passed).total_seconds(),
                "changed_at": now.isoformat(),
            }
        )
    usual = max(longest, SHORTEST)
    return Quiet({}, passed if seen >= USUAL_AFTER and passed > MUCH_LONGER * usual else None)


def _number(memory: Mapping[str, Any], name: str) -> float:
    value = memory.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
