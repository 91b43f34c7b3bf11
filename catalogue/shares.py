"""What members, techniques, samples and instruments add to an engine document, remembered by value.

The same people, instruments and samples come again in record after record; what they add was worked
out when they were first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import orjson

from catalogue import technique_scoring
from catalogue.analysis import Line, line
from catalogue.fields import elements
from catalogue.record_terms import MAX_PARTS, PartsPlan, add_parts, class_plan

MAX_REMEMBERED_BYTES = 2_000
"""Of one relation of one record as JSON: longer lists do not come again."""

MAX_REMEMBERED = 2_048
"""Values of each relation; beyond it all are forgotten: to keep their order would cost more."""


class Share(NamedTuple):
    """``own`` are the terms for the record that says it, ``carried`` those for the Documents of a
    Dataset that does; ``lines`` of text and what becomes of them, ``names`` for facets, ``people``
    to complete."""

    own: frozenset[str]
    carried: frozenset[str]
    lines: Mapping[str, Line]
    names: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()


def share_of(relation: str, value: object) -> Share:
    """What a record's value of ``techniques``, ``samples`` or ``instrument`` adds, or a member."""
    try:
        written = orjson.dumps(value)
    except TypeError:  # a record that never was in a store
        return _made(relation, value)
    remembered = _remembered[relation]
    share = remembered.get(written)
    if share is None:
        share = _made(relation, value)
        if len(written) <= MAX_REMEMBERED_BYTES:
            if len(remembered) >= MAX_REMEMBERED:
                remembered.clear()
            remembered[written] = share
    return share


_remembered: dict[str, dict[bytes, Share]] = {
    name: {} for name in ("members", "techniques", "samples", "instrument")
}


def shares_of_members(record: Mapping[str, Any]) -> list[Share]:
    """What each member adds: people come again, groups of them hardly."""
    if "members" not in record:
        return []
    members = elements(record, "members")
    if len(members) <= MAX_PARTS:
        return [share_of("members", member) for member in members]
    return [_made("members", members)]


def _made(relation: str, value: object) -> Share:
    record = {relation: value}
    parts = elements(record, relation)
    lines = {text: line(text) for text in lines_of(relation, parts)}
    own: set[str] = set()
    if relation == "members":
        add_parts(record, _plans("Document", "", relation), own)
        people = [name for part in parts for person in elements(part, "person")
                  for name in strings(person, "fullName")]  # fmt: skip
        return Share(frozenset(own), frozenset(), lines, people=tuple(people))
    carried: set[str] = set()
    add_parts(record, _plans("Dataset", "", relation), own)
    add_parts(record, _plans("Dataset", "datasets.", relation), carried, None)
    return Share(
        frozenset(own),
        frozenset(carried),
        lines,
        names=tuple(str(part["name"]) for part in parts if part.get("name")),
        tags=technique_scoring.tags_of(parts) if relation == "techniques" else frozenset(),
    )


def lines_of(relation: str, parts: list[Mapping[str, Any]]) -> list[str]:
    """The lines of text of a relation's parts."""
    found: list[str] = []
    if relation == "members":
        for member in parts:
            for person in elements(member, "person"):
                found += strings(person, "fullName")
            for affiliation in elements(member, "affiliation"):
                found += strings(affiliation, "name")
        return found
    for part in parts:
        found += strings(part, *(("name", "description") if relation == "samples" else ("name",)))
    if relation == "techniques":
        for tag in sorted(technique_scoring.tags_of(parts)):
            found += technique_scoring.names(tag)
    return found


@cache
def _plans(class_name: str, prefix: str, relation: str) -> tuple[PartsPlan, ...]:
    plan = class_plan(class_name, prefix)
    return tuple(one for one in plan.relations if one.name == relation)


def strings(record: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of some fields, in their order."""
    found: list[str] = []
    for name in names:
        if name not in record:
            continue
        value = record[name]
        if type(value) is str:
            if value:
                found.append(value)
        elif value is not None:
            listed = value if isinstance(value, (list, tuple)) else (value,)
            found.extend(str(one) for one in listed if one not in (None, ""))
    return found
