"""Where we connect and what we tell: addresses, credentials, bombs (faults I01, I02, I04, I05,
H12)."""

from __future__ import annotations

import gzip
import io
import logging
import socket
import tracemalloc
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from facility_http.addresses import reason_to_refuse
from facility_http.answers import Limits
from facility_http.credentials import Credential, Redactor, read_credential
from facility_http.errors import BodyRefused, FacilityHttpError, ForbiddenAddress, MissingCredential
from facility_http.http import Access, access_for
from facility_http.waiting import Patience
from harvester.oai_pmh import OaiClient
from simulator import running
from tests.facility_http.http_world import INTERNAL, answers, fetcher, read_text, serving
from tests.harvester.client_world import oai_spec

KEY = "planted/key+with=odd&signs-0123456789"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "169.254.169.254",
        "fd00:ec2::254",
        "fec0::1",
        "64:ff9b:1::7f00:1",
        "192.88.99.1",
        "3fff::1",
        "no address",
    ],
)
def test_addresses_of_this_house_are_refused(address: str) -> None:
    """Fault I01: v4, v6, and v4 hidden in v6."""
    assert reason_to_refuse(address, internal=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "131.169.40.200", "2001:4860:4860::8888"])
def test_public_addresses_are_not(address: str) -> None:
    assert reason_to_refuse(address, internal=False) is None


def test_internal_opens_private_addresses_and_no_metadata_service() -> None:
    """Fault I01: the operator's switch has an effect, and a bound."""
    assert reason_to_refuse("127.0.0.1", internal=True) is None
    assert reason_to_refuse("10.1.2.3", internal=True) is None
    for service in ("169.254.169.254", "168.63.129.16", "192.0.0.192", "fd20:ce::254"):
        assert reason_to_refuse(service, internal=True)
    assert reason_to_refuse("::ffff:169.254.169.254", internal=True)


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("127.0.0.1", "list the source as internal"),
        ("localhost", "list the source as internal"),
        ("0x7f000001", "list the source as internal"),
        ("127.1", "write it as four numbers"),
        ("2130706433", "write it as four numbers"),
        ("0177.0.0.1", "write it as four numbers"),
    ],
)
async def test_no_spelling_of_loopback_is_connected_to(host: str, advice: str) -> None:
    """Fault I01. What is advised helps: an odd spelling is refused to internal sources, too."""
    handle, log = answers(web.Response(text="secret"))
    async with serving(handle) as url, fetcher() as http:
        port = url.rsplit(":", 1)[1]
        with pytest.raises(ForbiddenAddress, match=advice):
            await http.fetch(f"http://{host}:{port}/", read_text)
        if advice.startswith("write"):
            with pytest.raises(ForbiddenAddress, match=advice):
                await http.fetch(f"http://{host}:{port}/", read_text, access=INTERNAL)
    assert log == []


@pytest.mark.parametrize("internal", [False, True])
async def test_nothing_is_advised_against_a_refusal_that_stays(internal: bool) -> None:
    """Fault I01: listed as internal, a source may not ask a cloud's metadata service either."""
    access = INTERNAL if internal else Access()
    for host in ("169.254.169.254", "[fd00:ec2::254]", "0.0.0.0"):
        async with fetcher() as http:
            with pytest.raises(ForbiddenAddress, match="which no source may ask") as refusal:
                await http.fetch(f"http://{host}/latest", read_text, access=access)
        assert "internal" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "http:///nowhere"],
)
async def test_only_http_is_asked(url: str) -> None:
    async with fetcher() as http:
        with pytest.raises(ForbiddenAddress):
            await http.fetch(url, read_text, access=INTERNAL)


async def test_an_address_with_a_password_in_it_is_refused_and_not_repeated() -> None:
    """Fault H12: the message does not hold it either."""
    async with fetcher() as http:
        with pytest.raises(ForbiddenAddress) as failure:
            await http.fetch("https://user:hunter2@example.org/oai", read_text)
    assert "hunter2" not in str(failure.value)


class Rebinding(AbstractResolver):
    """Says a public address first and a private one when it matters."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = "93.184.216.34" if self.asked == 1 else "127.0.0.1"
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_changes_its_address_is_caught_when_connecting() -> None:
    """Fault I02: whoever checked the name before would have seen a public address."""
    handle, log = answers(web.Response(text="secret"))
    resolver = Rebinding()
    await resolver.resolve("innocent.example")
    async with serving(handle) as url, fetcher(resolver=resolver) as http:
        port = url.rsplit(":", 1)[1]
        with pytest.raises(ForbiddenAddress):
            await http.fetch(f"http://innocent.example:{port}/", read_text)
    assert resolver.asked == 2
    assert log == []


class ToLoopback(AbstractResolver):
    """A public name whose server happens to be here, as seen by an internal source only."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def test_a_checked_source_never_uses_a_connection_of_an_internal_one() -> None:
    """Fault I02: pools are apart, so an open connection is no way round the check."""
    handle, log = answers(web.Response(text="OK"))
    async with serving(handle) as url, fetcher(resolver=ToLoopback()) as http:
        address = f"http://shared.example:{url.rsplit(':', 1)[1]}/"
        assert await http.fetch(address, read_text, access=INTERNAL) == "OK"
        with pytest.raises(ForbiddenAddress):
            await http.fetch(address, read_text)
    assert len(log) == 1


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "file:///etc/hosts"]
)
async def test_every_hop_of_a_redirect_is_checked(target: str) -> None:
    """Fault I02: a public host that sends us inside."""
    handle, _ = answers(web.Response(status=302, headers={"Location": target}))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(ForbiddenAddress):
            await http.fetch(url, read_text, access=INTERNAL)


async def test_a_key_goes_to_its_own_origin_and_nowhere_else() -> None:
    """Fault I05: the same host on another port is another origin; no cookie is kept either."""
    elsewhere, there_log = answers(web.Response(text="OK"))
    async with serving(elsewhere) as there:
        handle, here_log = answers(
            web.Response(status=302, headers={"Location": there, "Set-Cookie": "session=planted"}),
            web.Response(text="OK"),
        )
        async with serving(handle) as here, fetcher() as http:
            access = access_for(
                here,
                internal=True,
                options={"api_key_variable": "FACILITY_KEY", "api_key_header": "X-Api-Key"},
                environment={"FACILITY_KEY": KEY},
            )
            await http.fetch(here, read_text, access=access)
            await http.fetch(here, read_text, access=access)
    assert [request.headers.get("X-Api-Key") for request in here_log] == [KEY, KEY]
    assert "X-Api-Key" not in there_log[0].headers
    assert not any("Cookie" in request.headers for request in (*here_log, *there_log))


async def test_a_refusal_says_which_hop_lost_the_key() -> None:
    """Fault A10: http became https elsewhere, and the harvest turns into 401."""
    elsewhere, _ = answers(web.Response(status=401))
    async with serving(elsewhere) as there:
        handle, _ = answers(web.Response(status=301, headers={"Location": there}))
        async with serving(handle) as here, fetcher() as http:
            access = access_for(
                here,
                internal=True,
                options={"api_key_variable": "FACILITY_KEY"},
                environment={"FACILITY_KEY": KEY},
            )
            client = OaiClient(http, here, access=access)
            with pytest.raises(FacilityHttpError, match=f"not sent to {there}"):
                await client.identify()


def test_keys_come_from_environment_or_file(tmp_path: Path) -> None:
    origin = ("https", "example.org", 443)
    path = tmp_path / "key"
    path.write_text("Basic dXNlcjpwYXNz\n", encoding="utf-8")
    found = read_credential({"api_key_file": str(path)}, origin, {})
    assert found == Credential("Authorization", "Basic dXNlcjpwYXNz", origin)
    found = read_credential({"api_key_variable": "K"}, origin, {"K": "abcdef"})
    assert found == Credential("Authorization", "Bearer abcdef", origin)
    assert "abcdef" not in repr(found)
    assert read_credential({}, origin, {}) is None


@pytest.mark.parametrize("value", [None, "", "  ", "two\r\nX-Header: lines"])
def test_a_key_that_is_missing_or_would_add_headers_is_refused(value: str | None) -> None:
    environment = {} if value is None else {"K": value}
    with pytest.raises(MissingCredential):
        read_credential({"api_key_variable": "K"}, ("https", "example.org", 443), environment)


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCredential, match="nowhere cannot be read: No such file"):
        read_credential({"api_key_file": str(tmp_path / "nowhere")}, ("", "", 0), {})


async def test_a_planted_key_is_found_in_no_message_and_no_log() -> None:
    """Fault H12: it is in the request, in what the server sends back, and in the exceptions'
    texts, and comes out nowhere."""

    async def echo(request: web.Request) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "")
        if request.path == "/loop":
            return web.Response(status=302, headers={"Location": f"/loop?api_key={sent}"})
        return web.Response(text=f"<html>{sent}</html>", status=500, reason=f"bad {KEY[:5]}")

    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logger = logging.getLogger("harvester")
    logger.addHandler(handler)
    said: list[str] = []
    try:
        async with serving(echo) as url, fetcher() as http:
            access = access_for(
                url,
                internal=True,
                options={"api_key_variable": "FACILITY_KEY"},
                environment={"FACILITY_KEY": KEY},
            )
            for path in ("/oai", "/loop", f"/oai?token={KEY}", "/oai?apikey=short-one-99"):
                client = OaiClient(http, url + path, access=access)
                with pytest.raises(FacilityHttpError) as failure:
                    await client.identify()
                said += [str(failure.value), repr(failure.value), repr(access)]
                cause = failure.value.__cause__
                said += [http.redactor.clean(str(cause)), repr(vars(failure.value))]
                logger.error("failed at %s with %s", url + path, KEY)
                logger.error("failed", exc_info=failure.value)
                logging.getLogger("harvester.below").error("also %s", KEY)
    finally:
        logger.removeHandler(handler)
    everything = "\n".join([*said, heard.getvalue()])
    assert everything.count("also [redacted]") == 4
    assert KEY not in everything
    assert "planted/key" not in everything
    assert "short-one-99" not in everything


@given(
    st.text(min_size=4, max_size=40, alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF))
)
def test_a_learnt_value_is_redacted_in_every_spelling(value: str) -> None:
    from urllib.parse import quote, quote_plus

    redactor = Redactor()
    redactor.learn(Credential("X-Key", value))
    text = f"a {value} b ?k={quote(value, safe='')} c {quote_plus(value)}"
    cleaned = redactor.clean(text)
    assert value not in cleaned or value in "a  b ?k= c [redacted]"
    assert quote(value, safe="") not in cleaned or value in "[redacted]"


async def test_a_bomb_is_stopped_by_ratio_before_it_costs_memory() -> None:
    """Fault I04: 256 MB of blanks in a quarter of a megabyte."""
    tracemalloc.start()
    try:
        async with running(oai_spec(faults="bomb:256")) as facility, fetcher() as http:
            packed_and_served = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            client = OaiClient(http, facility.oai_url, access=INTERNAL)
            with pytest.raises(BodyRefused, match="expands"):
                await client.identify()
            grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown - packed_and_served < 64 << 20


async def test_a_large_body_is_stopped_by_its_decoded_size() -> None:
    """Fault I04: the ratio is harmless, the size is not."""
    body = gzip.compress(bytes(range(256)) * 8000)
    handle, log = answers(web.Response(body=body, headers={"Content-Encoding": "gzip"}))
    limits = Limits(max_body_bytes=1_000_000, ratio_floor_bytes=1 << 30)
    async with serving(handle) as url, fetcher(limits=limits) as http:
        with pytest.raises(BodyRefused, match="larger than 1000000"):
            await http.fetch(url, read_text, access=INTERNAL)
    assert len(log) == 1


async def test_an_unasked_content_coding_is_refused() -> None:
    handle, _ = answers(web.Response(body=b"x", headers={"Content-Encoding": "br"}))
    async with serving(handle) as url, fetcher() as http:
        with pytest.raises(BodyRefused, match="br"):
            await http.fetch(url, read_text, access=INTERNAL)


def test_options_of_a_source_become_its_limits() -> None:
    access = access_for(
        "https://example.org/oai",
        internal=False,
        options={"timeout_s": 5, "retries": 2, "pace_s": 1.5, "ca_file": "/etc/extra.pem"},
        environment={},
    )
    assert access == Access(
        internal=False,
        ca_file=Path("/etc/extra.pem"),
        pace_s=1.5,
        limits=Limits(read_gap_s=5.0),
        patience=Patience(attempts=3),
    )


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://example.com:80:80/",
        "http://a..b/",
        "http://xn--/",
        f"http://{'a' * 300}/",
        "http://[::1/",
    ],
)
async def test_an_address_that_cannot_be_one_is_the_facility_s_fault_and_no_surprise(
    target: str,
) -> None:
    """Fault A10: wherever it comes from, a redirect or whoever asks."""

    handle, _ = answers(web.Response(status=302, headers={"Location": target}))
    async with serving(handle) as base, fetcher() as client:
        with pytest.raises(FacilityHttpError):
            await client.fetch(base, read_text, access=INTERNAL)
        with pytest.raises(FacilityHttpError):
            await client.fetch(target, read_text, access=INTERNAL)


async def test_whoever_closed_a_fetcher_is_told_so_and_leaks_no_connection() -> None:
    handle, _ = answers(web.Response(text="OK"))
    async with serving(handle) as base:
        async with fetcher() as client:
            assert await client.fetch(base, read_text, access=INTERNAL) == "OK"
        with pytest.raises(RuntimeError, match="was closed"):
            await client.fetch(base, read_text, access=INTERNAL)
