"""Merged entities as they are read: for hydration, includes, the engines (semantics 1.2, 10.3)."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import orjson

from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.store.configuration import facility_names, providers
from catalogue.store.database import as_list, in_list, instant, rows
from catalogue.store.parts import (
    CLASS_NAMES,
    CLASSES,
    DATASET,
    DATASETS,
    DOCUMENT,
    INSTRUMENTS,
    RELATIONS,
)
from mappings.identifiers import entity_key

_COLUMNS = (
    "e.ordinal, e.key, e.class, e.change, e.live, e.changed_at, e.body, p.body, s.name, s.facility,"
    " e.part"
)
PARTS = "LEFT JOIN parts p ON p.id = e.part LEFT JOIN sources s ON s.id = p.source"


# Not fields that a source gives, so nobody is named for them.
_NOT_GIVEN = ("class", "key", "facility")


class Raw(NamedTuple):
    """The row of an entity, with the one part it is made of where it is not merged."""

    ordinal: int
    key: str
    entity_class: int
    change: int
    live: int
    changed_at: int
    body: bytes | None
    part: bytes | None
    source: str | None
    facility: str | None
    part_id: int | None


def by_keys(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, StoredEntity]:
    """Entities by key, deleted ones included; keys nobody has are left out."""
    return {item.key: item for item in filled(connection, _by_keys(connection, keys)).values()}


def raw_rows(
    connection: sqlite3.Connection, column: Literal["key", "ordinal"], values: Sequence[object]
) -> list[Raw]:
    """The rows of a page's entities, deleted ones included, for ``filled``."""
    if not values:
        return []
    marks, given = in_list(values)
    found = rows(
        connection,
        f"SELECT {_COLUMNS} FROM entities e {PARTS}"  # noqa: S608 (constants and marks)
        f" WHERE e.{column} IN ({marks}) AND e.change IS NOT NULL",
        given,
    )
    return [Raw(*row) for row in found]


def find(
    connection: sqlite3.Connection, entity_class: EntityClass, pid: str
) -> tuple[StoredEntity, ...]:
    """Live entities of a class that a pid may mean, whichever writing, at whichever facility."""
    keys = {entity_key(entity_class, pid, name) for name in facility_names(connection)}
    found = rows(
        connection,
        "SELECT e.key FROM json_each(?1) j CROSS JOIN entities e ON e.key = j.value"
        " WHERE e.live = 1 UNION "
        "SELECT e.key FROM json_each(?1) j CROSS JOIN aliases a ON a.alias = j.value"
        " CROSS JOIN entities e ON e.ordinal = a.entity WHERE e.live = 1",
        (as_list(sorted(keys)),),
    )
    entities = by_keys(connection, [key for (key,) in found])
    return tuple(entities[key] for key in sorted(entities))


# Entities in one answer of the outbox, children included: some 50 MB. A Document of 20,000
# Datasets would make a page of 1,000 Documents too large for memory.
MAX_IN_MEMORY = 5_000


def changes_since(connection: sqlite3.Connection, number: int, limit: int) -> list[Change]:
    """The next lines of the outbox after a change number, in order of their numbers.

    Fewer than ``limit`` when they contain very many others; none only when there are none.
    """
    found = [
        Raw(*row)
        for row in rows(
            connection,
            # Constants only; the order by number is that of the index.
            f"SELECT {_COLUMNS} FROM entities e {PARTS}"  # noqa: S608
            " WHERE e.change > ? ORDER BY e.change LIMIT ?",
            (number, limit),
        )
    ]
    return _changes(connection, found, MAX_IN_MEMORY)


def changes_numbered(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[Change]:
    """The lines of the outbox with these change numbers, in their order; an entity that has got
    another number meanwhile is left out."""
    found = rows(
        connection,
        f"SELECT {_COLUMNS} FROM json_each(?) j"  # noqa: S608
        f" CROSS JOIN entities e ON e.change = j.value {PARTS} ORDER BY e.change",
        (as_list(numbers),),
    )
    return _changes(connection, [Raw(*row) for row in found])


def changes_of(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Change]:
    """As ``changes_since``, for entities named by key."""
    found = _changes(connection, _by_keys(connection, keys))
    return {change.entity.key: change for change in found}


def _changes(
    connection: sqlite3.Connection, found: Sequence[Raw], most: int | None = None
) -> list[Change]:
    documents = [row.ordinal for row in found if row.entity_class == DOCUMENT and row.live]
    children = _live_pairs(connection, documents, DATASETS, "parent")
    if most is not None:
        found = _as_many(found, children, most)
    have = {row.ordinal for row in found}
    missing = {child for row in found for child in children.get(row.ordinal, ())} - have
    raw = [*found, *_by_ordinals(connection, missing)]
    containers = _containers(connection, found)
    keys = {row.ordinal: row.key for row in raw}
    keys |= _keys(connection, {p for many in containers.values() for p in many} - keys.keys())
    entities = filled(connection, raw, children)
    return [
        Change(
            entities[row.ordinal],
            tuple(entities[child] for child in children.get(row.ordinal, ())),
            tuple(keys[parent] for parent in containers.get(row.ordinal, ())),
        )
        for row in found
    ]


def _as_many(
    found: Sequence[Raw], children: Mapping[int, Sequence[int]], most: int
) -> Sequence[Raw]:
    """The first of the rows that with their children are at most so many; at least one row."""
    total = 0
    for place, row in enumerate(found):
        total += 1 + len(children.get(row.ordinal, ()))
        if total > most and place:
            return found[:place]
    return found


def related(
    connection: sqlite3.Connection, keys: Iterable[str], relation: str, *, up: bool
) -> dict[str, tuple[str, ...]]:
    """Keys of live entities at the other end of a relation, by each of the given keys."""
    side = "child" if up else "parent"
    raw = _ordinals(connection, keys)
    names: dict[int, str] = {}
    pairs = _live_pairs(connection, list(raw), RELATIONS[relation], side, names)
    return {
        key: tuple(names[other] for other in pairs.get(ordinal, ())) for ordinal, key in raw.items()
    }


def count(connection: sqlite3.Connection, entity_class: EntityClass, *, derived: bool) -> int:
    """Live entities of a class; derived Datasets only where asked for (semantics 1.3)."""
    found = connection.execute(
        "SELECT sum(live) FROM counters WHERE class = ? AND derived <= ?",
        (CLASSES[entity_class], int(derived)),
    ).fetchone()
    return int(found[0])


def last_change(connection: sqlite3.Connection) -> int:
    """The newest change number; 0 in an empty store."""
    row = connection.execute("SELECT last FROM sequences WHERE name = 'change'").fetchone()
    return int(row[0])


def count_changes(connection: sqlite3.Connection) -> int:
    """Entities that have a change number, deleted ones too."""
    row = connection.execute("SELECT count(*) FROM entities WHERE change > 0").fetchone()
    return int(row[0])


def _by_keys(connection: sqlite3.Connection, keys: Iterable[str]) -> list[Raw]:
    found = rows(
        connection,
        f"SELECT {_COLUMNS} FROM json_each(?) j"  # noqa: S608
        f" CROSS JOIN entities e ON e.key = j.value {PARTS} WHERE e.change IS NOT NULL",
        (as_list(keys),),
    )
    return [Raw(*row) for row in found]


def _by_ordinals(connection: sqlite3.Connection, ordinals: Iterable[int]) -> list[Raw]:
    wanted = sorted(ordinals)
    if not wanted:
        return []
    found = rows(
        connection,
        f"SELECT {_COLUMNS} FROM json_each(?) j"  # noqa: S608
        f" CROSS JOIN entities e ON e.ordinal = j.value {PARTS} WHERE e.change IS NOT NULL",
        (as_list(wanted),),
    )
    return [Raw(*row) for row in found]


def _ordinals(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[int, str]:
    return dict(
        rows(
            connection,
            "SELECT e.ordinal, e.key FROM json_each(?) j CROSS JOIN entities e ON e.key = j.value",
            (as_list(keys),),
        )
    )


def _keys(connection: sqlite3.Connection, ordinals: Iterable[int]) -> dict[int, str]:
    wanted = sorted(ordinals)
    if not wanted:
        return {}
    return dict(
        rows(
            connection,
            "SELECT e.ordinal, e.key FROM json_each(?) j"
            " CROSS JOIN entities e ON e.ordinal = j.value",
            (as_list(wanted),),
        )
    )


def _live_pairs(
    connection: sqlite3.Connection,
    ordinals: Sequence[int],
    relation: int,
    side: str,
    keys: dict[int, str] | None = None,
) -> dict[int, list[int]]:
    """Live entities at the other end, by ordinal, in order of their ordinals. ``keys`` is given
    the key of each."""
    if not ordinals:
        return {}
    other = "child" if side == "parent" else "parent"
    found = rows(
        connection,
        f"SELECT j.value, l.{other}, e.key FROM json_each(?) j"  # noqa: S608
        f" CROSS JOIN links l ON l.{side} = j.value AND l.relation = ?"
        f" CROSS JOIN entities e ON e.ordinal = l.{other} WHERE e.live = 1",
        (as_list(list(ordinals)), relation),
    )
    pairs: dict[int, list[int]] = defaultdict(list)
    # Several records may state the same.
    for one, another, key in sorted(set(found)):
        pairs[one].append(another)
        if keys is not None:
            keys[another] = key
    return pairs


def _containers(connection: sqlite3.Connection, found: Sequence[Raw]) -> dict[int, list[int]]:
    """Live Documents of Datasets and live Datasets of Instruments."""
    datasets = [row.ordinal for row in found if row.entity_class == DATASET]
    others = [row.ordinal for row in found if row.entity_class not in (DATASET, DOCUMENT)]
    return {
        **_live_pairs(connection, datasets, DATASETS, "child"),
        **_live_pairs(connection, others, INSTRUMENTS, "child"),
    }


def filled(
    connection: sqlite3.Connection,
    found: Sequence[Raw],
    children: Mapping[int, list[int]] | None = None,
) -> dict[int, StoredEntity]:
    """Entities by ordinal, with relations, instrument and provider as they are now."""
    documents = [row.ordinal for row in found if row.entity_class == DOCUMENT and row.live]
    datasets = [row.ordinal for row in found if row.entity_class == DATASET and row.live]
    keys = {row.ordinal: row.key for row in found}
    if children is None:
        children = _live_pairs(connection, documents, DATASETS, "parent", keys)
    else:
        contained = {child for many in children.values() for child in many}
        keys |= _keys(connection, contained - keys.keys())
    parents = _live_pairs(connection, datasets, DATASETS, "child", keys)
    instruments = _live_pairs(connection, datasets, INSTRUMENTS, "parent")
    shown = {
        row.ordinal: _record(row)
        for row in _by_ordinals(connection, {o for many in instruments.values() for o in many})
    }
    urls = providers(connection)
    entities = {}
    for row in found:
        record = _record(row)
        record["provider"] = urls.get(record.get("facility", ""), "")
        if not row.live:
            pass
        elif row.entity_class == DOCUMENT:
            record["datasets"] = [keys[child] for child in children.get(row.ordinal, ())]
        elif row.entity_class == DATASET:
            record["documents"] = [keys[parent] for parent in parents.get(row.ordinal, ())]
            if row.ordinal in instruments:
                fill_instrument(record, shown[instruments[row.ordinal][0]])
        entities[row.ordinal] = StoredEntity(
            key=row.key,
            entity_class=CLASS_NAMES[row.entity_class],
            ordinal=row.ordinal,
            change=row.change,
            deleted=not row.live,
            record=record,
            changed_at=instant(row.changed_at),
        )
    return entities


def _record(row: Raw) -> dict[str, Any]:
    """The merged JSON form; a tombstone says no more than what it was, and whose."""
    if not row.live:
        held = orjson.loads(row.body) if row.body else {}
        facilities = held.get("facilities") or ([row.facility] if row.facility else [])
        return {
            "class": CLASS_NAMES[row.entity_class],
            "key": row.key,
            "facilities": facilities,
            **({"facility": facilities[0]} if facilities else {}),
        }
    if row.body is not None:
        return cast(dict[str, Any], orjson.loads(row.body))
    record: dict[str, Any] = orjson.loads(row.part or b"{}")
    given = dict.fromkeys(record, row.source)
    for name in _NOT_GIVEN:
        given.pop(name, None)
    record["provenance"] = given
    record["facility"] = row.facility
    record["facilities"] = [row.facility]
    return record


def fill_instrument(record: dict[str, Any], instrument: Mapping[str, Any]) -> None:
    """The Dataset's instrument as the Instrument itself says it is."""
    names = ("pid", "name", "facility", "key")
    current = {name: instrument[name] for name in names if name in instrument}
    record["instrument"] = {**(record.get("instrument") or {}), **current}
    record["instrumentKey"] = instrument["key"]
