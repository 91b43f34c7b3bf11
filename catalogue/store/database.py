"""SQLite as the store uses it: connections, short transactions, errors in our own words.

One connection that writes, one a thread that reads, WAL, a busy timeout; several processes may
write (semantics 10.1). All of sqlite3's exceptions become ours here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from catalogue.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    StoreReplaced,
)
from catalogue.store.patience import is_busy, patiently

FILE_NAME = "store.sqlite"

# Long enough for a neighbour's largest transaction (a change of an instrument with 100,000 Datasets
# took 2.7 s on a machine with a load of 7), short enough that a wedged process is noticed.
BUSY_TIMEOUT_S = 30.0

# Page cache of the connection that writes: a page of 500 records dirties some 10 MB.
WRITE_CACHE_KIB = 32_768
# Of each that reads; a process has as many as threads. What another connection writes empties it,
# so beside a harvest a large one holds memory and saves nothing.
READ_CACHE_KIB = 4_096

# Of the file that a process which only reads maps into its memory: a page of ten records that were
# not read lately took 112 µs by ``read`` and 54 so. The pages are the system's, and are given up
# when memory is wanted for something else.
MAPPED_BYTES = 16 * 2**30

LOOK_AGAIN_S = 1.0
"""How often whoever only reads looks whether the file is still the one that was opened."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_BY_CODE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_PERM: (StoreReadOnly, "may not be written with our rights"),
    sqlite3.SQLITE_READONLY: (StoreReadOnly, "cannot be written: read-only"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreReadOnly,
        "cannot be opened: is the folder there and writable, and may we open more files?",
    ),
    sqlite3.SQLITE_AUTH: (StoreReadOnly, "may not be used with our rights"),
    sqlite3.SQLITE_FULL: (StoreFull, "has no space left to grow"),
    sqlite3.SQLITE_BUSY: (StoreBusy, "is locked by another process for too long; try again"),
    sqlite3.SQLITE_LOCKED: (StoreBusy, "is locked by another process for too long; try again"),
    sqlite3.SQLITE_PROTOCOL: (StoreBusy, "is locked by another process for too long; try again"),
    sqlite3.SQLITE_CORRUPT: (StoreDamaged, "is damaged; restore a backup"),
    sqlite3.SQLITE_NOTADB: (StoreDamaged, "is not a store of ours, or is damaged"),
    sqlite3.SQLITE_FORMAT: (StoreDamaged, "is damaged; restore a backup"),
    sqlite3.SQLITE_IOERR: (StoreError, "could not be read or written: the disk reports an error"),
    sqlite3.SQLITE_NOMEM: (StoreError, "could not be used: out of memory"),
    sqlite3.SQLITE_TOOBIG: (StoreError, "refused a record over SQLite's size limit"),
    sqlite3.SQLITE_INTERRUPT: (StoreError, "was interrupted"),
}

# sqlite3's branch for mistakes of ours (bad SQL, use after close): those must surface as they are.
PROGRAMMING_MISTAKES = (
    sqlite3.ProgrammingError,
    sqlite3.NotSupportedError,
    sqlite3.InterfaceError,
)


def translate(error: sqlite3.Error, path: Path) -> Exception:
    """Our exception for one of SQLite's; a programming mistake comes back unchanged."""
    if isinstance(error, PROGRAMMING_MISTAKES):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        known = _BY_CODE.get(code & 0xFF)
        if known is not None:
            kind, says = known
            return kind(f"{path} {says} ({error})")
    if isinstance(error, sqlite3.IntegrityError):
        return StoreError(f"{path} refused a row: {error}")
    return StoreError(f"{path}: {error}")


class translated:  # noqa: N801 (read as a word behind "with")
    """Turn SQLite's (and the file system's) exceptions into ours, with the cause kept."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, sqlite3.Error):
            ours = translate(error, self.path)
            if ours is not error:
                raise ours from error
        elif isinstance(error, OSError):
            if error.errno in _FULL:
                raise StoreFull(f"{self.path} has no space left to grow ({error})") from error
            raise StoreReadOnly(f"{self.path} cannot be used: {error.strerror or error}") from error


_FULL = (28, 122)  # ENOSPC, EDQUOT


class _Connection(sqlite3.Connection):
    """Can be referred to weakly, and closes itself when its thread is gone."""

    def __del__(self) -> None:
        # One that could not be opened cannot be closed either.
        with suppress(sqlite3.ProgrammingError):
            self.close()


class Database:
    """The connections of one process to one file: one that writes, one for each thread that reads.

    Threads take turns at writing. SQLite would let them sleep and try again, which took a quarter
    of the time of four sources harvested at once, and would give each a page cache of its own.
    """

    def __init__(self, path: Path, *, read_only: bool, busy_timeout_s: float) -> None:
        self.path = path
        self.read_only = read_only
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._turn = (os.getpid(), threading.Lock())
        self._writer: tuple[int, _Connection] | None = None
        self._file: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._watching: tuple[int, _Connection] | None = None

    def data_version(self) -> int:
        """Another number whenever anybody, ourselves included, has written since; within one
        process. It costs next to nothing, and nothing is read from the file."""
        with self._lock:
            held = self._watching
        if held is None or held[0] != os.getpid():
            # Of its own, as no connection hears of what it writes itself.
            held = os.getpid(), self._made(READ_CACHE_KIB)
            with self._lock:
                self._watching = held
        self.look_again()
        with translated(self.path), self._lock:
            return int(held[1].execute("PRAGMA data_version").fetchone()[0])

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, made when first asked for (and again after a fork); inside
        ``write`` the one that writes."""
        writing: _Connection | None = getattr(self._local, "writing", None)
        if writing is not None:
            return writing
        held: tuple[int, _Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        made = self._made(READ_CACHE_KIB)
        self._local.held = (os.getpid(), made)
        return made

    def _writing_connection(self) -> _Connection:
        """The one connection that writes; only for whoever has the turn."""
        if self._writer is None or self._writer[0] != os.getpid():
            self._writer = (os.getpid(), self._made(WRITE_CACHE_KIB))
        return self._writer[1]

    def _own_turn(self) -> threading.Lock:
        if self._turn[0] != os.getpid():
            # Another thread may have had it at the fork, and is not here to give it back.
            with self._lock:
                if self._turn[0] != os.getpid():
                    self._turn = (os.getpid(), threading.Lock())
        return self._turn[1]

    def look_again(self) -> None:
        """For whoever reads: ``StoreReplaced`` soon after another file is in the place of this."""
        if time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._require_same_file()

    def _require_same_file(self) -> None:
        """Raises ``StoreReplaced`` where a backup was put back under running processes: what they
        write to the file that they had opened is gone with it, and their new connections would see
        the other one (fault H08)."""
        if self._file is None:
            return
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            held = None
        else:
            held = found.st_dev, found.st_ino
        if held is None:
            raise StoreGone(
                f"{self.path} is gone since this process opened it; end all processes that use the"
                " data folder, put it back, and start them again"
            )
        if held != self._file:
            raise StoreReplaced(
                f"{self.path} is not the file any more that this process opened; end all processes"
                " that use the data folder, and start them again"
            )
        self._looked_at = time.monotonic()

    def _made(self, cache_kib: int) -> _Connection:
        with translated(self.path):
            self._require_same_file()
            made = self._connect(cache_kib)
            if self._file is None:
                opened = os.stat(self.path)
                self._file = opened.st_dev, opened.st_ino
        with self._lock:
            self._all.add(made)
        return made

    def _connect(self, cache_kib: int) -> _Connection:
        def connect() -> _Connection:
            if not self.read_only:
                return self._configured(self.path.as_uri(), cache_kib)
            try:
                return self._configured(self.path.as_uri() + "?mode=ro", cache_kib)
            except sqlite3.OperationalError as error:
                if is_busy(error):
                    raise  # somebody writes, so it is anything but immutable
                # WAL needs a -shm file beside it, which a read-only file system cannot give.
                return self._configured(self.path.as_uri() + "?mode=ro&immutable=1", cache_kib)

        return patiently(connect, self._busy_timeout_s)

    def _configured(self, uri: str, cache_kib: int) -> _Connection:
        connection = self._connected(uri)
        try:
            self._configure(connection, cache_kib)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, uri: str) -> _Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
            cached_statements=256,
        )

    def _configure(self, connection: _Connection, cache_kib: int) -> None:
        if not self.read_only:
            # Only take effect on a file without tables. Entities are some 1 kB: with pages of 4 kB
            # a page of harvested records took 15 % longer. Pages freed later can be given back in
            # small steps, while others write (``index compact``).
            connection.execute("PRAGMA page_size=8192")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            # A commit survives the death of the process; a power cut may take the last ones, but
            # never half of one, and the checkpoint goes with its records.
            connection.execute("PRAGMA synchronous=NORMAL")
            # What is overwritten or deleted is zeroed, so that ``forget`` forgets (11.1).
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA wal_autocheckpoint=2000")
            connection.execute("PRAGMA journal_size_limit=67108864")
        else:
            connection.execute("PRAGMA schema_version")
            connection.execute(f"PRAGMA mmap_size={MAPPED_BYTES}")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.execute("PRAGMA temp_store=MEMORY")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for several SELECTs."""
        connection = self.connection()
        with translated(self.path):
            if connection.in_transaction:
                yield connection
                return
            self.look_again()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def empty_log(self) -> None:
        """Bring the write-ahead log into the file, and leave nothing of it behind.

        Raises:
            StoreBusy: somebody still reads what lies in it.
            StoreFull: the file has no room for it.
        """
        with translated(self.path):
            busy, _, _ = self.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreBusy(f"{self.path} is being read as it was before")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start: all of it or nothing."""
        if self.read_only:
            raise StoreReadOnly(f"{self.path} was opened for reading only")
        if getattr(self._local, "writing", None) is not None:
            raise sqlite3.ProgrammingError("a transaction within a transaction")
        turn = self._own_turn()
        if not turn.acquire(timeout=self._busy_timeout_s):
            raise StoreBusy(f"{self.path} is being written by ourselves for too long; try again")
        try:
            with translated(self.path):
                self._require_same_file()
                connection = self._writing_connection()
                connection.execute("BEGIN IMMEDIATE")
                self._local.writing = connection
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    # SQLite has already rolled back after a full disk and the like.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                finally:
                    self._local.writing = None
        finally:
            turn.release()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in list(self._all):
                connection.close()
            self._all.clear()
        self._writer = self._file = self._watching = None
        self._local = threading.local()


def as_list(values: Iterable[object]) -> str:
    """Values as the JSON array that ``json_each(?)`` takes."""
    return orjson.dumps(values if isinstance(values, list) else list(values)).decode()


MOST_IN_LIST = 256
_MARKS = {size: ",".join("?" * size) for size in (1, 10, 32, 64, 128, MOST_IN_LIST)}


def in_list(values: Sequence[object]) -> tuple[str, list[object]]:
    """Question marks for ``IN (…)`` and the values for them: 1 to 256, filled up to one of a few
    lengths, so that the statements stay prepared. Half of what ``json_each`` costs."""
    size = next(size for size in _MARKS if size >= len(values))
    return _MARKS[size], [*values, *[values[-1]] * (size - len(values))]


def dump(value: object) -> str:
    """A value as JSON text."""
    return orjson.dumps(value).decode()


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """The aware UTC instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def instant_or_none(microseconds: int | None) -> datetime | None:
    """As ``instant``, and nothing for nothing."""
    return None if microseconds is None else instant(microseconds)


def take(connection: sqlite3.Connection, sequence: str, count: int) -> int:
    """Reserve ``count`` numbers of a sequence inside a transaction; the last one before them."""
    row = connection.execute("SELECT last FROM sequences WHERE name = ?", (sequence,)).fetchone()
    before = int(row[0])
    if count:
        connection.execute(
            "UPDATE sequences SET last = ? WHERE name = ?", (before + count, sequence)
        )
    return before


def rows(
    connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows of a SELECT."""
    return connection.execute(statement, values).fetchall()
