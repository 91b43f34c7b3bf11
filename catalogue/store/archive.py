"""Opening with migrations, backup, integrity check, compaction (issue 6; faults H08, H09)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from catalogue.errors import StoreDamaged
from catalogue.store import schema
from catalogue.store.database import Database


def bring_up_to_date(database: Database, now: datetime) -> None:
    """Make or migrate the file: a backup first, then all steps in one transaction.

    Raises:
        StoreTooNew: it took steps that we do not know.
        StoreDamaged: it is not ours, or has no schema yet and may only be read.
    """
    steps = schema.migrations()
    with database.read() as connection:
        version = schema.version_of(connection, database.path)
        schema.refuse_newer(version, steps, database.path)
    if version == len(steps):
        return
    if database.read_only:
        raise StoreDamaged(
            f"{database.path} has schema {version} of {len(steps)} and is opened for reading only:"
            f" open it once for writing to bring it up to date"
        )
    if version:
        copy(
            database,
            database.path.with_name(f"before-schema-{len(steps)}-{now:%Y%m%dT%H%M%SZ}.sqlite"),
        )
    with database.write() as connection:
        schema.migrate(connection, steps, database.path)


def copy(database: Database, target: Path) -> None:
    """Copy the store as it is at this instant, while others go on writing."""
    with closing(sqlite3.connect(target)) as copied:
        database.connection().backup(copied)
