"""What a page is asked with, and how its answers are read. Pure, as queries are.

A facet that is counted over other records than the page is a search of its own: inside the page's
it would have to go through the whole index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalogue.engines.base import EngineHit, FacetRequest, PageRequest
from catalogue.engines.elasticsearch_queries import live, sorting, terms_facet
from catalogue.plan import Plan

FACET_ROOM = 1_000
"""Buckets asked for beyond the size, so that ties at the end come in our order."""

Body = dict[str, Any]


def facet_groups(request: PageRequest) -> list[list[FacetRequest]]:
    """The facets by what they are counted over: first those of the page's own records."""
    # Compared, not hashed: plans are deep, and nearly always the very same.
    plans: list[Plan] = [request.plan]
    groups: list[list[FacetRequest]] = [[]]
    for facet in request.facets:
        if facet.plan not in plans:
            plans.append(facet.plan)
            groups.append([])
        groups[plans.index(facet.plan)].append(facet)
    return groups


def page_bodies(
    request: PageRequest, groups: Sequence[Sequence[FacetRequest]], fields: Sequence[str]
) -> list[Body]:
    """The search of a page with the facets of the first group, and one for each other group.

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
    own, *others = groups
    if own:
        body["aggs"] = _aggregations(own)
    return [body, *map(_facet_body, others)]


def _facet_body(facets: Sequence[FacetRequest]) -> Body:
    return {
        "query": live(facets[0].plan),
        "size": 0,
        "track_total_hits": False,
        "aggs": _aggregations(facets),
    }


def _aggregations(facets: Sequence[FacetRequest]) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    for facet in facets:
        sizes[facet.field] = max(facet.size, sizes.get(facet.field, 0))
    return {field: terms_facet(field, size + FACET_ROOM) for field, size in sizes.items()}


def facet_counts(
    request: PageRequest,
    groups: Sequence[Sequence[FacetRequest]],
    answers: Sequence[Mapping[str, Any]],
) -> list[list[tuple[str, int]] | None]:
    """The facets of a page out of the answers to ``page_bodies``; ``None`` for those of which the
    shards have too many values for exact counts."""
    counts = {
        id(facet): _buckets(answer["aggregations"][facet.field], facet)
        for facets, answer in zip(groups, answers, strict=True)
        for facet in facets
    }
    return [counts[id(facet)] for facet in request.facets]


def _buckets(found: Mapping[str, Any], facet: FacetRequest) -> list[tuple[str, int]] | None:
    if found.get("doc_count_error_upper_bound"):
        return None
    return most_frequent([(str(b["key"]), int(b["doc_count"])) for b in found["buckets"]], facet)


def most_frequent(counts: list[tuple[str, int]], facet: FacetRequest) -> list[tuple[str, int]]:
    """The values of a facet out of all, or of the most frequent ones."""
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))[: facet.size]


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
