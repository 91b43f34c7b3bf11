"""Cursors: where the next page begins (semantics 9.3).

Without scores a cursor is the last (sort value, ordinal): every record that matched and did not
change in between comes exactly once. With scores it is a snapshot of the ranked ordinals, kept ten
minutes in ``serving.sqlite`` (disposable, semantics 10.2) and continued by any worker; or a point
in time that the engine keeps, continued by any node.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import math
import re
import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import orjson

from catalogue.engines.base import SortBy
from catalogue.errors import CursorExpired, QueryError
from catalogue.plan import All, AllOf, AnyOf, NoneOf, NumberRange, Numbers, Plan
from catalogue.query import Search
from catalogue.store.patience import patiently

log = logging.getLogger(__name__)

KEPT = timedelta(minutes=10)
FILE_NAME = "serving.sqlite"
MAX_LENGTH = 6_000
"""Characters of a cursor: a point in time names each shard of an index, at some 120 of them."""

_LARGEST = 2**62
_LAST_MOMENT = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())

MOST_IN_MEMORY = 100
"""Snapshots of 10,000 ordinals and scores each: 16 MB."""

_PATIENCE_S = 5.0
"""With another process that is writing the file, or making it."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A read cursor.

    ``after``: behind ``ordinal`` (and the value ``value`` of ``sort``; ``None`` when the records
    without a value are being listed). ``skip``: ``at`` records on. ``ranked``: position ``at`` of
    the snapshot ``snapshot`` of the view of the index that ``stamp`` names, until ``expires``
    (seconds since 1970). ``view``: position ``at`` in the engine's own view ``view`` (names by
    class), whose scores are in parts of ``best``.
    """

    kind: Literal["after", "skip", "ranked", "view"]
    at: int = 0
    ordinal: int = 0
    sort: SortBy | None = None
    value: int | None = None
    snapshot: str = ""
    stamp: str = ""
    expires: int = 0
    view: Mapping[str, str] = field(default_factory=dict)
    best: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Ranked ordinals with their scores, and how many records matched."""

    ordinals: Sequence[int]
    scores: Sequence[float]
    total: int


class Snapshots(Protocol):
    """Where snapshots are kept, within reach of every worker."""

    def put(self, name: str, snapshot: Snapshot, expires: datetime) -> None: ...

    def get(self, name: str, now: datetime) -> Snapshot | None: ...


def question_digest(search: Search) -> str:
    """Names the question apart from its page and its instant, so that a cursor is not continued
    with another question."""
    asked = repr((search.entity_class, search.where, search.text, search.sort))
    asked = re.sub(r"datetime\.datetime\([^()]*(?:\([^()]*\))?[^()]*\)", "now", asked)
    return hashlib.blake2b(asked.encode(errors="replace"), digest_size=9).hexdigest()


def write_cursor(continuation: Continuation, digest: str) -> str:
    """The opaque text of a cursor."""
    fields: dict[str, Any] = {"q": digest, "k": continuation.kind}
    match continuation.kind:
        case "after":
            fields |= {"o": continuation.ordinal, "v": continuation.value}
        case "skip":
            fields |= {"a": continuation.at}
        case "ranked":
            fields |= {
                "a": continuation.at,
                "s": continuation.snapshot,
                "i": continuation.stamp,
                "e": continuation.expires,
            }
        case "view":
            fields |= {
                "a": continuation.at,
                "v": dict(continuation.view),
                "b": continuation.best,
                "e": continuation.expires,
            }
    return base64.urlsafe_b64encode(orjson.dumps(fields)).decode().rstrip("=")


def read_cursor(text: str, digest: str, sort: SortBy | None) -> Continuation:
    """Read a cursor that belongs to the question.

    Raises:
        QueryError: it is none of ours, or belongs to another question.
    """
    broken = QueryError("This is no cursor of ours; start again without it.", field="cursor")
    if len(text) > MAX_LENGTH:
        raise broken
    try:
        fields = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        asked, kind = fields["q"], fields["k"]
        if asked != digest:
            raise QueryError(
                "The cursor belongs to another question; start again without it.", field="cursor"
            )
        if kind == "after":
            value = fields["v"]
            return Continuation(
                "after",
                ordinal=_whole(fields["o"]),
                sort=sort,
                value=None if value is None else _whole(value),
            )
        if kind == "skip":
            return Continuation("skip", at=_place(fields["a"]))
        if kind == "ranked":
            return Continuation(
                "ranked",
                at=_place(fields["a"]),
                snapshot=str(fields["s"]),
                stamp=str(fields["i"]),
                expires=_moment(fields["e"]),
            )
        if kind == "view":
            return Continuation(
                "view",
                at=_place(fields["a"]),
                expires=_moment(fields["e"]),
                view={str(name): str(pit) for name, pit in fields["v"].items()},
                best=_finite(fields["b"]),
            )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise broken from error
    raise broken


def _whole(value: object) -> int:
    if not isinstance(value, int) or abs(value) > _LARGEST:
        raise ValueError("no number of a cursor")
    return value


def _place(value: object) -> int:
    place = _whole(value)
    if place < 0:
        raise ValueError("no place in a list")
    return place


def _moment(value: object) -> int:
    moment = _whole(value)
    if not 0 < moment < _LAST_MOMENT:
        raise ValueError("no instant of a calendar")
    return moment


def _finite(value: object) -> float:
    number = float(value) if isinstance(value, (int, float)) else math.nan
    if not math.isfinite(number):
        raise ValueError("no number of a cursor")
    return number


def after_plan(continuation: Continuation | None) -> Plan:
    """The records behind the cursor, in the order of its sort."""
    if continuation is None or continuation.kind != "after":
        return All()
    later = NumberRange("ordinal", continuation.ordinal + 1, None)
    by = continuation.sort
    if by is None:
        return later
    absent = NoneOf(NumberRange(by.field, None, None))
    if continuation.value is None:
        return AllOf((absent, later))
    value = continuation.value
    beyond = (
        NumberRange(by.field, None, value - 1)
        if by.descending
        else NumberRange(by.field, value + 1, None)
    )
    same = AllOf((Numbers(by.field, frozenset({value})), later))
    return AnyOf((beyond, same, absent))


class SnapshotFile:
    """Snapshots in ``serving.sqlite``; where that cannot be written, in the memory of this process,
    and a damaged or missing file only means expired cursors (semantics 10.2)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._in_memory: OrderedDict[str, tuple[datetime, Snapshot]] = OrderedDict()
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    def put(self, name: str, snapshot: Snapshot, expires: datetime) -> None:
        """Keep a snapshot until it expires."""
        try:
            self._write(name, snapshot, expires)
        except (sqlite3.Error, OSError) as error:
            if not self._in_memory:
                log.warning(
                    "%s cannot be used (%s): each process keeps its own cursors", self._path, error
                )
            with self._guard:
                self._in_memory[name] = expires, snapshot
                while len(self._in_memory) > MOST_IN_MEMORY:
                    self._in_memory.popitem(last=False)

    def get(self, name: str, now: datetime) -> Snapshot | None:
        """A snapshot that has not expired."""
        expires, held = self._in_memory.get(name, (now, None))
        if held is not None:
            return held if expires >= now else None
        try:
            return self._read(name, now)
        except (sqlite3.Error, OSError) as error:
            log.debug("%s cannot be read: %s", self._path, error)
            return None

    def _write(self, name: str, snapshot: Snapshot, expires: datetime) -> None:
        row = (
            name,
            int(expires.timestamp()),
            snapshot.total,
            array("Q", snapshot.ordinals).tobytes(),
            array("d", snapshot.scores).tobytes(),
        )
        connection = self._connection()
        with connection:
            before = int((expires - KEPT).timestamp())
            connection.execute("DELETE FROM relevance_cursors WHERE expires_at < ?", (before,))
            connection.execute("INSERT OR REPLACE INTO relevance_cursors VALUES (?,?,?,?,?)", row)

    def _read(self, name: str, now: datetime) -> Snapshot | None:
        row = (
            self._connection()
            .execute(
                "SELECT total, ordinals, scores FROM relevance_cursors"
                " WHERE name = ? AND expires_at >= ?",
                (name, int(now.timestamp())),
            )
            .fetchone()
        )
        if row is None:
            return None
        ordinals, scores = array("Q"), array("d")
        ordinals.frombytes(row[1])
        scores.frombytes(row[2])
        return Snapshot(ordinals, scores, int(row[0]))

    def close(self) -> None:
        with self._guard:
            for connection in self._open:
                connection.close()
            self._open.clear()
            self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        held: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if held is not None:
            return held
        self._path.parent.mkdir(parents=True, exist_ok=True)
        made = patiently(self._connect, _PATIENCE_S)
        self._local.connection = made
        with self._guard:
            self._open.append(made)
        return made

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(self._path, timeout=_PATIENCE_S, check_same_thread=False)
        try:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = OFF")
            made.execute(
                "CREATE TABLE IF NOT EXISTS relevance_cursors (name TEXT PRIMARY KEY,"
                " expires_at INTEGER, total INTEGER, ordinals BLOB, scores BLOB) WITHOUT ROWID"
            )
        except BaseException:
            made.close()
            raise
        return made


def short_stamp(stamp: str | None) -> str:
    """A view's name as it stands in cursors."""
    if stamp is None:
        return ""
    return hashlib.blake2b(stamp.encode(), digest_size=9).hexdigest()


def expired() -> CursorExpired:
    return CursorExpired(
        "This cursor is not kept any more: it is older than ten minutes, or the server lost what "
        "it remembered. Ask again without it to start from the first page."
    )


def moved(continuation: Continuation, by: int) -> Continuation:
    """The cursor a page further."""
    return replace(continuation, at=continuation.at + by)
