"""What facilities say at this moment, read into entities without a store (semantics 1.2, 9.5).

A ``Reading`` is one facility's word on a list of things; a ``Pool`` is what several readings and
the store's own copies make together, merged by key exactly as stored records are. The oracle's
evaluator then filters and scores the pool's entities.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, cast

from catalogue.crowd import Crowd
from catalogue.oracle import Entity
from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.said import FIRST_ORDINAL, Row, Said, Voice, alone, counted_rows, row_of
from mappings import MappingError, SourceEntity, crosswalk, merge_entities
from mappings.context import Context, Header

FORMATS: Mapping[EntityClass, str] = {
    "Document": "panosc-document",
    "Dataset": "panosc-dataset",
    "Instrument": "panosc-instrument",
}

_OF_THE_STORE = ("provenance", "facilities", "provider")
_HELD = "\0held"
_SORT_STEP = 1_000
_key_of = attrgetter("key")

Links = Mapping[str, tuple[str, ...]]
"""Key → keys at the other end of Document–Dataset, stated from whichever side, at hand or not."""


class Rows(NamedTuple):
    """A reading in a form that one process can send to another: see ``Reading``.

    ``rows`` may have become plain tuples on the way, which are written and read in half the time.
    """

    source: str
    facility: str
    listed: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    links: Links
    own_scores: dict[str, Any]
    dropped: int


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One facility's word: its entities by key, and which of them the list itself named.

    ``listed`` are the keys of the objects that were asked for, in the facility's own order.
    ``own_scores`` is what the facility thinks of them: evidence, never rank. ``dropped`` counts
    objects that no entity could be made of (fault G11). The entities in ``said`` are ready for the
    oracle where nobody else has a word on them.
    """

    voice: Voice
    listed: tuple[str, ...] = ()
    said: Mapping[str, Said] = field(default_factory=dict, repr=False)
    links: Links = field(default_factory=dict, repr=False)
    own_scores: Mapping[str, Any] = field(default_factory=dict)
    dropped: int = 0


def read_objects(
    entity_class: EntityClass,
    items: Sequence[Mapping[str, Any]],
    context: Context,
    *,
    counted: bool = False,
) -> Reading:
    """Read the objects of one answer; what cannot be mapped is counted and left out.

    Args:
        counted: whether those of the class will be searched as text or counted for facets; it costs
            less here than later.
    """
    return as_reading(read_rows(entity_class, items, context, counted=counted))


def read_rows(
    entity_class: EntityClass,
    items: Sequence[Mapping[str, Any]],
    context: Context,
    *,
    counted: bool = False,
) -> Rows:
    """The same, to be sent on."""
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
    links = _links(parts.values())
    wanted = [one for one in parts.values() if counted and one["class"] == entity_class]
    others = [one for one in parts.values() if not counted or one["class"] != entity_class]
    rows = counted_rows([(one, _contained(one, parts, links)) for one in wanted])
    rows += map(row_of, others)
    return Rows(context.source, context.facility, tuple(listed), rows, links, scores, dropped)


def as_reading(rows: Rows) -> Reading:
    """What was sent, as it is worked with."""
    voice = Voice(rows.source, rows.facility)
    known: list[Row] = list(map(_as_row, rows.rows))
    said = _said({row.key: row for row in known}, rows.links, voice)
    return Reading(voice, rows.listed, said, rows.links, rows.own_scores, rows.dropped)


_as_row = cast(Callable[[tuple[Any, ...]], Row], partial(tuple.__new__, Row))
"""A row of the tuple that it was sent as, without the call of a function in Python."""


def _links(records: Iterable[Mapping[str, Any]]) -> Links:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        for name in ("datasets", "documents"):
            for other in record.get(name) or ():
                found[record["key"]][str(other)] = None
                found[str(other)][record["key"]] = None
    return {key: tuple(sorted(others)) for key, others in found.items()}


def _all_links(several: Iterable[Links]) -> Links:
    found: dict[str, tuple[str, ...]] = {}
    for links in several:
        for key, others in links.items():
            known = found.get(key)
            found[key] = others if known is None else tuple(sorted({*known, *others}))
    return found


def _contained(
    part: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], links: Links
) -> list[Mapping[str, Any]]:
    """Of a Document, its Datasets: derived ones give way to real ones (semantics 1.3)."""
    if part["class"] != "Document":
        return []
    there = [parts[key] for key in links.get(part["key"], ()) if key in parts]
    return [one for one in there if not one.get("derived")] or there


def _said(rows: Mapping[str, Row], links: Links, voice: Voice) -> dict[str, Said]:
    """The entities that one voice's rows make."""
    found: dict[str, Said] = {}
    documents: list[Said] = []
    is_there = rows.__contains__
    for key, row in rows.items():
        relatives = links.get(key, ())
        if relatives and not all(map(is_there, relatives)):
            relatives = tuple(filter(is_there, relatives))
        one = found[key] = Said(row, voice, relatives)
        if relatives and row.entity_class == "Document":
            documents.append(one)
    for one in documents:
        there = [found[key] for key in one.relatives]
        one.contained = tuple([child for child in there if not child.row.derived] or there)
    return found


def joined(readings: Sequence[Reading]) -> Reading:
    """Several readings of one source as one: what is said first stands, gaps are filled."""
    if len(readings) == 1:
        return readings[0]
    rows: dict[str, Row] = {}
    first: dict[str, Said] = {}
    again: set[str] = set()
    listed: dict[str, None] = {}
    scores: dict[str, Any] = {}
    links = _all_links(reading.links for reading in readings)
    for reading in readings:
        for key, said in reading.said.items():
            if key not in rows:
                rows[key], first[key] = said.row, said
            elif not _is_repeated(said, first[key]):
                again.add(key)
                rows[key] = row_of({**said.part(), **rows[key].part()})
        listed.update(dict.fromkeys(reading.listed))
        scores = {**reading.own_scores, **scores}
    before = {key: said for reading in readings for key, said in reading.said.items()}
    voice = readings[0].voice
    made = _said(rows, links, voice)
    for key, said in made.items():
        inside = [one.key for one in said.contained]
        if inside != [one.key for one in before[key].contained] or not again.isdisjoint(inside):
            # Other pages say what it contains: its words are read anew.
            said.row = said.row._replace(is_counted=False)
    return Reading(
        voice, tuple(listed), made, links, scores, sum(reading.dropped for reading in readings)
    )


_EMBARGO = b'"embargoUntil"'


def tied(datasets: Reading, documents: Reading) -> Reading:
    """One source's list of Datasets with what its list of Documents says of whose they are: an
    embargo of a Document holds for the Datasets in it (semantics 2.2)."""
    rows: dict[str, Row] = {}
    for key, said in datasets.said.items():
        other = documents.said.get(key)
        if other is None:
            rows[key] = said.row
        elif said.row.entity_class != "Dataset":
            rows[key] = other.row
        elif _EMBARGO in other.row.written and _EMBARGO not in said.row.written:
            rows[key] = row_of({**said.part(), "access": other.part()["access"]})
        else:
            rows[key] = said.row
    for key, said in documents.said.items():
        rows.setdefault(key, said.row)
    links = _all_links((datasets.links, documents.links))
    made = _said(rows, links, datasets.voice)
    return replace(datasets, said=made, links=links)


def _is_repeated(said: Said, before: Said) -> bool:
    """Whether the same is said again, of the thing and of what it contains."""
    if said.row.written != before.row.written:
        return False
    return [one.key for one in said.contained] == [one.key for one in before.contained]


@dataclass(frozen=True, slots=True)
class Pool:
    """Entities at hand: ``entities`` are merged ones by key, relations and children filled in.

    ``remembered``: what somebody made of an entity once, by key, as long as the pool lasts.
    """

    entities: Mapping[str, Entity] = field(default_factory=dict)
    readings: Sequence[Reading] = field(default=(), repr=False)
    _by_class: dict[EntityClass, list[Entity]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _crowds: dict[EntityClass, Crowd] = field(default_factory=dict, repr=False, compare=False)
    remembered: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def of_class(self, entity_class: EntityClass) -> list[Entity]:
        """The entities of a class, by key."""
        found = self._by_class.get(entity_class)
        if found is None:
            found = [one for one in self.entities.values() if one.entity_class == entity_class]
            # A sort keeps other threads from the interpreter until it is done: in steps.
            for start in range(0, len(found), _SORT_STEP):
                found[start : start + _SORT_STEP] = sorted(
                    found[start : start + _SORT_STEP], key=_key_of
                )
            found.sort(key=_key_of)
            self._by_class[entity_class] = found
        return found

    def crowd(self, entity_class: EntityClass) -> Crowd:
        """The entities of a class for one question: their words are looked up for the first."""
        found = self._crowds.get(entity_class)
        if found is None:
            found = self._crowds[entity_class] = Crowd(self.of_class(entity_class))
        return found.afresh()

    def own_scores(self, key: str) -> dict[str, Any]:
        """What each facility said that the thing is worth, by source."""
        return {
            reading.voice.source: reading.own_scores[key]
            for reading in self.readings
            if key in reading.own_scores
        }


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
        held: entities of the store by key that are held by facilities which were not asked; what
            they are related to may be among them, though no reading speaks of it.
        trust: by source; lower is believed first (default 100).
        providers: facility → Search API base URL.
    """
    held, trust, providers = held or {}, trust or {}, providers or {}
    for reading in readings:
        reading.voice.provider = providers.get(reading.voice.facility, "")
    if not held and _are_apart(readings):
        return Pool({k: one for reading in readings for k, one in reading.said.items()}, readings)
    said: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        for key in reading.said:
            said[key].append(reading)
    related = _related(readings, held)
    entities: dict[str, Entity] = {}
    fresh: dict[str, StoredEntity] = {}
    for number, (key, by) in enumerate(said.items()):
        if _is_lonely(key, said, related, held):
            entities[key] = by[0].said[key]
            continue
        record = (
            alone(by[0].said[key].part(), by[0].voice, {})
            if len(by) == 1 and key not in held
            else _merged(key, by, held.get(key), trust, now.isoformat())
        )
        record["provider"] = providers.get(str(record.get("facility", "")), "")
        fresh[key] = StoredEntity(
            key, cast(EntityClass, record["class"]), FIRST_ORDINAL + number, 0, False, record
        )

    def known(keys: Iterable[str]) -> Iterator[StoredEntity]:
        for key in keys:
            if key in fresh:
                yield fresh[key]
            elif key in entities:
                yield entities[key].stored
            elif key in held:
                yield held[key]

    for key, stored in fresh.items():
        entities[key] = _whole(stored, list(known(related.get(key, ()))))
    for key, stored in held.items():
        if key not in said and stored.entity_class == "Document":
            # Nobody spoke of it, but it has Datasets that somebody spoke of.
            copy = stored._replace(record=dict(stored.record))
            entities[key] = _whole(copy, list(known(related.get(key, ()))))
    return Pool(entities, readings)


def _are_apart(readings: Sequence[Reading]) -> bool:
    """Whether no reading has a word on what another one speaks of."""
    keys: set[str] = set().union(*(reading.said for reading in readings))
    if len(keys) < sum(len(reading.said) for reading in readings):
        return False
    return all(keys.isdisjoint(reading.links.keys() - reading.said.keys()) for reading in readings)


def _is_lonely(
    key: str,
    said: Mapping[str, list[Reading]],
    related: Links,
    held: Mapping[str, StoredEntity],
) -> bool:
    """Whether nobody but one reading has a word on it or on what it is related to."""
    by = said[key]
    return (
        len(by) == 1
        and key not in held
        and all(
            other not in held and (other not in said or said[other] == by)
            for other in related.get(key, ())
        )
    )


def _merged(
    key: str,
    readings: Sequence[Reading],
    held: StoredEntity | None,
    trust: Mapping[str, int],
    at: str,
) -> dict[str, Any]:
    parts = [
        SourceEntity(v.source, v.facility, trust.get(v.source, 100), at, r.said[key].part())
        for r in readings
        for v in (r.voice,)
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
    names = [*(r.voice.facility for r in readings), *(held.record.get("facilities") or ())]
    record["facilities"] = list(dict.fromkeys(str(name) for name in names))
    return record


def _speakers(sources: str, held: object) -> str:
    named = str(sources).split(", ")
    names = [name for name in named if name != _HELD]
    if _HELD in named and held:
        names.append(str(held))
    return ", ".join(dict.fromkeys(names))


def _related(readings: Sequence[Reading], held: Mapping[str, StoredEntity]) -> Links:
    """The links of all that is at hand."""
    kept = _links(entity.record for entity in held.values() if not entity.deleted)
    return _all_links((*(reading.links for reading in readings), kept))


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
