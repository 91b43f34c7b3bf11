"""Raw payloads, small: zstandard with a dictionary trained for each source and format.

Records of one source repeat each other's markup, so a dictionary shrinks them two- to fourfold
further than each alone. Dictionaries are numbered and kept as long as a payload needs them.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

import zstandard

from catalogue.store.database import rows

# Level 3 is zstandard's default; with a dictionary it costs some 10 µs for 1.5 kB.
LEVEL = 3
DICTIONARY_BYTES = 32 * 1024
# zstandard advises samples of a hundred times the dictionary's size; 1,000 records of 1.5 kB are
# half of that, and more changed the ratio by less than 2 %.
SAMPLES = 1_000
NO_DICTIONARY = 0


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed payload and the dictionary it needs (0: none)."""

    dictionary: int
    body: bytes


class Payloads:
    """Packs and unpacks payloads; keeps dictionaries it has seen. One for each thread."""

    def __init__(self) -> None:
        self._plain = zstandard.ZstdCompressor(level=LEVEL)
        self._reader = zstandard.ZstdDecompressor()
        self._writers: dict[int, zstandard.ZstdCompressor] = {}
        self._readers: dict[int, zstandard.ZstdDecompressor] = {}

    def pack(self, payload: bytes, dictionary: int) -> Packed:
        """Compress with a dictionary that ``newest`` named (or 0)."""
        writer = self._writers[dictionary] if dictionary else self._plain
        return Packed(dictionary, writer.compress(payload))

    def newest(self, connection: sqlite3.Connection, source: int, form: str) -> int:
        """The dictionary to write with: the newest of this source and format, else 0."""
        row = connection.execute(
            "SELECT max(id) FROM dictionaries WHERE source = ? AND format = ?", (source, form)
        ).fetchone()
        number = row[0] or NO_DICTIONARY
        if number and number not in self._writers:
            self._load(connection, number)
        return int(number)

    def unpack(self, connection: sqlite3.Connection, dictionary: int, body: bytes) -> bytes:
        """The payload as it was received."""
        if not dictionary:
            return self._reader.decompress(body)
        if dictionary not in self._readers:
            self._load(connection, dictionary)
        return self._readers[dictionary].decompress(body)

    def _load(self, connection: sqlite3.Connection, number: int) -> None:
        row = connection.execute("SELECT body FROM dictionaries WHERE id = ?", (number,)).fetchone()
        dictionary = zstandard.ZstdCompressionDict(row[0])
        self._writers[number] = zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)
        self._readers[number] = zstandard.ZstdDecompressor(dict_data=dictionary)


class PayloadsByThread(threading.local):
    """zstandard's objects must not be shared between threads."""

    def __init__(self) -> None:
        self.payloads = Payloads()


def wants_dictionary(connection: sqlite3.Connection, source: int, form: str) -> bool:
    """Whether there are samples enough, and no dictionary yet."""
    if connection.execute(
        "SELECT 1 FROM dictionaries WHERE source = ? AND format = ? LIMIT 1", (source, form)
    ).fetchone():
        return False
    found = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM records WHERE source = ? AND format = ?"
        " AND state != 2 LIMIT ?)",
        (source, form, SAMPLES),
    ).fetchone()
    return int(found[0]) >= SAMPLES


def train(
    connection: sqlite3.Connection, payloads: Payloads, source: int, form: str
) -> bytes | None:
    """Train a dictionary on the newest payloads; ``None`` where that finds nothing to learn."""
    found = rows(
        connection,
        "SELECT p.dictionary, p.body FROM records r JOIN payloads p ON p.record = r.id"
        " WHERE r.source = ? AND r.format = ? ORDER BY r.id DESC LIMIT ?",
        (source, form, SAMPLES),
    )
    samples: list[bytes | bytearray | memoryview[int]] = [
        payloads.unpack(connection, number, body) for number, body in found
    ]
    try:
        # Fixed k and d: one pass (some 0.1 s) in place of a search over parameters (some 5 s).
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, k=200, d=8)
    except zstandard.ZstdError:
        return None
    return trained.as_bytes()


def save_dictionary(
    connection: sqlite3.Connection, source: int, form: str, body: bytes, samples: int, now: int
) -> int:
    """Keep a dictionary; its number."""
    cursor = connection.execute(
        "INSERT INTO dictionaries (source, format, samples, trained_at, body)"
        " VALUES (?, ?, ?, ?, ?)",
        (source, form, samples, now, body),
    )
    return int(cursor.lastrowid or 0)
