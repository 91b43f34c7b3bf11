"""What facilities do with words: three kinds of text search, and orders of their own."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from simulator import (
    DEAF,
    DIALECTS,
    FULL_TEXT,
    NO_TEXT,
    REFERENCE,
    SUBSTRING,
    TEXT_KINDS,
    Dialect,
    Facility,
    FacilitySpec,
    RestOptions,
    running,
)
from simulator.dialects import numbered
from simulator.models import MODELS
from simulator.ranking import Bm25, Taste, words_of

TITLES = (
    "Lysozyme crystals in water",
    "Crystals of ice",
    "Ice, ice and ice on water",
    "Magnetic order of iron",
)


def fill(facility: Facility) -> None:
    for number, title in enumerate(TITLES):
        facility.database.put_document(
            {"pid": f"d{number}", "title": title, "startDate": f"202{number % 3}-01-01T00:00:00Z"}
        )


async def asked(dialect: Dialect, taste: Taste = "id", **filter_: Any) -> tuple[int, Any]:
    """Status, and the numbers of the documents (or what else comes)."""
    endpoint = RestOptions(dialect=dialect, taste=taste)
    async with running(FacilitySpec("Test", rest=endpoint)) as facility:
        fill(facility)
        params = {"filter": json.dumps(filter_)}
        async with (
            aiohttp.ClientSession() as session,
            session.get(facility.api_url + "/Documents", params=params) as response,
        ):
            value = await response.json()
            return response.status, value


def numbers(answer: tuple[int, Any]) -> list[int]:
    assert answer[0] == 200
    return [int(each["pid"][1:]) for each in answer[1]]


async def test_good_full_text_ranks_by_its_own_statistics() -> None:
    found = await asked(FULL_TEXT, query="ice water")
    assert numbers(found) == [2, 1, 0]
    assert [each["score"] for each in found[1]] == sorted(
        (each["score"] for each in found[1]), reverse=True
    )
    assert numbers(await asked(FULL_TEXT, query="ice water", skip=1, limit=1)) == [1]
    assert numbers(await asked(FULL_TEXT, query="nothing")) == []
    assert numbers(await asked(FULL_TEXT)) == [0, 1, 2, 3]


async def test_a_facility_with_substrings_only_ignores_queries_and_scores_nothing() -> None:
    found = await asked(SUBSTRING, query="ice water")
    assert numbers(found) == [0, 1, 2, 3]
    assert {each["score"] for each in found[1]} == {0}
    assert numbers(await asked(SUBSTRING, where={"text": "WATER"})) == [0, 2]
    assert numbers(await asked(SUBSTRING, where={"title": {"like": "ice"}})) == [1, 2]


@pytest.mark.parametrize(
    "where",
    [{"text": "ice"}, {"title": {"like": "ice"}}, {"title": {"regexp": "ice"}},
     {"or": [{"title": {"ilike": "ice"}}]}],
)  # fmt: skip
async def test_without_text_search_words_are_refused_or_ignored(where: dict[str, Any]) -> None:
    assert (await asked(NO_TEXT, where=where))[0] == 400
    assert numbers(await asked(DEAF, where={"and": [where, {"pid": "d3"}]})) == [3]
    assert numbers(await asked(NO_TEXT, query="ice")) == [0, 1, 2, 3]


def test_the_kinds_are_known_by_name() -> None:
    assert set(TEXT_KINDS) == {"full-text", "substring", "no-text", "deaf"}
    assert set(DIALECTS) == {"reference", "xfel", "scicat", "ill", "datagateway", "esrf"}


def test_bm25_prefers_rare_words_and_short_texts() -> None:
    rows = [{"pid": n, "title": title} for n, title in enumerate(TITLES)]
    scores = Bm25(MODELS["Document"], rows).scores("crystals iron")
    assert scores[3] > scores[1] > scores[0]
    assert 2 not in scores
    assert words_of("Crystals' gas, H2O") == ["crystal", "gas", "h2o"]


@pytest.mark.parametrize(
    ("taste", "order"), [("newest", [2, 1, 0, 3]), ("title", [1, 2, 0, 3]), ("id", [0, 1, 2, 3])]
)
async def test_lists_come_in_an_order_of_the_facilitys_own(taste: Taste, order: list[int]) -> None:
    assert numbers(await asked(REFERENCE, taste)) == order
    assert numbers(await asked(REFERENCE, taste, order="pid DESC")) == [3, 2, 1, 0]
    assert numbers(await asked(REFERENCE, taste, skip=1, limit=2)) == order[1:3]


async def test_a_shuffled_order_is_the_same_each_time() -> None:
    first = numbers(await asked(REFERENCE, "shuffled"))
    assert first == numbers(await asked(REFERENCE, "shuffled"))
    assert sorted(first) == [0, 1, 2, 3] != first


async def test_esrf_has_numbers_for_pids_and_blanks_for_dois() -> None:
    """Crosswalks 2.3."""
    documents = [
        {"pid": f"10.5072/{n}", "title": f"T{n}", "startDate": "2020-05-01T00:00:00.000Z",
         "releaseDate": "2023-05-01T00:00:00.000Z"}
        for n in range(40)
    ]  # fmt: skip
    held = [numbered(document) for document in documents]
    assert held == [numbered(document) for document in documents]
    assert all(isinstance(each["pid"], int) for each in held)
    assert {str(each["doi"])[:8] for each in held} == {" ", "10.5072/"}
    assert any(each["releaseDate"] < each["startDate"] for each in held)
    assert numbered({"pid": "local", "title": "x"})["doi"] == " "
