"""The schema's versions: forward only, in one transaction, after a backup.

Each file in ``migrations/`` is one step, numbered from 1; ``PRAGMA user_version`` says how many a
file has taken. A file that took more than we know is not opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalogue.errors import StoreDamaged, StoreTooNew

# "PaNC" in ASCII: tells our files from other people's.
APPLICATION_ID = 0x50614E43

_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: from ``number - 1`` to ``number``."""

    number: int
    name: str
    script: str


def migrations() -> tuple[Migration, ...]:
    """All steps, in order; their numbers have no gap."""
    found = []
    for path in sorted(_FOLDER.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(int(number), name, path.read_text("utf-8")))
    if [step.number for step in found] != list(range(1, len(found) + 1)):
        raise StoreDamaged(f"{_FOLDER} does not hold the schema's steps without a gap")
    return tuple(found)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """How many steps a file has taken.

    Raises:
        StoreDamaged: it is a database of something else.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if application != APPLICATION_ID and (version or application or _has_tables(connection)):
        raise StoreDamaged(f"{path} is a database, but none of ours")
    return version


def refuse_newer(version: int, steps: tuple[Migration, ...], path: Path) -> None:
    """Raises ``StoreTooNew`` when the file took steps that we do not know."""
    if version > len(steps):
        raise StoreTooNew(
            f"{path} was written by a newer version (schema {version}, this version knows "
            f"{len(steps)}): update pan-commons, or name another data folder"
        )


def migrate(connection: sqlite3.Connection, steps: tuple[Migration, ...], path: Path) -> int:
    """Take the steps that are missing, inside the caller's transaction; how many were taken."""
    version = version_of(connection, path)
    refuse_newer(version, steps, path)
    for step in steps[version:]:
        for statement in statements(step.script):
            connection.execute(statement)
    if version < len(steps):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    return len(steps) - version


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip() and not _only_comment(statement):
        yield statement


def _only_comment(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("--") for line in text.splitlines())


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
