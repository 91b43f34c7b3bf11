"""The index's part of a federated question: hits, counts and statistics, and nothing twice.

What facilities answer themselves is left out here: records that only they hold, and records that
others hold too and that came live (semantics 1.2, 9.5). So counts of both sides add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import anyio.to_thread

from catalogue.answers import Answer, Hit, Total
from catalogue.catalogue import Catalogue
from catalogue.oracle import Entity
from catalogue.query import AtFacility, Node, Not, Search, all_of
from catalogue.records import EntityClass, StoredEntity
from catalogue.statistics import SCORED_FIELDS, CollectionStatistics, FieldTerm, length

_RELATED: Mapping[EntityClass, str] = {"Document": "datasets", "Dataset": "documents"}
EMPTY = Answer((), Total(0))
MEASURED = 300
"""Records whose length is measured for the average of an index."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REMEASURE_AT = 1.2
"""An index that has grown by this factor is measured again."""


@dataclass(frozen=True, slots=True)
class IndexSide:
    """What is asked of the index. ``facilities``: those that speak through it; empty: nobody.
    ``match``: in place of the question's own, once that was relaxed."""

    catalogue: Catalogue
    search: Search
    facilities: tuple[str, ...]
    without: frozenset[int] = frozenset()
    match: Literal["all", "any"] | None = None

    async def page(self, skip: int, limit: int, *, first: bool) -> Answer:
        """A page of hits; the ``first`` comes with total, facets and all other counts."""
        if not self.facilities:
            return EMPTY
        search = self.search
        text = search.text
        if text is not None and self.match is not None:
            text = replace(text, match=self.match)
        asked = replace(
            search,
            text=text,
            where=self.where(),
            skip=skip,
            limit=limit,
            cursor=None,
            explain=False,
            plain=True,
            # What is merged with others is looked at more closely.
            bare=False,
            contained=0,
            without=self.without,
            facets=search.facets if first else (),
            related=search.related and first,
            count=first,
        )
        return await self.catalogue.search(asked)

    def where(self) -> Node:
        """The filter, among those that speak through the index. Said twice negated, since a plain
        condition on facilities would be one that the facet of facilities leaves out."""
        return all_of(self.search.where, Not(Not(AtFacility(self.facilities))))


async def held_by_others(
    catalogue: Catalogue, keys: Sequence[str], facilities: Sequence[str], entity_class: EntityClass
) -> dict[str, StoredEntity]:
    """The store's copies of these keys that somebody holds who speaks through the index; and what
    those of the class are related to there, which nobody may have said: Datasets of a Document,
    Documents of a Dataset."""
    if not facilities or not keys:
        return {}
    speaking = set(facilities)

    def read(wanted: Sequence[str]) -> dict[str, StoredEntity]:
        return {
            key: entity
            for key, entity in catalogue.store.entities(wanted).items()
            if not entity.deleted
            and speaking & {str(n) for n in entity.record.get("facilities") or ()}
        }

    def look() -> dict[str, StoredEntity]:
        found = read(keys)
        known = set(keys)
        related = dict.fromkeys(
            str(key)
            for entity in found.values()
            if entity.entity_class == entity_class
            for key in entity.record.get(_RELATED.get(entity_class, "")) or ()
            if key not in known
        )
        return {**found, **read(list(related))} if related else found

    return await anyio.to_thread.run_sync(look)


async def as_entities(catalogue: Catalogue, hits: Sequence[Hit]) -> dict[str, Entity]:
    """Hits of the index with what they contain, as the oracle scores them."""
    keys = [hit.entity.key for hit in hits]
    if not keys:
        return {}
    changes = await anyio.to_thread.run_sync(catalogue.store.changes_of, keys)
    return {key: Entity(change) for key, change in changes.items() if not change.entity.deleted}


@dataclass(slots=True)
class IndexStatistics:
    """The collection statistics of an index. Frequencies are the engine's own; average lengths are
    measured on a sample of the store, and again when the index has grown."""

    catalogue: Catalogue
    _measured: dict[EntityClass, tuple[int, Mapping[str, float]]] = field(default_factory=dict)

    async def of(
        self, entity_class: EntityClass, terms: Sequence[FieldTerm]
    ) -> CollectionStatistics:
        """Statistics for the terms of one question."""
        reader = await self.catalogue.engine.reader()
        documents, counts = await reader.frequencies(entity_class, terms)
        if not documents:
            return CollectionStatistics()
        averages = await self._averages(entity_class, documents)
        return CollectionStatistics(
            float(documents),
            {name: average * documents for name, average in averages.items()},
            {term: float(count) for term, count in zip(terms, counts, strict=True)},
        )

    async def _averages(self, entity_class: EntityClass, documents: int) -> Mapping[str, float]:
        known = self._measured.get(entity_class)
        if known is not None and documents < known[0] * REMEASURE_AT + 10:
            return known[1]
        answer = await self.catalogue.search(
            Search(
                entity_class,
                _EPOCH,
                skip=max(0, (documents - MEASURED) // 2),
                limit=MEASURED,
                plain=True,
                count=False,
            )
        )
        entities = list((await as_entities(self.catalogue, answer.hits)).values())

        def measure() -> dict[str, float]:
            count = max(1, len(entities))
            return {n: sum(length(e, n) for e in entities) / count for n in SCORED_FIELDS}

        averages = await anyio.to_thread.run_sync(measure)
        self._measured[entity_class] = (documents, averages)
        return averages
