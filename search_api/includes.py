"""Related things for an answer: fetched level by level, filtered, ordered and projected.

The search has already dropped parents without a match (semantics 9.4); here the same conditions
choose which related things are shown. Things are fetched in one look-up for each level of the
include tree, whatever the number of parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import anyio.to_thread

from catalogue.query import Everything
from catalogue.records import StoredEntity
from search_api.cache import FOREVER, next_opening
from search_api.errors import BadRequest
from search_api.loopback import Include
from search_api.model import MODEL, PanoscClass, Relation
from search_api.presentation import (
    Json,
    entity_json,
    parameter_json,
    row_json,
    sorted_rows,
)
from search_api.rows import holds

ENTITY_CLASSES = frozenset({"Document", "Dataset", "Instrument"})
LINKS = {
    ("Document", "datasets"): ("children", "datasets"),
    ("Dataset", "documents"): ("parents", "datasets"),
    ("Instrument", "datasets"): ("parents", "instrument"),
}


class Records(Protocol):
    """What is needed of the record store."""

    def entities(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]: ...

    def parents(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]: ...

    def children(self, keys: Sequence[str], relation: str) -> Mapping[str, Sequence[str]]: ...


@dataclass(slots=True)
class Hydration:
    """One answer being filled in: ``now`` decides what is public, ``left`` is how many related
    things may still be included."""

    records: Records
    now: datetime
    left: int
    most: int = 0
    good_until: datetime = FOREVER

    def __post_init__(self) -> None:
        self.most = self.left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise BadRequest(
                f"The answer would include more than {self.most} related things; "
                f"ask for fewer at a time with limit and skip.",
                field="include",
            )

    async def fill(
        self,
        class_name: str,
        entities: Sequence[StoredEntity],
        includes: Sequence[Include],
    ) -> list[Json | None]:
        """For each entity its relations as the answer shows them; ``None`` where an inner join
        found nothing."""
        filled: list[Json | None] = [{} for _ in entities]
        for include in includes:
            if include.relation.target in ENTITY_CLASSES and include.relation.name != "instrument":
                columns = await self._linked(class_name, entities, include)
            else:
                records = [entity.record for entity in entities]
                if include.relation.name == "instrument":
                    records = await self._with_instruments(records)
                columns = [self._embedded(class_name, record, include) for record in records]
            for number, rows in enumerate(columns):
                met = self._is_met(class_name, include, entities[number].record, rows)
                filled[number] = _joined(filled[number], include, rows) if met else None
        return filled

    def _is_met(
        self, class_name: str, include: Include, record: Mapping[str, Any], rows: Sequence[Json]
    ) -> bool:
        """Whether an inner join keeps the thing. "Has none of these techniques" is met without a
        single row to show."""
        if not include.inner:
            return True
        if include.relation.target == "Technique":
            return holds(class_name, include.join, record, self.now)
        return bool(rows)

    async def _linked(
        self, class_name: str, entities: Sequence[StoredEntity], include: Include
    ) -> list[list[Json]]:
        """Related entities of their own, for all parents at once."""
        relation = include.relation
        wanted = [entity.key for entity in entities]
        keys, found = await anyio.to_thread.run_sync(
            self._look_up, class_name, relation, wanted, abandon_on_cancel=True
        )
        target = MODEL[relation.target]
        shown: dict[str, Json] = {}
        kept = [
            entity
            for entity in found.values()
            if not entity.deleted
            and (isinstance(include.rows, Everything) or self._is_wanted(target, include, entity))
        ]
        below = await self.fill(relation.target, kept, include.includes)
        for entity, related in zip(kept, below, strict=True):
            if related is not None:
                self.good_until = min(self.good_until, next_opening(entity.record, self.now))
                shown[entity.key] = {**self._whole(target, entity), **related}
        columns = []
        for key in wanted:
            rows = [shown[child] for child in keys.get(key, ()) if child in shown]
            columns.append(self._page(include, target, rows))
        return columns

    async def _with_instruments(
        self, records: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """Datasets with their instrument filled in where they only name its key."""
        keys = {
            str(record["instrumentKey"])
            for record in records
            if record.get("instrumentKey") and not record.get("instrument")
        }
        if not keys:
            return list(records)
        found = await anyio.to_thread.run_sync(
            self.records.entities, sorted(keys), abandon_on_cancel=True
        )
        return [
            {**record, "instrument": found[key].record}
            if not record.get("instrument")
            and (key := str(record.get("instrumentKey"))) in found
            and not found[key].deleted
            else record
            for record in records
        ]

    def _look_up(
        self, class_name: str, relation: Relation, keys: Sequence[str]
    ) -> tuple[Mapping[str, Sequence[str]], Mapping[str, StoredEntity]]:
        method, link = LINKS[class_name, relation.attribute]
        ask = self.records.children if method == "children" else self.records.parents
        linked = ask(keys, link)
        distinct = sorted({key for related in linked.values() for key in related})
        self.take(sum(len(related) for related in linked.values()))
        ordered = {key: sorted(related) for key, related in linked.items()}
        return ordered, self.records.entities(distinct)

    def _is_wanted(self, target: PanoscClass, include: Include, entity: StoredEntity) -> bool:
        return holds(target.name, include.rows, entity.record, self.now)

    def _whole(self, target: PanoscClass, entity: StoredEntity) -> Json:
        return entity_json(target, entity.record, self.now)

    def _embedded(self, class_name: str, record: Mapping[str, Any], include: Include) -> list[Json]:
        """Rows that live inside the record, with what they contain in turn."""
        target = MODEL[include.relation.target]
        shown = []
        for row in rows_of(record, include.relation):
            if not self._row_is_wanted(class_name, include, row):
                continue
            related: Json | None = {}
            for below in include.includes:
                rows = self._embedded(target.name, row, below)
                met = self._is_met(target.name, below, row, rows)
                related = _joined(related, below, rows) if met else None
            if related is None:
                continue
            if _lacks_person(row, include):
                # Portals print the name of every member's person; one missing object would take
                # the names of all the others off the page.
                related = {**related, "person": {}}
            if target.name == "Parameter":
                own = parameter_json(row, include.asked)
            else:
                own = row_json(target, row)
            shown.append({**own, **related})
        self.take(len(shown))
        return self._page(include, target, shown)

    def _row_is_wanted(self, class_name: str, include: Include, row: Mapping[str, Any]) -> bool:
        if isinstance(include.rows, Everything):
            return True
        if include.relation.target in ("Technique", "Parameter"):
            # These conditions are about the thing that has the rows: ask of one with just this.
            alone = {include.relation.name: [row]}
            return holds(class_name, include.rows, alone, self.now)
        return holds(include.relation.target, include.rows, row, self.now)

    def _page(self, include: Include, target: PanoscClass, rows: list[Json]) -> list[Json]:
        rows = sorted_rows(rows, include.order)
        if not include.relation.through:
            end = None if include.limit is None else include.skip + include.limit
            rows = rows[include.skip : end]
        return [_projected(include, target, row) for row in rows]


def rows_of(record: Mapping[str, Any], relation: Relation) -> Iterable[Mapping[str, Any]]:
    """The rows of a relation inside a record, be it one or a list."""
    value = record.get(relation.attribute)
    if isinstance(value, Mapping):
        return [value]
    return [row for row in value or () if isinstance(row, Mapping)]


def _lacks_person(row: Mapping[str, Any], include: Include) -> bool:
    """Whether a member that is an institute only is asked for its person."""
    return include.relation.target == "Member" and any(
        below.relation.name == "person" and not rows_of(row, below.relation)
        for below in include.includes
    )


def _projected(include: Include, target: PanoscClass, row: Json) -> Json:
    projection = include.projection
    if projection.only is None and not projection.without:
        return row
    return {
        name: value
        for name, value in row.items()
        if name in target.relations or projection.shows(name)
    }


def _joined(filled: Json | None, include: Include, rows: list[Json]) -> Json | None:
    """Add a relation to what is filled in; several entries for one relation add up their rows."""
    if filled is None:
        return None
    name = include.relation.name
    if not include.relation.many:
        return {**filled, name: rows[0]} if rows else filled
    before = filled.get(name)
    return {**filled, name: rows if before is None else _merged(include.relation, before, rows)}


def _merged(relation: Relation, before: Sequence[Json], rows: Sequence[Json]) -> list[Json]:
    """The rows of two entries for one relation, each thing once with the relations of both; a
    relation that one entry did not give it is empty."""
    merged = [dict(row) for row in before]
    places = {str(row["pid"]): place for place, row in enumerate(merged) if "pid" in row}
    for row in rows:
        place = places.get(str(row.get("pid")))
        if place is not None:
            merged[place] |= row
        elif row not in merged:
            merged.append(dict(row))
    relations = [one for one in MODEL[relation.target].relations.values() if one.many]
    for one in relations:
        if any(one.name in row for row in merged):
            for row in merged:
                row.setdefault(one.name, [])
    return merged


def without_joins(includes: Sequence[Include]) -> tuple[Include, ...]:
    """The same includes as left joins: for one thing looked up by pid, as the reference does."""
    return tuple(
        replace(include, inner=False, includes=without_joins(include.includes))
        for include in includes
    )


__all__ = ["Hydration", "Records", "rows_of", "without_joins"]
