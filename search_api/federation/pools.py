"""Pools that were made before: the same readings and view of the index make the same pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catalogue.readings import Pool, Reading
from catalogue.records import StoredEntity

_Key = tuple[tuple[int, ...], tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Made:
    """A pool, and the store's copies that went into it. The readings are kept with it, so that
    their identity cannot come to mean others."""

    readings: Sequence[Reading]
    pool: Pool
    held: Mapping[str, StoredEntity]


class PoolCache:
    """The last pools, by the identity of their readings, by who speaks through the index, and by
    the name of the index's view (``Reader.stamp``; without one nothing is kept)."""

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._held: dict[_Key, Made] = {}

    def get(
        self, readings: Sequence[Reading], speaking: tuple[str, ...], stamp: str | None
    ) -> Made | None:
        """What was made of the same; ``None`` if nothing was."""
        key = _key(readings, speaking, stamp)
        found = self._held.pop(key, None) if key is not None else None
        if key is not None and found is not None:
            self._held[key] = found
        return found

    def put(self, made: Made, speaking: tuple[str, ...], stamp: str | None) -> None:
        key = _key(made.readings, speaking, stamp)
        if key is None:
            return
        self._held[key] = made
        while len(self._held) > self._most:
            del self._held[next(iter(self._held))]


def _key(readings: Sequence[Reading], speaking: tuple[str, ...], stamp: str | None) -> _Key | None:
    if speaking and stamp is None:
        return None
    return (tuple(map(id, readings)), speaking, stamp or "")
