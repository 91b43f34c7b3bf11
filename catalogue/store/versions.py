"""What made a record's normalised form (semantics 1.6): remap asks which are of yesterday."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from hashlib import blake2b

import orjson

from catalogue.store.configuration import context_of
from mappings.versions import VERSIONS

NONE = 0
"""Of records without a normalised form: deleted before they were ever seen."""


def current_versions(connection: sqlite3.Connection, source: str) -> str:
    """The versions that a record of the source mapped now is made by, as sorted JSON.

    The facility's policy and the source's options are told to the crosswalk, so they are part.
    """
    context = orjson.dumps(
        asdict(context_of(connection, source)), option=orjson.OPT_SORT_KEYS, default=str
    )
    digest = blake2b(context, digest_size=8).hexdigest()
    return orjson.dumps({**VERSIONS, "context": digest}, option=orjson.OPT_SORT_KEYS).decode()


def find_versions(connection: sqlite3.Connection, source: str) -> int:
    """The number of the present versions; ``NONE`` while nothing was stored with them."""
    row = connection.execute(
        "SELECT id FROM versions WHERE body = ?", (current_versions(connection, source),)
    ).fetchone()
    return NONE if row is None else int(row[0])


def put_versions(connection: sqlite3.Connection, source: str) -> int:
    """As ``find_versions``, giving them a number where they have none."""
    found = find_versions(connection, source)
    if found:
        return found
    cursor = connection.execute(
        "INSERT INTO versions (body) VALUES (?)", (current_versions(connection, source),)
    )
    return int(cursor.lastrowid or 0)
