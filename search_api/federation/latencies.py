"""How long each facility takes, as all workers saw it, and how long to wait for it therefore.

No one limit suits all (fault G03). Two are learnt for each kind of question to a source: how long
an answer waits for it before it goes out without (*wait*), and when the request is given up and the
facility blamed (*give up*). What comes between the two is kept for the next who asks.

A history is a handful of counters over steps of time. It forgets: old observations weigh half after
``HALF_LIFE_S``, and all of them together never more than ``MOST_WEIGHT``, so that a facility that
became slower is known to be within some requests. Pure but for ``Histories``, which holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, log

from search_api.federation.questions import Question

FIRST_STEP_S = 0.01
STEP = 1.25
STEPS = 42
"""From 10 ms to 94 s, each step a quarter longer than the one before."""
SHARE = 0.99
WAIT_FACTOR = 3.0
GIVE_UP_FACTOR = 2.0
ENOUGH = 20.0
"""Answers below which nothing is known of what is usual."""
ENOUGH_OVERDUE = 2.5
"""Requests below which nothing is made of it that they were given up."""
HALF_LIFE_S = 86_400.0
MOST_WEIGHT = 400.0
IDLE_S = 60.0
"""After so long without an answer one may be slow to wake: then it is waited for as if unknown."""

Kinds = tuple[str, str]
"""Source and kind of question."""


@dataclass(frozen=True, slots=True)
class History:
    """Weights of observations by step. ``answers``: those that came; ``given_up``: those that were
    waited for so long in vain. ``at``: when they weighed this much, in seconds since 1970."""

    answers: Mapping[int, float] = field(default_factory=dict)
    given_up: Mapping[int, float] = field(default_factory=dict)
    at: float = 0.0

    @property
    def answered(self) -> float:
        """The weight of the answers."""
        return sum(self.answers.values())

    def usual_s(self, share: float = SHARE) -> float | None:
        """Seconds within which such a share of the answers came; ``None`` without any."""
        return _percentile(self.answers, share)

    def longest_s(self) -> float | None:
        """The same where a request that was given up counts as an answer at that moment: at least
        so long it would have taken."""
        return _percentile(_added(self.answers, self.given_up), SHARE)


def aged(history: History, now: float) -> History:
    """A history as it weighs now."""
    # A clock that was set back makes nothing younger (fault H10).
    return _scaled(history, 0.5 ** (max(0.0, now - history.at) / HALF_LIFE_S), now)


def together(before: History, new: History, now: float) -> History:
    """A history with what is new."""
    old = aged(before, now)
    room = max(0.0, MOST_WEIGHT - _weight(new))
    old = _scaled(old, min(1.0, room / (_weight(old) or 1.0)), now)
    return History(_added(old.answers, new.answers), _added(old.given_up, new.given_up), now)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is learnt stays within these, in seconds. ``wait_s``: the least that one is waited for.
    ``give_up_s``: when one is given up of which little is known; one that is known to take longer,
    at ``longest_s`` at the latest. ``is_configured``: nothing is learnt, ``give_up_s`` holds."""

    wait_s: float
    give_up_s: float
    longest_s: float
    is_configured: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one kind of question may take. ``wait_s``: ``None`` for as long as the asker has."""

    wait_s: float | None
    give_up_s: float


def limits_from(history: History, bounds: Bounds) -> Limits:
    """What a history says within its bounds."""
    if bounds.is_configured:
        return Limits(None, bounds.give_up_s)
    give_up_s = bounds.give_up_s
    if _weight(history) >= ENOUGH_OVERDUE:
        longest_s = GIVE_UP_FACTOR * (history.longest_s() or 0.0)
        give_up_s = max(give_up_s, min(longest_s, bounds.longest_s))
    usual_s = history.usual_s() if history.answered >= ENOUGH else None
    if usual_s is None:
        return Limits(None, give_up_s)
    return Limits(min(max(bounds.wait_s, WAIT_FACTOR * usual_s), give_up_s), give_up_s)


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind of question: how many answered and how many were given up, as they weigh now; the
    median and the 99th percentile of the answers, and the limits that follow."""

    answers: float
    given_up: float
    p50_s: float | None
    p99_s: float | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class LimitFigures:
    """How long a source's requests may take, and what was learnt by kind of question."""

    bounds: Bounds
    kinds: Mapping[str, KindFigures]


def limit_figures(histories: Mapping[str, History], bounds: Bounds) -> LimitFigures:
    """What is known of a source, to be looked at."""
    return LimitFigures(
        bounds,
        {
            kind: KindFigures(
                one.answered,
                sum(one.given_up.values()),
                one.usual_s(0.5),
                one.usual_s(),
                limits_from(one, bounds),
            )
            for kind, one in histories.items()
        },
    )


def kind_of(question: Question) -> str:
    """Questions that take about as long: by class, and by how much is asked for."""
    if question.count:
        return f"{question.entity_class} count"
    if question.pid is not None:
        return f"{question.entity_class} one"
    limit = question.filter.get("limit")
    long = not isinstance(limit, int) or limit > 100
    return f"{question.entity_class} {'long list' if long else 'list'}"


class Histories:
    """The histories of all sources, as one process knows them.

    What is new here is added to what all workers share about once a second (``take_new``,
    ``take_over``), and counts from then on.
    """

    def __init__(self) -> None:
        self._known: Mapping[Kinds, History] = {}
        self._new: dict[Kinds, tuple[dict[int, float], dict[int, float]]] = {}
        self._limits: dict[tuple[str, str], tuple[Bounds, Limits]] = {}

    def answered(self, source: str, kind: str, elapsed_s: float) -> None:
        """Note an answer."""
        self._note(source, kind, elapsed_s, 0)

    def given_up(self, source: str, kind: str, elapsed_s: float) -> None:
        """Note a request that ran into its limit."""
        self._note(source, kind, elapsed_s, 1)

    def limits(self, source: str, kind: str, bounds: Bounds) -> Limits:
        """How long to wait for an answer now."""
        known = self._limits.get((source, kind))
        if known is not None and (known[0] is bounds or known[0] == bounds):
            return known[1]
        found = limits_from(self._known.get((source, kind), History()), bounds)
        self._limits[source, kind] = (bounds, found)
        return found

    def of(self, source: str) -> dict[str, History]:
        """The histories of a source by kind of question."""
        return {kind: one for (name, kind), one in sorted(self._known.items()) if name == source}

    def take_new(self) -> dict[Kinds, History]:
        """What was noted since the last call."""
        taken, self._new = self._new, {}
        return {kinds: History(*weights) for kinds, weights in taken.items()}

    def take_over(self, shared: Mapping[Kinds, History]) -> None:
        """Go on from what all workers have seen."""
        self._known = shared
        self._limits.clear()

    def _note(self, source: str, kind: str, elapsed_s: float, which: int) -> None:
        weights = self._new.setdefault((source, kind), ({}, {}))[which]
        step = step_of(elapsed_s)
        weights[step] = weights.get(step, 0.0) + 1.0


def step_of(elapsed_s: float) -> int:
    """The first step that is as long."""
    if elapsed_s <= FIRST_STEP_S:
        return 0
    return min(STEPS - 1, ceil(log(elapsed_s / FIRST_STEP_S, STEP) - 1e-9))


def seconds_of(step: int) -> float:
    """The length of a step."""
    return float(FIRST_STEP_S * STEP**step)


def in_words(seconds: float) -> str:
    """``1.5 s``, or ``4 ms`` where that would be 0.0 s."""
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def is_idle(last_answer: float | None, now: float) -> bool:
    """Whether a source was left alone for so long that it may be slow to wake; both in seconds
    since 1970."""
    return last_answer is None or not now - IDLE_S <= last_answer <= now + IDLE_S


def _percentile(weights: Mapping[int, float], share: float) -> float | None:
    wanted = share * sum(weights.values())
    reached = 0.0
    for step in sorted(weights):
        reached += weights[step]
        if reached >= wanted - 1e-9:
            return seconds_of(step)
    return None


def _weight(history: History) -> float:
    return history.answered + sum(history.given_up.values())


def _scaled(history: History, by: float, at: float) -> History:
    answers, given_up = (
        {step: weight * by for step, weight in weights.items() if weight * by > 1e-3}
        for weights in (history.answers, history.given_up)
    )
    return History(answers, given_up, at)


def _added(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    return {step: one.get(step, 0.0) + other.get(step, 0.0) for step in sorted({*one, *other})}
