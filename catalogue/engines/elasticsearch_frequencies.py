"""How many records have a term: what scores are put on our scale with, and what tells beforehand
that words will hardly meet in any record."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from catalogue.engine_fields import TEXT_FIELDS
from catalogue.engines.elasticsearch_queries import LIVE
from catalogue.plan import AllOf, AnyOf, Empty, LevelScore, Phrase, Plan, Score, Terms
from catalogue.scoring import highest_for_levels, highest_for_term

KEPT_S = 30.0
MOST_KEPT = 50_000

ALL_RECORDS = ("", "")
"""Stands for no term in particular."""

MOST_FILTERS = 500
"""Terms in one aggregation; the server's own limit is at least 1,024."""

HARDLY = 0.1
"""Records expected of which it is taken that there is none. Asking in vain for what any word finds
costs several times what is saved when it is needed."""

FieldTerm = tuple[str, str]

_WORDS = frozenset({*TEXT_FIELDS, "wholes"})


class Frequencies:
    """Frequencies that were looked up, by class. They hold while nothing is committed, and else for
    half a minute: a scale may lag behind a little, a set may not."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str, str], tuple[float, int | None, int]] = {}

    def clear(self) -> None:
        self._held.clear()

    def known(
        self, class_name: str, terms: Iterable[FieldTerm], position: int | None
    ) -> dict[FieldTerm, int]:
        """Those of the terms, and of ``ALL_RECORDS``, that hold in a view of that position. Whoever
        goes on with them has them: what is committed meanwhile takes nothing away."""
        oldest = self._clock() - KEPT_S
        found = {}
        for term in (ALL_RECORDS, *terms):
            held = self._held.get((class_name, *term))
            if held is None or (held[0] < oldest and (position is None or held[1] != position)):
                continue
            found[term] = held[2]
        return found

    def held(self, class_name: str, term: FieldTerm) -> int | None:
        """What was known last, however long ago."""
        found = self._held.get((class_name, *term))
        return None if found is None else found[2]

    def put(
        self, class_name: str, counts: Iterable[tuple[FieldTerm, int]], position: int | None
    ) -> None:
        if len(self._held) > MOST_KEPT:
            self._held.clear()
        now = self._clock()
        for term, count in counts:
            self._held[(class_name, *term)] = (now, position, count)

    def foresee_nothing(self, class_name: str, plan: Plan) -> bool:
        """Whether the words of a plan will hardly meet in any record, as far as is known."""
        documents = self.held(class_name, ALL_RECORDS)
        return bool(documents) and (documents or 0) * self._share(class_name, plan) < HARDLY

    def _share(self, class_name: str, plan: Plan) -> float:
        """The share of all records that a plan may hold for, were its words independent; 1 where
        nothing is known."""
        match plan:
            case Empty():
                return 0.0
            case AllOf(parts):
                return math.prod(self._share(class_name, part) for part in parts)
            case AnyOf(parts):
                return min(1.0, sum(self._share(class_name, part) for part in parts))
            case Phrase(field, terms):
                return min((self._of_term(class_name, field, term) for term in terms), default=1.0)
            case Terms(field, terms) if field in _WORDS:
                return min(1.0, sum(self._of_term(class_name, field, term) for term in terms))
        return 1.0

    def _of_term(self, class_name: str, field: str, term: str) -> float:
        known = self.held(class_name, (field, term))
        return 1.0 if known is None else known / (self.held(class_name, ALL_RECORDS) or 1)


def missing(terms: Iterable[FieldTerm], known: Mapping[FieldTerm, int]) -> list[FieldTerm]:
    """Which have to be looked up."""
    return [term for term in dict.fromkeys((ALL_RECORDS, *terms)) if term not in known]


def best_possible(scores: Sequence[Score], counts: Mapping[FieldTerm, int]) -> float:
    """More than any record can score."""
    total = 0.0
    for score in scores:
        if isinstance(score, LevelScore):
            total += highest_for_levels([worth for worth, _ in score.levels])
        else:
            clauses = [(c.boost, counts[c.field, c.term]) for c in score.clauses]
            total += highest_for_term(counts[ALL_RECORDS], clauses)
    return total


def terms_of(scores: Iterable[Score]) -> list[FieldTerm]:
    """The terms whose frequencies say what scores are worth."""
    return [
        (clause.field, clause.term)
        for score in scores
        if not isinstance(score, LevelScore)
        for clause in score.clauses
    ]


def counting(terms: Sequence[FieldTerm]) -> dict[str, Any]:
    """The search that counts the records of each term: answered from the dictionaries, on however
    many shards."""
    aggregations = {
        f"from{first}": {
            "filters": {
                "filters": [
                    {"term": {field: term}} if field else LIVE
                    for field, term in terms[first : first + MOST_FILTERS]
                ]
            }
        }
        for first in range(0, len(terms), MOST_FILTERS)
    }
    return {"size": 0, "track_total_hits": False, "aggs": aggregations}


def counted(terms: Sequence[FieldTerm], answer: Mapping[str, Any]) -> list[tuple[FieldTerm, int]]:
    """What ``counting`` was answered."""
    counts = [
        int(bucket["doc_count"])
        for first in range(0, len(terms), MOST_FILTERS)
        for bucket in answer["aggregations"][f"from{first}"]["buckets"]
    ]
    return list(zip(terms, counts, strict=True))
