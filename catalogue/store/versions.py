"""What made a record's normalised form (semantics 1.6): remap asks which are of yesterday."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from hashlib import blake2b

import orjson

from mappings.context import Context
from mappings.versions import VERSIONS

NONE = 0
"""Of records without a normalised form: deleted before they were ever seen."""


def current_versions(context: Context) -> str:
    """The versions that a record mapped now is made by, as sorted JSON.

    The facility's policy and the source's options are told to the crosswalk, so they are part.
    """
    told = orjson.dumps(asdict(context), option=orjson.OPT_SORT_KEYS, default=str)
    digest = blake2b(told, digest_size=8).hexdigest()
    return orjson.dumps({**VERSIONS, "context": digest}, option=orjson.OPT_SORT_KEYS).decode()


def find_versions(connection: sqlite3.Connection, context: Context) -> int:
    """The number of the versions that a record mapped now is made by; ``NONE`` while nothing was
    stored with them."""
    present = current_versions(context)
    row = connection.execute("SELECT id FROM versions WHERE body = ?", (present,)).fetchone()
    return NONE if row is None else int(row[0])


def put_versions(connection: sqlite3.Connection, context: Context) -> int:
    """As ``find_versions``, giving them a number where they have none."""
    found = find_versions(connection, context)
    if found:
        return found
    cursor = connection.execute(
        "INSERT INTO versions (body) VALUES (?)", (current_versions(context),)
    )
    return int(cursor.lastrowid or 0)
