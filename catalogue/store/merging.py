"""What the parts of an entity amount to: what several records say of one thing, merged in the order
in which their sources are trusted (semantics 1.2, 1.3)."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from catalogue.store.configuration import SourceRow
from catalogue.store.database import as_list, instant, rows
from catalogue.store.parts import (
    aliases_of,
    content_hash,
)
from mappings.merging import SourceEntity, merge_entities

# Distinct things that one source may say of one entity before the oldest are left out: guards
# against a source whose every record describes the same instrument a little differently.
MAX_DISTINCT_PARTS = 64


class Content(NamedTuple):
    """What the parts of an entity amount to."""

    hash: bytes | None
    part: int | None
    body: bytes | None
    derived: int
    aliases: tuple[str, ...]


class Distinct(NamedTuple):
    """One of the things a source says, as the last of its records that do says it."""

    number: int
    source: int
    said_at: int
    body: bytes


def distinct_parts(
    connection: sqlite3.Connection, ordinals: Iterable[int]
) -> dict[int, list[Distinct]]:
    """The distinct parts of each entity; of equal ones, the record stored last speaks.

    The recursion hops from one distinct hash to the next through the index, so that an instrument
    repeated by 100,000 records costs no more than one that is named once.
    """
    found = rows(
        connection,
        """
        WITH RECURSIVE
        hops (entity, source, hash) AS (
            SELECT j.value, s.id,
                (SELECT min(p.hash) FROM parts p WHERE p.entity = j.value AND p.source = s.id)
            FROM json_each(?1) j CROSS JOIN sources s
            UNION ALL
            SELECT entity, source,
                (SELECT min(p.hash) FROM parts p
                 WHERE p.entity = hops.entity AND p.source = hops.source AND p.hash > hops.hash)
            FROM hops WHERE hash IS NOT NULL
        ),
        newest (id) AS (
            SELECT (SELECT max(p.id) FROM parts p
                    WHERE p.entity = hops.entity AND p.source = hops.source
                    AND p.hash = hops.hash)
            FROM hops WHERE hash IS NOT NULL
        )
        SELECT p.entity, p.id, p.source, p.said_at, p.body
        FROM newest n CROSS JOIN parts p ON p.id = n.id
        ORDER BY p.id DESC
        """,
        (as_list(sorted(ordinals)),),
    )
    parts: dict[int, list[Distinct]] = defaultdict(list)
    for entity, *rest in found:
        if len(parts[entity]) < MAX_DISTINCT_PARTS:
            parts[entity].append(Distinct(*rest))
    return parts


def merged(parts: Sequence[Distinct], sources: Mapping[int, SourceRow]) -> Content:
    """Merge the distinct parts of one entity; a derived part counts only where no other is."""
    if not parts:
        return Content(None, None, None, 0, ())
    # What two sources of a facility say in the same words is said once, by the one more trusted.
    distinct: dict[tuple[str, bytes], Distinct] = {}
    for part in sorted(parts, key=lambda part: (sources[part.source].trust, part.number)):
        distinct.setdefault((sources[part.source].facility, part.body), part)
    stated = [(part, orjson.loads(part.body)) for part in distinct.values()]
    real = [(part, entity) for part, entity in stated if not entity.get("derived")]
    derived = int(not real)
    chosen = real or stated
    aliases = {
        alias
        for part, entity in chosen
        for alias in aliases_of(entity, sources[part.source].facility)
    }
    if len(chosen) == 1:
        part = chosen[0][0]
        digest = content_hash(part.body, (sources[part.source].facility,))
        return Content(digest, part.number, None, derived, tuple(sorted(aliases)))
    made = merge_entities(
        [
            SourceEntity(
                source=sources[part.source].name,
                facility=sources[part.source].facility,
                trust=sources[part.source].trust,
                harvested_at=instant(part.said_at).isoformat(),
                entity=entity,
            )
            for part, entity in chosen
        ]
    )
    body = orjson.dumps(made, option=orjson.OPT_SORT_KEYS)
    facilities = made["facilities"]
    content = {
        name: value for name, value in made.items() if name not in ("provenance", "facilities")
    }
    digest = content_hash(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), facilities)
    return Content(digest, None, body, derived, tuple(sorted(aliases)))
