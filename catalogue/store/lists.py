"""Entities as lists show them: what they state of themselves, in a fraction of the work of a whole
record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from catalogue.records import StoredEntity
from catalogue.store.database import MOST_IN_LIST, as_list, in_list, rows
from catalogue.store.entities import PARTS, fill_instrument
from catalogue.store.parts import (
    CLASS_NAMES,
    DATASETS,
    INSTRUMENTS,
)


def _packed(*columns: str, body: str = "") -> str:
    """All rows as one text, for ``_unpacked``: SQLite is left, and the interpreter waited for, once
    and not for each row.

    Args:
        body: a column that is JSON already; it comes behind the array of the others.
    """
    row = f"json_array({', '.join(columns)})" + (f" || ',' || {body}" if body else "")
    return f"CAST(group_concat({row}) AS BLOB)"


def _unpacked(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a SELECT of ``_packed`` columns, bodies in between."""
    ((found,),) = rows(connection, statement, values)
    read: list[Any] = orjson.loads(b"[%b]" % found) if found else []
    return read


_PLAIN = _packed(
    "e.ordinal",
    "e.class",
    "e.change",
    "e.key",
    "s.facility",
    body="coalesce(e.body, p.body, '{}')",
)
_INSIDE = _packed("l.parent", "e.key", "e.ordinal")
_LINKED = _packed("l.parent", "l.child")
_PLAIN_AT_ONCE = 64  # So that the text stays far below what SQLite makes of one.
# A part names what its own record states; who is related indeed is in the links.
_STATED_RELATIONS = ("datasets", "documents")


def plain(connection: sqlite3.Connection, ordinals: Sequence[int]) -> dict[int, StoredEntity]:
    """Live entities for a list, by ordinal: what they state of themselves, and who has them; no
    relations, provider or provenance. A sixth of the work of ``by_keys``."""
    entities = {}
    for start in range(0, len(ordinals), _PLAIN_AT_ONCE):
        marks, given = in_list(ordinals[start : start + _PLAIN_AT_ONCE])
        found = _unpacked(
            connection,
            f"SELECT {_PLAIN} FROM entities e {PARTS}"  # noqa: S608 (constants and marks)
            f" WHERE e.ordinal IN ({marks}) AND e.live = 1",
            given,
        )
        for (ordinal, number, change, key, facility), record in zip(
            found[::2], found[1::2], strict=True
        ):
            if "facilities" not in record:
                # One source's word; merged forms name them themselves.
                record["facility"] = facility
                record["facilities"] = [facility]
            for relation in _STATED_RELATIONS:
                record.pop(relation, None)
            name = CLASS_NAMES[number]
            entities[ordinal] = StoredEntity(key, name, ordinal, change, False, record)
    return entities


def contained(
    connection: sqlite3.Connection, ordinals: Sequence[int], most: int
) -> dict[int, tuple[int, list[StoredEntity]]]:
    """How many live Datasets Documents have, and the first ``most`` of them by key as ``plain``
    gives entities, but with their instrument filled in. Documents without any are left out."""
    keys: dict[int, dict[str, int]] = {}
    for start in range(0, len(ordinals), MOST_IN_LIST):
        marks, given = in_list(ordinals[start : start + MOST_IN_LIST])
        for parent, key, child in _unpacked(
            connection,
            f"SELECT {_INSIDE} FROM links l"  # noqa: S608 (constants and marks)
            " CROSS JOIN entities e ON e.ordinal = l.child"
            f" WHERE l.parent IN ({marks}) AND l.relation = ? AND e.live = 1",
            [*given, DATASETS],
        ):
            keys.setdefault(parent, {})[key] = child
    first = {
        parent: [children[key] for key in sorted(children)[:most]]
        for parent, children in keys.items()
    }
    wanted = list(dict.fromkeys(child for children in first.values() for child in children))
    shown = plain(connection, wanted)
    instruments = _instruments(connection, wanted)
    for ordinal, entity in shown.items():
        if ordinal in instruments:
            fill_instrument(cast(dict[str, Any], entity.record), instruments[ordinal])
    return {
        parent: (len(keys[parent]), [shown[child] for child in children])
        for parent, children in first.items()
    }


def _instruments(
    connection: sqlite3.Connection, datasets: Sequence[int]
) -> dict[int, Mapping[str, Any]]:
    """What the Instruments of Datasets state, by Dataset; of several the oldest."""
    named: dict[int, int] = {}
    for start in range(0, len(datasets), MOST_IN_LIST):
        marks, given = in_list(datasets[start : start + MOST_IN_LIST])
        for dataset, instrument in _unpacked(
            connection,
            f"SELECT {_LINKED} FROM links l"  # noqa: S608 (constants and marks)
            " CROSS JOIN entities e ON e.ordinal = l.child"
            f" WHERE l.parent IN ({marks}) AND l.relation = ? AND e.live = 1",
            [*given, INSTRUMENTS],
        ):
            named[dataset] = min(instrument, named.get(dataset, instrument))
    held = plain(connection, list(dict.fromkeys(named.values())))
    return {dataset: held[instrument].record for dataset, instrument in named.items()}


def stated(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """What live entities state of themselves, by key: the merged form without relations, provider,
    facility and provenance. A quarter of the work of ``by_keys``."""
    found = rows(
        connection,
        "SELECT e.key, coalesce(e.body, p.body) FROM json_each(?) j"
        " CROSS JOIN entities e ON e.key = j.value LEFT JOIN parts p ON p.id = e.part"
        " WHERE e.live = 1",
        (as_list(keys),),
    )
    return {key: orjson.loads(body) for key, body in found if body is not None}
