"""What libraries alone take for the records of a harvest, with nothing of ours around them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from lxml import etree

TABLES = ("records", "payloads", "parts", "entities", "links")
"""Of the store, those that have rows for each record."""


def parsing_s(payloads: Iterable[bytes]) -> float:
    """Seconds that lxml takes to parse them, each by itself."""
    began = time.thread_time()
    for payload in payloads:
        etree.fromstring(payload)
    return time.thread_time() - began


def inserting_s(store: Path, copy: Path, transactions: int) -> float:
    """Seconds that SQLite takes to write the rows of a store that are there for each record into
    one that is empty, its indices and write-ahead log like the store's."""
    with (
        closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(copy, isolation_level=None)) as write,
    ):
        write.execute("PRAGMA page_size=8192")
        write.execute("PRAGMA journal_mode=WAL")
        write.execute("PRAGMA synchronous=NORMAL")
        write.execute("PRAGMA cache_size=-32768")
        named = f"tbl_name IN {TABLES} AND sql IS NOT NULL ORDER BY type DESC"
        for (made,) in read.execute(f"SELECT sql FROM sqlite_master WHERE {named}"):
            write.execute(made)
        rows = {name: read.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        began = time.thread_time()
        for part in range(transactions):
            write.execute("BEGIN IMMEDIATE")
            for name, found in rows.items():
                size = -(-len(found) // transactions)
                some = found[part * size : (part + 1) * size]
                if some:
                    marks = ",".join("?" * len(some[0]))
                    write.executemany(f"INSERT INTO {name} VALUES ({marks})", some)
            write.execute("COMMIT")
        return time.thread_time() - began
