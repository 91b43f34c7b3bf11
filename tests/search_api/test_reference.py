"""What the reference provider answers, we answer: its database kept here, its requests asked here.

The database and the 168 recorded answers are third-party data (``shared_data``). Where we answer
otherwise on purpose, the difference is named in ``ON_PURPOSE`` and has a test of its own below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from facility_http.http import Fetcher
from harvester.run import Harvesting, harvest_source
from simulator import FacilitySpec, RestOptions, running

PROVIDER = "http://127.0.0.1:3000/api"
FOREIGN_KEYS = {"instrumentId", "datasetId", "documentId", "personId", "affiliationId"}
OURS = {"provider", "facility"}


def recorded(folder: Path) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = json.loads((folder / "reference/answers.json").read_text())
    return answers


def nested(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The database as a harvester receives it: objects with their relations included."""
    models = json.loads((folder / "reference/db.json").read_text())["models"]
    table = {
        name: {key: json.loads(text) for key, text in rows.items()} for name, rows in models.items()
    }

    def of(name: str, key: str, value: str) -> list[dict[str, Any]]:
        return [row for row in table[name].values() if row.get(key) == value]

    def dataset(row: dict[str, Any]) -> dict[str, Any]:
        pid = row["pid"]
        return {
            **row,
            "instrument": table["Instrument"][row["instrumentId"]],
            "files": of("File", "datasetId", pid),
            "parameters": of("Parameter", "datasetId", pid),
            "samples": [
                table["Sample"][link["sampleId"]] for link in of("DatasetSample", "datasetId", pid)
            ],
            "techniques": [
                table["Technique"][link["techniqueId"]]
                for link in of("DatasetTechnique", "datasetId", pid)
            ],
        }

    for pid in sorted(table["Document"]):
        members = [
            {
                **member,
                "person": table["Person"][member["personId"]],
                "affiliation": table["Affiliation"][str(member["affiliationId"])],
            }
            for member in of("Member", "documentId", pid)
        ]
        yield (
            "panosc-document",
            {
                **table["Document"][pid],
                "members": members,
                "parameters": of("Parameter", "documentId", pid),
                "datasets": [
                    dataset(table["Dataset"][link["datasetId"]])
                    for link in of("DocumentDataset", "documentId", pid)
                ],
            },
        )
    for pid in sorted(table["Instrument"]):
        yield "panosc-instrument", table["Instrument"][pid]


@pytest.fixture
async def reference(
    shared_data: Path, catalogue: Catalogue, keep: Any, serve: Any
) -> TestClient[Any, Any]:
    """A server that holds the reference provider's database."""
    facility = Facility("ESS", "Reference provider", PROVIDER)
    source = Source("reference", "ESS", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, nested(shared_data / "panosc"))
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


@pytest.fixture
async def harvested(shared_data: Path, catalogue: Catalogue, serve: Any) -> TestClient[Any, Any]:
    """A server over what was harvested from a simulated facility with that database."""
    stored = json.loads((shared_data / "panosc/reference/db.json").read_text())
    spec = FacilitySpec("ESS", database=stored, rest=RestOptions())
    async with running(spec) as endpoint:
        facility = Facility("ESS", "Reference provider", endpoint.api_url, demo=True)
        source = Source(
            "reference",
            "ESS",
            "panosc",
            endpoint.api_url,
            "panosc-json",
            internal=True,
            demo=True,
        )
        catalogue.store.put_configuration([facility], [source])
        async with Fetcher() as http:
            harvesting = Harvesting(catalogue.store, http, lambda: datetime.now(UTC))
            run = await harvest_source(harvesting, facility, source)
    assert run.state == "ok", run
    await catalogue.indexer.index_once()
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


def without_ours(value: Any) -> Any:
    """The answer without what may differ: foreign keys, ``provider``, ``facility``."""
    if isinstance(value, list):
        return [without_ours(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: without_ours(item) for name, item in value.items() if name not in FOREIGN_KEYS | OURS
    }


def difference(entry: Mapping[str, Any]) -> str | None:
    """The reason why we answer otherwise, from the request alone; ``None`` where we do not."""
    asked = json.dumps(entry.get("filter", entry.get("where")) or {})
    if '"nope"' in asked:
        return "unknown words are refused"
    if '"include": "' in asked or '"documents"' in asked:
        return "every form of include is served"
    if '"query"' in asked:
        return "hits meet the query"
    if '"um"' in asked:
        return "units are converted"
    if entry.get("filter", {}) and '"limit"' in asked and '"scope"' in asked:
        return "joined before limit"
    return None


async def test_the_recorded_answers_are_ours_but_for_the_differences_on_purpose(
    shared_data: Path, reference: TestClient[Any, Any]
) -> None:
    await compare(reference, recorded(shared_data / "panosc"))


async def test_the_recorded_answers_are_ours_after_a_harvest(
    shared_data: Path, harvested: TestClient[Any, Any]
) -> None:
    await compare(harvested, recorded(shared_data / "panosc"))


async def compare(client: TestClient[Any, Any], entries: list[dict[str, Any]]) -> None:
    assert len(entries) == 168
    wrong = []
    compared = 0
    for entry in entries:
        if difference(entry) is not None:
            continue
        response = await client.get(URL("/api" + entry["request"], encoded=True))
        body = await response.json()
        compared += 1
        if response.status != entry["status"]:
            wrong.append((entry["what"], entry["request"], response.status))
        elif response.status == 200 and without_ours(body) != without_ours(entry["answer"]):
            wrong.append((entry["what"], entry["request"], body))
    assert wrong == []
    assert compared > 130


async def asked(client: TestClient[Any, Any], path: str, **parameters: Any) -> Any:
    query = {name: json.dumps(value) for name, value in parameters.items()}
    response = await client.get(path, params=query)
    return response.status, await response.json(), response.headers


def scoped(relation: str, where: Any) -> list[dict[str, Any]]:
    return [{"relation": relation, "scope": {"where": where}}]


async def test_difference_joins_come_before_limit(reference: TestClient[Any, Any]) -> None:
    """fault E12; the reference answers [] although a match exists"""
    include = scoped("parameters", {"name": "wavelength"})
    _, found, headers = await asked(
        reference, "/api/Datasets", filter={"limit": 1, "include": include}
    )
    assert [item["pid"] for item in found] == ["20.500.12269/panosc-dataset4"]
    assert headers["X-Total-Count"] == "1"
    _, counted, _ = await asked(reference, "/api/Datasets/count", filter={"include": include})
    assert counted == {"count": 1}


async def test_difference_units_are_converted_and_answered_as_asked(
    reference: TestClient[Any, Any],
) -> None:
    """semantics 5.5: stored as 1064 nm, asked for in um"""
    where = {"and": [{"name": "wavelength"}, {"value": {"gte": 1}}, {"unit": "um"}]}
    _, found, _ = await asked(
        reference, "/api/Datasets", filter={"include": scoped("parameters", where)}
    )
    (parameter,) = found[0]["parameters"]
    assert (parameter["name"], parameter["value"], parameter["unit"]) == ("wavelength", 1.064, "um")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"where": {"titel": 1}}, "title"),
        ({"where": {"pid": {"neqq": 1}}}, "neq"),
        ({"include": [{"relation": "dataset"}]}, "datasets"),
    ],
)
async def test_difference_unknown_words_are_refused_by_name(
    given: Any, nearest: str, reference: TestClient[Any, Any]
) -> None:
    status, body, _ = await asked(reference, "/api/Documents", filter=given)
    assert status == 400
    assert body["error"]["statusCode"] == 400
    assert body["error"]["nearest"] == nearest
    assert nearest in body["error"]["message"]


@pytest.mark.parametrize(
    "include", ["techniques", ["techniques"], {"relation": "techniques"}, [{"techniques": []}]]
)
async def test_difference_include_is_served_in_every_form(
    include: Any, reference: TestClient[Any, Any]
) -> None:
    status, found, _ = await asked(reference, "/api/Datasets", filter={"include": include})
    assert status == 200
    assert [item["techniques"][0]["name"] for item in found] == [
        "small-angle neutron scattering",
        "small-angle neutron scattering",
        "x-ray absorption",
        "x-ray absorption",
    ]


async def test_difference_a_dataset_answers_to_documents_and_document(
    reference: TestClient[Any, Any],
) -> None:
    given = {"include": ["documents", "document"], "limit": 1}
    _, (found,), _ = await asked(reference, "/api/Datasets", filter=given)
    assert [item["pid"] for item in found["documents"]] == ["10.5072/panosc-document1"]
    assert found["document"]["pid"] == "10.5072/panosc-document1"


async def test_difference_hits_meet_the_query_and_carry_its_score(
    reference: TestClient[Any, Any],
) -> None:
    """semantics 7.2, 8.3: any word will do, the best first, scores strictly between 0 and 1"""
    _, found, _ = await asked(reference, "/api/Documents", filter={"query": "proposal panosc"})
    assert [item["pid"] for item in found] == [
        "10.5072/panosc-document2",
        "10.5072/panosc-document1",
    ]
    assert 1 > found[0]["score"] > found[1]["score"] > 0
    _, none, _ = await asked(reference, "/api/Documents", filter={"query": "nonexistentword"})
    assert none == []
    _, counted, _ = await asked(reference, "/api/Documents/count", filter={"query": "proposal"})
    assert counted == {"count": 1}


async def test_difference_without_a_query_the_score_is_zero(
    reference: TestClient[Any, Any],
) -> None:
    for path in ("/api/Documents", "/api/Datasets", "/api/Instruments"):
        _, found, _ = await asked(reference, path)
        assert {item["score"] for item in found} == {0}


async def test_difference_provider_is_as_configured(reference: TestClient[Any, Any]) -> None:
    _, found, _ = await asked(reference, "/api/Documents")
    assert {item["provider"] for item in found} == {PROVIDER}
    assert {item["facility"] for item in found} == {"ESS"}
