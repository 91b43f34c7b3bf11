"""Where scoring words settles who is found, they are not looked up a second time."""

from __future__ import annotations

import pytest

from catalogue.engines.met_words import asks_for_words, terms_scored
from catalogue.plan import NoneOf, Phrase, Plan, Prefix, Terms, WordScore, either
from catalogue.query import Text
from catalogue.text_query import plan_text

HELD = {
    ("text", "water"): 9,
    ("title", "water"): 2,
    ("text", "silica"): 5,
    ("wholes", "silica"): 1,
    ("title", "alon"): 1,
}


def frequency(field: str, term: str) -> int:
    return HELD.get((field, term), 0)


def terms(field: str, *words: str) -> Terms:
    return Terms(field, frozenset(words))


BOTH = either(terms("text", "water", "silica"), terms("wholes", "silica"))


def scoring(words: str) -> frozenset[tuple[str, str]]:
    scores = plan_text(Text(words, match="any")).scores
    assert all(isinstance(score, WordScore) for score in scores)
    return frozenset().union(
        *(terms_scored(one, frequency) for one in scores if isinstance(one, WordScore))
    )


def test_any_of_the_words_is_met_where_one_scores() -> None:
    assert asks_for_words(BOTH, scoring("water silica"), frequency)
    assert asks_for_words(terms("text", "water"), scoring("water"), frequency)
    assert asks_for_words(terms("text", "water"), scoring("water unheard"), frequency)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (BOTH, "water"),
        (terms("text", "water"), "water silica"),
        (terms("text", "silica"), "silica"),
        (terms("text", "alon"), "alone"),
        (either(BOTH, Phrase("text", ("water", "silica"))), "water silica"),
        (either(BOTH, Prefix("words", "wat")), "water silica"),
        (NoneOf(BOTH), "water silica"),
        (terms("f_kind", "data"), "unheard"),
    ],
)
def test_anything_else_is_looked_up(part: Plan, words: str) -> None:
    assert not asks_for_words(part, scoring(words), frequency)


def test_what_no_record_has_is_not_looked_up() -> None:
    assert asks_for_words(
        either(BOTH, terms("text", "unheard")), scoring("water silica"), frequency
    )
