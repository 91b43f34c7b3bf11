"""What the words of questions come to in one view of an index. Words come again and again, in
whatever questions, so each is worked out once while the view lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tantivy import Query

from catalogue.engines.met_words import FieldTerm, terms_scored
from catalogue.plan import LevelScore, Score, WordScore
from catalogue.scoring import TIE_BREAKER, highest_for_levels, highest_for_term

_MOST_FREQUENCIES = 20_000
"""Terms whose frequency is remembered: 4 MB."""

_MOST_WORDS = 4_096
"""Words that are remembered: 4 MB."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word that scores: the query, ``None`` where no record has it; the terms of which a record
    that it is met in has one; more than any record can get for it."""

    score: WordScore
    query: Any | None
    terms: frozenset[FieldTerm]
    highest: float


class Asked(NamedTuple):
    """All that a question scores. ``words``: its words; ``terms``: those of which a record that
    scores has one, ``None`` where more than words score; ``highest``: more than any record can get
    (semantics 8.3)."""

    words: tuple[Word, ...]
    terms: frozenset[FieldTerm] | None
    highest: float


class Words:
    """The words of one class in one view."""

    def __init__(self, schema: Any, searcher: Any) -> None:
        self._schema = schema
        self._searcher = searcher
        self._documents = int(searcher.num_docs)
        self._frequencies: dict[FieldTerm, int] = {}
        self._words: dict[str, Word] = {}
        self._last: tuple[Sequence[Score], Asked] = ((), Asked((), frozenset(), 0.0))

    def frequency(self, field: str, term: str) -> int:
        """How many records have the term in the field."""
        found = self._frequencies.get((field, term))
        if found is None:
            if len(self._frequencies) >= _MOST_FREQUENCIES:
                self._frequencies.clear()
            found = self._frequencies[field, term] = int(self._searcher.doc_freq(field, term))
        return found

    def word(self, score: WordScore) -> Word:
        """What is known of a word that scores."""
        found = self._words.get(score.word)
        if found is None or (found.score is not score and found.score != score):
            if len(self._words) >= _MOST_WORDS:
                self._words.clear()
            terms = terms_scored(score, self.frequency)
            found = Word(score, self._query(score), terms, self._highest(score))
            self._words[score.word] = found
        return found

    def asked(self, scores: Sequence[Score]) -> Asked:
        """What is known of everything that scores; a question asks twice."""
        last, known = self._last
        if last is scores:
            return known
        words: list[Word] = []
        terms: set[FieldTerm] = set()
        highest = 0.0
        for score in scores:
            if isinstance(score, LevelScore):
                highest += highest_for_levels([worth for worth, _ in score.levels])
            else:
                word = self.word(score)
                words.append(word)
                terms.update(word.terms)
                highest += word.highest
        only_words = len(words) == len(scores)
        known = Asked(tuple(words), frozenset(terms) if only_words else None, highest)
        self._last = (scores, known)
        return known

    def _highest(self, score: WordScore) -> float:
        frequencies = [(c.boost, self.frequency(c.field, c.term)) for c in score.clauses]
        return highest_for_term(self._documents, frequencies)

    def _query(self, score: WordScore) -> Any | None:
        queries = []
        for clause in score.clauses:
            if not self.frequency(clause.field, clause.term):
                continue
            option = "basic" if clause.field == "wholes" else "freq"
            query = Query.term_query(self._schema, clause.field, clause.term, option)
            queries.append(query if clause.boost == 1 else Query.boost_query(query, clause.boost))
        if len(queries) < 2:
            return queries[0] if queries else None
        return Query.disjunction_max_query(queries, TIE_BREAKER)
