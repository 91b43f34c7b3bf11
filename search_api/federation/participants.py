"""Who takes part in an answer: which facilities are asked now, which speak through the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from catalogue.query import AtFacility, Node, conditions
from search_api.facilities import FacilityState, FacilityStates, expect_facilities
from search_api.federation.questions import LiveSource

Mode = Literal["indexed", "live", "both"]
MODES: tuple[Mode, ...] = ("indexed", "live", "both")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of facilities.

    ``facilities``: only these (short names without case); empty for all. ``mode``: ``indexed`` asks
    nobody, ``live`` leaves the index out, ``both`` (the default) is as configured. ``deadline_s``:
    seconds that facilities are waited for; ``None`` for the server's own. ``via``: nodes the
    request has passed. ``files``: whether files of Datasets are wanted. ``index_only``: why nobody
    is asked live although somebody could be. ``arrived_at``: when the question came, on the
    federation's ``monotonic``; ``None`` when it comes to it.
    """

    facilities: tuple[str, ...] = ()
    mode: Mode = "both"
    deadline_s: float | None = None
    via: tuple[str, ...] = ()
    files: bool = False
    index_only: str | None = None
    arrived_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Participants:
    """``live``: sources to ask now, at most one a facility. ``indexed``: facilities that speak
    through the index whatever happens. ``named``: all that the request is about."""

    live: tuple[LiveSource, ...]
    indexed: tuple[str, ...]
    named: tuple[str, ...]


def choose(states: Sequence[FacilityState], asked: Asked, where: Node) -> Participants:
    """Choose by configuration, by the request's own words, and by the filter's facilities.

    Raises:
        BadRequest: there is no such facility.
    """
    named = _named(states, asked)
    narrowed = [one for one in conditions(where) if isinstance(one, AtFacility)]
    for node in narrowed:
        wanted = {name.casefold() for name in node.names}
        named = [state for state in named if state.facility.name.casefold() in wanted]
    live = [] if asked.mode == "indexed" else [one for s in named if (one := live_source(s))]
    asked_live = {one.facility.name for one in live}
    indexed = tuple(
        state.facility.name
        for state in named
        if state.facility.name not in asked_live and asked.mode != "live" and _has_index(state)
    )
    return Participants(tuple(live), indexed, tuple(state.facility.name for state in named))


def _named(states: Sequence[FacilityState], asked: Asked) -> list[FacilityState]:
    if not asked.facilities:
        return list(states)
    expect_facilities(asked.facilities, [state.facility for state in states], "facilities")
    known = {state.facility.name.casefold(): state for state in states}
    return [known[name.casefold()] for name in asked.facilities]


def live_source(state: FacilityState) -> LiveSource | None:
    """The facility's source that is asked live, the most trusted of several."""
    found = sorted(
        (
            (source.trust, source.name, source, status)
            for source, status in state.sources
            if source.enabled and source.mode in ("live", "both") and source.protocol == "panosc"
        ),
        key=lambda one: one[:2],
    )
    if not found:
        return None
    _, _, source, status = found[0]
    memory = status.memory or {}
    configured = source.options.get("capabilities")
    known = configured if isinstance(configured, Mapping) else memory.get("capabilities")
    # A check that failed tells nothing new of what the service can do.
    at = memory.get("capabilities_at") or memory.get("checked_at")
    checked_at = _instant(at) if "capabilities" in memory else None
    return LiveSource(source, state.facility, known or {}, checked_at)


def has_copy(state: FacilityState) -> bool:
    """Whether the index has what the facility told us before."""
    return state.records > 0


def with_copies(states: FacilityStates) -> frozenset[str]:
    """The facilities of which that is so."""
    return states.remembered(
        "with copies", lambda: frozenset(s.facility.name for s in states.all if has_copy(s))
    )


def _has_index(state: FacilityState) -> bool:
    return any(source.mode != "live" for source, _ in state.sources) or has_copy(state)


def _instant(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
