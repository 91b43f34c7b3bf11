"""What a page is asked with, and how its answers are read. Pure, as queries are.

A facet that is counted over other records than the page is a search of its own: inside the page's
it would have to go through the whole index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalogue.engines.base import EngineHit, FacetRequest, PageRequest
from catalogue.engines.elasticsearch_queries import live, sorting, terms_facet
from catalogue.errors import EngineError
from catalogue.plan import Plan

FACET_ROOM = 1_000
"""Buckets asked for beyond the size, so that ties at the end come in our order."""

Body = dict[str, Any]


def page_body(request: PageRequest, fields: Sequence[str]) -> Body:
    """The search of a page, with those facets that are counted over the same records.

    Args:
        fields: columns to be read of each hit; its ordinal comes with its place in the order.
    """
    body: Body = {"size": request.limit, "track_total_hits": request.count}
    if request.limit:
        body |= {
            "query": live(request.plan, request.scores),
            "from": request.skip,
            "sort": sorting(request.sort, scored=bool(request.scores)),
            "track_scores": bool(request.scores),
            # Stored fields lie in blocks that have to be decompressed, the identifier too.
            "stored_fields": "_none_",
            "docvalue_fields": list(fields),
        }
    else:
        body["query"] = live(request.plan)
    own = [facet for facet in request.facets if facet.plan == request.plan]
    if own:
        body["aggs"] = _aggregations(own)
    return body


def facet_bodies(request: PageRequest) -> list[Body]:
    """The searches of the facets that are counted over other records, in their order."""
    return [
        {
            "query": live(plan),
            "size": 0,
            "track_total_hits": False,
            "aggs": _aggregations([facet for facet in request.facets if facet.plan == plan]),
        }
        for plan in other_plans(request)
    ]


def other_plans(request: PageRequest) -> list[Plan]:
    """What facets are counted over besides the records of the page."""
    return [plan for plan in dict.fromkeys(f.plan for f in request.facets) if plan != request.plan]


def _aggregations(facets: Sequence[FacetRequest]) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    for facet in facets:
        sizes[facet.field] = max(facet.size, sizes.get(facet.field, 0))
    return {field: terms_facet(field, size + FACET_ROOM) for field, size in sizes.items()}


def facet_counts(
    request: PageRequest, answers: Sequence[Mapping[str, Any]]
) -> list[list[tuple[str, int]]]:
    """The facets of a page out of the answers to ``page_body`` and ``facet_bodies``.

    Raises:
        EngineError: some could not be counted exactly.
    """
    plans = [request.plan, *other_plans(request)]
    of_plan = dict(zip(plans, answers, strict=True))
    return [
        _buckets(of_plan[facet.plan]["aggregations"][facet.field], facet)
        for facet in request.facets
    ]


def _buckets(found: Mapping[str, Any], facet: FacetRequest) -> list[tuple[str, int]]:
    if found.get("doc_count_error_upper_bound"):
        raise EngineError(f"Elasticsearch could not count {facet.field} exactly.")
    pairs = [(str(b["key"]), int(b["doc_count"])) for b in found["buckets"]]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[: facet.size]


def hits_of(request: PageRequest, answer: Mapping[str, Any]) -> list[EngineHit]:
    """The hits of a page that was asked for ``change`` and, where ``keyed``, ``key``."""
    place = _place_of_ordinal(request)
    return [
        EngineHit(
            hit["fields"]["key"][0] if request.keyed else None,
            hit["sort"][place],
            hit["fields"]["change"][0],
            float(hit["_score"] or 0.0),
        )
        for hit in answer["hits"]["hits"]
    ]


def ranked(request: PageRequest, answer: Mapping[str, Any]) -> list[tuple[int, float]]:
    """(ordinal, score) of the hits."""
    place = _place_of_ordinal(request)
    return [(hit["sort"][place], float(hit["_score"] or 0.0)) for hit in answer["hits"]["hits"]]


def _place_of_ordinal(request: PageRequest) -> int:
    return 1 if request.scores else len(request.sort)
