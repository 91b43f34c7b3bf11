"""Export and import of everything as JSON Lines: to move, to read elsewhere, to keep for long.

The first line says what the file is; then facilities, sources, what was forgotten (digests), runs,
and each raw record with what the crosswalk made of it. Entities are merged anew on import, under
new change numbers and ordinals.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson

from catalogue.errors import StoreError
from catalogue.store import configuration, outbox, parts
from catalogue.store.configuration import IMPORTING, SourceRow, meta, set_meta, source_rows
from catalogue.store.database import Database, dump, instant, micros, rows
from catalogue.store.forgotten import SALT, Forgotten
from catalogue.store.parts import POSITION_BITS, Part
from catalogue.store.payloads import Payloads, newest_dictionary
from catalogue.store.raw import DELETED, LIVE, known_records
from catalogue.store.ready import parts_of, payload_hash

FORMAT = 1
BATCH = 500

_RUN_COLUMNS = (
    "number", "kind", "holder", "fence", "state", "started_at", "ended_at", "heartbeat_at", "stop",
    "received", "new", "changed", "unchanged", "deleted", "quarantined", "forgotten", "entities",
    "problems", "details",
)  # fmt: skip


@dataclass(slots=True)
class TransferReport:
    """How many records went out or came in, and how many were there already."""

    records: int = 0
    skipped: int = 0
    entities: int = 0


def export(database: Database, payloads: Payloads, now: datetime) -> Generator[bytes]:
    """The store at one instant as lines of JSON, each with its line end."""
    with database.read() as connection:
        for item in _items(connection, payloads, now):
            yield orjson.dumps(item) + b"\n"


def _items(
    connection: sqlite3.Connection, payloads: Payloads, now: datetime
) -> Iterator[dict[str, Any]]:
    yield {
        "kind": "pan-commons store",
        "format": FORMAT,
        "exported_at": now.isoformat(),
        "demo": configuration.demo_flag(connection),
    }
    for name, position, configured, body in rows(
        connection, "SELECT name, position, configured, body FROM facilities"
    ):
        yield {
            "kind": "facility",
            "name": name,
            "position": position,
            "configured": configured,
            "body": orjson.loads(body),
        }
    for name, facility, trust, position, configured, body, memory, checkpoint in rows(
        connection,
        "SELECT name, facility, trust, position, configured, body, memory, checkpoint FROM sources"
        " ORDER BY id",
    ):
        yield {
            "kind": "source",
            "name": name,
            "facility": facility,
            "trust": trust,
            "position": position,
            "configured": configured,
            "body": orjson.loads(body),
            "memory": orjson.loads(memory),
            "checkpoint": None if checkpoint is None else orjson.loads(checkpoint),
        }
    salt = meta(connection, SALT)
    for kind, digest, hint, forgotten_at in rows(
        connection, "SELECT kind, digest, hint, forgotten_at FROM blocked"
    ):
        yield {
            "kind": "forgotten",
            "what": kind,
            "salt": salt,
            "digest": digest.hex(),
            "hint": hint,
            "forgotten_at": forgotten_at,
        }
    columns = ", ".join("r." + name for name in _RUN_COLUMNS)
    cursor = connection.execute(
        f"SELECT s.name, {columns}"  # noqa: S608 - constants
        " FROM runs r JOIN sources s ON s.id = r.source ORDER BY r.number"
    )
    for source, *values in cursor:
        yield {"kind": "run", "source": source, "run": dict(zip(_RUN_COLUMNS, values, strict=True))}
    yield from _records(connection, payloads)


def _records(connection: sqlite3.Connection, payloads: Payloads) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(
        "SELECT r.id, s.name, r.identifier, r.format, r.datestamp, r.sets, r.state, r.harvested_at,"
        " r.last_run, v.body, p.dictionary, p.body, q.reason, q.path, q.run, q.since"
        " FROM records r JOIN sources s ON s.id = r.source JOIN versions v ON v.id = r.versions"
        " LEFT JOIN payloads p ON p.record = r.id LEFT JOIN quarantine q ON q.record = r.id"
        " ORDER BY r.id"
    )
    for number, source, identifier, form, datestamp, sets, state, harvested_at, *rest in cursor:
        last_run, versions, dictionary, body, reason, path, run, since = rest
        item: dict[str, Any] = {
            "kind": "record",
            "source": source,
            "identifier": identifier,
            "format": form,
            "datestamp": datestamp,
            "sets": orjson.loads(sets or "[]"),
            "state": state,
            "harvested_at": instant(harvested_at).isoformat(),
            "last_run": last_run,
            "versions": orjson.loads(versions),
            **_entities(connection, number),
            "history": _history(connection, payloads, number),
        }
        if body is not None:
            item |= _payload(payloads.unpack(connection, dictionary, body))
        if reason is not None:
            item["quarantine"] = {"reason": reason, "path": path, "run": run, "since": since}
        yield item


def _entities(connection: sqlite3.Connection, record: int) -> dict[str, Any]:
    """What a record says, and when it began to say so: that decides between equally trusted ones
    (semantics 1.2)."""
    found = rows(
        connection,
        "SELECT body, said_at FROM parts WHERE id >= ? AND id < ? ORDER BY id",
        (record << POSITION_BITS, (record + 1) << POSITION_BITS),
    )
    entities = [(orjson.loads(body), said_at) for body, said_at in found]
    return {
        "entities": [entity for entity, _ in entities],
        "said_at": {entity["key"]: instant(said_at).isoformat() for entity, said_at in entities},
    }


def _history(
    connection: sqlite3.Connection, payloads: Payloads, record: int
) -> list[dict[str, Any]]:
    found = rows(
        connection,
        "SELECT datestamp, harvested_at, superseded_at, run, dictionary, body FROM history"
        " WHERE record = ? ORDER BY id",
        (record,),
    )
    return [
        {
            "datestamp": datestamp,
            "harvested_at": harvested_at,
            "superseded_at": superseded_at,
            "run": run,
            **_payload(payloads.unpack(connection, dictionary, body)),
        }
        for datestamp, harvested_at, superseded_at, run, dictionary, body in found
    ]


def _payload(payload: bytes) -> dict[str, str]:
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}


def _payload_of(item: Mapping[str, Any]) -> bytes | None:
    if "payload" in item:
        return str(item["payload"]).encode()
    if "payload_base64" in item:
        return base64.b64decode(item["payload_base64"])
    return None


class Importer:
    """Reads an export into an empty store; one that was interrupted is continued."""

    def __init__(self, database: Database, payloads: Payloads, now: datetime) -> None:
        self._database = database
        self._payloads = payloads
        self._now = now
        self.report = TransferReport()

    def read(self, lines: Iterable[bytes]) -> TransferReport:
        """Take in all lines.

        Raises:
            StoreError: the store has records of its own, or a line is not what an export has.
            MixedData: the export holds the other kind of data.
        """
        numbered = enumerate(lines, 1)
        first = next(((number, _parsed(number, line)) for number, line in numbered), None)
        if first is None or first[1].get("kind") != "pan-commons store":
            raise StoreError("line 1 does not say that this is an export of ours")
        if first[1].get("format") != FORMAT:
            raise StoreError(
                f"the export has format {first[1].get('format')}, this version reads {FORMAT}"
            )
        self._begin(first[1])
        items = ((number, _parsed(number, line)) for number, line in numbered if line.strip())
        for kind, group in groupby(items, key=lambda item: item[1].get("kind")):
            self._take(kind, group)
        with self._database.write() as connection:
            connection.execute("DELETE FROM meta WHERE name = ?", (IMPORTING,))
        return self.report

    def _begin(self, header: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            filled = connection.execute("SELECT 1 FROM records LIMIT 1").fetchone()
            if filled and meta(connection, IMPORTING) is None:
                raise StoreError("the store has records already: import into an empty data folder")
            if header.get("demo") is not None:
                configuration.claim(connection, bool(header["demo"]), "the export")
            set_meta(connection, IMPORTING, "1")

    def _take(self, kind: object, group: Iterator[tuple[int, dict[str, Any]]]) -> None:
        small: dict[object, Callable[[sqlite3.Connection, Mapping[str, Any]], None]] = {
            "facility": _put_facility,
            "source": _put_source,
            "forgotten": _put_forgotten,
            "run": _put_run,
        }
        if kind == "record":
            batch: list[tuple[int, dict[str, Any]]] = []
            for numbered in group:
                batch.append(numbered)
                if len(batch) == BATCH:
                    self._put_records(batch)
                    batch = []
            self._put_records(batch)
            return
        for number, item in group:
            if kind not in small:
                raise StoreError(f"line {number}: nobody knows what {kind!r} is")
            with _at(number), self._database.write() as connection:
                small[kind](connection, item)

    def _put_records(self, batch: Sequence[tuple[int, dict[str, Any]]]) -> None:
        with self._database.write() as connection:
            sources = {row.name: row for row in source_rows(connection).values()}
            forgotten = Forgotten.load(connection)
            named: dict[str, list[str]] = {}
            for number, item in batch:
                with _at(number):
                    name = item["source"]
                    if name not in sources:
                        raise StoreError(f"line {number}: source {name} was not named before")
                    named.setdefault(name, []).append(item["identifier"])
            known = {
                name: known_records(connection, sources[name].id, identifiers)
                for name, identifiers in named.items()
            }
            # In the order of the export, whichever source they are of: where two sources say the
            # same, it is the record that was there first that says it.
            news: dict[str, list[tuple[int, Sequence[Part]]]] = {}
            said_at: list[tuple[int, int]] = []
            for number, item in batch:
                source, identifier = sources[item["source"]], item["identifier"]
                if identifier in known[source.name] or forgotten.has_record(
                    source.name, identifier
                ):
                    self.report.skipped += 1
                    continue
                with _at(number):
                    record = self._put_record(connection, source, item)
                    entities = forgotten.without(item["entities"]).entities
                    made = parts_of(entities, source.facility)
                    news.setdefault(source.name, []).append((record, made))
                    said_at += _said_at(record, made, item.get("said_at", {}))
                self.report.records += 1
            now = micros(self._now)
            for name, own in news.items():
                touched = parts.replace(connection, sources[name], own, set(), now)
                connection.executemany("UPDATE parts SET said_at = ? WHERE id = ?", said_at)
                self.report.entities += outbox.settle(connection, touched, now).entities

    def _put_record(
        self, connection: sqlite3.Connection, source: SourceRow, item: Mapping[str, Any]
    ) -> int:
        payload = _payload_of(item)
        quarantine = item.get("quarantine")
        cursor = connection.execute(
            "INSERT INTO records (source, identifier, format, datestamp, sets, state, quarantined,"
            " payload_hash, versions, harvested_at, last_run)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                source.id,
                item["identifier"],
                item["format"],
                item["datestamp"],
                dump(item["sets"]) if item["sets"] else None,
                item["state"],
                int(quarantine is not None),
                None if payload is None or item["state"] == DELETED else payload_hash(payload),
                _put_versions(connection, item["versions"]),
                micros(datetime.fromisoformat(item["harvested_at"])),
                item["last_run"],
            ),
        )
        record = int(cursor.lastrowid or 0)
        dictionary = newest_dictionary(connection, source.id, item["format"])
        if payload is not None:
            connection.execute(
                "INSERT INTO payloads VALUES (?, ?, ?)",
                (record, *self._payloads.pack(payload, dictionary)),
            )
        for old in item["history"]:
            connection.execute(
                "INSERT INTO history (record, datestamp, harvested_at, superseded_at, run,"
                " dictionary, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record,
                    *(old[name] for name in ("datestamp", "harvested_at", "superseded_at", "run")),
                    *self._payloads.pack(_payload_of(old) or b"", dictionary),
                ),
            )
        if quarantine is not None:
            connection.execute(
                "INSERT INTO quarantine (record, reason, path, run, since) VALUES (?, ?, ?, ?, ?)",
                (record, *(quarantine[name] for name in ("reason", "path", "run", "since"))),
            )
        connection.execute(
            "UPDATE sources SET live = live + ?, quarantined = quarantined + ? WHERE id = ?",
            (item["state"] == LIVE, quarantine is not None, source.id),
        )
        return record


def _said_at(
    record: int, made: Sequence[Part], said_at: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """When parts of a new record began to be said, with their numbers; older exports are silent."""
    for position, part in enumerate(made):
        if part.key in said_at:
            since = micros(datetime.fromisoformat(said_at[part.key]))
            yield since, (record << POSITION_BITS) + position


class _at:  # noqa: N801 - reads as a word
    """Turns what a wrong line leads to into a sentence that names the line."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise StoreError(f"line {self._number}: not as an export has it: {error!r}") from error


_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
"""How files of gzip, zstd, bzip2 and xz begin."""


def _parsed(number: int, line: bytes) -> dict[str, Any]:
    if line.startswith(_COMPRESSED):
        raise StoreError(
            "the export is compressed; unpack it on the way, as in: "
            "gzip -dc store.jsonl.gz | pan-commons index import -"
        )
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(f"line {number} is not JSON: {error}") from error
    if not isinstance(item, dict):
        raise StoreError(f"line {number} is not a JSON object")
    return item


def _put_facility(connection: sqlite3.Connection, item: Mapping[str, Any]) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO facilities (name, position, configured, body) VALUES (?, ?, ?, ?)",
        (item["name"], item["position"], item["configured"], dump(item["body"])),
    )


def _put_source(connection: sqlite3.Connection, item: Mapping[str, Any]) -> None:
    checkpoint = item["checkpoint"]
    connection.execute(
        "INSERT OR IGNORE INTO sources (name, facility, trust, position, configured, body, memory,"
        " checkpoint) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(item[name] for name in ("name", "facility", "trust", "position", "configured")),
            dump(item["body"]),
            dump(item["memory"]),
            None if checkpoint is None else dump(checkpoint),
        ),
    )


def _put_forgotten(connection: sqlite3.Connection, item: Mapping[str, Any]) -> None:
    set_meta(connection, SALT, item["salt"])
    connection.execute(
        "INSERT OR IGNORE INTO blocked (kind, digest, hint, forgotten_at) VALUES (?, ?, ?, ?)",
        (item["what"], bytes.fromhex(item["digest"]), item["hint"], item["forgotten_at"]),
    )


def _put_run(connection: sqlite3.Connection, item: Mapping[str, Any]) -> None:
    values = {name: item["run"][name] for name in _RUN_COLUMNS}
    if values["state"] == "running":
        # Its lease stays behind.
        values |= {"state": "stopped", "stop": "interrupted"}
    connection.execute(
        "INSERT OR IGNORE INTO runs (source, "  # noqa: S608 - constants
        + ", ".join(_RUN_COLUMNS)
        + ") VALUES ((SELECT id FROM sources WHERE name = ?)"
        + ", ?" * len(_RUN_COLUMNS)
        + ")",
        (item["source"], *values.values()),
    )


def _put_versions(connection: sqlite3.Connection, versions: Mapping[str, str]) -> int:
    body = orjson.dumps(versions, option=orjson.OPT_SORT_KEYS).decode()
    connection.execute("INSERT OR IGNORE INTO versions (body) VALUES (?)", (body,))
    row = connection.execute("SELECT id FROM versions WHERE body = ?", (body,)).fetchone()
    return int(row[0])
