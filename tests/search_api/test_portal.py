"""The conversation that the PaNOSC portal has with a Search API, from its recorded requests.

The portal breaks when ``score`` is no number, an included list is missing, or the status object
has no ``data_providers``; it sends numbers as text, techniques by name and lower-case paths.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source

PROVIDER = "https://neutrons.example.org/api"
PANET = "http://purl.org/pan-science/PaNET/"


def document(number: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    pid = f"10.5072/panosc-document{number}"
    shown: dict[str, Any] = {
        "pid": pid,
        "isPublic": True,
        "type": "proposal",
        "title": f"Proposal {number}",
        "members": [
            {
                "id": number,
                "role": "principal investigator",
                "person": {"id": "p", "fullName": "Chien-Shiung Wu"},
                "affiliation": {"id": 1, "name": "Columbia"},
            }
        ],
    }
    dataset: dict[str, Any] = {
        "pid": f"20.500.12269/dataset{number}",
        "title": f"Run {number}",
        "isPublic": True,
        "creationDate": "2020-05-05T15:01:02.341Z",
        **fields,
    }
    return "panosc-document", {**shown, "datasets": [dataset]}


def parameter(name: str, value: Any, unit: str | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, **({"unit": unit} if unit else {})}


PAYLOADS = [
    document(1, techniques=[{"name": "SAXS"}], files=[{"id": 1, "name": "a.h5"}]),
    document(2, techniques=[{"name": "USAXS"}], parameters=[parameter("wavelength", 1.064, "um")]),
    document(3, parameters=[parameter("photon_energy", 0.93, "keV")]),
    document(4, parameters=[parameter("temperature", -270, "celsius")]),
    document(5, parameters=[parameter("chemical_formula", "Fe2O3")]),
    document(6, parameters=[parameter("pressure", 1, "bar")]),
    document(7, parameters=[parameter("pressure", 1, "mPa")]),
]


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    facility = Facility("NEUTRONS", "A neutron source", PROVIDER)
    source = Source("neutrons", "NEUTRONS", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, PAYLOADS)
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


async def asked(client: TestClient[Any, Any], path: str, given: Any = None) -> Any:
    address = path + (f"?filter={quote(json.dumps(given))}" if given is not None else "")
    response = await client.get(
        URL(address, encoded=True), headers={"Accept": "*/*", "Origin": "http://portal.example"}
    )
    assert response.status == 200, await response.text()
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    return await response.json()


def pids(found: list[dict[str, Any]]) -> list[int]:
    return [int(item["pid"].removeprefix("10.5072/panosc-document")) for item in found]


async def test_the_status_object_names_the_providers(server: TestClient[Any, Any]) -> None:
    for path in ("/", "/api/", "/api"):
        status = await asked(server, path)
        assert status["data_providers"] == [PROVIDER]
        assert status["default_limit"] == 100


async def test_the_technique_picker_is_filled(server: TestClient[Any, Any]) -> None:
    where = {"and": [{"pid": {"nlike": ":dataset"}}, {"name": {"nlike": "CHMO"}}]}
    given = {"where": where, "fields": {"pid": True, "name": True}}
    for path in ("/techniques", "/api/Techniques", "/api/techniques"):
        found = await asked(server, path, given)
        assert len(found) > 300, "no default limit"
        assert all(set(item) == {"pid", "name"} for item in found)
        assert {"pid": PANET + "PaNET01188", "name": "small angle x-ray scattering"} in found


async def test_a_list_has_a_number_as_score_in_every_item(server: TestClient[Any, Any]) -> None:
    found = await asked(server, "/api/Documents", {"limit": 50})
    assert pids(found) == [1, 2, 3, 4, 5, 6, 7]
    assert all(item["score"] == 0 and item["provider"] == PROVIDER for item in found)


async def test_a_list_with_text_is_ranked(server: TestClient[Any, Any]) -> None:
    found = await asked(server, "/api/Documents", {"query": "proposal", "limit": 50})
    assert len(found) == 7
    assert all(0 < item["score"] < 1 for item in found)


async def test_a_technique_is_asked_for_by_name_and_means_all_below(
    server: TestClient[Any, Any],
) -> None:
    inner = {
        "relation": "techniques",
        "scope": {"where": {"name": "small angle x-ray scattering"}},
    }
    given = {"include": [{"relation": "datasets", "scope": {"include": [inner]}}], "limit": 50}
    found = await asked(server, "/api/Documents", given)
    assert pids(found) == [1, 2]
    assert found[0]["datasets"][0]["techniques"][0]["panetId"] == PANET + "PaNET01188"


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("incident_wavelength", {"between": [1000, 1100]}, "nm", [2]),
        ("incident_photon_energy", {"gte": "10"}, "eV", [3]),
        ("sample_temperature", {"lte": "10"}, "K", [4]),
        ("sample_chemical_formula", {"like": "Fe"}, None, [5]),
        ("sample_pressure", {"gte": "100"}, "Pa", [6]),
        ("incident_wavelength", {"between": [10000, 11000]}, "angstrom", [2]),
        ("incident_wavelength", {"gte": "1063000"}, "pm", [2]),
        ("incident_photon_energy", {"gte": "1e-16"}, "J", [3]),
        ("sample_temperature", {"lte": "-260"}, "celsius", [4]),
        ("sample_temperature", {"lte": "-260"}, "C", [4]),
        ("sample_temperature", {"lte": "-440"}, "fahrenheit", [4]),
        ("sample_temperature", {"gte": "-440"}, "F", []),
    ],
)
async def test_the_sliders_find_what_is_stored_in_other_units_and_names(
    name: str, value: Any, unit: str | None, expected: list[int], server: TestClient[Any, Any]
) -> None:
    parts: list[dict[str, Any]] = [{"name": name}, {"value": value}]
    if unit is not None:
        parts.append({"unit": unit})
    inner = {"relation": "parameters", "scope": {"where": {"and": parts}}}
    given = {"include": [{"relation": "datasets", "scope": {"include": [inner]}}], "limit": 50}
    found = await asked(server, "/api/Documents", given)
    assert pids(found) == expected
    for item in found:
        (shown,) = item["datasets"][0]["parameters"]
        assert shown["unit"] == (unit or "")


@pytest.mark.parametrize(
    "value", [{}, {"between": [None, 2]}, {"bogus": "5"}, {"gte": "abc"}, {"between": [1, 2, 3]}]
)
async def test_what_the_portal_makes_of_a_broken_address_is_refused_by_name(
    value: Any, server: TestClient[Any, Any]
) -> None:
    """It drops empty values, and makes null of an end that is no number to it (".5"). On an error
    it asks to adjust the filters; an empty list would say that there is nothing."""
    parts = [{"name": "incident_wavelength"}, {"value": value}, {"unit": "nm"}]
    inner = {"relation": "parameters", "scope": {"where": {"and": parts}}}
    given = {"include": [{"relation": "datasets", "scope": {"include": [inner]}}], "limit": 50}
    response = await server.get("/api/documents", params={"filter": json.dumps(given)})
    assert response.status == 400
    error = (await response.json())["error"]
    assert ".where.and[1].value" in error["field"]


async def test_the_detail_page_gets_members_techniques_and_parameters(
    server: TestClient[Any, Any],
) -> None:
    path = "/api/documents/10.5072%2Fpanosc-document1"
    members = {"include": [{"relation": "affiliation"}, {"relation": "person"}]}
    found = await asked(
        server, path, {"include": [{"relation": "members", "scope": members}], "limit": 0}
    )
    assert found["members"][0]["person"]["fullName"] == "Chien-Shiung Wu"
    assert found["members"][0]["affiliation"]["name"] == "Columbia"
    for relation in ("techniques", "parameters"):
        inner = {"include": [{"relation": relation}]}
        found = await asked(
            server, path, {"include": [{"relation": "datasets", "scope": inner}], "limit": 0}
        )
        assert isinstance(found["datasets"][0][relation], list), "empty if need be, never missing"


async def test_a_member_without_a_person_takes_nobody_off_the_page(
    catalogue: Catalogue, keep: Any, serve: Any
) -> None:
    """The portal prints ``person.fullName`` of every member: a missing object breaks the list."""
    institute = {"id": 2, "role": "owner", "affiliation": {"id": 7, "name": "Niels Bohr Institute"}}
    pid, fields = document(1)
    fields = {**fields, "members": [*fields["members"], institute]}
    facility = Facility("NEUTRONS", "A neutron source", PROVIDER)
    source = Source("neutrons", "NEUTRONS", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, [(pid, fields)])
    client = await serve(catalogue)
    scope = {"include": [{"relation": "affiliation"}, {"relation": "person"}]}
    given = {"include": [{"relation": "members", "scope": scope}]}
    found = await asked(client, "/api/documents/10.5072%2Fpanosc-document1", given)
    assert [member["person"].get("fullName") for member in found["members"]] == [
        "Chien-Shiung Wu",
        None,
    ]
    (listed,) = await asked(client, "/api/Documents", given)
    assert listed["members"] == found["members"]
    plain = await asked(client, "/api/Documents", {"include": ["members"]})
    assert all("person" not in member for member in plain[0]["members"]), "nobody asked for it"
    named = {"include": [{"relation": "person", "scope": {"where": {"fullName": {"like": "Wu"}}}}]}
    found = await asked(
        client, "/api/Documents", {"include": [{"relation": "members", "scope": named}]}
    )
    assert len(found[0]["members"]) == 1, "a condition on the person needs one"


async def test_files_of_a_dataset(server: TestClient[Any, Any]) -> None:
    path = "/api/Datasets/20.500.12269%2Fdataset1/files"
    assert await asked(server, path) == [{"id": 1, "name": "a.h5"}]
    assert await asked(server, path + "/count") == {"count": 1}
    assert await asked(server, path, {"where": {"name": {"like": "b"}}}) == []


async def test_instrument_facets_come_from_the_instruments(server: TestClient[Any, Any]) -> None:
    found = await asked(server, "/api/Instruments", {"where": {"facility": "NEUTRONS"}})
    assert found == []


async def test_all_recorded_requests_of_the_portal_are_answered(
    shared_data: Path, server: TestClient[Any, Any]
) -> None:
    recorded = json.loads((shared_data / "panosc/portal_requests.json").read_text())
    requests = [entry["request"] for entry in recorded if entry["request"].startswith("/")]
    assert len(requests) > 10
    for request in requests:
        response = await server.get(URL(request.replace(" ", "%20"), encoded=True))
        assert response.status == 200, (request, await response.text())
