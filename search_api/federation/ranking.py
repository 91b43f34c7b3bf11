"""One order for what comes from the index and from facilities: scores, sort values, pages.

Scores are made by the oracle's formula with one collection's statistics for all (semantics 8), so
they mean the same whichever facility a record came from. Pages are dealt from a ``Deck``: what is
left of the live hits, and of the index's, which are fetched as the pages go deeper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Any, NamedTuple

from catalogue import analysis, statistics
from catalogue.answers import Explanation
from catalogue.crowd import Crowd, Known
from catalogue.fields import kind_of, values_of
from catalogue.oracle import Entity, meets
from catalogue.plan import LevelScore, Score, WordScore
from catalogue.query import Sort
from catalogue.records import EntityClass
from catalogue.scoring import normalised
from catalogue.statistics import CollectionStatistics

Order = tuple[Any, ...]


class Ranked(NamedTuple):
    """A hit in the merged order; ``live`` ones are in the pool, the others in the index."""

    order: Order
    key: str
    score: float = 0.0
    live: bool = True


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores on the federation's one scale, for one question."""

    words: tuple[Score, ...]
    collection: CollectionStatistics
    best_possible: float

    @classmethod
    def of(
        cls, words: Sequence[Score], parts: Sequence[CollectionStatistics], seen: Crowd
    ) -> Scorer:
        """Put the collections together. A sample may have missed what ``seen`` holds: no term is
        rarer than what is at hand."""
        terms = statistics.terms_asked(words)
        whole = statistics.together(parts, terms)
        at_hand = float(len(seen.entities))
        counts = {
            term: known
            if (known := whole.frequencies[term]) >= at_hand
            else max(known, float(sum(map(bool, seen.counts(*term)))))
            for term in terms
        }
        documents = max(whole.documents, at_hand)
        return cls.by(words, CollectionStatistics(documents, whole.lengths, counts))

    @classmethod
    def by(cls, words: Sequence[Score], collection: CollectionStatistics) -> Scorer:
        """Score with these numbers."""
        return cls(tuple(words), collection, statistics.best_possible(words, collection))

    def scores(self, crowd: Crowd) -> list[float]:
        """Strictly between 0 and 1 where anything is met; 0 else."""
        known = Known[float](lambda raw: normalised(raw, self.best_possible))
        return [known[raw] for raw in crowd.scores(self.words, self.collection)]

    def explain(self, entity: Entity, own_scores: Mapping[str, Any]) -> Explanation:
        """The parts of a score; what facilities think of the record stands beside as evidence."""
        parts: list[dict[str, Any]] = []
        sums = {"text": 0.0, "technique": 0.0}
        for score in self.words:
            points = statistics.scoring_by([score], self.collection, meets)(entity)
            side = (
                "technique" if isinstance(score, LevelScore) and len(score.levels) > 1 else "text"
            )
            sums[side] += points
            what = f"the word “{score.word}”" if isinstance(score, WordScore) else score.what
            parts.append({"what": what, "part": side, "points": round(points, 6), "fields": []})
        for source, given in sorted(own_scores.items()):
            parts.append(
                {"what": f"score given by {source}, not used", "part": "evidence", "points": 0.0,
                 "given": given if isinstance(given, int | float) else str(given)[:40]}
            )  # fmt: skip
        return Explanation(
            round(sums["text"], 6),
            round(sums["technique"], 6),
            round(self.best_possible, 6),
            parts,
        )


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Descending:
    """A text that sorts the other way round."""

    text: tuple[str, str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and self.text == other.text

    def __lt__(self, other: Descending) -> bool:
        return self.text > other.text

    def __hash__(self) -> int:
        return hash(self.text)


def sort_order(
    record: Mapping[str, Any], entity_class: EntityClass, sort: Sequence[Sort], key: str
) -> Order:
    """Where a record stands in an asked order: absent values last, ties by key."""
    order: list[Any] = []
    for one in sort:
        kind = kind_of(entity_class, one.field)
        values = values_of(record, one.field, kind)
        if not values:
            order += [True, 0]
            continue
        value = values[0]
        if isinstance(value, str):
            folded = (analysis.fold(value), value)
            order += [False, Descending(folded) if one.descending else folded]
        else:
            order += [False, -value if one.descending else value]
    return (*order, key)


def score_order(score: float, key: str) -> Order:
    """Best first, ties by key (semantics 8.3)."""
    return (-score, key)


@dataclass(slots=True)
class Deck:
    """What is left to deal. ``live`` and ``indexed`` are in order. ``index_at``: index hits fetched
    so far; ``index_done``: there are no more, or no more that may be fetched."""

    live: list[Ranked] = field(default_factory=list)
    indexed: list[Ranked] = field(default_factory=list)
    index_at: int = 0
    index_done: bool = False

    def ready(self) -> int:
        """Hits that can be dealt before more of the index has to be fetched."""
        if self.index_done:
            return len(self.live) + len(self.indexed)
        if not self.indexed:
            return 0
        last = self.indexed[-1].order
        return len(self.indexed) + sum(one.order < last for one in self.live)

    def add(self, fetched: Sequence[Ranked], asked: int, *, got: int, most: int) -> None:
        """More of the index: ``got`` of ``asked`` hits came, of which ``fetched`` still hold;
        ``most`` may be fetched in all."""
        self.indexed = sorted([*self.indexed, *fetched], key=lambda one: one.order)
        self.index_at += asked
        self.index_done = got < asked or self.index_at >= most

    def deal(self, count: int) -> list[Ranked]:
        """The next hits in the merged order."""
        if not self.indexed:
            dealt = self.live[:count]
            del self.live[:count]
            return dealt
        dealt = []
        live = indexed = 0
        while len(dealt) < count:
            if live == len(self.live) and indexed == len(self.indexed):
                break
            take_live = indexed == len(self.indexed) or (
                live < len(self.live) and self.live[live].order < self.indexed[indexed].order
            )
            if take_live:
                dealt.append(self.live[live])
                live += 1
            else:
                dealt.append(self.indexed[indexed])
                indexed += 1
        del self.live[:live]
        del self.indexed[:indexed]
        return dealt

    @property
    def is_empty(self) -> bool:
        return self.index_done and not self.live and not self.indexed
