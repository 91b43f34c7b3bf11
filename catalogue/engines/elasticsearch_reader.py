"""Reading: pages, counts, facets and lists, each a ``_search`` that must be whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio
import elasticsearch
from elasticsearch import AsyncElasticsearch

from catalogue.engines.base import EngineHit, EnginePage, FacetRequest, PageRequest
from catalogue.engines.elasticsearch_client import error_type, translated, whole
from catalogue.engines.elasticsearch_mapping import RESULT_WINDOW
from catalogue.engines.elasticsearch_queries import (
    LIVE,
    live,
    pattern_of_prefix,
    query,
    sorting,
    terms_facet,
)
from catalogue.engines.elasticsearch_views import KEPT, KEPT_FOR_A_CURSOR, View
from catalogue.errors import EngineError, EngineUnavailable, ViewLost
from catalogue.plan import LevelScore, Plan, Prefix, Score
from catalogue.records import EntityClass
from catalogue.scoring import highest_for_levels, highest_for_term

WALK = 10_000
"""Hits in one step of a walk through all matches."""

FACET_ROOM = 1_000
"""Buckets asked for beyond the size, so that ties at the end come in our order."""

FREQUENCIES_KEPT_S = 30.0
ALL_RECORDS = ("", "")
"""Stands for no term in particular."""


class Frequencies:
    """How many records have a term: needed to put scores on our scale, and slow to change.

    Forgotten when this process commits, and after half a minute for what others commit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str, str], tuple[float, int]] = {}
        self.shards: dict[str, int] = {}
        """Of each class's index, as its answers say."""

    def clear(self) -> None:
        self._held.clear()

    def get(self, key: tuple[str, str, str]) -> int | None:
        found = self._held.get(key)
        if found is None or self._clock() - found[0] > FREQUENCIES_KEPT_S:
            return None
        return found[1]

    def put(self, key: tuple[str, str, str], count: int) -> None:
        if len(self._held) > 50_000:
            self._held.clear()
        self._held[key] = (self._clock(), count)


class ElasticsearchReader:
    """See ``engines.base.Reader``.

    Args:
        names: the index or alias of each class.
        view: the points in time that are read.
        best_possible: of the question that a cursor continues, so that its scores stay on one
            scale.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        names: Mapping[str, str],
        frequencies: Frequencies,
        view: View,
        best_possible: float | None = None,
    ) -> None:
        self._client = client
        self._names = names
        self._frequencies = frequencies
        self._view = view
        self._best = best_possible
        self.stamp: str | None = None

    def promise(self) -> Mapping[str, str]:
        """The points in time of this view, which a cursor may name for ten minutes: the page of
        scored hits that it follows has asked the server to keep them so long."""
        self._view.promised = True
        return self._view.pits

    async def page(self, request: PageRequest) -> EnginePage:
        deep = request.skip + request.limit > RESULT_WINDOW
        body = self._body(request)
        after: list[Any] | None = None
        if deep:
            after = await self._walk_to(request)
            if after is None:
                body |= {"size": 0, "from": 0}
            else:
                body |= {"search_after": after, "from": 0}
        scored = bool(request.scores and request.limit)
        kept = KEPT_FOR_A_CURSOR if scored else KEPT
        answer, best = await _both(
            lambda: self._search(request.entity_class, body, kept),
            lambda: self._best_possible(request.entity_class, request.scores),
        )
        hits = [
            EngineHit(
                hit["fields"]["key"][0],
                hit["fields"]["ordinal"][0],
                hit["fields"]["change"][0],
                float(hit["_score"] or 0.0),
            )
            for hit in answer["hits"]["hits"]
        ]
        total = answer["hits"]["total"]["value"] if request.count else None
        facets = [
            _buckets(answer["aggregations"], number, facet)
            for number, facet in enumerate(request.facets)
        ]
        return EnginePage(hits, total, facets, best)

    def _body(self, request: PageRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "query": live(request.plan, request.scores),
            "size": request.limit,
            "from": request.skip if request.limit else 0,
            "sort": sorting(request.sort, scored=bool(request.scores)),
            "track_total_hits": request.count,
            "track_scores": bool(request.scores),
            "_source": False,
            "docvalue_fields": ["key", "ordinal", "change"],
        }
        aggregations = {}
        for number, facet in enumerate(request.facets):
            counts = terms_facet(facet.field, facet.size + FACET_ROOM)
            if facet.plan == request.plan:
                aggregations[f"facet{number}"] = {"filter": LIVE, "aggs": {"values": counts}}
            else:
                inside = {"of": {"filter": live(facet.plan), "aggs": {"values": counts}}}
                aggregations[f"facet{number}"] = {"global": {}, "aggs": inside}
        if aggregations:
            body["aggs"] = aggregations
        return body

    async def _walk_to(self, request: PageRequest) -> list[Any] | None:
        """The sort values just before a page beyond the result window; ``None`` past the end."""
        left = request.skip
        after: list[Any] | None = None
        while left > 0:
            body = self._body(request) | {"size": min(WALK, left), "from": 0, "aggs": {}}
            body |= {"track_total_hits": False, "docvalue_fields": []}
            if after is not None:
                body["search_after"] = after
            hits = (await self._search(request.entity_class, body))["hits"]["hits"]
            if not hits:
                return None
            left -= len(hits)
            after = hits[-1]["sort"]
        return after

    async def ranking(self, request: PageRequest) -> tuple[list[tuple[int, float]], float]:
        body = self._body(request) | {"docvalue_fields": ["ordinal"]}
        answer, best = await _both(
            lambda: self._search(request.entity_class, body),
            lambda: self._best_possible(request.entity_class, request.scores),
        )
        pairs = [
            (int(hit["fields"]["ordinal"][0]), float(hit["_score"] or 0.0))
            for hit in answer["hits"]["hits"]
        ]
        return pairs, best

    async def count(self, entity_class: EntityClass, plan: Plan) -> int:
        body = {"query": live(plan), "size": 0, "track_total_hits": True}
        answer = await self._search(entity_class, body)
        return int(answer["hits"]["total"]["value"])

    async def ordinals(
        self, entity_class: EntityClass, plan: Plan, most: int | None = None
    ) -> list[int]:
        found: list[int] = []
        async for hits in self._walk(entity_class, plan, []):
            found += [hit["sort"][0] for hit in hits]
            if most is not None and len(found) > most:
                return found[: most + 1]
        return found

    async def versions(
        self, entity_class: EntityClass, plan: Plan
    ) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        async for hits in self._walk(entity_class, plan, ["key", "change"]):
            for hit in hits:
                key = hit["fields"]["key"][0]
                found[key] = (int(hit["sort"][0]), int(hit["fields"]["change"][0]))
        return found

    async def values(self, entity_class: EntityClass, plan: Plan, field: str) -> set[str]:
        found: set[str] = set()
        after: Mapping[str, Any] | None = None
        while True:
            composite: dict[str, Any] = {
                "size": WALK,
                "sources": [{"value": {"terms": {"field": field}}}],
            }
            if after is not None:
                composite["after"] = after
            body = {
                "query": live(plan),
                "size": 0,
                "track_total_hits": False,
                "aggs": {"values": {"composite": composite}},
            }
            answer = (await self._search(entity_class, body))["aggregations"]["values"]
            found.update(str(bucket["key"]["value"]) for bucket in answer["buckets"])
            after = answer.get("after_key")
            if after is None:
                return found

    async def prefixed(
        self, entity_class: EntityClass, field: str, prefix: str, limit: int
    ) -> list[tuple[str, int]]:
        counts: dict[str, Any] = dict(terms_facet(field, limit))
        counts["terms"] = {**counts["terms"], "include": pattern_of_prefix(prefix)}
        body = {
            "query": live(Prefix(field, prefix)),
            "size": 0,
            "track_total_hits": False,
            "aggs": {"values": counts},
        }
        answer = await self._search(entity_class, body)
        buckets = answer["aggregations"]["values"]["buckets"]
        return [(bucket["key"], int(bucket["doc_count"])) for bucket in buckets]

    async def frequencies(
        self, entity_class: EntityClass, terms: Sequence[tuple[str, str]]
    ) -> tuple[int, list[int]]:
        wanted = [ALL_RECORDS, *terms]
        missing = [pair for pair in wanted if self._frequencies.get((entity_class, *pair)) is None]
        if missing and self._frequencies.shards.get(entity_class) == 1:
            await self._look_up_terms(entity_class, [one for one in missing if one != ALL_RECORDS])
            missing = [one for one in missing if one == ALL_RECORDS]
        if missing:
            await self._look_up(entity_class, missing)
        counts = [self._frequencies.get((entity_class, *pair)) or 0 for pair in wanted]
        return counts[0], counts[1:]

    async def _look_up(self, entity_class: EntityClass, pairs: Sequence[tuple[str, str]]) -> None:
        """Count queries of a single term, which the server answers from its dictionaries."""
        lines: list[Mapping[str, Any]] = []
        for field, term in pairs:
            asked = {"term": {field: term}} if field else LIVE
            lines += [{}, {"query": asked, "size": 0, "track_total_hits": True}]
        async with translated("reading term statistics"):
            answer = await self._client.msearch(
                index=self._names[entity_class],
                searches=lines,
                filter_path="responses.hits.total.value,responses._shards,responses.timed_out,"
                "responses.error",
            )
        for pair, one in zip(pairs, answer["responses"], strict=True):
            if "error" in one:
                raise EngineError("Elasticsearch could not give its term statistics.")
            self._frequencies.put((entity_class, *pair), int(whole(one)["hits"]["total"]["value"]))

    async def _look_up_terms(
        self, entity_class: EntityClass, pairs: Sequence[tuple[str, str]]
    ) -> None:
        """The dictionaries themselves, which one shard's are: a made-up document of the terms is
        told how frequent they are. A tenth of the work of counting each."""
        words: dict[str, list[str]] = {}
        for field, term in pairs:
            words.setdefault(field, []).append(term)
        if not words:
            return
        async with translated("reading term statistics"):
            answer = await self._client.termvectors(
                index=self._names[entity_class],
                doc={field: " ".join(terms) for field, terms in words.items()},
                fields=list(words),
                term_statistics=True,
                field_statistics=False,
                offsets=False,
                payloads=False,
                positions=False,
            )
        found = answer.body.get("term_vectors", {})
        for field, term in pairs:
            told = found.get(field, {}).get("terms", {}).get(term, {})
            self._frequencies.put((entity_class, field, term), int(told.get("doc_freq", 0)))

    async def _best_possible(self, entity_class: EntityClass, scores: Sequence[Score]) -> float:
        if self._best is not None:
            return self._best
        total = 0.0
        pairs = [
            (clause.field, clause.term)
            for score in scores
            if not isinstance(score, LevelScore)
            for clause in score.clauses
        ]
        documents, counts = await self.frequencies(entity_class, pairs) if pairs else (0, [])
        known = dict(zip(pairs, counts, strict=True))
        for score in scores:
            if isinstance(score, LevelScore):
                total += highest_for_levels([worth for worth, _ in score.levels])
            else:
                clauses = [(c.boost, known[c.field, c.term]) for c in score.clauses]
                total += highest_for_term(documents, clauses)
        return total

    async def _walk(
        self, entity_class: EntityClass, plan: Plan, fields: Sequence[str]
    ) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """All matches in the order of their ordinals."""
        body: dict[str, Any] = {
            "query": {"bool": {"filter": [LIVE, query(plan)]}},
            "size": WALK,
            "sort": [{"ordinal": "asc"}],
            "_source": False,
            "docvalue_fields": list(fields),
            "track_total_hits": False,
        }
        while True:
            hits = (await self._search(entity_class, body))["hits"]["hits"]
            if hits:
                yield hits
            if len(hits) < WALK:
                return
            body["search_after"] = hits[-1]["sort"]

    async def _search(
        self, entity_class: EntityClass, body: Mapping[str, Any], kept: str = KEPT
    ) -> Mapping[str, Any]:
        pit = {"id": await self._view.pit(entity_class), "keep_alive": kept}
        try:
            async with translated("searching"):
                answer = await self._asked({**body, "pit": pit})
            found = whole(answer)
        except EngineUnavailable:
            # Whatever it was, the next question begins with a new view.
            self._view.lost = True
            raise
        self._view.moved(entity_class, answer.get("pit_id"))
        self._frequencies.shards[entity_class] = int(found.get("_shards", {}).get("total", 0))
        return found

    async def _asked(self, body: dict[str, Any]) -> Mapping[str, Any]:
        try:
            # Statistics over all shards, or the same record would score differently on each.
            answer = await self._client.search(
                body=body, search_type="dfs_query_then_fetch", allow_partial_search_results=False
            )
        except (elasticsearch.NotFoundError, elasticsearch.BadRequestError) as error:
            # What a cursor names may also be no point in time at all.
            if error.status_code == 404 or self._best is not None:
                self._view.lost = True
                kind = error_type(error.body) or error.message
                raise ViewLost(
                    f"Elasticsearch lost the view that was being read ({kind})."
                ) from error
            raise
        found: Mapping[str, Any] = answer.body
        return found


First = TypeVar("First")
Second = TypeVar("Second")


async def _both(
    first: Callable[[], Awaitable[First]], second: Callable[[], Awaitable[Second]]
) -> tuple[First, Second]:
    """Two requests at the same time."""
    found: dict[str, Any] = {}

    async def one(name: str, work: Callable[[], Awaitable[Any]]) -> None:
        found[name] = await work()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "second", second)
            await one("first", first)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    return found["first"], found["second"]


def _buckets(
    aggregations: Mapping[str, Any], number: int, facet: FacetRequest
) -> list[tuple[str, int]]:
    found = aggregations[f"facet{number}"]
    values = found.get("of", found)["values"]
    if values.get("doc_count_error_upper_bound"):
        raise EngineError(f"Elasticsearch could not count {facet.field} exactly.")
    pairs = [(str(b["key"]), int(b["doc_count"])) for b in values["buckets"]]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[: facet.size]
