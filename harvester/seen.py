"""Identifiers that a sweep has met: the first in memory, all others in a file that vanishes.

A million in a set are 110 MB; memory stays flat whatever the size of a source (fault H11).
"""

from __future__ import annotations

import sqlite3
import weakref

from harvester.ledger import LedgerFault

IN_MEMORY = 50_000


class Seen:
    """A set that only grows. Synchronous; one thread at a time."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._held: set[str] = set()
        self._on_disk = 0
        self._connection: sqlite3.Connection | None = None

    def __len__(self) -> int:
        return len(self._held) + self._on_disk

    def add(self, identifier: str) -> bool:
        """Note an identifier; whether it is new.

        Raises:
            LedgerFault: the disk for temporary files is full.
        """
        if identifier in self._held:
            return False
        if self._connection is None and len(self._held) < self._in_memory:
            self._held.add(identifier)
            return True
        try:
            is_new = self._add_on_disk(identifier)
        except sqlite3.DatabaseError as problem:
            raise LedgerFault(f"a temporary file: {problem}") from problem
        self._on_disk += is_new
        return is_new

    def _add_on_disk(self, identifier: str) -> bool:
        if self._connection is None:
            # "" is a private temporary database that SQLite spills to disk; nobody comes back to it
            # after a crash, so it needs no journal.
            self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            # Whoever sweeps just drops the set; the file goes with it.
            weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode=OFF")
            self._connection.execute(
                "CREATE TABLE seen (identifier BLOB PRIMARY KEY) WITHOUT ROWID"
            )
        # Half a pair of surrogates, which JSON may hold and UTF-8 may not, is told apart as well.
        written = identifier.encode("utf-8", "surrogatepass")
        done = self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (written,))
        return done.rowcount == 1
