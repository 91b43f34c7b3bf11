"""Entities of the catalogue in PaNOSC form: what a portal reads.

Only fields of the model cross the boundary, under its names, in its order; what a facility did not
send is absent. ``isPublic`` is as sent, but false while an embargo or restriction is known
(semantics 2.4); parameters are shown in the unit that was asked for (semantics 5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from catalogue.access import public_at
from mappings.quantities import from_si
from search_api.loopback import EVERYTHING, Projection
from search_api.model import MODEL, PanoscClass
from search_api.parameter_conditions import AskedUnit

Json = dict[str, Any]

NUMBERED = frozenset({"File", "Member", "Affiliation"})
"""Classes whose ``id`` is a number in the reference model, where it looks like one."""


def entity_json(
    panosc_class: PanoscClass,
    record: Mapping[str, Any],
    now: datetime,
    projection: Projection = EVERYTHING,
) -> Json:
    """A Document, Dataset or Instrument without relations and without our own fields."""
    names: Iterable[str] = panosc_class.fields
    if projection != EVERYTHING:
        names = filter(projection.shows, names)
    given = {**record, "isPublic": public_at(record, now)}
    return {name: value for name in names if (value := given.get(name)) is not None}


def list_item_fields(
    record: Mapping[str, Any], score: float, provider: str, projection: Projection = EVERYTHING
) -> Json:
    """What list items have besides: ``score`` always, since portals format it unasked."""
    shown: Json = {"score": score}
    if projection.shows("provider"):
        shown["provider"] = provider
    if projection.shows("facility"):
        shown["facility"] = record.get("facility", "")
    return shown


def list_items(
    panosc_class: PanoscClass,
    found: Iterable[tuple[Mapping[str, Any], float]],
    now: datetime,
    provider_of: Callable[[str], str],
    projection: Projection = EVERYTHING,
) -> list[Json]:
    """The items of a list: ``entity_json`` and ``list_item_fields`` of (record, score) each, in
    half of the time."""
    names = list(panosc_class.fields)
    if projection != EVERYTHING:
        names = [name for name in names if projection.shows(name)]
    shows_provider, shows_facility = projection.shows("provider"), projection.shows("facility")
    items = []
    for record, score in found:
        given = record.get
        item: Json = {name: value for name in names if (value := given(name)) is not None}
        if "isPublic" in item:
            item["isPublic"] = public_at(record, now)
        elif "isPublic" in names:
            item = entity_json(panosc_class, record, now, projection)
        item["score"] = score
        facility = given("facility", "")
        if shows_provider:
            item["provider"] = provider_of(str(facility))
        if shows_facility:
            item["facility"] = facility
        items.append(item)
    return items


def row_json(
    panosc_class: PanoscClass, row: Mapping[str, Any], projection: Projection = EVERYTHING
) -> Json:
    """A row that lives inside its parent: member, person, sample, file, technique …"""
    shown = {
        name: row[name]
        for name in panosc_class.fields
        if projection.shows(name) and row.get(name) is not None
    }
    if panosc_class.name in NUMBERED and "id" in shown:
        shown["id"] = number_of(str(shown["id"]))
    return shown


def number_of(identifier: str) -> int | str:
    """An id of digits as the number that it was on the wire, where JSON keeps it exactly."""
    if identifier.isascii() and identifier.isdigit() and len(identifier) < 16:
        return int(identifier)
    return identifier


def parameter_json(
    row: Mapping[str, Any], asked: Sequence[AskedUnit], projection: Projection = EVERYTHING
) -> Json:
    """A parameter, its value in the asked unit where one was asked. ``unit`` is always there:
    portals print it beside the value."""
    value, unit = row.get("value"), row.get("unit", "")
    quantity = row.get("quantity") or {}
    for wanted in asked:
        if quantity.get("dimension") != wanted.dimension or unit == wanted.unit:
            continue
        if row.get("name") not in wanted.names and quantity.get("canonical") not in wanted.names:
            continue
        converted = from_si(quantity["low"], wanted.dimension, wanted.unit)
        if quantity["low"] == quantity["high"] and converted is not None:
            value, unit = converted, wanted.unit
            break
    shown = {"name": row.get("name"), "value": value, "unit": unit}
    if "id" in row:
        shown = {"id": number_of(str(row["id"])), **shown}
    return {name: shown[name] for name in shown if projection.shows(name)}


def technique_json(row: Mapping[str, Any], projection: Projection = EVERYTHING) -> Json:
    return row_json(MODEL["Technique"], row, projection)


def instruments_json(row: Mapping[str, Any] | None, projection: Projection = EVERYTHING) -> Json:
    return row_json(MODEL["Instrument"], row or {}, projection)


def sorted_rows(rows: Iterable[Json], order: Sequence[Any]) -> list[Json]:
    """Rows in the order asked for; absent values last, whatever the direction."""
    result = list(rows)
    for sort in reversed(order):
        present = [row for row in result if row.get(sort.field) is not None]
        absent = [row for row in result if row.get(sort.field) is None]
        present.sort(key=lambda row: _sort_key(row[sort.field]), reverse=sort.descending)
        result = present + absent
    return result


def _sort_key(value: Any) -> tuple[int, Any]:
    """Numbers before text, so that a mixed column can be sorted."""
    if isinstance(value, (bool, int, float)):
        return (0, value)
    return (1, str(value))
