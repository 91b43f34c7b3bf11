"""One request on a kept connection: the head that is sent, and what servers do to connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from facility_http.answers import Response
from facility_http.errors import FacilityHttpError
from facility_http.exchanges import Exchanges
from facility_http.http import Fetcher
from facility_http.places import read_target
from facility_http.waiting import Patience
from tests.facility_http.http_world import INTERNAL

ONCE = Patience(attempts=1)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nye"
TIMEOUT = aiohttp.ClientTimeout(total=None)


class Line:
    """What a server saw: how many connections, and the head of each request."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[str] = []


@asynccontextmanager
async def speaking(answer: Callable[[int], tuple[bytes, bool]]) -> AsyncIterator[tuple[str, Line]]:
    """A server that sends bytes for the nth request, and says whether the connection stays."""
    line = Line()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line.connections += 1
        try:
            while True:
                line.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                said, stays = answer(len(line.heads))
                writer.write(said)
                if not stays:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", line


async def read(response: Response) -> bytes:
    return await response.body()


async def test_the_head_says_who_asks_for_what_and_the_query_goes_as_it_is() -> None:
    async with (
        speaking(lambda _: (GOOD, True)) as (url, line),
        Fetcher("a@b.org", patience=ONCE) as fetcher,
    ):
        assert await fetcher.fetch(f"{url}/a/b?x=%7B%22%7D&y=1#z", read, access=INTERNAL) == b"ye"
        assert await fetcher.fetch(url, read, access=INTERNAL) == b"ye"
    host = url.removeprefix("http://")
    assert line.connections == 1
    assert line.heads[0] == (
        f"GET /a/b?x=%7B%22%7D&y=1 HTTP/1.1\r\nHost: {host}\r\n"
        "User-Agent: pan-commons/0.1 (mailto:a@b.org)\r\nAccept: */*\r\n"
        "Accept-Encoding: gzip, deflate\r\n\r\n"
    )
    assert line.heads[1].startswith(f"GET / HTTP/1.1\r\nHost: {host}\r\n")


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_by_a_new_one() -> None:
    async with (
        speaking(lambda n: (GOOD if n != 2 else b"", n != 2)) as (url, line),
        Fetcher(patience=ONCE) as fetcher,
    ):
        for _ in range(2):
            assert await fetcher.fetch(url, read, access=INTERNAL) == b"ye"
    assert (line.connections, len(line.heads)) == (2, 3)


async def test_one_that_never_answers_is_left_after_the_second_time() -> None:
    async with (
        speaking(lambda _: (b"", False)) as (url, line),
        Fetcher(patience=ONCE) as fetcher,
    ):
        with pytest.raises(FacilityHttpError):
            await fetcher.fetch(url, read, access=INTERNAL)
    assert len(line.heads) == 2


async def test_what_comes_before_the_answer_is_no_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with (
        speaking(lambda _: (early + GOOD, True)) as (url, _),
        Fetcher(patience=ONCE) as fetcher,
    ):
        assert await fetcher.fetch(url, read, access=INTERNAL) == b"ye"


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n"])
async def test_what_is_no_http_is_named_and_its_connection_ends(said: bytes) -> None:
    async with (
        speaking(lambda n: (said if n == 1 else GOOD, True)) as (url, line),
        Fetcher(patience=ONCE) as fetcher,
    ):
        with pytest.raises(FacilityHttpError, match="no valid HTTP answer"):
            await fetcher.fetch(url, read, access=INTERNAL)
        assert await fetcher.fetch(url, read, access=INTERNAL) == b"ye"
    assert line.connections == 2


@pytest.mark.parametrize(
    ("named", "found"), [("utf8", "utf-8"), ("Latin-1", "iso8859-1"), ("klingon", None)]
)
async def test_an_encoding_that_nobody_knows_is_as_none(named: str, found: str | None) -> None:
    said = GOOD.replace(b"text/plain", b"Text/Plain; charset=" + named.encode())

    async def charset(response: Response) -> tuple[str, str | None]:
        return response.content_type, response.charset

    async with (
        speaking(lambda _: (said, True)) as (url, _),
        Fetcher(patience=ONCE) as fetcher,
    ):
        assert await fetcher.fetch(url, charset, access=INTERNAL) == ("text/plain", found)


async def test_fault_i09_no_line_break_gets_into_a_head() -> None:
    async with speaking(lambda _: (GOOD, True)) as (url, line), aiohttp.ClientSession() as session:
        exchanges = Exchanges(session)
        with pytest.raises(ValueError, match="line break"):
            await exchanges.get(read_target(url), {"A": "b\r\nC: d"}, True, TIMEOUT)
        with pytest.raises(aiohttp.InvalidURL):
            await exchanges.get(read_target(f"{url}?a\r\nC: d"), {}, True, TIMEOUT)
    assert line.heads == []


async def test_an_answer_that_is_left_half_read_takes_its_connection_along() -> None:
    half = GOOD.replace(b"Content-Length: 2", b"Content-Length: 200")

    async def leave(response: Response) -> int:
        return response.status

    async with (
        speaking(lambda n: (half if n == 1 else GOOD, True)) as (url, line),
        Fetcher(patience=ONCE) as fetcher,
    ):
        assert await fetcher.fetch(url, leave, access=INTERNAL) == 200
        assert await fetcher.fetch(url, read, access=INTERNAL) == b"ye"
    assert line.connections == 2
