"""Making the file small, in short steps beside running harvests (fault H09)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from catalogue.store.database import Database, rows
from catalogue.store.payloads import (
    NO_DICTIONARY,
    SAMPLES,
    Payloads,
    newest_dictionary,
    save_dictionary,
    train,
)

BATCH = 500
# Pages given back in one transaction: 8 MB, some 20 ms.
VACUUM_PAGES = 1_000
# Below this a dictionary costs more than it saves.
MIN_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """The file before and after, in bytes, and how many payloads were compressed anew."""

    bytes_before: int
    bytes_after: int
    repacked: int


def compact(database: Database, payloads: Payloads, now: int) -> CompactionReport:
    """Train dictionaries on what is there now, compress all payloads with them, give back space."""
    database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = database.path.stat().st_size
    with database.read() as connection:
        formats = rows(connection, "SELECT DISTINCT source, format FROM records")
    repacked = sum(repack(database, payloads, source, form, now) for source, form in formats)
    vacuum(database)
    return CompactionReport(before, database.path.stat().st_size, repacked)


def repack(database: Database, payloads: Payloads, source: int, form: str, now: int) -> int:
    """Compress the payloads and history of a source's format with a new dictionary.

    The dictionaries before are deleted. How many payloads were written.
    """
    with database.read() as connection:
        old = {
            number
            for (number,) in rows(
                connection,
                "SELECT id FROM dictionaries WHERE source = ? AND format = ?",
                (source, form),
            )
        }
        found = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM records r JOIN payloads p ON p.record = r.id"
            " WHERE r.source = ? AND r.format = ? LIMIT ?)",
            (source, form, MIN_SAMPLES),
        ).fetchone()
        body = None
        if found[0] >= MIN_SAMPLES:
            body = train(connection, payloads, source, form)
    if body is not None:
        with database.write() as connection:
            save_dictionary(connection, source, form, body, SAMPLES, now)
    goal = _Goal(source, form, with_dictionary=body is not None)
    written = 0
    for table in _TABLES:
        written += _repack_table(database, payloads, goal, table)
    with database.write() as connection:
        # What a harvest wrote with an old one in between; under the lock there is no more of it.
        for table in _TABLES:
            made = _repack_batch(connection, payloads, goal, table, after=0, limit=-1)
            written += len(made)
        connection.executemany("DELETE FROM dictionaries WHERE id = ?", [(n,) for n in old])
    return written


class _Table(NamedTuple):
    name: str
    select: str
    update: str


# As two literals each, because names of tables cannot be parameters.
_TABLES = (
    _Table(
        "payloads",
        "SELECT p.record, p.dictionary, p.body FROM payloads p JOIN records r ON r.id = p.record"
        " WHERE r.source = ? AND r.format = ? AND p.dictionary != ? AND p.record > ?"
        " ORDER BY p.record LIMIT ?",
        "UPDATE payloads SET dictionary = ?, body = ? WHERE record = ?",
    ),
    _Table(
        "history",
        "SELECT h.id, h.dictionary, h.body FROM history h JOIN records r ON r.id = h.record"
        " WHERE r.source = ? AND r.format = ? AND h.dictionary != ? AND h.id > ?"
        " ORDER BY h.id LIMIT ?",
        "UPDATE history SET dictionary = ?, body = ? WHERE id = ?",
    ),
)


class _Goal(NamedTuple):
    source: int
    form: str
    with_dictionary: bool


def _repack_table(database: Database, payloads: Payloads, goal: _Goal, table: _Table) -> int:
    """Write rows of another dictionary anew, a batch in a transaction; how many."""
    written = after = 0
    while True:
        with database.write() as connection:
            made = _repack_batch(connection, payloads, goal, table, after=after, limit=BATCH)
        if not made:
            return written
        written += len(made)
        after = made[-1]


def _repack_batch(
    connection: sqlite3.Connection,
    payloads: Payloads,
    goal: _Goal,
    table: _Table,
    *,
    after: int,
    limit: int,
) -> list[int]:
    dictionary = None
    if goal.with_dictionary:
        dictionary = newest_dictionary(connection, goal.source, goal.form)
    number = dictionary.number if dictionary else NO_DICTIONARY
    found = rows(connection, table.select, (goal.source, goal.form, number, after, limit))
    connection.executemany(
        table.update,
        [
            (*payloads.pack(payloads.unpack(connection, used, body), dictionary), row)
            for row, used, body in found
        ],
    )
    return [row for row, _, _ in found]


def vacuum(database: Database) -> None:
    """Give free pages back to the file system, some at a time, and empty the write-ahead log."""
    connection = database.connection()
    while connection.execute("PRAGMA freelist_count").fetchone()[0]:
        with database.write() as writing:
            # Steps through as many rows as pages are moved.
            writing.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
