"""Opening, configuration, migrations, and whatever SQLite can refuse (faults H08, H09)."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from store_world import NOON, World, document, facility, record, source

from catalogue import errors
from catalogue.errors import (
    MixedData,
    NotFound,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreReplaced,
    StoreTooNew,
)
from catalogue.facilities import Service, mapping_context
from catalogue.records import PageCommit
from catalogue.store import Store, schema
from catalogue.store.database import (
    FILE_NAME,
    LOOK_AGAIN_S,
    PROGRAMMING_MISTAKES,
    translate,
    translated,
)

# -- configuration --------------------------------------------------------------------------------


def test_configuration_comes_back_as_it_was_given(tmp_path: Path) -> None:
    ess = facility(
        "ESS", probes=("neutron",), services=(Service("download", "https://x/{doi}", login=True),)
    )
    oai = source("ess-oai", "ESS", set="open", options={"page_size": 10})
    with Store.open(tmp_path) as store:
        store.put_configuration([ess], [oai])
        assert store.facilities() == (ess,)
        assert store.sources() == (oai,)
        assert mapping_context(store.facilities()[0], store.sources()[0]).probes == ("neutron",)


def test_a_source_that_is_no_longer_configured_is_unlisted_and_keeps_its_records(
    world: World,
) -> None:
    world.put(record("1", document("doi:10.5072/1")), of="ill-oai")
    facilities, sources = world.store.facilities(), world.store.sources()
    world.store.put_configuration(facilities[:1], sources[:2])
    assert [one.name for one in world.store.sources()] == ["ess-oai", "ess-rest"]
    assert world.store.count("Document") == 1
    assert world.store.source_status("ill-oai").records == 1


def test_a_source_of_an_unknown_facility_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, pytest.raises(NotFound, match="facility ILL, which is not"):
        store.put_configuration([facility("ESS")], [source("x", "ILL")])


def test_demo_and_real_sources_never_meet(tmp_path: Path) -> None:
    """Semantics 10.5."""
    with Store.open(tmp_path, demo=True) as store:
        assert store.demo is True
        with pytest.raises(MixedData, match="holds demo data, and source x is real"):
            store.put_configuration([facility("ESS")], [source("x", "ESS")])
        assert store.sources() == ()
        store.put_configuration([facility("D", demo=True)], [source("d", "D", demo=True)])
    with pytest.raises(MixedData, match="name another folder"):
        Store.open(tmp_path, demo=False)
    with Store.open(tmp_path) as store:
        assert store.demo is True


def test_the_first_source_decides_what_a_folder_holds(world: World, tmp_path: Path) -> None:
    assert world.store.demo is False
    mixed = [source("a", "ESS"), source("b", "ESS", demo=True)]
    with Store.open(tmp_path / "other") as store:
        with pytest.raises(MixedData):
            store.put_configuration([facility("ESS")], mixed)
        assert store.demo is None


# -- migrations -----------------------------------------------------------------------------------


def test_a_new_folder_is_made_with_the_present_schema(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a" / "b") as store:
        assert store.schema_version == len(schema.migrations())
        assert store.folder == tmp_path / "a" / "b"


def test_a_file_of_a_newer_version_is_refused_and_left_alone(world: World) -> None:
    path = world.store.path
    world.store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreTooNew, match="schema 99, this version knows 1") as refused:
            Store.open(path.parent, read_only=read_only)
        assert refused.value.status == 409
    assert list(path.parent.glob("before-*")) == []


def test_an_older_file_is_brought_up_to_date_after_a_backup(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(record("1", document("doi:10.5072/1")))
    folder = world.store.folder
    world.store.close()
    steps = (*schema.migrations(), schema.Migration(2, "more", "CREATE TABLE more (x);\n-- end\n"))
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    with pytest.raises(StoreDamaged, match="open it once for writing"):
        Store.open(folder, read_only=True)
    with Store.open(folder, now=NOON) as store:
        assert store.schema_version == 2
        assert store.count("Document") == 1
        (copy,) = store.forget("No Body", now=NOON).copies
    assert copy.path == folder / "before-schema-2-20260301T120000Z.sqlite"
    connection = sqlite3.connect(copy.path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = world.store.folder
    world.store.close()
    script = "CREATE TABLE more (x);\nINSERT INTO nowhere VALUES (1);\n"
    steps = (*schema.migrations(), schema.Migration(2, "broken", script))
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    with pytest.raises(StoreError, match="nowhere"):
        Store.open(folder)
    monkeypatch.undo()
    with Store.open(folder) as store:
        assert store.schema_version == 1
        assert store.check().problems == ()


def test_a_statement_may_hold_semicolons_and_comments() -> None:
    script = "-- a; b\nCREATE TABLE a (x DEFAULT ';');\n\nINSERT INTO a VALUES ('x;\ny');\n-- end\n"
    found = list(schema.statements(script))
    assert len(found) == 2
    assert found[1].strip() == "INSERT INTO a VALUES ('x;\ny');"


def test_somebody_elses_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreDamaged, match="none of ours"):
        Store.open(tmp_path)


# -- refusals -------------------------------------------------------------------------------------


def test_every_exception_of_sqlite3_becomes_one_of_ours() -> None:
    """A class that a newer sqlite3 brings fails here until somebody decides what it means."""
    known = {
        "Error", "DatabaseError", "DataError", "IntegrityError", "InterfaceError",
        "InternalError", "NotSupportedError", "OperationalError", "ProgrammingError",
    }  # fmt: skip
    classes = {
        one
        for one in vars(sqlite3).values()
        if isinstance(one, type) and issubclass(one, sqlite3.Error)
    }
    assert {one.__name__ for one in classes} == known
    for one in classes:
        error = one("why")
        made = translate(error, Path("store.sqlite"))
        if isinstance(error, PROGRAMMING_MISTAKES):
            assert made is error
        else:
            assert isinstance(made, StoreError)
            assert "why" in str(made)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_FULL", StoreFull),
        ("SQLITE_READONLY", StoreReadOnly),
        ("SQLITE_READONLY_DBMOVED", StoreReadOnly),
        ("SQLITE_CANTOPEN", StoreReadOnly),
        ("SQLITE_PERM", StoreReadOnly),
        ("SQLITE_BUSY", StoreBusy),
        ("SQLITE_BUSY_SNAPSHOT", StoreBusy),
        ("SQLITE_LOCKED", StoreBusy),
        ("SQLITE_CORRUPT", StoreDamaged),
        ("SQLITE_CORRUPT_INDEX", StoreDamaged),
        ("SQLITE_NOTADB", StoreDamaged),
        ("SQLITE_IOERR_READ", StoreError),
    ],
)
def test_result_codes_become_errors_that_say_what_to_do(
    name: str, expected: type[StoreError]
) -> None:
    error = sqlite3.OperationalError("why")
    error.sqlite_errorcode = getattr(sqlite3, name)
    assert type(translate(error, Path("store.sqlite"))) is expected


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, StoreFull), (errno.EROFS, StoreReadOnly)]
)
def test_the_file_systems_refusals_are_ours_too(code: int, expected: type[StoreError]) -> None:
    with pytest.raises(expected), translated(Path("x")):
        raise OSError(code, os.strerror(code))


def test_every_store_error_has_a_status() -> None:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    statuses = {one.__name__: one.status for one in found if issubclass(one, StoreError)}
    assert statuses["StoreFull"] == statuses["StoreBusy"] == statuses["StoreReadOnly"] == 503


def test_a_full_disk_stops_cleanly_and_harms_nothing(world: World) -> None:
    """Fault H09, with SQLite's own limit in place of the disk's."""
    world.put(record("1", document("doi:10.5072/1")), checkpoint={"page": 1})
    with world.store._database.write() as connection:
        pass
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    large = [record(f"x{n}", document(f"doi:10.5072/x{n}", summary="y" * 9000)) for n in range(50)]
    with pytest.raises(StoreFull, match="no space left"):
        world.put(*large, checkpoint={"page": 2})
    connection.execute("PRAGMA max_page_count = 1000000")
    assert world.store.count("Document") == 1
    assert world.store.check().problems == ()
    world.put(*large, checkpoint={"page": 2})
    assert world.store.count("Document") == 51


def test_no_run_begins_on_a_disk_that_is_nearly_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H09."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 10**7))
    with pytest.raises(StoreFull, match="9 MB of space left"):
        world.run()
    assert world.store.runs() == ()


def test_copies_left_by_dead_processes_are_cleared_away(world: World, tmp_path: Path) -> None:
    """Fault H09."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"old.sqlite.{dead.pid}.partial").touch()
    (tmp_path / f"now.sqlite.{os.getppid()}.partial").touch()
    (tmp_path / "mine.partial").touch()
    world.store.backup(tmp_path / "new.sqlite", NOON)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [
        "mine.partial",
        "new.sqlite",
        f"now.sqlite.{os.getppid()}.partial",
    ]


def test_a_store_opened_for_reading_reads_beside_a_writer_and_refuses_to_write(
    world: World,
) -> None:
    world.put(record("1", document("doi:10.5072/1")))
    with Store.open(world.store.folder, read_only=True) as reader:
        assert reader.count("Document") == 1
        world.put(record("2", document("doi:10.5072/2")))
        assert reader.count("Document") == 2
        with pytest.raises(StoreReadOnly, match="opened for reading only"):
            reader.remember("ess-oai", {"a": 1})


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly, match="cannot be used"):
        Store.open(tmp_path / "file" / "data")


def test_a_store_on_a_read_only_file_system_can_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No -shm file can be made there: SQLite then wants the file called immutable."""
    world.put(record("1", document("doi:10.5072/1")))
    folder = world.store.folder
    world.store.close()
    real = sqlite3.connect

    def refuse(name: str, **more: Any) -> Any:
        if "immutable" not in name:
            raise sqlite3.OperationalError("unable to open database file")
        return real(name, **more)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with Store.open(folder, read_only=True) as reader:
        assert reader.count("Document") == 1


@pytest.mark.parametrize("put_back", [True, False], ids=["a backup put back", "removed"])
def test_a_file_that_was_exchanged_under_a_running_process_is_not_gone_on_with(
    world: World, tmp_path: Path, put_back: bool
) -> None:
    """Fault H08: what it writes would go into a file that nobody finds any more."""
    world.put(record("oai:1", document("doi:10.5072/a")))
    world.store.backup(tmp_path / "kept.sqlite", world.now)
    (tmp_path / "kept.sqlite").replace(world.store.path) if put_back else world.store.path.unlink()
    with pytest.raises(StoreReplaced, match="start them again"):
        world.put(record("oai:2", document("doi:10.5072/b")))
    world.store._database._looked_at -= 2 * LOOK_AGAIN_S
    with pytest.raises(StoreReplaced, match="start them again"):
        world.store.last_change()


def test_a_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnly, match="cannot be opened"):
        Store.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_refused(world: World) -> None:
    folder = world.store.folder
    world.store.close()
    (folder / FILE_NAME).write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(StoreDamaged, match="not a store of ours"):
        Store.open(folder)


def test_a_damaged_page_is_found_by_check_and_by_reading(world: World) -> None:
    for page in range(5):
        world.put(*(record(f"{page}-{n}", document(f"doi:10.5072/{page}-{n}")) for n in range(100)))
    folder = world.store.folder
    world.store.close()
    path = folder / FILE_NAME
    data = bytearray(path.read_bytes())
    for start in range(8192 * 20, len(data) - 8192, 8192):
        data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    with Store.open(folder) as store:
        assert store.check().problems != ()
        with pytest.raises(StoreDamaged, match="restore a backup"):
            store.changes_since(0, 1000)


def test_a_neighbour_that_keeps_the_lock_is_said_so(world: World) -> None:
    with Store.open(world.store.folder, busy_timeout_s=0.05) as impatient:
        neighbour = sqlite3.connect(world.store.path, isolation_level=None)
        neighbour.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked by another process"):
            impatient.remember("ess-oai", {"a": 1})
        assert impatient.count("Document") == 0
        neighbour.execute("ROLLBACK")
        neighbour.close()
        impatient.remember("ess-oai", {"a": 1})


def test_a_thread_that_keeps_the_turn_is_said_so(world: World) -> None:
    """Threads of one process take turns, with the patience that they have for other processes."""
    with Store.open(world.store.folder, busy_timeout_s=0.05) as impatient:
        with impatient._database.write(), ThreadPoolExecutor(1) as others:
            waiting = others.submit(impatient.remember, "ess-oai", {"a": 1})
            with pytest.raises(StoreBusy, match="by ourselves"):
                waiting.result()
        impatient.remember("ess-oai", {"a": 1})


def test_threads_write_and_read_at_once(world: World) -> None:
    names = ("ess-oai", "ess-rest", "ill-oai")
    runs = {name: world.run(name) for name in names}
    failures: list[BaseException] = []

    def harvest(name: str) -> None:
        try:
            for n in range(15):
                one = record(f"{n}", document(f"doi:10.5072/{name}-{n}"))
                world.store.commit_page(runs[name], PageCommit((one,), {"at": n}, NOON))
                world.store.changes_since(0)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=harvest, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert world.store.count("Document") == 45
    assert world.store.check().problems == ()
