"""Pools that were made before: the same readings and view of the index make the same pool."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from catalogue.query import Search
from catalogue.readings import Pool, Reading
from catalogue.records import StoredEntity
from search_api.cache import depends_on_clock
from search_api.federation.matching import Looked, Matcher

QUESTIONS = 16
"""Questions whose answers from one pool are kept: portals ask for a page, then for the next."""

_Key = tuple[tuple[int, ...], tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Made:
    """A pool, and the store's copies that went into it. The readings are kept with it, so that
    their identity cannot come to mean others."""

    readings: Sequence[Reading]
    pool: Pool
    held: Mapping[str, StoredEntity]
    looked: Looked = field(default_factory=Looked, repr=False)
    _matchers: OrderedDict[Hashable, Matcher] = field(default_factory=OrderedDict, repr=False)

    def matcher(self, search: Search, match: Literal["all", "any"] | None = None) -> Matcher:
        """The pool's side of a question; what was worked out for the same question before is kept,
        unless the clock has a say in it."""
        if depends_on_clock(search.where) or any(f.field == "access" for f in search.facets):
            return Matcher.of(search, self.pool, match, self.looked)
        key = (search.entity_class, search.where, search.text, search.related, match)
        found = self._matchers.pop(key, None)
        if found is None:
            found = Matcher.of(search, self.pool, match, self.looked)
        self._matchers[key] = found
        while len(self._matchers) > QUESTIONS:
            self._matchers.popitem(last=False)
        return found if found.search is search else replace(found, search=search)


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
