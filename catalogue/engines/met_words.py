"""Whether a look-up asks for words and nothing else: then scoring them settles it, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from catalogue.plan import AnyOf, Plan, Terms, WordScore
from catalogue.statistics import SCORED_FIELDS

FieldTerm: TypeAlias = tuple[str, str]
Frequency: TypeAlias = Callable[[str, str], int]


def asks_for_words(part: Plan, scoring: frozenset[FieldTerm], frequency: Frequency) -> bool:
    """Whether ``part`` holds exactly where one of the ``scoring`` terms is met.

    Args:
        scoring: what ``terms_scored`` tells of every word that scores; no others score.
        frequency: how many records have a term in a field.
    """
    wanted: set[FieldTerm] = set()
    for one in part.parts if isinstance(part, AnyOf) else (part,):
        if not isinstance(one, Terms) or one.field not in SCORED_FIELDS:
            return False
        wanted.update([(one.field, term) for term in one.terms if frequency(one.field, term)])
    return bool(wanted) and wanted == scoring


def terms_scored(score: WordScore, frequency: Frequency) -> frozenset[FieldTerm]:
    """The terms of which a record has one exactly where a word's score is above 0."""
    held = {(c.field, c.term) for c in score.clauses if frequency(c.field, c.term)}
    # What stands in a title stands in the text as well, so a title's term adds no record.
    return frozenset(
        (field, term) for field, term in held if field != "title" or ("text", term) not in held
    )
