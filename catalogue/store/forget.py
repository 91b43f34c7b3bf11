"""Erasure on request (semantics 11.1): a record, or a person in all records.

What is erased: payloads, superseded versions, quarantine, parts and what was merged from them. What
stays: the entity's key as a tombstone, so that engines and harvesters of ours delete it too, and
salted digests, so that the next harvest does not bring it back. Freed bytes are zeroed.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from catalogue.errors import NotFound, StoreError
from catalogue.store import outbox, parts
from catalogue.store.compaction import repack
from catalogue.store.configuration import (
    SourceRow,
    facility_names,
    meta,
    set_meta,
    source_rows,
)
from catalogue.store.database import Database, as_list, instant, micros, rows
from catalogue.store.forgotten import (
    ENTITY,
    NOTHING,
    PERSON,
    RECORD,
    SALT,
    Forgotten,
    may_be_person,
    person_form,
    words_of,
)
from catalogue.store.parts import CLASSES, DATASET, DOCUMENT, POSITION_BITS, Part
from catalogue.store.payloads import Payloads
from catalogue.store.raw import LIVE
from catalogue.store.ready import parts_of
from mappings.identifiers import entity_key, orcid

BATCH = 200


@dataclass(frozen=True, slots=True)
class OldCopy:
    """A backup or export made before, which still holds what was forgotten."""

    path: Path
    kind: str
    made_at: datetime
    exists: bool


@dataclass(slots=True)
class ForgetReport:
    """What was erased, and what could not be.

    Attributes:
        kind: ``record`` or ``person``.
        records: raw records taken out altogether, as (source, identifier).
        payloads: payloads erased of records that stay.
        history: superseded versions erased.
        entities: keys of the entities that are gone or another, or lost a payload.
        still_mentioned: keys of entities in whose texts the name still stands.
        copies: backups and exports from before.
        left: why traces stay in the file until it is compacted, if they do.
    """

    kind: str
    records: list[tuple[str, str]] = field(default_factory=list)
    payloads: int = 0
    history: int = 0
    entities: list[str] = field(default_factory=list)
    still_mentioned: list[str] = field(default_factory=list)
    copies: tuple[OldCopy, ...] = ()
    left: str | None = None


class _Record(NamedTuple):
    id: int
    source: int
    identifier: str
    format: str


class Eraser:
    """Forgets one thing; made anew for each request."""

    def __init__(self, database: Database, payloads: Payloads, now: datetime) -> None:
        self._database = database
        self._payloads = payloads
        self._now = now

    def record(self, name: str) -> ForgetReport:
        """Forget what a key, a DOI or another identifier, or a record's identifier names.

        Raises:
            NotFound: it names nothing.
        """
        report = ForgetReport(RECORD)
        with self._database.write() as connection:
            keys = _keys_of(connection, name)
            named = _records_named(connection, name)
            told = _records_of(connection, keys)
            quarantined = self._quarantined_with(connection, name)
            if not (keys or named or quarantined):
                raise NotFound(f"nothing is stored under {name!r}")
            sources = source_rows(connection)
            self._block(connection, [(ENTITY, key, None) for key in keys])
            whole = {record.id: record for record in (*named, *quarantined)}
            for record in told:
                stay = [part for part in _parts(connection, record.id) if part.key not in keys]
                if all(part.entity_class not in (DOCUMENT, DATASET) for part in stay):
                    whole[record.id] = record
            partly = [record for record in told if record.id not in whole]
            blocked = [
                (RECORD, f"{sources[record.source].name}\0{record.identifier}", None)
                for record in whole.values()
            ]
            self._block(connection, blocked)
            forgotten = Forgotten.load(connection)
            before = _last_change(connection)
            self._take_out(connection, whole.values(), sources, report)
            self._rewrite(connection, partly, sources, forgotten, report)
            report.entities = _changed_since(connection, before)
        self._clean({(record.source, record.format) for record in told}, report)
        return self._finished(report)

    def person(self, name: str) -> ForgetReport:
        """Forget a person, by ORCID or by full name, wherever records name them."""
        report = ForgetReport(PERSON)
        # Blocked first: what a running harvest writes from now on is without the person.
        with self._database.write() as connection:
            hint = None if orcid(name) else min(words_of(name), default="")
            self._block(connection, [(PERSON, person_form(name), hint)])
        with self._database.read() as connection:
            forgotten = Forgotten.load(connection)
            sources = source_rows(connection)
            before = _last_change(connection)
            found = self._naming(connection, forgotten)
            history = self._history_naming(connection, forgotten)
        for start in range(0, len(found), BATCH):
            with self._database.write() as connection:
                batch = found[start : start + BATCH]
                self._rewrite(connection, batch, sources, forgotten, report)
        with self._database.write() as connection:
            # Nodes that have only Elasticsearch may still hold such a version as the newest.
            told = rows(
                connection,
                "SELECT DISTINCT record FROM history WHERE id IN (SELECT value FROM json_each(?))",
                (as_list(history),),
            )
            outbox.number_again(connection, [number for (number,) in told], micros(self._now))
            report.history += _delete(connection, "history", "id", as_list(history))
            report.entities = _changed_since(connection, before)
        with self._database.read() as connection:
            report.still_mentioned = _mentioning(connection, forgotten)
        self._clean({(record.source, record.format) for record in found}, report)
        return self._finished(report)

    def knows(self, name: str) -> bool:
        """Whether a name is that of something stored, rather than a person's."""
        with self._database.read() as connection:
            return bool(
                _keys_of(connection, name)
                or _records_named(connection, name)
                or self._quarantined_with(connection, name)
            )

    def _block(
        self, connection: sqlite3.Connection, names: Iterable[tuple[str, str, str | None]]
    ) -> None:
        salted = replace(NOTHING, salt=_salt(connection))
        connection.executemany(
            "INSERT OR IGNORE INTO blocked (kind, digest, hint, forgotten_at) VALUES (?, ?, ?, ?)",
            [
                (
                    kind,
                    salted.digest(name),
                    None if word is None else salted.hint(word),
                    micros(self._now),
                )
                for kind, name, word in names
            ],
        )

    def _quarantined_with(self, connection: sqlite3.Connection, name: str) -> list[_Record]:
        """Quarantined records whose payload has the identifier in it: no entity tells of them."""
        wanted = re.sub(r"^https?://(dx\.)?doi\.org/", "", name.strip(), flags=re.IGNORECASE)
        if len(wanted) <= 5 or may_be_person(name) or not re.search(r"[\d/:]", wanted):
            # Words are no identifier, and many a record has them.
            return []
        # The whole of it: 10.5072/1 is not in 10.5072/10.
        whole = re.compile(
            rb"(?<![\w.])" + re.escape(wanted.encode()) + rb"(?![\w/-])(?!\.\w)", re.IGNORECASE
        )
        found = rows(
            connection,
            "SELECT r.id, r.source, r.identifier, r.format, p.dictionary, p.body FROM quarantine q"
            " JOIN records r ON r.id = q.record JOIN payloads p ON p.record = r.id",
        )
        return [
            _Record(*row[:4])
            for row in found
            if whole.search(self._payloads.unpack(connection, row[4], row[5]))
        ]

    def _naming(self, connection: sqlite3.Connection, forgotten: Forgotten) -> list[_Record]:
        """Records whose payload or members name a forgotten person."""
        found: dict[int, _Record] = {}
        cursor = connection.execute(
            "SELECT r.id, r.source, r.identifier, r.format, p.dictionary, p.body"
            " FROM payloads p JOIN records r ON r.id = p.record"
        )
        for *record, dictionary, body in cursor:
            payload = self._payloads.unpack(connection, dictionary, body)
            if forgotten.mentioned(payload):
                found[record[0]] = _Record(*record)
        cursor = connection.execute(
            "SELECT r.id, r.source, r.identifier, r.format, p.body FROM parts p"
            " JOIN records r ON r.id = p.id >> 20 WHERE instr(p.body, '\"members\"')"
        )
        for *record, body in cursor:
            if forgotten.without([orjson.loads(body)]).erased:
                found[record[0]] = _Record(*record)
        return list(found.values())

    def _history_naming(self, connection: sqlite3.Connection, forgotten: Forgotten) -> list[int]:
        cursor = connection.execute("SELECT id, dictionary, body FROM history")
        return [
            number
            for number, dictionary, body in cursor
            if forgotten.mentioned(self._payloads.unpack(connection, dictionary, body))
        ]

    def _take_out(
        self,
        connection: sqlite3.Connection,
        records: Iterable[_Record],
        sources: dict[int, SourceRow],
        report: ForgetReport,
    ) -> None:
        """Take records out altogether."""
        for source, many in _by_source(records).items():
            numbers = [record.id for record in many]
            named = as_list(numbers)
            news: list[tuple[int, Sequence[Part]]] = [(number, ()) for number in numbers]
            now = micros(self._now)
            touched = parts.replace(connection, sources[source], news, set(numbers), now)
            outbox.settle(connection, touched, now)
            report.history += _delete(connection, "history", "record", named)
            report.payloads += _delete(connection, "payloads", "record", named)
            quarantined = _delete(connection, "quarantine", "record", named)
            live = connection.execute(
                "SELECT count(*) FROM records WHERE state = ?"
                " AND id IN (SELECT value FROM json_each(?))",
                (LIVE, named),
            ).fetchone()[0]
            connection.execute(
                "UPDATE sources SET live = live - ?, quarantined = quarantined - ? WHERE id = ?",
                (live, quarantined, source),
            )
            _delete(connection, "records", "id", named)
            report.records.extend((sources[source].name, record.identifier) for record in many)

    def _rewrite(
        self,
        connection: sqlite3.Connection,
        records: Iterable[_Record],
        sources: dict[int, SourceRow],
        forgotten: Forgotten,
        report: ForgetReport,
    ) -> None:
        """Take what was forgotten out of records that stay; their payloads go."""
        for source, many in _by_source(records).items():
            news: list[tuple[int, Sequence[Part]]] = []
            for record in many:
                stated = [orjson.loads(part.body) for part in _parts(connection, record.id)]
                kept = forgotten.without(stated).entities
                news.append((record.id, parts_of(kept, sources[source].facility)))
            numbers = [record.id for record in many]
            now = micros(self._now)
            touched = parts.replace(connection, sources[source], news, set(numbers), now)
            outbox.settle(connection, touched, now)
            # What stays the same lies with its payload in Elasticsearch, too.
            outbox.number_again(connection, numbers, now)
            report.payloads += _delete(connection, "payloads", "record", as_list(numbers))
            report.history += _delete(connection, "history", "record", as_list(numbers))

    def _clean(self, formats: set[tuple[int, str]], report: ForgetReport) -> None:
        """Dictionaries are made of pieces of payloads, so those that learnt from it go too, and
        then what the write-ahead log still has of before. What was erased is erased already."""
        try:
            for source, form in sorted(formats):
                repack(self._database, self._payloads, source, form, micros(self._now))
            self._database.empty_log()
        except StoreError as problem:
            report.left = str(problem)

    def _finished(self, report: ForgetReport) -> ForgetReport:
        with self._database.read() as connection:
            found = rows(connection, "SELECT path, kind, made_at FROM copies ORDER BY made_at")
        report.copies = tuple(
            OldCopy(Path(path), kind, instant(made_at), Path(path).exists())
            for path, kind, made_at in found
        )
        return report


def _salt(connection: sqlite3.Connection) -> bytes:
    held = meta(connection, SALT)
    if held is None:
        held = secrets.token_hex(16)
        set_meta(connection, SALT, held)
    return bytes.fromhex(held)


def _keys_of(connection: sqlite3.Connection, name: str) -> set[str]:
    """Keys of every class that a name may mean, with the derived Datasets of its Documents."""
    candidates = {name} | {
        entity_key(kind, name, facility)
        for kind in CLASSES
        for facility in facility_names(connection)
    }
    wanted = as_list(sorted(candidates))
    found = rows(
        connection,
        "SELECT key FROM entities WHERE hash IS NOT NULL"
        " AND key IN (SELECT value FROM json_each(?1)) UNION"
        " SELECT e.key FROM aliases a JOIN entities e ON e.ordinal = a.entity"
        " WHERE a.alias IN (SELECT value FROM json_each(?1))",
        (wanted,),
    )
    keys = {key for (key,) in found}
    derived = rows(
        connection,
        "SELECT c.key FROM entities p JOIN links l ON l.parent = p.ordinal AND l.relation = 1"
        " JOIN entities c ON c.ordinal = l.child WHERE c.derived = 1"
        " AND p.key IN (SELECT value FROM json_each(?))",
        (as_list(sorted(keys)),),
    )
    return keys | {key for (key,) in derived}


def _records_named(connection: sqlite3.Connection, name: str) -> list[_Record]:
    found = rows(
        connection,
        "SELECT r.id, r.source, r.identifier, r.format FROM sources s"
        " JOIN records r ON r.source = s.id AND r.identifier = ?",
        (name,),
    )
    return [_Record(*row) for row in found]


def _records_of(connection: sqlite3.Connection, keys: Iterable[str]) -> list[_Record]:
    found = rows(
        connection,
        "SELECT DISTINCT r.id, r.source, r.identifier, r.format FROM json_each(?) j"
        " CROSS JOIN entities e ON e.key = j.value JOIN parts p ON p.entity = e.ordinal"
        " JOIN records r ON r.id = p.id >> 20",
        (as_list(sorted(keys)),),
    )
    return [_Record(*row) for row in found]


class _StoredPart(NamedTuple):
    key: str
    entity_class: int
    body: bytes


def _parts(connection: sqlite3.Connection, record: int) -> list[_StoredPart]:
    found = rows(
        connection,
        "SELECT e.key, e.class, p.body FROM parts p JOIN entities e ON e.ordinal = p.entity"
        " WHERE p.id >= ? AND p.id < ?",
        (record << POSITION_BITS, (record + 1) << POSITION_BITS),
    )
    return [_StoredPart(*row) for row in found]


def _by_source(records: Iterable[_Record]) -> dict[int, list[_Record]]:
    grouped: dict[int, list[_Record]] = defaultdict(list)
    for record in records:
        grouped[record.source].append(record)
    return grouped


def _delete(connection: sqlite3.Connection, table: str, column: str, numbers: str) -> int:
    cursor = connection.execute(
        f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
        (numbers,),
    )
    return cursor.rowcount


def _last_change(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT last FROM sequences WHERE name = 'change'").fetchone()
    return int(row[0])


def _changed_since(connection: sqlite3.Connection, number: int) -> list[str]:
    found = rows(connection, "SELECT key FROM entities WHERE change > ? ORDER BY key", (number,))
    return [key for (key,) in found]


def _mentioning(connection: sqlite3.Connection, forgotten: Forgotten) -> list[str]:
    """Keys of live entities whose texts still have the name: titles, abstracts."""
    cursor = connection.execute(
        "SELECT DISTINCT e.key, p.body FROM parts p JOIN entities e ON e.ordinal = p.entity"
    )
    return sorted({key for key, body in cursor if forgotten.mentioned(body)})
