"""What BM25 needs to know of a collection, and the score of one record by it (semantics 8.1).

The engines count on their own index. Records that are in no index (a live facility's) are scored
by the same formula with the numbers given here, which may be put together from several
collections: what an index holds, and a sample of each facility that is asked live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from catalogue.plan import Clause, LevelScore, Plan, Score, WordScore
from catalogue.scoring import (
    best_of_fields,
    highest_for_levels,
    highest_for_term,
    saturation,
    weight,
)

if TYPE_CHECKING:
    from catalogue.oracle import Entity

SCORED_FIELDS = ("text", "title", "wholes")

FieldTerm = tuple[str, str]
"""A scored field, and a term in it."""


@dataclass(frozen=True, slots=True)
class CollectionStatistics:
    """A collection of one class: how many records, how long, how many have each term.

    ``documents`` and the counts may be fractions: a sample stands for all. ``lengths`` are the
    terms of all records together, by field, sentinels included.
    """

    documents: float = 0.0
    lengths: Mapping[str, float] = field(default_factory=dict)
    frequencies: Mapping[FieldTerm, float] = field(default_factory=dict)

    def average_length(self, name: str) -> float:
        """Terms that a record has in a field; at least the sentinel."""
        if not self.documents:
            return 1.0
        return max(1.0, self.lengths.get(name, 0.0) / self.documents)

    def frequency(self, name: str, term: str) -> float:
        """How many records have the term in the field, never more than there are."""
        return min(self.frequencies.get((name, term), 0.0), self.documents)


def statistics_of(entities: Iterable[Entity]) -> CollectionStatistics:
    """Count a collection that is at hand, each record with all its terms."""
    documents = 0
    lengths: Counter[str] = Counter()
    frequencies: Counter[FieldTerm] = Counter()
    for entity in entities:
        documents += 1
        for name in SCORED_FIELDS:
            lengths[name] += length(entity, name)
            frequencies.update([(name, term) for term in terms_of(entity, name)])
    return CollectionStatistics(float(documents), dict(lengths), dict(frequencies))


def scaled(statistics: CollectionStatistics, documents: float) -> CollectionStatistics:
    """A sample's statistics as those of all ``documents`` that it was taken from."""
    if not statistics.documents or documents == statistics.documents:
        return statistics
    factor = documents / statistics.documents
    return CollectionStatistics(
        documents,
        {name: total * factor for name, total in statistics.lengths.items()},
        {term: count * factor for term, count in statistics.frequencies.items()},
    )


def together(
    parts: Sequence[CollectionStatistics], terms: Iterable[FieldTerm]
) -> CollectionStatistics:
    """Several collections as one, for the terms of one question."""
    counts = dict.fromkeys(terms, 0.0)
    for part in parts:
        most, known = part.documents, part.frequencies.get
        for term in counts:
            count = known(term)
            if count:
                counts[term] += count if count < most else most
    return CollectionStatistics(
        sum([part.documents for part in parts]),
        {name: sum([part.lengths.get(name, 0.0) for part in parts]) for name in SCORED_FIELDS},
        counts,
    )


def terms_asked(scores: Sequence[Score]) -> tuple[FieldTerm, ...]:
    """The (field, term) pairs whose rarity a question's score depends on."""
    return tuple(
        dict.fromkeys(
            [
                (clause.field, clause.term)
                for score in scores
                if isinstance(score, WordScore)
                for clause in score.clauses
            ]
        )
    )


def to_json(statistics: CollectionStatistics) -> dict[str, Any]:
    """For a capability profile: terms by field, in the form that ``from_json`` reads."""
    terms: dict[str, dict[str, float]] = {name: {} for name in SCORED_FIELDS}
    for (name, term), count in statistics.frequencies.items():
        terms[name][term] = count
    return {
        "records": statistics.documents,
        "lengths": dict(statistics.lengths),
        "records_with": terms,
    }


def from_json(value: Mapping[str, Any]) -> CollectionStatistics:
    """Read what ``to_json`` wrote; anything else counts as an empty collection."""
    try:
        return CollectionStatistics(
            float(value["records"]),
            {str(name): float(total) for name, total in value["lengths"].items()},
            {
                (name, str(term)): float(count)
                for name in SCORED_FIELDS
                for term, count in value["records_with"].get(name, {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return CollectionStatistics()


def scoring_by(
    scores: Sequence[Score],
    statistics: CollectionStatistics,
    meets: Callable[[Plan, Entity], bool],
) -> Callable[[Entity], float]:
    """The score of a record before it is normalised: the sum of semantics 8.1 and 8.3.

    What does not depend on the record is worked out here, once for a question.
    """
    parts = [
        _level(score, meets) if isinstance(score, LevelScore) else _word(score, statistics)
        for score in scores
    ]
    return lambda entity: sum([part(entity) for part in parts])


def _level(score: LevelScore, meets: Callable[[Plan, Entity], bool]) -> Callable[[Entity], float]:
    return lambda entity: next((worth for worth, plan in score.levels if meets(plan, entity)), 0.0)


class Weighed(NamedTuple):
    """A clause with what is the same for all records: ``worth`` is what it can bring at most,
    ``average`` the terms that a record has in the field."""

    field: str
    term: str
    average: float
    worth: float

    def points(self, seen: tuple[int, int]) -> float:
        """What it brings a record; ``seen``: how often the term is there, among how many."""
        occurs, size = seen
        return self.worth * saturation(occurs, 1 + size, self.average) if occurs else 0.0


def weighed(clause: Clause, statistics: CollectionStatistics) -> Weighed:
    """A clause of a word's score."""
    # A record that is at hand is one that has the term.
    frequency = max(1.0, statistics.frequency(clause.field, clause.term))
    return Weighed(
        clause.field,
        clause.term,
        statistics.average_length(clause.field),
        clause.boost * weight(statistics.documents, frequency),
    )


def _word(score: WordScore, statistics: CollectionStatistics) -> Callable[[Entity], float]:
    clauses = [weighed(clause, statistics) for clause in score.clauses]
    return lambda entity: best_of_fields(
        [
            one.points((entity.occurrences(one.field, one.term), entity.size(one.field)))
            for one in clauses
        ]
    )


def best_possible(scores: Sequence[Score], statistics: CollectionStatistics) -> float:
    """More than any record can score, by which raw scores are divided."""
    total = 0.0
    for score in scores:
        if isinstance(score, LevelScore):
            total += highest_for_levels([worth for worth, _ in score.levels])
            continue
        frequencies = [
            (clause.boost, count)
            for clause in score.clauses
            if (count := statistics.frequency(clause.field, clause.term))
        ]
        if frequencies:
            total += highest_for_term(statistics.documents, frequencies)
    return total


def length(entity: Entity, name: str) -> int:
    """Terms in a field, the sentinel included."""
    return 1 + entity.size(name)


def terms_of(entity: Entity, name: str) -> Iterable[str]:
    """The distinct terms of a field."""
    return set(entity.bags[name])
