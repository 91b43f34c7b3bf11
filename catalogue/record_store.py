"""What the other rooms may ask of a record store, so that another database can take its place.

``catalogue.store.Store`` is the one on SQLite. Meanings are those of its docstrings; every method
may raise the ``StoreError``s of ``catalogue.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from catalogue.facilities import Facility, Source
from catalogue.records import (
    Change,
    EntityClass,
    PageCommit,
    PageReport,
    Quarantined,
    RecordState,
    Run,
    RunRecord,
    RunState,
    SourceStatus,
    StoredEntity,
    StoredRecord,
)


class Configuration(Protocol):
    """Facilities and sources, and what kind of data there is (semantics 1.1, 10.5)."""

    @property
    def folder(self) -> Path:
        """The data folder."""

    @property
    def demo(self) -> bool | None:
        """Whether it holds demo data; ``None`` while undecided."""

    def put_configuration(
        self,
        facilities: Sequence[Facility],
        sources: Sequence[Source],
        now: datetime | None = None,
        origin: str | None = None,
    ) -> None:
        """Replace the configuration."""

    def configured_by(self) -> str | None:
        """Which file it is from."""

    def data_version(self) -> int:
        """Another number whenever anybody has written since."""

    def facilities(self) -> tuple[Facility, ...]:
        """The configured facilities."""

    def sources(self) -> tuple[Source, ...]:
        """The configured sources."""

    def unlisted(self) -> dict[str, int]:
        """Live records of sources that are not configured any more."""


class Runs(Protocol):
    """Harvest runs under leases, and the pages that they make durable."""

    def begin_run(
        self,
        source: str,
        *,
        kind: str,
        holder: str,
        now: datetime,
        lease_s: float = 60,
        is_dead: Callable[[str], bool] | None = None,
    ) -> Run:
        """Start a run, or take one over."""

    def heartbeat(self, run: Run, now: datetime, lease_s: float = 60) -> None:
        """Prolong the lease."""

    def commit_page(self, run: Run, page: PageCommit) -> PageReport:
        """Records and checkpoint, durable together or not at all."""

    def add_problems(self, run: Run, reason: str, identifiers: Sequence[str]) -> None:
        """Count identifiers under a reason."""

    def finish_run(
        self,
        run: Run,
        state: RunState,
        stop: str | None,
        now: datetime,
        memory: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """End a run and its lease."""

    def request_stop(self, number: int) -> None:
        """Ask a run to end."""

    def stop_requested(self, run: Run) -> bool:
        """Whether it was asked to."""

    def annotate_run(
        self, number: int, details: Mapping[str, Any], state: RunState | None = None
    ) -> RunRecord:
        """Add details to a run."""

    def remember(self, source: str, memory: Mapping[str, Any]) -> None:
        """Change a source's memory key by key."""

    def runs(self, source: str | None = None, limit: int = 50) -> tuple[RunRecord, ...]:
        """The newest runs first."""

    def run(self, number: int) -> RunRecord:
        """One run."""

    def source_status(self, source: str) -> SourceStatus:
        """What is known of a source."""


class Provenance(Protocol):
    """Raw records: where entities come from."""

    def live_identifiers(
        self,
        source: str,
        after: str | None = None,
        limit: int = 10_000,
        states: Sequence[RecordState] = ("live",),
    ) -> tuple[str, ...]:
        """Identifiers in order, a page of them."""

    def quarantine(
        self, source: str | None = None, limit: int = 100, after: tuple[str, str] | None = None
    ) -> tuple[Quarantined, ...]:
        """Records that could not be mapped."""

    def quarantined_payload(self, source: str, identifier: str) -> bytes | None:
        """What was received for one of them."""

    def stored_records(self, key: str) -> tuple[StoredRecord, ...]:
        """The raw records of an entity."""

    def last_records(self, key: str) -> tuple[StoredRecord, ...]:
        """The raw record that was the last to speak of an entity that is gone."""

    def history(self, source: str, identifier: str) -> tuple[StoredRecord, ...]:
        """Superseded versions of a raw record."""


class Entities(Protocol):
    """Merged entities and the outbox that engines follow."""

    def entities(self, keys: Iterable[str]) -> dict[str, StoredEntity]:
        """Entities by key."""

    def entity(self, key: str) -> StoredEntity | None:
        """One entity."""

    def find(self, entity_class: EntityClass, pid: str) -> tuple[StoredEntity, ...]:
        """Whatever a pid names."""

    def children(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """What entities contain."""

    def parents(self, keys: Iterable[str], relation: str) -> dict[str, tuple[str, ...]]:
        """What contains entities."""

    def changes_since(self, number: int, limit: int = 1_000) -> tuple[Change, ...]:
        """The outbox."""

    def changes_of(self, keys: Iterable[str]) -> dict[str, Change]:
        """What the outbox would say of some entities."""

    def last_change(self) -> int:
        """The newest change number."""

    def count(self, entity_class: EntityClass, *, derived: bool = True) -> int:
        """How many are live."""


class RecordStore(Configuration, Runs, Provenance, Entities, Protocol):
    """All that the other rooms use."""

    def close(self) -> None:
        """Give up what is held."""
