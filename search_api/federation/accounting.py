"""What an answer adds up to: totals with how sure they are, and the line of each facility.

A total is exact only where the identifiers of all matches were seen (semantics 9.5). A facility
that is missing makes every total a lower bound, and is named (faults G01, G05).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from catalogue.answers import Answer, Total
from catalogue.oracle import Entity
from search_api.facilities import FacilityState
from search_api.federation.errors import FacilitySilent
from search_api.federation.participants import Asked, has_copy, live_source
from search_api.federation.questions import LiveSource
from search_api.federation.ranking import Ranked
from search_api.federation.reports import FacilityLine
from search_api.federation.takes import Take

_STATES = {"ok": "answered", "silent": "stale", "live": "unharvested"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How asking one facility ended: a take, or why there is none."""

    live: LiveSource
    elapsed_s: float
    take: Take | None = None
    silence: FacilitySilent | None = None


def total_of(
    first: Answer, matching: Sequence[Entity], outcomes: Sequence[Outcome], *, waiting: bool
) -> Total:
    """How many match in the whole federation.

    ``first`` is the index's answer, ``matching`` what came live; they have nothing in common.
    """
    known = least = first.total.value + len(matching)
    exact = first.total.relation == "eq" and not waiting
    for one in outcomes:
        exact = exact and one.take is not None and one.take.complete
        if one.take is not None and one.take.number is not None:
            least = max(least, one.take.number)
    return Total(known, "eq") if exact else Total(least, "gte")


def believed(outcomes: Sequence[Outcome], matching: Sequence[Entity]) -> Sequence[Outcome]:
    """The outcomes, without the counts of services that list what does not match: they drop
    conditions, and count accordingly (fault E08)."""
    if all(one.take is None or one.take.number is None for one in outcomes):
        return outcomes
    keys = {entity.key for entity in matching}
    return [
        replace(one, take=replace(one.take, number=None))
        if one.take is not None
        and one.take.number is not None
        and not keys.issuperset(one.take.reading.listed)
        else one
        for one in outcomes
    ]


def sure_of(total: Total, lines: Sequence[FacilityLine]) -> Total:
    """The total as a lower bound where what a facility has is not counted, whatever the reason: one
    that is only asked live, when nobody is asked (semantics 9.5)."""
    return replace(total, relation="gte") if any(line.is_missing for line in lines) else total


def facility_totals(first: Answer, matching: Sequence[Entity]) -> dict[str, int]:
    """All known matches of each facility; one that several hold counts for each."""
    totals = {one.id: one.count for one in first.facets.get("facility", ())}
    for entity in matching:
        for name in entity.facilities:
            totals[name] = totals.get(name, 0) + 1
    return totals


@dataclass(frozen=True, slots=True)
class Ledger:
    """Writes the lines of one answer. ``named``: facilities the request is about; ``waiting``:
    those that have not answered yet."""

    states: Sequence[FacilityState]
    asked: Asked
    named: tuple[str, ...]
    now: datetime
    waiting: Sequence[str] = ()

    def lines(
        self, outcomes: Sequence[Outcome], totals: Mapping[str, int]
    ) -> tuple[FacilityLine, ...]:
        by_name = {one.live.facility.name: one for one in outcomes}
        lines = []
        for state in self.states:
            name = state.facility.name
            if self.asked.facilities and name not in self.named:
                continue
            outcome = by_name.get(name)
            total = totals.get(name, 0)
            if outcome is not None:
                lines.append(self._live_line(state, outcome, total))
            else:
                line = self._index_line(state)
                lines.append(replace(line, total=total) if total else line)
        return tuple(lines)

    def _index_line(self, state: FacilityState) -> FacilityLine:
        """A facility that speaks through the index, or has not spoken yet."""
        name = state.facility.name
        if self.named and name not in self.named:
            return FacilityLine(name, "answered", why="the filter is about other facilities")
        if name in self.waiting:
            return FacilityLine(name, "waiting", live=True, total_relation="gte")
        shown = _STATES.get(state.state, state.state)
        if shown == "stale" and state.told_nothing:
            shown = "unharvested"
        can_be_live = live_source(state) is not None
        why = self.asked.index_only if can_be_live else None
        if self.asked.mode == "live" and not can_be_live:
            return FacilityLine(name, "unsupported", why="it is harvested, not asked live")
        if self.asked.mode == "indexed" and can_be_live and not has_copy(state):
            return FacilityLine(
                name, "unsupported", total_relation="gte", why=why or "it is only asked live"
            )
        return FacilityLine(
            name,
            shown,  # type: ignore[arg-type]
            silent_since=state.silent_since,
            why=why,
            age_s=_age_s(state, self.now) if shown == "stale" else None,
        )

    def _live_line(self, state: FacilityState, outcome: Outcome, total: int) -> FacilityLine:
        name, elapsed_ms = state.facility.name, outcome.elapsed_s * 1000
        take, silence = outcome.take, outcome.silence
        if take is not None:
            return FacilityLine(
                name,
                "stale" if take.stale else "answered",
                live=True,
                elapsed_ms=elapsed_ms,
                total=max(total, take.number or 0),
                total_relation="eq" if take.complete or take.number is not None else "gte",
                age_s=take.age_s if take.age_s or take.stale else None,
                why=_why(take),
                missing=take.missing,
                unseen=take.unseen,
                passed_on=take.without,
            )
        assert silence is not None
        copy = has_copy(state) and self.asked.mode != "live"
        return FacilityLine(
            name,
            "stale" if copy else silence.state,
            live=True,
            elapsed_ms=elapsed_ms,
            total=total,
            total_relation="gte",
            why=silence.reason,
            until=silence.until,
            age_s=_age_s(state, self.now) if copy else None,
            silent_since=state.silent_since,
        )


def _age_s(state: FacilityState, now: datetime) -> float | None:
    """Seconds since the facility last told us what the index has of it."""
    at = [status.last_success_at for _, status in state.sources if status.last_success_at]
    return max(0.0, (now - max(at)).total_seconds()) if at else None


def lateness(dealt: Sequence[Ranked], takes: Sequence[Outcome]) -> dict[str, float]:
    """For each source that could give more: how far down its own lists the page's last hit of it
    stood, from 0 (the top) to 1 (the end)."""
    shown = {one.key for one in dealt if one.live}
    late = {}
    for outcome in takes:
        take = outcome.take
        lists = [listed for listed in take.going_on if listed] if take is not None else []
        if lists:
            late[outcome.live.source.name] = max(_depth(listed, shown) for listed in lists)
    return late


def _depth(listed: Sequence[str], shown: Set[str]) -> float:
    places = [place for place, key in enumerate(listed, 1) if key in shown]
    return max(places, default=0) / len(listed)


def partly_scored(matching: Sequence[Entity], outcomes: Sequence[Outcome]) -> frozenset[str]:
    """Keys of live records whose scored fields could not all be had."""
    short = {one.live.facility.name for one in outcomes if one.take and _is_short(one.take)}
    if not short:
        return frozenset()
    return frozenset(one.key for one in matching if not short.isdisjoint(one.facilities))


def _why(take: Take) -> str | None:
    if take.stale:
        return "it does not answer; what it said before stands in"
    return take.lacks or None


def _is_short(take: Take) -> bool:
    """Whether something is missing that scores; names of files do not."""
    return bool(take.unseen) or any(one.split(".")[-1] != "files" for one in take.missing)
