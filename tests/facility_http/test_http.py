"""The shared fetcher: patience, limits, redirects, names for what goes wrong (faults A)."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from facility_http.answers import Limits, Response
from facility_http.errors import (
    AccessRefused,
    BadRedirect,
    BadStatus,
    BodyRefused,
    BrokenBody,
    CertificateTrouble,
    ChallengePage,
    ConnectionFailed,
    NotTheProtocol,
    Parked,
    TimedOut,
)
from facility_http.http import Access
from facility_http.waiting import Patience
from tests.facility_http.http_world import (
    INTERNAL,
    NOW,
    Waits,
    answers,
    fetcher,
    read_text,
    serving,
)

TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
CHALLENGE = "<!DOCTYPE html><html><title>Just a moment...</title></html>"


async def read_protocol(response: Response) -> str:
    """A reader that knows its protocol: anything that begins with OK."""
    text = await read_text(response)
    if not text.startswith("OK"):
        raise NotTheProtocol("no OK")
    return text


async def test_the_answer_comes_with_our_name_and_contact() -> None:
    handle, log = answers(web.Response(text="OK"))
    async with serving(handle) as url, fetcher() as http:
        assert await http.fetch(f"{url}/a?b=c%2Fd", read_text, access=INTERNAL) == "OK"
    assert log[0].headers["User-Agent"] == "pan-commons/0.1 (mailto:tests@example.org)"
    assert log[0].raw_path == "/a?b=c%2Fd"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_passing_status_is_waited_out_and_never_an_answer(status: int) -> None:
    """Fault A01: a 503 is no empty page, whatever its body."""
    waits = Waits()
    handle, log = answers(web.Response(text="busy", status=status), web.Response(text="OK"))
    async with serving(handle) as url, fetcher(waits) as http:
        assert await http.fetch(url, read_protocol, access=INTERNAL) == "OK"
    assert len(log) == 2
    assert waits.slept == [1.0]


async def test_pauses_grow_and_attempts_end() -> None:
    waits = Waits()
    handle, log = answers(web.Response(text="busy", status=503))
    async with serving(handle) as url, fetcher(waits) as http:
        with pytest.raises(BadStatus) as failure:
            await http.fetch(url, read_protocol, access=INTERNAL)
    assert waits.slept == [1.0, 2.0, 4.0]
    assert (failure.value.status, failure.value.attempts, len(log)) == (503, 4, 4)


async def test_a_500_is_tried_less_often_than_a_503() -> None:
    """Fault A08: a page that always fails must not cost all the patience."""
    handle, log = answers(web.Response(text="no", status=500))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(BadStatus):
            await http.fetch(url, read_protocol, access=INTERNAL)
    assert len(log) == 3


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("7", 7.5),
        ("0", 0.5),
        (format_datetime(NOW + timedelta(seconds=120), usegmt=True), 120.5),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.5),
        ("soon, hopefully", 1.0),
        ("-5", 1.0),
        ("nan", 1.0),
    ],
)
async def test_retry_after_is_honoured_in_all_its_forms(header: str, waited: float) -> None:
    """Fault A02: seconds, an HTTP date, one that is past, and nonsense."""
    waits = Waits()
    busy = web.Response(text="busy", status=503, headers={"Retry-After": header})
    handle, _ = answers(busy, web.Response(text="OK"))
    async with serving(handle) as url, fetcher(waits) as http:
        assert await http.fetch(url, read_protocol, access=INTERNAL) == "OK"
    assert waits.slept[0] == waited


@pytest.mark.parametrize(
    ("header", "until"),
    [
        ("86400", NOW + timedelta(days=1)),
        ("99999999999999999999", NOW + timedelta(days=7)),
        (format_datetime(NOW + timedelta(hours=3), usegmt=True), NOW + timedelta(hours=3)),
    ],
)
async def test_a_long_retry_after_parks_the_source(header: str, until: datetime) -> None:
    """Fault A03: nobody sleeps through a day; the worker is free and knows when to come back."""
    waits = Waits()
    busy = web.Response(text="busy", status=503, headers={"Retry-After": header})
    handle, log = answers(busy)
    async with serving(handle) as url, fetcher(waits) as http:
        with pytest.raises(Parked) as parked:
            await http.fetch(url, read_protocol, access=INTERNAL)
    assert parked.value.not_before == until
    assert waits.slept == []
    assert len(log) == 1


async def test_others_who_ask_the_same_host_wait_as_well() -> None:
    """What one request is told holds for the host."""
    waits = Waits()
    busy = web.Response(text="busy", status=429, headers={"Retry-After": "30"})
    handle, _ = answers(busy, web.Response(text="OK"))
    async with serving(handle) as url, fetcher(waits, patience=Patience(attempts=2)) as http:
        gate = http.retrying(url, INTERNAL)._gate
        await http.fetch(url, read_protocol, access=INTERNAL)
        gate.hold(30.0)
        await http.fetch(url, read_protocol, access=INTERNAL)
    assert waits.slept[-1] == 30.0


async def test_a_silent_server_is_left() -> None:
    """Fault A04: headers and half a body, then nothing: the read gap ends it."""

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"OK, and then")
        await asyncio.Event().wait()
        return response

    limits = Limits(read_gap_s=0.1)
    async with (
        serving(stall) as url,
        fetcher(limits=limits, patience=Patience(attempts=2)) as http,
    ):
        with pytest.raises(TimedOut) as failure:
            await http.fetch(url, read_text, access=INTERNAL)
    assert (failure.value.limit, failure.value.attempts) == ("read_gap", 2)


async def test_a_server_that_drips_is_left_too() -> None:
    """Fault A04: every gap is short, the whole is not; the time comes from a passed-in clock."""
    waits = Waits()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            waits.instant += 2.0
            await response.write(b"drop ")
            await asyncio.sleep(0)
        return response

    limits = Limits(whole_s=60.0)
    async with (
        serving(drip) as url,
        fetcher(waits, limits=limits, patience=Patience(attempts=1)) as http,
    ):
        with pytest.raises(TimedOut) as failure:
            await http.fetch(url, read_text, access=INTERNAL)
    assert failure.value.limit == "whole"


async def test_queueing_is_no_slowness() -> None:
    """Fault A05: many requests, one at a time, each within its limit; the queue is reported."""
    waits = Waits()
    queued: list[float] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        waits.instant += 5.0
        return web.Response(text="OK")

    async def read(response: Response) -> str:
        queued.append(response.queue_s)
        return await read_text(response)

    async with (
        serving(slow) as url,
        fetcher(waits, at_once=1, limits=Limits(whole_s=8.0)) as http,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):
            group.create_task(http.fetch(url, read, access=INTERNAL))
    assert sorted(queued) == [0.0, 5.0, 10.0, 15.0, 20.0]


async def test_a_pace_is_kept_between_requests() -> None:
    waits = Waits()
    handle, _ = answers(web.Response(text="OK"))
    async with serving(handle) as url, fetcher(waits) as http:
        for _ in range(3):
            await http.fetch(url, read_text, access=Access(internal=True, pace_s=2.0))
    assert waits.slept == [2.0, 2.0]


async def test_errors_and_cancelled_requests_leave_no_socket_behind() -> None:
    """Fault A06: two thousand errors, unread bodies and cancelled requests."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * 20_000, status=404)

    async def refuse(response: Response) -> str:
        async for _ in response.chunks():
            raise NotTheProtocol("first bytes seen, the rest unread")
        return ""

    process = psutil.Process()
    async with serving(handle) as url, fetcher(at_once=4) as http:
        before = len(process.net_connections())
        for round_ in range(2000):
            if round_ % 100 == 0:
                task = asyncio.create_task(http.fetch(url, refuse, access=INTERNAL))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                continue
            with pytest.raises(BadStatus):
                await http.fetch(url, refuse, access=INTERNAL)
        await asyncio.sleep(0)
        assert len(process.net_connections()) - before < 20


async def test_a_body_that_breaks_off_is_asked_for_again() -> None:
    """Fault A07: good headers, then the connection closes before the length promised."""
    calls = 0

    async def break_off(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls > 1:
            return web.Response(text="OK, whole")
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"OK, half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(break_off) as url, fetcher() as http:
        assert await http.fetch(url, read_text, access=INTERNAL) == "OK, whole"
    assert calls == 2


async def test_a_gzip_body_that_ends_early_is_transient_and_a_corrupt_one_is_not() -> None:
    """Fault A07: framing errors come and go, corrupt compression stays."""
    text = " ".join(f"OK {number**3}" for number in range(3000))
    packed = gzip.compress(text.encode())
    encoded = {"Content-Encoding": "gzip"}
    short = web.Response(body=packed[:-20], headers=encoded)
    handle, log = answers(short, web.Response(body=packed, headers=encoded))
    async with serving(handle) as url, fetcher() as http:
        assert await http.fetch(url, read_text, access=INTERNAL) == text
        assert len(log) == 2
    damaged = packed[: len(packed) // 2] + b"\xff" * 32 + packed[len(packed) // 2 + 32 :]
    handle, log = answers(web.Response(body=damaged, headers=encoded))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(BodyRefused):
            await http.fetch(url, read_text, access=INTERNAL)
    assert len(log) == 1


async def test_every_content_coding_that_servers_call_deflate_is_read() -> None:
    text = "Röntgen " * 5000
    bare = zlib.compressobj(wbits=-15)
    bodies = {
        "deflate": zlib.compress(text.encode()),
        "x-gzip": gzip.compress(text.encode()[:500]) + gzip.compress(text.encode()[500:]),
        "identity": text.encode(),
    }
    for coding, body in [*bodies.items(), ("deflate", bare.compress(text.encode()) + bare.flush())]:
        handle, _ = answers(web.Response(body=body, headers={"Content-Encoding": coding}))
        async with serving(handle) as url, fetcher() as http:
            assert await http.fetch(url, read_text, access=INTERNAL) == text, coding


async def test_a_connection_that_is_refused_is_named() -> None:
    async with serving(answers(web.Response())[0]) as url:
        pass
    async with fetcher() as http:
        with pytest.raises(ConnectionFailed) as failure:
            await http.fetch(url, read_text, access=INTERNAL)
    assert failure.value.attempts == 4


async def test_a_redirect_is_followed_with_its_query_and_the_new_address_told() -> None:
    """Fault A10: http moved elsewhere; the target of the server's redirect has no query."""
    moved: list[str | None] = []

    async def read(response: Response) -> str:
        moved.append(response.moved_to)
        return await read_text(response)

    async def new(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"OK {request.raw_path}")

    async with serving(new) as there:
        redirect = web.Response(text="301 Moved", status=301, headers={"Location": f"{there}/oai"})
        handle, _ = answers(redirect)
        async with serving(handle) as here, fetcher() as http:
            text = await http.fetch(f"{here}/old?verb=X&t=a%2Bb", read, access=INTERNAL)
            assert text == "OK /oai?verb=X&t=a%2Bb"
            assert moved == [f"{there}/oai"]


async def test_a_passing_redirect_is_no_new_address() -> None:
    moved: list[str | None] = []

    async def read(response: Response) -> str:
        moved.append(response.moved_to)
        return await read_text(response)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/new":
            return web.Response(text="OK")
        return web.Response(status=302, headers={"Location": "new?a=1"})

    async with serving(handle) as url, fetcher() as http:
        assert await http.fetch(f"{url}/old", read, access=INTERNAL) == "OK"
    assert moved == [None]


@pytest.mark.parametrize("target", ["/old", "http://[bad", ""])
async def test_redirects_in_a_circle_or_to_nowhere_are_named(target: str) -> None:
    """Fault A10."""
    handle, log = answers(web.Response(status=301, headers={"Location": target or "/old?x=1"}))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(BadRedirect):
            await http.fetch(f"{url}/old", read_text, access=INTERNAL)
    assert len(log) <= 6


async def test_a_redirect_page_is_never_taken_for_data() -> None:
    """Fault A10: a 301 without a target is a status, not an answer."""
    handle, _ = answers(web.Response(text="<html>301 Moved</html>", status=301))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(BadStatus):
            await http.fetch(url, read_protocol, access=INTERNAL)


@pytest.mark.parametrize("status", [200, 403, 503])
async def test_a_bot_wall_is_named_and_not_hammered(status: int) -> None:
    """Fault A11."""
    handle, log = answers(web.Response(text=CHALLENGE, status=status, content_type="text/html"))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(ChallengePage, match="challenge page"):
            await http.fetch(url, read_protocol, access=INTERNAL)
    assert len(log) == 1


async def test_an_ordinary_page_and_an_empty_body_are_told_apart() -> None:
    """Fault A11: what was received is said, with its type."""
    page = web.Response(text="<html>Welcome</html>", content_type="text/html")
    for reply, said in ((page, "text/html"), (web.Response(), "an empty body")):
        handle, _ = answers(reply)
        async with serving(handle) as url, fetcher() as http:
            with pytest.raises(NotTheProtocol, match=said):
                await http.fetch(url, read_protocol, access=INTERNAL)


async def test_a_refusal_is_not_repeated() -> None:
    handle, log = answers(web.Response(text="no", status=403))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(AccessRefused):
            await http.fetch(url, read_protocol, access=INTERNAL)
    assert len(log) == 1


@pytest.mark.parametrize(
    ("name", "ca_file", "reason"),
    [
        ("good", None, "incomplete_chain"),
        ("expired", TLS / "ca.pem", "expired"),
        ("other", TLS / "ca.pem", "wrong_host"),
    ],
)
async def test_a_certificate_that_does_not_stand_is_named(
    name: str, ca_file: Path | None, reason: str
) -> None:
    """Fault A12: a state of its own with what to do about it, and no second try."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{name}.pem")
    handle, log = answers(web.Response(text="OK"))
    access = Access(internal=True, ca_file=ca_file)
    async with serving(handle, tls=context) as url, fetcher() as http:
        with pytest.raises(CertificateTrouble) as failure:
            await http.fetch(url, read_text, access=access)
    assert failure.value.reason == reason
    assert failure.value.attempts == 1
    assert log == []


async def test_an_extra_authority_is_trusted_and_the_end_of_the_certificate_known() -> None:
    """Fault A12: a CA file for one source, and a warning before expiry."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "good.pem")
    handle, _ = answers(web.Response(text="OK"))
    access = Access(internal=True, ca_file=TLS / "ca.pem")
    async with serving(handle, tls=context) as url, fetcher() as http:
        assert await http.fetch(url, read_text, access=access) == "OK"
        assert http.certificates["127.0.0.1"] > datetime(2100, 1, 1, tzinfo=UTC)


async def test_a_broken_body_is_of_the_kind_that_is_retried() -> None:
    assert BrokenBody("x").retries is None
