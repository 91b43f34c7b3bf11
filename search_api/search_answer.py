"""The answer of ``/api/search``: hits, totals, facets and what each facility contributed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import anyio.to_thread

from catalogue.answers import FacetCount
from search_api.facilities import FacilityStates
from search_api.hits import LiveRecords, hit_json, load_children
from search_api.search import SearchRequest
from search_api.whole import Whole, page_hits

Json = dict[str, Any]

FEW = 40
"""Hits that are put into JSON on the event loop; more in a worker thread."""


async def show(
    whole: Whole, states: FacilityStates, timings: dict[str, float], request: SearchRequest
) -> Json:
    """Put the answer of a question together; ``timings`` gets milliseconds by step."""
    started = time.perf_counter()
    answer = whole.answer
    children: dict[str, tuple[int, Sequence[Mapping[str, Any]]]] = {
        hit.entity.key: (hit.contained[0], [one.record for one in hit.contained[1]])
        for hit in answer.hits
        if hit.contained is not None
    }
    now = request.search.now
    shown = LiveRecords(whole.records, states, now)
    untold = [h.entity for h in answer.hits if h.contained is None and not shown.has(h.entity)]
    if untold:
        children |= await load_children(whole.records, untold)
    timings["records"] = (time.perf_counter() - started) * 1000

    def make() -> list[Json]:
        return [
            hit_json(
                hit,
                shown.of(hit.entity, children.get(hit.entity.key)),
                partly=hit.entity.key in whole.partly,
            )
            for hit in answer.hits
        ]

    # A hit takes a tenth of a millisecond: a long page would hold the event loop.
    hits = make() if len(answer.hits) <= FEW else await anyio.to_thread.run_sync(make)
    return answer_json(request, whole, hits)


def answer_json(request: SearchRequest, whole: Whole, hits: Sequence[Json]) -> Json:
    """The shape that scripts rely on; parts that were not asked for are empty. Facets are as sure
    as the total: lower bounds where that is one."""
    answer = whole.answer
    on_page = page_hits(answer)
    shown: Json = {
        "hits": list(hits),
        "total": {"value": answer.total.value, "relation": answer.total.relation},
        "facets": {name: _counts(answer.facets.get(name, ())) for name in request.facets},
        "facets_relation": _facets_relation(whole),
        "related": _counts(answer.related),
        "recognised": [
            {"text": one.text, "kind": one.kind, "id": one.id, "label": one.label}
            for one in answer.recognised
        ],
        "facilities": [line.json(on_page.get(line.name)) for line in whole.lines],
        "cursor": answer.cursor,
        "relaxed": answer.relaxed,
        "not_data": dict(answer.not_data),
    }
    if answer.unknown_access is not None:
        shown["unknown_access"] = answer.unknown_access
    if answer.suggestion is not None:
        shown["suggestion"] = answer.suggestion
    return shown


def _facets_relation(whole: Whole) -> Literal["eq", "gte"]:
    """Facets count related things: where some could not be had, there may be more."""
    return "gte" if any(line.unseen for line in whole.lines) else whole.answer.total.relation


def _counts(counts: Sequence[FacetCount]) -> list[Json]:
    return [{"id": one.id, "label": one.label, "count": one.count} for one in counts]
