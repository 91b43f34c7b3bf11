"""``/api/search`` as a stream: hits as they come, re-ranked as more come, an end that says all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from jsonschema_rs import Draft202012Validator

from search_api.openapi import description
from search_api.page_changes import applied
from tests.search_api.federation.federation_world import Part, documents
from tests.search_api.federation.served_world import ASK, Json, message, served, states, until

OLD = Part("Old", documents(0, 12), mode="indexed", harvested=True)
NOW = Part("Now", documents(12, 12))
ALSO = Part("Also", documents(6, 30))


def keys(page: list[Json]) -> list[str]:
    return [hit["key"] for hit in page]


async def test_the_index_speaks_at_once_and_facilities_when_they_have_answered(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, OLD, NOW, ALSO) as there, there.gate("Now") as slow:
        asked = await there.client.get("/api/search?q=lysozyme&limit=50", headers=ASK)
        assert asked.status == 200
        first = await message(asked)
        assert first["waiting"] == ["Also", "Now"] or first["waiting"] == ["Now"]
        page = applied([], first)
        assert page
        while first["waiting"] != ["Now"]:
            first = await message(asked)
            page = applied(page, first)
        assert states(first["facilities"]) == {
            "Also": "answered",
            "Now": "waiting",
            "Old": "answered",
        }
        assert first["total"]["relation"] == "gte"
        assert "Also" in {name for hit in page for name in hit["facilities"]}
        slow.open.set()
        last = await message(asked)
        assert last["event"] == "update"
        assert last["waiting"] == []
        page = applied(page, last)
        end = await message(asked)
        assert end["event"] == "end"
        assert await asked.content.read() == b""
        assert set(states(end["facilities"]).values()) == {"answered"}
        assert end["missing"] == []
        truth = there.there.truth(words="lysozyme")
        assert keys(page) == end["keys"] == truth
        assert end["total"] == {"value": len(truth), "relation": "eq"}


async def test_the_end_is_what_a_whole_answer_says(tmp_path: Path) -> None:
    address = "/api/search?q=ice+glass&match=any&limit=7&facets=technique,year"
    async with served(tmp_path, OLD, NOW, ALSO) as there:
        response = await there.client.get(address)
        whole = await response.json()
        *updates, end = await there.messages(address)
        page: list[Json] = []
        for update in updates:
            page = applied(page, update)
        assert page == whole["hits"]
        for name in ("total", "facets", "facets_relation", "related", "relaxed", "not_data"):
            assert end[name] == whole[name], name
        assert end["cursor"] is not None
        following = await there.messages(f"{address}&cursor={end['cursor']}")
        assert [one["event"] for one in following] == ["update", "end"]
        whole = await (await there.client.get(f"{address}&cursor={end['cursor']}")).json()
        assert following[1]["keys"] == keys(whole["hits"])


async def test_a_facility_that_does_not_answer_is_named_at_the_end(tmp_path: Path) -> None:
    """faults G01, G02"""
    async with served(tmp_path, OLD, NOW) as there, there.gate("Now"):
        *_, end = await there.messages("/api/search?q=lysozyme&deadline_ms=100")
        assert states(end["facilities"]) == {"Now": "timed_out", "Old": "answered"}
        assert end["missing"] == ["Now"]
        assert end["total"]["relation"] == "gte"


async def test_events_are_named_and_hold_one_line_of_data(tmp_path: Path) -> None:
    async with served(tmp_path, OLD, NOW) as there:
        response = await there.client.get(
            "/api/search?q=lysozyme", headers={"Accept": "text/event-stream"}
        )
        assert response.content_type == "text/event-stream"
        events = (await response.text()).strip().split("\n\n")
        for event in events:
            name, data = event.split("\n")
            assert name == f"event: {orjson.loads(data.removeprefix('data: '))['event']}"
        assert events[-1].startswith("event: end\n")


async def test_without_anybody_live_it_is_one_page_and_the_end(tmp_path: Path) -> None:
    async with served(tmp_path, OLD) as there:
        update, end = await there.messages("/api/search?q=lysozyme")
        assert keys(applied([], update)) == end["keys"] != []
        assert end["event"] == "end"


async def test_a_stream_has_the_headers_that_all_answers_have(tmp_path: Path) -> None:
    async with served(tmp_path, OLD, NOW) as there:
        headers = {**ASK, "X-Request-Id": "mine", "Accept-Encoding": "gzip"}
        response = await there.client.get("/api/search?q=ice", headers=headers)
        assert response.headers["X-Request-Id"] == "mine"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Cache-Control"] == "no-store"
        assert "Content-Encoding" not in response.headers
        await response.read()
        measured = await (await there.client.get("/metrics")).text()
        wanted = 'pan_commons_requests_total{operation="searchStream",status="200"} 1.0'
        assert wanted in measured


async def test_accept_decides_and_format_wins(tmp_path: Path) -> None:
    lines, events = "application/x-ndjson", "text/event-stream"
    cases = {
        lines: lines,
        f"{events}, application/json;q=0.9": events,
        f"application/json, {events}": "application/json",
        f"application/json;q=0.5, {lines}": lines,
        f"{lines};q=0, */*;q=0.1": "application/json",
        "application/jsonl": "application/jsonl",
        "text/html,application/xhtml+xml,*/*;q=0.8": "application/json",
        f"{lines};q=x": "application/json",
    }
    async with served(tmp_path, OLD) as there:
        for accept, media_type in cases.items():
            headers = {"Accept": accept}
            response = await there.client.get("/api/search?q=ice", headers=headers)
            assert response.content_type == media_type, accept
            await response.read()
            response = await there.client.get("/api/search?q=ice&format=jsonl", headers=headers)
            assert response.content_type == "application/jsonl"
            count = len((await response.text()).splitlines())
            assert int(response.headers["X-Total-Count"]) == count > 0
            response = await there.client.head("/api/search?q=ice", headers=headers)
            assert response.headers["X-Total-Count"] == str(count)


async def test_a_post_streams_and_its_format_wins_too(tmp_path: Path) -> None:
    async with served(tmp_path, OLD) as there:
        response = await there.client.post("/api/search", json={"q": "ice"}, headers=ASK)
        assert response.content_type == "application/x-ndjson"
        await response.read()
        response = await there.client.post(
            "/api/search", json={"q": "ice", "format": "csv"}, headers=ASK
        )
        assert response.content_type == "text/csv"


async def test_what_goes_wrong_before_the_first_message_has_its_status(tmp_path: Path) -> None:
    """Never an empty stream: fault G02."""
    cases = {
        "yaer=2018": (400, "BadRequest"),
        "facilities=Nobody": (400, "BadRequest"),
        "facilities=Now&skip=5000": (400, "TooDeep"),
        "cursor=none": (400, "BadRequest"),
        "mode=live": (503, "NobodyAnswered"),
    }
    async with served(tmp_path, OLD, NOW) as there:
        there.there.facilities["Now"].faults.set("error:502")
        for parameters, (status, name) in cases.items():
            response = await there.client.get(f"/api/search?q=x&{parameters}", headers=ASK)
            error = (await response.json())["error"]
            assert (response.status, error["statusCode"], error["name"]) == (status, status, name)


async def test_what_goes_wrong_later_is_the_last_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole takes longer than the server gives it: the deadline of all answers."""
    async with served(tmp_path, OLD, NOW, deadline_s=3.0, live_reserve_s=0.0) as there:
        async with there.gate("Now"):
            # A facility's deadline would come first; the server's own is to be seen.
            federation = there.live.federation
            monkeypatch.setattr(type(federation), "_deadline", lambda *_: float("inf"))
            first, last = await there.messages("/api/search?q=lysozyme")
            assert first["event"] == "update"
            assert last["event"] == "error"
            assert last["error"]["statusCode"] == 503
            assert last["error"]["name"] == "DeadlinePassed"
        measured = await (await there.client.get("/metrics")).text()
        assert '{operation="searchStream",status="503"} 1.0' in measured


async def test_who_leaves_ends_what_was_done_for_it(tmp_path: Path) -> None:
    """No facility works for nobody (fault G02)."""
    async with served(tmp_path, OLD, NOW) as there, there.gate("Now") as gate:
        response = await there.client.get("/api/search?q=lysozyme", headers=ASK)
        await message(response)
        await gate.asked.wait()
        response.close()
        async with asyncio.timeout(5):
            await gate.left.wait()
            await until(lambda: not there.live.asker.figures("now-rest").in_flight)
        figures = there.live.asker.figures("now-rest")
        assert (figures.breaker, figures.error_rate) == ("closed", 0.0)


@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/json"])
async def test_who_leaves_before_anything_came_ends_it_too(accept: str, tmp_path: Path) -> None:
    """No facility works for nobody (fault G02); a deadline that passes is another thing."""
    async with served(tmp_path, NOW) as there, there.gate("Now") as gate:
        headers = {"Accept": accept}
        asked = asyncio.create_task(there.client.get("/api/search?q=lysozyme", headers=headers))
        await gate.asked.wait()
        asked.cancel()
        async with asyncio.timeout(5):
            await gate.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await asked
        late = there.client.get("/api/search?q=crystal&deadline_ms=2000", headers=headers)
        assert (await late).status == 503
        assert there.live.asker.figures("now-rest").in_flight == 2  # the list and its count


async def test_who_leaves_ends_nothing_for_others(tmp_path: Path) -> None:
    async with served(tmp_path, OLD, NOW) as there, there.gate("Now") as gate:
        one = await there.client.get("/api/search?q=lysozyme", headers=ASK)
        other = await there.client.get("/api/search?q=lysozyme", headers=ASK)
        await message(one)
        await message(other)
        await gate.asked.wait()
        one.close()
        gate.open.set()
        while (last := await message(other))["event"] != "end":
            pass
        assert set(states(last["facilities"]).values()) == {"answered"}
        assert gate.requests == 2  # the list and its count, for both


async def test_a_client_that_does_not_read_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """Its place among the requests under way becomes free; what it holds is bounded."""
    many = Part("Old", documents(0, 60, summary="word " * 4_000), mode="indexed", harvested=True)
    async with served(tmp_path, many, socket_factory=narrow, deadline_s=1.0) as there:
        url = urlsplit(str(there.client.make_url("/")))
        with narrow("127.0.0.1", 0, socket.AF_INET) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (url.hostname, url.port))
            # On a busy machine the deadline can pass before the first message: then it is an
            # ordinary 503, after which the connection would stay open if nobody said otherwise.
            question = (
                "GET /api/search?limit=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                "Accept: application/x-ndjson"
            )
            await loop.sock_sendall(client, f"{question}\r\n\r\n".encode())
            async with asyncio.timeout(30):
                measured = ""
                while 'operation="searchStream"' not in measured:
                    measured = await (await there.client.get("/metrics")).text()
                assert '{operation="searchStream",status="503"} 1.0' in measured
                assert b'"event":"end"' not in await all_of(client)


async def all_of(client: socket.socket) -> bytes:
    """What a socket still has, up to its end or its break."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(client, 65_536):
            received += chunk
    return received


def narrow(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """A socket whose buffers in the kernel are small, and stay so."""
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    if port or family == socket.AF_INET:
        made.bind((host, port))
    return made


async def test_messages_are_as_described(tmp_path: Path) -> None:
    described = description("1")
    check: Any = Draft202012Validator({**described, "$ref": "#/components/schemas/StreamMessage"})
    async with served(tmp_path, OLD, NOW) as there:
        for one in await there.messages("/api/search?q=lysozyme&facets=year"):
            check.validate(one)
