"""Nothing that a portal asks is passed over in silence (fault E08): it is heard, or refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from search_api.settings import ServerSettings

PROVIDER = "https://a.example.org/api"
FILES = [{"id": number, "name": f"run_{number}.h5", "size": number} for number in range(1, 6)]


def document(number: int) -> tuple[str, dict[str, Any]]:
    dataset = {"pid": f"20.1/{number}", "title": f"Run {number}", "files": FILES[:number]}
    shown = {"pid": f"10.1/{number}", "type": "proposal", "datasets": [dataset]}
    return "panosc-document", {**shown, "title": f"{'Lysozyme' if number < 4 else 'Iron'} {number}"}


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    facility = Facility("A", "Facility A", PROVIDER)
    source = Source("a", "A", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, [document(number) for number in range(1, 6)])
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


def address(path: str, **objects: Any) -> URL:
    query = "&".join(f"{name}={quote(json.dumps(value))}" for name, value in objects.items())
    return URL(f"{path}?{query}", encoded=True)


async def answer(client: TestClient[Any, Any], url: URL | str) -> Any:
    response = await client.get(URL(url, encoded=True) if isinstance(url, str) else url)
    assert response.status == 200, await response.text()
    return await response.json()


async def pids(client: TestClient[Any, Any], url: URL | str) -> list[str]:
    return [item["pid"] for item in await answer(client, url)]


async def test_a_where_beside_the_filter_counts(server: TestClient[Any, Any]) -> None:
    where = {"pid": {"inq": ["10.1/2", "10.1/3"]}}
    assert await pids(server, address("/api/Documents", where=where)) == ["10.1/2", "10.1/3"]
    both = address("/api/Documents", where=where, filter={"skip": 1})
    assert await pids(server, both) == ["10.1/3"]
    assert await pids(server, "/api/Documents?where[pid]=10.1/2") == ["10.1/2"]
    files = address("/api/Datasets/20.1%2F3/files", where={"name": "run_2.h5"})
    assert [one["name"] for one in await answer(server, files)] == ["run_2.h5"]
    technique = await answer(server, address("/techniques", where={"name": "SAXS"}))
    assert [one["name"] for one in technique] == ["small angle x-ray scattering"]


async def test_the_next_page_keeps_a_where_beside_the_filter(server: TestClient[Any, Any]) -> None:
    where = {"pid": {"neq": "10.1/2"}}
    url = address("/api/Documents", where=where, filter={"limit": 3})
    response = await server.get(url)
    following = response.headers["Link"].partition(">")[0].removeprefix("<")
    assert await pids(server, following) == ["10.1/5"]


async def test_a_count_takes_the_words_beside_it(server: TestClient[Any, Any]) -> None:
    """``count`` counts what ``find`` returns, also where the text is a parameter of its own."""
    for suffix in ("query=lysozyme", "query=lysozyme&where={}", "query=lysozyme&filter={}"):
        assert await answer(server, f"/api/Documents/count?{suffix}") == {"count": 3}
    url = f"/api/Documents/count?query=iron&filter={quote(json.dumps({'query': 'lysozyme'}))}"
    assert await answer(server, url) == {"count": 3}


async def test_files_are_counted_by_a_whole_filter_too(server: TestClient[Any, Any]) -> None:
    path, where = "/api/Datasets/20.1%2F5/files/count", {"size": {"gt": "3"}}
    for given in ({"where": where}, {"filter": {"where": where}}, {"where": {"where": where}}):
        assert await answer(server, address(path, **given)) == {"count": 2}


async def test_techniques_are_counted_by_a_whole_filter_too(server: TestClient[Any, Any]) -> None:
    where = {"name": "SAXS"}
    for given in ({"where": where}, {"filter": {"where": where}}, {"where": {"where": where}}):
        assert await answer(server, address("/techniques/count", **given)) == {"count": 1}


@pytest.mark.parametrize(
    ("path", "given", "field", "word"),
    [
        ("/api/Datasets/20.1%2F3/files", {"wher": {}}, "filter.wher", "where"),
        ("/api/Datasets/20.1%2F3/files", {"query": "x"}, "filter.query", "allowed"),
        ("/api/Datasets/20.1%2F3/files", {"include": ["dataset"]}, "include", "dataset"),
        ("/api/Datasets/20.1%2F3/files/count", {"wher": {}}, "filter.wher", "where"),
        ("/techniques/count", {"wher": {}}, "filter.wher", "where"),
        ("/techniques/PaNET01188", {"field": []}, "filter.field", "fields"),
        ("/api/Documents", {"order": "datasets"}, "order", "title"),
        ("/api/Datasets", {"order": "isPublic DESC"}, "order", "creationDate"),
        (
            "/api/Documents",
            {"include": [{"relation": "datasets", "scope": {"query": "x"}}]},
            "include[0].scope.query",
            "where",
        ),
        (
            "/api/Datasets",
            {"include": [{"relation": "techniques", "scope": {"where": {"parents": "x"}}}]},
            "where.parents",
            "panetId",
        ),
    ],
)
async def test_what_has_no_place_is_refused_by_name(
    path: str, given: Any, field: str, word: str, server: TestClient[Any, Any]
) -> None:
    response = await server.get(address(path, filter=given))
    assert response.status == 400
    error = (await response.json())["error"]
    assert field in error["field"]
    assert word in json.dumps(error)


@pytest.mark.parametrize("name", ["facility", "facilities"])
@pytest.mark.parametrize(
    "path", ["/api/Documents", "/api/Documents/count", "/api/Documents/10.1%2F1", "/api/search"]
)
async def test_a_facility_that_nobody_knows_is_refused_by_name(
    path: str, name: str, server: TestClient[Any, Any]
) -> None:
    """Fault E08: an empty answer would look like a facility that has nothing."""
    response = await server.get(URL(f"{path}?{name}=B", encoded=True))
    assert response.status == 400
    error = (await response.json())["error"]
    assert (error["field"], error["allowed"]) == (name, ["A"])
    assert (await server.get(URL(f"{path}?{name}=a", encoded=True))).status == 200


async def test_a_list_of_one_in_brackets_is_a_list(server: TestClient[Any, Any]) -> None:
    """Fault E11: who writes the name again for each value writes it once for one."""
    assert await pids(server, "/api/Documents?filter[where][pid][inq]=10.1/2") == ["10.1/2"]
    without = "/api/Documents?filter[where][pid][nin]=10.1/2&filter[fields]=pid"
    assert "10.1/2" not in await pids(server, without)


@pytest.mark.parametrize(
    "given",
    [
        {"order": "type ASC, pid DESC"},
        {"order": ["type ASC, pid DESC"]},
        {"order": ["type", "pid DESC,"]},
        {"order": "pid DESC,", "include": {"datasets": True}},
        {"order": "pid DESC", "include": [{"relation": "datasets", "scope": ""}]},
        {"order": "pid DESC", "include": [{"relation": "datasets", "scope": []}]},
    ],
)
async def test_loopback_s_other_spellings_mean_the_same(
    given: Any, server: TestClient[Any, Any]
) -> None:
    found = await answer(server, address("/api/Documents", filter=given))
    assert [item["pid"] for item in found] == [f"10.1/{number}" for number in (5, 4, 3, 2, 1)]
    assert all(len(item["datasets"]) == 1 for item in found if "include" in given)


async def test_words_that_are_a_number_are_words(server: TestClient[Any, Any]) -> None:
    assert await pids(server, address("/api/Documents", filter={"query": 4})) == ["10.1/4"]


async def test_a_value_given_twice_in_brackets_is_a_list(server: TestClient[Any, Any]) -> None:
    """Fault E11: the answer says how one of several is asked for."""
    twice = "/api/Documents?filter[where][pid]=10.1/1&filter[where][pid]=10.1/2"
    response = await server.get(URL(twice, encoded=True))
    assert response.status == 400
    assert "use inq" in await response.text()


@pytest.mark.parametrize(
    "path",
    [
        "/api/Documents/count/",
        "/api/documents/",
        "/api/Datasets/20.1%2F3/files/",
        "/api/datasets/20.1%2F3/files/count/",
        "/techniques/count/",
        "/techniques/pan-ontology/",
        "/api/search/",
        "/api/facilities/",
        "/docs/",
    ],
)
async def test_a_slash_at_the_end_changes_nothing(path: str, server: TestClient[Any, Any]) -> None:
    """Fault E13."""
    with_slash = await server.get(URL(path, encoded=True))
    without = await server.get(URL(path.removesuffix("/"), encoded=True))
    assert with_slash.status == without.status == 200
    if "search" not in path:  # which tells how long it took
        assert await with_slash.read() == await without.read()


@pytest.mark.usefixtures("server")
async def test_ranked_pages_lead_to_the_last_one_and_no_further(
    catalogue: Catalogue, serve: Any
) -> None:
    """The next page of scored results is never one that is refused (fault E04)."""
    client: TestClient[Any, Any] = await serve(catalogue, max_ranked=2)
    url = address("/api/Documents", filter={"query": "lysozyme", "limit": 1})
    first = await client.get(url)
    assert first.headers["X-Total-Count"] == "3"
    following = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = await client.get(URL(following, encoded=True))
    assert second.status == 200
    assert "Link" not in second.headers
    deep = address("/api/Documents/count", filter={"query": "lysozyme", "skip": 5, "limit": 5})
    assert await answer(client, deep) == {"count": 3}


async def test_a_technique_shows_when_it_was_read(server: TestClient[Any, Any]) -> None:
    given = {"fields": ["pid", "createdAt"], "order": "createdAt DESC", "limit": 1}
    (one,) = await answer(server, address("/techniques", filter=given))
    assert set(one) == {"pid", "createdAt"}


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("catalogue.settling.MAX_SCANS", "without three literal characters"),
        ("catalogue.settling.MAX_TOGETHER", "record by record, together"),
    ],
)
async def test_a_thousand_cheap_patterns_are_a_dear_one(
    bound: str, message: str, server: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 6.2: eight such filters held a server for ten seconds."""
    patterns = [{"title": {"regexp": f"(a|b)*.{{{n}}}"}} for n in range(9)]
    params = {"filter": json.dumps({"where": {"or": patterns}})}
    assert (await server.get("/api/Documents", params=params)).status == 200
    monkeypatch.setattr(bound, 0)
    params = {"filter": json.dumps({"where": {"or": patterns[1:]}})}
    response = await server.get("/api/Documents", params=params)
    assert response.status == 400
    assert message in (await response.json())["error"]["message"]


async def test_as_many_values_as_the_settings_allow_are_looked_for(
    server: TestClient[Any, Any],
) -> None:
    most = ServerSettings().max_values
    for count, status in ((most, 200), (most + 1, 400)):
        pids = [f"10.5072/{n}" for n in range(count)]
        response = await server.post("/api/Documents", json={"where": {"pid": {"inq": pids}}})
        assert response.status == status
