"""Facilities and sources as configured; what kind of data a folder holds (semantics 1.1, 10.5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from catalogue.errors import ImportUnfinished, MixedData, NotFound
from catalogue.facilities import Facility, Service, Source, mapping_context
from catalogue.store.database import dump, rows
from mappings.context import Context


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What the store's own code needs of a source: its number, and how far it is believed."""

    id: int
    name: str
    facility: str
    trust: int


def meta(connection: sqlite3.Connection, name: str) -> str | None:
    """A named value of the store, if it was ever set."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Set a named value of the store."""
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


ORIGIN = "configured_by"
"""The name under which the file is kept that the configuration is from."""


def demo_flag(connection: sqlite3.Connection) -> bool | None:
    """Whether the folder holds demo data; ``None`` while it is undecided."""
    value = meta(connection, "demo")
    return None if value is None else value == "1"


def claim(connection: sqlite3.Connection, demo: bool, asked_by: str) -> None:
    """Settle what the folder holds.

    Raises:
        MixedData: it is settled already, and otherwise.
    """
    held = demo_flag(connection)
    if held is None:
        set_meta(connection, "demo", "1" if demo else "0")
    elif held != demo:
        kinds = ("real", "demo")
        raise MixedData(
            f"this data folder holds {kinds[held]} data, and {asked_by} is {kinds[demo]}: "
            f"name another folder with --data"
        )


def put_configuration(
    connection: sqlite3.Connection, facilities: Sequence[Facility], sources: Sequence[Source]
) -> tuple[int, ...]:
    """Replace the configuration; the numbers of the sources whose trust or facility changed.

    What is no longer named stays in the store, unlisted, until its records are taken away.

    Raises:
        MixedData: demo and real sources would meet.
        NotFound: a source names a facility that is not given.
    """
    named = {facility.name for facility in facilities}
    for source in sources:
        if source.facility not in named:
            raise NotFound(
                f"source {source.name} belongs to facility {source.facility}, which is not "
                f"configured; there are: {', '.join(sorted(named)) or 'none'}"
            )
        claim(connection, source.demo, f"source {source.name}")
    connection.execute("UPDATE facilities SET configured = 0")
    connection.executemany(
        "INSERT INTO facilities (name, position, configured, body) VALUES (?, ?, 1, ?)"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position, configured = 1,"
        " body = excluded.body",
        [(item.name, place, dump(asdict(item))) for place, item in enumerate(facilities)],
    )
    before = {name: rest for name, *rest in rows(connection, _IDENTITY)}
    connection.execute("UPDATE sources SET configured = 0")
    connection.executemany(
        "INSERT INTO sources (name, facility, trust, position, configured, body)"
        " VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (name) DO UPDATE SET facility = excluded.facility,"
        " trust = excluded.trust, position = excluded.position, configured = 1,"
        " body = excluded.body",
        [
            (item.name, item.facility, item.trust, place, dump(asdict(item)))
            for place, item in enumerate(sources)
        ],
    )
    after = {name: rest for name, *rest in rows(connection, _IDENTITY)}
    return tuple(int(after[name][0]) for name, rest in before.items() if after[name] != rest)


_IDENTITY = "SELECT name, id, facility, trust FROM sources"


def facilities(connection: sqlite3.Connection) -> tuple[Facility, ...]:
    """The configured facilities, in the order of the configuration."""
    return tuple(
        _facility(body)
        for (body,) in rows(
            connection, "SELECT body FROM facilities WHERE configured = 1 ORDER BY position"
        )
    )


def sources(connection: sqlite3.Connection) -> tuple[Source, ...]:
    """The configured sources, in the order of the configuration."""
    return tuple(
        Source(**orjson.loads(body))
        for (body,) in rows(
            connection, "SELECT body FROM sources WHERE configured = 1 ORDER BY position"
        )
    )


IMPORTING = "importing"
"""Named value: an import has begun and did not come to its end."""


def require_whole(connection: sqlite3.Connection, folder: Path) -> None:
    """See that no import was broken off.

    Raises:
        ImportUnfinished: one was.
    """
    if meta(connection, IMPORTING) is not None:
        raise ImportUnfinished(
            f"{folder} has only part of an export: import it again, which goes on from there, or "
            "begin with an empty folder"
        )


def unlisted(connection: sqlite3.Connection) -> dict[str, int]:
    """Sources that are not configured any more, and how many records they still have."""
    return dict(
        rows(
            connection,
            "SELECT name, live FROM sources WHERE configured = 0 AND live > 0 ORDER BY name",
        )
    )


def source_row(connection: sqlite3.Connection, name: str) -> SourceRow:
    """A source by name, configured or not.

    Raises:
        NotFound: nobody ever configured it.
    """
    row = connection.execute(
        "SELECT id, name, facility, trust FROM sources WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        known = [found for (found,) in rows(connection, "SELECT name FROM sources ORDER BY name")]
        raise NotFound(f"there is no source {name!r}; there are: {', '.join(known) or 'none'}")
    return SourceRow(*row)


def require_configured(connection: sqlite3.Connection, name: str) -> None:
    """See that a source is configured still: whoever read the configuration before it was taken
    out must not bring its records back (fault H06).

    Raises:
        NotFound: it is not.
    """
    row = connection.execute("SELECT configured FROM sources WHERE name = ?", (name,)).fetchone()
    if row is not None and not row[0]:
        raise NotFound(f"source {name!r} is not configured any more")


def source_rows(connection: sqlite3.Connection) -> dict[int, SourceRow]:
    """All sources that ever were, by number."""
    found = rows(connection, "SELECT id, name, facility, trust FROM sources")
    return {row[0]: SourceRow(*row) for row in found}


def as_stored(connection: sqlite3.Connection, source: str) -> tuple[Facility, Source]:
    """A source and its facility as the store knows them.

    Raises:
        NotFound: there is no such source, or its facility is not there.
    """
    row = connection.execute("SELECT body, facility FROM sources WHERE name = ?", (source,))
    found = row.fetchone()
    if found is None:
        raise NotFound(f"there is no source {source!r}")
    body = connection.execute("SELECT body FROM facilities WHERE name = ?", (found[1],)).fetchone()
    if body is None:
        raise NotFound(f"facility {found[1]} of source {source} is not in the store")
    return _facility(body[0]), Source(**orjson.loads(found[0]))


def context_of(connection: sqlite3.Connection, source: str) -> Context:
    """What the crosswalks are told about records of a source, by its stored configuration."""
    return mapping_context(*as_stored(connection, source))


def providers(connection: sqlite3.Connection) -> dict[str, str]:
    """The PaNOSC base URL of each facility by short name."""
    found = rows(connection, "SELECT name, body FROM facilities")
    return {name: _facility(body).provider for name, body in found}


def facility_names(connection: sqlite3.Connection) -> Iterable[str]:
    """Short names of all facilities that ever were."""
    return [name for (name,) in rows(connection, "SELECT name FROM facilities")]


@lru_cache(maxsize=256)
def _facility(body: str) -> Facility:
    values = orjson.loads(body)
    values["probes"] = tuple(values["probes"])
    values["services"] = tuple(Service(**service) for service in values["services"])
    return Facility(**values)
