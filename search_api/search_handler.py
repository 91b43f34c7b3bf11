"""``GET`` and ``POST /api/search``: one question, answered whole, as an export, or as a stream."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from search_api.cache import depends_on_clock
from search_api.exports import export
from search_api.federation.participants import Asked
from search_api.replies import Call, Emit, Reply, Stream, json_reply, next_link, ranked_types
from search_api.search import SearchRequest, pairs_of_body, read_search
from search_api.search_answer import show, write
from search_api.search_stream import ENCODERS, EVENT_STREAM, LINES, tell_answer
from search_api.whole import ask_whole, read_asked

FORM_OF: Mapping[str, str] = {
    "application/json": "json",
    "text/html": "json",
    "application/xhtml+xml": "json",
    "*/*": "json",
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-bibtex": "bibtex",
    "application/x-research-info-systems": "ris",
    "application/vnd.datacite.datacite+json": "datacite",
    EVENT_STREAM: EVENT_STREAM,
    LINES: LINES,
}


async def search_page(call: Call) -> Reply | Stream:
    """``GET`` and ``POST /api/search``; ``format`` wins over ``Accept``, and streams have none."""
    pairs = list(call.pairs)
    if call.request.method == "POST":
        pairs += pairs_of_body(await call.body())
    request = read_search(call.reading(), pairs, call.settings.search_limit)
    asked = read_asked(call, pairs=pairs)
    form = chosen_form(call, request, pairs)
    if form in ENCODERS:
        return _stream(call, request, asked, form)
    started = time.perf_counter()
    whole = await ask_whole(call, request.search, asked)
    call.timings["search"] = (time.perf_counter() - started) * 1000
    states = call.server.states
    if form == "json":
        answer, access = await write(whole, states, call.timings, request)
    else:
        answer = await show(whole, states, call.timings, request)
        access = [hit["access"] for hit in answer["hits"]]
    if depends_on_clock(request.search.where) or "access" in request.facets:
        call.holds_until(call.now)
    for one in access:
        if one["state"] == "embargoed":
            call.holds_until(datetime.fromisoformat(one["until"]))
    headers = dict(whole.headers())
    if request.limit_was_cut:
        headers["X-Limit"] = str(request.search.limit)
    if answer.get("cursor") and call.request.method == "GET":
        headers["Link"] = next_link(call, {"cursor": answer["cursor"]})
    if form != "json":
        titles = {facility.name: facility.title for facility in states.facilities}
        reply = export(form, answer["hits"], titles)
        return replace(reply, headers={**headers, **reply.headers})
    return json_reply(answer, headers=headers)


def chosen_form(call: Call, request: SearchRequest, pairs: Sequence[tuple[str, str]]) -> str:
    """A form of ``format``, or the media type of a stream."""
    if any(name == "format" and value.strip() for name, value in pairs):
        return request.format
    form = accepted_form(call.request.headers.get("Accept", ""))
    # A HEAD has no body to stream: what it is told is what a whole answer would say.
    return "json" if form in ENCODERS and call.request.method == "HEAD" else form


def accepted_form(accept: str) -> str:
    """The form that an ``Accept`` ranks highest of those we have; else JSON."""
    best, form = 0.0, "json"
    for media_type, rank in ranked_types(accept).items():
        if media_type in FORM_OF and rank > best:
            best, form = rank, FORM_OF[media_type]
    return form


def _stream(call: Call, request: SearchRequest, asked: Asked, media_type: str) -> Stream:
    server = call.server
    federation = server.live.federation if server.live is not None else None

    async def tell(emit: Emit) -> None:
        await tell_answer(server.catalogue, server.states, federation, request, asked, emit)

    return Stream(f"{media_type}; charset=utf-8", ENCODERS[media_type], tell)


__all__ = ["FORM_OF", "accepted_form", "chosen_form", "search_page"]
