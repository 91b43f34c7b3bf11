"""The answer of ``/api/search``: hits, totals, facets and what each facility contributed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from catalogue.answers import Answer, FacetCount
from catalogue.catalogue import Catalogue
from search_api.cache import depends_on_clock
from search_api.depth import within_the_catalogue
from search_api.exports import export
from search_api.facilities import FacilityStates
from search_api.hits import hit_json, load_children
from search_api.replies import Call, Reply, json_reply, next_link
from search_api.search import SearchRequest, pairs_of_body, read_search

Json = dict[str, Any]

MEDIA_TYPES = {
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
    answer = await ask(call.server.catalogue, call.server.states, call.timings, request)
    if depends_on_clock(request.search.where) or "access" in request.facets:
        call.holds_until(call.now)
    for hit in answer["hits"]:
        if hit["access"]["state"] == "embargoed":
            call.holds_until(datetime.fromisoformat(hit["access"]["until"]))
    form = request.format if call.one("format") else accepted_form(call)
    if form not in ("json", "html"):
        return export(form, answer["hits"])
    headers = {"X-Total-Count": str(answer["total"]["value"]), **call.server.states.headers()}
    if answer.get("cursor") and call.request.method == "GET":
        headers["Link"] = next_link(call, {"cursor": answer["cursor"]})
    return json_reply(answer, headers=headers)


def accepted_form(call: Call) -> str:
    """The export form that the client's ``Accept`` names, else JSON."""
    accept = call.request.headers.get("Accept", "")
    for part in accept.split(","):
        form = MEDIA_TYPES.get(part.split(";", 1)[0].strip().lower())
        if form is not None:
            return form
    return "json"


async def ask(
    catalogue: Catalogue,
    states: FacilityStates,
    timings: dict[str, float],
    request: SearchRequest,
) -> Json:
    """Search, and put the answer together; ``timings`` gets milliseconds by step."""
    started = time.perf_counter()
    answer = await catalogue.search(await within_the_catalogue(catalogue, request.search))
    elapsed_ms = (time.perf_counter() - started) * 1000
    timings["search"] = elapsed_ms
    children = await load_children(catalogue.store, [hit.entity for hit in answer.hits])
    timings["records"] = (time.perf_counter() - started) * 1000 - elapsed_ms
    now = request.search.now
    hits = [hit_json(hit, children.get(hit.entity.key), states, now) for hit in answer.hits]
    return answer_json(states, request, answer, hits, elapsed_ms)


def answer_json(
    states: FacilityStates,
    request: SearchRequest,
    answer: Answer,
    hits: Sequence[Json],
    elapsed_ms: float,
) -> Json:
    """The shape that scripts rely on; parts that were not asked for are empty."""
    shown: Json = {
        "hits": list(hits),
        "total": {"value": answer.total.value, "relation": answer.total.relation},
        "facets": {name: _counts(answer.facets.get(name, ())) for name in request.facets},
        "related": _counts(answer.related),
        "recognised": [
            {"text": one.text, "kind": one.kind, "id": one.id, "label": one.label}
            for one in answer.recognised
        ],
        "facilities": facilities_json(states, answer, hits, elapsed_ms),
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


def facilities_json(
    states: FacilityStates, answer: Answer, hits: Sequence[Json], elapsed_ms: float
) -> list[Json]:
    """One line for each facility: state, hits on this page, all its hits. What a silent facility
    told us before counts as ``stale``."""
    totals: Mapping[str, int] = {one.id: one.count for one in answer.facets.get("facility", ())}
    on_page = Counter(name for hit in hits for name in hit["facilities"])
    lines = []
    for state in states.all:
        name = state.facility.name
        lines.append(
            {
                "name": name,
                "state": "stale" if state.state == "silent" else state.state,
                "elapsed_ms": round(elapsed_ms, 3),
                "hits": on_page.get(name, 0),
                "total": totals.get(name, 0),
                "silent_since": state.silent_since,
            }
        )
    return lines
