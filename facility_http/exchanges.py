"""One request on a connection that is kept, and its answer, without what a session does besides.

aiohttp makes, checks and keeps the connections, and reads what comes; but its session makes a
request and a response anew each time, looks for cookies and redirects, and copies headers, which
took half of what a small request costs. Here what is the same for all requests to a place is made
once. Requests through a proxy go by the session.
"""

from __future__ import annotations

import asyncio
import codecs
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import aiohttp
from aiohttp.helpers import HeadersMixin
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from facility_http.places import Target

READ_BYTES = 1 << 18
MOST_PLACES = 256
_BREAKS = re.compile(r"[\0\r\n]")


class Exchange(HeadersMixin):
    """An answer whose body may still be coming. The connection is another request's as soon as the
    body has come; ``release`` or ``close`` must follow in any case."""

    def __init__(
        self,
        url: URL,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
        connection: aiohttp.connector.Connection,
    ) -> None:
        self.url = url
        self.status = status
        self.headers = self._headers = headers
        self.content = content
        self._connection: aiohttp.connector.Connection | None = connection
        content.on_eof(self._at_end)

    def get_encoding(self) -> str | None:
        """The encoding that the server named; ``None`` where that is none."""
        try:
            return codecs.lookup(self.charset or "").name
        except (LookupError, ValueError):
            return None

    def release(self) -> None:
        """Give the connection back; it ends where the body has not wholly come."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """End the connection, unless it is another request's by now."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _at_end(self) -> None:
        connection = self._connection
        if connection is not None and connection.protocol is not None:
            if connection.protocol.upgraded:
                self.close()
            else:
                self.release()


@dataclass(frozen=True, slots=True)
class _Place:
    """What is the same for all requests to a place: ``request`` tells the connector where it is,
    ``begin`` is how the first line begins, ``host`` how the next one reads."""

    request: aiohttp.ClientRequest
    begin: str
    host: str


class Exchanges:
    """Requests on the connections of one session.

    Args:
        session: has the connections, and the headers that all requests carry.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        assert session.connector is not None
        self._session = session
        self._always = tuple(session.headers.items())
        self._connector = session.connector
        self._places: dict[tuple[URL, ssl.SSLContext | bool], _Place] = {}

    async def get(
        self,
        target: Target,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | bool,
        limits: aiohttp.ClientTimeout,
    ) -> Exchange:
        """Ask for a target; redirects are the caller's.

        Args:
            limits: for the connection and between two pieces of the answer.

        Raises:
            aiohttp.ClientError, OSError: as a session's request.
        """
        place = self._places.get((target.place, tls)) or self._place(target.place, tls)
        query = f"?{target.query}" if target.query else ""
        if "\n" in query or "\r" in query or "\0" in query:
            raise aiohttp.InvalidURL(str(target.place), "a line break in the query")
        rest = _lines(place.host, self._always, tuple(headers.items()))
        head = f"{place.begin}{query} HTTP/1.1\r\n".encode() + rest
        try:
            return await self._once(target, place.request, head, limits)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # A connection that was kept may have been closed over there meanwhile.
            return await self._once(target, place.request, head, limits)

    async def _once(
        self,
        target: Target,
        request: aiohttp.ClientRequest,
        head: bytes,
        limits: aiohttp.ClientTimeout,
    ) -> Exchange:
        try:
            connection = await self._connector.connect(request, [], limits)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(
                f"Connection timeout to host {request.url}"
            ) from error
        try:
            protocol = connection.protocol
            assert protocol is not None
            protocol.set_response_params(
                read_until_eof=True,
                auto_decompress=False,
                read_timeout=limits.sock_read,
                read_bufsize=READ_BYTES,
            )
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            transport.write(head)
            protocol.start_timeout()
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
            return Exchange(target.place, message.code, message.headers, content, connection)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientResponseError(
                request.request_info,
                (),
                status=error.code,
                message=error.message,
                headers=error.headers,
            ) from error
        except BaseException:
            connection.close()
            raise

    def _place(self, place: URL, tls: ssl.SSLContext | bool) -> _Place:
        loop = asyncio.get_running_loop()
        request = aiohttp.ClientRequest("GET", place, loop=loop, session=self._session, ssl=tls)
        made = _Place(request, f"GET {place.raw_path}", str(place.host_port_subcomponent))
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        self._places[place, tls] = made
        return made


@lru_cache(maxsize=1_024)
def _lines(
    host: str, always: tuple[tuple[str, str], ...], given: tuple[tuple[str, str], ...]
) -> bytes:
    """The head of a request behind its first line; what is ``given`` goes before what is ``always``
    sent.

    Raises:
        ValueError: a line break would smuggle further headers (fault I09).
    """
    headers = CIMultiDict(always)
    headers.update(given)
    lines = [f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if any(map(_BREAKS.search, lines)):
        raise ValueError("a header with a line break")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()
