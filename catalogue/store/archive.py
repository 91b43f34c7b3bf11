"""Opening with migrations, and online backup (issue: faults H08, H09)."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalogue.errors import StoreDamaged, StoreError
from catalogue.store import schema
from catalogue.store.database import Database, micros, translated


@dataclass(frozen=True, slots=True)
class BackupReport:
    """Where the copy is, its size, and the newest change number in it."""

    path: Path
    size_bytes: int
    last_change: int


def bring_up_to_date(database: Database, now: datetime) -> None:
    """Make or migrate the file: a backup first, then all steps in one transaction.

    Raises:
        StoreTooNew: it took steps that we do not know.
        StoreDamaged: it is not ours, or has no schema yet and may only be read.
    """
    steps = schema.migrations()
    while (version := _version(database, steps)) < len(steps):
        if database.read_only:
            raise StoreDamaged(
                f"{database.path} has schema {version} of {len(steps)} and is opened for reading"
                f" only: open it once for writing to bring it up to date"
            )
        _take_steps(database, version, steps, now)


def _version(database: Database, steps: tuple[schema.Migration, ...]) -> int:
    with database.read() as connection:
        version = schema.version_of(connection, database.path)
    schema.refuse_newer(version, steps, database.path)
    return version


def _take_steps(
    database: Database, version: int, steps: tuple[schema.Migration, ...], now: datetime
) -> None:
    """From ``version`` on, unless another process is faster: then it has the copy that counts,
    since ours may be of what it made."""
    if not version:
        with database.write() as connection:
            schema.migrate(connection, steps, database.path)
        return
    name = f"before-schema-{len(steps)}-{now:%Y%m%dT%H%M%SZ}.sqlite"
    target = database.path.with_name(name)
    with _copied(database, target) as copy, database.write() as connection:
        if schema.version_of(connection, database.path) == version:
            schema.migrate(connection, steps, database.path)
            note_copy(connection, target, "backup", now)
            copy.replace(target)


def backup(database: Database, target: Path, now: datetime) -> BackupReport:
    """Copy the store as it is at this instant, while others go on writing.

    The copy is one file that can be put in the place of ``store.sqlite``. It gets its name only
    when it is whole.

    Raises:
        StoreError: there is a file of that name, or the copy is not sound.
    """
    target = target.absolute()
    if target.exists():
        raise StoreError(f"{target} exists already; name another file")
    if not database.read_only:
        with database.write() as connection:
            note_copy(connection, target, "backup", now)
    with translated(target), _copied(database, target) as copy:
        copy.replace(target)
    with translated(target), closing(sqlite3.connect(target)) as copied:
        found = copied.execute("SELECT last FROM sequences WHERE name = 'change'").fetchone()
    return BackupReport(target, target.stat().st_size, int(found[0]))


def note_copy(connection: sqlite3.Connection, target: Path, kind: str, now: datetime) -> None:
    """Remember a copy: ``forget`` has to name those that still hold what it erased."""
    connection.execute(
        "INSERT OR REPLACE INTO copies VALUES (?, ?, ?)", (str(target), kind, micros(now))
    )


def _remove_leftovers(folder: Path) -> None:
    """Copies whose process died in the middle must not fill the disk (fault H09)."""
    for path in folder.glob("*.partial"):
        number = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
        if number.isdigit() and not _is_alive(int(number)):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _copied(database: Database, target: Path) -> Iterator[Path]:
    """A sound copy beside ``target``, to be given its name; else it is removed."""
    partial = target.with_name(f"{target.name}.{threading.get_ident()}.{os.getpid()}.partial")
    try:
        with translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target.parent)
            with closing(sqlite3.connect(partial)) as copied:
                database.connection().backup(copied)
                # One file, without a write-ahead log beside it.
                copied.execute("PRAGMA journal_mode=DELETE")
                # Put in the place of the store, it is another one (``Store.identity``).
                copied.execute("DELETE FROM meta WHERE name = 'identity'")
                copied.commit()
                problems = copied.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problems != "ok":
                raise StoreDamaged(f"the copy of {database.path} is not sound: {problems}")
        yield partial
    finally:
        partial.unlink(missing_ok=True)
