"""The answer of ``/api/search``: hits, totals, facets and what each facility contributed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from catalogue.answers import FacetCount
from search_api.cache import depends_on_clock
from search_api.exports import export
from search_api.facilities import FacilityStates
from search_api.hits import hit_json, load_children
from search_api.replies import Call, Reply, json_reply, next_link, ranked_types
from search_api.search import SearchRequest, pairs_of_body, read_search
from search_api.whole import Whole, ask_whole, read_asked, with_page_hits

Json = dict[str, Any]

MEDIA_TYPES = {
    "application/json": "json",
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/x-bibtex": "bibtex",
    "application/x-research-info-systems": "ris",
    "application/vnd.datacite.datacite+json": "datacite",
}


async def search_page(call: Call) -> Reply:
    """``GET`` and ``POST /api/search``."""
    pairs = list(call.pairs)
    if call.request.method == "POST":
        pairs += pairs_of_body(await call.body())
    request = read_search(call.reading(), pairs, call.settings.search_limit)
    started = time.perf_counter()
    whole = await ask_whole(call, request.search, read_asked(call, pairs=pairs))
    call.timings["search"] = (time.perf_counter() - started) * 1000
    answer = await show(whole, call.server.states, call.timings, request)
    if depends_on_clock(request.search.where) or "access" in request.facets:
        call.holds_until(call.now)
    for hit in answer["hits"]:
        if hit["access"]["state"] == "embargoed":
            call.holds_until(datetime.fromisoformat(hit["access"]["until"]))
    headers = dict(whole.headers())
    if request.limit_was_cut:
        headers["X-Limit"] = str(request.search.limit)
    if answer.get("cursor") and call.request.method == "GET":
        headers["Link"] = next_link(call, {"cursor": answer["cursor"]})
    form = request.format if call.one("format") else accepted_form(call)
    if form not in ("json", "html"):
        reply = export(form, answer["hits"])
        return replace(reply, headers={**headers, **reply.headers})
    return json_reply(answer, headers=headers)


def accepted_form(call: Call) -> str:
    """The form that the client's ``Accept`` ranks highest of those we have, else JSON."""
    ranks = ranked_types(call.request.headers.get("Accept", ""))
    best, form = 0.0, "json"
    for media_type, rank in ranks.items():
        if media_type in MEDIA_TYPES and rank > best:
            best, form = rank, MEDIA_TYPES[media_type]
    return form


async def show(
    whole: Whole, states: FacilityStates, timings: dict[str, float], request: SearchRequest
) -> Json:
    """Put the answer of a question together; ``timings`` gets milliseconds by step."""
    started = time.perf_counter()
    answer = whole.answer
    children = await load_children(whole.records, [hit.entity for hit in answer.hits])
    timings["records"] = (time.perf_counter() - started) * 1000
    now = request.search.now
    hits = [
        hit_json(
            hit,
            children.get(hit.entity.key),
            states,
            now,
            partly=hit.entity.key in whole.partly,
        )
        for hit in answer.hits
    ]
    return answer_json(request, whole, hits)


def answer_json(request: SearchRequest, whole: Whole, hits: Sequence[Json]) -> Json:
    """The shape that scripts rely on; parts that were not asked for are empty. Facets are as sure
    as the total: lower bounds where that is one."""
    answer = whole.answer
    shown: Json = {
        "hits": list(hits),
        "total": {"value": answer.total.value, "relation": answer.total.relation},
        "facets": {name: _counts(answer.facets.get(name, ())) for name in request.facets},
        "facets_relation": answer.total.relation,
        "related": _counts(answer.related),
        "recognised": [
            {"text": one.text, "kind": one.kind, "id": one.id, "label": one.label}
            for one in answer.recognised
        ],
        "facilities": [line.json() for line in with_page_hits(whole.lines, answer)],
        "cursor": answer.cursor,
        "relaxed": answer.relaxed,
        "not_data": dict(answer.not_data),
    }
    if answer.unknown_access is not None:
        shown["unknown_access"] = answer.unknown_access
    if answer.suggestion is not None:
        shown["suggestion"] = answer.suggestion
    return shown


def _counts(counts: Sequence[FacetCount]) -> list[Json]:
    return [{"id": one.id, "label": one.label, "count": one.count} for one in counts]
