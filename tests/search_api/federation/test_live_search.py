"""The client's stream and ``pan-commons search --live``: an answer growing, honest at its end."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from rich.console import Console

from search_api.answer_view import LiveView, fitting
from search_api.client import Client, GrowingPage
from search_api.commands import COMMANDS
from search_api.errors import ServerRefused, ServerUnreachable
from search_api.standings import standing
from tests.search_api.federation.federation_world import Part, documents
from tests.search_api.federation.served_world import Served, served, until

OLD = Part("Old", documents(0, 12), mode="indexed", harvested=True)
NOW = Part("Now", documents(12, 12))


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, OLD, NOW) as opened:
        yield opened


def address(there: Served) -> str:
    return str(there.client.make_url("/"))


async def test_the_client_gives_a_page_that_grows(there: Served) -> None:
    async with there.gate("Now") as gate, Client(address(there)) as client:
        pages: list[GrowingPage] = []
        async with aclosing(client.stream("lysozyme", limit=50)) as stream:
            async for page in stream:
                pages.append(page)
                gate.open.set()
        whole = await client.search("lysozyme", limit=50)
    first, last = pages[0], pages[-1]
    assert (first.waiting, first.relation, first.is_last) == (("Now",), "gte", False)
    assert {hit.facility for hit in first.hits} == {"Old"}
    assert (last.waiting, last.missing, last.relation, last.is_last) == ((), (), "eq", True)
    assert [hit.key for hit in last.hits] == [hit.key for hit in whole.hits]
    assert last.total == whole.total


@pytest.mark.parametrize("more", ["", "&explain=true"])
async def test_hits_written_at_once_say_what_they_say_put_together(
    there: Served, more: str
) -> None:
    asked = f"/api/search?q=lysozyme+pressure&match=any{more}"
    lines = (await (await there.client.get(f"{asked}&format=jsonl")).text()).splitlines()
    assert {json.loads(line)["facility"] for line in lines} == {"Old", "Now"}
    for limit in (20, 21):  # the second time they are at hand
        body = await (await there.client.get(f"{asked}&limit={limit}")).text()
        assert all(line in body for line in lines)


async def test_a_client_that_goes_lets_the_facility_go(there: Served) -> None:
    async with there.gate("Now") as gate, Client(address(there)) as client:
        async with aclosing(client.stream("lysozyme")) as stream:
            async for _ in stream:
                break
        async with asyncio.timeout(5):
            await gate.left.wait()
        await until(lambda: not there.live.asker.figures("now-rest").in_flight)


async def test_the_client_says_what_goes_wrong(there: Served) -> None:
    async with Client(address(there)) as client:
        with pytest.raises(ServerRefused, match="no facility 'Nobody'") as refused:
            await anext(client.stream("x", facilities="Nobody"))
        assert (refused.value.status, refused.value.name) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("body", "media_type", "error", "match"),
    [
        (b'{"event":"update"', "application/x-ndjson", ServerUnreachable, "broke off"),
        (b"", "application/x-ndjson", ServerUnreachable, "broke off"),
        (b'{"event":"error","error":{"statusCode":503,"name":"DeadlinePassed","message":"late"}}\n',
         "application/x-ndjson", ServerRefused, "late"),
        (b"{}", "application/json", ServerRefused, "does not stream"),
        (b"not json\n", "application/x-ndjson", ServerRefused, "no JSON"),
    ],
)  # fmt: skip
async def test_a_stream_that_does_not_end_well_is_an_error(
    body: bytes, media_type: str, error: type[Exception], match: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=media_type)

    app = web.Application()
    app.router.add_get("/api/search", answer)
    async with TestServer(app) as server, Client(str(server.make_url("/"))) as client:
        with pytest.raises(error, match=match):
            await anext(client.messages("x"))


async def call(*arguments: str) -> Any:
    """The command in a thread, as it brings its own event loop."""
    command = next(one for one in COMMANDS if one.name == "search")
    return await anyio.to_thread.run_sync(
        lambda: CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    )


@pytest.mark.parametrize("where", ["--url", "--data"])
async def test_live_search_shows_facilities_and_hits(
    where: str, there: Served, tmp_path: Path
) -> None:
    place = address(there) if where == "--url" else str(tmp_path)
    result = await call("lysozyme", "--live", where, place, "--limit", "50")
    assert result.exit_code == 0, result.output
    assert "in the index" in result.stdout
    assert "answered in" in result.stdout
    assert f"{len(there.there.truth(words='lysozyme'))} found for lysozyme" in result.stdout


@pytest.mark.parametrize("where", ["--url", "--data"])
async def test_live_search_in_json_is_one_message_a_line(
    where: str, there: Served, tmp_path: Path
) -> None:
    place = address(there) if where == "--url" else str(tmp_path)
    result = await call("lysozyme", "--live", "--json", where, place)
    *updates, end = (json.loads(line) for line in result.stdout.splitlines())
    assert {one["event"] for one in updates} == {"update"}
    assert end["event"] == "end"
    assert end["keys"]


@pytest.mark.parametrize("live", [("--live",), ("--live", "--json"), (), ("--json",)])
async def test_a_missing_facility_is_named_and_the_exit_code_is_3(
    live: tuple[str, ...], there: Served
) -> None:
    """faults G01, G02"""
    async with there.gate("Now"):
        result = await call(
            "lysozyme", *live, "--url", address(there), "--deadline-ms", "100", "--mode", "both"
        )
    assert result.exit_code == 3, result.output
    if "--json" in live:
        assert "timed_out" in result.stdout
    else:
        assert "Missing: Now, timed out: no answer within our" in result.stderr
        assert "at least" in result.stdout


async def test_one_facility_may_be_asked_alone(there: Served) -> None:
    result = await call("lysozyme", "--url", address(there), "--facilities", "Now", "--json")
    assert [line["name"] for line in json.loads(result.stdout)["facilities"]] == ["Now"]


async def test_on_a_terminal_the_tables_change_in_their_place(there: Served) -> None:
    shown = io.StringIO()
    to = Console(file=shown, force_terminal=True, width=160, height=50)
    async with there.gate("Now") as gate, Client(address(there)) as client:
        with LiveView("lysozyme", to) as view:
            async with aclosing(client.messages("lysozyme")) as messages:
                async for message in messages:
                    await view.show(message)
                    gate.open.set()
    assert "waiting" in shown.getvalue()
    assert "answered in" in shown.getvalue().rpartition("waiting")[2]


def test_titles_give_way_so_that_a_hit_has_one_line() -> None:
    rows = [("0.912", "A long title of a proposal " * 5, "FAST · SLOW", "10.5072/LRL-00030")]
    for width in (60, 100, 200):
        (row,) = fitting(rows, width)
        assert (row[0], row[2], row[3]) == (rows[0][0], rows[0][2], rows[0][3])
        assert sum(map(len, row)) + 13 <= width
        assert row[1] == rows[0][1] or row[1].endswith("…")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"state": "answered", "live": False}, "in the index"),
        ({"state": "answered", "live": True, "elapsed_ms": 12.4}, "answered in 12 ms"),
        (
            {"state": "answered", "live": True, "elapsed_ms": 0.2, "age_s": 7.0, "missing": ["x"]},
            "answered in 0 ms, 7 s old, scored in part",
        ),
        (
            {"state": "stale", "why": "HTTP 502", "age_s": 7_200},
            "not reached: HTTP 502; what it told us 2 h ago stands in",
        ),
        (
            {"state": "paused", "why": "HTTP 429", "until": "2026-03-01T12:30:00Z"},
            "paused until 12:30:00 UTC: HTTP 429",
        ),
        ({"state": "timed_out", "why": "no answer within 4 s"}, "timed out: no answer within 4 s"),
        ({"state": "unharvested"}, "unharvested"),
    ],
)
def test_a_facilitys_standing_in_words(line: dict[str, Any], words: str) -> None:
    """fault G12"""
    assert standing(line) == words
