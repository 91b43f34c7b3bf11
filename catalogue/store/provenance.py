"""Raw records as they are read: identifiers, quarantine, and where an entity comes from."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from catalogue.errors import NotFound
from catalogue.records import Quarantined, RecordState, StoredRecord
from catalogue.store.configuration import source_row
from catalogue.store.database import as_list, instant, rows
from catalogue.store.payloads import Payloads
from catalogue.store.raw import STATE_NUMBERS, STATES
from mappings.context import Header


def identifiers(
    connection: sqlite3.Connection,
    source: str,
    after: str | None,
    limit: int,
    states: Sequence[RecordState],
) -> tuple[str, ...]:
    """Identifiers of records in some states, in code point order, from after ``after``."""
    found = rows(
        connection,
        "SELECT identifier FROM records WHERE source = ? AND identifier > ?"
        " AND state IN (SELECT value FROM json_each(?)) ORDER BY identifier LIMIT ?",
        (
            source_row(connection, source).id,
            after or "",
            as_list([STATE_NUMBERS[state] for state in states]),
            limit,
        ),
    )
    return tuple(identifier for (identifier,) in found)


def quarantined(
    connection: sqlite3.Connection,
    source: str | None,
    limit: int,
    after: tuple[str, str] | None,
) -> tuple[Quarantined, ...]:
    """Quarantined records ordered by source and identifier."""
    if source is not None:
        source_row(connection, source)
    found = rows(
        connection,
        "SELECT s.name, r.identifier, r.format, q.reason, q.path, q.run, q.since"
        " FROM quarantine q JOIN records r ON r.id = q.record JOIN sources s ON s.id = r.source"
        " WHERE (?1 IS NULL OR s.name = ?1) AND (s.name, r.identifier) > (?2, ?3)"
        " ORDER BY s.name, r.identifier LIMIT ?4",
        (source, *(after or ("", "")), limit),
    )
    return tuple(
        Quarantined(
            source=name,
            identifier=identifier,
            format=form,
            reason=reason,
            path=path,
            run=run,
            since=instant(since),
        )
        for name, identifier, form, reason, path, run, since in found
    )


def quarantined_payload(
    connection: sqlite3.Connection, payloads: Payloads, source: str, identifier: str
) -> bytes | None:
    """What was received for a quarantined record; ``None`` where it was erased (11.1)."""
    row = connection.execute(
        "SELECT p.dictionary, p.body FROM quarantine q JOIN records r ON r.id = q.record"
        " LEFT JOIN payloads p ON p.record = r.id WHERE r.source = ? AND r.identifier = ?",
        (source_row(connection, source).id, identifier),
    ).fetchone()
    if row is None:
        raise NotFound(f"no record {identifier!r} of source {source} is in quarantine")
    return None if row[1] is None else payloads.unpack(connection, row[0], row[1])


def records_of(
    connection: sqlite3.Connection, payloads: Payloads, key: str
) -> tuple[StoredRecord, ...]:
    """The raw records with a part in an entity, in order of their sources and identifiers."""
    numbers = rows(
        connection,
        "SELECT DISTINCT p.id >> 20 FROM entities e JOIN parts p ON p.entity = e.ordinal"
        " WHERE e.key = ?",
        (key,),
    )
    return _stored(connection, payloads, [number for (number,) in numbers])


def last_records_of(
    connection: sqlite3.Connection, payloads: Payloads, key: str
) -> tuple[StoredRecord, ...]:
    """The record that was the last to speak of an entity that is gone; none where several went
    together."""
    row = connection.execute(
        "SELECT body FROM entities WHERE key = ? AND live = 0 AND hash IS NULL", (key,)
    ).fetchone()
    number = orjson.loads(row[0]).get("record") if row is not None and row[0] else None
    return () if number is None else _stored(connection, payloads, [number])


def _stored(
    connection: sqlite3.Connection, payloads: Payloads, numbers: Sequence[int]
) -> tuple[StoredRecord, ...]:
    """Records by number, in order of their sources and identifiers."""
    found = rows(
        connection,
        "SELECT s.name, s.facility, r.identifier, r.datestamp, r.sets, r.format, r.state,"
        " r.harvested_at, v.body, y.dictionary, y.body FROM json_each(?) j"
        " CROSS JOIN records r ON r.id = j.value"
        " JOIN sources s ON s.id = r.source JOIN versions v ON v.id = r.versions"
        " LEFT JOIN payloads y ON y.record = r.id ORDER BY s.name, r.identifier",
        (as_list(numbers),),
    )
    return tuple(
        StoredRecord(
            source=source,
            facility=facility,
            header=Header(identifier, datestamp, tuple(orjson.loads(sets or "[]"))),
            format=form,
            state=STATES[state],
            harvested_at=instant(harvested_at),
            payload=None if body is None else payloads.unpack(connection, dictionary, body),
            versions=orjson.loads(versions),
        )
        for (
            source,
            facility,
            identifier,
            datestamp,
            sets,
            form,
            state,
            harvested_at,
            versions,
            dictionary,
            body,
        ) in found
    )


def history_of(
    connection: sqlite3.Connection, payloads: Payloads, source: str, identifier: str
) -> tuple[StoredRecord, ...]:
    """Superseded versions of a record, newest first; raises ``NotFound`` for no such record."""
    row = source_row(connection, source)
    record = connection.execute(
        "SELECT id, format FROM records WHERE source = ? AND identifier = ?", (row.id, identifier)
    ).fetchone()
    if record is None:
        raise NotFound(f"source {source} has no record {identifier!r}")
    found = rows(
        connection,
        "SELECT datestamp, harvested_at, dictionary, body FROM history WHERE record = ?"
        " ORDER BY id DESC",
        (record[0],),
    )
    return tuple(
        StoredRecord(
            source=row.name,
            facility=row.facility,
            header=Header(identifier, datestamp),
            format=record[1],
            state="deleted",
            harvested_at=instant(harvested_at),
            payload=payloads.unpack(connection, dictionary, body),
            versions={},
        )
        for datestamp, harvested_at, dictionary, body in found
    )
