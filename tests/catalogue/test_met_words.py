"""Where scoring words settles who is found, they are not looked up a second time."""

from __future__ import annotations

import pytest

from catalogue.engines.met_words import asks_for_words
from catalogue.plan import LevelScore, NoneOf, Phrase, Plan, Prefix, Terms, either
from catalogue.query import Text
from catalogue.text_query import plan_text

HELD = {
    ("text", "water"): 9,
    ("title", "water"): 2,
    ("text", "silica"): 5,
    ("wholes", "silica"): 1,
    ("title", "alone"): 1,
}


def frequency(field: str, term: str) -> int:
    return HELD.get((field, term), 0)


def terms(field: str, *words: str) -> Terms:
    return Terms(field, frozenset(words))


BOTH = either(terms("text", "water", "silica"), terms("wholes", "silica"))


def scores(words: str) -> tuple:  # type: ignore[type-arg]
    return plan_text(Text(words, match="any")).scores


def test_any_of_the_words_is_met_where_one_scores() -> None:
    assert asks_for_words(BOTH, scores("water silica"), frequency)
    assert asks_for_words(terms("text", "water"), scores("water"), frequency)
    assert asks_for_words(terms("text", "water"), scores("water unheard"), frequency)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (BOTH, "water"),
        (terms("text", "water"), "water silica"),
        (terms("text", "silica"), "silica"),
        (terms("text", "alone"), "alone"),
        (either(BOTH, Phrase("text", ("water", "silica"))), "water silica"),
        (either(BOTH, Prefix("words", "wat")), "water silica"),
        (NoneOf(BOTH), "water silica"),
        (terms("f_kind", "data"), "unheard"),
    ],
)
def test_anything_else_is_looked_up(part: Plan, words: str) -> None:
    assert not asks_for_words(part, scores(words), frequency)


def test_near_techniques_score_without_being_found() -> None:
    near = LevelScore("SAXS", ((6.0, terms("tags", "PaNET01188")),))
    assert not asks_for_words(BOTH, (*scores("water silica"), near), frequency)
