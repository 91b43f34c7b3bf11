"""Facilities asked through a proxy: it is used, paid for with its own password, and no way round
the check of addresses (faults I01, I02, H12)."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from facility_http.errors import AccessRefused, ConnectionFailed, ForbiddenAddress
from facility_http.http import Access, access_for
from facility_http.proxies import BadProxy, Proxies, read_proxies, read_proxy
from tests.facility_http.http_world import answers, fetcher, read_text, serving

TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
PUBLIC, PRIVATE = "93.184.215.14", "10.1.2.3"


@dataclass
class ProxyServer:
    """What a proxy was asked for, and where it really leads: to one server of ours."""

    leads_to: int = 0
    refuses: int | None = None
    lines: list[str] = field(default_factory=list)
    passwords: list[str | None] = field(default_factory=list)
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *headers = head.split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in headers if ": " in line)
        self.lines.append(first)
        self.passwords.append(named.get("proxy-authorization"))
        method, target, _ = first.split(" ")
        if self.refuses is not None:
            writer.write(f"HTTP/1.1 {self.refuses} No\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.leads_to)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            own = [f"{method} {URL(target).raw_path_qs} HTTP/1.1", "Connection: close"]
            own += [line for line in headers if not line.lower().startswith("proxy-")]
            back.write("\r\n".join(own).encode())
        pipes = [
            asyncio.create_task(_pipe(reader, back)),
            asyncio.create_task(_pipe(there, writer)),
        ]
        await asyncio.wait(pipes, return_when=asyncio.ALL_COMPLETED)


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def proxying(leads_to: str = "http://127.0.0.1:1", **own: int) -> AsyncIterator[ProxyServer]:
    proxy = ProxyServer(int(leads_to.rsplit(":", 1)[1]), **own)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


class Names(AbstractResolver):
    """A table of names; all others cannot be looked up here, as behind a proxy."""

    def __init__(self, **table: str) -> None:
        self.table = {name.replace("_", "."): address for name, address in table.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = host if host.replace(".", "").isdigit() else self.table.get(host)
        if address is None:
            raise OSError(None, "unknown name")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def through(proxy: ProxyServer, **more: object) -> Access:
    """A source that is not internal, through a proxy at a private address."""
    return Access(proxies=Proxies(dict.fromkeys(("http", "https"), read_proxy(proxy.url, "it"))))


async def test_a_source_is_asked_through_its_proxy() -> None:
    """The proxy has a private address, the facility a public one: both are as they should be."""
    handle, log = answers(web.Response(text="OK"))
    names = Names(facility_example=PUBLIC)
    async with serving(handle) as there, proxying(there) as proxy, fetcher(resolver=names) as http:
        url = "http://facility.example/oai?verb=Identify"
        assert await http.fetch(url, read_text, access=through(proxy)) == "OK"
    assert proxy.lines == ["GET http://facility.example/oai?verb=Identify HTTP/1.1"]
    assert log[0].headers["Host"] == "facility.example"


async def test_https_goes_through_a_tunnel_and_the_certificate_is_the_facilitys() -> None:
    """Fault A12: a proxy is no reason to look away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "good.pem")
    handle, log = answers(web.Response(text="OK"))
    async with serving(handle, tls=context) as there, proxying(there) as proxy:
        address = proxy.url.replace("://", "://someone:word@")
        proxies = Proxies({"https": read_proxy(address, "it")})
        access = Access(internal=True, ca_file=TLS / "ca.pem", proxies=proxies)
        async with fetcher() as http:
            assert await http.fetch(there, read_text, access=access) == "OK"
    assert proxy.lines == [f"CONNECT {there.removeprefix('https://')} HTTP/1.1"]
    assert proxy.passwords != [None]
    assert "Proxy-Authorization" not in log[0].headers


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://inside.example/",
        "http://localhost/",
        "http://intranet/",
        "http://catalogue.local/",
        "https://metadata.google.internal/",
    ],
)
async def test_a_proxy_is_no_way_inside(url: str) -> None:
    """Faults I01, I02: the target is checked before the proxy hears of it."""
    names = Names(inside_example=PRIVATE, localhost="127.0.0.1")
    async with proxying() as proxy, fetcher(resolver=names) as http:
        with pytest.raises(ForbiddenAddress):
            await http.fetch(url, read_text, access=through(proxy))
    assert proxy.lines == []


async def test_no_spelling_of_loopback_passes_a_proxy() -> None:
    """Fault I02: the system's own resolver understands them all."""
    async with proxying() as proxy, fetcher() as http:
        for host in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1"):
            with pytest.raises(ForbiddenAddress):
                await http.fetch(f"http://{host}/", read_text, access=through(proxy))
    assert proxy.lines == []


async def test_every_hop_behind_a_proxy_is_checked() -> None:
    """Fault I02: a public facility sends us inside."""
    names = Names(facility_example=PUBLIC, inside_example=PRIVATE)
    inside = web.Response(status=302, headers={"Location": "http://inside.example/secret"})
    handle, _ = answers(inside)
    async with serving(handle) as there, proxying(there) as proxy, fetcher(resolver=names) as http:
        with pytest.raises(ForbiddenAddress):
            await http.fetch("http://facility.example/", read_text, access=through(proxy))
    assert len(proxy.lines) == 1


async def test_a_name_that_only_the_proxy_can_look_up_is_left_to_it() -> None:
    """As usual behind a proxy; and the proxy's leave is nobody else's: without it we do not go."""
    handle, log = answers(web.Response(text="OK"))
    async with (
        serving(handle) as there,
        proxying(there) as proxy,
        fetcher(resolver=Names()) as http,
    ):
        assert await http.fetch("http://far.example/", read_text, access=through(proxy)) == "OK"
        with pytest.raises(ForbiddenAddress):
            await http.fetch(there, read_text, access=Access())
    assert len(log) == 1


async def test_what_the_proxy_says_is_told_apart() -> None:
    names = Names(facility_example=PUBLIC)
    async with fetcher(resolver=names) as http:
        for status, kind in ((407, AccessRefused), (502, ConnectionFailed)):
            async with proxying(refuses=status) as proxy:
                with pytest.raises(kind, match=f"the proxy answers HTTP {status}"):
                    await http.fetch("https://facility.example/", read_text, access=through(proxy))
        gone = Access(proxies=Proxies({"http": read_proxy("http://127.0.0.1:1", "it")}))
        with pytest.raises(ConnectionFailed, match="no connection to the proxy"):
            await http.fetch("http://facility.example/", read_text, access=gone)


async def test_a_proxys_password_goes_to_the_proxy_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault H12: planted in the environment, and looked for in everything."""
    secret = "planted-proxy-word"
    handle, log = answers(web.Response(status=500, text="no"))
    names = Names(facility_example=PUBLIC)
    async with serving(handle) as there, proxying(there) as proxy, fetcher(resolver=names) as http:
        address = proxy.url.replace("://", f"://someone:{secret}@")
        url = "http://facility.example/"
        access = access_for(url, internal=False, options={}, environment={"http_proxy": address})
        assert secret not in repr(access)
        text = await http.fetch(url, read_text, access=access)
        assert http.redactor.clean(f"x {secret}") == "x [redacted]"
    expected = base64.b64encode(f"someone:{secret}".encode()).decode().lower()
    assert proxy.passwords[0] == f"basic {expected}"
    assert "Proxy-Authorization" not in log[0].headers
    assert secret not in caplog.text + text


def of(url: str, environment: dict[str, str], *, internal: bool = False, **option: str) -> str:
    proxies = read_proxies(option.get("proxy"), internal=internal, environment=environment)
    found = None if proxies is None else proxies.of(URL(url))
    return "" if found is None else str(found.url)


def test_option_environment_and_exceptions_are_heard() -> None:
    named = {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "esrf.fr, .ill.eu,odd.example:8443"}
    assert of("https://a.example/", named) == "http://p:3128"
    assert of("http://a.example/", named) == "", "each scheme has its own"
    assert of("https://a.example/", named, internal=True) == "", "it leads out of the house"
    assert of("https://a.example/", named, proxy="none") == ""
    assert of("https://a.example/", named, proxy="http://q:1") == "http://q:1"
    assert of("http://10.0.0.1/", {}, internal=True, proxy="http://q:1") == "http://q:1"
    for host in ("esrf.fr", "doi.esrf.fr", "data.ill.eu", "odd.example:8443"):
        assert of(f"https://{host}/", named) == "", host
    for host in ("notesrf.fr", "esrf.fr.example", "odd.example"):
        assert of(f"https://{host}/", named) != "", host
    assert of("https://a.example/", {**named, "NO_PROXY": "*"}) == ""
    assert of("http://a.example/", {"HTTP_PROXY": "http://evil:1"}) == "", (
        "may be a request's header"
    )
    assert of("http://a.example/", {"ALL_PROXY": "p:3128"}) == "http://p:3128"


@pytest.mark.parametrize("text", ["socks5://p:1080", "http://", "http://[::1", "ftp://p"])
def test_what_is_no_proxy_is_said_without_its_password(text: str) -> None:
    """Fault H12."""
    with pytest.raises(BadProxy) as refused:
        read_proxy(text.replace("//p", "//user:planted@p"), "the environment variable HTTPS_PROXY")
    assert "HTTPS_PROXY" in str(refused.value)
    assert "planted" not in str(refused.value)
