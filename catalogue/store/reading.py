"""What is read of the store: raw records and what became of them, entities, the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalogue.records import (
    Change,
    EntityClass,
    Quarantined,
    RecordState,
    StoredEntity,
    StoredRecord,
)
from catalogue.store import entities, lists, provenance
from catalogue.store.database import Database, translated
from catalogue.store.hydration import Hydration
from catalogue.store.payloads import Payloads, PayloadsByThread


class Reading:
    """The reading half of ``Store``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_thread = PayloadsByThread()
        self._hydration = Hydration()

    @property
    def _payloads(self) -> Payloads:
        return self._by_thread.payloads

    @property
    def read_only(self) -> bool:
        """Whether this process only looks."""
        return self._database.read_only

    # -- raw records ------------------------------------------------------------------------------

    def live_identifiers(
        self,
        source: str,
        after: str | None = None,
        limit: int = 10_000,
        states: Sequence[RecordState] = ("live",),
    ) -> tuple[str, ...]:
        """Identifiers of a source's records in order, from the one after ``after``."""
        with self._database.read() as connection:
            return provenance.identifiers(connection, source, after, limit, states)

    def quarantine(
        self, source: str | None = None, limit: int = 100, after: tuple[str, str] | None = None
    ) -> tuple[Quarantined, ...]:
        """Quarantined records by source and identifier, from the one after ``after``."""
        with self._database.read() as connection:
            return provenance.quarantined(connection, source, limit, after)

    def quarantined_payload(self, source: str, identifier: str) -> bytes | None:
        """The payload of a quarantined record as received; raises ``NotFound``."""
        with self._database.read() as connection:
            return provenance.quarantined_payload(connection, self._payloads, source, identifier)

    def stored_records(self, key: str) -> tuple[StoredRecord, ...]:
        """The raw records that an entity is made of."""
        with self._database.read() as connection:
            return provenance.records_of(connection, self._payloads, key)

    def last_records(self, key: str) -> tuple[StoredRecord, ...]:
        """Of an entity that is gone: the raw record that was the last to speak of it."""
        with self._database.read() as connection:
            return provenance.last_records_of(connection, self._payloads, key)

    def history(self, source: str, identifier: str) -> tuple[StoredRecord, ...]:
        """Superseded versions of a record, newest first: for the operator only (11.1)."""
        with self._database.read() as connection:
            return provenance.history_of(connection, self._payloads, source, identifier)

    # -- entities ---------------------------------------------------------------------------------

    def entities(self, keys: Iterable[str]) -> dict[str, StoredEntity]:
        """Entities by key, deleted ones included; unknown keys are left out. Not to be changed:
        the next caller may be given the same ones."""
        with self._database.read() as connection:
            return self._hydration.read(connection, list(keys))

    def entities_at(
        self, ordinals: Sequence[int], *, plain: bool = False
    ) -> dict[int, StoredEntity]:
        """Entities by ordinal, as ``entities``; ``plain``: only live ones, without relations,
        provider and provenance, for lists that show none of these."""
        if plain:
            connection = self._database.connection()
            with translated(self._database.path):
                self._database.look_again()
                return lists.plain(connection, ordinals)
        with self._database.read() as connection:
            return self._hydration.at(connection, ordinals)

    def contained(
        self, ordinals: Sequence[int], most: int
    ) -> dict[int, tuple[int, list[StoredEntity]]]:
        """How many live Datasets Documents have, and the first ``most`` of them by key, for lists:
        plain, with their instrument filled in. Documents without any are left out."""
        with self._database.read() as connection:
            return lists.contained(connection, ordinals, most)

    def stated(self, keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """What live entities state of themselves: no relations, provider or facility."""
        with self._database.read() as connection:
            return lists.stated(connection, list(keys))

    def entity(self, key: str) -> StoredEntity | None:
        """One entity by key, deleted or not."""
        return self.entities((key,)).get(key)

    def find(self, entity_class: EntityClass, pid: str) -> tuple[StoredEntity, ...]:
        """Live entities that a pid, DOI or alternate identifier names, at whichever facility."""
        with self._database.read() as connection:
            return entities.find(connection, entity_class, pid)

    def children(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """Live Datasets of Documents (``datasets``), Instruments of Datasets (``instrument``)."""
        with self._database.read() as connection:
            return entities.related(connection, list(keys), relation, up=False)

    def parents(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """Live Documents of Datasets (``datasets``), Datasets of Instruments (``instrument``)."""
        with self._database.read() as connection:
            return entities.related(connection, list(keys), relation, up=True)

    def changes_since(self, number: int, limit: int = 1_000) -> tuple[Change, ...]:
        """The outbox after a change number: each entity once, as it is now, oldest change first.

        At most ``limit``, fewer where they contain very many others; none only at the end.
        """
        with self._database.read() as connection:
            return tuple(entities.changes_since(connection, number, limit))

    def changes_numbered(self, numbers: Sequence[int]) -> Sequence[Change]:
        """The lines of the outbox with these change numbers, as far as they still are those."""
        with self._database.read() as connection:
            return entities.changes_numbered(connection, numbers)

    def changes_of(self, keys: Iterable[str]) -> dict[str, Change]:
        """What the outbox would say of entities named by key."""
        with self._database.read() as connection:
            return entities.changes_of(connection, list(keys))

    def last_change(self) -> int:
        """The newest change number; 0 in an empty store."""
        with self._database.read() as connection:
            return entities.last_change(connection)

    def count_changes(self) -> int:
        """How many entities an index is made of: all with a change number, deleted ones too."""
        with self._database.read() as connection:
            return entities.count_changes(connection)

    def count(self, entity_class: EntityClass, *, derived: bool = True) -> int:
        """Live entities of a class; without derived Datasets, those that facilities published."""
        with self._database.read() as connection:
            return entities.count(connection, entity_class, derived=derived)
