"""When a list ends: tokens with every guard that real servers need (faults B03–B06, B20).

A walk is pure: it is shown each page and says what to ask next or, with a name, why to stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harvester.oai_xml import OaiRecord, Token

COMPLETE_STOPS = frozenset(
    {"end_of_list", "empty_token", "no_records_match", "no_records_after_token", "size_reached"}
)
"""Stops that mean: the list was read to its end. All others leave a run partial.

``end_of_list``: no token. ``empty_token``: an empty one. ``no_records_match``: nothing asked for.
``no_records_after_token``: noRecordsMatch behind a token (fault B04). ``size_reached``: the token
was refused or led nowhere when completeListSize was reached already.

The others: ``repeated_token``, ``cyclic_token``, ``repeated_page``, ``empty_page_with_token``,
``incomplete`` (a clean end below completeListSize), ``page_limit``, ``record_limit``.
"""

# Round page sizes at which servers without paging cut off (SciCat at 5000; fault B06).
_ROUND = (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000)

# How many pages in a row may bring nothing but what came before, under ever new tokens; more are
# borne while completeListSize says that something is missing.
_REPEATS = 1
_REPEATS_BELOW_SIZE = 20


@dataclass(slots=True)
class Walk:
    """State of one list walk; ``seen`` counts records, ``pages`` answers.

    Args:
        seen, pages: of the run before, when the walk is resumed.
        max_pages, max_records: caps for this list (fault B03).
        believe_size: take completeListSize for what it says (fault B20).
    """

    max_pages: int = 1_000_000
    max_records: int = 1_000_000_000
    believe_size: bool = True
    seen: int = 0
    pages: int = 0
    complete_list_size: int | None = None
    first_response_date: str | None = None
    response_date: str | None = None
    sent: str | None = None
    notes: dict[str, int] = field(default_factory=dict)
    _tokens: set[bytes] = field(default_factory=set)
    _contents: set[bytes] = field(default_factory=set)
    _empty: int = 0
    _repeated: int = 0

    def note(self, name: str, count: int = 1) -> None:
        """Count something worth showing that does not stop the walk."""
        if count:
            self.notes[name] = self.notes.get(name, 0) + count

    def step(self, fingerprint: bytes, count: int, token: Token | None) -> str | None:
        """Look at a finished page; gives the name of the stop, or ``None`` to go on.

        Args:
            fingerprint: of the page's identifiers and datestamps.
            count: records on it, before any was dropped.
            token: as sent.
        """
        self.pages += 1
        if count and fingerprint in self._contents:
            # What comes again was counted before: in its place something else is missing.
            self.note("page_repeated")
        else:
            self.seen += count
        if self.believe_size and token is not None and token.complete_list_size is not None:
            self.complete_list_size = token.complete_list_size
        if token is None or not token.text:
            return self._end("end_of_list" if token is None else "empty_token", count)
        stop = self._guard(fingerprint, count, token)
        if stop is None and self.pages >= self.max_pages:
            stop = "page_limit"
        if stop is None and self.seen >= self.max_records:
            stop = "record_limit"
        self._tokens.add(_digest(token.text))
        if count:
            self._contents.add(fingerprint)
        return stop

    def _guard(self, fingerprint: bytes, count: int, token: Token) -> str | None:
        # One empty page with a token may be passing (E07); a second one is the end of the road.
        self._empty = 0 if count else self._empty + 1
        if self._empty > 1:
            return self._at_size() or "empty_page_with_token"
        known_token = _digest(token.text) in self._tokens
        known_content = fingerprint in self._contents
        if count and known_token and known_content:
            # The token alone proves nothing: some servers keep one token for a whole session.
            return "repeated_token" if token.text == self.sent else "cyclic_token"
        if known_token:
            self.note("token_seen_before")
        self._repeated = self._repeated + 1 if count and known_content else 0
        if self._repeated > (_REPEATS_BELOW_SIZE if self._below_size() else _REPEATS):
            return "repeated_page"
        return None

    def _below_size(self) -> bool:
        return self.complete_list_size is not None and self.seen < self.complete_list_size

    def _end(self, name: str, count: int) -> str:
        if self.pages == 1 and name == "end_of_list" and count in _ROUND:
            self.note("single_page_of_round_size")
        return "incomplete" if self._below_size() else name

    def _at_size(self) -> str | None:
        size = self.complete_list_size
        return "size_reached" if size is not None and self.seen >= size > 0 else None

    def ended_by_error(self, code: str) -> str | None:
        """The stop when a follow-up request is answered by an error, or ``None``: it is a fault."""
        if code == "noRecordsMatch":
            if self.pages == 0:
                return "no_records_match"
            return "incomplete" if self._below_size() else "no_records_after_token"
        if code in ("badResumptionToken", "badArgument") and self.pages:
            return self._at_size()
        return None

    def checkpoint(self, token: Token | None) -> dict[str, Any]:
        """What a later run needs to go on behind this page; JSON-serialisable."""
        return {
            "token": None if token is None else token.text,
            "expiration": None if token is None else token.expiration,
            "at": self.response_date,
            "seen": self.seen,
            "pages": self.pages,
            "complete_list_size": self.complete_list_size,
            "first_response_date": self.first_response_date,
        }


def resumed(
    checkpoint: Mapping[str, Any], *, max_pages: int, max_records: int, believe_size: bool = True
) -> Walk:
    """A walk that goes on where ``Walk.checkpoint`` was taken."""
    return Walk(
        max_pages=max_pages,
        max_records=max_records,
        believe_size=believe_size,
        seen=int(checkpoint.get("seen") or 0),
        pages=int(checkpoint.get("pages") or 0),
        complete_list_size=checkpoint.get("complete_list_size") if believe_size else None,
        first_response_date=checkpoint.get("first_response_date"),
        response_date=checkpoint.get("at"),
        sent=checkpoint.get("token"),
    )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class Fingerprint:
    """A digest of the identifiers and datestamps of a page, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=8)

    def add(self, records: Sequence[OaiRecord]) -> None:
        """Take records in the order they came."""
        parts = [f"{record.header.identifier}\n{record.header.datestamp}\n" for record in records]
        self._hash.update("".join(parts).encode("utf-8", "surrogatepass"))

    def digest(self) -> bytes:
        """Eight bytes."""
        return self._hash.digest()
