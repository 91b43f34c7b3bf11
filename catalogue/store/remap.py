"""Stored raw records through the present crosswalks, without asking a facility (semantics 1.6).

Resumable by nature: each record carries the versions that made it, and only those of yesterday are
taken. Works beside a running harvest: a record that was written meanwhile is left to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import orjson

from catalogue.facilities import Facility, Source, mapping_context, read_as
from catalogue.records import ReadyRecord, SourceRecord
from catalogue.store import outbox, parts
from catalogue.store.configuration import SourceRow, as_stored, source_row, source_rows
from catalogue.store.database import Database, as_list, rows
from catalogue.store.forgotten import Forgotten
from catalogue.store.pages import without_forgotten
from catalogue.store.parts import POSITION_BITS, Part
from catalogue.store.payloads import Payloads
from catalogue.store.raw import DELETED, QUARANTINED_NOW, Stamp
from catalogue.store.ready import ready_record
from catalogue.store.versions import find_versions, put_versions
from mappings.context import Context, Header, Mapped
from mappings.errors import MappingError, UnknownFormat

Configured: TypeAlias = Mapping[str, tuple[Facility, Source]]
"""Sources by name with their facilities, as they are configured now."""

Mapper: TypeAlias = Callable[[str, bytes, Context, Header], Mapped]

BATCH = 200
# What a dry run lists; it counts all.
MAX_DIFFERENCES = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """What a record would say otherwise of an entity: names of fields, or that it comes or goes."""

    source: str
    identifier: str
    key: str
    change: str
    fields: tuple[str, ...] = ()


@dataclass(slots=True)
class RemapReport:
    """What a remap did, or (dry run) would do: counts of records, and of entities renumbered."""

    examined: int = 0
    changed: int = 0
    released: int = 0
    quarantined: int = 0
    skipped: int = 0
    entities: int = 0
    differences: list[Difference] = field(default_factory=list)


class _Raw(NamedTuple):
    id: int
    identifier: str
    format: str
    datestamp: str | None
    sets: str | None
    payload_hash: bytes
    quarantined: int
    last_run: int
    dictionary: int
    body: bytes


class Remapper:
    """Runs records of a store through a mapper, a batch in a transaction.

    Args:
        configured: takes the place of what the store knows of these sources, for a dry run, which
            does not tell the store either.
    """

    def __init__(
        self,
        database: Database,
        payloads: Payloads,
        mapper: Mapper,
        now: int,
        progress: Callable[[RemapReport], None] | None = None,
        configured: Configured | None = None,
    ) -> None:
        self._configured = configured or {}
        self._database = database
        self._payloads = payloads
        self._mapper = mapper
        self._now = now
        self._progress = progress
        self.report = RemapReport()
        self._tries_again = False

    def outdated(self, source: str | None, *, dry_run: bool) -> RemapReport:
        """All records that other versions made; with ``dry_run`` nothing is written."""
        for row in self._sources(source):
            context = mapping_context(*self._of(row))
            with self._database.read() as connection:
                present = find_versions(connection, context)
            self._all(row, _OUTDATED, present, dry_run=dry_run)
        return self.report

    def quarantined(
        self, source: str | None, identifiers: Sequence[str] | None, *, dry_run: bool
    ) -> RemapReport:
        """Quarantined records, whichever versions they were refused by.

        Where the format that they were read as does not do, the one that their source's metadata
        is read as by now is tried.
        """
        self._tries_again = True
        wanted = None if identifiers is None else as_list(list(identifiers))
        for row in self._sources(source):
            self._all(row, _QUARANTINED, wanted, dry_run=dry_run)
        return self.report

    def current(self, source: str) -> Iterator[Mapped | MappingError]:
        """What the mapper makes of every payload that is kept of a source; nothing is written."""
        (row,) = self._sources(source)
        context = mapping_context(*self._of(row))
        for batch in self._batches(row, _KEPT, None):
            for _, record in batch:
                mapped = self._mapped(record, context).mapped
                assert mapped is not None
                yield mapped

    def _of(self, row: SourceRow) -> tuple[Facility, Source]:
        """What is to be believed of how the source is configured."""
        told = self._configured.get(row.name)
        if told is not None:
            return told
        with self._database.read() as connection:
            return as_stored(connection, row.name)

    def _sources(self, source: str | None) -> list[SourceRow]:
        with self._database.read() as connection:
            if source is not None:
                return [source_row(connection, source)]
            return list(source_rows(connection).values())

    def _all(self, source: SourceRow, select: str, value: object, *, dry_run: bool) -> None:
        facility, told = self._of(source)
        context, other = mapping_context(facility, told), read_as(told)
        for pairs in self._batches(source, select, value):
            batch = [raw for raw, _ in pairs]
            made = [
                ready_record(self._made(record, context, other), source.facility)
                for _, record in pairs
            ]
            self.report.examined += len(made)
            if dry_run:
                self._compare(source, batch, made)
            else:
                self._write(source, context, batch, made)
            if self._progress is not None:
                self._progress(self.report)

    def _batches(
        self, source: SourceRow, select: str, value: object
    ) -> Iterator[list[tuple[_Raw, SourceRecord]]]:
        """Records with their payloads, a batch at a time, each read in a transaction of its own."""
        after = 0
        while True:
            with self._database.read() as connection:
                found = rows(connection, select, (source.id, value, after, BATCH))
                batch = [
                    (raw, self._source_record(connection, raw))
                    for raw in (_Raw(*row) for row in found)
                ]
            if not batch:
                return
            after = batch[-1][0].id
            yield batch

    def _source_record(self, connection: sqlite3.Connection, raw: _Raw) -> SourceRecord:
        header = Header(raw.identifier, raw.datestamp, tuple(orjson.loads(raw.sets or "[]")))
        payload = self._payloads.unpack(connection, raw.dictionary, raw.body)
        return SourceRecord(header, raw.format, payload, None)

    def _made(self, record: SourceRecord, context: Context, other: str) -> SourceRecord:
        if not self._tries_again or other == record.format:
            return self._mapped(record, context)
        tried = replace(record, format=other)
        try:
            made = self._mapped(record, context)
        except UnknownFormat:
            return self._mapped(tried, context)
        if isinstance(made.mapped, MappingError):
            again = self._mapped(tried, context)
            return made if isinstance(again.mapped, MappingError) else again
        return made

    def _mapped(self, record: SourceRecord, context: Context) -> SourceRecord:
        assert record.payload is not None
        mapped: Mapped | MappingError
        try:
            mapped = self._mapper(record.format, record.payload, context, record.header)
        except MappingError as error:
            mapped = error
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as bug:
            # As in a harvest: a crosswalk that stumbles costs this record only.
            mapped = MappingError("crosswalk", f"{type(bug).__name__}: {bug}", "no such surprise")
        return SourceRecord(record.header, record.format, record.payload, mapped)

    def _write(
        self,
        source: SourceRow,
        context: Context,
        batch: Sequence[_Raw],
        made: Sequence[ReadyRecord],
    ) -> None:
        with self._database.write() as connection:
            forgotten = Forgotten.load(connection)
            versions = put_versions(connection, context)
            still = {
                (number, digest)
                for number, digest in rows(
                    connection,
                    "SELECT id, payload_hash FROM records"
                    " WHERE id IN (SELECT value FROM json_each(?)) AND state != ?",
                    (as_list([raw.id for raw in batch]), DELETED),
                )
            }
            news: list[tuple[int, Sequence[Part]]] = []
            stamps: list[tuple[int, str, int]] = []
            for raw, ready in zip(batch, made, strict=True):
                if (raw.id, raw.payload_hash) not in still:
                    self.report.skipped += 1
                    continue
                record = without_forgotten(ready, source.facility, forgotten)
                stamps.append((versions, record.format, raw.id))
                if record.rejection is None:
                    news.append((raw.id, record.parts))
                    self._release(connection, source, raw)
                else:
                    self._refuse(connection, source, raw, record.rejection)
            connection.executemany(
                "UPDATE records SET versions = ?, format = ? WHERE id = ?", stamps
            )
            touched = parts.replace(connection, source, news, {n for n, _ in news}, self._now)
            self.report.changed += len(touched.records)
            self.report.entities += outbox.settle(connection, touched, self._now).entities

    def _release(self, connection: sqlite3.Connection, source: SourceRow, raw: _Raw) -> None:
        cursor = connection.execute("DELETE FROM quarantine WHERE record = ?", (raw.id,))
        if cursor.rowcount:
            self.report.released += 1
            connection.execute("UPDATE records SET quarantined = 0 WHERE id = ?", (raw.id,))
            connection.execute(
                "UPDATE sources SET quarantined = quarantined - 1 WHERE id = ?", (source.id,)
            )

    def _refuse(
        self,
        connection: sqlite3.Connection,
        source: SourceRow,
        raw: _Raw,
        rejection: tuple[str, str, str],
    ) -> None:
        path, reason, _ = rejection
        self.report.quarantined += 1
        stamp = Stamp(raw.last_run, self._now)
        known = connection.execute("SELECT 1 FROM quarantine WHERE record = ?", (raw.id,))
        if known.fetchone() is None:
            connection.execute("UPDATE records SET quarantined = 1 WHERE id = ?", (raw.id,))
            connection.execute(
                "UPDATE sources SET quarantined = quarantined + 1 WHERE id = ?", (source.id,)
            )
        connection.execute(QUARANTINED_NOW, (raw.id, reason, path, stamp.run, stamp.now))

    def _compare(
        self, source: SourceRow, batch: Sequence[_Raw], made: Sequence[ReadyRecord]
    ) -> None:
        with self._database.read() as connection:
            for raw, record in zip(batch, made, strict=True):
                if record.rejection is not None:
                    self.report.quarantined += 1
                    if not raw.quarantined:
                        self._note(source, raw, "", f"quarantined: {record.rejection[1]}")
                    continue
                self.report.released += raw.quarantined
                found = list(_differences(_stored(connection, raw.id), record.parts))
                self.report.changed += bool(found)
                for key, change, fields in found:
                    self._note(source, raw, key, change, fields)

    def _note(
        self, source: SourceRow, raw: _Raw, key: str, change: str, fields: tuple[str, ...] = ()
    ) -> None:
        if len(self.report.differences) < MAX_DIFFERENCES:
            self.report.differences.append(
                Difference(source.name, raw.identifier, key, change, fields)
            )


_COLUMNS = """
    SELECT r.id, r.identifier, r.format, r.datestamp, r.sets, r.payload_hash, r.quarantined,
        r.last_run, p.dictionary, p.body
    FROM records r JOIN payloads p ON p.record = r.id
"""
_OUTDATED = _COLUMNS + " WHERE r.source = ? AND r.versions != ? AND r.id > ? ORDER BY r.id LIMIT ?"
_KEPT = _COLUMNS + " WHERE r.source = ?1 AND ?2 IS NULL AND r.id > ?3 ORDER BY r.id LIMIT ?4"
_QUARANTINED = (
    _COLUMNS  # noqa: S608 - constants
    + " WHERE r.source = ?1 AND r.quarantined = 1"
    + " AND (?2 IS NULL OR r.identifier IN (SELECT value FROM json_each(?2)))"
    + " AND r.id > ?3 ORDER BY r.id LIMIT ?4"
)


def _stored(connection: sqlite3.Connection, record: int) -> list[bytes]:
    found = rows(
        connection,
        "SELECT body FROM parts WHERE id >= ? AND id < ?",
        (record << POSITION_BITS, (record + 1) << POSITION_BITS),
    )
    return [body for (body,) in found]


def _differences(
    before: Sequence[bytes], after: Sequence[Part]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Key, what happens to it, and the names of the fields that are another."""
    old: dict[str, dict[str, Any]] = {
        entity["key"]: entity for entity in (orjson.loads(body) for body in before)
    }
    new: dict[str, dict[str, Any]] = {part.key: orjson.loads(part.body) for part in after}
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            yield key, "goes", ()
        elif key not in old:
            yield key, "comes", ()
        elif old[key] != new[key]:
            names = old[key].keys() | new[key].keys()
            fields = sorted(name for name in names if old[key].get(name) != new[key].get(name))
            yield key, "changes", tuple(fields)
