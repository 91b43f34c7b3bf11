"""Asked all at once, entities say what each says when it is asked alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from catalogue.crowd import MOST_COUNTS, Crowd
from catalogue.oracle import Entity, meets
from catalogue.plan import All, AllOf, AnyOf, Empty, NoneOf, Phrase, Plan, Terms
from catalogue.query import Text
from catalogue.readings import make_pool, read_objects
from catalogue.records import Change
from catalogue.said import Said
from catalogue.statistics import CollectionStatistics, scoring_by, statistics_of
from catalogue.text_query import plan_text
from mappings.context import Context

TITLES = (
    "Lysozyme crystals in water",
    "Crystals of ice, water and lysozyme: lysozyme again",
    "X-ray diffraction of ice Ih",
    "Ice",
    "Nothing at all",
)
OBJECTS = [
    {
        "pid": f"10.5072/crowd-{number}",
        "title": title,
        "summary": f"{title}. Water, x ray and ice.\nIce of run {number}" * (number % 3),
        "datasets": [
            {"pid": f"10.5072/crowd-{number}/1", "techniques": [{"name": "SAXS"}]}
            if number % 2
            else {"pid": f"10.5072/crowd-{number}/1", "title": "Run"}
        ],
    }
    for number, title in enumerate(TITLES)
]
CONTEXT = Context("ESS", "ess")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUESTIONS = (
    "lysozyme",
    "lysozyme water -ice",
    '"ice ih" water',
    "x-ray saxs",
    "10.5072/crowd-3",
    "lyso* +water",
    "crowd-1 small angle x-ray scattering",
)


def of_documents(said: Mapping[str, Said]) -> list[Entity]:
    return [one for one in said.values() if one.entity_class == "Document"]


def several() -> list[Entity]:
    """Counted ones, others that are read when they are asked, and some of the store's kind."""
    counted = of_documents(read_objects("Document", OBJECTS, CONTEXT, counted=True).said)
    plain = of_documents(read_objects("Document", OBJECTS, CONTEXT).said)
    stored = [Entity(Change(one.stored, tuple(one.children))) for one in plain]
    return [*counted, *plain, *stored]


@pytest.mark.parametrize("words", QUESTIONS)
def test_many_match_and_score_as_each_alone(words: str) -> None:
    entities = several()
    crowd = Crowd(entities)
    plan = plan_text(Text(words))
    statistics = statistics_of(entities)
    for membership in (plan.all_of, plan.any_of):
        alone = [meets(membership, one) for one in entities]
        assert crowd.meets(membership) == alone
        # The three ways to hold the same record agree, too.
        assert alone[: len(TITLES)] * 3 == alone
        chosen = crowd.only(alone)
        score = scoring_by(plan.scores, statistics, meets)
        met = [one for one, is_met in zip(entities, alone, strict=True) if is_met]
        assert chosen.entities == met
        assert chosen.scores(plan.scores, statistics) == list(map(score, met))
    assert any(crowd.meets(plan.any_of))


@pytest.mark.parametrize(
    "plan",
    [
        All(),
        Empty(),
        AllOf(()),
        AnyOf(()),
        NoneOf(Terms("text", frozenset())),
        Phrase("text", ("water", "x")),
        Phrase("text", ("ice", "x")),
        Phrase("title", ("ic", "ih")),
        Terms("wholes", frozenset({"x-ray", "crowd-2"})),
    ],
)
def test_every_kind_of_look_up_says_the_same(plan: Plan) -> None:
    entities = several()
    assert Crowd(entities).meets(plan) == [meets(plan, one) for one in entities]


def test_what_some_are_found_by_says_nothing_of_the_others() -> None:
    entities = several()
    crowd = Crowd(entities)
    few = crowd.only([number == 1 for number in range(len(entities))])
    assert not any(few.counts("wholes", "crowd-2"))
    assert sum(crowd.counts("wholes", "crowd-2")) == 3


def test_without_words_nobody_scores() -> None:
    entities = several()
    assert Crowd(entities).scores((), CollectionStatistics()) == [0.0] * len(entities)
    assert Crowd(()).scores(plan_text(Text("ice")).scores, CollectionStatistics()) == []


def test_a_pool_answers_each_question_as_if_it_were_the_first() -> None:
    pool = make_pool([read_objects("Document", OBJECTS, CONTEXT, counted=True)], now=NOW)
    for words in (*QUESTIONS, *QUESTIONS[::-1]):
        scores = plan_text(Text(words)).scores
        first = Crowd(pool.of_class("Document"))
        statistics = statistics_of(first.entities)
        assert pool.crowd("Document").scores(scores, statistics) == first.scores(scores, statistics)


def test_what_was_counted_for_other_questions_changes_no_answer() -> None:
    entities = several()
    base, statistics = Crowd(entities), statistics_of(entities)
    for words in QUESTIONS * 2:
        plan = plan_text(Text(words))
        crowd = base.afresh()
        met = [meets(plan.any_of, one) for one in entities]
        assert crowd.meets(plan.any_of) == met
        chosen = crowd.only(met)
        assert chosen.scores(plan.scores, statistics) == list(
            map(scoring_by(plan.scores, statistics, meets), chosen.entities)
        )


def test_what_is_kept_of_other_questions_is_bounded() -> None:
    base = Crowd(several())
    for number in range(4 * MOST_COUNTS // len(base.entities)):
        base.afresh().counts("text", f"word{number}")
    kept = base.afresh()
    assert kept.counts("text", "ice") == Crowd(base.entities).counts("text", "ice")
    assert len(kept._kept) * len(base.entities) <= MOST_COUNTS + len(base.entities)
