"""Whether a look-up asks for words and nothing else: then scoring them settles it, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from catalogue.plan import AnyOf, Plan, Score, Terms, WordScore

FieldTerm: TypeAlias = tuple[str, str]
Frequency: TypeAlias = Callable[[str, str], int]


def asks_for_words(part: Plan, scores: Sequence[Score], frequency: Frequency) -> bool:
    """Whether ``part`` holds exactly where some of ``scores`` is above 0.

    Args:
        part: without terms that no record has.
        frequency: how many records have a term in a field.
    """
    wanted = _looked_up(part)
    if wanted is None:
        return False
    scoring: set[FieldTerm] = set()
    for score in scores:
        if not isinstance(score, WordScore):
            return False
        scoring.update((c.field, c.term) for c in score.clauses if frequency(c.field, c.term))
    # What stands in a title stands in the text as well, so a title's term adds no record.
    return wanted == {
        (field, term)
        for field, term in scoring
        if field != "title" or ("text", term) not in scoring
    }


def _looked_up(part: Plan) -> frozenset[FieldTerm] | None:
    """The terms of which a record has one; ``None`` where anything else is asked."""
    found: set[FieldTerm] = set()
    for one in part.parts if isinstance(part, AnyOf) else (part,):
        if not isinstance(one, Terms):
            return None
        found.update((one.field, term) for term in one.terms)
    return frozenset(found)
