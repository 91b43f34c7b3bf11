"""The PaNOSC Search API: Documents, Datasets and Instruments as portals ask for them.

Lists are bare JSON arrays, as the reference implementation gives them; totals, limits and silent
facilities are in headers. ``provider`` is the facility's Search API base URL exactly as
configured, by which portals look facilities up.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from catalogue.query import AtFacility, Everything, Node, Nothing, OneOf, Search, Sort, Text
from catalogue.records import EntityClass, StoredEntity
from search_api.cache import depends_on_clock, first_opening, next_opening
from search_api.conditions import all_of, read_where
from search_api.errors import AmbiguousPid, BadRequest, UnknownThing
from search_api.facilities import expect_facilities
from search_api.federation.overlay import Kept, Overlay
from search_api.filter_text import read_parameter
from search_api.includes import Hydration, without_joins
from search_api.live_items import written_items
from search_api.loopback import (
    EVERYTHING,
    SCOPE_KEYS,
    Include,
    Question,
    is_whole_filter,
    read_count_where,
    read_fields,
    read_filter,
    read_includes,
    read_order,
    refuse_unknown_keys,
)
from search_api.loopback import read_count as read_number
from search_api.model import FILE, MODEL
from search_api.presentation import (
    Json,
    entity_json,
    list_item_fields,
    list_items,
    row_json,
    sorted_rows,
)
from search_api.replies import Call, Handler, Reply, json_reply, next_link
from search_api.rows import holds
from search_api.techniques import (
    find_technique,
    find_techniques,
    pan_ontology,
    read_technique_filter,
)
from search_api.whole import Whole, ask_whole, count_whole, find_whole, read_asked

CLASSES: Mapping[str, EntityClass] = {
    "Documents": "Document",
    "Datasets": "Dataset",
    "Instruments": "Instrument",
}


def list_of(class_name: EntityClass) -> Handler:
    """``GET /api/{Class}`` (and POST with the filter as body)."""
    panosc_class = MODEL[class_name]

    async def answer(call: Call) -> Reply:
        given = await _given_filter(call)
        question = read_filter(panosc_class, given, call.reading())
        named = await _named(call, class_name)
        asked = read_asked(call, files=includes_files(question.includes))
        search = _search(class_name, question, call, named)
        whole = await ask_whole(call, search, asked)
        found = whole.answer
        items = await _items(call, class_name, question, whole)
        reach = _reach(call, search, any(line.live for line in whole.lines))
        headers = _page_headers(call, question, given, len(found.hits), found.total.value, reach)
        headers |= whole.headers()
        return json_reply(items, headers=headers)

    return answer


async def _items(
    call: Call, class_name: EntityClass, question: Question, whole: Whole
) -> Sequence[object]:
    """The items of a page, with what they include."""
    panosc_class, states, found = MODEL[class_name], call.server.states, whole.answer
    is_plain = not question.includes and question.projection == EVERYTHING
    if is_plain and isinstance(whole.records, Overlay):
        written, until = written_items(panosc_class, found.hits, whole.records, states, call.now)
        call.holds_until(until)
        return written
    entities = [hit.entity for hit in found.hits]
    call.holds_until(first_opening([entity.record for entity in entities], call.now))
    items = list_items(
        panosc_class,
        [(hit.entity.record, hit.score) for hit in found.hits],
        call.now,
        states.provider_of,
        question.projection,
    )
    if not question.includes:
        return items
    related = await _related(call, class_name, entities, question, whole.records)
    shown = zip(items, related, strict=True)
    return [item | extra for item, extra in shown if extra is not None]


def count_of(class_name: EntityClass) -> Handler:
    """``GET /api/{Class}/count``: what ``find`` with the same filter returns on all its pages."""

    async def answer(call: Call) -> Reply:
        where, whole = await _given_count(call)
        question = read_count_where(MODEL[class_name], where, whole, call.reading())
        question = replace(question, skip=0, limit=0)
        named = await _named(call, class_name)
        search = _search(class_name, question, call, named)
        total, headers = await count_whole(call, search, read_asked(call))
        return json_reply({"count": total.value}, headers=headers)

    return answer


def one_of(class_name: EntityClass) -> Handler:
    """``GET /api/{Class}/{pid}``."""
    panosc_class = MODEL[class_name]

    async def answer(call: Call) -> Reply:
        given = await _given_filter(call)
        question = read_filter(panosc_class, given, call.reading(), by_id=True)
        files = includes_files(question.includes)
        pid = call.arguments["pid"]
        entity, records, headers = await find_one(call, class_name, pid, files=files)
        includes = without_joins(question.includes)
        hydration = Hydration(records, call.now, call.settings.max_included)
        (related,) = await hydration.fill(class_name, [entity], includes)
        call.holds_until(min(hydration.good_until, next_opening(entity.record, call.now)))
        shown = entity_json(panosc_class, entity.record, call.now, question.projection)
        ours = list_item_fields(entity.record, 0, _provider(call, entity), question.projection)
        del ours["score"]
        return json_reply({**shown, **ours, **(related or {})}, headers=headers)

    return answer


async def find_one(
    call: Call, class_name: EntityClass, pid: str, *, files: bool = False
) -> tuple[StoredEntity, Kept, dict[str, str]]:
    """The entity of a pid, never silently one of several (semantics 1.2); the records that it is
    related to, and headers that tell of the facilities.

    Raises:
        UnknownThing: nobody has it (at the facility of ``?facility=``).
        AmbiguousPid: several facilities use it for different things.
    """
    facility = call.one("facility")
    if facility is not None:
        expect_facilities((facility,), call.server.states.facilities, "facility")
    found, records, headers = await find_whole(call, class_name, pid, read_asked(call, files=files))
    if facility is not None:
        wanted = facility.casefold()
        found = tuple(
            entity
            for entity in found
            if wanted in [name.casefold() for name in facilities_of(entity.record)]
        )
    if not found:
        unknown = f'Unknown "{class_name}" id "{pid[:500]}".{missing_in_words(headers)}'
        raise UnknownThing(unknown, code="MODEL_NOT_FOUND", facilities=headers)
    if len({entity.key for entity in found}) > 1:
        raise AmbiguousPid(
            class_name,
            pid[:500],
            [
                {
                    "facility": str(entity.record.get("facility", "")),
                    "provider": _provider(call, entity),
                    "key": entity.key,
                    "title": str(entity.record.get("title") or entity.record.get("name") or ""),
                }
                for entity in found
            ],
        )
    return found[0], records, headers


def missing_in_words(headers: Mapping[str, str]) -> str:
    """What to add to "unknown" where a facility that may know is missing; empty otherwise."""
    missing = headers.get("X-Facilities-Missing")
    return f" It may be at a facility that did not answer: {missing}." if missing else ""


def includes_files(includes: Sequence[Include]) -> bool:
    """Whether files are to be included anywhere."""
    return any(
        include.relation.target == "File" or includes_files(include.includes)
        for include in includes
    )


def facilities_of(record: Mapping[str, Any]) -> list[str]:
    """Short names of the facilities that hold a record, the most trusted first."""
    names = record.get("facilities") or [record.get("facility", "")]
    return [str(name) for name in names]


async def files_of(call: Call) -> Reply:
    """``GET /api/Datasets/{pid}/files``."""
    given = await _given_filter(call) or {}
    _check_file_filter(call, given)
    rows, facilities = await _files(call, given.get("where"))
    order = read_order(FILE, given.get("order"), "order")
    projection = read_fields(FILE, given.get("fields"), "fields")
    asked = read_number(given.get("limit"), "limit") or call.settings.default_limit
    limit = min(asked, call.settings.max_files)
    skip = read_number(given.get("skip", given.get("offset")), "skip") or 0
    page = sorted_rows(rows, order)[skip : skip + limit]
    question = Question(FILE, all_of([]), limit=limit, skip=skip, limit_was_cut=True)
    headers = {
        **facilities,
        **_page_headers(call, question, given, len(page), len(rows)),
        "X-Total-Count-Relation": "eq",
    }
    return json_reply([row_json(FILE, row, projection) for row in page], headers=headers)


async def files_count(call: Call) -> Reply:
    """``GET /api/Datasets/{pid}/files/count``."""
    where, whole = await _given_count(call)
    given = _as_filter(where or {}) if whole is None else whole
    _check_file_filter(call, given)
    rows, facilities = await _files(call, given.get("where"))
    count = {"X-Total-Count": str(len(rows)), "X-Total-Count-Relation": "eq"}
    return json_reply({"count": len(rows)}, headers={**facilities, **count})


def _check_file_filter(call: Call, given: Mapping[str, Any]) -> None:
    """Raise ``BadRequest`` for what a filter on files cannot have (fault E08)."""
    refuse_unknown_keys(given, "filter", SCOPE_KEYS)
    read_includes(FILE, given.get("include"), call.reading(), "include", 0)


async def _files(call: Call, where: object) -> tuple[list[Json], dict[str, str]]:
    """The files that match, all of them, and headers that tell of the facilities."""
    node: Node = read_where(FILE, {} if where is None else where, call.reading())
    dataset, _, headers = await find_one(call, "Dataset", call.arguments["pid"], files=True)
    rows = [dict(row) for row in dataset.record.get("files") or ()]
    return [row for row in rows if holds("File", node, row, call.now)], headers


async def techniques_list(call: Call) -> Reply:
    """``GET /techniques`` and ``/api/Techniques``; without a default limit."""
    given = await _given_filter(call)
    items, total = find_techniques(given, call.reading(), _created_at(call))
    return json_reply(items, headers={"X-Total-Count": str(total)})


async def techniques_count(call: Call) -> Reply:
    """``GET /techniques/count``."""
    where, whole = await _given_count(call)
    given = _as_filter(where or {}) if whole is None else whole
    _, total = find_techniques(given, call.reading(), 0)
    return json_reply({"count": total}, headers={"X-Total-Count": str(total)})


async def technique_by_id(call: Call) -> Reply:
    """``GET /techniques/{iri}``, also by short id, label or synonym."""
    given = read_parameter("filter", call.pairs) or {}
    question = read_technique_filter(given, call.reading())
    name = call.arguments["pid"]
    return json_reply(find_technique(name, question.projection, _created_at(call)))


async def techniques_pan_ontology(call: Call) -> Reply:
    """``GET /techniques/pan-ontology?where=``."""
    where = read_parameter("where", call.pairs)
    return json_reply(pan_ontology(where or {}, call.reading()))


def _created_at(call: Call) -> int:
    return int(call.server.started_at.timestamp() * 1000)


async def _given_filter(call: Call) -> Mapping[str, Any] | None:
    """The filter from parameter or body; ``?query=`` counts where the filter has none."""
    given: Mapping[str, Any] | None = read_parameter("filter", call.pairs)
    if call.request.method == "POST":
        body = await call.body()
        if body and given is not None:
            raise BadRequest("The filter is given in the address and in the body.", field="filter")
        if body:
            given = _object(body["filter"]) if "filter" in body else body
    return _with_parameters(call, given)


def _with_parameters(call: Call, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The filter with what stands beside it: ``?where=``, which nobody must take for heard
    (fault E08), and ``?query=``, which counts where the filter has none."""
    where = read_parameter("where", call.pairs)
    if where is not None:
        if given is not None and "where" in given:
            raise BadRequest("where is given in the filter and beside it.", field="where")
        given = {**(given or {}), "where": where}
    query = call.one("query")
    if query is not None and "query" not in (given or {}):
        given = {**(given or {}), "query": query}
    return given


async def _given_count(
    call: Call,
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """``where`` and ``filter`` of a count, from parameters or body; ``?query=`` is in the filter
    where that has none."""
    body = await call.body() if call.request.method == "POST" else {}
    where = _object(body.get("where")) or read_parameter("where", call.pairs)
    whole = _object(body.get("filter")) or read_parameter("filter", call.pairs)
    if body and where is None and whole is None:
        whole = body
    query = call.one("query")
    if query is None or "query" in (whole or {}):
        return where, whole
    if where is not None and whole is None:
        return None, {"query": query, **_as_filter(where)}
    return where, {"query": query, **(whole or {})}


def _as_filter(where: Mapping[str, Any]) -> Mapping[str, Any]:
    """What came as ``where`` as a whole filter, which it may be already."""
    return where if is_whole_filter(where) else {"where": where}


def _object(value: object) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, Mapping):
        return value
    raise BadRequest("A filter must be a JSON object.", field="filter")


async def _named(call: Call, class_name: EntityClass) -> Node:
    """What ``?pid=`` asks for, in any writing, at all facilities that have it (fault E13)."""
    pid = call.one("pid")
    if pid is None:
        return Everything()
    found, _, _ = await find_whole(call, class_name, pid, read_asked(call))
    return OneOf("key", tuple(entity.key for entity in found)) if found else Nothing()


def _search(class_name: EntityClass, question: Question, call: Call, named: Node) -> Search:
    nodes: list[Node] = [question.where, named]
    if facilities := call.many("facility"):
        expect_facilities(facilities, call.server.states.facilities, "facility")
        nodes.append(AtFacility(facilities))
    text = None if question.query is None else Text(question.query, match="any")
    where = all_of(nodes)
    if depends_on_clock(where):
        call.holds_until(call.now)
    most = call.settings.max_ranked
    if text is not None and question.skip + question.limit > most:
        raise BadRequest(
            f"Ranked results reach to {most}; for more, page through /api/search with its cursor.",
            field="skip",
        )
    order = question.order
    if class_name == "Instrument" and not order:
        # Instruments are few, and arrive with their Datasets: by key, not as they came.
        order = (Sort("key"),)
    return Search(
        class_name,
        call.now,
        where=where,
        text=text,
        sort=() if text is not None else order,
        skip=question.skip,
        limit=question.limit,
        plain=True,
        bare=True,
    )


async def _related(
    call: Call,
    class_name: str,
    entities: Sequence[StoredEntity],
    question: Question,
    records: Kept,
) -> list[Json | None]:
    hydration = Hydration(records, call.now, call.settings.max_included)
    filled = await hydration.fill(class_name, entities, question.includes)
    call.holds_until(hydration.good_until)
    return filled


def _provider(call: Call, entity: StoredEntity) -> str:
    return call.server.states.provider_of(str(entity.record.get("facility", "")))


def _reach(call: Call, search: Search, is_live: bool) -> int:
    """How far pages go; what lies behind is refused."""
    reach = sys.maxsize if search.text is None else call.settings.max_ranked
    is_ordered = search.text is not None or search.sort
    return min(reach, call.settings.live_depth) if is_live and is_ordered else reach


def _page_headers(
    call: Call,
    question: Question,
    given: Mapping[str, Any] | None,
    shown: int,
    total: int,
    reach: int = sys.maxsize,
) -> dict[str, str]:
    headers = {"X-Total-Count": str(total)}
    after = question.skip + shown
    if shown and after < total:
        if question.limit_was_cut:
            headers["X-Limit"] = str(question.limit)
        limit = min(question.limit, reach - after)
        following = {**(given or {}), "skip": after, "limit": limit}
        following.pop("offset", None)
        link = next_link(call, {"filter": orjson.dumps(following).decode()}, without=("where",))
        if limit > 0 and len(link) < 8_000:
            headers["Link"] = link
    return headers
