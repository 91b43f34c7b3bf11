"""One shared way to fetch: polite, bounded, careful where it connects and what it tells.

``Fetcher`` owns the connections of all sources. A request is one *attempt* after another: each
reads its whole body inside the attempt, because bodies break after good headers (fault A07), and
hands it to the protocol's reader whatever the HTTP status, because answers of the protocol travel
with any (fault A09). Only when the reader finds no such answer is the status judged.
"""

from __future__ import annotations

import os
import random as random_module
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import anyio
from yarl import URL

from facility_http.addresses import CheckedSockets, check_address
from facility_http.answers import Limits, Response
from facility_http.bodies import ACCEPTED_ENCODINGS
from facility_http.credentials import (
    Credential,
    Redactor,
    everybody_who_hears,
    read_credential,
)
from facility_http.errors import BadRedirect, FacilityHttpError, ForbiddenAddress
from facility_http.exchanges import READ_BYTES, Exchange, Exchanges
from facility_http.failures import judge_status, translate
from facility_http.places import Target, read_target
from facility_http.proxies import Proxies, check_target, read_proxies
from facility_http.waiting import HostGate, Patience, Retrying, Sleep

Answer = TypeVar("Answer")

SOFTWARE = "pan-commons/0.1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PERMANENT = frozenset({301, 308})


@dataclass(frozen=True, slots=True)
class Access:
    """How one source may be reached.

    ``internal``: the operator says that private addresses are meant. ``ca_file``: certificates to
    trust in addition; switching verification off is not offered (fault A12). ``proxies``: see
    ``proxies``. ``pace_s``: least seconds between the starts of two requests. ``on_retry`` is told
    why a request is tried again. ``pool``: a name under which it has connections of its own, so
    that it exhausts nobody else's.
    """

    internal: bool = False
    credential: Credential | None = None
    ca_file: Path | None = None
    proxies: Proxies | None = None
    pace_s: float | None = None
    limits: Limits | None = None
    patience: Patience | None = None
    on_retry: Callable[[FacilityHttpError], None] | None = None
    pool: str | None = None


def access_for(
    url: str,
    *,
    internal: bool,
    options: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Read a source's options ``pace_s``, ``timeout_s``, ``retries``, ``ca_file``, ``proxy`` and
    ``api_key_*``.

    Raises:
        MissingCredential: a key is named that is not there.
        BadProxy: a proxy is named that is none.
    """
    timeout_s, retries = options.get("timeout_s"), options.get("retries")
    ca_file = options.get("ca_file")
    return Access(
        internal=internal,
        credential=read_credential(options, origin_of(URL(url)), environment),
        ca_file=Path(str(ca_file)) if ca_file else None,
        proxies=read_proxies(options.get("proxy"), internal=internal, environment=environment),
        pace_s=options.get("pace_s"),
        limits=None if timeout_s is None else Limits(read_gap_s=float(timeout_s)),
        patience=None if retries is None else Patience(attempts=int(retries) + 1),
    )


def origin_of(url: URL) -> tuple[str, str, int]:
    """Scheme, host and port, by which credentials are bound (fault I05)."""
    return (url.scheme.lower(), (url.host or "").lower(), url.port or 0)


class Fetcher:
    """The shared HTTP client; an async context manager.

    Args:
        contact: e-mail address for the User-Agent; ``None`` only for demo and tests.
        limits, patience: defaults, which a source's ``Access`` may override.
        at_once: requests to one host at the same time; ``None``: it is the caller who waits.
        pace_s: default pace for a host.
        sleep, random, now, monotonic: passed in so that tests neither wait nor patch.
        resolver: passed to aiohttp; addresses are checked at connect time whatever it says.
    """

    def __init__(
        self,
        contact: str | None = None,
        *,
        limits: Limits | None = None,
        patience: Patience | None = None,
        at_once: int | None = 2,
        pace_s: float = 0.0,
        sleep: Sleep = anyio.sleep,
        random: Callable[[], float] = random_module.random,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.patience = patience or Patience()
        self.redactor = Redactor()
        self.now = now
        self.certificates: dict[str, datetime] = {}
        self.introduce(contact)
        self._at_once = at_once
        self._pace_s = pace_s
        self._sleep = sleep
        self._random = random
        self.monotonic = monotonic
        self._resolver = resolver
        self._names: aiohttp.abc.AbstractResolver | None = None
        self._gates: dict[tuple[str, int], HostGate] = {}
        self._sessions: dict[tuple[bool, bool, str | None], aiohttp.ClientSession] = {}
        self._direct: dict[tuple[bool, str | None], Exchanges] = {}
        self._tls: dict[Path | None, ssl.SSLContext] = {}
        self._closed = False
        self._heard_by = everybody_who_hears()
        for listener in self._heard_by:
            listener.addFilter(self.redactor)

    def introduce(self, contact: str | None) -> None:
        """Say from now on that this is whom facilities can write to."""
        self._user_agent = f"{SOFTWARE} (mailto:{contact})" if contact else SOFTWARE

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; nothing more can be asked."""
        self._closed = True
        for listener in self._heard_by:
            listener.removeFilter(self.redactor)
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()
        if self._names is not None and self._names is not self._resolver:
            await self._names.close()

    async def fetch(
        self,
        url: str,
        read: Callable[[Response], Awaitable[Answer]],
        *,
        access: Access | None = None,
        accept: str = "*/*",
    ) -> Answer:
        """Ask for ``url`` until ``read`` has made an answer of it.

        Args:
            url: percent-encoded already; it is sent as it is.
            read: consumes the response whatever its status; raises ``NotTheProtocol`` when the
                body is something else, and then the status decides what is wrong.

        Raises:
            FacilityHttpError: see ``facility_http.errors``.
        """
        access = access or Access()
        retrying = self.retrying(url, access)
        while True:
            try:
                async with self.open(url, access=access, accept=accept) as response:
                    return await read(response)
            except FacilityHttpError as error:
                await retrying.pause(error)

    def retrying(self, url: str, access: Access) -> Retrying:
        """The retry decision for one request, for callers that read while the body arrives."""
        return Retrying(
            access.patience or self.patience,
            url=self.redactor.clean(url),
            gate=self.gate(self.target(url).place),
            sleep=self._sleep,
            random=self._random,
            now=self.now,
            on_retry=access.on_retry,
        )

    def open(
        self,
        url: str,
        *,
        access: Access | None = None,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
    ) -> Attempt:
        """Make one attempt: follow redirects by hand, check every hop, translate every failure.

        ``async with`` gives the ``Response``. ``NotTheProtocol`` raised inside the block is turned
        into what the status says. ``headers`` go along on every hop, to whomever it leads: no
        secrets there.

        Raises:
            FacilityHttpError: see ``facility_http.errors``.
        """
        sent = {**(headers or {}), "Accept": accept, "Accept-Encoding": ACCEPTED_ENCODINGS}
        return Attempt(self, url, access or Access(), sent)

    async def follow(
        self,
        url: str,
        target: Target,
        access: Access,
        sent: Mapping[str, str],
        queue_s: float,
        began: float,
    ) -> Response:
        """Send the request to ``url``, read as a target, and follow redirects; gives the last
        answer, body unread."""
        limits = access.limits or self.limits
        here = target
        seen: set[URL] = set()
        permanent, lost_at = True, None
        for hop in range(limits.redirects + 1):
            check_address(here, internal=access.internal, clean=self.redactor.clean)
            if access.credential is not None and origin_of(here.place) != access.credential.origin:
                lost_at = lost_at or str(here.place.origin())
            raw = await self._send(here, access, sent, limits)
            moved_to = raw.headers.get("Location") if raw.status in _REDIRECTS else None
            if not moved_to:
                moved = str(here.place) if hop and permanent else None
                return Response(
                    raw,
                    here.text if hop else url,
                    queue_s,
                    limits,
                    began,
                    self.monotonic,
                    self.redactor.clean,
                    moved,
                    lost_at,
                )
            permanent = permanent and raw.status in _PERMANENT
            raw.close()
            before = here.url
            seen.add(before)
            there = self._next_hop(before, moved_to)
            if there in seen:
                break
            here = read_target(str(there))
        raise BadRedirect("redirected in a circle or too often", url=self.redactor.clean(url))

    async def _send(
        self, here: Target, access: Access, sent: Mapping[str, str], limits: Limits
    ) -> aiohttp.ClientResponse | Exchange:
        headers, place = sent, here.place
        credential = access.credential
        if credential is not None and origin_of(place) == credential.origin:
            headers = {**headers, credential.header: credential.value}
        proxy = None if access.proxies is None else access.proxies.of(place)
        tls = self._tls_context(access.ca_file) if place.scheme == "https" else True
        timeout = _timeout(limits.connect_s, limits.read_gap_s)
        if proxy is None:
            return await self._exchanges(access).get(here, headers, tls, timeout)
        self.redactor.learn(proxy.credential)
        if place.scheme == "http":
            # It reads the request itself; a tunnel's request is the facility's alone.
            headers = {**headers, **proxy.headers}
        self._names = self._names or self._resolver or aiohttp.DefaultResolver()
        shown = self.redactor.clean(here.text)
        await check_target(place, self._names, internal=access.internal, shown=shown)
        return await self._session(access, proxied=True).get(
            here.url,
            headers=headers,
            allow_redirects=False,
            proxy=proxy.url,
            proxy_headers=proxy.headers,
            ssl=tls,
            timeout=timeout,
        )

    def _next_hop(self, here: URL, target: str) -> URL:
        """Where a redirect leads; our query is kept when the target has none (fault A10)."""
        try:
            there = here.join(URL(target, encoded=True))
            if not there.raw_query_string and here.raw_query_string:
                there = URL(f"{there.with_fragment(None)}?{here.raw_query_string}", encoded=True)
            there = there.with_fragment(None)
            # Looked at only when asked for, and what cannot be a port or a name raises then.
            _ = there.host, there.port
        except ValueError as error:
            raise BadRedirect("redirected to no address", url=self.redactor.clean(str(here))) from (
                error
            )
        return there

    def target(self, url: str) -> Target:
        """Raises ``ForbiddenAddress`` for what no request can go to."""
        try:
            return read_target(url)
        except ValueError as error:
            raise ForbiddenAddress(
                f"no address that can be asked ({error})", url=self.redactor.clean(url)
            ) from error

    def gate(self, url: URL) -> HostGate | None:
        """Where requests to a host wait their turn, if they do."""
        if self._at_once is None:
            return None
        key = ((url.host or "").lower(), url.port or 0)
        if key not in self._gates:
            self._gates[key] = HostGate(
                self._at_once, self._pace_s, sleep=self._sleep, monotonic=self.monotonic
            )
        return self._gates[key]

    def _session(self, access: Access, *, proxied: bool) -> aiohttp.ClientSession:
        """Connections of internal sources are a pool apart: a checked source never reuses one. So
        are those to proxies, which may have private addresses; nothing else is reached there."""
        if self._closed:
            raise RuntimeError("This Fetcher was closed; its connections would never be again.")
        key = (access.internal, proxied, access.pool)
        if key not in self._sessions:
            self._sessions[key] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=self._resolver,
                    socket_factory=CheckedSockets(internal=access.internal or proxied),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": self._user_agent},
                trust_env=False,
                read_bufsize=READ_BYTES,
            )
        return self._sessions[key]

    def _exchanges(self, access: Access) -> Exchanges:
        """Those on the connections that lead to facilities directly."""
        key = (access.internal, access.pool)
        found = self._direct.get(key)
        if found is None or self._closed:
            found = self._direct[key] = Exchanges(self._session(access, proxied=False))
        return found

    def _tls_context(self, ca_file: Path | None) -> ssl.SSLContext:
        if ca_file not in self._tls:
            context = ssl.create_default_context()
            context.sslobject_class = _noting(self.certificates)
            if ca_file is not None:
                context.load_verify_locations(cafile=ca_file)
            self._tls[ca_file] = context
        return self._tls[ca_file]


class Attempt:
    """One request and its answer, for ``async with``: see ``Fetcher.open``."""

    __slots__ = ("_access", "_answer", "_fetcher", "_gate", "_sent", "_url")

    def __init__(self, fetcher: Fetcher, url: str, access: Access, sent: Mapping[str, str]) -> None:
        self._fetcher = fetcher
        self._url = url
        self._access = access
        self._sent = sent
        self._gate: HostGate | None = None
        self._answer: Response | None = None

    async def __aenter__(self) -> Response:
        fetcher, access = self._fetcher, self._access
        fetcher.redactor.learn(access.credential)
        target = fetcher.target(self._url)
        gate = fetcher.gate(target.place)
        queue_s = 0.0 if gate is None else await gate.enter(access.pace_s)
        self._gate = gate
        try:
            self._answer = await fetcher.follow(
                self._url, target, access, self._sent, queue_s, fetcher.monotonic()
            )
        except BaseException as error:
            self._end()
            self._tell(error)
            raise
        return self._answer

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if error is not None:
            self._tell(error)

    def _end(self) -> None:
        if self._answer is not None:
            # An unread body would keep the socket; closing frees it on every path (A06).
            raw = self._answer.raw
            if raw.content.at_eof():
                raw.release()
            else:
                raw.close()
        if self._gate is not None:
            self._gate.leave()

    def _tell(self, error: BaseException) -> None:
        """Raise what an error means, unless it says that itself."""
        answer, clean = self._answer, self._fetcher.redactor.clean
        if isinstance(error, aiohttp.ClientError | OSError | TimeoutError):
            asked = clean(self._url if answer is None else answer.url)
            raise translate(error, asked, clean) from error
        if isinstance(error, FacilityHttpError) and answer is not None:
            judged = judge_status(answer, error, self._fetcher.now(), clean)
            if judged is not error:
                raise judged from error


@lru_cache(maxsize=256)
def _timeout(connect_s: float | None, read_gap_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, connect=connect_s, sock_connect=connect_s, sock_read=read_gap_s
    )


def _noting(certificates: dict[str, datetime]) -> type[ssl.SSLObject]:
    """TLS connections that remember when the host's certificate ends, so that operators hear of it
    before (fault A12). A response's connection may be gone by the time it could be asked."""

    class Noting(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            peer = self.getpeercert()
            if peer and "notAfter" in peer:
                ends = ssl.cert_time_to_seconds(str(peer["notAfter"]))
                certificates[self.server_hostname or ""] = datetime.fromtimestamp(ends, UTC)

    return Noting
