"""A page of harvested records: what it changes, and all of it in one transaction (faults H08, F12).

Whatever does not need the write lock (hashing, compressing, rendering JSON) is done before it is
taken, on what the store held then; under the lock that is looked at again, and where another
process changed it meanwhile, done anew.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from catalogue.records import PageCommit, PageReport, Run, SourceRecord
from catalogue.store import outbox, parts, runs
from catalogue.store.configuration import SourceRow, source_row
from catalogue.store.database import Database, micros
from catalogue.store.forgotten import Forgotten
from catalogue.store.parts import Part
from catalogue.store.payloads import Packed, Payloads
from catalogue.store.raw import (
    DELETED,
    LIVE,
    Known,
    RecordWriter,
    Row,
    Stamp,
    is_older,
    known_records,
    older_stamp,
    payload_hash,
)
from catalogue.store.versions import find_versions, put_versions
from mappings.context import Mapped
from mappings.errors import MappingError


class Prepared(NamedTuple):
    """A record that has to be written, ready for it."""

    packed: Packed | None
    parts: tuple[Part, ...]
    error: MappingError | None
    problems: tuple[str, ...]


@dataclass(slots=True)
class Plan:
    """What a page means for the store, by identifier."""

    touch: list[tuple[SourceRecord, Known]] = field(default_factory=list)
    write: list[tuple[SourceRecord, Known | None, bytes]] = field(default_factory=list)
    delete: list[tuple[SourceRecord, Known | None]] = field(default_factory=list)
    forgotten: int = 0


class PageWriter:
    """Commits pages of one run's source, remembering what it prepared."""

    def __init__(self, database: Database, payloads: Payloads, run: Run) -> None:
        self._database = database
        self._payloads = payloads
        self._run = run

    def commit(self, page: PageCommit) -> PageReport:
        """Make a page and its checkpoint durable together.

        Raises:
            LeaseLost: another run of the source took over; nothing was written.
        """
        records = newest_by_identifier(page.records)
        hashes = {
            name: payload_hash(record.payload)
            for name, record in records.items()
            if record.payload is not None
        }
        prepared: dict[str, Prepared] = {}
        with self._database.read() as connection:
            source = source_row(connection, self._run.source)
            forgotten = Forgotten.load(connection)
            known = known_records(connection, source.id, records)
            versions = find_versions(connection, source.name)
            plan = self._plan(source, records, hashes, known, versions, forgotten)
            self._prepare(connection, source, plan, prepared, forgotten)
        with self._database.write() as connection:
            runs.require(connection, self._run)
            source = source_row(connection, self._run.source)
            again = known_records(connection, source.id, records)
            version = put_versions(connection, source.name)
            if again != known or version != versions or forgotten.is_stale(connection):
                forgotten = Forgotten.load(connection)
                prepared.clear()
                plan = self._plan(source, records, hashes, again, version, forgotten)
                self._prepare(connection, source, plan, prepared, forgotten)
            report = self._apply(connection, source, page, plan, prepared, version)
            runs.add_counts(connection, self._run.number, report)
            runs.save_checkpoint(connection, source.id, self._run.number, page.checkpoint)
        return report

    def _plan(
        self,
        source: SourceRow,
        records: Mapping[str, SourceRecord],
        hashes: Mapping[str, bytes],
        known: Mapping[str, Known],
        versions: int,
        forgotten: Forgotten,
    ) -> Plan:
        """Tell what is new or changed from what is not."""
        plan = Plan()
        for name, record in records.items():
            held = known.get(name)
            if forgotten and forgotten.has_record(source.name, name):
                plan.forgotten += 1
            elif held is not None and is_older(record, held, self._run.number):
                plan.touch.append((record, held))
            elif record.deleted or record.payload is None:
                if held is not None and held.state == DELETED:
                    plan.touch.append((record, held))
                else:
                    plan.delete.append((record, held))
            elif (
                held is not None
                and held.payload_hash == hashes[name]
                and held.versions == versions
                and held.state == LIVE
                and not held.quarantined
            ):
                plan.touch.append((record, held))
            else:
                plan.write.append((record, held, hashes[name]))
        return plan

    def _prepare(
        self,
        connection: sqlite3.Connection,
        source: SourceRow,
        plan: Plan,
        prepared: dict[str, Prepared],
        forgotten: Forgotten,
    ) -> None:
        """Compress and render what the plan writes."""
        dictionaries: dict[str, int] = {}
        for record, _, _ in plan.write:
            if record.format not in dictionaries:
                dictionaries[record.format] = self._payloads.newest(
                    connection, source.id, record.format
                )
            prepared[record.header.identifier] = prepare(
                record, source, self._payloads, dictionaries[record.format], forgotten
            )

    def _apply(
        self,
        connection: sqlite3.Connection,
        source: SourceRow,
        page: PageCommit,
        plan: Plan,
        prepared: Mapping[str, Prepared],
        versions: int,
    ) -> PageReport:
        stamp = Stamp(self._run.number, micros(page.harvested_at))
        writer = RecordWriter(connection, source, stamp)
        writer.touch(plan.touch)
        writer.put(
            [
                Row(record, held, digest, prepared[record.header.identifier].packed)
                for record, held, digest in plan.write
            ],
            versions,
        )
        gone = writer.delete(plan.delete) | writer.delete_named(page.deleted)
        writer.leave_set(page.left_set)
        news: list[tuple[int, Sequence[Part]]] = []
        for record, _, _ in plan.write:
            made = prepared[record.header.identifier]
            number = writer.numbers[record.header.identifier]
            if made.error is None:
                news.append((number, made.parts))
                writer.release(number)
            else:
                # What cannot be mapped any more keeps what it said last.
                writer.quarantine(number, made.error)
        news.extend((number, ()) for number in sorted(gone))
        writer.finish()
        touched = parts.replace(connection, source, news, writer.existing | gone)
        settled = outbox.settle(connection, touched, stamp.now)
        runs.add_problems(connection, stamp.run, problems_of(prepared))
        new = sum(1 for _, held, _ in plan.write if held is None)
        same = sum(1 for _, held, digest in plan.write if held is not None and _same(held, digest))
        return PageReport(
            received=len(page.records),
            new=new,
            changed=len(plan.write) - new - same,
            unchanged=len(page.records)
            - len(plan.write)
            - len(plan.delete)
            - plan.forgotten
            + same,
            deleted=len(gone),
            quarantined=sum(1 for item in prepared.values() if item.error is not None),
            entities=settled.entities,
            last_change=settled.last_change,
            forgotten=plan.forgotten,
        )


def newest_by_identifier(records: Iterable[SourceRecord]) -> dict[str, SourceRecord]:
    """One record for each identifier: of several in a page the newest counts (fault F12)."""
    newest: dict[str, SourceRecord] = {}
    for record in records:
        name = record.header.identifier
        held = newest.get(name)
        if held is None or not older_stamp(record.header.datestamp, held.header.datestamp):
            newest[name] = record
    return newest


def prepare(
    record: SourceRecord,
    source: SourceRow,
    payloads: Payloads,
    dictionary: int,
    forgotten: Forgotten,
) -> Prepared:
    """Make a record ready to be written: compressed payload, parts as JSON."""
    packed = payloads.pack(record.payload, dictionary) if record.payload is not None else None
    mapped = record.mapped
    if isinstance(mapped, MappingError):
        if forgotten.persons:
            # Nobody knows who is named in what cannot be read.
            packed = None
        return Prepared(packed, (), mapped, ())
    mapped = mapped or Mapped(())
    entities: Iterable[Mapping[str, object]] = mapped.entities
    if forgotten:
        kept = forgotten.without(mapped.entities)
        if kept.erased:
            packed = None
        entities = kept.entities
    made = (parts.part_of(entity, source.facility) for entity in entities)
    problems = tuple(f"{problem.path}: {problem.reason}" for problem in mapped.problems)
    return Prepared(packed, tuple(part for part in made if part is not None), None, problems)


def _same(held: Known, digest: bytes) -> bool:
    return held.payload_hash == digest and held.state != DELETED


def problems_of(prepared: Mapping[str, Prepared]) -> dict[str, list[str]]:
    """Identifiers by what is wrong with them, without the values, so that equal faults meet."""
    problems: dict[str, list[str]] = defaultdict(list)
    for identifier, made in prepared.items():
        if made.error is not None:
            problems[f"quarantined: {made.error.path}: expected {made.error.expected}"].append(
                identifier
            )
        for problem in made.problems:
            problems[problem].append(identifier)
    return problems
