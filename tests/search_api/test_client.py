"""The Python client against a real server, and the command that uses it."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from search_api.client import Client
from search_api.errors import ServerRefused, ServerUnreachable


@pytest.fixture
async def url(catalogue: Catalogue, keep: Any, serve: Any) -> str:
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payloads = [
        ("panosc-document", {"pid": f"10.5072/{n}", "title": f"Study {n}", "isPublic": True})
        for n in range(230)
    ]
    await keep(catalogue, facility, source, payloads)
    client: TestClient[Any, Any] = await serve(catalogue)
    return str(client.make_url("/"))


async def test_a_page_is_typed(url: str) -> None:
    async with Client(url) as client:
        page = await client.search("study 7", limit=3, facility=["A"])
    assert page.total == 1
    (hit,) = page.hits
    assert (hit.title, hit.facility, hit.access, hit.doi) == ("Study 7", "A", "open", "10.5072/7")
    assert 0 < hit.score < 1
    assert hit.json["key"] == hit.key


@pytest.mark.parametrize("query", ["study", ""])
async def test_all_pages_together_hold_each_hit_once(query: str, url: str) -> None:
    """faults E02, E06"""
    async with Client(url) as client:
        keys = [hit.key async for hit in client.hits(query)]
        some = [hit.key async for hit in client.hits(query, limit=120)]
    assert len(keys) == len(set(keys)) == 230
    assert some == keys[:120]


async def test_the_servers_reason_is_passed_on(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(ServerRefused, match="Did you mean 'technique'") as refused:
            await client.search("x", tecnique="SAXS")
    assert (refused.value.status, refused.value.name) == (400, "BadRequest")


async def test_no_server_is_told_as_such() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ServerUnreachable, match="does not answer"):
            await client.search("x")
    with pytest.raises(ServerUnreachable, match="context manager"):
        await client.search("x")


async def test_an_answer_that_is_no_json_is_told_as_such() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=502)

    app = web.Application()
    app.router.add_get("/api/search", answer)
    async with TestServer(app) as server, Client(str(server.make_url("/"))) as client:
        with pytest.raises(ServerRefused, match="no JSON"):
            await client.search("x")


async def test_facilities_are_listed(url: str) -> None:
    async with Client(url) as client:
        (facility,) = await client.facilities()
    assert facility["name"] == "A"
