"""Raw payloads, small: zstandard with a dictionary trained for each source and format.

Records of one source repeat each other's markup, so a dictionary shrinks short records by a third
beyond what each gives alone. Dictionaries are numbered and kept as long as a payload needs them.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

import zstandard

from catalogue.errors import StoreDamaged
from catalogue.store.database import rows

# Measured on payloads of 1.05 kB with a dictionary: level 1 8.6 µs to 415 bytes, level 2 8.6 µs
# to 382, level 3 10.2 µs to 379.
LEVEL = 2
DICTIONARY_BYTES = 32 * 1024
# zstandard advises samples of a hundred times the dictionary's size; 1,000 short records are half
# of that, and the ratio hardly gains from more.
SAMPLES = 1_000
NO_DICTIONARY = 0


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A trained dictionary under the number that its payloads name."""

    number: int
    body: bytes


class Payloads:
    """Packs and unpacks payloads; keeps dictionaries it has seen. One for each thread."""

    def __init__(self) -> None:
        # By the dictionary itself: numbers are those of one store, and this may serve several.
        self._writers: dict[Dictionary | None, zstandard.ZstdCompressor] = {
            None: zstandard.ZstdCompressor(level=LEVEL)
        }
        self._readers = {NO_DICTIONARY: zstandard.ZstdDecompressor()}

    def pack(self, payload: bytes, dictionary: Dictionary | None) -> tuple[int, bytes]:
        """The number of the dictionary (0: none), and the compressed payload."""
        writer = self._writers.get(dictionary)
        if writer is None:
            assert dictionary is not None
            data = zstandard.ZstdCompressionDict(dictionary.body)
            data.precompute_compress(level=LEVEL)
            writer = zstandard.ZstdCompressor(level=LEVEL, dict_data=data)
            self._writers[dictionary] = writer
        number = NO_DICTIONARY if dictionary is None else dictionary.number
        return number, writer.compress(payload)

    def unpack(self, connection: sqlite3.Connection, number: int, body: bytes) -> bytes:
        """The payload as it was received; raises ``StoreDamaged`` when it cannot be had."""
        if number not in self._readers:
            row = connection.execute("SELECT body FROM dictionaries WHERE id = ?", (number,))
            found = row.fetchone()
            if found is None:
                raise StoreDamaged(f"a payload cannot be read: dictionary {number} is missing")
            data = zstandard.ZstdCompressionDict(found[0])
            self._readers[number] = zstandard.ZstdDecompressor(dict_data=data)
        try:
            return self._readers[number].decompress(body)
        except zstandard.ZstdError as error:
            raise StoreDamaged(f"a payload cannot be read: {error}; restore a backup") from error


class _Here(threading.local):
    """zstandard's objects must not be shared between threads."""

    def __init__(self) -> None:
        self.payloads = Payloads()


_here = _Here()


def payloads_here() -> Payloads:
    """This thread's packer for dictionaries given from outside, in a process without a store."""
    return _here.payloads


class PayloadsByThread(threading.local):
    """A store's own packers: dictionaries are numbered within one store."""

    def __init__(self) -> None:
        self.payloads = Payloads()


def newest_dictionary(connection: sqlite3.Connection, source: int, form: str) -> Dictionary | None:
    """The dictionary to write with."""
    row = connection.execute(
        "SELECT id, body FROM dictionaries WHERE source = ? AND format = ?"
        " ORDER BY id DESC LIMIT 1",
        (source, form),
    ).fetchone()
    return None if row is None else Dictionary(*row)


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
        # Fixed k and d: one pass (some 0.03 s) in place of a search over parameters (seconds).
        trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, k=200, d=8)
    except zstandard.ZstdError:
        return None
    return trained.as_bytes()


def save_dictionary(
    connection: sqlite3.Connection, source: int, form: str, body: bytes, samples: int, now: int
) -> int:
    """Keep a dictionary; its number, which is never used again."""
    cursor = connection.execute(
        "INSERT INTO dictionaries (source, format, samples, trained_at, body)"
        " VALUES (?, ?, ?, ?, ?)",
        (source, form, samples, now, body),
    )
    return int(cursor.lastrowid or 0)
