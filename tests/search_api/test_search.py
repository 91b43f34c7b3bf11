"""Our own API: parameters, the shape of the answer, access, services, exports, provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Service, Source
from catalogue.query import (
    AccessIs,
    And,
    AtFacility,
    Compare,
    InYears,
    Join,
    Node,
    OneOf,
    OpenAt,
    ParameterRange,
    Sort,
    TechniqueIn,
    conditions,
    data_only,
)
from search_api.conditions import Reading
from search_api.errors import BadRequest
from search_api.hits import filled, is_safe_link
from search_api.search import PARAMETERS, pairs_of_body, read_search

Make = Callable[[], Reading]
XFEL = "https://xfel.example.org/api"
ILL = "https://ill.example.org/api"

XFEL_RECORD = b"""<panosc:panoscType xmlns:panosc="http://scicat.esss.se/panosc">
<panosc:id>10.22003/XFEL.EU-DATA-700000-00</panosc:id><panosc:name>Example Data</panosc:name>
<panosc:description>Example data of original beam-times &lt;script&gt;</panosc:description>
<panosc:owner>Fabio Dall'Antonia</panosc:owner><panosc:contributor>Luca Gelisio</panosc:contributor>
<panosc:embargoEndDate>2018-01-01T00:00:00+01:00</panosc:embargoEndDate>
<panosc:startDate>2017-11-08T00:00:00+01:00</panosc:startDate>
<panosc:technique>coherent diffraction imaging, serial femtosecond crystallography, small angle
x-ray scattering, x-ray photon correlation spectroscopy, x-ray powder diffraction</panosc:technique>
<panosc:sampleName>Water, Lysozyme, No Sample</panosc:sampleName>
<panosc:size>9074975744</panosc:size><panosc:wavelength/></panosc:panoscType>"""


def proposal(number: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return (
        "panosc-document",
        {
            "pid": f"10.5072/p-{number}",
            "type": "proposal",
            "isPublic": True,
            "title": f"Proposal {number}",
            "startDate": f"{2010 + number}-05-01T00:00:00Z",
            **fields,
        },
    )


def dataset(number: int, **fields: Any) -> dict[str, Any]:
    return {"pid": f"20.500.99999/d-{number}", "title": f"Run {number}", **fields}


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    xfel = Facility(
        "EuXFEL",
        "European XFEL",
        XFEL,
        time_zone="Europe/Berlin",
        probes=("photon",),
        lists_only_open=True,
        document_type="proposal",
        services=(
            Service("Landing page", "https://in.xfel.eu/metadata/doi/{doi}"),
            Service("Jupyter", "https://jupyter.example/?p={proposal}&d={doi}", login=True),
            Service("Broken", "javascript:alert({doi})"),
        ),
    )
    source = Source("xfel-oai", "EuXFEL", "oai-pmh", "https://user:pw@xfel.example/oai", "panosc")
    await keep(catalogue, xfel, source, [("panosc", XFEL_RECORD)])
    ill = Facility("ILL", "Institut Laue-Langevin", ILL, probes=("neutron",))
    cold = [{"name": "sample_temperature", "value": 4, "unit": "K"}]
    payloads = [
        proposal(
            1,
            title="SANS of <b>polymers</b>",
            members=[{"role": "owner", "person": {"fullName": "Eva Müller"}}],
            datasets=[
                dataset(
                    1,
                    techniques=[{"name": "SANS"}],
                    samples=[{"name": "Lysozyme"}],
                    instrument={"pid": "d22", "name": "D22"},
                    parameters=cold,
                )
            ],
        ),
        proposal(2, isPublic=False, releaseDate="2030-01-01T00:00:00Z"),
        proposal(3, type="software", title="SANS reduction software"),
        proposal(4, title="Reflectometry", summary="contact eva@example.org"),
    ]
    await keep(catalogue, ill, Source("ill", "ILL", "panosc", ILL, "panosc-json"), payloads)
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


async def found(client: TestClient[Any, Any], **parameters: Any) -> Any:
    response = await client.get("/api/search", params=parameters)
    assert response.status == 200, await response.text()
    return await response.json()


def titles(answer: Mapping[str, Any]) -> list[str]:
    return [hit["title"] for hit in answer["hits"]]


async def test_the_demo_question_finds_the_open_proposal_first(
    server: TestClient[Any, Any],
) -> None:
    answer = await found(server, q="lysozyme SFX")
    hit = answer["hits"][0]
    assert hit["pid"] == hit["doi"] == "10.22003/XFEL.EU-DATA-700000-00"
    assert hit["type"] == "Document"
    assert [one["id"] for one in hit["techniques"]] == [
        "PaNET01174",
        "PaNET01168",
        "PaNET01188",
        "PaNET01205",
        "PaNET01101",
    ]
    assert [one["name"] for one in hit["samples"]] == ["Water", "Lysozyme"]
    assert hit["access"]["state"] == "open"
    assert "lists only open" in hit["access"]["reason"]
    assert "2018-01-01" in hit["access"]["reason"]
    assert "open_since" not in hit["access"], "semantics 2.3: no claim of an opening date"
    assert 0 < hit["score"] < 1
    assert answer["total"] == {"value": 1, "relation": "eq"}
    assert answer["relaxed"] is False
    (chip,) = answer["recognised"]
    assert (chip["text"], chip["id"]) == ("SFX", "PaNET01168")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/csv", "text/csv"),
        ("text/csv;q=0.1, application/json", "application/json"),
        ("text/html, */*", "application/json"),
        ("application/x-bibtex;q=0.4, application/x-research-info-systems;q=0.9",
         "application/x-research-info-systems"),
        ("text/csv;q=nonsense", "application/json"),
        ("application/jsonl", "application/jsonl"),
        ("application/x-ndjson", "application/x-ndjson"),
    ],
)  # fmt: skip
async def test_the_form_is_the_one_that_is_liked_best(
    accept: str, media_type: str, server: TestClient[Any, Any]
) -> None:
    response = await server.get("/api/search?q=SANS", headers={"Accept": accept})
    assert response.content_type == media_type


@pytest.mark.parametrize("form", ["json", "csv", "bibtex"])
async def test_every_form_leads_on_to_the_next_page(
    form: str, server: TestClient[Any, Any]
) -> None:
    path, seen = f"/api/search?format={form}&limit=1", []
    while path:
        response = await server.get(URL(path, encoded=True))
        assert response.status == 200
        assert response.headers["X-Total-Count"] == "4"
        seen.append(await response.text())
        link = response.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else ""
    assert len(set(seen)) == len(seen) >= 4


async def test_a_page_that_was_cut_says_so(catalogue: Catalogue, serve: Any) -> None:
    small = await serve(catalogue, max_limit=2)
    response = await small.get("/api/search?limit=100")
    assert response.headers["X-Limit"] == "2"
    assert "X-Limit" not in (await small.get("/api/search?limit=2")).headers


@pytest.mark.parametrize("literal", ["SANS", "sans", "PaNET01189"])
async def test_one_recognition_can_be_left_out_without_the_others(
    literal: str, server: TestClient[Any, Any]
) -> None:
    q = "SANS SFX at 4 K"
    whole = await found(server, q=q)
    assert [one["text"] for one in whole["recognised"]] == ["SANS", "SFX", "4 K"]
    answer = await found(server, q=q, literal=literal)
    assert [one["text"] for one in answer["recognised"]] == ["SFX", "4 K"]
    for quantity in ("4 K", "temperature"):
        answer = await found(server, q=q, literal=[literal, quantity])
        assert [one["text"] for one in answer["recognised"]] == ["SFX"]


async def test_words_taken_as_words_find_no_tags(server: TestClient[Any, Any]) -> None:
    assert (await found(server, q="SAS"))["total"]["value"] == 2
    assert (await found(server, q="SAS", literal="SAS"))["total"]["value"] == 0
    assert (await found(server, q="SAS", literal="SAXS"))["total"]["value"] == 2


async def test_services_are_filled_from_the_facilitys_templates(
    server: TestClient[Any, Any],
) -> None:
    """fault I06: only http and https become links"""
    hit = (await found(server, q="SFX"))["hits"][0]
    assert hit["services"][:2] == [
        {
            "name": "Landing page",
            "url": "https://in.xfel.eu/metadata/doi/10.22003%2FXFEL.EU-DATA-700000-00",
            "login": False,
        },
        {
            "name": "Jupyter",
            "url": "https://jupyter.example/?p=700000&d=10.22003%2FXFEL.EU-DATA-700000-00",
            "login": True,
        },
    ]
    assert all(one["url"].startswith("http") for one in hit["services"])


async def test_access_is_told_with_its_reason(server: TestClient[Any, Any]) -> None:
    answer = await found(server, facility="ILL", facets="access")
    states = {hit["pid"]: hit["access"] for hit in answer["hits"]}
    assert states["10.5072/p-2"]["state"] == "embargoed"
    assert states["10.5072/p-2"]["until"] == "2030-01-01T00:00:00Z"
    assert states["10.5072/p-1"]["state"] == "open"
    assert {one["id"]: one["count"] for one in answer["facets"]["access"]} == {
        "open": 2,
        "embargoed": 1,
    }
    answer = await found(server, open="true")
    assert "10.5072/p-2" not in [hit["pid"] for hit in answer["hits"]]


async def test_what_is_no_data_is_left_out_and_counted(server: TestClient[Any, Any]) -> None:
    """semantics 1.7"""
    answer = await found(server, q="SANS")
    assert titles(answer) == ["SANS of polymers"]
    assert answer["not_data"] == {"software": 1}
    assert titles(await found(server, q="SANS", kind="software")) == ["SANS reduction software"]
    assert len(titles(await found(server, q="SANS", kind="all"))) == 2


async def test_every_facility_has_a_line(server: TestClient[Any, Any]) -> None:
    answer = await found(server, q="lysozyme")
    lines = {line["name"]: line for line in answer["facilities"]}
    assert {name: (line["state"], line["hits"], line["total"]) for name, line in lines.items()} == {
        "EuXFEL": ("answered", 1, 1),
        "ILL": ("answered", 1, 1),
    }
    assert all(line["elapsed_ms"] > 0 for line in lines.values())


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"technique": "small angle neutron scattering"}, {"10.5072/p-1"}),
        ({"technique": "PaNET01168"}, {"10.22003/XFEL.EU-DATA-700000-00"}),
        ({"facility": "euxfel"}, {"10.22003/XFEL.EU-DATA-700000-00"}),
        ({"instrument": "D22"}, {"10.5072/p-1"}),
        ({"instrument": "d22"}, {"10.5072/p-1"}),
        ({"sample": "lyso"}, {"10.5072/p-1", "10.22003/XFEL.EU-DATA-700000-00"}),
        ({"person": "müller"}, {"10.5072/p-1"}),
        ({"year": "2017"}, {"10.22003/XFEL.EU-DATA-700000-00"}),
        ({"year": "-2011"}, {"10.5072/p-1"}),
        ({"quantity": "sample_temperature:..10 K"}, {"10.5072/p-1"}),
        ({"quantity": "sample_temperature:-270..-260 celsius"}, {"10.5072/p-1"}),
        ({"size_min": "9e9"}, {"10.22003/XFEL.EU-DATA-700000-00"}),
        ({"access": "embargoed"}, {"10.5072/p-2"}),
    ],
)
async def test_filters_hold(
    parameters: dict[str, str], expected: set[str], server: TestClient[Any, Any]
) -> None:
    answer = await found(server, **parameters)
    assert {hit["pid"] for hit in answer["hits"]} == expected


async def test_several_facets_may_be_asked_for_in_either_way(server: TestClient[Any, Any]) -> None:
    for given in ({"facets": ["year", "access"]}, {"facets": "year,access"}):
        response = await server.post("/api/search", json=given)
        assert set((await response.json())["facets"]) == {"year", "access"}
    response = await server.get("/api/search?facets=year&facets=access")
    assert set((await response.json())["facets"]) == {"year", "access"}


async def test_years_that_end_before_they_begin_are_refused(server: TestClient[Any, Any]) -> None:
    response = await server.get("/api/search?year=2020-2019")
    assert response.status == 400
    assert (await response.json())["error"]["field"] == "year"


async def test_datasets_can_be_searched(server: TestClient[Any, Any]) -> None:
    answer = await found(server, type="datasets", technique="SANS")
    assert [hit["pid"] for hit in answer["hits"]] == ["20.500.99999/d-1"]
    answer = await found(server, type="datasets", person="Müller")
    assert [hit["pid"] for hit in answer["hits"]] == ["20.500.99999/d-1"]


async def test_cursors_go_to_the_end(server: TestClient[Any, Any]) -> None:
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 1}
    for _ in range(20):
        answer = await found(server, **parameters)
        seen += [hit["key"] for hit in answer["hits"]]
        if answer["cursor"] is None:
            break
        parameters["cursor"] = answer["cursor"]
    assert len(seen) == len(set(seen)) == 4


async def test_post_and_get_answer_alike(server: TestClient[Any, Any]) -> None:
    asked = {"q": "lysozyme", "facility": ["ILL", "EuXFEL"], "limit": 5, "explain": True}
    response = await server.post("/api/search", json=asked)
    posted = await response.json()
    got = await found(server, q="lysozyme", facility="ILL", explain="true", limit="5")
    assert posted["hits"][0].keys() == got["hits"][0].keys()
    assert posted["total"]["value"] == 2
    assert posted["hits"][0]["explanation"]["parts"]


async def test_highlights_are_places_and_never_markup(server: TestClient[Any, Any]) -> None:
    hit = (await found(server, q="polymers"))["hits"][0]
    (span,) = hit["highlights"]["title"]
    assert hit["title"][span[0] : span[1]] == "polymers"


@pytest.mark.parametrize("form", ["csv", "jsonl", "bibtex", "ris", "datacite"])
async def test_hits_are_exported(form: str, server: TestClient[Any, Any]) -> None:
    response = await server.get("/api/search", params={"q": "SFX", "format": form})
    text = await response.text()
    assert response.status == 200
    assert "attachment" in response.headers["Content-Disposition"]
    assert "10.22003/XFEL.EU-DATA-700000-00" in text
    assert "Dall'Antonia" in text or form == "csv"
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert rows[0]["access"] == "open"
    if form == "jsonl":
        assert json.loads(text.splitlines()[0])["type"] == "Document"
    if form == "datacite":
        assert json.loads(text)[0]["doi"] == "10.22003/XFEL.EU-DATA-700000-00"


async def test_the_form_is_negotiated_too(server: TestClient[Any, Any]) -> None:
    response = await server.get("/api/search?q=SFX", headers={"Accept": "text/csv"})
    assert response.content_type == "text/csv"


async def test_suggestions_come_from_techniques_facilities_and_records(
    server: TestClient[Any, Any],
) -> None:
    async def suggested(q: str) -> list[tuple[str, str]]:
        answer = await (await server.get("/api/suggest", params={"q": q})).json()
        return [(one["kind"], one["text"]) for one in answer["suggestions"]]

    assert ("technique", "small angle x-ray scattering") in await suggested("saxs")
    assert ("facility", "ILL") in await suggested("Ill")
    assert ("sample", "Lysozyme") in await suggested("lyso")
    assert await suggested("") == []


async def test_facilities_show_sources_without_credentials(
    server: TestClient[Any, Any],
) -> None:
    """fault I09"""
    response = await server.get("/api/facilities")
    text = await response.text()
    assert "pw" not in text
    first = json.loads(text)[-1]
    lines = {line["name"]: line for line in json.loads(text)}
    assert lines["EuXFEL"]["sources"][0]["url"] == "https://xfel.example/oai"
    assert lines["EuXFEL"]["sources"][0]["last_run"]["state"] == "ok"
    assert lines["EuXFEL"]["records"] == 1
    assert first["silent_since"] is None


async def test_a_silent_facility_is_named_everywhere_and_still_found(
    server: TestClient[Any, Any], catalogue: Catalogue
) -> None:
    since = datetime(2026, 2, 28, 9, tzinfo=UTC)
    run = catalogue.store.begin_run("ill", kind="incremental", holder="test", now=since)
    catalogue.store.finish_run(run, "failed", "unreachable", since)
    response = await server.get("/api/Documents")
    assert response.headers["X-Facilities-Silent"] == "ILL"
    answer = await found(server, q="lysozyme")
    line = next(one for one in answer["facilities"] if one["name"] == "ILL")
    assert (line["state"], line["total"]) == ("stale", 1)
    lines = {one["name"]: one for one in await (await server.get("/api/facilities")).json()}
    assert lines["ILL"]["state"] == "silent"
    assert lines["ILL"]["silent_since"] == "2026-02-28T09:00:00Z"
    page = await (await server.get("/?q=lysozyme", headers={"Accept": "text/html"})).text()
    assert "Not reached lately" in page


async def test_a_record_tells_its_provenance_and_hides_addresses(
    server: TestClient[Any, Any],
) -> None:
    """semantics 11.1"""
    key = "document:doi:10.5072/p-4"
    response = await server.get(f"/api/records/{key.replace('/', '%2F')}")
    record = await response.json()
    assert record["key"] == key
    assert record["provenance"]["title"]["source"] == "ill"
    assert record["provenance"]["title"]["format"] == "panosc-document"
    (said,) = record["sources"]
    assert "Reflectometry" in said["payload"]
    assert "eva@example.org" not in said["payload"]
    assert "[address removed]" in said["payload"]


@pytest.mark.parametrize(
    ("pairs", "node"),
    [
        ([("technique", "SAXS"), ("technique", "SANS")], TechniqueIn(("PaNET01188", "PaNET01189"))),
        ([("facility", "ESS")], AtFacility(("ESS",))),
        ([("year", "2017-2019")], InYears(2017, 2019)),
        ([("year", "2017")], InYears(2017, 2017)),
        ([("year", "2017-")], InYears(2017, None)),
        ([("open_at", "2020-01-01")], OpenAt(datetime(2020, 1, 1, tzinfo=UTC))),
        ([("level", "raw")], Join("datasets", OneOf("dataLevel", ("raw",)))),
        (  # of one and the same Dataset (semantics 9.4)
            [("size_min", "5"), ("size_max", "9")],
            Join("datasets", And((Compare("size", "gte", 5), Compare("size", "lte", 9)))),
        ),
    ],
)
def test_parameters_become_conditions(
    pairs: list[tuple[str, str]], node: Node, reading: Make
) -> None:
    where = read_search(reading(), pairs, 10).search.where
    assert conditions(where) == (*conditions(node), data_only())


def test_states_are_asked_for_at_the_present_instant(reading: Make, now: datetime) -> None:
    where = read_search(reading(), [("access", "open"), ("kind", "all")], 10).search.where
    assert where == AccessIs(("open",), now)


def test_a_quantity_is_read_in_its_unit(reading: Make) -> None:
    pairs = [("quantity", "incident_wavelength:>=1.5 angstrom"), ("kind", "all")]
    where = read_search(reading(), pairs, 10).search.where
    assert isinstance(where, ParameterRange)
    assert (where.dimension, where.low, where.high) == ("length", 1.5e-10, None)


def test_orders_mean_the_experiment(reading: Make) -> None:
    """semantics 3.1"""
    search = read_search(reading(), [("sort", "-date")], 10).search
    assert search.sort == (Sort("startDate", True),)


@pytest.mark.parametrize(
    "pairs",
    [
        [("tecnique", "SAXS")],
        [("match", "some")],
        [("year", "20182019")],
        [("year", "-")],
        [("quantity", "hot")],
        [("quantity", "sample_temperature:5 parsecs")],
        [("quantity", "sample_temperature:.. K")],
        [("limit", "-1")],
        [("limit", "1.5")],
        [("open", "perhaps")],
        [("open_at", "later")],
        [("sort", "beauty")],
        [("format", "html")],
        [("sort", "size")],
        [("facets", "colour")],
        [("size_min", "big")],
        [("q", "a"), ("q", "b")],
        [("q", "x" * 2001)],
    ],
)
def test_what_cannot_be_meant_is_refused(pairs: list[tuple[str, str]], reading: Make) -> None:
    with pytest.raises(BadRequest):
        read_search(reading(), pairs, 10)


def test_an_unknown_parameter_is_refused_with_the_nearest(reading: Make) -> None:
    with pytest.raises(BadRequest, match="Did you mean 'technique'"):
        read_search(reading(), [("tecnique", "SAXS")], 10)


def test_a_body_may_repeat_values_in_lists() -> None:
    body = {"q": "x", "facility": ["a", "b"], "open": True, "limit": 5, "cursor": None}
    assert pairs_of_body(body) == [
        ("q", "x"),
        ("facility", "a"),
        ("facility", "b"),
        ("open", "true"),
        ("limit", "5"),
    ]
    with pytest.raises(BadRequest):
        pairs_of_body({"q": {"a": 1}})


def test_every_parameter_is_explained() -> None:
    assert all(parameter.help for parameter in PARAMETERS)
    assert len({parameter.name for parameter in PARAMETERS}) == len(PARAMETERS)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/a", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("https://example.org/a b", False),
        ("//example.org", False),
        ("https://[bad", False),
    ],
)
def test_only_plain_addresses_become_links(url: str, safe: bool) -> None:
    """fault I06"""
    assert is_safe_link(url) is safe


def test_a_template_without_its_value_gives_no_link() -> None:
    assert filled("https://x/{doi}", {"doi": "10.1/a b"}) == "https://x/10.1%2Fa%20b"
    assert filled("https://x/{proposal}", {"proposal": None}) is None
