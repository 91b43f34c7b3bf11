"""Pools that were made before: the same readings, with nobody else to merge, make the same pool."""

from __future__ import annotations

from collections.abc import Sequence

from catalogue.readings import Pool, Reading

_Key = tuple[int, ...]


class PoolCache:
    """The last pools made of readings alone, by the identity of those.

    Readings are kept with the pool, so that an identity cannot come to mean another one.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._held: dict[_Key, tuple[Sequence[Reading], Pool]] = {}

    def get(self, readings: Sequence[Reading], speaking: Sequence[str]) -> Pool | None:
        """The pool of these readings; none while the index may have a word on their things."""
        if speaking:
            return None
        key = tuple(map(id, readings))
        found = self._held.pop(key, None)
        if found is None:
            return None
        self._held[key] = found
        return found[1]

    def put(self, readings: Sequence[Reading], pool: Pool) -> None:
        self._held[tuple(map(id, readings))] = (readings, pool)
        while len(self._held) > self._most:
            del self._held[next(iter(self._held))]
