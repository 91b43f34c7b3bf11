"""Reading: pages, counts, facets and lists, from answers that must be whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import elasticsearch

from catalogue.engines.base import EnginePage, FacetRequest, PageRequest
from catalogue.engines.elasticsearch_bodies import (
    facet_counts,
    facet_groups,
    hits_of,
    most_frequent,
    page_bodies,
    ranked,
)
from catalogue.engines.elasticsearch_client import error_type, whole
from catalogue.engines.elasticsearch_frequencies import (
    ALL_RECORDS,
    FieldTerm,
    Frequencies,
    best_possible,
    counted,
    counting,
    missing,
    terms_of,
)
from catalogue.engines.elasticsearch_mapping import RESULT_WINDOW
from catalogue.engines.elasticsearch_queries import live, pattern_of_prefix, terms_facet
from catalogue.engines.elasticsearch_searches import Searches
from catalogue.engines.elasticsearch_views import KEPT, KEPT_FOR_A_CURSOR, View
from catalogue.errors import EngineUnavailable, ViewLost
from catalogue.plan import Plan, Prefix
from catalogue.records import EntityClass

WALK = 10_000
"""Hits in one step of a walk through all matches."""


NOTHING_OF_IT: Mapping[str, Any] = {
    "query": {"match_none": {}},
    "size": 0,
    "track_total_hits": False,
}
"""A search that only has its view kept."""

LONGEST_PREFIX = 400
"""Characters that are looked for: the server takes prefixes and patterns of 1,000, in which each
may be escaped. Terms are hardly longer."""

Counts = dict[EntityClass, dict[FieldTerm, int]]
"""How many records of each class have terms."""


class Asked(NamedTuple):
    """One of the searches of a request."""

    entity_class: EntityClass
    body: Mapping[str, Any]
    kept: str = KEPT


class ElasticsearchReader:
    """See ``engines.base.Reader``. What can be asked together is one request.

    Args:
        view: the points in time that are read.
        best_possible: of the question that a cursor continues, so that its scores stay on one
            scale.
    """

    def __init__(
        self,
        searches: Searches,
        frequencies: Frequencies,
        view: View,
        best_possible: float | None = None,
    ) -> None:
        self._searches = searches
        self._frequencies = frequencies
        self._view = view
        self._best = best_possible
        self._used: set[EntityClass] = set()
        self.stamp: str | None = None
        self.complete_until = 0
        self.filled = view.position != 0

    def promise(self) -> Mapping[str, str]:
        """The points in time of this view, which a cursor may name for ten minutes: the page of
        scored hits that it follows has asked the server to keep them so long."""
        self._view.promised = True
        pits = self._view.pits
        return {name: pits[name] for name in sorted(self._used)}

    async def page(self, request: PageRequest) -> EnginePage:
        return (await self.pages((request,)))[0]

    async def pages(self, requests: Sequence[PageRequest]) -> list[EnginePage]:
        asked: list[Asked] = []
        parts: list[tuple[PageRequest, list[list[FacetRequest]], int]] = []
        for request in requests:
            fields = ("key", "change") if request.keyed else ("change",)
            groups = facet_groups(request)
            body, *others = page_bodies(request, groups, fields)
            if request.limit and request.skip + request.limit > RESULT_WINDOW:
                after = await self._walk_to(request)
                body |= {"from": 0} | ({"search_after": after} if after else {"size": 0})
            kept = KEPT_FOR_A_CURSOR if request.scores and request.limit else KEPT
            asked.append(Asked(request.entity_class, body, kept))
            asked += [Asked(request.entity_class, other) for other in others]
            parts.append((request, groups, len(asked)))
        if any(one.kept == KEPT_FOR_A_CURSOR for one in asked):
            # A cursor asks its conditions again, on the views of related classes, too.
            related = sorted(self._used - {one.entity_class for one in asked})
            asked += [Asked(name, NOTHING_OF_IT, KEPT_FOR_A_CURSOR) for name in related]
        answers, counts = await self._search_and_weigh(asked, requests)
        found = []
        begin = 0
        for request, groups, end in parts:
            main = answers[begin]
            found.append(
                EnginePage(
                    hits_of(request, main),
                    main["hits"]["total"]["value"] if request.count else None,
                    await self._exact(request, facet_counts(request, groups, answers[begin:end])),
                    self._best_possible(request, counts),
                )
            )
            begin = end
        return found

    async def _exact(
        self, request: PageRequest, counts: Sequence[list[tuple[str, int]] | None]
    ) -> list[list[tuple[str, int]]]:
        """The facets, those counted one by one that could not be had exactly at once."""
        found = []
        for facet, known in zip(request.facets, counts, strict=True):
            if known is None:
                every = await self._counts(request.entity_class, facet.plan, facet.field)
                known = most_frequent(every, facet)
            found.append(known)
        return found

    async def _walk_to(self, request: PageRequest) -> list[Any] | None:
        """The sort values just before a page beyond the result window; ``None`` past the end."""
        left = request.skip
        after: list[Any] | None = None
        while left > 0:
            body = page_bodies(request, [[]], ())[0] | {
                "size": min(WALK, left),
                "from": 0,
                "aggs": {},
            }
            body |= {"track_total_hits": False}
            if after is not None:
                body["search_after"] = after
            hits = (await self._search_one(request.entity_class, body))["hits"]["hits"]
            if not hits:
                return None
            left -= len(hits)
            after = hits[-1]["sort"]
        return after

    async def ranking(self, request: PageRequest) -> tuple[list[tuple[int, float]], float]:
        return (await self.rankings((request,)))[0]

    async def rankings(
        self, requests: Sequence[PageRequest]
    ) -> list[tuple[list[tuple[int, float]], float]]:
        asked = [
            Asked(request.entity_class, page_bodies(request, [[]], ())[0]) for request in requests
        ]
        answers, counts = await self._search_and_weigh(asked, requests)
        return [
            (ranked(request, answer), self._best_possible(request, counts))
            for request, answer in zip(requests, answers, strict=True)
        ]

    def foresees_nothing(self, entity_class: EntityClass, plan: Plan) -> bool:
        return self._frequencies.foresee_nothing(entity_class, plan)

    async def count(self, entity_class: EntityClass, plan: Plan) -> int:
        body = {"query": live(plan), "size": 0, "track_total_hits": True}
        answer = await self._search_one(entity_class, body)
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
        return {value for value, _ in await self._counts(entity_class, plan, field)}

    async def _counts(
        self, entity_class: EntityClass, plan: Plan, field: str
    ) -> list[tuple[str, int]]:
        """All values of a field among the matching records, and how many have each."""
        found: list[tuple[str, int]] = []
        composite: dict[str, Any] = {
            "size": WALK,
            "sources": [{"value": {"terms": {"field": field}}}],
        }
        body = {
            "query": live(plan),
            "size": 0,
            "track_total_hits": False,
            "aggs": {"values": {"composite": composite}},
        }
        while True:
            answer = (await self._search_one(entity_class, body))["aggregations"]["values"]
            found += [(str(b["key"]["value"]), int(b["doc_count"])) for b in answer["buckets"]]
            after = answer.get("after_key")
            if after is None:
                return found
            composite["after"] = after

    async def prefixed(
        self, entity_class: EntityClass, field: str, prefix: str, limit: int
    ) -> list[tuple[str, int]]:
        counts: dict[str, Any] = dict(terms_facet(field, limit))
        looked_up = prefix[:LONGEST_PREFIX]
        counts["terms"] = {**counts["terms"], "include": pattern_of_prefix(looked_up)}
        body = {
            "query": live(Prefix(field, looked_up)),
            "size": 0,
            "track_total_hits": False,
            "aggs": {"values": counts},
        }
        answer = await self._search_one(entity_class, body)
        buckets = answer["aggregations"]["values"]["buckets"]
        counted = [(str(bucket["key"]), int(bucket["doc_count"])) for bucket in buckets]
        return [pair for pair in counted if pair[0].startswith(prefix)]

    async def frequencies(
        self, entity_class: EntityClass, terms: Sequence[FieldTerm]
    ) -> tuple[int, list[int]]:
        _, counts = await self._search_and_count((), {entity_class: terms})
        found = counts[entity_class]
        return found[ALL_RECORDS], [found[term] for term in terms]

    def _best_possible(self, request: PageRequest, counts: Counts) -> float:
        if self._best is not None:
            return self._best
        return best_possible(request.scores, counts.get(request.entity_class, {}))

    async def _search_and_weigh(
        self, asked: Sequence[Asked], requests: Sequence[PageRequest]
    ) -> tuple[list[Mapping[str, Any]], Counts]:
        """The answers, and what the scores of the requests are weighed with."""
        wanted: dict[EntityClass, list[FieldTerm]] = {}
        for request in requests:
            terms = terms_of(request.scores) if self._best is None else []
            if terms:
                wanted.setdefault(request.entity_class, []).extend(terms)
        return await self._search_and_count(asked, wanted)

    async def _search_and_count(
        self, asked: Sequence[Asked], wanted: Mapping[EntityClass, Sequence[FieldTerm]]
    ) -> tuple[list[Mapping[str, Any]], Counts]:
        position = self._view.position
        counts = {
            name: self._frequencies.known(name, terms, position) for name, terms in wanted.items()
        }
        unknown = {
            name: absent
            for name, terms in wanted.items()
            if (absent := missing(terms, counts[name]))
        }
        more = [Asked(name, counting(terms)) for name, terms in unknown.items()]
        answers = await self._search([*asked, *more]) if asked or more else []
        for (name, terms), answer in zip(unknown.items(), answers[len(asked) :], strict=True):
            found = counted(terms, answer)
            self._frequencies.put(name, found, position)
            counts[name].update(found)
        return answers[: len(asked)], counts

    async def _walk(
        self, entity_class: EntityClass, plan: Plan, fields: Sequence[str]
    ) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """All matches in the order of their ordinals."""
        body: dict[str, Any] = {
            "query": live(plan),
            "size": WALK,
            "sort": [{"ordinal": "asc"}],
            "stored_fields": "_none_",
            "docvalue_fields": list(fields),
            "track_total_hits": False,
        }
        while True:
            hits = (await self._search_one(entity_class, body))["hits"]["hits"]
            if hits:
                yield hits
            if len(hits) < WALK:
                return
            body["search_after"] = hits[-1]["sort"]

    async def _search_one(
        self, entity_class: EntityClass, body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return (await self._search((Asked(entity_class, body),)))[0]

    async def _search(self, asked: Sequence[Asked]) -> list[Mapping[str, Any]]:
        bodies = [
            {
                **one.body,
                "pit": {"id": await self._view.pit(one.entity_class), "keep_alive": one.kept},
            }
            for one in asked
        ]
        self._used.update(one.entity_class for one in asked)
        try:
            async with self._searches.silence.broken_by("searching"):
                answers = await self._answers(bodies)
            for answer in answers:
                whole(answer)
        except EngineUnavailable:
            # Whatever it was, the next question begins with a new view.
            self._view.lost = True
            raise
        for one, answer in zip(asked, answers, strict=True):
            self._view.moved(one.entity_class, answer.get("pit_id"))
        return answers

    async def _answers(self, bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        try:
            return await self._searches.answers(bodies)
        except elasticsearch.ApiError as error:
            # What a cursor names may also be no point in time at all. Without one, shards that are
            # not to be had may be had elsewhere: a point in time lies on certain copies.
            lost = (404, 400) if self._best is not None else (404, 503)
            if error.status_code in lost:
                self._view.lost = True
                kind = error_type(error.body) or error.message
                raise ViewLost(
                    f"Elasticsearch lost the view that was being read ({kind})."
                ) from error
            raise
