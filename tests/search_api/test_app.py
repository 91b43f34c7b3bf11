"""What all answers have in common: errors, CORS, headers, conditions, limits, shedding."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import aiohttp
import pytest
import zstandard
from aiohttp.http_exceptions import BadStatusLine
from aiohttp.test_utils import TestClient
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.errors import EngineUnavailable
from catalogue.facilities import Facility, Source
from search_api.app import SERVER, of_ours
from search_api.compression import choose_encoding
from search_api.errors import Overloaded
from search_api.responses import allowed_origin
from search_api.routes import ROUTES

PROVIDER = "https://a.example.org/api"


def document(pid: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "panosc-document", {"pid": pid, "type": "proposal", "title": f"About {pid}", **fields}


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    facility = Facility("A", "Facility A", PROVIDER)
    source = Source("a", "A", "panosc", PROVIDER, "panosc-json")
    payloads = [document(f"10.5072/{number:03}") for number in range(130)]
    await keep(catalogue, facility, source, [*payloads, document("10.1/a/b+c ü"), document("7")])
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


async def error_of(client: TestClient[Any, Any], path: str, **options: Any) -> tuple[int, Any, Any]:
    method = options.pop("method", "GET")
    response = await client.request(method, URL(path, encoded=True), **options)
    body = json.loads(await response.read())
    error = body["error"]
    assert error["statusCode"] == response.status
    assert error["name"]
    assert error["message"]
    assert "Traceback" not in json.dumps(body)
    return response.status, error, response.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/Nothing", 404),
        ("/nothing", 404),
        ("/api/Documents/unknown", 404),
        ("/api/Datasets/unknown/files", 404),
        ("/api/records/unknown", 404),
        ("/techniques/unknown", 404),
        ("/static/..%2Fapp.py", 404),
        ("/api/Documents?filter={oops", 400),
        ("/api/Documents?filter={}&filter={}", 400),
        ("/api/Documents?filter=%ff", 400),
        ("/api/Documents?filter={%22limit%22:%22x%22}", 400),
        ("/api/Documents?filter={%22skip%22:-1}", 400),
        ("/api/Documents?filter={%22query%22:%22x%22,%22skip%22:10000}", 400),
        ("/api/search?qq=x", 400),
        ("/api/search?year=soon", 400),
        ("/api/search?cursor=nonsense", 400),
        ("/api/Documents/7?filter={%22where%22:{%22pid%22:%22x%22}}", 400),
    ],
)
async def test_errors_have_one_form_and_no_trace(
    path: str, status: int, server: TestClient[Any, Any]
) -> None:
    assert (await error_of(server, path))[0] == status


async def test_an_unknown_id_is_told_as_the_reference_tells_it(
    server: TestClient[Any, Any],
) -> None:
    _, error, _ = await error_of(server, "/api/Documents/nope")
    assert error["message"] == 'Unknown "Document" id "nope".'
    assert error["code"] == "MODEL_NOT_FOUND"


async def test_a_wrong_method_names_the_right_ones(server: TestClient[Any, Any]) -> None:
    status, _, headers = await error_of(server, "/api/Documents", method="DELETE")
    assert status == 405
    assert headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_and_preflight_are_answered(server: TestClient[Any, Any]) -> None:
    headers = {"Origin": "http://p.example", "Access-Control-Request-Method": "POST"}
    response = await server.options("/api/Documents", headers=headers)
    assert response.status == 204
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]


async def test_any_origin_may_read_with_the_headers_that_portals_need(
    server: TestClient[Any, Any],
) -> None:
    response = await server.get("/api/Documents", headers={"Origin": "http://p.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = response.headers["Access-Control-Expose-Headers"]
    for name in ("X-Total-Count", "X-Facilities-Silent", "X-Limit", "Link"):
        assert name in exposed


@pytest.mark.parametrize(
    ("origin", "configured", "allowed"),
    [
        ("http://a", "*", "*"),
        ("http://a", "http://a, http://b", "http://a"),
        ("http://c", "http://a, http://b", None),
        (None, "http://a", None),
        ("http://a", "", None),
    ],
)
def test_origins_can_be_restricted(origin: Any, configured: str, allowed: Any) -> None:
    assert allowed_origin(origin, configured) == allowed


async def test_every_answer_is_hardened(server: TestClient[Any, Any]) -> None:
    """faults I06, I09"""
    for path in ("/", "/api/Documents", "/api/nothing", "/docs"):
        response = await server.get(path, headers={"X-Request-Id": "evil\tid"})
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Request-Id"].isalnum()
        assert "total;dur=" in response.headers["Server-Timing"]


async def test_a_request_id_is_kept(server: TestClient[Any, Any]) -> None:
    response = await server.get("/health/live", headers={"X-Request-Id": "abc-123"})
    assert response.headers["X-Request-Id"] == "abc-123"


async def test_a_known_answer_is_not_sent_again(server: TestClient[Any, Any]) -> None:
    first = await server.get("/api/Documents")
    tag = first.headers["ETag"]
    again = await server.get("/api/Documents", headers={"If-None-Match": f'"x", {tag}'})
    assert again.status == 304
    assert await again.read() == b""
    other = await server.get("/api/Documents", headers={"If-None-Match": '"x"'})
    assert other.status == 200


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
async def test_large_answers_are_compressed(encoding: str, server: TestClient[Any, Any]) -> None:
    address = server.make_url("/api/Documents")
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        async with session.get(address, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            plain = await response.read()
        async with session.get(address, headers={"Accept-Encoding": encoding}) as response:
            assert response.headers["Content-Encoding"] == encoding
            packed = await response.read()
    assert len(packed) < len(plain) / 4
    unpack = gzip.decompress if encoding == "gzip" else zstandard.ZstdDecompressor().decompress
    assert unpack(packed) == plain


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("GZIP ; q=0.8", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.2, gzip;q=0.5", "gzip"),
        ("gzip;q=0.000", None),
        ("gzip;q=much", None),
        ("br", None),
        ("", None),
    ],
)
def test_the_encoding_that_a_client_ranks_highest_is_sent(
    accepted: str, chosen: str | None
) -> None:
    assert choose_encoding(accepted) == chosen


async def test_head_is_get_without_a_body(server: TestClient[Any, Any]) -> None:
    response = await server.head("/api/Documents")
    assert response.status == 200
    assert response.headers["X-Total-Count"] == "132"
    assert await response.read() == b""


async def test_a_page_cut_by_the_default_limit_says_so(server: TestClient[Any, Any]) -> None:
    """fault E05"""
    response = await server.get("/api/Documents")
    assert len(await response.json()) == 100
    assert response.headers["X-Limit"] == "100"
    assert response.headers["X-Total-Count"] == "132"
    following = response.headers["Link"]
    assert following.endswith('; rel="next"')
    address = following[1 : following.index(">")]
    rest = await server.get(URL(address, encoded=True))
    assert len(await rest.json()) == 32
    assert "Link" not in rest.headers


@pytest.mark.parametrize("limit", [0, "0", 100_000])
async def test_the_limit_cannot_be_switched_off(
    limit: Any, catalogue: Catalogue, keep: Any, serve: Any
) -> None:
    """fault I08"""
    facility = Facility("A", "Facility A", PROVIDER)
    source = Source("a", "A", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, [document(f"10.5072/{n}") for n in range(6)])
    server = await serve(catalogue, default_limit=2, max_limit=3)
    for more in ({}, {"query": "about"}):
        given = json.dumps({"limit": limit, **more})
        response = await server.get("/api/Documents", params={"filter": given})
        assert len(await response.json()) == (3 if limit == 100_000 else 2)
        assert response.headers["X-Limit"]


async def test_pages_are_full_to_the_end_and_together_hold_everything_once(
    server: TestClient[Any, Any],
) -> None:
    """faults E02, E03"""
    seen: list[str] = []
    for skip in range(0, 140, 13):
        given = json.dumps({"limit": 13, "skip": skip})
        page = await (await server.get("/api/Documents", params={"filter": given})).json()
        assert len(page) == min(13, max(0, 132 - skip))
        seen += [item["pid"] for item in page]
    assert len(seen) == len(set(seen)) == 132


@pytest.mark.parametrize("skip", [132, 20_000, 2**31, 10**30])
async def test_a_page_behind_the_last_is_empty_and_costs_nothing(
    skip: int, server: TestClient[Any, Any]
) -> None:
    """fault F09; the embedded engine reserves memory for all that is skipped"""
    given = json.dumps({"skip": skip})
    response = await server.get("/api/Documents", params={"filter": given})
    assert await response.json() == []
    assert response.headers["X-Total-Count"] == "132"
    answer = await (await server.get(f"/api/search?skip={skip}&kind=all")).json()
    assert (answer["hits"], answer["total"]["value"]) == ([], 132)


@pytest.mark.parametrize(
    "path",
    [
        "/api/Documents/10.1%2Fa%2Fb+c%20%C3%BC",
        "/api/documents/10.1/a/b+c%20%C3%BC",
        "/api/Documents/10.1%2Fa%2Fb%2Bc%20%C3%BC/",
    ],
)
async def test_a_pid_with_slashes_is_found_in_the_path(
    path: str, server: TestClient[Any, Any]
) -> None:
    """fault E13"""
    response = await server.get(URL(path, encoded=True))
    assert response.status == 200
    assert (await response.json())["pid"] == "10.1/a/b+c ü"


WRITINGS = {
    "10.1/a/b+c ü": ["10.1/a/b+c ü"],
    "10.5072/001": ["10.5072/001", "https://doi.org/10.5072/001", "doi:10.5072/001"],
}


@pytest.mark.parametrize(
    ("meant", "pid"), [(meant, pid) for meant, pids in WRITINGS.items() for pid in pids]
)
async def test_a_pid_with_slashes_is_found_by_a_parameter_too(
    meant: str, pid: str, server: TestClient[Any, Any]
) -> None:
    """fault E13"""
    response = await server.get("/api/Documents", params={"pid": pid})
    assert [one["pid"] for one in await response.json()] == [meant]
    assert response.headers["X-Total-Count"] == "1"
    response = await server.get("/api/Documents/count", params={"pid": pid})
    assert await response.json() == {"count": 1}
    response = await server.get("/api/records", params={"pid": pid})
    shown = await response.json()
    assert (shown["pid"], shown["type"]) == (meant, "Document")
    response = await server.get("/api/records", params={"key": shown["key"]})
    assert (await response.json())["key"] == shown["key"]


async def test_a_pid_that_nobody_has_finds_nothing(server: TestClient[Any, Any]) -> None:
    assert await (await server.get("/api/Documents?pid=10.1/none")).json() == []
    assert (await server.get("/api/records?pid=10.1/none")).status == 404
    assert (await server.get("/api/records?pid=7&type=dataset")).status == 404


@pytest.mark.parametrize("query", ["", "?key=a&pid=b", "?pid=7&type=documnet"])
async def test_a_record_is_named_in_one_way(query: str, server: TestClient[Any, Any]) -> None:
    assert (await error_of(server, "/api/records" + query))[0] == 400


async def test_filters_come_by_post_too(server: TestClient[Any, Any]) -> None:
    where = {"pid": {"inq": ["7", "10.5072/001"]}}
    for body in ({"where": where}, {"filter": {"where": where}}):
        response = await server.post("/api/Documents", json=body)
        assert len(await response.json()) == 2
    response = await server.post("/api/Documents/count", json={"where": where})
    assert await response.json() == {"count": 2}


@pytest.mark.parametrize("path", ["/api/Documents", "/api/search", "/api/Datasets/count"])
async def test_a_body_that_cannot_be_unpacked_is_the_client_s_fault(
    path: str, server: TestClient[Any, Any]
) -> None:
    """Fault E10: it had been a 500."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    status, error, _ = await error_of(server, path, method="POST", data=b"{oops", headers=headers)
    assert (status, error["field"]) == (400, "body")
    for encoding in ("deflate", "zstd"):
        headers["Content-Encoding"] = encoding
        assert (await server.post(path, data=b"{oops", headers=headers)).status == 400


async def test_a_packed_body_is_read_and_bounded(server: TestClient[Any, Any]) -> None:
    """Fault I04."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(b'{"limit":1}')
    assert len(await (await server.post("/api/Documents", data=body, headers=headers)).json()) == 1
    bomb = gzip.compress(b" " * 10_000_000)
    assert (await server.post("/api/Documents", data=bomb, headers=headers)).status == 413


def test_requests_that_are_no_http_do_not_fill_the_log() -> None:
    def logged(error: Exception) -> bool:
        told = (type(error), error, None)
        return of_ours(logging.LogRecord("http", logging.ERROR, "", 1, "failed", (), told))

    assert not logged(BadStatusLine("nonsense"))
    assert not logged(aiohttp.web.RequestPayloadError("cut off"))
    assert logged(ValueError("a fault of ours"))
    assert of_ours(logging.LogRecord("http", logging.ERROR, "", 1, "without one", (), None))


async def test_bodies_and_addresses_have_a_largest_size(catalogue: Catalogue, serve: Any) -> None:
    server = await serve(catalogue, max_body_bytes=1000, max_uri_bytes=1000)
    status, _, _ = await error_of(server, "/api/Documents?filter=" + "x" * 1000)
    assert status == 414
    big = {"query": "x" * 1000}
    status, _, _ = await error_of(server, "/api/Documents", method="POST", json=big)
    assert status == 413
    status, _, _ = await error_of(server, "/api/Documents", method="POST", data={"a": "b"})
    assert status == 415


async def test_a_connection_that_never_asks_is_ended(catalogue: Catalogue, serve: Any) -> None:
    """So many of them would leave none for others."""
    server = await serve(catalogue, idle_timeout_s=0.05)
    for begun in (b"", b"GET / HTTP/1.1\r\nHost:"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_overload_sheds_and_health_keeps_answering(catalogue: Catalogue, serve: Any) -> None:
    server = await serve(catalogue, max_in_flight=0)
    status, _, headers = await error_of(server, "/api/Documents")
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert (await server.get("/health/live")).status == 200
    assert (await server.get("/metrics")).status == 200


async def test_a_question_that_is_shed_while_it_is_worked_on_is_counted_too(
    catalogue: Catalogue, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def shed(*_: Any) -> Any:
        raise Overloaded(2)

    monkeypatch.setattr(catalogue, "search", shed)
    server = await serve(catalogue)
    status, _, headers = await error_of(server, "/api/Documents")
    assert (status, headers["Retry-After"]) == (503, "2")
    assert "pan_commons_requests_shed_total 1.0" in await (await server.get("/metrics")).text()


async def test_an_answer_has_a_deadline(
    catalogue: Catalogue, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(catalogue, "search", never)
    server = await serve(catalogue, deadline_s=0.05)
    status, error, _ = await error_of(server, "/api/Documents")
    assert (status, error["name"]) == (503, "DeadlinePassed")


async def test_a_fault_of_ours_is_told_without_a_trace(
    catalogue: Catalogue, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(catalogue, "search", broken)
    server = await serve(catalogue)
    status, error, _ = await error_of(server, "/api/Documents")
    assert status == 500
    assert "secret" not in error["message"]


async def test_a_silent_engine_makes_the_server_unready(
    catalogue: Catalogue, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(catalogue)
    assert (await server.get("/health/ready")).status == 200

    async def unavailable(*_: Any) -> int:
        raise EngineUnavailable("The search engine does not answer.")

    monkeypatch.setattr(catalogue.engine, "position", unavailable)
    response = await server.get("/health/ready")
    assert response.status == 503
    assert (await response.json())["checks"]["engine"] == "The search engine does not answer."
    status, error, _ = await error_of(server, "/api/Documents")
    assert (status, error["name"]) == (503, "EngineUnavailable")


async def test_an_index_of_another_version_makes_the_server_unready(
    catalogue: Catalogue, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 6.3: else a balancer would send people to a node that refuses them."""
    server = await serve(catalogue)
    monkeypatch.setattr("catalogue.engines.tantivy.fingerprint", lambda: "another")
    catalogue.engine._read = None  # type: ignore[attr-defined]
    response = await server.get("/health/ready")
    assert response.status == 503
    assert "index rebuild" in (await response.json())["checks"]["engine"]
    status, error, _ = await error_of(server, "/api/Documents")
    assert (status, error["name"]) == (409, "ForeignIndex")


async def test_a_local_pid_of_several_facilities_is_never_silently_one_of_them(
    server: TestClient[Any, Any], catalogue: Catalogue, keep: Any
) -> None:
    """semantics 1.2"""
    other = "https://b.example.org/api"
    source = Source("b", "B", "panosc", other, "panosc-json")
    await keep(catalogue, Facility("B", "Facility B", other), source, [document("7")])
    status, error, _ = await error_of(server, "/api/Documents/7")
    assert status == 409
    assert sorted(one["facility"] for one in error["candidates"]) == ["A", "B"]
    assert {one["provider"] for one in error["candidates"]} == {PROVIDER, other}
    status, error, _ = await error_of(server, "/api/records?pid=7")
    assert (status, len(error["candidates"])) == (409, 2)
    listed = await (await server.get("/api/Documents?pid=7")).json()
    assert sorted(one["facility"] for one in listed) == ["A", "B"]
    response = await server.get("/api/Documents/7", params={"facility": "b"})
    assert (await response.json())["facility"] == "B"


async def test_a_change_in_the_index_is_seen_at_once_although_answers_are_kept(
    server: TestClient[Any, Any], catalogue: Catalogue, keep: Any
) -> None:
    """fault F11"""
    response = await server.get("/api/Documents/count")
    assert await response.json() == {"count": 132}
    cache = server.app[SERVER].cache if server.app is not None else None
    again = await server.get("/api/Documents/count")
    assert await again.json() == {"count": 132}
    assert cache is not None
    assert cache.hits == 1
    facility = Facility("A", "Facility A", PROVIDER)
    source = Source("more", "A", "panosc", PROVIDER, "panosc-json")
    await keep(catalogue, facility, source, [document("10.5072/new")])
    response = await server.get("/api/Documents/count")
    assert await response.json() == {"count": 133}


async def test_every_route_answers_get_without_a_server_error(
    server: TestClient[Any, Any],
) -> None:
    """fault I09: what is not open is refused"""
    for route in ROUTES:
        path = route.path.replace("{pid}", "x").replace("{key}", "x")
        response = await server.get(path)
        usual = (403,) if route.operator else (200, 404)
        assert response.status in (*usual, *((400,) if path == "/api/records" else ())), path


async def test_metrics_count_requests_by_operation(server: TestClient[Any, Any]) -> None:
    await server.get("/api/Documents")
    text = await (await server.get("/metrics")).text()
    assert 'pan_commons_requests_total{operation="findDocuments",status="200"} 1.0' in text
    assert 'pan_commons_records{facility="A"} 132.0' in text


async def test_metrics_tell_what_an_operator_is_to_be_called_for(
    server: TestClient[Any, Any],
) -> None:
    text = await (await server.get("/metrics")).text()
    sources = (await (await server.get("/api/facilities")).json())[0]["sources"]
    name = sources[0]["name"]
    assert f'pan_commons_source_held{{source="{name}"}} 0.0' in text
    assert f'pan_commons_source_quarantined{{source="{name}"}} 0.0' in text
    assert f'pan_commons_source_last_success_timestamp_seconds{{source="{name}"}} ' in text
    assert "pan_commons_index_behind 0.0" in text


async def test_metrics_tell_how_many_requests_are_under_way(server: TestClient[Any, Any]) -> None:
    """Without the one that asks; it had been 0 whatever went on."""
    assert server.app is not None
    name = "pan_commons_requests_in_flight"
    assert f"{name} 0.0" in await (await server.get("/metrics")).text()
    server.app[SERVER].in_flight += 7
    assert f"{name} 7.0" in await (await server.get("/metrics")).text()
