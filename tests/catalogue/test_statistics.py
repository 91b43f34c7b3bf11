"""A collection's numbers, put together of several, score as if it were one (semantics 8.1)."""

from __future__ import annotations

import orjson
import pytest

from catalogue.oracle import Entity, meets
from catalogue.plan import Clause, WordScore
from catalogue.query import Text
from catalogue.records import Change, StoredEntity
from catalogue.statistics import (
    CollectionStatistics,
    best_possible,
    from_json,
    scaled,
    scoring_by,
    statistics_of,
    terms_asked,
    to_json,
    together,
)
from catalogue.text_query import plan_text

TITLES = ("Lysozyme crystals", "Water", "Lysozyme in water", "Crystals of ice", "Ice", "Nothing")


def entity(number: int, title: str) -> Entity:
    record = {"class": "Document", "key": f"document:{number}", "title": title, "pid": str(number)}
    return Entity(Change(StoredEntity(f"document:{number}", "Document", number, 1, False, record)))


ENTITIES = [entity(number, title) for number, title in enumerate(TITLES)]


def test_two_halves_together_count_as_the_whole() -> None:
    whole = statistics_of(ENTITIES)
    terms = list(whole.frequencies)
    halves = together([statistics_of(ENTITIES[:3]), statistics_of(ENTITIES[3:])], terms)
    assert halves.documents == whole.documents == len(TITLES)
    assert halves.lengths == pytest.approx(whole.lengths)
    assert dict(halves.frequencies) == dict(whole.frequencies)


def test_a_sample_stands_for_all_that_it_was_taken_from() -> None:
    sample = statistics_of(ENTITIES)
    grown = scaled(sample, 600)
    assert grown.documents == 600
    assert grown.frequency("title", "lysozym") == 200
    assert grown.average_length("text") == pytest.approx(sample.average_length("text"))


def test_statistics_survive_their_json_form() -> None:
    whole = statistics_of(ENTITIES)
    assert from_json(orjson.loads(orjson.dumps(to_json(whole)))) == whole


@pytest.mark.parametrize("broken", [{}, {"records": "many"}, {"records": 3, "lengths": []}])
def test_what_cannot_be_read_counts_as_an_empty_collection(broken: dict[str, object]) -> None:
    assert from_json(broken) == CollectionStatistics()


def test_the_rarer_word_is_worth_more_and_nothing_exceeds_the_best() -> None:
    whole = statistics_of(ENTITIES)
    scores = plan_text(Text("lysozyme ice")).scores
    assert {term for _, term in terms_asked(scores)} == {"lysozym", "lysozyme", "ice"}
    found = list(map(scoring_by(scores, whole, meets), ENTITIES))
    assert found[4] > found[0] > found[2] > 0 == found[1]
    assert max(found) < best_possible(scores, whole)


def test_a_term_that_no_statistics_know_still_scores() -> None:
    """A sample may have missed the word of the very record that is at hand."""
    known = CollectionStatistics(100.0, {"text": 300.0}, {})
    score = WordScore("water", (Clause("text", "water"),))
    assert scoring_by([score], known, meets)(ENTITIES[1]) > 0
