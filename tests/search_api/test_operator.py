"""What only the operator may see is closed to all others (fault I09, semantics 11.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from search_api.errors import BadRequest
from search_api.operator_key import HEADER, read_operator_key
from search_api.routes import ROUTES
from search_api.settings import ServerSettings

KEY = "a-key-of-the-operator"
URL = "https://a.example.org/api"
FACILITY = Facility("A", "Facility A", URL)
SOURCE = Source("a", "A", "panosc", URL, "panosc-json")

OPEN = {
    "/",
    "/api/",
    "/api/Datasets",
    "/api/Datasets/count",
    "/api/Datasets/{pid}",
    "/api/Datasets/{pid}/files",
    "/api/Datasets/{pid}/files/count",
    "/api/Documents",
    "/api/Documents/count",
    "/api/Documents/{pid}",
    "/api/Instruments",
    "/api/Instruments/count",
    "/api/Instruments/{pid}",
    "/api/facilities",
    "/api/openapi.json",
    "/api/records",
    "/records/{key}",
    "/api/records/{key}",
    "/api/search",
    "/api/suggest",
    "/docs",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/static/{key}",
    "/techniques",
    "/techniques/count",
    "/techniques/pan-ontology",
    "/techniques/{pid}",
}
"""Every route that anybody may use, and why there is no other: a new one is open only when it is
written down here."""


@pytest.fixture
async def stored(catalogue: Catalogue, keep: Any) -> Catalogue:
    """A Document whose first version named another title, and an address."""
    for title in ("First title, mail old@example.org", "Second title"):
        payload = {"pid": "10.5072/1", "type": "proposal", "title": title}
        await keep(catalogue, FACILITY, SOURCE, [("panosc-document", payload)])
    return catalogue


def guarded() -> list[str]:
    return [route.path for route in ROUTES if route.operator]


def test_every_route_is_either_open_on_purpose_or_guarded() -> None:
    """fault I09"""
    assert {route.path for route in ROUTES} - OPEN == set(guarded())
    assert OPEN & set(guarded()) == set()


@pytest.mark.parametrize("path", guarded())
@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("", None),
        ("", ""),
        ("", KEY),
        (KEY, None),
        (KEY, ""),
        (KEY, KEY[:-1]),
        (KEY, KEY + "x"),
        (KEY, "ü"),
    ],
)
async def test_without_the_key_nothing_is_shown(
    path: str, key: str, sent: str | None, stored: Catalogue, serve: Any
) -> None:
    """fault I09: closed when no key is set"""
    server: TestClient[Any, Any] = await serve(stored, operator_key=key)
    headers = {} if sent is None else {HEADER: sent}
    for name in ("document:doi:10.5072/1", "unknown"):
        response = await server.get(path.replace("{key}", name), headers=headers)
        assert response.status == 403
        text = await response.text()
        assert "title" not in text
        assert KEY not in text


async def test_the_operator_sees_every_version_as_it_was_received(
    stored: Catalogue, serve: Any
) -> None:
    server = await serve(stored, operator_key=KEY)
    response = await server.get("/api/history/document:doi:10.5072/1", headers={HEADER: KEY})
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    (record,) = (await response.json())["records"]
    assert record["state"] == "live"
    titles = ["Second title", "First title, mail old@example.org"]
    for title, version in zip(titles, record["versions"], strict=True):
        assert title in version["payload"]


async def test_deleted_records_are_gone_for_all_but_the_operator(
    stored: Catalogue, keep: Any, serve: Any
) -> None:
    """semantics 11.1"""
    from catalogue.records import PageCommit
    from tests.search_api.conftest import NOW

    run = stored.store.begin_run("a", kind="full", holder="test", now=NOW)
    stored.store.commit_page(run, PageCommit((), None, NOW, deleted=("panosc-document/0",)))
    stored.store.finish_run(run, "ok", "end_of_list", NOW)
    await stored.indexer.index_once()
    server = await serve(stored, operator_key=KEY)
    assert (await server.get("/api/records/document:doi:10.5072/1")).status == 404
    response = await server.get("/api/history/document:doi:10.5072/1", headers={HEADER: KEY})
    shown = await response.json()
    assert shown["deleted"] is True
    (record,) = shown["records"]
    assert (record["source"], record["identifier"]) == ("a", "panosc-document/0")
    assert record["state"] == "deleted"
    (gone, second, first) = record["versions"]
    assert gone["payload"] is None
    assert "Second title" in second["payload"]
    assert "First title" in first["payload"]
    named = {"source": "a", "identifier": "panosc-document/0"}
    response = await server.get("/api/history", params=named, headers={HEADER: KEY})
    versions = (await response.json())["versions"]
    assert [one["payload"].count("title") for one in versions] == [2, 2]
    assert "Second title" in versions[0]["payload"]


async def test_what_a_record_no_longer_speaks_of_has_that_records_history(
    stored: Catalogue, keep: Any, serve: Any
) -> None:
    payload = {"pid": "10.5072/2", "type": "proposal", "title": "Renamed"}
    await keep(stored, FACILITY, SOURCE, [("panosc-document", payload)])
    server = await serve(stored, operator_key=KEY)
    response = await server.get("/api/history/document:doi:10.5072/1", headers={HEADER: KEY})
    shown = await response.json()
    assert shown["deleted"] is True
    (record,) = shown["records"]
    assert record["state"] == "live"
    assert [("10.5072/1" in one["payload"]) for one in record["versions"]] == [False, True, True]


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ({}, 400),
        ({"source": "a"}, 400),
        ({"identifier": "x"}, 400),
        ({"source": "a", "identifier": "x"}, 404),
        ({"source": "none", "identifier": "x"}, 404),
    ],
)
async def test_a_record_of_a_source_is_named_by_both(
    named: dict[str, str], status: int, stored: Catalogue, serve: Any
) -> None:
    server = await serve(stored, operator_key=KEY)
    response = await server.get("/api/history", params=named, headers={HEADER: KEY})
    assert response.status == status


async def test_an_unknown_record_has_no_history(stored: Catalogue, serve: Any) -> None:
    server = await serve(stored, operator_key=KEY)
    assert (await server.get("/api/history/document:x", headers={HEADER: KEY})).status == 404


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    assert read_operator_key(ServerSettings(operator_key_file=str(file))) == KEY
    assert read_operator_key(ServerSettings(operator_key=KEY)) == KEY
    assert read_operator_key(ServerSettings()) is None


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"short", b"\xff\xfe" * 20])
def test_a_key_that_keeps_nobody_out_ends_the_start(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadRequest) as refused:
        read_operator_key(ServerSettings(operator_key_file=str(file)))
    assert "short" not in str(refused.value) or "shorter" in str(refused.value)


def test_the_key_is_never_shown() -> None:
    """fault H12"""
    assert KEY not in repr(ServerSettings(operator_key=KEY))
