"""One request and its answer on their way through a simulated facility.

``Exchange`` is what came in, ``Page`` one page of an OAI-PMH list before it is written, ``Answer``
what goes out. Faults act on these three (``faults.py``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[object]]


class OaiError(Exception):
    """An OAI-PMH error condition (OAI-PMH 2.0, section 3.6)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ServerFault(Exception):
    """The server fails while it makes the answer: a 500."""


class RestError(Exception):
    """An error as a LoopBack application words it; ``code`` only where LoopBack 3 adds one."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(slots=True)
class Exchange:
    """One request.

    ``verb`` is the OAI-PMH verb or, over REST, the class and what follows (``Documents``,
    ``Documents/count``, ``Datasets/files``). ``params`` are the query's arguments (the last of
    repeated ones), ``pairs`` all of them. ``page`` counts pages of a list from 1. ``filter`` is
    the decoded LoopBack filter. ``state`` lives as long as the fault set.
    """

    protocol: Literal["oai-pmh", "panosc"]
    verb: str
    params: dict[str, str]
    pairs: Sequence[tuple[str, str]]
    url: str
    now: datetime
    headers: dict[str, str] = field(default_factory=dict)
    page: int = 1
    filter: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What goes out. ``cut_after`` bytes of the body are sent, and then, by ``ending``: nothing
    more (``close``), a reset connection (``reset``), silence (``stall``) or a byte a second
    (``trickle``)."""

    body: bytes
    content_type: str = "text/xml; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    ending: Literal["close", "reset", "stall", "trickle"] = "close"


@dataclass(slots=True)
class Item:
    """A header, and the metadata with it, before being written; ``None`` leaves an element out."""

    identifier: str | None
    datestamp: str | None
    sets: tuple[str, ...]
    deleted: bool
    payload: bytes | None


@dataclass(slots=True)
class Page:
    """A page of a list. ``token`` is ``None`` for no element and ``""`` for an empty one."""

    verb: str
    items: list[Item]
    token: str | None
    cursor: int
    complete_list_size: int | None
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """What a resumption token carries: the selection, and the key after which to go on.

    Going on after a key and not after a number keeps lists whole while records move.
    """

    verb: str
    prefix: str
    set: str | None
    from_: str | None
    until: str | None
    after: tuple[str, str]
    cursor: int
    page: int
    issued: int

    def encode(self) -> str:
        """As text that needs no escaping in a query."""
        values = (
            self.verb,
            self.prefix,
            self.set,
            self.from_,
            self.until,
            *self.after,
            self.cursor,
            self.page,
            self.issued,
        )
        text = json.dumps(values, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Token:
        """Raises OaiError badResumptionToken when it is none of ours."""
        try:
            padded = text + "=" * (-len(text) % 4)
            values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            verb, prefix, set_, from_, until, stamp, identifier, cursor, page, issued = values
            datetime.fromisoformat(stamp)
            return cls(
                verb,
                prefix,
                set_,
                from_,
                until,
                (stamp, str(identifier)),
                int(cursor),
                int(page),
                int(issued),
            )
        except (ValueError, TypeError, binascii.Error) as error:
            raise OaiError(
                "badResumptionToken", f"The value {text[:80]!r} is no resumptionToken."
            ) from error


def utc_seconds(instant: datetime) -> str:
    """``2026-11-23T03:20:00Z``"""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
