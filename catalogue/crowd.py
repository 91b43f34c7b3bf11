"""Many entities looked at together.

Of a thousand live records each is asked how often it has each word of the question: asked of all
at once, what does not depend on the record is looked up once, and what was counted to tell which
records match need not be counted again to score them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from operator import not_
from typing import TypeVar

from catalogue.oracle import Entity, meets
from catalogue.plan import (
    All,
    AllOf,
    AnyOf,
    Empty,
    LevelScore,
    NoneOf,
    Plan,
    Score,
    Terms,
    WordScore,
)
from catalogue.scoring import best_of_fields
from catalogue.signs import Signs
from catalogue.statistics import (
    SCORED_FIELDS,
    CollectionStatistics,
    FieldTerm,
    weighed,
)

MOST_COUNTS = 32_768
"""Counts kept from one question to the next: words come again in other questions."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Known(dict[Key, float]):
    """A function's values by what they were worked out of: few kinds of records are many."""

    def __init__(self, work: Callable[[Key], float]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, key: Key) -> float:
        value = self[key] = self._work(key)
        return value


class Crowd:
    """Entities in an order of their own, and what was found out of them."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self.entities = entities
        self._texts: dict[str, list[str]] = {}
        self._sizes: dict[str, list[int]] = {}
        self._counts: dict[FieldTerm, list[int]] = {}
        # Of other questions, too; only what this one asks for is taken along to those chosen.
        self._kept: dict[FieldTerm, list[int]] = {}
        self._signs: list[Signs] = []

    def afresh(self) -> Crowd:
        """The same for another question: what they have is known, and what was counted of the
        terms that were asked for lately."""
        if len(self._kept) * len(self.entities) > MOST_COUNTS:
            self._kept = {}
        made = Crowd(self.entities)
        made._texts, made._sizes, made._signs = self._texts, self._sizes, self._signs
        made._kept = self._kept
        return made

    def texts(self, name: str) -> list[str]:
        """The terms of a scored field, see ``Entity.spaced``."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = [one.spaced(name) for one in self.entities]
        return found

    def sizes(self, name: str) -> list[int]:
        """How many terms a scored field has."""
        found = self._sizes.get(name)
        if found is None:
            found = self._sizes[name] = [one.size(name) for one in self.entities]
        return found

    def counts(self, name: str, term: str) -> list[int]:
        """How often a term stands in a scored field."""
        key = (name, term)
        found = self._counts.get(key)
        if found is None:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = self._counted(name, term)
            self._counts[key] = found
        return found

    def _counted(self, name: str, term: str) -> list[int]:
        if name == "wholes" and not self._may_have(term):
            return [0] * len(self.entities)
        spaced = f" {term} "
        return [text.count(spaced) for text in self.texts(name)]

    def _may_have(self, term: str) -> bool:
        """Whether any of them may have the term among its wholes, which few questions find."""
        if not self._signs:
            signs = [one.signs for one in self.entities]
            self._signs.append(Signs([one for one, _ in signs], [one for _, one in signs]))
        return self._signs[0].may_have(term)

    def only(self, chosen: Sequence[bool]) -> Crowd:
        """Those that are chosen, with what is known of them."""
        if all(chosen):
            return self
        made = Crowd(list(compress(self.entities, chosen)))
        made._texts = _chosen(self._texts, chosen)
        made._sizes = _chosen(self._sizes, chosen)
        made._counts = _chosen(self._counts, chosen)
        made._signs = self._signs.copy()  # What is looked up for fewer says nothing of others.
        return made

    def meets(self, plan: Plan) -> list[bool]:
        """What ``oracle.meets`` says of each."""
        columns: list[Sequence[object]]
        match plan:
            case Terms(name, terms) if terms and name in SCORED_FIELDS:  # as nearly all are
                columns = [self.counts(name, term) for term in terms]
                return list(map(any, zip(*columns, strict=True)))
            case All() | AllOf(()):
                return [True] * len(self.entities)
            case Empty() | AnyOf(()):
                return [False] * len(self.entities)
            case AllOf(parts):
                columns = [self.meets(part) for part in parts]
                return list(map(all, zip(*columns, strict=True)))
            case AnyOf(parts):
                columns = [self.meets(part) for part in parts]
                return list(map(any, zip(*columns, strict=True)))
            case NoneOf(part):
                return list(map(not_, self.meets(part)))
        return [meets(plan, one) for one in self.entities]

    def scores(self, scores: Sequence[Score], statistics: CollectionStatistics) -> list[float]:
        """What ``statistics.scoring_by`` gives for each."""
        columns = [
            self._by_level(score)
            if isinstance(score, LevelScore)
            else self._by_word(score, statistics)
            for score in scores
        ]
        return [sum(row) for row in zip(*columns, strict=True)] or [0.0] * len(self.entities)

    def _by_level(self, score: LevelScore) -> list[float]:
        """The first level that holds."""
        found = [0.0] * len(self.entities)
        for worth, plan in reversed(score.levels):
            pairs = zip(self.meets(plan), found, strict=True)
            found = [worth if holds else lower for holds, lower in pairs]
        return found

    def _by_word(self, score: WordScore, statistics: CollectionStatistics) -> list[float]:
        columns = []
        for clause in score.clauses:
            counts = self.counts(clause.field, clause.term)
            if not any(counts):
                continue  # It brings nobody anything.
            points = Known(weighed(clause, statistics).points)
            pairs = zip(counts, self.sizes(clause.field), strict=True)
            columns.append([points[pair] for pair in pairs])
        best: Known[tuple[float, ...]] = Known(best_of_fields)
        return [best[row] for row in zip(*columns, strict=True)] or [0.0] * len(self.entities)


def _chosen(columns: dict[Key, list[Value]], chosen: Sequence[bool]) -> dict[Key, list[Value]]:
    return {name: list(compress(column, chosen)) for name, column in columns.items()}
