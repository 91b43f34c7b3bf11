"""One question, answered: membership, order, counts, facets and pages, the same for all engines.

The filter's conditions are settled one by one, so that a facet can leave out its own. Scores and
membership stay apart (semantics 7.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
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
    Reader,
    SortBy,
)
from catalogue.errors import QueryError, QueryTooCostly
from catalogue.facets import FIELD_OF_FACET, facet_of
from catalogue.fields import kind_of, values_of
from catalogue.plan import NoneOf, Numbers, Plan, Score, both
from catalogue.planning import access_plan, number_field, plan_filter
from catalogue.query import (
    NOT_DATA,
    Everything,
    Facet,
    Node,
    OneOf,
    OpenAt,
    Search,
    TechniqueIn,
    check_bounds,
    conditions,
    data_only,
)
from catalogue.records import EntityClass
from catalogue.scoring import all_normalised, normalised
from catalogue.settling import Hydrate, Settler, Stated
from catalogue.text_query import TextPlan, plan_text
from catalogue.threads import in_thread

MAX_SCORED = 10_000
"""How deep relevance pages go by ``skip``; deeper the cursor leads (semantics 9.2, fault F09)."""

MAX_TEXT_SORTED = 100_000
"""Matches that can be sorted by a text field: their values are read one by one."""

TIE_ROOM = 32
"""Hits fetched beyond a page, so that equal rounded scores at its end come in order."""

TIED = (1_000, 2 * MAX_SCORED)
"""How many of the best are ranked when there are more equal scores than that."""

RELATED = 8

DATA_ONLY = data_only()
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """A top-level condition with its settled plan."""

    node: Node
    plan: Plan
    facet: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A question settled on one view of the index. ``membership`` is of the text alone."""

    search: Search
    reader: Reader
    conditions: tuple[Condition, ...]
    text: TextPlan | None
    membership: Plan

    def plan(self, *, without: str | None = None) -> Plan:
        """The plan of the whole question, without the conditions of one facet."""
        kept = (c.plan for c in self.conditions if without is None or c.facet != without)
        return both(*kept, self.membership)

    @property
    def scores(self) -> tuple[Score, ...]:
        return self.text.scores if self.text and not self.search.sort else ()


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits as the engine knows them, scores on our scale."""

    hits: Sequence[EngineHit]
    total: Total
    facets: Mapping[str, Sequence[FacetCount]]
    best_possible: float
    not_data: Mapping[str, int]


async def settle(
    search: Search, reader: Reader, hydrate: Hydrate, stated: Stated | None = None
) -> Settled:
    """Settle filter and text of a question.

    Raises:
        QueryError, QueryTooCostly: the question cannot be meant, or costs too much.
    """
    check_bounds(search.where)
    listed = conditions(search.where)
    techniques = [one for node in listed for one in _techniques_named(node)]
    text = plan_text(search.text, techniques) if search.text and search.text.words.strip() else None
    membership = both()
    widest = both()
    if text is not None and search.text is not None:
        membership = text.all_of if search.text.match == "all" else text.any_of
        # Near techniques are counted among records that this text does not match, too.
        widest = both() if search.related and text.recognised else text.any_of
    fixed: list[Condition] = []
    if listed:
        fixed = await _fixed(search, listed, widest, Settler(reader, hydrate, search.now, stated))
    if search.without:
        fixed.append(Condition(Everything(), NoneOf(Numbers("ordinal", search.without)), None))
    return Settled(search, reader, tuple(fixed), text, membership)


async def _fixed(
    search: Search, listed: Sequence[Node], widest: Plan, settler: Settler
) -> list[Condition]:
    """The conditions of the filter, settled one by one among records that meet ``widest``."""
    # Conditions that some count leaves out must not narrow what the others are looked at among.
    movable = {facet.field for facet in search.facets if facet.exclude_own_filter}
    movable |= {"kind", "access", "technique"}
    fixed: list[Condition] = []
    for node in sorted(listed, key=lambda node: facet_of(node) in movable):
        facet = facet_of(node)
        if node == DATA_ONLY:
            fixed.append(Condition(node, _kind_plan(DATA_ONLY, search.entity_class), facet))
            continue
        context = both(widest, *(c.plan for c in fixed if c.facet not in movable))
        plan = await settler.filter_plan(node, search.entity_class, context)
        fixed.append(Condition(node, plan, facet))
    return fixed


def relaxed(settled: Settled) -> Settled:
    """The same question where any of the words will do (semantics 7.1)."""
    text, plan = settled.search.text, settled.text
    if text is None or plan is None:
        return settled
    search = replace(settled.search, text=replace(text, match="any"))
    return replace(settled, search=search, membership=plan.any_of)


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
        hits = await _ranked(settled, wanted.page, hits, page.best_possible)
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


async def _ranked(
    settled: Settled, request: PageRequest, hits: Sequence[EngineHit], best: float
) -> list[EngineHit]:
    """Scores on our scale, equal ones in the order of their ordinals, cut to the page."""
    search = settled.search
    wanted = search.skip + search.limit
    scaled = all_normalised([hit.score for hit in hits], best)
    if len(hits) < request.limit or scaled[-1] != scaled[wanted - 1]:
        # Who is equal to the last of the page is among them.
        ranked = [
            EngineHit(hit.key, hit.ordinal, hit.change, score)
            for hit, score in zip(hits, scaled, strict=True)
        ]
        ranked.sort(key=_best_first)
        return ranked[search.skip : wanted]
    return await _ranked_among_more(settled, replace(request, count=False, facets=()))


def _best_first(hit: EngineHit) -> tuple[float, int]:
    return -hit.score, hit.ordinal


async def _ranked_among_more(settled: Settled, request: PageRequest) -> list[EngineHit]:
    """The same where more scores are equal than were fetched."""
    search = settled.search
    wanted = search.skip + search.limit
    ranked: list[tuple[int, float]] = []
    for most in TIED:
        if most > request.limit:
            request = replace(request, limit=most)
            pairs, best = await settled.reader.ranking(request)
            ranked = on_scale(pairs, best, wanted)
            if len(ranked) < most or ranked[-1][1] != ranked[wanted - 1][1]:
                break
    # With more equal scores than that the engine's own order among them has to do.
    page = ranked[search.skip : wanted]
    if not page:
        return []
    plan = Numbers("ordinal", frozenset(ordinal for ordinal, _ in page))
    versions = await settled.reader.versions(search.entity_class, plan)
    held = {ordinal: (key, change) for key, (ordinal, change) in versions.items()}
    return [
        EngineHit(held[ordinal][0], ordinal, held[ordinal][1], score)
        for ordinal, score in page
        if ordinal in held
    ]


def on_scale(
    pairs: Iterable[tuple[int, float]], best: float, wanted: int | None = None
) -> list[tuple[int, float]]:
    """(ordinal, score) with scores on our scale, best first, equal ones by ordinal.

    Args:
        wanted: the best so many will do, with all that are as good as the last of them; then
            ``pairs`` must come best first.
    """
    scaled: list[tuple[int, float]] = []
    last = -1.0
    for ordinal, raw in pairs:
        score = normalised(raw, best)
        if len(scaled) == wanted:
            last = scaled[-1][1]
        if score < last:
            break
        scaled.append((ordinal, score))
    return sorted(scaled, key=lambda pair: (-pair[1], pair[0]))


async def ranked_ordinals(settled: Settled, most: int = MAX_SCORED) -> list[tuple[int, float]]:
    """(ordinal, score) of the best hits: what a relevance cursor keeps."""
    request = PageRequest(
        settled.search.entity_class, settled.plan(), settled.scores, limit=most, count=False
    )
    pairs, best = await settled.reader.ranking(request)
    return on_scale(pairs, best)


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
    others = _kind_plan(OneOf("kind", NOT_DATA), settled.search.entity_class)
    plan = both(others, settled.plan(without="kind"))
    return (FacetRequest(FIELD_OF_FACET["kind"], len(NOT_DATA), plan),)


@lru_cache(maxsize=64)
def _kind_plan(node: Node, entity_class: EntityClass) -> Plan:
    """The plan of a condition on kinds, which nearly every question has; it is the same at any
    time."""
    return plan_filter(node, entity_class, _ANY_TIME)


async def related_techniques(settled: Settled) -> list[FacetCount]:
    """Near techniques of the same probe with their own counts, never added to the hits
    (semantics 4.1)."""
    asked = list(settled.text.techniques) if settled.text else []
    asked += [one for c in settled.conditions for one in _techniques_named(c.node)]
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


def _techniques_named(node: Node) -> tuple[str, ...]:
    return node.ids if isinstance(node, TechniqueIn) else ()
