"""The store as an answer sees it: what came live in front of what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from catalogue.readings import Pool
from catalogue.records import StoredEntity

MOST_REMEMBERED = 200
"""Live records of one pool that are kept as they are shown: some pages."""


class Kept(Protocol):
    """What is needed of the record store."""

    def entities(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]: ...

    def parents(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]: ...

    def children(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]: ...


class Overlay:
    """Records for includes and hits, with the methods of the store that those call."""

    def __init__(self, pool: Pool, kept: Kept) -> None:
        self._live = pool.entities
        self.remembered = pool.remembered
        self._kept = kept

    def entities(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]:
        """Entities by key, live ones first."""
        found = {key: self._live[key].stored for key in keys if key in self._live}
        missing = [key for key in keys if key not in found]
        return {**self._kept.entities(missing), **found} if missing else found

    def remember(self, name: str, made: object) -> None:
        """Keep what was made of a record for other questions, as long as the pool."""
        if len(self.remembered) >= MOST_REMEMBERED:
            self.remembered.clear()
        self.remembered[name] = made

    def has_all(self, keys: Iterable[str]) -> bool:
        """Whether all of these came live, so that nothing has to be read from the store."""
        return all(key in self._live for key in keys)

    def children(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]:
        """Datasets of Documents, the Instrument of Datasets."""
        found: dict[str, Sequence[str]] = {}
        for key in keys:
            live = self._live.get(key)
            if live is None:
                continue
            if relation == "datasets":
                found[key] = tuple(live.stored.record.get("datasets") or ())
            else:
                named = live.stored.record.get("instrumentKey")
                found[key] = (str(named),) if named else ()
        missing = [key for key in keys if key not in found]
        return {**self._kept.children(missing, relation), **found} if missing else found

    def parents(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]:
        """Documents of Datasets; Datasets of Instruments, live and kept ones together."""
        if relation == "datasets":
            # Many services cannot say which Documents a Dataset belongs to, and say so to nobody:
            # where none is named, what was harvested stands.
            found = {
                key: tuple(documents)
                for key in keys
                if key in self._live
                and (documents := self._live[key].stored.record.get("documents"))
            }
            missing = [key for key in keys if key not in found]
            return {**self._kept.parents(missing, relation), **found} if missing else found
        wanted = frozenset(keys)
        merged = {key: list(many) for key, many in self._kept.parents(keys, relation).items()}
        for key in sorted(self._live):
            entity = self._live[key]
            named = str(entity.stored.record.get("instrumentKey") or "")
            if named in wanted and key not in merged.setdefault(named, []):
                merged[named].append(key)
        return merged
