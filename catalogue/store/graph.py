"""Who contains whom, in ordinals: what the outbox asks of the relations (semantics 1.5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from catalogue.store.database import as_list, rows


def classes_of(connection: sqlite3.Connection, ordinals: Iterable[int]) -> dict[int, int]:
    """Class numbers of entities."""
    found = sorted(ordinals)
    if not found:
        return {}
    return dict(
        rows(
            connection,
            "SELECT e.ordinal, e.class FROM json_each(?) j"
            " CROSS JOIN entities e ON e.ordinal = j.value",
            (as_list(found),),
        )
    )


def parents_of(connection: sqlite3.Connection, ordinals: Iterable[int], relation: int) -> set[int]:
    """Entities on the containing side of a relation, of all of the given ones together."""
    found = sorted(ordinals)
    if not found:
        return set()
    parents = rows(
        connection,
        "SELECT DISTINCT l.parent FROM json_each(?) j"
        " CROSS JOIN links l ON l.child = j.value AND l.relation = ?",
        (as_list(found), relation),
    )
    return {parent for (parent,) in parents}


def children_of(connection: sqlite3.Connection, ordinals: Iterable[int], relation: int) -> set[int]:
    """Entities on the contained side of a relation, of all of the given ones together."""
    found = sorted(ordinals)
    if not found:
        return set()
    children = rows(
        connection,
        "SELECT DISTINCT l.child FROM json_each(?) j"
        " CROSS JOIN links l ON l.parent = j.value AND l.relation = ?",
        (as_list(found), relation),
    )
    return {child for (child,) in children}


def live_among(connection: sqlite3.Connection, ordinals: Iterable[int]) -> set[int]:
    """Those of the entities that are live."""
    found = sorted(ordinals)
    if not found:
        return set()
    live = rows(
        connection,
        "SELECT e.ordinal FROM json_each(?) j CROSS JOIN entities e ON e.ordinal = j.value"
        " WHERE e.live = 1",
        (as_list(found),),
    )
    return {ordinal for (ordinal,) in live}
