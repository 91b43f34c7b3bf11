"""Is the store sound? SQLite's own checks, then what must always hold of its contents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from catalogue.errors import StoreDamaged
from catalogue.store.database import Database, rows
from catalogue.store.payloads import Payloads
from catalogue.store.ready import payload_hash

MAX_PROBLEMS = 100

# Each finds what must not be: a sentence, and a query for what to name in it.
_RULES: tuple[tuple[str, str], ...] = (
    (
        "live entity without content",
        (
            "SELECT e.key FROM entities e LEFT JOIN parts p ON p.id = e.part WHERE e.live = 1"
            " AND (e.hash IS NULL OR e.change IS NULL OR (e.body IS NULL AND p.id IS NULL)"
            " OR (p.id IS NOT NULL AND p.entity != e.ordinal))"
        ),
    ),
    (
        "entity with parts that is gone",
        (
            "SELECT DISTINCT e.key FROM parts p JOIN entities e ON e.ordinal = p.entity"
            " WHERE e.hash IS NULL"
        ),
    ),
    (
        "entity without parts that is there",
        (
            "SELECT e.key FROM entities e WHERE e.hash IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.entity = e.ordinal)"
        ),
    ),
    (
        "change number that was never given",
        (
            "SELECT e.key FROM entities e"
            " WHERE e.change > (SELECT last FROM sequences WHERE name = 'change')"
        ),
    ),
    (
        "part of a record that is deleted or missing",
        (
            "SELECT e.key FROM parts p JOIN entities e ON e.ordinal = p.entity"
            " LEFT JOIN records r ON r.id = p.id >> 20 WHERE r.id IS NULL OR r.state = 2"
        ),
    ),
    (
        "payload of a record that is deleted or missing",
        (
            "SELECT p.record FROM payloads p LEFT JOIN records r ON r.id = p.record"
            " WHERE r.id IS NULL OR r.state = 2"
        ),
    ),
    (
        "payload whose dictionary is missing",
        (
            "SELECT p.record FROM payloads p LEFT JOIN dictionaries d ON d.id = p.dictionary"
            " WHERE p.dictionary != 0 AND d.id IS NULL"
        ),
    ),
    (
        "quarantine that disagrees with its record",
        (
            "SELECT r.identifier FROM records r LEFT JOIN quarantine q ON q.record = r.id"
            " WHERE r.quarantined != (q.record IS NOT NULL)"
        ),
    ),
    (
        "relation of a record that is deleted or missing",
        (
            "SELECT l.record FROM links l LEFT JOIN records r ON r.id = l.record"
            " WHERE r.id IS NULL OR r.state = 2"
        ),
    ),
    (
        "count of live entities",
        (
            "SELECT c.class || '/' || c.derived FROM counters c WHERE c.live != (SELECT count(*)"
            " FROM entities e WHERE e.class = c.class AND e.derived = c.derived AND e.live = 1)"
        ),
    ),
    (
        "count of live records",
        (
            "SELECT s.name FROM sources s WHERE s.live !="
            " (SELECT count(*) FROM records r WHERE r.source = s.id AND r.state = 1)"
            " OR s.quarantined !="
            " (SELECT count(*) FROM records r WHERE r.source = s.id AND r.quarantined = 1)"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at, and what is wrong: empty when the store is sound.

    ``records`` are what sources have, ``entities`` what people find (semantics 1.1, 1.2);
    ``records_gone`` and ``entities_gone`` are tombstones of either.
    """

    records: int
    entities: int
    problems: tuple[str, ...]
    records_gone: int = 0
    entities_gone: int = 0


def check(database: Database, payloads: Payloads) -> CheckReport:
    """Look at everything, every payload included; writes nothing."""
    problems: list[str] = []
    records, entities = (0, 0), (0, 0)
    try:
        with database.read() as connection:
            for problem in _problems(connection, payloads):
                problems.append(problem)
                if len(problems) == MAX_PROBLEMS:
                    problems.append("and perhaps more")
                    break
            records = _there_and_gone(connection, "SELECT count(*), sum(state = 1) FROM records")
            entities = _there_and_gone(
                connection, "SELECT count(*), sum(live = 1) FROM entities WHERE change > 0"
            )
    except StoreDamaged as damage:
        problems.append(str(damage))
    return CheckReport(records[0], entities[0], tuple(problems), records[1], entities[1])


def _there_and_gone(connection: sqlite3.Connection, select: str) -> tuple[int, int]:
    of, there = connection.execute(select).fetchone()
    return int(there or 0), int(of) - int(there or 0)


def _problems(connection: sqlite3.Connection, payloads: Payloads) -> Iterator[str]:
    for (says,) in rows(connection, f"PRAGMA integrity_check({MAX_PROBLEMS})"):
        if says != "ok":
            yield f"SQLite: {says}"
    for table, row, parent, _ in rows(connection, "PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"
    for says, query in _RULES:
        for (what,) in connection.execute(query):
            yield f"{says}: {what}"
    cursor = connection.execute(
        "SELECT r.identifier, r.payload_hash, p.dictionary, p.body FROM payloads p"
        " JOIN records r ON r.id = p.record"
    )
    for identifier, digest, dictionary, body in cursor:
        try:
            payload = payloads.unpack(connection, dictionary, body)
        except StoreDamaged as error:
            yield f"payload of {identifier}: {error}"
            continue
        if payload_hash(payload) != digest:
            yield f"payload of {identifier} is not the one that was received"
