"""Plans as queries of the library, on one view of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tantivy
from tantivy import Occur, Query

from catalogue.engines.met_words import asks_for_words
from catalogue.engines.tantivy_documents import LINKS, ORDINAL, SPACED
from catalogue.engines.tantivy_words import Words
from catalogue.plan import (
    All,
    AllOf,
    AnyOf,
    Empty,
    Like,
    LikePhrase,
    NoneOf,
    NumberRange,
    Numbers,
    Phrase,
    Plan,
    Prefix,
    Score,
    TermRange,
    Terms,
    WordScore,
    both,
    either,
    rewrite,
)
from catalogue.record_terms import has_space

_FEW_TERMS = 256
"""Terms of a look-up that are worth looking for in the dictionary beforehand, at 2 µs each."""

_ONE_BY_ONE = 8
"""Terms of a look-up that become clauses of their own."""


class PlanQueries:
    """The plans of questions to one view, and what was found out on the way."""

    def __init__(self, index: Any, searcher: Any) -> None:
        self.index = index
        self.schema = index.schema
        self.words = Words(self.schema, searcher)
        self._last_shortened: tuple[Plan, Plan] | None = None
        self._too_many: dict[LikePhrase, bool] = {}  # words for the library, as far as is known

    def query(self, plan: Plan) -> Any:
        """The Tantivy query of a plan that holds no undecided and no linked leaf."""
        return self._query(self.shortened(plan))

    def shortened(self, plan: Plan) -> Plan:
        """The plan without what no record has; count, scores and facets of a question share it."""
        last = self._last_shortened
        if last is not None and last[0] == plan:
            return last[1]
        short = rewrite(plan, self._present)
        self._last_shortened = (plan, short)
        return short

    def _present(self, leaf: Plan) -> Plan:
        """A look-up without the terms that no record has: most words are no compound, most kinds
        and techniques do not occur, and each such clause would cost as much as one that does.
        Terms with white space are in a field of their own."""
        if isinstance(leaf, Terms | Like) and leaf.field == "terms":
            return rewrite(either(*_placed(leaf)), self._held)
        return self._held(leaf)

    def _held(self, leaf: Plan) -> Plan:
        if isinstance(leaf, Terms) and len(leaf.terms) <= _FEW_TERMS:
            held = frozenset(term for term in leaf.terms if self.words.frequency(leaf.field, term))
            return Terms(leaf.field, held) if held else Empty()
        return leaf

    def _query(self, plan: Plan) -> Any:
        match plan:
            case All():
                return Query.all_query()
            case Empty():
                return Query.empty_query()
            case Terms(field, terms):
                return self._terms(field, terms)
            case TermRange(field, low, high):
                return self.index.parse_query(f"{field}:[{low} TO {high}]")
            case Prefix(field, prefix):
                return Query.regex_query(self.schema, field, f"{prefix}.*")
            case Like():
                return Query.regex_query(self.schema, plan.field, _expression(plan))
            case LikePhrase():
                return self._like_phrase(plan)
            case Phrase(field, terms):
                return Query.phrase_query(self.schema, field, list(terms))
            case NumberRange(field, low, high):
                return self._number_range(field, low, high)
            case Numbers(field, values):
                return self._numbers(field, values)
            case AllOf(parts):
                return self._all_of(parts)
            case AnyOf(parts):
                return Query.boolean_query([(Occur.Should, self._query(part)) for part in parts])
            case NoneOf():
                return self._all_of((plan,))
        raise TypeError(f"{type(plan).__name__} must be settled before it reaches an engine")

    def scored(self, plan: Plan, scores: Sequence[Score]) -> Any:
        """The query whose members are the plan's and whose score is the sum of ``scores``.

        Where one of any words is asked for, what scores is what is met: the postings are gone
        through once, which takes two thirds of the time. (For all of several words it gains none.)
        """
        asked = self.words.asked(scores)
        if asked.terms is None:
            found = [(Occur.Should, query) for score in scores if (query := self._score(score))]
        else:
            found = [(Occur.Should, word.query) for word in asked.words if word.query is not None]
        rest: Sequence[Plan] = plan.parts if isinstance(plan, AllOf) else (plan,)
        required = found
        if asked.terms:
            known = self.words.frequency
            parts = len(rest)
            rest = [part for part in rest if not asks_for_words(part, asked.terms, known)]
            if not rest:
                return found[0][1] if len(found) == 1 else Query.boolean_query(found)
            if len(rest) < parts:
                required = [(Occur.Must, Query.boolean_query(found))]
                plan = both(*rest)
        if rest:
            required = [*required, (Occur.Must, Query.const_score_query(self.query(plan), 0.0))]
        return Query.boolean_query(required)

    def _all_of(self, parts: Sequence[Plan]) -> Any:
        clauses = []
        for part in parts:
            if isinstance(part, NoneOf):
                clauses.append((Occur.MustNot, self._query(part.part)))
            else:
                clauses.append((Occur.Must, self._query(part)))
        if all(occur == Occur.MustNot for occur, _ in clauses):
            clauses.append((Occur.Must, Query.all_query()))
        return Query.boolean_query(clauses)

    def _like_phrase(self, plan: LikePhrase) -> Any:
        if self._too_many.get(plan, True):
            return self._all_of(plan.parts)
        words: list[str | tuple[int, str]] = [_expression(like) for like in plan.parts]
        return Query.regex_phrase_query(self.schema, plan.parts[0].field, words)

    def _terms(self, field: str, terms: frozenset[str]) -> Any:
        if len(terms) <= _ONE_BY_ONE:
            # A term set marks the place of every match first, however few the other conditions
            # leave; terms one by one are merely stepped through.
            found = [Query.term_query(self.schema, field, term, "basic") for term in sorted(terms)]
            return (
                found[0]
                if len(found) == 1
                else Query.boolean_query([(Occur.Should, query) for query in found])
            )
        return Query.term_set_query(self.schema, field, list(terms))

    def _numbers(self, field: str, values: frozenset[int]) -> Any:
        if field in (ORDINAL, LINKS):
            return Query.term_set_query(self.schema, field, list(values))
        return self.query(either(*(NumberRange(field, one, one) for one in values)))

    def _number_range(self, field: str, low: int | None, high: int | None) -> Any:
        if low is None and high is None:
            return Query.exists_query(field)
        if low is not None and high is not None and low > high:
            return Query.empty_query()
        kind = (
            tantivy.FieldType.Unsigned if field in (ORDINAL, LINKS) else tantivy.FieldType.Integer
        )
        return Query.range_query(self.schema, field, kind, low, high)

    def _score(self, score: Score) -> Any | None:
        if isinstance(score, WordScore):
            return self.words.word(score).query
        present = [(worth, rewrite(plan, self._present)) for worth, plan in score.levels]
        levels = [
            Query.const_score_query(self._query(plan), worth)
            for worth, plan in present
            if not isinstance(plan, Empty)
        ]
        return Query.disjunction_max_query(levels, 0.0) if levels else None


def _placed(leaf: Terms | Like) -> list[Plan]:
    """A look-up among the terms of a record, in the two fields that they are in."""
    if isinstance(leaf, Like):
        spaced = replace(leaf, field=SPACED)
        known = [leaf.head, *[one for one in leaf.letters if len(one) == 1]]
        return [spaced] if any(map(_any_space, known)) else [leaf, spaced]
    spaced_terms = frozenset(filter(has_space, leaf.terms))
    if not spaced_terms:
        return [leaf]
    return [Terms(leaf.field, leaf.terms - spaced_terms), Terms(SPACED, spaced_terms)]


def _any_space(text: str) -> bool:
    return any(map(str.isspace, text))


_ANYTHING = "(?s:.)*"


def _expression(like: Like) -> str:
    """The whole term as a regular expression of the library's."""
    letters = "".join(
        _escaped(one) if len(one) == 1 else f"[{''.join(map(_escaped, one))}]"
        for one in like.letters
    )
    before = _ANYTHING if like.open_start else ""
    after = _ANYTHING if like.open_end else ""
    return "".join(map(_escaped, like.head)) + before + letters + after


def _escaped(letter: str) -> str:
    return f"\\{letter}" if letter in r"\.+*?()|[]{}^$#&-~" else letter
