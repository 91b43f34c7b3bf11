"""What facilities say at this moment, read into entities without a store (semantics 1.2, 9.5).

A ``Reading`` is one facility's word on a list of things; a ``Pool`` is what several readings and
the store's own copies make together, merged by key exactly as stored records are. The oracle's
evaluator then filters and scores the pool's entities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from catalogue.oracle import Entity
from catalogue.records import Change, EntityClass, StoredEntity
from mappings import MappingError, SourceEntity, crosswalk, merge_entities
from mappings.context import Context, Header

FORMATS: Mapping[EntityClass, str] = {
    "Document": "panosc-document",
    "Dataset": "panosc-dataset",
    "Instrument": "panosc-instrument",
}
FIRST_ORDINAL = 1 << 40
"""Ordinals of entities that are in no store begin here, behind all that a store gives."""

_NOT_GIVEN = ("class", "key", "facility")
_OF_THE_STORE = ("provenance", "facilities", "provider")
_HELD = "\0held"


@dataclass(frozen=True, slots=True)
class Reading:
    """One facility's word: its entities by key, and which of them the list itself named.

    ``listed`` are the keys of the objects that were asked for, in the facility's own order.
    ``own_scores`` is what the facility thinks of them: evidence, never rank. ``dropped`` counts
    objects that no entity could be made of (fault G11). ``entities`` are ready for the oracle where
    nobody else has a word on them.
    """

    source: str
    facility: str
    listed: tuple[str, ...] = ()
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own_scores: Mapping[str, Any] = field(default_factory=dict)
    dropped: int = 0
    alone: dict[str, Entity] = field(default_factory=dict, compare=False, repr=False)


def read_objects(
    entity_class: EntityClass, items: Sequence[Mapping[str, Any]], context: Context
) -> Reading:
    """Read the objects of one answer; what cannot be mapped is counted and left out."""
    parts: dict[str, dict[str, Any]] = {}
    listed: dict[str, None] = {}
    scores: dict[str, Any] = {}
    dropped = 0
    for item in items:
        identifier = str(item.get("pid") or item.get("id") or item.get("doi") or "")
        try:
            mapped = crosswalk(
                FORMATS[entity_class],
                item,
                context,
                Header(f"{entity_class}/{identifier}"),
            )
        except MappingError:
            dropped += 1
            continue
        own = next((one for one in mapped.entities if one["class"] == entity_class), None)
        if own is None:
            dropped += 1
            continue
        for entity in mapped.entities:
            known = parts.get(entity["key"])
            parts[entity["key"]] = entity if known is None else {**known, **entity}
        listed.setdefault(own["key"])
        if "score" in item:
            scores[own["key"]] = item["score"]
    return Reading(context.source, context.facility, tuple(listed), parts, scores, dropped)


def joined(readings: Sequence[Reading]) -> Reading:
    """Several readings of one source as one: what is said first stands, gaps are filled."""
    if len(readings) == 1:
        return readings[0]
    parts: dict[str, Mapping[str, Any]] = {}
    listed: dict[str, None] = {}
    scores: dict[str, Any] = {}
    for reading in readings:
        for key, part in reading.parts.items():
            parts[key] = part if key not in parts else {**part, **parts[key]}
        listed.update(dict.fromkeys(reading.listed))
        scores = {**reading.own_scores, **scores}
    return Reading(
        readings[0].source,
        readings[0].facility,
        tuple(listed),
        parts,
        scores,
        sum(reading.dropped for reading in readings),
    )


@dataclass(frozen=True, slots=True)
class Pool:
    """Entities at hand: ``entities`` are merged ones by key, relations and children filled in.

    ``own_scores`` maps keys to what each facility said, by source.
    """

    entities: Mapping[str, Entity] = field(default_factory=dict)
    own_scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_class(self, entity_class: EntityClass) -> list[Entity]:
        """The entities of a class, by key."""
        return sorted(
            (one for one in self.entities.values() if one.stored.entity_class == entity_class),
            key=lambda one: one.stored.key,
        )

    def stored(self) -> dict[str, StoredEntity]:
        """All entities in the store's form."""
        return {key: entity.stored for key, entity in self.entities.items()}


def make_pool(
    readings: Sequence[Reading],
    *,
    now: datetime,
    held: Mapping[str, StoredEntity] | None = None,
    trust: Mapping[str, int] | None = None,
    providers: Mapping[str, str] | None = None,
) -> Pool:
    """Merge readings, and the store's copies where other facilities have the same thing.

    Args:
        now: when the readings were made.
        held: entities of the store by key that are held by facilities which were not asked;
            children of these Documents may be among them.
        trust: by source; lower is believed first (default 100).
        providers: facility → Search API base URL.
    """
    held, trust, providers = held or {}, trust or {}, providers or {}
    at = now.isoformat()
    said: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        for key in reading.parts:
            said[key].append(reading)
    related = _related(readings, held)

    def is_lonely(key: str) -> bool:
        """Nobody but one reading has a word on it or on what it is related to."""
        by = said[key]
        return (
            len(by) == 1
            and key not in held
            and all(
                other not in held and (other not in said or said[other] == by)
                for other in related.get(key, ())
            )
        )

    entities: dict[str, Entity] = {}
    fresh: dict[str, StoredEntity] = {}
    for number, key in enumerate(sorted(said)):
        lonely = is_lonely(key)
        ready = said[key][0].alone.get(key) if lonely else None
        if ready is not None:
            entities[key] = ready
            continue
        record = (
            _alone(said[key][0], key)
            if lonely or (len(said[key]) == 1 and key not in held)
            else _merged(key, said[key], held.get(key), trust, at)
        )
        record["provider"] = providers.get(str(record.get("facility", "")), "")
        fresh[key] = StoredEntity(
            key, cast(EntityClass, record["class"]), FIRST_ORDINAL + number, 0, False, record
        )
    known = {**held, **{key: one.stored for key, one in entities.items()}, **fresh}
    for key, stored in fresh.items():
        entities[key] = _whole(stored, [known[o] for o in related.get(key, ()) if o in known])
        if is_lonely(key):
            said[key][0].alone[key] = entities[key]
    return Pool(entities, _own_scores(readings))


def _alone(reading: Reading, key: str) -> dict[str, Any]:
    record = dict(reading.parts[key])
    record["provenance"] = {name: reading.source for name in record if name not in _NOT_GIVEN}
    record["facility"] = reading.facility
    record["facilities"] = [reading.facility]
    return record


def _merged(
    key: str,
    readings: Sequence[Reading],
    held: StoredEntity | None,
    trust: Mapping[str, int],
    at: str,
) -> dict[str, Any]:
    parts = [
        SourceEntity(r.source, r.facility, trust.get(r.source, 100), at, r.parts[key])
        for r in readings
    ]
    if held is None:
        return dict(merge_entities(parts))
    entity = {name: value for name, value in held.record.items() if name not in _OF_THE_STORE}
    copy = SourceEntity(_HELD, str(held.record.get("facility", "")), 100, "", entity)
    record = dict(merge_entities([*parts, copy]))
    given = held.record.get("provenance") or {}
    # The copy speaks for the sources that it was made of, field by field.
    record["provenance"] = {
        name: _speakers(source, given.get(name))
        for name, source in record.get("provenance", {}).items()
    }
    names = [*(r.facility for r in readings), *(held.record.get("facilities") or ())]
    record["facilities"] = list(dict.fromkeys(str(name) for name in names))
    return record


def _speakers(sources: str, held: object) -> str:
    named = str(sources).split(", ")
    names = [name for name in named if name != _HELD]
    if _HELD in named and held:
        names.append(str(held))
    return ", ".join(dict.fromkeys(names))


def _related(
    readings: Sequence[Reading], held: Mapping[str, StoredEntity]
) -> dict[str, tuple[str, ...]]:
    """Key → keys at the other end of Document–Dataset, stated from whichever side."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    records = [record for reading in readings for record in reading.parts.values()]
    records += [entity.record for entity in held.values() if not entity.deleted]
    for record in records:
        for name in ("datasets", "documents"):
            for other in record.get(name) or ():
                found[record["key"]][str(other)] = None
                found[str(other)][record["key"]] = None
    return {key: tuple(sorted(others)) for key, others in found.items()}


def _whole(stored: StoredEntity, related: Sequence[StoredEntity]) -> Entity:
    """The entity with its relations; derived Datasets give way to real ones (semantics 1.3)."""
    record = cast(dict[str, Any], stored.record)
    live = [one for one in related if not one.deleted]
    if stored.entity_class == "Dataset":
        record["documents"] = [one.key for one in live]
    if stored.entity_class != "Document":
        return Entity(Change(stored))
    real = [child for child in live if not child.record.get("derived")]
    record["datasets"] = [child.key for child in real or live]
    return Entity(Change(stored, tuple(real or live)))


def _own_scores(readings: Iterable[Reading]) -> dict[str, dict[str, Any]]:
    scores: dict[str, dict[str, Any]] = defaultdict(dict)
    for reading in readings:
        for key, score in reading.own_scores.items():
            scores[key][reading.source] = score
    return dict(scores)
