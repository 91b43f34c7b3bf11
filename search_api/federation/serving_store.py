"""What a server learns while it serves, shared by its workers: ``serving.sqlite`` (semantics 10.2).

Disposable: it may be deleted at any time, and where it cannot be written (a read-only or full disk,
a damaged file) memory takes its place and the log says so. Everything is a short transaction; all
methods block for some hundred microseconds, ``run`` calls them in a worker thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import orjson
import zstandard

from catalogue.store.patience import patiently
from search_api.federation.breaker import Breaker
from search_api.federation.latencies import History, Kinds, aged, together
from search_api.federation.via import new_node

log = logging.getLogger("pan_commons.search_api.federation")

FILE_NAME = "serving.sqlite"
VERSION = 1
_BUSY_MS = 1_000
_LEVEL = 3
_MEASURE_AGAIN = 64
"""Bodies are added up when so much of what may be kept has come since: to do so reads the table."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS node (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), name TEXT);
CREATE TABLE IF NOT EXISTS breakers (
    name TEXT PRIMARY KEY, is_open INTEGER, trouble TEXT, reason TEXT, until REAL,
    openings INTEGER, successes INTEGER, probe_until REAL, closed_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contacts (
    source TEXT PRIMARY KEY, answered_at REAL, failed_at REAL, reason TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latencies (
    source TEXT, kind TEXT, answers TEXT, given_up TEXT, at REAL, PRIMARY KEY (source, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learned (
    source TEXT, entity_class TEXT, what TEXT, at REAL, PRIMARY KEY (source, entity_class, what)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    question BLOB PRIMARY KEY, source TEXT, body BLOB, at REAL, stale_until REAL
);
CREATE TABLE IF NOT EXISTS snapshots (name TEXT PRIMARY KEY, body BLOB, expires_at REAL);
CREATE INDEX IF NOT EXISTS answers_by_end ON answers (stale_until);
CREATE INDEX IF NOT EXISTS answers_by_source ON answers (source);
CREATE INDEX IF NOT EXISTS snapshots_by_end ON snapshots (expires_at);
"""
_TABLES = ("node", "breakers", "contacts", "latencies", "learned", "answers", "snapshots")
_COLUMNS = ("is_open", "trouble", "reason", "until", "openings", "successes", "probe_until",
            "closed_at")  # fmt: skip

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A facility's answer as it was received, decompressed.

    ``question`` is the key that ``facility_cache.key_of`` makes; ``at`` and ``stale_until`` are
    seconds since 1970.
    """

    question: bytes
    source: str
    body: bytes
    at: float
    stale_until: float


@dataclass(frozen=True, slots=True)
class Contact:
    """When a source last answered and last failed, in seconds since 1970, over all workers."""

    answered_at: float | None = None
    failed_at: float | None = None
    reason: str | None = None


class ServingStore:
    """The shared memory of one node's workers. Safe to use from several threads.

    Args:
        folder: the data folder; ``None`` keeps everything in memory.
        most_bytes: of answers, and again of snapshots; the oldest go first.
    """

    def __init__(self, folder: Path | None, *, most_bytes: int = 256 << 20) -> None:
        self._lock = threading.Lock()
        self._most_bytes = most_bytes
        self._not_measured: dict[str, int] = {}
        self._limiter: anyio.CapacityLimiter | None = None
        self._memory: sqlite3.Connection | None = None
        self._file: sqlite3.Connection | None = None
        if folder is not None:
            try:
                path = folder / FILE_NAME
                self._file = patiently(lambda: _open(path), _BUSY_MS / 1000)
            except (sqlite3.Error, OSError) as problem:
                self._give_up(problem)

    @property
    def in_memory(self) -> bool:
        """Whether nothing is shared with other processes, nor survives this one."""
        return self._file is None

    def close(self) -> None:
        """Close the file; what was only in memory is gone."""
        with self._lock:
            for connection in (self._file, self._memory):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._file = self._memory = None

    async def run(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        """Call one of the methods in a worker thread."""
        if self._limiter is None:
            # A few, so that a look need not wait for bodies to be compressed.
            self._limiter = anyio.CapacityLimiter(3)
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)

    # --- identity -------------------------------------------------------------------------------

    def node(self) -> str:
        """The identity of this node, made at the first call and the same for all its workers."""

        def read(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT OR IGNORE INTO node VALUES (1, ?)", (new_node(),))
            return str(connection.execute("SELECT name FROM node").fetchone()[0])

        return self._transaction(read)

    # --- breakers and contacts ------------------------------------------------------------------

    def breakers(self) -> dict[str, Breaker]:
        """All breakers that were ever open."""

        def read(connection: sqlite3.Connection) -> dict[str, Breaker]:
            rows = connection.execute(f"SELECT name, {', '.join(_COLUMNS)} FROM breakers")  # noqa: S608
            return {row[0]: _breaker(row[1:]) for row in rows}

        return self._transaction(read)

    def change_breaker(
        self, name: str, change: Callable[[Breaker], Breaker | None]
    ) -> tuple[Breaker, bool]:
        """Replace a breaker in one transaction.

        Args:
            change: gives the new value, or ``None`` to leave it.

        Returns:
            The breaker as it now is, and whether it was changed.
        """

        def work(connection: sqlite3.Connection) -> tuple[Breaker, bool]:
            row = connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM breakers WHERE name = ?",  # noqa: S608
                (name,),
            ).fetchone()
            before = _breaker(row) if row else Breaker()
            after = change(before)
            if after is None or after == before:
                return before, False
            marks = ", ".join("?" * (1 + len(_COLUMNS)))
            connection.execute(
                f"INSERT OR REPLACE INTO breakers (name, {', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608
                (name, *astuple(after)),
            )
            return after, True

        return self._transaction(work)

    def note_contacts(self, contacts: Iterable[tuple[str, Contact]]) -> None:
        """Bring the times of contact forward; an older one never replaces a newer one."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO contacts VALUES (?1, ?2, ?3, ?4) ON CONFLICT (source) DO UPDATE SET "
                "answered_at = max(coalesce(answered_at, 0), coalesce(?2, answered_at, 0)), "
                "reason = CASE WHEN coalesce(?3, 0) > coalesce(failed_at, 0) THEN ?4 "
                "ELSE reason END, "
                "failed_at = max(coalesce(failed_at, 0), coalesce(?3, failed_at, 0))",
                [(name, one.answered_at, one.failed_at, one.reason) for name, one in contacts],
            )

        self._transaction(work)

    def contacts(self) -> dict[str, Contact]:
        """The contacts of all sources."""

        def read(connection: sqlite3.Connection) -> dict[str, Contact]:
            rows = connection.execute("SELECT source, answered_at, failed_at, reason FROM contacts")
            return {row[0]: Contact(row[1] or None, row[2] or None, row[3]) for row in rows}

        return self._transaction(read)

    # --- how long facilities take ---------------------------------------------------------------

    def add_latencies(self, new: Mapping[Kinds, History], now: datetime) -> dict[Kinds, History]:
        """Add to the histories of all workers.

        Returns:
            All of them as they weigh then.
        """

        def work(connection: sqlite3.Connection) -> dict[Kinds, History]:
            rows = connection.execute("SELECT source, kind, answers, given_up, at FROM latencies")
            known = {(row[0], row[1]): _history(row[2:]) for row in rows}
            for kinds, one in new.items():
                known[kinds] = together(known.get(kinds, History()), one, now.timestamp())
            connection.executemany(
                "INSERT OR REPLACE INTO latencies VALUES (?, ?, ?, ?, ?)",
                [
                    (*kinds, _counters(known[kinds].answers), _counters(known[kinds].given_up),
                     known[kinds].at)
                    for kinds in new
                ],
            )  # fmt: skip
            return {kinds: aged(one, now.timestamp()) for kinds, one in known.items()}

        return self._transaction(work)

    # --- what turned out unknown ----------------------------------------------------------------

    def learn(self, source: str, entity_class: str, what: str, at: datetime) -> None:
        """Remember that a source does not know something, e.g. ``operator:between``."""
        self._transaction(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?)",
                (source, entity_class, what, at.timestamp()),
            )
        )

    def learned(self, source: str) -> frozenset[tuple[str, str]]:
        """(class, what) of everything learned of a source."""

        def read(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
            rows = connection.execute(
                "SELECT entity_class, what FROM learned WHERE source = ?", (source,)
            )
            return frozenset((row[0], row[1]) for row in rows)

        return self._transaction(read)

    def unlearn(self, source: str, before: datetime) -> None:
        """Forget what was learned of a source before it was checked anew."""
        self._transaction(
            lambda connection: connection.execute(
                "DELETE FROM learned WHERE source = ? AND at < ?", (source, before.timestamp())
            )
        )

    # --- answers of facilities ------------------------------------------------------------------

    def keep_answers(self, answers: Iterable[KeptBody], now: datetime) -> None:
        """Keep bodies, newest first where there is no room for all."""
        compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        rows = [
            (one.question, one.source, compress(one.body), one.at, one.stale_until)
            for one in answers
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", rows)
            came = sum(len(row[2]) for row in rows)
            self._keep_within(connection, "answers", "stale_until", came, now.timestamp())

        self._transaction(work)

    def kept_answer(self, question: bytes, now: datetime) -> KeptBody | None:
        """The body kept for a question, if it may still be shown."""

        def read(connection: sqlite3.Connection) -> KeptBody | None:
            row = connection.execute(
                "SELECT source, body, at, stale_until FROM answers "
                "WHERE question = ? AND stale_until > ?",
                (question, now.timestamp()),
            ).fetchone()
            if row is None:
                return None
            body = zstandard.ZstdDecompressor().decompress(row[1])
            return KeptBody(question, row[0], body, row[2], row[3])

        return self._transaction(read)

    def sources_of_answers(self) -> frozenset[str]:
        """The sources of which any answer is kept."""

        def read(connection: sqlite3.Connection) -> frozenset[str]:
            rows = connection.execute("SELECT DISTINCT source FROM answers")
            return frozenset(name for (name,) in rows)

        return self._transaction(read)

    # --- snapshots of results -------------------------------------------------------------------

    def put_snapshots(
        self, snapshots: Iterable[tuple[str, bytes, datetime]], now: datetime
    ) -> None:
        """Keep what cursors continue: name, body and end of each; to put one again moves its
        end."""
        rows = [(name, body, expires_at.timestamp()) for name, body, expires_at in snapshots]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", rows)
            came = sum(len(body) for _, body, _ in rows)
            self._keep_within(connection, "snapshots", "expires_at", came, now.timestamp())

        self._transaction(work)

    def prolong_snapshots(self, ends: Mapping[str, datetime]) -> set[str]:
        """Keep those that are there until then at least; gives the names of the others."""

        def work(connection: sqlite3.Connection) -> set[str]:
            return {
                name
                for name, expires_at in ends.items()
                if not connection.execute(
                    "UPDATE snapshots SET expires_at = max(expires_at, ?) WHERE name = ?",
                    (expires_at.timestamp(), name),
                ).rowcount
            }

        return self._transaction(work)

    def snapshot(self, name: str, now: datetime) -> bytes | None:
        """The body of that name, unless it has expired."""

        def read(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT body FROM snapshots WHERE name = ? AND expires_at > ?",
                (name, now.timestamp()),
            ).fetchone()
            return None if row is None else bytes(row[0])

        return self._transaction(read)

    # --- connections ----------------------------------------------------------------------------

    def _transaction(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        with self._lock:
            if self._file is not None:
                try:
                    return _within(self._file, work)
                except sqlite3.OperationalError as problem:
                    # Another process holds the file for longer than we wait: once without it.
                    if "locked" not in str(problem):
                        self._give_up(problem)
                except (sqlite3.DatabaseError, zstandard.ZstdError) as problem:
                    self._give_up(problem)
            if self._memory is None:
                self._memory = _prepared(sqlite3.connect(":memory:", **_OPTIONS))
            return _within(self._memory, work)

    def _keep_within(
        self, connection: sqlite3.Connection, table: str, end: str, came: int, now: float
    ) -> None:
        """Drop what has ended; where ``came`` and what came before it may be too much, also what
        ends first, until the bodies fit."""
        connection.execute(f"DELETE FROM {table} WHERE {end} <= ?", (now,))  # noqa: S608
        came += self._not_measured.get(table, self._most_bytes)
        if came * _MEASURE_AGAIN <= self._most_bytes:
            self._not_measured[table] = came
            return
        _drop_what_is_too_much(connection, table, end, self._most_bytes)
        self._not_measured[table] = 0

    def _give_up(self, problem: Exception) -> None:
        """Go on in memory; the file is left as it is."""
        log.warning(
            "%s cannot be used (%s): what is learned of facilities stays in memory, for each "
            "process by itself. The file may be deleted; nothing else depends on it.",
            FILE_NAME,
            problem,
        )
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.close()
            self._file = None


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_MS / 1000, **_OPTIONS)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        return _prepared(connection)
    except sqlite3.Error:
        connection.close()
        raise


# Every transaction is begun by us; one lock keeps the threads apart.
_OPTIONS: Any = {"isolation_level": None, "check_same_thread": False}


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection with our tables, whatever another version has left there."""
    connection.execute("PRAGMA synchronous = NORMAL")

    def work(connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            for table in _TABLES:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")

    _within(connection, work)
    return connection


def _within(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
    connection.execute("BEGIN IMMEDIATE")
    try:
        answer = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answer


def _drop_what_is_too_much(
    connection: sqlite3.Connection, table: str, end: str, most_bytes: int
) -> None:
    """Drop what ends first, until the bodies fit."""
    held = connection.execute(f"SELECT coalesce(sum(length(body)), 0) FROM {table}")  # noqa: S608
    total = held.fetchone()[0]
    while total > most_bytes:
        rows = connection.execute(
            f"SELECT rowid, length(body) FROM {table} ORDER BY {end} LIMIT 20"  # noqa: S608
        ).fetchall()
        if not rows:
            return
        for rowid, size in rows:
            if total > most_bytes:
                connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608
                total -= size


def _breaker(row: Sequence[Any]) -> Breaker:
    return Breaker(bool(row[0]), *row[1:])


def _history(row: Sequence[Any]) -> History:
    answers, given_up = ({int(step): w for step, w in orjson.loads(t).items()} for t in row[:2])
    return History(answers, given_up, row[2])


def _counters(weights: Mapping[int, float]) -> str:
    return orjson.dumps({str(step): round(weight, 4) for step, weight in weights.items()}).decode()
