"""Included relations: joins, conditions of one child, several parents, scopes, bounds (§9.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source

PROVIDER = "https://a.example.org/api"
MANY = 2_500
"""More Datasets than a page, a batch or an engine's default list."""


def dataset(name: str, **fields: Any) -> dict[str, Any]:
    return {"pid": f"20.500.99999/{name}", "title": f"Run {name}", "isPublic": True, **fields}


def document(name: str, *datasets: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any]]:
    pid = f"10.5072/{name}"
    return "panosc-document", {"pid": pid, "title": name, "datasets": list(datasets), **fields}


FILES = [{"id": number, "name": f"{number:03}.h5", "size": number} for number in range(250)]
SHARED = dataset("shared", techniques=[{"name": "SAXS"}])


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    payloads = [
        document("first", SHARED, dataset("hot", samples=[{"name": "iron"}])),
        document("second", SHARED, dataset("cold", size=5, samples=[{"name": "gold"}])),
        document(
            "third",
            dataset("big", files=FILES, instrument={"pid": "i", "name": "Loki"}, size=9),
            dataset("small", samples=[{"name": "gold"}], size=1),
        ),
        document("empty"),
    ]
    facility = Facility("A", "Facility A", PROVIDER)
    await keep(catalogue, facility, Source("a", "A", "panosc", PROVIDER, "panosc-json"), payloads)
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


async def found(client: TestClient[Any, Any], path: str, **given: Any) -> Any:
    response = await client.get(path, params={"filter": json.dumps(given)})
    assert response.status == 200, await response.text()
    return await response.json()


def titles(items: Any) -> list[str]:
    return [item["title"] for item in items]


async def test_a_plain_include_is_a_left_join_with_an_array(server: TestClient[Any, Any]) -> None:
    items = await found(server, "/api/Documents", include=["datasets", "members", "parameters"])
    assert titles(items) == ["first", "second", "third", "empty"]
    assert items[3]["datasets"] == items[3]["members"] == items[3]["parameters"] == []


async def test_a_dataset_in_two_documents_is_found_through_both(
    server: TestClient[Any, Any],
) -> None:
    technique = {"relation": "techniques", "scope": {"where": {"name": "SAXS"}}}
    include = [{"relation": "datasets", "scope": {"include": [technique]}}]
    items = await found(server, "/api/Documents", include=include)
    assert titles(items) == ["first", "second"]
    (shared,) = await found(
        server, "/api/Datasets", where={"title": "Run shared"}, include=["documents"]
    )
    assert titles(shared["documents"]) == ["first", "second"]


async def test_conditions_of_one_scope_hold_for_the_same_child(
    server: TestClient[Any, Any],
) -> None:
    """a Document with a large Dataset, and another one of gold, has no large one of gold"""
    gold = {"relation": "samples", "scope": {"where": {"name": "gold"}}}
    scope = {"where": {"size": {"gt": 2}}, "include": [gold]}
    include = [{"relation": "datasets", "scope": scope}]
    items = await found(server, "/api/Documents", include=include)
    assert titles(items) == ["second"]
    assert titles(items[0]["datasets"]) == ["Run cold"]


async def test_several_entries_for_a_relation_must_each_be_met(
    server: TestClient[Any, Any],
) -> None:
    entries = [
        {"relation": "datasets", "scope": {"where": {"title": {"like": name}}}}
        for name in ("shared", "hot")
    ]
    (item,) = await found(server, "/api/Documents", include=entries)
    assert item["title"] == "first"
    assert sorted(titles(item["datasets"])) == ["Run hot", "Run shared"]


async def test_includes_nest_to_any_depth(server: TestClient[Any, Any]) -> None:
    include: Any = {"datasets": {"documents": {"datasets": {"documents": "datasets"}}}}
    item = (await found(server, "/api/Documents", include=include, limit=1))[0]
    assert item["datasets"][0]["documents"][0]["datasets"][0]["documents"][0]["datasets"]


async def test_instruments_lead_to_their_datasets(server: TestClient[Any, Any]) -> None:
    (item,) = await found(server, "/api/Instruments", include=["datasets"])
    assert titles(item["datasets"]) == ["Run big"]
    where = {"title": {"like": "nothing"}}
    include = [{"relation": "datasets", "scope": {"where": where}}]
    assert await found(server, "/api/Instruments", include=include) == []


async def test_a_scope_orders_pages_and_projects(server: TestClient[Any, Any]) -> None:
    scope = {"order": "size DESC", "limit": 2, "skip": 1, "fields": ["name"]}
    include = [{"relation": "files", "scope": scope}]
    (item,) = await found(server, "/api/Datasets", where={"title": "Run big"}, include=include)
    assert item["files"] == [{"name": "248.h5"}, {"name": "247.h5"}]


async def test_files_are_listed_a_page_at_a_time(server: TestClient[Any, Any]) -> None:
    path = "/api/Datasets/20.500.99999%2Fbig/files"
    response = await server.get(path.replace("%2F", "/"))
    assert len(await response.json()) == 100
    assert response.headers["X-Total-Count"] == "250"
    assert response.headers["X-Limit"] == "100"
    items = await found(server, path.replace("%2F", "/"), skip=240, where={"size": {"gte": 10}})
    assert items == []
    items = await found(server, path.replace("%2F", "/"), order="size DESC", limit=1)
    assert items[0]["name"] == "249.h5"


async def test_an_absent_instrument_is_absent(server: TestClient[Any, Any]) -> None:
    items = await found(server, "/api/Datasets", include=["instrument"])
    with_one = [item["title"] for item in items if "instrument" in item]
    assert with_one == ["Run big"]


async def test_a_document_with_very_many_datasets_is_answered_within_a_bound(
    catalogue: Catalogue, keep: Any, serve: Any
) -> None:
    """fault I08"""
    facility = Facility("A", "Facility A", PROVIDER)
    source = Source("a", "A", "panosc", PROVIDER, "panosc-json")
    crowd = [dataset(f"{number:05}") for number in range(MANY)]
    await keep(catalogue, facility, source, [document("crowded", *crowd)])
    server = await serve(catalogue)
    (item,) = await found(server, "/api/Documents", include=["datasets"])
    assert len(item["datasets"]) == MANY
    where = {"title": f"Run {MANY - 1:05}"}
    include = [{"relation": "datasets", "scope": {"where": where}}]
    (item,) = await found(server, "/api/Documents", include=include)
    assert len(item["datasets"]) == 1
    narrow = await serve(catalogue, max_included=1_000)
    response = await narrow.get("/api/Documents", params={"filter": '{"include":["datasets"]}'})
    assert response.status == 400
    assert "more than 1000 related things" in (await response.json())["error"]["message"]
