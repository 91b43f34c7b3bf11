"""What a handler is given and what it gives back, independent of how it is sent."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

import orjson
from aiohttp.web import RequestPayloadError as PayloadError

from search_api.conditions import Reading
from search_api.errors import BadRequest, BrokenBody, TooLarge, WrongMediaType
from search_api.filter_text import read_json
from search_api.quoting import quoted
from search_api.settings import ServerSettings

if TYPE_CHECKING:
    from aiohttp import web

    from catalogue.catalogue import Catalogue
    from search_api.cache import AnswerCache, Position
    from search_api.facilities import FacilityStates
    from search_api.federation.service import LiveService
    from search_api.health import Measurements
    from search_api.rate import RateLimiter

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is compressed and sent."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Emit = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Takes one message to whoever listens; comes back when there is room for another."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is sent in messages as they come to be; nothing of it is kept.

    ``tell`` makes the messages and hands each to the function that it is given; ``encode`` makes
    bytes of one.
    """

    content_type: str
    encode: Callable[[Mapping[str, Any]], bytes]
    tell: Callable[[Emit], Awaitable[object]]


def json_reply(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    return Reply(orjson.dumps(value, option=orjson.OPT_UTC_Z), status=status, headers=headers or {})


@dataclass(slots=True)
class Server:
    """What all handlers share. ``clock`` gives aware UTC instants."""

    catalogue: Catalogue
    settings: ServerSettings
    clock: Callable[[], datetime]
    states: FacilityStates
    measurements: Measurements
    cache: AnswerCache
    position: Position
    version: str
    limiter: RateLimiter
    operator_key: str | None = field(repr=False)
    started_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    in_flight: int = 0
    live: LiveService | None = None
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Call:
    """One request: the parsed address and what it needs of the server. ``arrived_at``: when it was
    seen first, on the server's ``monotonic``."""

    server: Server
    request: web.Request
    arguments: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    now: datetime
    arrived_at: float
    timings: dict[str, float] = field(default_factory=dict)
    good_until: datetime = datetime(9999, 1, 1, tzinfo=UTC)

    def holds_until(self, instant: datetime) -> None:
        """Say that the answer may be another from ``instant`` on."""
        self.good_until = min(self.good_until, instant)

    @property
    def settings(self) -> ServerSettings:
        return self.server.settings

    def reading(self) -> Reading:
        return Reading(self.now, self.server.states.facilities, self.settings)

    def one(self, name: str) -> str | None:
        """The only value of a parameter; ``None`` when absent or empty."""
        values = [value for key, value in self.pairs if key == name]
        if len(values) > 1:
            raise BadRequest(f"{name} is given more than once.", field=name)
        return values[0] if values and values[0] != "" else None

    def many(self, name: str) -> tuple[str, ...]:
        """All values of a parameter that may be repeated."""
        return tuple(value for key, value in self.pairs if key == name and value.strip())

    async def body(self) -> Mapping[str, Any]:
        """The JSON object of a POST; empty without a body.

        Raises:
            TooLarge, WrongMediaType, BadRequest.
        """
        kind = self.request.content_type
        if self.request.can_read_body and kind not in (
            "application/json",
            "application/octet-stream",  # what aiohttp says when the client says nothing
        ):
            raise WrongMediaType(f"A body must be application/json, not {kind[:100]}.")
        limit = self.settings.max_body_bytes
        if (self.request.content_length or 0) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        text = bytearray()
        try:
            async for chunk in self.request.content.iter_chunked(65_536):
                text += chunk
                if len(text) > limit:
                    raise TooLarge(f"The body is larger than {limit} bytes.")
        except PayloadError as error:
            raise BrokenBody(
                "The body cannot be read: it is not encoded as its headers say, or is cut off.",
                field="body",
            ) from error
        if not text.strip():
            return {}
        found = read_json(bytes(text), "body")
        if not isinstance(found, Mapping):
            raise BadRequest("The body must be a JSON object.", field="body")
        return found


Handler = Callable[[Call], Awaitable[Reply | Stream]]


MOST_PAIRS = 20_000


def read_pairs(query_string: str) -> list[tuple[str, str]]:
    """The parameters of a query string, in order; broken percent signs are 400.

    As ``urllib.parse.parse_qsl`` reads them with blank values kept, in a fifth of its time.
    """
    if not query_string:
        return []
    parts = query_string.split("&")
    try:
        if len(parts) > MOST_PAIRS:
            raise ValueError
        return [
            (_unquoted(name), _unquoted(value))
            for part in parts
            if part
            for name, _, value in (part.partition("="),)
        ]
    except ValueError:
        raise BadRequest("The query string is not percent-encoded UTF-8.") from None


def _unquoted(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if text.isascii():
        return unquote_to_bytes(text).decode()
    return unquote(text, errors="strict")


def ranked_types(accept: str) -> dict[str, float]:
    """The media types that an ``Accept`` header names, with their quality from 0 to 1, in order."""
    ranks: dict[str, float] = {}
    for part in accept.split(","):
        media_type, _, options = part.strip().partition(";")
        rank = 1.0
        for option in options.split(";"):
            name, _, value = option.strip().partition("=")
            if name.strip() == "q":
                try:
                    rank = float(value)
                except ValueError:
                    rank = 0.0
        if media_type:
            ranks[media_type.strip().lower()] = rank
    return ranks


def prefers_html(accept: str) -> bool:
    """Whether ``text/html`` is named and ranks at least as high as JSON; ``*/*`` prefers JSON."""
    ranks = ranked_types(accept)
    html = max(ranks.get("text/html", 0.0), ranks.get("application/xhtml+xml", 0.0))
    return html > 0 and html >= ranks.get("application/json", 0.0)


def next_link(call: Call, changed: Mapping[str, str], without: Sequence[str] = ()) -> str:
    """A ``Link`` to the next page: the same address with some parameters changed, and ``without``
    those that are in the changed ones now."""
    gone = {*changed, *without}
    kept = [(key, value) for key, value in call.pairs if key.split("[", 1)[0] not in gone]
    query = "&".join(
        [
            f"{quoted(key.encode())}={quoted(value.encode())}"
            for key, value in (*kept, *changed.items())
        ]
    )
    return f'<{call.request.rel_url.raw_path}?{query}>; rel="next"'
