"""The answer of ``/api/search``: hits, totals, facets and what each facility contributed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import anyio.to_thread
import orjson

from catalogue.answers import FacetCount
from catalogue.records import StoredEntity
from search_api.facilities import FacilityStates
from search_api.hits import LiveRecords, hit_json, load_children, written_hit
from search_api.search import SearchRequest
from search_api.whole import Whole, page_hits

Json = dict[str, Any]
Shown = TypeVar("Shown")

FEW = 40
"""Hits that are put into JSON on the event loop; more in a worker thread."""


async def show(
    whole: Whole, states: FacilityStates, timings: dict[str, float], request: SearchRequest
) -> Json:
    """Put the answer of a question together; ``timings`` gets milliseconds by step."""
    records = await _records(whole, states, timings, request)

    def make() -> list[Json]:
        return [
            hit_json(hit, records.of(hit.entity), partly=hit.entity.key in whole.partly)
            for hit in whole.answer.hits
        ]

    hits = await _made(make, len(whole.answer.hits))
    return answer_json(request, whole, hits)


async def write(
    whole: Whole, states: FacilityStates, timings: dict[str, float], request: SearchRequest
) -> tuple[Json, list[Json]]:
    """The same to be sent as JSON, its hits written already; with the access of each hit."""
    records = await _records(whole, states, timings, request)
    access: list[Json] = []

    def make() -> list[orjson.Fragment]:
        hits = []
        for hit in whole.answer.hits:
            record, begins = records.written(hit.entity)
            access.append(record["access"])
            hits.append(written_hit(hit, begins, partly=hit.entity.key in whole.partly))
        return hits

    hits = await _made(make, len(whole.answer.hits))
    return answer_json(request, whole, hits), access


async def _made(make: Callable[[], list[Shown]], count: int) -> list[Shown]:
    # A hit takes a tenth of a millisecond: a long page would hold the event loop.
    return make() if count <= FEW else await anyio.to_thread.run_sync(make)


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of an answer's hits, with what is shown of what they contain."""

    shown: LiveRecords
    children: Mapping[str, tuple[int, Sequence[Mapping[str, Any]]]]

    def of(self, entity: StoredEntity) -> Json:
        return self.shown.of(entity, self.children.get(entity.key))

    def written(self, entity: StoredEntity) -> tuple[Json, bytes]:
        return self.shown.written(entity, self.children.get(entity.key))


async def _records(
    whole: Whole, states: FacilityStates, timings: dict[str, float], request: SearchRequest
) -> _Records:
    """Read what has to be read; ``timings`` gets how long that took."""
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
    return _Records(shown, children)


def answer_json(request: SearchRequest, whole: Whole, hits: Sequence[object]) -> Json:
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
