"""A question put to the whole: the catalogue, and the facilities that are asked live.

All routes ask here, so a caller need not know who is live. Where nobody is, the catalogue answers
alone and nothing else is touched.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from catalogue.answers import Answer, FacetCount, Total
from catalogue.catalogue import Catalogue
from catalogue.query import Search
from catalogue.records import EntityClass, StoredEntity
from mappings.identifiers import LONGEST
from search_api.depth import within_the_catalogue
from search_api.errors import BadRequest
from search_api.facilities import FacilityStates
from search_api.federation.accounting import Ledger, sure_of
from search_api.federation.errors import NobodyAsked
from search_api.federation.federated import Federation
from search_api.federation.overlay import Kept
from search_api.federation.participants import MODES, Asked, choose, live_source
from search_api.federation.progress import Arrived
from search_api.federation.reports import FacilityLine, is_silence, line_headers
from search_api.federation.session import FederatedAnswer
from search_api.federation.via import HEADER, read_via, why_index_only
from search_api.replies import Call
from search_api.values import number_of


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer, the records it speaks of, and a line for each facility.

    ``partly``: keys of hits whose scored fields could not all be had. ``told``: the lines as
    headers, where they are known already.
    """

    answer: Answer
    records: Kept
    lines: tuple[FacilityLine, ...]
    partly: frozenset[str] = frozenset()
    told: Mapping[str, str] | None = None

    def headers(self) -> dict[str, str]:
        """The total with how sure it is, and the facilities, for answers that are bare lists."""
        return {
            "X-Total-Count": str(self.answer.total.value),
            "X-Total-Count-Relation": self.answer.total.relation,
            **(line_headers(self.lines) if self.told is None else self.told),
        }


def read_asked(
    call: Call, *, files: bool = False, pairs: Sequence[tuple[str, str]] | None = None
) -> Asked:
    """What a request says of facilities: ``facilities``, ``mode``, ``deadline_ms``, and the nodes
    that it has passed.

    Args:
        pairs: the parameters where they are not those of the address (a POST).

    Raises:
        BadRequest: names the parameter and what is allowed.
    """
    given = call.pairs if pairs is None else pairs
    asked = asked_of(given, files=files, arrived_at=call.arrived_at)
    via = read_via(call.request.headers.get(HEADER))
    if not via:
        return asked
    live = call.server.live
    reason = why_index_only(via, live.node) if live is not None else None
    if reason is None:
        return replace(asked, via=via)
    return replace(asked, via=via, mode="indexed", index_only=reason)


def asked_of(
    pairs: Sequence[tuple[str, str]], *, files: bool = False, arrived_at: float | None = None
) -> Asked:
    """The same from parameters alone."""
    mode = _one(pairs, "mode") or "both"
    if mode not in MODES:
        raise BadRequest(
            f"There is no mode {mode[:50]!r}.", field="mode", allowed=MODES, given=mode
        )
    given = _one(pairs, "deadline_ms")
    deadline_ms = None if given is None else number_of(given)
    if given is not None and (deadline_ms is None or deadline_ms <= 0):
        raise BadRequest(f"{given[:50]!r} is no number of milliseconds.", field="deadline_ms")
    names = [name.strip() for key, text in pairs if key == "facilities" for name in text.split(",")]
    deadline_s = None if deadline_ms is None else deadline_ms / 1000
    return Asked(tuple(filter(None, names)), mode, deadline_s, files=files, arrived_at=arrived_at)


def _one(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise BadRequest(f"{name} is given more than once.", field=name)
    return values[0] if values and values[0].strip() else None


async def ask_whole(call: Call, search: Search, asked: Asked) -> Whole:
    """Answer a question for a request; says how long the answer may be kept."""
    server = call.server
    federation = server.live.federation if server.live is not None else None
    whole = await ask(server.catalogue, server.states, federation, search, asked)
    if any(line.live for line in whole.lines):
        hold(call, whole.lines)
    return whole


async def ask(
    catalogue: Catalogue,
    states: FacilityStates,
    federation: Federation | None,
    search: Search,
    asked: Asked,
    arrived: Arrived | None = None,
) -> Whole:
    """Answer a question, with or without a server around; ``arrived`` is told of what is known
    while facilities are still waited for."""
    if federation is not None and needs_federation(federation, states, search, asked):
        return whole_of(await federation.search(search, asked, arrived))
    _expect_somebody(states, search, asked)
    began = time.perf_counter()
    answer = await catalogue.search(await within_the_catalogue(catalogue, search))
    elapsed_ms = (time.perf_counter() - began) * 1000
    if search.plain and not search.facets:
        # A bare list tells of facilities in its headers alone.
        told = index_headers(states, asked, search)
        if told["X-Facilities-Missing"]:
            answer = replace(answer, total=_as_told(answer.total, told))
        return Whole(answer, catalogue.store, (), told=told)
    lines = index_lines(states, asked, search, answer, elapsed_ms)
    total = sure_of(answer.total, lines)
    if total is not answer.total:
        answer = replace(answer, total=total)
    return Whole(answer, catalogue.store, lines)


def _as_told(total: Total, told: Mapping[str, str]) -> Total:
    """The total, a lower bound where the headers name a facility that is missing."""
    return replace(total, relation="gte") if told["X-Facilities-Missing"] else total


def whole_of(found: FederatedAnswer) -> Whole:
    """What is shown of a federated answer."""
    return Whole(found.answer, found.records, found.lines, found.partly)


async def count_whole(call: Call, search: Search, asked: Asked) -> tuple[Total, dict[str, str]]:
    """How many match, and the headers that say how sure that is."""
    live = call.server.live
    states = call.server.states
    if live is None or not needs_federation(live.federation, states, search, asked):
        _expect_somebody(states, search, asked)
        total = await call.server.catalogue.count(search)
        told = index_headers(states, asked, search)
        total = _as_told(total, told)
        count = {"X-Total-Count": str(total.value), "X-Total-Count-Relation": total.relation}
        return total, {**count, **told}
    found = await live.federation.search(replace(search, limit=0, skip=0), asked)
    hold(call, found.lines)
    return found.answer.total, whole_of(found).headers()


async def find_whole(
    call: Call, entity_class: EntityClass, pid: str, asked: Asked
) -> tuple[tuple[StoredEntity, ...], Kept, dict[str, str]]:
    """The things of a pid, the records to include from, and headers."""
    live = call.server.live
    catalogue = call.server.catalogue
    if len(pid) > LONGEST:
        return (), catalogue.store, {}  # Facilities would refuse the address.
    search = Search(entity_class, call.now, limit=0)
    states = call.server.states
    if live is None or not needs_federation(live.federation, states, search, asked):
        _expect_somebody(states, search, asked)
        found = await catalogue.find(entity_class, pid)
        told = dict(index_headers(states, asked, search))
        return tuple(e for e in found if not e.deleted), catalogue.store, told
    there = await live.federation.find(entity_class, pid, asked)
    hold(call, there.lines)
    return there.entities, there.records, line_headers(there.lines)


def needs_federation(
    federation: Federation, states: FacilityStates, search: Search, asked: Asked
) -> bool:
    """Whether more than the catalogue as it stands is asked."""
    if asked.facilities or asked.mode == "live":
        return True
    if not states.remembered("live", lambda: tuple(filter(None, map(live_source, states.all)))):
        return False
    return bool(federation.participants(search, asked).live)


def _expect_somebody(states: FacilityStates, search: Search, asked: Asked) -> None:
    """Raise ``NobodyAsked`` where all that a question is about are only asked live, and it asks
    for nobody to be asked (fault G02). A node that may ask nobody says so in its lines."""
    if asked.mode != "indexed" or asked.index_only is not None:
        return
    about = choose(states.all, asked, search.where).named
    lines = [line for line in index_lines(states, asked, search) if line.name in about]
    if is_silence(lines):
        raise NobodyAsked([line.json() for line in lines])


def index_lines(
    states: FacilityStates,
    asked: Asked,
    search: Search,
    answer: Answer | None = None,
    elapsed_ms: float = 0.0,
) -> tuple[FacilityLine, ...]:
    """The lines where all facilities speak through the index."""

    def made() -> tuple[FacilityLine, ...]:
        return Ledger(states.all, asked, (), search.now).lines((), {})

    lines = states.remembered(("lines", asked.facilities, asked.mode, asked.index_only), made)
    if any(line.age_s is not None for line in lines):
        lines = made()  # They tell their age.
    counts: Sequence[FacetCount] = answer.facets.get("facility", ()) if answer else ()
    totals: Mapping[str, int] = {one.id: one.count for one in counts}
    return tuple(
        replace(line, total=totals.get(line.name, 0), elapsed_ms=elapsed_ms) for line in lines
    )


def index_headers(states: FacilityStates, asked: Asked, search: Search) -> Mapping[str, str]:
    """The same as headers, which tell neither totals nor ages."""
    return states.remembered(
        (asked.facilities, asked.mode, asked.index_only),
        lambda: line_headers(index_lines(states, asked, search)),
    )


def page_hits(answer: Answer) -> Counter[str]:
    """How many hits of the page each facility has, where it has any."""
    return Counter(
        str(name)
        for hit in answer.hits
        for name in hit.entity.record.get("facilities") or [hit.entity.record.get("facility")]
    )


def hold(call: Call, lines: Sequence[FacilityLine]) -> None:
    """A live answer is kept no longer than the oldest part of it is good; one that lacks a facility
    is not kept at all (fault G14)."""
    oldest_s = 0.0
    for line in lines:
        if not line.live:
            continue
        if line.is_missing or line.state == "stale":
            call.holds_until(call.now)
            return
        if line.age_s:
            oldest_s = max(oldest_s, line.age_s)
    left_s = call.settings.facility_cache_s - oldest_s
    call.holds_until(call.now + timedelta(seconds=left_s) if left_s > 0 else call.now)


__all__ = [
    "Whole",
    "ask",
    "ask_whole",
    "asked_of",
    "count_whole",
    "find_whole",
    "hold",
    "index_headers",
    "index_lines",
    "needs_federation",
    "page_hits",
    "read_asked",
    "whole_of",
]
