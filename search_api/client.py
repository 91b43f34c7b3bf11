"""An asynchronous Python client for ``/api/search`` of a PaN Commons server.

    async with Client("http://127.0.0.1:8080") as client:
        async for hit in client.hits("lysozyme SFX", limit=200):
            print(hit.score, hit.title)

Answers of newer servers may hold fields that this client does not know; they are kept in ``json``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from search_api.errors import ServerRefused, ServerUnreachable
from search_api.page_changes import applied

Json = Mapping[str, Any]
Value = str | int | float | bool | Sequence[str] | None

TIMEOUT_S = 30.0
PAGE_SIZE = 100
LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """One hit. ``access`` is its state (``open``, ``embargoed`` …), ``reason`` why; ``json`` the
    whole hit as the server sent it."""

    key: str
    title: str
    score: float
    facility: str
    access: str
    reason: str
    doi: str | None
    json: Json


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of hits. ``total`` is exact when ``relation`` is ``eq``, else a lower bound."""

    hits: Sequence[FoundRecord]
    total: int
    relation: str
    cursor: str | None
    json: Json


@dataclass(frozen=True, slots=True)
class GrowingPage:
    """A page as far as it is known. ``waiting``: facilities that may still answer; ``missing``, on
    the last one (``is_last``): those that did not. ``facilities``: a line for each, as in ``json``
    of a whole answer; ``json``: the last message."""

    hits: Sequence[FoundRecord]
    total: int
    relation: str
    waiting: Sequence[str]
    missing: Sequence[str]
    facilities: Sequence[Json]
    is_last: bool
    cursor: str | None
    json: Json


class Client:
    """Speaks to one server; an asynchronous context manager.

    Args:
        url: root of the server, without ``/api``.
        timeout_s: for one request.

    Raises:
        ServerUnreachable: ``url`` is none.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerUnreachable(
                f"{url!r} is no address of a server; write http://… or https://…"
            )
        self.url = url.rstrip("/").removesuffix("/api")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def search(self, q: str = "", **parameters: Value) -> FoundPage:
        """One page. Parameters are those of ``/api/search``; lists are repeated values.

        Raises:
            ServerRefused: the server says what is wrong.
            ServerUnreachable: no answer.
        """
        json = await self.get("/api/search", {"q": q, **parameters})
        return FoundPage(
            tuple(_record(hit) for hit in json["hits"]),
            int(json["total"]["value"]),
            str(json["total"]["relation"]),
            json.get("cursor"),
            json,
        )

    async def hits(
        self, q: str = "", *, limit: int | None = None, **parameters: Value
    ) -> AsyncIterator[FoundRecord]:
        """All hits over all pages, best first, each once; at most ``limit``."""
        size = PAGE_SIZE if limit is None else min(limit, PAGE_SIZE)
        seen: set[str] = set()
        position: dict[str, Value] = {"skip": 0}
        while limit is None or len(seen) < limit:
            page = await self.search(q, limit=size, **parameters, **position)
            fresh = [hit for hit in page.hits if hit.key not in seen]
            for hit in fresh:
                seen.add(hit.key)
                yield hit
                if limit is not None and len(seen) >= limit:
                    return
            if not fresh:
                return
            if page.cursor is not None:
                position = {"cursor": page.cursor}
            elif len(seen) < page.total:
                position = {"skip": len(seen)}
            else:
                return

    async def stream(self, q: str = "", **parameters: Value) -> AsyncGenerator[GrowingPage]:
        """One page, again and again while facilities answer; the last one is complete.

            async with aclosing(client.stream("lysozyme")) as pages:
                async for page in pages: ...

        Leaving it early ends what the server does for it.

        Raises:
            ServerRefused, ServerUnreachable: see ``search``; also in the middle.
        """
        page: list[dict[str, Any]] = []
        async with aclosing(self.messages(q, **parameters)) as messages:
            async for message in messages:
                is_last = message["event"] == "end"
                if not is_last:
                    page = applied(page, message)
                yield GrowingPage(
                    tuple(_record(hit) for hit in page),
                    int(message["total"]["value"]),
                    str(message["total"]["relation"]),
                    tuple(message.get("waiting", ())),
                    tuple(message.get("missing", ())),
                    tuple(message["facilities"]),
                    is_last,
                    message.get("cursor"),
                    message,
                )

    async def messages(self, q: str = "", **parameters: Value) -> AsyncGenerator[Json]:
        """The messages of a stream as the server sends them, up to ``end``."""
        address, pairs = self.url + "/api/search", _pairs({"q": q, **parameters})
        event = None
        try:
            async with self._opened().get(
                address, params=pairs, headers={"Accept": LINES}
            ) as response:
                if response.status >= 400 or response.content_type != LINES:
                    self._read(response.status, await response.read())
                    raise ServerRefused(response.status, "NoStream", f"{self.url} does not stream.")
                async with aclosing(_lines(response.content)) as lines:
                    async for line in lines:
                        message = self._read(200, line)
                        event = message["event"]
                        if event == "error":
                            raise _refused(int(message["error"]["statusCode"]), message)
                        yield message
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise self._unreachable(error) from error
        if event != "end":
            raise ServerUnreachable(f"{self.url} broke off before the end.")

    async def facilities(self) -> Sequence[Json]:
        """Facilities and their sources with their state."""
        found: Sequence[Json] = await self.get("/api/facilities", {})
        return found

    async def get(self, path: str, parameters: Mapping[str, Value]) -> Any:
        """The JSON answer of a GET."""
        try:
            async with self._opened().get(
                self.url + path,
                params=_pairs(parameters),
                headers={"Accept": "application/json"},
            ) as response:
                body = await response.read()
                status = response.status
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise self._unreachable(error) from error
        return self._read(status, body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ServerUnreachable("The client is not open; use it as a context manager.")
        return self._session

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        told = getattr(error, "os_error", None) or error
        reason = str(getattr(told, "strerror", None) or told) or type(error).__name__
        return ServerUnreachable(f"{self.url} does not answer: {reason}")

    def _read(self, status: int, body: bytes) -> Any:
        """The JSON of an answer; raises ``ServerRefused`` where it is an error or none."""
        try:
            json = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise ServerRefused(status, "NotJson", f"{self.url} answered no JSON.") from None
        if status >= 400:
            raise _refused(status, json)
        return json


def _refused(status: int, json: Any) -> ServerRefused:
    """The error that the server told in the PaNOSC form."""
    problem = json.get("error", {}) if isinstance(json, dict) else {}
    return ServerRefused(
        status, str(problem.get("name", "Error")), str(problem.get("message", "no reason"))
    )


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """Lines of any length, as soon as they are whole."""
    begun = bytearray()
    async for chunk in content.iter_any():
        begun += chunk
        *whole, rest = begun.split(b"\n")
        begun = bytearray(rest)
        for line in whole:
            yield bytes(line)


def _record(hit: Json) -> FoundRecord:
    return FoundRecord(
        key=str(hit["key"]),
        title=str(hit.get("title") or ""),
        score=float(hit.get("score") or 0),
        facility=" · ".join(str(name) for name in hit.get("facilities") or ()),
        access=str(hit["access"]["state"]),
        reason=str(hit["access"]["reason"]),
        doi=hit.get("doi"),
        json=hit,
    )


def _pairs(parameters: Mapping[str, Value]) -> list[tuple[str, str]]:
    pairs = []
    for name, value in parameters.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, bool):
                pairs.append((name, "true" if one else "false"))
            elif one is not None and one != "":
                pairs.append((name, str(one)))
    return pairs
