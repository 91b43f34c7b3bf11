"""A page of harvested records: what it changes, and all of it in one transaction (faults H08, F12).

Whatever does not need the write lock (hashing, compressing, rendering JSON) is done before it is
taken, on what the store held then; under the lock that is looked at again, and where another
process changed it meanwhile, done anew.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias

import orjson

from catalogue.records import (
    Foreseen,
    PageCommit,
    PageReport,
    ReadyRecord,
    Run,
    SourceRecord,
)
from catalogue.store import outbox, parts, runs
from catalogue.store.configuration import SourceRow, context_of, providers, source_row
from catalogue.store.database import Database, micros
from catalogue.store.forgotten import Forgotten
from catalogue.store.parts import CLASS_NAMES, DATASETS, INSTRUMENT, Part
from catalogue.store.payloads import Dictionary, Payloads, newest_dictionary
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
)
from catalogue.store.ready import parts_of, payload_hash, ready_record
from catalogue.store.versions import find_versions, put_versions
from mappings.context import Context

AnyRecord: TypeAlias = SourceRecord | ReadyRecord


@dataclass(slots=True)
class Plan:
    """What a page means for the store."""

    touch: list[tuple[AnyRecord, Known]] = field(default_factory=list)
    write: list[tuple[AnyRecord, Known | None]] = field(default_factory=list)
    delete: list[tuple[AnyRecord, Known | None]] = field(default_factory=list)
    forgotten: int = 0


class PageWriter:
    """Commits pages of one run's source."""

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
        with self._database.read() as connection:
            source = source_row(connection, self._run.source)
            before = self._look(connection, source, records, find_versions)
            plan, prepared = self._prepare(connection, source, records, before)
        with self._database.write() as connection:
            runs.require(connection, self._run)
            source = source_row(connection, self._run.source)
            now = self._look(connection, source, records, put_versions)
            if now != before and (records or now.forgotten):
                plan, prepared = self._prepare(connection, source, records, now)
            report = self._apply(connection, source, page, plan, prepared, now.versions)
            runs.add_counts(connection, self._run.number, report)
            runs.save_checkpoint(connection, source.id, self._run.number, page.checkpoint)
        return report

    @staticmethod
    def _look(
        connection: sqlite3.Connection,
        source: SourceRow,
        records: Mapping[str, AnyRecord],
        versions: Callable[[sqlite3.Connection, Context], int],
    ) -> _Held:
        return _Held(
            known_records(connection, source.id, records),
            versions(connection, context_of(connection, source.name)),
            Forgotten.load(connection),
            {
                form: newest_dictionary(connection, source.id, form)
                for form in {record.format for record in records.values()}
            },
        )

    def _prepare(
        self,
        connection: sqlite3.Connection,
        source: SourceRow,
        records: Mapping[str, AnyRecord],
        held: _Held,
    ) -> tuple[Plan, list[ReadyRecord]]:
        """Tell what is new or changed from what is not, and render what is to be written."""
        plan = make_plan(source, self._run.number, records, held)
        prepared = [
            self._ready(record, source.facility, held.dictionaries[record.format], held.forgotten)
            for record, _ in plan.write
        ]
        return plan, prepared

    def _ready(
        self,
        record: AnyRecord,
        facility: str,
        dictionary: Dictionary | None,
        forgotten: Forgotten,
    ) -> ReadyRecord:
        number = dictionary.number if dictionary else 0
        if isinstance(record, SourceRecord):
            record = ready_record(record, facility, self._payloads, dictionary)
        elif record.payload is not None and (record.packed is None or record.packed[0] != number):
            # Rendered before this dictionary was trained, or without one.
            record = record._replace(packed=self._payloads.pack(record.payload, dictionary))
        return without_forgotten(record, facility, forgotten) if forgotten else record

    def _apply(
        self,
        connection: sqlite3.Connection,
        source: SourceRow,
        page: PageCommit,
        plan: Plan,
        prepared: Sequence[ReadyRecord],
        versions: int,
    ) -> PageReport:
        stamp = Stamp(self._run.number, micros(page.harvested_at))
        writer = RecordWriter(connection, source, stamp)
        writer.touch(plan.touch)
        writer.put(
            [
                Row(record, held, record.payload_hash or b"", record.packed)
                for record, (_, held) in zip(prepared, plan.write, strict=True)
            ],
            versions,
        )
        gone = writer.delete(plan.delete) | writer.delete_named(page.deleted)
        writer.leave_set(page.left_set)
        news: list[tuple[int, Sequence[Part]]] = []
        for record in prepared:
            number = writer.numbers[record.header.identifier]
            if record.rejection is None:
                news.append((number, record.parts))
                writer.release(number)
            else:
                # What cannot be mapped any more keeps what it said last.
                path, reason, _ = record.rejection
                writer.quarantine(number, path, reason)
        news.extend((number, ()) for number in sorted(gone))
        writer.finish()
        touched = parts.replace(connection, source, news, writer.existing | gone, stamp.now)
        settled = outbox.settle(connection, touched, stamp.now)
        runs.add_problems(connection, stamp.run, problems_of(prepared))
        new = sum(1 for _, held in plan.write if held is None)
        changed = sum(
            1
            for record, (_, held) in zip(prepared, plan.write, strict=True)
            if held is not None and held.payload_hash != record.payload_hash
        )
        return PageReport(
            received=len(page.records),
            new=new,
            changed=changed,
            unchanged=len(page.records) - new - changed - len(plan.delete) - plan.forgotten,
            deleted=len(gone),
            quarantined=sum(1 for record in prepared if record.rejection is not None),
            entities=settled.entities,
            last_change=settled.last_change,
            forgotten=plan.forgotten,
            foreseen=(
                _numbered(prepared, settled.undisturbed)
                if providers(connection).get(source.facility) == page.provider
                else ()
            ),
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """What the store held when a page was looked at."""

    known: Mapping[str, Known]
    versions: int
    forgotten: Forgotten
    dictionaries: Mapping[str, Dictionary | None]


def make_plan(source: SourceRow, run: int, records: Mapping[str, AnyRecord], before: _Held) -> Plan:
    """Tell what is new or changed from what is not."""
    plan = Plan()
    for name, record in records.items():
        held = before.known.get(name)
        if before.forgotten and before.forgotten.has_record(source.name, name):
            plan.forgotten += 1
        elif held is not None and is_older(record, held, run):
            plan.touch.append((record, held))
        elif record.deleted or record.payload is None:
            if held is not None and held.state == DELETED:
                plan.touch.append((record, held))
            else:
                plan.delete.append((record, held))
        elif (
            held is not None
            and held.versions == before.versions
            and held.state == LIVE
            and not held.quarantined
            and held.payload_hash == _hash_of(record)
        ):
            plan.touch.append((record, held))
        else:
            plan.write.append((record, held))
    return plan


def _numbered(
    prepared: Iterable[ReadyRecord], undisturbed: Mapping[str, tuple[int, int]]
) -> list[Foreseen]:
    """Engine documents that came with records all of whose entities are theirs alone, instruments
    excepted.

    Args:
        undisturbed: ordinal and change number by key.
    """
    found: list[Foreseen] = []
    for record in prepared:
        if not record.foreseen or not all(
            part.key in undisturbed or part.entity_class == INSTRUMENT for part in record.parts
        ):
            continue
        datasets: dict[str, set[int]] = defaultdict(set)
        for part in record.parts:
            for parent, relation, child in part.links:
                if relation == DATASETS:
                    datasets[parent].add(undisturbed[child][0])
        for part, body in zip(record.parts, record.foreseen, strict=True):
            key: str = part.key
            if key not in undisturbed:
                continue
            ordinal, change = undisturbed[key]
            links = tuple(sorted(datasets[key])) if key in datasets else ()
            found.append(
                Foreseen(key, CLASS_NAMES[part.entity_class], ordinal, change, links, body)
            )
    found.sort(key=_by_change)
    return found


_by_change = attrgetter("change")


def _hash_of(record: AnyRecord) -> bytes | None:
    if isinstance(record, ReadyRecord):
        return record.payload_hash
    return None if record.payload is None else payload_hash(record.payload)


def newest_by_identifier(records: Iterable[AnyRecord]) -> dict[str, AnyRecord]:
    """One record for each identifier: of several in a page the newest counts (fault F12)."""
    newest: dict[str, AnyRecord] = {}
    for record in records:
        name = record.header.identifier
        held = newest.get(name)
        if held is None or not older_stamp(record.header.datestamp, held.header.datestamp):
            newest[name] = record
    return newest


def without_forgotten(record: ReadyRecord, facility: str, forgotten: Forgotten) -> ReadyRecord:
    """A record without what must not come back; then its payload is not kept either (11.1)."""
    kept = forgotten.without(orjson.loads(part.body) for part in record.parts)
    if kept.erased:
        parts = parts_of(kept.entities, facility)
        return record._replace(payload=None, packed=None, parts=parts, foreseen=())
    if record.payload is not None and forgotten.mentioned(record.payload):
        return record._replace(payload=None, packed=None)
    return record


def problems_of(records: Iterable[ReadyRecord]) -> dict[str, list[str]]:
    """Identifiers by what is wrong with them, without the values, so that equal faults meet."""
    problems: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.rejection is not None:
            path, _, expected = record.rejection
            reason = f"quarantined: {path}: expected {expected}"
            problems[reason].append(record.header.identifier)
        for problem in record.problems:
            problems[problem].append(record.header.identifier)
    return problems
