"""PaNOSC answers have no room for lines: what is missing is in the headers, on every endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from search_api.openapi import description
from tests.search_api.federation.federation_world import Part, document, documents
from tests.search_api.federation.served_world import Served, served

OLD = Part("Old", documents(0, 6), mode="indexed", harvested=True)
NOW = Part("Now", documents(6, 6))
PID = "10.5072%2Fdoc-0006"
LISTS = ("/api/Documents", "/api/Datasets", "/api/Documents?pid=10.5072/doc-0006")
COUNTS = ("/api/Documents/count", "/api/Datasets/count")
ONES = (f"/api/Documents/{PID}", f"/api/Datasets/{PID}%2Frun", f"/api/records?pid={PID}")
FILES = (f"/api/Datasets/{PID}%2Frun/files", f"/api/Datasets/{PID}%2Frun/files/count")


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, OLD, NOW) as opened:
        yield opened


async def test_every_answer_tells_of_each_facility(there: Served) -> None:
    """faults G01, G02"""
    for address in (*LISTS, *COUNTS, *ONES, *FILES):
        for method in ("GET", "HEAD"):
            response = await there.client.request(method, address)
            assert response.status == 200, address
            assert response.headers["X-Facilities-States"] == "Old=answered, Now=answered"
            assert response.headers["X-Facilities-Missing"] == ""
            if address not in ONES:
                assert response.headers["X-Total-Count-Relation"] == "eq"
                assert int(response.headers["X-Total-Count"]) >= 0


async def test_an_answer_that_lacks_a_facility_says_so(there: Served) -> None:
    """faults G01, G02"""
    there.there.facilities["Now"].faults.set("error:502")
    for address in (*LISTS, *COUNTS):
        for method in ("GET", "HEAD"):
            response = await there.client.request(method, address)
            assert response.status == 200, address
            assert response.headers["X-Facilities-Missing"] == "Now", address
            assert response.headers["X-Total-Count-Relation"] == "gte"
    for address in (*ONES, *FILES, "/api/records/document%3Adoi%3A10.5072%2Fdoc-0006"):
        response = await there.client.get(address)
        assert response.status == 404
        assert response.headers["X-Facilities-Missing"] == "Now", address
        message = (await response.json())["error"]["message"]
        assert "may be at a facility that did not answer: Now" in message


async def test_relations_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    """Faults G01, E12: an empty list of techniques there does not mean "none"."""
    lacking = "include-depth:1,include-500:files"
    flat = Part("Flat", documents(6, 6), faults=lacking)
    whole = Part("Whole", documents(12, 6), dialect="scicat")
    async with served(tmp_path, OLD, flat, whole) as there:
        there.there.facilities["Flat"].faults.set(f"{lacking},error:502@Datasets")
        for address in ("/api/Documents", "/api/Documents/count", f"/api/Documents/{PID}"):
            response = await there.client.get(address)
            assert response.status == 200
            told = response.headers["X-Facilities-Without"].split(", ")
            assert {one.partition("=")[0] for one in told} == {"Flat"}
            if not address.endswith("count"):
                assert "Flat=details of datasets" in told
        found = await (await there.client.get("/api/search?q=lysozyme")).json()
        assert found["facets_relation"] == "gte"
        response = await there.client.get("/api/Documents?facilities=Whole")
        assert response.headers["X-Facilities-Without"] == ""
        status = await (await there.client.get("/api/")).json()
        without = {one["name"]: one["without"] for one in status["facilities"]}
        assert without["Old"] is None
        assert without["Whole"] == {"Document": [], "Dataset": [], "Instrument": []}
        assert "datasets.files" in without["Flat"]["Document"]
        assert "files" in without["Flat"]["Dataset"]


async def test_files_that_a_facility_does_not_give_are_not_none(tmp_path: Path) -> None:
    """Fault G01"""
    flat = Part("Flat", documents(6, 6), faults="include-500:files")
    async with served(tmp_path, flat) as there:
        response = await there.client.get(FILES[0])
        assert response.status == 200
        assert await response.json() == []
        assert "Flat=files" in response.headers["X-Facilities-Without"]


async def test_a_count_by_files_is_that_of_the_list(tmp_path: Path) -> None:
    """Semantics 9.5: files are asked for only where a question looks at them, as a count may."""
    filed = documents(0, 3)
    filed[0]["datasets"][0]["files"] = [{"id": "f", "name": "run.nxs", "size": 7}]
    async with served(tmp_path, Part("Filed", filed)) as there:
        for condition, expected in (({"name": {"like": "nxs"}}, 1), ({"size": {"gt": 7}}, 0)):
            of_files = {"relation": "files", "scope": {"where": condition}}
            of_datasets = {"relation": "datasets", "scope": {"include": [of_files]}}
            for path, include in (("Datasets", of_files), ("Documents", of_datasets)):
                asked = {"filter": json.dumps({"include": [include]})}
                response = await there.client.get(f"/api/{path}/count", params=asked)
                assert await response.json() == {"count": expected}
                response = await there.client.get(f"/api/{path}", params=asked)
                assert len(await response.json()) == expected
        for file_format, expected in (("NeXus", 1), ("TIFF", 0)):
            for kind in ("documents", "datasets"):
                asked = {"type": kind, "file_format": file_format}
                response = await there.client.get("/api/search", params=asked)
                assert (await response.json())["total"]["value"] == expected


async def test_an_instrument_is_of_the_facility_that_has_it(tmp_path: Path) -> None:
    """A facility's own name for itself is not looked for: the one configured here is."""
    own = {"pid": "i", "name": "P02", "facility": "Itself"}
    known = documents(0, 2)
    known[0]["datasets"][0]["instrument"] = own
    harvested = Part("Old", documents(6, 2), mode="indexed", harvested=True)
    async with served(tmp_path, harvested, Part("Now", known)) as there:
        for name, expected in (("Now", 1), ("Itself", 0)):
            scope = {"where": {"facility": {"like": name}}}
            asked = {"include": [{"relation": "instrument", "scope": scope}]}
            for path, filter_ in (("Datasets", asked), ("Instruments", scope)):
                params = {"filter": json.dumps(filter_)}
                response = await there.client.get(f"/api/{path}", params=params)
                found = await response.json()
                assert len(found) == expected, path
                for one in found:
                    assert one.get("instrument", one)["facility"] == "Now"


async def test_conditions_without_end_are_refused_and_long_lists_of_ids_are_not(
    tmp_path: Path,
) -> None:
    """Semantics 6.2: what is looked at record by record is bounded; a list is one look."""
    async with served(tmp_path, Part("Now", documents(0, 700))) as there:
        patterns = [{"title": {"like": f"unheard of {number}"}} for number in range(900)]
        response = await there.client.post("/api/Documents", json={"where": {"or": patterns}})
        assert response.status == 400
        assert "630,000 times" in (await response.json())["error"]["message"]
        pids = [f"https://doi.org/10.5072/DOC-{number:04d}" for number in range(690, 1_000)]
        found = await there.client.post(
            "/api/Documents", json={"where": {"pid": {"inq": pids}}, "limit": 100}
        )
        assert len(await found.json()) == 10


async def test_what_nobody_has_is_simply_unknown(there: Served) -> None:
    response = await there.client.get("/api/Documents/nothing")
    assert response.status == 404
    assert (await response.json())["error"]["message"] == 'Unknown "Document" id "nothing".'
    assert response.headers["X-Facilities-Missing"] == ""


async def test_where_nobody_can_answer_it_is_no_empty_list(there: Served) -> None:
    """fault G02: never [] and never {"count":0}"""
    there.there.facilities["Now"].faults.set("error:502")
    for path in (*LISTS, *COUNTS, *ONES, *FILES, "/api/search"):
        address = path + ("&" if "?" in path else "?") + "facilities=Now"
        response = await there.client.get(address)
        assert response.status == 503, address
        error = (await response.json())["error"]
        assert (error["statusCode"], error["name"]) == (503, "NobodyAnswered")
        assert [line["name"] for line in error["facilities"]] == ["Now"]
        assert response.headers["X-Facilities-Missing"] == "Now"
        assert response.headers["Retry-After"] == "5"
        response = await there.client.head(address)
        assert (response.status, response.headers["X-Facilities-Missing"]) == (503, "Now")


async def test_where_nobody_is_to_be_asked_it_is_no_empty_list_either(
    there: Served, tmp_path: Path
) -> None:
    """fault G02: who is only asked live has no copy that could answer for it"""
    questions = (
        "facilities=Now&mode=indexed",
        "facility=Now&mode=indexed",
        "facilities=Old&mode=live",
    )
    for path in (*LISTS, *COUNTS, "/api/search"):
        for question in questions:
            address = f"{path}{'&' if '?' in path else '?'}{question}"
            response = await there.client.get(address)
            assert response.status == 409, address
            error = (await response.json())["error"]
            assert (error["name"], error["field"]) == ("NobodyAsked", "mode")
            assert response.headers["X-Facilities-Missing"]
            assert [line["state"] for line in error["facilities"]] == ["unsupported"]
        response = await there.client.get(f"{path}{'&' if '?' in path else '?'}mode=indexed")
        assert response.status == 200, path
        assert response.headers["X-Facilities-Missing"] == "Now"
    for path in (*ONES, *FILES):
        address = f"{path}{'&' if '?' in path else '?'}facilities=Now&mode=indexed"
        assert (await there.client.get(address)).status == 409, address
    async with served(tmp_path / "alone", NOW) as alone:
        for path in (*LISTS, *COUNTS, *ONES, *FILES, "/api/search"):
            address = f"{path}{'&' if '?' in path else '?'}mode=indexed"
            assert (await alone.client.get(address)).status == 409, address


async def test_who_is_asked_can_be_chosen_on_every_route(there: Served) -> None:
    for address in (*LISTS, *COUNTS, *ONES, *FILES):
        sign = "&" if "?" in address else "?"
        response = await there.client.get(
            f"{address}{sign}facilities=now&mode=live&deadline_ms=4000"
        )
        assert response.status == 200, address
        assert response.headers["X-Facilities-States"] == "Now=answered"
        for wrong in ("facilities=Nobody", "mode=never", "deadline_ms=0"):
            response = await there.client.get(f"{address}{sign}{wrong}")
            assert response.status == 400, (address, wrong)


async def test_browsers_may_read_the_headers(there: Served) -> None:
    response = await there.client.get(
        "/api/Documents", headers={"Origin": "https://portal.example"}
    )
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    told = {
        name
        for name in response.headers
        if name.startswith(("X-Facilities", "X-Total")) or name in ("Link", "ETag")
    }
    assert told <= set(exposed)


def test_the_description_names_parameters_and_headers() -> None:
    paths = description("1")["paths"]
    for path in (
        "/api/Documents",
        "/api/Documents/count",
        "/api/Documents/{pid}",
        "/api/Datasets/{pid}/files",
        "/api/Datasets/{pid}/files/count",
        "/api/search",
        "/api/records/{key}",
    ):
        operation = paths[path]["get"]
        names = {one["name"] for one in operation["parameters"]}
        assert {"facilities", "mode", "deadline_ms"} <= names, path
        headers = set(operation["responses"]["200"]["headers"])
        assert {"X-Facilities-Missing", "X-Facilities-States"} <= headers


async def test_a_name_that_no_header_can_hold_breaks_nothing(tmp_path: Path) -> None:
    """fault I09"""
    far = Part("Świerk", [document(90, "lysozyme")])
    async with served(tmp_path, far) as there:
        response = await there.client.get("/api/Documents")
        assert response.headers["X-Facilities-States"] == "?wierk=answered"
        there.there.facilities["Świerk"].faults.set("error:502")
        response = await there.client.get("/api/Documents")
        assert (response.status, response.headers["X-Facilities-Missing"]) == (503, "?wierk")


async def test_an_id_longer_than_any_is_unknown_and_nobody_is_asked(there: Served) -> None:
    """Facilities refuse such an address, and the answer was 503."""
    asked_before = len(there.there.asked("Now"))
    for path in ("Documents/{}", "Datasets/{}/files", "records?pid={}"):
        response = await there.client.get("/api/" + path.format("a" * 7_900))
        assert response.status == 404, path
    assert len(there.there.asked("Now")) == asked_before
    response = await there.client.get("/api/Documents", params={"pid": "a" * 7_900})
    assert await response.json() == []
