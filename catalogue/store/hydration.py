"""Entities that were read a moment ago, kept by (key, change number) for hits (semantics 10.3).

A change number names everything that an entity shows of itself and its relations (semantics 1.5),
but for who said it: with the entity's own row it tells which of the kept entities are still what
the store has. The provider's address comes from the configuration: when that changes, everything is
read anew.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from catalogue.records import StoredEntity
from catalogue.store.configuration import providers
from catalogue.store.database import MOST_IN_LIST
from catalogue.store.entities import Raw, by_keys, filled, raw_rows

MOST = 4_096
"""Entities kept: some 20 MB."""

MOST_AT_ONCE = MOST_IN_LIST
"""Keys in one look-up that are hits of a page; more are a walk that would only push these out."""

MOST_RELATED = 500
"""A Document of thousands of Datasets is not kept: its list alone would be a megabyte."""

_Stamp = tuple[int, int | None, int]
"""Change number, part and the body's hash."""


class Hydration:
    """Reads entities by key and remembers them. Thread-safe; entities must not be changed."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[str, tuple[_Stamp, StoredEntity]] = OrderedDict()
        self._providers: dict[str, str] = {}
        self._lock = threading.Lock()

    def read(self, connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, StoredEntity]:
        """As ``entities.by_keys``, in one snapshot of the store."""
        if len(keys) > MOST_AT_ONCE:
            return by_keys(connection, keys)
        found = self._filled(connection, raw_rows(connection, "key", keys))
        return {entity.key: entity for entity in found}

    def at(
        self, connection: sqlite3.Connection, ordinals: Sequence[int]
    ) -> dict[int, StoredEntity]:
        """The same by ordinal."""
        found: dict[int, StoredEntity] = {}
        for start in range(0, len(ordinals), MOST_AT_ONCE):
            some = raw_rows(connection, "ordinal", ordinals[start : start + MOST_AT_ONCE])
            found |= {entity.ordinal: entity for entity in self._filled(connection, some)}
        return found

    def _filled(self, connection: sqlite3.Connection, found: Sequence[Raw]) -> list[StoredEntity]:
        """Entities of these rows: kept ones where they are still what the store has."""
        told = providers(connection)
        stamps = {row.key: (row.change, row.part_id, hash(row.body)) for row in found}
        with self._lock:
            if told != self._providers:
                self._held.clear()
                self._providers = told
            kept = {
                key: held[1]
                for key, stamp in stamps.items()
                if (held := self._held.get(key)) is not None and held[0] == stamp
            }
            for key in kept:
                self._held.move_to_end(key)
        missing = [row for row in found if row.key not in kept]
        if not missing:
            return list(kept.values())
        fresh = list(filled(connection, missing).values())
        self._keep(fresh, stamps, told)
        return [*kept.values(), *fresh]

    def _keep(
        self, fresh: Sequence[StoredEntity], stamps: Mapping[str, _Stamp], told: Mapping[str, str]
    ) -> None:
        with self._lock:
            if told != self._providers:
                return
            for entity in fresh:
                self._held.pop(entity.key, None)
                if len(entity.record.get("datasets") or ()) <= MOST_RELATED:
                    self._held[entity.key] = (stamps[entity.key], entity)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
