"""Raw records as rows: written, seen again, deleted, quarantined; what they were before is history.

States (semantics 1.4, fault H06): *live*; *left_set*, which still exists at the facility but no
longer in the harvested set, and counts as live for its entities; *deleted*, a tombstone without
payload. A deleted record that comes back is live again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from catalogue.records import RecordState
from catalogue.store.configuration import SourceRow
from catalogue.store.database import as_list, dump, rows
from mappings.context import Header

LIVE, DELETED, LEFT_SET = 1, 2, 3
STATES: dict[int, RecordState] = {LIVE: "live", DELETED: "deleted", LEFT_SET: "left_set"}
STATE_NUMBERS = {name: number for number, name in STATES.items()}

# Superseded versions kept of each record, the newest: enough to see what a facility changed.
HISTORY = 5


# Since when stays as it was.
QUARANTINED_NOW = (
    "INSERT INTO quarantine (record, reason, path, run, since) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (record) DO UPDATE SET"
    " reason = excluded.reason, path = excluded.path, run = excluded.run"
)


class Known(NamedTuple):
    """What the store holds of a record before a change."""

    id: int
    payload_hash: bytes | None
    versions: int
    state: int
    quarantined: int
    datestamp: str | None
    sets: str | None
    last_run: int


class Envelope(Protocol):
    """What a raw record in any form says of itself."""

    @property
    def header(self) -> Header:
        """Identifier, datestamp, sets."""

    @property
    def format(self) -> str:
        """The name of its crosswalk."""


class Row(NamedTuple):
    """A record to be written, with what the store holds of it."""

    record: Envelope
    held: Known | None
    payload_hash: bytes
    packed: tuple[int, bytes] | None


class Stamp(NamedTuple):
    """The run that writes, and when (microseconds since 1970)."""

    run: int
    now: int


def older_stamp(one: str | None, other: str | None) -> bool:
    """Whether a datestamp is before another; only those of the same form can be compared."""
    return one is not None and other is not None and len(one) == len(other) and one < other


def is_older(record: Envelope, held: Known, run: int) -> bool:
    """A page that comes twice in one run, from a cache, must not bring back what was (fault F12).
    Another run is believed: a facility may have gone back to a backup of its own."""
    return held.last_run == run and older_stamp(record.header.datestamp, held.datestamp)


def known_records(
    connection: sqlite3.Connection, source: int, identifiers: Iterable[str]
) -> dict[str, Known]:
    """What the store holds of the records with these identifiers."""
    found = rows(
        connection,
        "SELECT r.identifier, r.id, r.payload_hash, r.versions, r.state, r.quarantined,"
        " r.datestamp, r.sets, r.last_run FROM json_each(?) j CROSS JOIN records r"
        " ON r.source = ? AND r.identifier = j.value",
        (as_list(identifiers), source),
    )
    return {identifier: Known(*rest) for identifier, *rest in found}


class RecordWriter:
    """Writes the rows of one source inside the caller's transaction; ``finish`` at the end.

    Attributes:
        numbers: record number by identifier, of what ``put`` wrote.
        existing: those of them that were there before.
    """

    def __init__(self, connection: sqlite3.Connection, source: SourceRow, stamp: Stamp) -> None:
        self._connection = connection
        self._source = source
        self._stamp = stamp
        self._live = 0
        self._quarantined = 0
        self._was_quarantined: set[int] = set()
        self._released: list[tuple[int]] = []
        self.numbers: dict[str, int] = {}
        self.existing: set[int] = set()

    def touch(self, seen: Sequence[tuple[Envelope, Known]]) -> None:
        """Unchanged records: seen by this run; the envelope follows the server."""
        if not seen:
            return
        self._connection.execute(
            "UPDATE records SET last_run = ? WHERE id IN (SELECT value FROM json_each(?))",
            (self._stamp.run, as_list([held.id for _, held in seen])),
        )
        moved = [
            (record.header.datestamp, _sets(record), held.id)
            for record, held in seen
            if (record.header.datestamp, _sets(record)) != (held.datestamp, held.sets)
            and not is_older(record, held, self._stamp.run)
        ]
        self._connection.executemany(
            "UPDATE records SET datestamp = ?, sets = ? WHERE id = ?", moved
        )

    def put(self, written: Sequence[Row], versions: int) -> None:
        """New and changed records, live from now on."""
        inserts, updates, packed = [], [], []
        last = self._connection.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0]
        for record, held, digest, body in written:
            header = record.header
            common = (
                record.format,
                header.datestamp,
                _sets(record),
                digest,
                versions,
                self._stamp.now,
                self._stamp.run,
            )
            if held is None:
                last += 1
                number = last
                inserts.append((number, self._source.id, header.identifier, *common, LIVE))
                self._live += 1
            else:
                number = held.id
                updates.append((*common, LIVE, number))
                self.existing.add(number)
                self._live += held.state != LIVE
                if held.quarantined:
                    self._was_quarantined.add(number)
            self.numbers[header.identifier] = number
            if body is not None:
                packed.append((number, *body))
        changed = [row.held.id for row in written if row.held and row.held.payload_hash != row[2]]
        self._keep_history(changed)
        self._connection.executemany(
            "INSERT INTO records (id, source, identifier, format, datestamp, sets, payload_hash,"
            " versions, harvested_at, last_run, state, quarantined)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            inserts,
        )
        self._connection.executemany(
            "UPDATE records SET format = ?, datestamp = ?, sets = ?, payload_hash = ?,"
            " versions = ?, harvested_at = ?, last_run = ?, state = ?, quarantined = 0"
            " WHERE id = ?",
            updates,
        )
        self._drop_payloads([row.held.id for row in written if row.held])
        self._connection.executemany("INSERT INTO payloads VALUES (?, ?, ?)", packed)

    def quarantine(self, number: int, path: str, reason: str) -> None:
        """A record that cannot be mapped: why, and since when."""
        self._connection.execute("UPDATE records SET quarantined = 1 WHERE id = ?", (number,))
        self._connection.execute(
            QUARANTINED_NOW,
            (number, reason, path, self._stamp.run, self._stamp.now),
        )
        self._quarantined += number not in self._was_quarantined

    def release(self, number: int) -> None:
        """A record that can be mapped (again)."""
        if number in self._was_quarantined:
            self._released.append((number,))
            self._quarantined -= 1

    def delete(self, tombstones: Sequence[tuple[Envelope, Known | None]]) -> set[int]:
        """Deletions that the facility states; the numbers of records that were there."""
        unheard = [
            (
                self._source.id,
                record.header.identifier,
                record.format,
                record.header.datestamp,
                _sets(record),
                self._stamp.now,
                self._stamp.run,
                DELETED,
            )
            for record, held in tombstones
            if held is None
        ]
        # A tombstone of something we never had is kept too: it was seen (fault H06).
        self._connection.executemany(
            "INSERT INTO records (source, identifier, format, datestamp, sets, harvested_at,"
            " last_run, state, quarantined, versions)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
            unheard,
        )
        moved = [
            (record.header.datestamp, _sets(record), held.id) for record, held in tombstones if held
        ]
        self._connection.executemany(
            "UPDATE records SET datestamp = coalesce(?, datestamp), sets = ? WHERE id = ?", moved
        )
        return self._bury([held for _, held in tombstones if held])

    def delete_named(self, identifiers: Sequence[str]) -> set[int]:
        """Deletions found by reconciliation; the numbers of records that were there."""
        if not identifiers:
            return set()
        known = known_records(self._connection, self._source.id, identifiers)
        return self._bury([held for held in known.values() if held.state != DELETED])

    def _bury(self, known: Sequence[Known]) -> set[int]:
        numbers = [held.id for held in known]
        if not numbers:
            return set()
        self._keep_history(numbers)
        self._drop_payloads(numbers)
        self._connection.execute(
            "UPDATE records SET state = ?, quarantined = 0, payload_hash = NULL,"
            " harvested_at = ?, last_run = ? WHERE id IN (SELECT value FROM json_each(?))",
            (DELETED, self._stamp.now, self._stamp.run, as_list(numbers)),
        )
        self._live -= sum(1 for held in known if held.state == LIVE)
        buried = [(held.id,) for held in known if held.quarantined]
        self._released.extend(buried)
        self._quarantined -= len(buried)
        return set(numbers)

    def leave_set(self, identifiers: Sequence[str]) -> None:
        """Records that exist, but no longer in the harvested set (semantics 1.4)."""
        if not identifiers:
            return
        known = known_records(self._connection, self._source.id, identifiers)
        numbers = [held.id for held in known.values() if held.state == LIVE]
        self._connection.execute(
            "UPDATE records SET state = ? WHERE id IN (SELECT value FROM json_each(?))",
            (LEFT_SET, as_list(numbers)),
        )
        self._live -= len(numbers)

    def finish(self) -> None:
        """Bring quarantine and the source's counts up to date."""
        self._connection.executemany("DELETE FROM quarantine WHERE record = ?", self._released)
        if self._live or self._quarantined:
            self._connection.execute(
                "UPDATE sources SET live = live + ?, quarantined = quarantined + ? WHERE id = ?",
                (self._live, self._quarantined, self._source.id),
            )

    def _keep_history(self, numbers: Sequence[int]) -> None:
        """What is about to be superseded becomes history; the oldest of it goes."""
        if not numbers:
            return
        named = as_list(list(numbers))
        self._connection.execute(
            "INSERT INTO history (record, datestamp, harvested_at, superseded_at, run, dictionary,"
            " body) SELECT r.id, r.datestamp, r.harvested_at, ?, r.last_run, p.dictionary, p.body"
            " FROM json_each(?) j CROSS JOIN records r ON r.id = j.value"
            " JOIN payloads p ON p.record = r.id",
            (self._stamp.now, named),
        )
        self._connection.execute(
            "DELETE FROM history WHERE id IN (SELECT h.id FROM json_each(?1) j CROSS JOIN"
            " history h ON h.record = j.value WHERE (SELECT count(*) FROM history newer"
            " WHERE newer.record = h.record AND newer.id > h.id) >= ?2)",
            (named, HISTORY),
        )

    def _drop_payloads(self, numbers: Sequence[int]) -> None:
        if numbers:
            self._connection.execute(
                "DELETE FROM payloads WHERE record IN (SELECT value FROM json_each(?))",
                (as_list(list(numbers)),),
            )


def _sets(record: Envelope) -> str | None:
    return dump(list(record.header.sets)) if record.header.sets else None
