"""The records a simulated facility holds: what its OAI-PMH and its REST side both speak of.

A record is either a *document* (PaNOSC JSON with everything nested: members, datasets with
techniques, samples, instrument, parameters, files), from which every format is written, or ready
XML payloads by metadataPrefix, or both (a payload then wins over what would be written).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from simulator.formats import FORMATS

Document = Mapping[str, Any]
Key = tuple[datetime, str]
"""What lists are ordered by: datestamp, then identifier."""


@dataclass(frozen=True, slots=True)
class Record:
    """One OAI-PMH item.

    ``identifier`` is the OAI identifier; ``datestamp`` aware UTC; ``document`` nested PaNOSC JSON;
    ``payloads`` ready XML, one element each, by metadataPrefix. ``deleted`` records keep neither.
    """

    identifier: str
    datestamp: datetime
    sets: tuple[str, ...] = ()
    deleted: bool = False
    document: Document | None = None
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    _written: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def key(self) -> Key:
        return (self.datestamp, self.identifier)

    def offers(self, prefix: str) -> bool:
        """Whether the record can be had in this format (a deleted one: in any)."""
        return (
            self.deleted
            or prefix in self.payloads
            or (self.document is not None and prefix in FORMATS)
        )

    def payload(self, prefix: str) -> bytes:
        """The element below ``<metadata>``; KeyError when the format is not offered."""
        ready = self.payloads.get(prefix) or self._written.get(prefix)
        if ready is None:
            if self.document is None:
                raise KeyError(prefix)
            ready = FORMATS[prefix].write(self.document).encode()
            self._written[prefix] = ready
        return ready

    def is_in(self, set_: str) -> bool:
        """Membership with hierarchy: ``a:b`` is in ``a`` (OAI-PMH 2.0, section 2.6)."""
        return any(spec == set_ or spec.startswith(set_ + ":") for spec in self.sets)


class Holdings(Protocol):
    """What the OAI-PMH side needs of whoever holds the records."""

    @property
    def version(self) -> int:
        """Changes whenever anything changes."""

    def get(self, identifier: str) -> Record | None: ...

    def earliest(self) -> datetime | None: ...

    def slice(
        self,
        prefix: str,
        set_: str | None,
        from_: datetime | None,
        until: datetime | None,
        after: Key | None,
        limit: int,
    ) -> tuple[Sequence[Record], int, bool]:
        """Records of one page in key order, the size of the whole list, whether more follow."""


class Records:
    """Records in memory, mutable while the facility runs.

    ``keeps_deletions``: a deleted record leaves a tombstone (deletedRecord persistent or
    transient); otherwise it is just gone. ``watch`` is called after every change with the record
    as it was and as it is, so that the REST side follows.
    """

    def __init__(self, records: Iterable[Record] = (), *, keeps_deletions: bool = False) -> None:
        self._by_identifier = {record.identifier: record for record in records}
        self._keeps_deletions = keeps_deletions
        self._version = 0
        self._lists: dict[tuple[str, str | None], list[Record]] = {}
        self._watchers: list[Callable[[Record | None, Record | None], None]] = []

    @property
    def version(self) -> int:
        return self._version

    def __len__(self) -> int:
        return len(self._by_identifier)

    def __iter__(self) -> Iterator[Record]:
        return iter(tuple(self._by_identifier.values()))

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._by_identifier

    def identifiers(self, *, deleted: bool = False) -> tuple[str, ...]:
        """OAI identifiers of live records; with ``deleted`` those of tombstones."""
        return tuple(r.identifier for r in self if r.deleted is deleted)

    def get(self, identifier: str) -> Record | None:
        return self._by_identifier.get(identifier)

    def watch(self, watcher: Callable[[Record | None, Record | None], None]) -> None:
        """Call ``watcher(before, after)`` after every change."""
        self._watchers.append(watcher)

    def put(self, record: Record, when: datetime | None = None) -> None:
        """Add or replace a record; ``when`` becomes its datestamp."""
        if when is not None:
            record = replace(record, datestamp=when)
        self._change(record.identifier, record)

    def delete(self, identifier: str, when: datetime) -> None:
        """Remove a record; KeyError when there is none. A tombstone is dated ``when``."""
        before = self._by_identifier[identifier]
        tombstone = Record(identifier, when, before.sets, deleted=True)
        self._change(identifier, tombstone if self._keeps_deletions else None)

    def clear(self) -> None:
        """Forget everything, tombstones too (fault H05: a source goes empty)."""
        for identifier in list(self._by_identifier):
            self._change(identifier, None)

    def _change(self, identifier: str, after: Record | None) -> None:
        before = self._by_identifier.pop(identifier, None)
        if after is not None:
            self._by_identifier[identifier] = after
        self._version += 1
        self._lists.clear()
        for watcher in self._watchers:
            watcher(before, after)

    def earliest(self) -> datetime | None:
        return min((record.datestamp for record in self._by_identifier.values()), default=None)

    def _list(self, prefix: str, set_: str | None) -> list[Record]:
        found = self._lists.get((prefix, set_))
        if found is None:
            found = sorted(
                (
                    record
                    for record in self._by_identifier.values()
                    if record.offers(prefix) and (set_ is None or record.is_in(set_))
                ),
                key=lambda record: record.key,
            )
            self._lists[prefix, set_] = found
        return found

    def slice(
        self,
        prefix: str,
        set_: str | None,
        from_: datetime | None,
        until: datetime | None,
        after: Key | None,
        limit: int,
    ) -> tuple[Sequence[Record], int, bool]:
        listed = self._list(prefix, set_)
        low = 0 if from_ is None else bisect_left(listed, from_, key=_datestamp)
        high = len(listed) if until is None else bisect_right(listed, until, key=_datestamp)
        start = low if after is None else max(low, bisect_right(listed, after, key=_key))
        end = min(start + limit, high)
        return listed[start:end], max(high - low, 0), end < high


def _datestamp(record: Record) -> datetime:
    return record.datestamp


def _key(record: Record) -> Key:
    return record.key
