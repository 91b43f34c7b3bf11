"""What a harvest has been told, on disk: identifiers listed, and deletions not yet believed.

Memory stays flat whatever the size of a source (fault H11), and a killed run finds its ledger
again. The file is scratch: without it a harvest begins again, and nothing is lost.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harvester.errors import HarvestError

FOLDER_NAME = "harvesting"
BATCH = 5_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS harvest (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS told (identifier TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (
    identifier TEXT PRIMARY KEY, known INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""

LivePages = Callable[[str | None, int], Sequence[str]]
"""``(after, limit)`` → the next live identifiers of the source; empty at the end."""


class LedgerFault(HarvestError):
    """The ledger cannot be written; usually the disk is full."""


class Ledger:
    """The notes of one harvest of one source. Synchronous; one thread at a time.

    Args:
        path: of the SQLite file; ``None`` keeps it in a temporary file that vanishes.
        harvest: the harvest's identity. Notes of another harvest are thrown away.
    """

    def __init__(self, path: Path | None, harvest: str) -> None:
        self.path = path
        self.resumed = False
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            # "" is a private temporary database that SQLite spills to disk.
            self._connection = sqlite3.connect(
                "" if path is None else path, check_same_thread=False, isolation_level=None
            )
            self._prepare(harvest)
        except (sqlite3.DatabaseError, OSError) as problem:
            raise LedgerFault(f"{path}: {problem}") from problem

    def _prepare(self, harvest: str) -> None:
        try:
            self._connection.executescript("PRAGMA journal_mode=WAL;" + _SCHEMA)
        except sqlite3.DatabaseError:
            # A damaged scratch file is thrown away, not repaired (fault H08).
            if self.path is None:
                raise
            self._connection.close()
            remove_files(self.path)
            self._connection = sqlite3.connect(
                self.path, check_same_thread=False, isolation_level=None
            )
            self._connection.executescript("PRAGMA journal_mode=WAL;" + _SCHEMA)
        row = self._connection.execute("SELECT id FROM harvest").fetchone()
        self.resumed = row is not None and row[0] == harvest
        if not self.resumed:
            self._begin(harvest)

    def _begin(self, harvest: str) -> None:
        self._connection.executescript(
            "BEGIN; DELETE FROM harvest; DELETE FROM told; DELETE FROM listed; COMMIT;"
        )
        self._connection.execute("INSERT INTO harvest VALUES (?)", (harvest,))

    def rename(self, harvest: str) -> None:
        """Begin empty, as the ledger of another harvest."""
        with self._translated():
            self._begin(harvest)

    def tell_deleted(self, identifiers: Iterable[str]) -> None:
        """Note identifiers that the server called deleted."""
        self._insert("INSERT OR IGNORE INTO told VALUES (?)", identifiers)

    def untell(self, identifiers: Iterable[str]) -> None:
        """Forget a deletion: the record came again, alive."""
        self._insert("DELETE FROM told WHERE identifier = ?", identifiers)

    def list_(self, identifiers: Iterable[str]) -> None:
        """Note identifiers that the source lists as existing."""
        self._insert("INSERT OR IGNORE INTO listed (identifier) VALUES (?)", identifiers)

    def clear_listed(self) -> None:
        """Begin the list again."""
        with self._translated():
            self._connection.execute("DELETE FROM listed")

    def _insert(self, statement: str, identifiers: Iterable[str]) -> None:
        rows = [(identifier,) for identifier in identifiers]
        if not rows:
            return
        with self._translated():
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany(statement, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _translated(self) -> _Translated:
        return _Translated(self.path)

    def count_listed(self) -> int:
        """How many identifiers are listed."""
        return int(self._connection.execute("SELECT count(*) FROM listed").fetchone()[0])

    def count_told(self) -> int:
        """How many deletions were told."""
        return int(self._connection.execute("SELECT count(*) FROM told").fetchone()[0])

    def told_and_live(self, live: LivePages) -> Iterator[list[str]]:
        """Batches of identifiers told deleted that the store still holds as live."""
        if not self.count_told():
            return
        for page in _all_pages(live):
            found = self._among(page, "SELECT value FROM json_each(?) WHERE value IN told_ids")
            if found:
                yield found

    def live_and_unlisted(self, live: LivePages) -> Iterator[list[str]]:
        """Batches of identifiers that the store holds as live and the list does not name, but for
        those told deleted: they are counted with these.

        As a side effect marks the listed ones that are known, for ``listed_and_unknown``.
        """
        for page in _all_pages(live):
            with self._translated():
                self._connection.execute(
                    "UPDATE listed SET known = 1 WHERE identifier IN"
                    " (SELECT value FROM json_each(?))",
                    (json.dumps(list(page)),),
                )
            found = self._among(
                page,
                "SELECT value FROM json_each(?)"
                " WHERE value NOT IN listed_ids AND value NOT IN told_ids",
            )
            if found:
                yield found

    def listed_and_unknown(self, limit: int) -> list[str]:
        """The first listed identifiers that the store does not hold as live."""
        rows = self._connection.execute(
            "SELECT identifier FROM listed WHERE known = 0 ORDER BY identifier LIMIT ?", (limit,)
        )
        return [identifier for (identifier,) in rows]

    def _among(self, page: Sequence[str], statement: str) -> list[str]:
        query = statement.replace("told_ids", "(SELECT identifier FROM told)").replace(
            "listed_ids", "(SELECT identifier FROM listed)"
        )
        return [value for (value,) in self._connection.execute(query, (json.dumps(list(page)),))]

    def close(self) -> None:
        """Close; the file stays for whoever goes on."""
        self._connection.close()

    def discard(self) -> None:
        """Close and remove the file: the harvest is over."""
        self.close()
        if self.path is not None:
            remove_files(self.path)


class _Translated:
    """SQLite's errors, and only those, become ``LedgerFault``."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            raise LedgerFault(f"{self._path}: {error}") from error


def _all_pages(live: LivePages) -> Iterator[Sequence[str]]:
    after: str | None = None
    while page := live(after, BATCH):
        yield page
        after = page[-1]


def ledger_path(data: Path, source: str) -> Path:
    """Where the notes of a source's harvest are."""
    return data / FOLDER_NAME / (re.sub(r"[^A-Za-z0-9._-]", "_", source) + ".sqlite")


def remove_files(path: Path) -> None:
    """Remove an SQLite file with its companions."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
