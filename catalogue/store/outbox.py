"""Merged entities and their change numbers (semantics 1.2-1.6): what the engines follow.

``settle`` is called once in each transaction that touched parts or links. It merges what was
touched, lets derived Datasets give way, and gives a change number to every entity that is another
now, and to every live entity that contains one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from catalogue.store.configuration import SourceRow, source_rows
from catalogue.store.database import as_list, rows, take
from catalogue.store.graph import children_of, classes_of, live_among, parents_of
from catalogue.store.merging import distinct_parts, merged
from catalogue.store.parts import (
    DATASET,
    DATASETS,
    DOCUMENT,
    INSTRUMENT,
    INSTRUMENTS,
    POSITION_BITS,
    Touched,
)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many entities got a change number, and the last one given.

    ``undisturbed``: ordinal and change number by key of those that one record alone speaks of, and
    that are related to nothing of which anything else is said than what the same record says.
    """

    entities: int
    last_change: int
    undisturbed: Mapping[str, tuple[int, int]]


class _Row(NamedTuple):
    """An entity's row before."""

    ordinal: int
    key: str
    entity_class: int
    change: int | None
    live: int
    derived: int
    hash: bytes | None
    part: int | None
    body: bytes | None


@dataclass(slots=True)
class _Work:
    """Entities that are another than before, and whether each was live then; those that came or
    went, with their class; Documents whose Datasets, and Datasets that, have to be looked at for
    §1.3; how the numbers of live entities move."""

    changed: set[int] = field(default_factory=set)
    was_live: dict[int, int] = field(default_factory=dict)
    came_or_went: dict[int, int] = field(default_factory=dict)
    documents: set[int] = field(default_factory=set)
    derived: set[int] = field(default_factory=set)
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)


def settle(connection: sqlite3.Connection, touched: Touched, now: int) -> Settled:
    """Bring entities in line with their parts and number what changed.

    Args:
        touched: what ``parts.replace`` found, of one or more sources.
        now: microseconds since 1970, kept with each change.
    """
    sources = source_rows(connection)
    work = _Work()
    first = _insert_fresh(connection, touched, now, work)
    _merge_touched(connection, touched, sources, work)
    for link in touched.links:
        if link.relation == DATASETS:
            work.documents.add(link.parent)
            # One that left its Document is no longer among the Document's Datasets.
            work.derived.add(link.child)
    for link in touched.fresh_links:
        if link.relation == DATASETS and not touched.fresh[link.child][0].derived:
            work.documents.add(link.parent)
    _derived_give_way(connection, work)
    bumped = _containing(connection, touched, work)
    last = _number(connection, bumped, now)
    _count(connection, work.counts)
    return Settled(
        entities=len(touched.fresh) + len(bumped),
        last_change=last or first,
        undisturbed=_undisturbed(touched, work.changed, first),
    )


def merge_again(connection: sqlite3.Connection, sources: Sequence[int], now: int) -> Settled:
    """Merge everything that some sources speak of: their trust or facility is another."""
    touched = Touched("")
    found = rows(
        connection,
        "SELECT DISTINCT p.entity FROM parts p WHERE p.source IN (SELECT value FROM json_each(?))",
        (as_list(sources),),
    )
    touched.entities = {entity for (entity,) in found}
    return settle(connection, touched, now)


def number_again(connection: sqlite3.Connection, records: Sequence[int], now: int) -> None:
    """Give another change number to every entity that records speak of, though it is the same: what
    lies elsewhere of their payloads has to be replaced."""
    found = rows(
        connection,
        "SELECT DISTINCT p.entity FROM json_each(?) j"
        " JOIN parts p ON p.id BETWEEN j.value << 20 AND ((j.value + 1) << 20) - 1",
        (as_list(records),),
    )
    _number(connection, {ordinal for (ordinal,) in found}, now)


def _undisturbed(touched: Touched, changed: set[int], last: int) -> dict[str, tuple[int, int]]:
    """New entities without those that something besides their own record had to do with.

    Args:
        changed: other entities, and new ones that gave way.
        last: the change number of the last of the new ones.
    """
    fresh = touched.fresh
    moving = touched.entities | changed
    disturbed = set(changed)
    for link in touched.links:
        # An instrument of which nothing new is said is what each record with it says it is.
        known = link.relation == INSTRUMENTS and link.child not in fresh
        if not known or link.child in moving:
            disturbed |= {link.parent, link.child}
    for link in touched.fresh_links:
        if fresh[link.parent][1] >> POSITION_BITS != fresh[link.child][1] >> POSITION_BITS:
            disturbed |= {link.parent, link.child}
    return {
        part.key: (ordinal, change)
        for change, (ordinal, (part, _)) in enumerate(fresh.items(), last - len(fresh) + 1)
        if ordinal not in disturbed
    }


def _insert_fresh(connection: sqlite3.Connection, touched: Touched, now: int, work: _Work) -> int:
    """Entities that nobody had named before: their rows are written once, with their number."""
    before = take(connection, "change", len(touched.fresh))
    values = []
    aliases: list[tuple[str, int]] = []
    change = before
    for ordinal, (part, number) in touched.fresh.items():
        change += 1
        values.append(
            (
                ordinal,
                part.key,
                part.entity_class,
                change,
                1,
                int(part.derived),
                now,
                part.content,
                number,
            )
        )
        work.counts[part.entity_class, int(part.derived)] += 1
        aliases.extend((alias, ordinal) for alias in part.aliases)
    connection.executemany(
        "INSERT INTO entities (ordinal, key, class, change, live, derived, changed_at, hash, part)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    if aliases:
        connection.executemany("INSERT OR IGNORE INTO aliases VALUES (?, ?)", aliases)
    return change


def _merge_touched(
    connection: sqlite3.Connection,
    touched: Touched,
    sources: Mapping[int, SourceRow],
    work: _Work,
) -> None:
    """Merge the parts of entities; write those that are another now."""
    if not touched.entities:
        return
    before = _rows(connection, touched.entities)
    found = distinct_parts(connection, touched.entities)
    updates: list[tuple[Any, ...]] = []
    for row in before:
        work.was_live[row.ordinal] = row.live
        content = merged(found.get(row.ordinal, ()), sources)
        if content.hash == row.hash and content.part == row.part and content.body == row.body:
            continue
        updates.append(
            (
                content.hash,
                content.part,
                content.body if content.hash else _gone_body(row, touched.facility),
                int(content.derived),
                row.ordinal,
            )
        )
        if content.hash != row.hash:
            work.changed.add(row.ordinal)
            _replace_aliases(connection, row.ordinal, content.aliases)
        presence = (content.hash is not None, content.derived)
        if presence != (row.hash is not None, row.derived):
            work.came_or_went[row.ordinal] = row.entity_class
        if row.entity_class == DATASET and (row.derived or content.derived):
            work.derived.add(row.ordinal)
        # Whether a derived Dataset gives way is decided when all are in place.
        live = int(content.hash is not None)
        work.counts[row.entity_class, row.derived] -= row.live
        work.counts[row.entity_class, content.derived] += live
    connection.executemany(
        "UPDATE entities SET hash = ?1, part = ?2, body = ?3, derived = ?4,"
        " live = ?1 IS NOT NULL WHERE ordinal = ?5",
        updates,
    )


def _gone_body(row: _Row, facility: str) -> bytes | None:
    """What a tombstone keeps: whose record it was, and where one record alone spoke of it, which
    (its history is found by that). One that nobody had is no tombstone."""
    if row.hash is None:
        return row.body
    held = orjson.loads(row.body)["facilities"] if row.body else [facility]
    last = {} if row.part is None else {"record": row.part >> POSITION_BITS}
    return orjson.dumps({"facilities": held, **last})


def _rows(connection: sqlite3.Connection, ordinals: Iterable[int]) -> list[_Row]:
    found = rows(
        connection,
        "SELECT e.ordinal, e.key, e.class, e.change, e.live, e.derived, e.hash, e.part, e.body"
        " FROM json_each(?) j CROSS JOIN entities e ON e.ordinal = j.value",
        (as_list(sorted(ordinals)),),
    )
    return [_Row(*row) for row in found]


def _replace_aliases(connection: sqlite3.Connection, ordinal: int, aliases: Sequence[str]) -> None:
    connection.execute("DELETE FROM aliases WHERE entity = ?", (ordinal,))
    if aliases:
        connection.executemany(
            "INSERT OR IGNORE INTO aliases VALUES (?, ?)", [(alias, ordinal) for alias in aliases]
        )


def _derived_give_way(connection: sqlite3.Connection, work: _Work) -> None:
    """A derived Dataset hides while a Document that has it has a real one, and returns after
    (semantics 1.3)."""
    datasets = [o for o, kind in work.came_or_went.items() if kind == DATASET]
    work.documents |= parents_of(connection, datasets, DATASETS)
    candidates = set(work.derived)
    if work.documents:
        found = rows(
            connection,
            "SELECT DISTINCT c.ordinal FROM json_each(?) j"
            " CROSS JOIN links l ON l.parent = j.value AND l.relation = ?"
            " CROSS JOIN entities c ON c.ordinal = l.child WHERE c.derived = 1",
            (as_list(sorted(work.documents)), DATASETS),
        )
        candidates |= {ordinal for (ordinal,) in found}
    if not candidates:
        return
    verdicts = rows(
        connection,
        """
        SELECT e.ordinal, e.live, e.hash IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM links up
            JOIN links down ON down.parent = up.parent AND down.relation = up.relation
            JOIN entities other ON other.ordinal = down.child
            WHERE up.child = e.ordinal AND up.relation = ?
            AND other.derived = 0 AND other.hash IS NOT NULL)
        FROM json_each(?) j CROSS JOIN entities e ON e.ordinal = j.value WHERE e.derived = 1
        """,
        (DATASETS, as_list(sorted(candidates))),
    )
    flips = [(live, ordinal) for ordinal, was, live in verdicts if was != live]
    connection.executemany("UPDATE entities SET live = ? WHERE ordinal = ?", flips)
    for live, ordinal in flips:
        work.was_live.setdefault(ordinal, 1 - live)
        work.counts[DATASET, 1] += 1 if live else -1
        work.changed.add(ordinal)
        work.came_or_went[ordinal] = DATASET


def _containing(connection: sqlite3.Connection, touched: Touched, work: _Work) -> set[int]:
    """What needs a change number: whatever changed, and whatever live contains it (1.5).

    A relation that began or ended, and a Document that came or went, change the lists of related
    keys that both ends show.
    """
    changed = work.changed
    bumped: set[int] = set()
    datasets: set[int] = set()
    instruments: set[int] = set()
    kinds = classes_of(connection, changed)
    for ordinal, kind in kinds.items():
        if kind == DATASET:
            datasets.add(ordinal)
        elif kind == INSTRUMENT:
            instruments.add(ordinal)
    for link in touched.links:
        bumped.add(link.parent)
        if link.relation == DATASETS:
            bumped.add(link.child)
        else:
            datasets.add(link.parent)
    users = parents_of(connection, instruments, INSTRUMENTS)
    bumped |= users
    datasets |= users
    bumped |= parents_of(connection, datasets, DATASETS)
    documents = [o for o, kind in work.came_or_went.items() if kind == DOCUMENT]
    bumped |= children_of(connection, documents, DATASETS)
    # What was live and is not gets a tombstone; what came and went unseen gets nothing.
    gone = {ordinal for ordinal in changed if work.was_live.get(ordinal)}
    # A fresh entity has its number already.
    return (live_among(connection, bumped | changed) | gone) - touched.fresh.keys()


def _number(connection: sqlite3.Connection, ordinals: set[int], now: int) -> int:
    """Give each a change number; the last one given, 0 for none."""
    if not ordinals:
        return 0
    before = take(connection, "change", len(ordinals))
    connection.executemany(
        "UPDATE entities SET change = ?, changed_at = ? WHERE ordinal = ?",
        [(change, now, ordinal) for change, ordinal in enumerate(sorted(ordinals), before + 1)],
    )
    return before + len(ordinals)


def _count(connection: sqlite3.Connection, counts: Mapping[tuple[int, int], int]) -> None:
    connection.executemany(
        "UPDATE counters SET live = live + ? WHERE class = ? AND derived = ?",
        [(count, kind, derived) for (kind, derived), count in counts.items() if count],
    )
