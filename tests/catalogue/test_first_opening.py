"""Several processes that open a fresh or an older folder at the same moment (semantics 10.1): a
server and a daemon that one compose file starts. Where SQLite says BUSY at once, we wait."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_world import NOON, World, document, record

from catalogue.cursors import Snapshot, SnapshotFile
from catalogue.engines.tantivy import LOCK, TantivyEngine
from catalogue.engines.tantivy_files import WriterLock
from catalogue.errors import EngineDamaged, StoreBusy
from catalogue.plan import All
from catalogue.store import Store, archive, schema
from catalogue.store.database import FILE_NAME
from catalogue.store.patience import patiently


class Neighbour:
    """Another process that begins to write a file in the very moment in which we switch its log
    on, and ends when we wait."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited: list[float] = []
        self._connect = sqlite3.connect
        self._path = path
        self._connection: sqlite3.Connection | None = None
        monkeypatch.setattr(sqlite3, "connect", self._watched)
        monkeypatch.setattr(time, "sleep", self._end)

    def _watched(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = self._connect(*arguments, **options)
        made.set_trace_callback(self._begin)
        return made

    def _begin(self, statement: str) -> None:
        if "journal_mode" in statement and self._connection is None:
            self._connection = self._connect(self._path, isolation_level=None)
            self._connection.execute("BEGIN IMMEDIATE")

    def _end(self, seconds: float) -> None:
        self.waited.append(seconds)
        assert self._connection is not None
        self._connection.close()


def pauses(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> list[float]:
    """What happens while somebody waits; how long the waits were."""
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        then()

    monkeypatch.setattr(time, "sleep", pause)
    return waited


def test_who_opens_a_store_that_another_process_is_making_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says BUSY at once where the log is switched on, whatever the timeout."""
    neighbour = Neighbour(tmp_path / FILE_NAME, monkeypatch)
    with Store.open(tmp_path) as store:
        assert store.schema_version == len(schema.migrations())
    assert len(neighbour.waited) == 1


def test_the_wait_for_another_process_that_makes_the_store_ends(tmp_path: Path) -> None:
    neighbour = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked by another process"):
        Store.open(tmp_path, busy_timeout_s=0.05)
    neighbour.close()


def test_only_what_passes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = pauses(monkeypatch, lambda: None)

    def fail() -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT * FROM nowhere")

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        patiently(fail, 10.0)
    assert waited == []


def test_snapshots_of_cursors_wait_for_another_process_that_makes_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = Neighbour(tmp_path / "serving.sqlite", monkeypatch)
    snapshots = SnapshotFile(tmp_path)
    kept = Snapshot((1, 2), (0.5, 0.25), 2)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    snapshots.put("a", kept, now + timedelta(minutes=10))
    found = snapshots.get("a", now)
    assert found is not None
    assert list(found.ordinals) == [1, 2]
    assert len(neighbour.waited) == 1
    snapshots.close()


def test_of_two_processes_that_bring_a_file_up_to_date_one_copy_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is of the file as it was, not of what the faster one has made of it."""
    world.put(record("1", document("doi:10.5072/1")))
    folder = world.store.folder
    world.store.close()
    steps = (*schema.migrations(), schema.Migration(2, "more", "CREATE TABLE more (x);\n"))
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    others: list[Store] = []

    def be_overtaken(_: Path) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(schema, "migrations", lambda: steps)
        others.append(Store.open(folder, now=NOON))

    monkeypatch.setattr(archive, "_remove_leftovers", be_overtaken)
    with Store.open(folder, now=NOON) as store:
        assert store.schema_version == 2
        assert store.count("Document") == 1
    others[0].close()
    (copy,) = folder.glob("before-*")
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    assert list(folder.glob("*.partial")) == []


async def test_who_opens_an_index_that_another_process_is_making_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WriterLock(tmp_path / "index" / LOCK)
    other.take()
    waited = pauses(monkeypatch, other.free)
    engine = TantivyEngine(tmp_path)
    await engine.open()
    assert await (await engine.reader()).count("Document", All()) == 0
    assert len(waited) == 1
    await engine.close()


async def test_the_wait_for_another_process_that_makes_the_index_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WriterLock(tmp_path / "index" / LOCK)
    other.take()
    monkeypatch.setattr("catalogue.engines.tantivy.FIRST_S", 0.0)
    engine = TantivyEngine(tmp_path)
    await engine.open()
    with pytest.raises(EngineDamaged, match="no search index yet"):
        await engine.reader()
    other.free()
    await engine.close()
