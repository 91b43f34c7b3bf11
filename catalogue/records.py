"""What goes into the record store and what comes out of it, as frozen values.

Instants are aware UTC ``datetime``s; change numbers grow over the whole store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from mappings.context import Header, Mapped
from mappings.errors import MappingError

RunState = Literal["running", "ok", "partial", "failed", "held", "stopped"]
RecordState = Literal["live", "deleted", "left_set"]
EntityClass = Literal["Document", "Dataset", "Instrument"]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One raw record of one source with what the crosswalk made of it.

    ``payload`` is the record's metadata as received (one XML element or one JSON object, UTF-8);
    ``None`` for a deletion. ``mapped`` is a ``MappingError`` when it goes to quarantine.
    """

    header: Header
    format: str
    payload: bytes | None
    mapped: Mapped | MappingError | None
    deleted: bool = False


class ReadyRecord(NamedTuple):
    """A ``SourceRecord`` that ``catalogue.store.ready`` has rendered for the store.

    Smaller to send between processes than a ``SourceRecord``, and the store has less to do with
    it. ``parts`` are the store's own. ``rejection`` is (path, reason, expected) of a record for
    quarantine; ``packed`` is (dictionary, compressed payload) where a dictionary was given.
    ``foreseen`` are engine documents of the parts, one for each, where ``catalogue.ahead`` made
    them: right as long as nothing but this record says anything of their entities.
    """

    header: Header
    format: str
    deleted: bool
    payload: bytes | None
    payload_hash: bytes | None
    packed: tuple[int, bytes] | None
    parts: tuple[Any, ...]
    rejection: tuple[str, str, str] | None
    problems: tuple[str, ...]
    foreseen: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PageCommit:
    """A page of records and the checkpoint that follows it: durable together or not at all.

    ``checkpoint`` is the protocol client's own place-keeping, JSON-serialisable; ``None`` clears.
    ``left_set`` and ``deleted`` name identifiers found gone by reconciliation (semantics 1.4).
    ``provider`` is the facility's as the records' ``foreseen`` documents have it.
    """

    records: Sequence[SourceRecord | ReadyRecord]
    checkpoint: Mapping[str, Any] | None
    harvested_at: datetime
    deleted: Sequence[str] = ()
    left_set: Sequence[str] = ()
    provider: str = ""


class Foreseen(NamedTuple):
    """An engine document that was made before its entity had numbers, and the numbers; ``links``
    are the ordinals of what it contains."""

    key: str
    entity_class: EntityClass
    ordinal: int
    change: int
    links: tuple[int, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class PageReport:
    """What a page changed: counts of raw records, and of entities given a new change number, the
    last of which is ``last_change``.

    ``forgotten``: records turned away because they were erased on request (semantics 11.1).
    ``foreseen``: of these entities, in order, those whose engine documents are right as they came.
    """

    received: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0
    entities: int = 0
    last_change: int = 0
    forgotten: int = 0
    foreseen: Sequence[Foreseen] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A harvest run that holds the lease of its source.

    ``fence`` is the lease's number: a write with an older one is refused (``LeaseLost``).
    ``checkpoint`` is where the run before stopped, when that one did not finish.
    """

    number: int
    source: str
    kind: str
    holder: str
    fence: int
    started_at: datetime
    checkpoint: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as ``pan-commons runs`` shows it.

    ``stop`` is the name of the reason it ended (``end_of_list``, ``repeated_token`` …);
    ``problems`` maps a reason to (count, sample identifiers). ``holder`` names its process.
    """

    number: int
    source: str
    kind: str
    state: RunState
    started_at: datetime
    ended_at: datetime | None
    heartbeat_at: datetime | None
    stop: str | None
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    holder: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What the store knows of a source: live records, last run, since when it is silent.

    ``silent_since`` is the instant of the first failure after the last contact that worked.
    ``memory`` is the harvester's own small state (responseDate of the last finished run,
    capability profile …), JSON-serialisable.
    """

    source: str
    records: int
    quarantined: int
    last_run: RunRecord | None
    last_success_at: datetime | None
    silent_since: datetime | None
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def waiting(self) -> dict[str, Any] | None:
        """The ``run`` whose deletions wait for the operator, and the ``reason``; also when later
        ones went well (fault H05)."""
        last, found = self.last_run, self.memory.get("waiting")
        if last is not None and last.state == "held":
            return {"run": last.number, "reason": str(last.details.get("held", ""))}
        return {"run": int(found["run"]), "reason": found["reason"]} if found else None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A raw record that could not be mapped, with its reason; can be replayed."""

    source: str
    identifier: str
    format: str
    reason: str
    path: str
    run: int
    since: datetime


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A raw record as kept: for provenance, ``/api/records/{key}`` and remap."""

    source: str
    facility: str
    header: Header
    format: str
    state: RecordState
    harvested_at: datetime
    payload: bytes | None
    versions: Mapping[str, str]


class StoredEntity(NamedTuple):
    """A merged entity (semantics 1.2): what engines index and people find.

    ``record`` is the merged JSON form with ``class``, ``key``, ``facility`` (first by trust),
    ``facilities``, ``provider``, ``provenance`` (field → source name). Relations are lists of
    keys of live entities under ``datasets`` / ``documents``, and ``instrumentKey``. ``ordinal`` is
    a small integer that stays with the key for ever (semantics 9.2). Of a deleted entity ``record``
    has only ``class``, ``key``, ``facility`` and ``facilities``. ``changed_at`` is when it got its
    change number.
    """

    key: str
    entity_class: EntityClass
    ordinal: int
    change: int
    deleted: bool
    record: Mapping[str, Any]
    changed_at: datetime | None = None


class Change(NamedTuple):
    """One line of the outbox: the entity as it is now, with the children it contains.

    For a Document ``children`` are its live Datasets (with their ``instrument`` filled in).
    ``parents`` are the keys of entities that contain this one.
    """

    entity: StoredEntity
    children: Sequence[StoredEntity] = ()
    parents: Sequence[str] = ()
