"""One settled question, answered: a page with its counts and facets, the same for all engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from catalogue import analysis, technique_scoring
from catalogue.access import STATES
from catalogue.answers import FacetCount, Total
from catalogue.cursors import Continuation, after_plan
from catalogue.engines.base import (
    EngineHit,
    EnginePage,
    FacetRequest,
    PageRequest,
    SortBy,
)
from catalogue.errors import QueryError, QueryTooCostly
from catalogue.facets import FIELD_OF_FACET
from catalogue.fields import kind_of, values_of
from catalogue.plan import Plan, both
from catalogue.planning import access_plan, number_field
from catalogue.query import (
    NOT_DATA,
    Facet,
    OneOf,
    OpenAt,
    Search,
)
from catalogue.ranking import MAX_SCORED, TIE_ROOM, rank
from catalogue.settled import Settled, kind_plan, techniques_named
from catalogue.settling import Hydrate
from catalogue.threads import in_thread

MAX_TEXT_SORTED = 100_000
"""Matches that can be sorted by a text field: their values are read one by one."""

RELATED = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits as the engine knows them, scores on our scale."""

    hits: Sequence[EngineHit]
    total: Total
    facets: Mapping[str, Sequence[FacetCount]]
    best_possible: float
    not_data: Mapping[str, int]


class Wanted(NamedTuple):
    """What an engine is asked for a page: besides the page's own hits those of no records, for
    totals. ``facets`` names the page's first facets; ``by_text`` leaves the order of hits to us."""

    page: PageRequest
    facets: list[str]
    by_text: bool
    totals: tuple[PageRequest, ...]

    @property
    def requests(self) -> tuple[PageRequest, ...]:
        page = replace(self.page, limit=0, skip=0) if self.by_text else self.page
        return (page, *self.totals)


async def find_page(
    settled: Settled,
    hydrate: Hydrate,
    continuation: Continuation | None = None,
    *,
    keyed: bool = True,
) -> Found:
    """The page that is asked for, with total and facets; hits have keys where ``keyed``."""
    wanted = _wanted(settled, continuation, keyed=keyed)
    return await _found(settled, hydrate, wanted, await settled.reader.pages(wanted.requests))


async def find_either(
    settled: Settled, again: Settled, hydrate: Hydrate, *, keyed: bool = True
) -> tuple[Found, Found]:
    """As ``find_page``, of a question and of another that is wanted if it finds nothing: for where
    one request for both is less than two."""
    first, second = (_wanted(one, None, keyed=keyed) for one in (settled, again))
    pages = await settled.reader.pages((*first.requests, *second.requests))
    end = len(first.requests)
    return (
        await _found(settled, hydrate, first, pages[:end]),
        await _found(again, hydrate, second, pages[end:]),
    )


def _wanted(settled: Settled, continuation: Continuation | None, *, keyed: bool) -> Wanted:
    search = settled.search
    scores = settled.scores
    wanted = search.skip + search.limit
    if scores and wanted > MAX_SCORED:
        raise QueryTooCostly(
            f"Scored results go to {MAX_SCORED:,} (skip + limit); continue with the cursor.",
            field="skip",
        )
    sort = tuple(_sort_by(search, one.field, one.descending) for one in search.sort)
    whole = settled.plan()
    requests, listed = _facet_requests(settled, whole)
    kinds = _kinds_request(settled)
    request = PageRequest(
        search.entity_class,
        whole if continuation is None else both(whole, after_plan(continuation)),
        scores,
        () if None in sort else tuple(one for one in sort if one),
        0 if scores else search.skip,
        wanted + TIE_ROOM if scores and search.limit else search.limit,
        # A cursor narrows the plan, so the whole is counted apart.
        search.count and continuation is None,
        (*requests, *kinds),
        keyed,
        keyed or not settled.reader.complete_until,
        wanted if scores else None,
    )
    totals = _access_requests(settled)
    if search.count and continuation is not None:
        totals.append(_total_of(settled, whole))
    return Wanted(request, listed, bool(None in sort and search.limit), tuple(totals))


def _total_of(settled: Settled, plan: Plan) -> PageRequest:
    return PageRequest(settled.search.entity_class, plan, limit=0)


async def _found(
    settled: Settled, hydrate: Hydrate, wanted: Wanted, pages: Sequence[EnginePage]
) -> Found:
    search = settled.search
    page = pages[0]
    hits = list(page.hits)
    if wanted.by_text:
        hits = await _sorted_by_text(settled, hydrate)
    if settled.scores and search.limit:
        hits = await rank(settled, wanted.page, hits, page.best_possible)
    listed = wanted.facets
    facets = {
        name: _facet_counts(name, counts)
        for name, counts in zip(listed, page.facets[: len(listed)], strict=True)
    }
    left_out = {kind: count for counts in page.facets[len(listed) :] for kind, count in counts}
    totals = [one.total or 0 for one in pages[1:]]
    for facet in search.facets:
        if facet.field == "access":
            facets["access"] = _access_counts(facet, totals)
            totals = totals[len(STATES) :]
    seen = search.skip + len(hits) if hits else 0
    total = totals[0] if totals else page.total
    known = Total(total) if total is not None else Total(seen, "gte")
    return Found(hits, known, facets, page.best_possible, left_out)


def _sort_by(search: Search, field: str, descending: bool) -> SortBy | None:
    """The engine's sort, or ``None`` when the values are text."""
    kind = kind_of(search.entity_class, field)
    if kind in ("instant", "number"):
        return SortBy(number_field(field), descending)
    if kind not in ("text", "identifier"):
        raise QueryError(f"{field} cannot be sorted by.", field=field)
    return None


async def _sorted_by_text(settled: Settled, hydrate: Hydrate) -> list[EngineHit]:
    """A page sorted by fields of which at least one is text: values are read from the records."""
    search = settled.search
    total = await settled.reader.count(search.entity_class, settled.plan())
    if total > MAX_TEXT_SORTED:
        raise QueryTooCostly(
            f"{total:,} records match; at most {MAX_TEXT_SORTED:,} can be sorted by text. "
            "Add conditions or sort by a date.",
            field=search.sort[0].field,
        )
    held = await settled.reader.versions(search.entity_class, settled.plan())

    def in_order() -> list[str]:
        entities = hydrate(list(held))
        keys = sorted(entities, key=lambda key: held[key][0])
        for one in reversed(search.sort):
            kind = kind_of(search.entity_class, one.field)
            values = {key: values_of(entities[key].record, one.field, kind)[:1] for key in keys}
            present = [key for key in keys if values[key]]
            folded = {key: _sort_value(values[key][0]) for key in present}
            # Reversed, too, the sort keeps the former order of equal values.
            present.sort(key=folded.__getitem__, reverse=one.descending)
            keys = present + [key for key in keys if not values[key]]
        return keys

    keys = await in_thread(in_order)
    return [EngineHit(k, *held[k]) for k in keys[search.skip : search.skip + search.limit]]


def _sort_value(value: object) -> tuple[str, str]:
    return analysis.fold(str(value)), str(value)


def _facet_requests(settled: Settled, whole: Plan) -> tuple[tuple[FacetRequest, ...], list[str]]:
    requests: list[FacetRequest] = []
    names: list[str] = []
    filtered = {condition.facet for condition in settled.conditions}
    for facet in settled.search.facets:
        if facet.field in FIELD_OF_FACET:
            own = facet.exclude_own_filter and facet.field in filtered
            plan = settled.plan(without=facet.field) if own else whole
            requests.append(FacetRequest(FIELD_OF_FACET[facet.field], facet.size, plan))
            names.append(facet.field)
    return tuple(requests), names


def _facet_counts(name: str, counts: Iterable[tuple[str, int]]) -> list[FacetCount]:
    label = technique_scoring.label if name == "technique" else str
    return [FacetCount(value, label(value), count) for value, count in counts]


def _access_requests(settled: Settled) -> list[PageRequest]:
    """The records in each state, for the facets of access."""
    found = []
    for facet in settled.search.facets:
        if facet.field == "access":
            base = settled.plan(without="access" if facet.exclude_own_filter else None)
            for state in STATES:
                plan = both(base, access_plan(state, settled.search.now))
                found.append(_total_of(settled, plan))
    return found


def _access_counts(facet: Facet, totals: Sequence[int]) -> list[FacetCount]:
    found = [
        FacetCount(state, state.replace("_", " "), count)
        for state, count in zip(STATES, totals, strict=False)
        if count
    ]
    return sorted(found, key=lambda one: (-one.count, one.id))[: facet.size]


async def unknown_access(settled: Settled) -> int | None:
    """How many more would match if it were known whether they are open (semantics 2.4)."""
    opened = [c for c in settled.conditions if isinstance(c.node, OpenAt)]
    if not opened:
        return None
    instant = opened[0].node.instant if isinstance(opened[0].node, OpenAt) else settled.search.now
    plan = both(settled.plan(without="access"), access_plan("unknown", instant))
    return await settled.reader.count(settled.search.entity_class, plan)


def _kinds_request(settled: Settled) -> tuple[FacetRequest, ...]:
    """Counts of what is no data, where the filter chooses kinds (semantics 1.7)."""
    if not any(condition.facet == "kind" for condition in settled.conditions):
        return ()
    # First, so that an index without any of them is asked nothing more.
    others = kind_plan(OneOf("kind", NOT_DATA), settled.search.entity_class)
    plan = both(others, settled.plan(without="kind"))
    return (FacetRequest(FIELD_OF_FACET["kind"], len(NOT_DATA), plan),)


async def related_techniques(settled: Settled) -> list[FacetCount]:
    """Near techniques of the same probe with their own counts, never added to the hits
    (semantics 4.1)."""
    asked = list(settled.text.techniques) if settled.text else []
    asked += [one for c in settled.conditions for one in techniques_named(c.node)]
    near = technique_scoring.near_techniques(tuple(dict.fromkeys(asked)))
    if not near:
        return []
    rest = [c.plan for c in settled.conditions if c.facet != "technique"]
    plan = both(*rest, settled.text.without_techniques if settled.text else both())
    facet = FacetRequest("panet", 2_000, plan)
    request = PageRequest(settled.search.entity_class, plan, limit=0, count=False, facets=(facet,))
    counts = dict((await settled.reader.page(request)).facets[0])
    listed = [one for one in near if counts.get(one)]
    return [FacetCount(i, technique_scoring.label(i), counts[i]) for i in listed[:RELATED]]
