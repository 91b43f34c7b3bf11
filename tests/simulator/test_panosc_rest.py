"""The simulated Search API answers as the reference provider did, or as its dialect says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from simulator import (
    DATAGATEWAY,
    ILL,
    REFERENCE,
    SCICAT,
    XFEL,
    Dialect,
    Facility,
    FacilitySpec,
    Record,
    RestOptions,
    running,
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(session: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with session.get(URL(url, encoded=True)) as response:
        return response.status, json.loads(await response.read())


async def find(
    session: aiohttp.ClientSession, facility: Facility, path: str, **asked: object
) -> tuple[int, Any]:
    params = {"filter": json.dumps(asked)} if asked else {}
    url = URL(facility.api_url + path, encoded=True).with_query(params)
    async with session.get(url) as response:
        return response.status, json.loads(await response.read())


async def test_all_recorded_answers_of_the_reference_provider(
    session: aiohttp.ClientSession, shared_data: Path
) -> None:
    """168 requests, started from the reference provider's own database."""
    folder = shared_data / "panosc" / "reference"
    database = json.loads((folder / "db.json").read_text())
    recorded = json.loads((folder / "answers.json").read_text())
    wrong = []
    async with running(
        FacilitySpec("Reference", database=database, rest=RestOptions())
    ) as facility:
        for line in recorded:
            status, answer = await get(session, facility.api_url + line["request"])
            if (status, answer) != (line["status"], line["answer"]):
                wrong.append(line["what"])
    assert len(recorded) >= 168
    assert wrong == []


def document(number: int, **own: Any) -> dict[str, Any]:
    pid = f"10.5072/doc-{number:02}"
    run = {
        "pid": f"{pid}/run/1",
        "title": f"Run {number}",
        "isPublic": True,
        "creationDate": "2024-01-01T00:00:00.000Z",
        "techniques": [{"pid": f"t{number % 2}", "name": ("SAXS", "SANS")[number % 2]}],
        "samples": [{"pid": f"s{number}", "name": "lysozyme"}],
        "instrument": {"pid": "i1", "name": "TÄRNAN", "facility": "Test"},
        "parameters": [{"name": "temperature", "value": 9 + number, "unit": "K"}],
        "files": [{"id": number * 10 + n, "name": f"f{n}.nxs", "size": n} for n in range(3)],
    }
    return {
        "pid": pid,
        "title": f"Proposal {number}",
        "isPublic": number % 2 == 0,
        "type": "proposal",
        "releaseDate": "2024-06-30T00:00:00.000Z",
        "license": "CC-BY-4.0",
        "members": [
            {
                "id": f"m{number}",
                "role": "owner",
                "person": {"id": "p1", "fullName": "Åsa Öberg"},
                "affiliation": {"id": 1, "name": "Universität Lindental"},
            }
        ],
        "datasets": [run],
        **own,
    }


def spec(count: int = 6, dialect: Dialect = REFERENCE) -> FacilitySpec:
    records = [
        Record(f"oai:test:{n}", datetime(2024, 1, 1, n, tzinfo=UTC), document=document(n))
        for n in range(1, count + 1)
    ]
    return FacilitySpec("Test", records=records, rest=RestOptions(dialect=dialect))


def numbers(answer: list[Any]) -> list[int]:
    return [int(each["pid"][-2:]) for each in answer]


TEMPERATURE = {
    "relation": "datasets",
    "scope": {
        "include": [
            {
                "relation": "parameters",
                "scope": {"where": {"and": [{"name": "temperature"}, {"value": {"gt": 12}}]}},
            }
        ]
    },
}


async def test_a_nested_document_can_be_asked_for_whole(session: aiohttp.ClientSession) -> None:
    everything = [
        {"relation": "techniques"},
        {"relation": "instrument"},
        {"relation": "samples"},
        {"relation": "parameters"},
        {"relation": "files"},
    ]
    async with running(spec()) as facility:
        status, found = await find(
            session,
            facility,
            "/Documents/10.5072%2Fdoc-01",
            include=[
                {"relation": "members", "scope": {"include": ["person", "affiliation"]}},
                {"relation": "datasets", "scope": {"include": everything}},
            ],
        )
        files = await find(session, facility, "/Datasets/10.5072%2Fdoc-01%2Frun%2F1/files", limit=2)
        counted = await find(session, facility, "/Datasets/10.5072%2Fdoc-01%2Frun%2F1/files/count")
    assert status == 200
    assert found["members"][0]["person"]["fullName"] == "Åsa Öberg"
    assert found["members"][0]["affiliation"]["name"] == "Universität Lindental"
    (run,) = found["datasets"]
    assert run["techniques"][0]["name"] == "SANS"
    assert run["instrument"]["name"] == "TÄRNAN"
    assert len(run["files"]) == 3
    assert [each["name"] for each in files[1]] == ["f0.nxs", "f1.nxs"]
    assert counted == (200, {"count": 3})


async def test_the_reference_joins_after_the_limit(session: aiohttp.ClientSession) -> None:
    """fault E12: pages come short although more matches exist."""
    async with running(spec()) as facility:
        _, whole = await find(session, facility, "/Documents", include=[TEMPERATURE])
        _, page = await find(session, facility, "/Documents", include=[TEMPERATURE], limit=4)
    assert numbers(whole) == [4, 5, 6]
    assert numbers(page) == [4]


async def test_records_that_change_are_answered_as_they_are_now(
    session: aiohttp.ClientSession,
) -> None:
    async with running(spec()) as facility:
        facility.records.delete("oai:test:2", datetime(2024, 2, 1, tzinfo=UTC))
        changed = document(3, title="Changed", datasets=[])
        stamp = datetime(2024, 2, 1, tzinfo=UTC)
        facility.records.put(Record("oai:test:3", stamp, document=changed))
        facility.records.put(Record("oai:test:9", stamp, document=document(9)))
        _, found = await find(session, facility, "/Documents", include=[{"relation": "datasets"}])
        gone = await find(session, facility, "/Datasets/10.5072%2Fdoc-02%2Frun%2F1")
        left = await find(session, facility, "/Datasets/count")
        assert numbers(found) == [1, 3, 4, 5, 6, 9]
        assert (found[1]["title"], found[1]["datasets"]) == ("Changed", [])
        assert gone[0] == 404
        assert left == (200, {"count": 5})
        facility.records.clear()
        assert (await find(session, facility, "/Documents"))[1] == []


async def test_a_dataset_of_two_documents_stays_while_one_has_it(
    session: aiohttp.ClientSession,
) -> None:
    shared = document(1)["datasets"]
    async with running(spec(1)) as facility:
        stamp = datetime(2024, 2, 1, tzinfo=UTC)
        facility.records.put(Record("oai:test:2", stamp, document=document(2, datasets=shared)))
        facility.records.delete("oai:test:1", stamp)
        _, found = await find(session, facility, "/Documents", include=[{"relation": "datasets"}])
    assert [[run["pid"] for run in each["datasets"]] for each in found] == [
        ["10.5072/doc-01/run/1"]
    ]


# --- dialects (crosswalks 2.3) --------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["gt", "lt", "between", "like", "nlike", "ilike"])
async def test_european_xfel_ignores_conditions_it_does_not_know(
    session: aiohttp.ClientSession, operator: str
) -> None:
    operand: Any = ["a", "b"] if operator == "between" else "nothing like it"
    async with running(spec(dialect=XFEL)) as facility:
        _, found = await find(session, facility, "/Documents", where={"title": {operator: operand}})
        for word in ("and", "or"):
            _, all_ = await find(session, facility, "/Documents", where={word: [{"pid": "x"}]})
            assert len(all_) == 6
        _, one = await find(session, facility, "/Documents", where={"title": "Proposal 3"})
        _, techniques = await find(session, facility, "/Techniques")
        counted = await find(session, facility, "/Techniques/count")
    assert len(found) == 6
    assert numbers(one) == [3]
    assert [each["name"] for each in techniques] == ["SAXS", "SANS"]
    assert counted == (200, {"count": 2})


async def test_only_european_xfel_offers_techniques(session: aiohttp.ClientSession) -> None:
    async with running(spec()) as facility:
        assert (await find(session, facility, "/Techniques"))[0] == 404


async def test_scicat_says_publication_and_drops_conditions(session: aiohttp.ClientSession) -> None:
    """fault E08: conditions on type and isPublic vanish silently."""
    async with running(spec(dialect=SCICAT)) as facility:
        _, found = await find(
            session,
            facility,
            "/Documents",
            where={"type": "thesis", "isPublic": False},
            include=[
                {"relation": "members", "scope": {"include": [{"relation": "person"}]}},
                {"relation": "parameters"},
            ],
        )
        _, runs = await find(
            session, facility, "/Datasets", include=[{"relation": "document"}], limit=1
        )
        words = await find(session, facility, "/Documents", include=["members"])
        _, ranked = await find(session, facility, "/Documents", query="proposal 4")
    assert len(found) == 6
    assert {(each["type"], each["isPublic"]) for each in found} == {("publication", True)}
    assert found[0]["releaseDate"] == "2024-01-01T00:00:00.000Z"
    assert "license" not in found[0]
    assert found[0]["members"] == [{"person": {"fullName": "Åsa Öberg"}}]
    assert found[0]["parameters"] == []
    assert runs[0]["document"]["title"] == "Proposal 1"
    assert words[0] == 400
    assert numbers(ranked)[0] == 4
    assert all(0 < each["score"] < 1 for each in ranked)


async def test_ill_counts_bare_sends_nulls_and_compares_values_as_text(
    session: aiohttp.ClientSession,
) -> None:
    async with running(spec(dialect=ILL)) as facility:
        counted = await find(session, facility, "/documents/count")
        _, found = await find(session, facility, "/documents", include=[TEMPERATURE])
        warmer = {"and": [{"name": "temperature"}, {"value": {"gt": 9}}]}
        _, as_text = await find(
            session,
            facility,
            "/datasets",
            include=[{"relation": "parameters", "scope": {"where": warmer}}],
        )
        _, contains = await find(session, facility, "/Documents", where={"title": {"like": "pos"}})
        _, wild = await find(session, facility, "/Documents", where={"title": {"like": "%pos%"}})
        _, broken = await find(session, facility, "/Documents", where={"title": {"nlike": "%3%"}})
        _, misread = await find(session, facility, "/Documents", where={"isPublic": False})
        refused = [
            (await find(session, facility, "/Documents", **asked))[0]
            for asked in (
                {"where": {"nope": 1}},
                {"where": {"title": {"regexp": "x"}}},
                {"include": [{"relation": "nope"}]},
                {"nope": 1},
            )
        ]
        files = await find(session, facility, "/Datasets/10.5072%2Fdoc-01%2Frun%2F1/files")
    assert counted == (200, 6)
    assert numbers(found) == [4, 5, 6]
    assert as_text == []  # "10" comes before "9"
    assert found[0]["startDate"] is None
    assert found[0]["score"] is None
    assert (contains, len(wild), len(broken), len(misread)) == ([], 6, 6, 6)
    assert refused == [400] * 4
    assert files[0] == 404


async def test_datagateway_refuses_keys_and_scores_minus_one(
    session: aiohttp.ClientSession,
) -> None:
    async with running(spec(dialect=DATAGATEWAY)) as facility:
        for asked in ({"order": "title"}, {"fields": ["pid"]}):
            assert (await find(session, facility, "/Documents", **asked))[0] == 400
        _, found = await find(session, facility, "/Documents", query="4")
        _, runs = await find(
            session, facility, "/Datasets", include=[{"relation": "documents"}], limit=1
        )
    scores = {each["title"]: each["score"] for each in found}
    assert scores["Proposal 4"] > 0
    assert scores["Proposal 1"] == -1
    assert found[0]["datasets"] == []
    assert all(each["isPublic"] for each in found)
    assert runs[0]["documents"][0]["pid"] == "10.5072/doc-01"
    assert runs[0]["instrument"] is None
