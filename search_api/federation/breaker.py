"""Circuit breakers: a facility that fails is left alone for a while, then tried with care.

Pure: a ``Breaker`` is a value, what happens makes another one. ``serving_store`` keeps them for all
workers (fault G12), ``pausing`` applies them. The kind of trouble decides about the pause; it grows
each time and is shortened at random, so that servers do not come back together. When it is over one
probe at a time goes through, and several must succeed before all do (fault G13).

Times are seconds since 1970 UTC: several processes read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from search_api.federation.questions import BreakerState

Trouble = Literal["unreachable", "timed_out", "too_many", "access", "broken"]

SUCCESSES_TO_CLOSE = 3
# A pause that follows soon upon another is its continuation; later ones begin anew.
FORGIVEN_AFTER_S = 900.0
LONGEST_ASKED_S = 3600.0
"""The most of a Retry-After that is honoured; later it is tried and may be told again."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """``after`` so many failures in a row, for ``first_s``, doubling up to ``longest_s``."""

    after: int
    first_s: float
    longest_s: float


PAUSES: dict[Trouble, Pauses] = {
    # No host, refused, reset, broken body: cheap to try, often over after a restart.
    "unreachable": Pauses(3, 5.0, 300.0),
    # Each try costs us the whole limit and the facility a query.
    "timed_out": Pauses(3, 10.0, 600.0),
    # 429, or 503 with Retry-After: it says so itself, once is enough.
    "too_many": Pauses(1, 30.0, 900.0),
    # 401, 403, bot walls, certificates: people have to act.
    "access": Pauses(1, 300.0, 3600.0),
    # 5xx, no JSON, empty bodies.
    "broken": Pauses(5, 10.0, 300.0),
}


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of one key (a source, or a class of it).

    ``until``: end of the pause; ``openings``: pauses without a good spell between them;
    ``successes``: probes that went well since; ``probe_until``: until when somebody's probe is
    waited for; ``closed_at``: when it last became well.
    """

    is_open: bool = False
    trouble: Trouble = "broken"
    reason: str = ""
    until: float = 0.0
    openings: int = 0
    successes: int = 0
    probe_until: float = 0.0
    closed_at: float = 0.0


CLOSED = Breaker()


def state_of(breaker: Breaker, now: float) -> BreakerState:
    """``half_open``: the pause is over and probes go through."""
    if not breaker.is_open:
        return "closed"
    return "open" if now < paused_until(breaker, now) else "half_open"


def paused_until(breaker: Breaker, now: float) -> float:
    """The end of the pause; a clock that was set back does not make it longer (fault H10)."""
    longest = max(LONGEST_ASKED_S, PAUSES[breaker.trouble].longest_s) * 1.1
    return min(breaker.until, now + longest)


def opened(
    breaker: Breaker,
    trouble: Trouble,
    reason: str,
    now: float,
    random: Callable[[], float],
    asked_s: float | None = None,
) -> Breaker:
    """The breaker after a failure that ends its patience, or a probe that failed.

    Args:
        random: gives [0, 1).
        asked_s: the Retry-After, honoured up to ``LONGEST_ASKED_S`` and never undercut.
    """
    soon = breaker.is_open or now - breaker.closed_at < FORGIVEN_AFTER_S
    openings = breaker.openings + 1 if soon else 1
    pauses = PAUSES[trouble]
    full_s = min(pauses.longest_s, pauses.first_s * 2.0 ** min(openings - 1, 30))
    pause_s = full_s * (1.0 - 0.5 * random())
    if asked_s is not None:
        asked_s = min(asked_s, LONGEST_ASKED_S)
        pause_s = max(pause_s, asked_s * (1.0 + 0.1 * random()))
    return Breaker(True, trouble, reason, now + pause_s, openings, closed_at=breaker.closed_at)


def probing(breaker: Breaker, now: float, lease_s: float) -> Breaker | None:
    """The breaker with a probe under way for at most ``lease_s``; ``None``: not yours to make."""
    if state_of(breaker, now) != "half_open" or now < breaker.probe_until <= now + 2 * lease_s:
        return None
    return replace(breaker, probe_until=now + lease_s)


def probed(breaker: Breaker, now: float) -> Breaker:
    """The breaker after a probe that went well."""
    if not breaker.is_open:
        return breaker
    successes = breaker.successes + 1
    if successes < SUCCESSES_TO_CLOSE:
        return replace(breaker, successes=successes, probe_until=0.0)
    return Breaker(openings=breaker.openings, closed_at=now)


def released(breaker: Breaker) -> Breaker:
    """The breaker after a probe that was given up without a result."""
    return replace(breaker, probe_until=0.0) if breaker.is_open else breaker
