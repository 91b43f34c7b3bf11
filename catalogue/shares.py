"""What members, techniques, samples and instruments add to an engine document, remembered by value.

The same people, instruments and samples come again in record after record; what they add was worked
out when they were first seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson

from catalogue import technique_scoring
from catalogue.analysis import Line, line, name_line
from catalogue.completions import suggestion
from catalogue.fields import elements, strings
from catalogue.record_terms import (
    MAX_PARTS,
    PartsPlan,
    Terms,
    add_part_terms,
    class_plan,
)

MAX_REMEMBERED_BYTES = 2_000
"""Of one relation of one record as JSON: longer lists do not come again."""

MAX_REMEMBERED = 2_048
"""Values of each relation; beyond it all are forgotten: to keep their order would cost more."""


class Share(NamedTuple):
    """``own`` are the terms for the record that says it, ``carried`` those for the Documents of a
    Dataset that does; ``lines`` of text and what becomes of them, ``names`` for facets,
    ``suggestions`` of people."""

    own: Terms
    carried: Terms
    lines: Mapping[str, Line]
    names: tuple[str, ...] = ()
    suggestions: Sequence[str] = ()
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


_WHERE = {
    "members": ("Document", ""),
    "person": ("Member", "members."),
    "affiliation": ("Member", "members."),
    "techniques": ("Dataset", ""),
    "samples": ("Dataset", ""),
    "instrument": ("Dataset", ""),
}
"""The class of which each is a relation, and what its terms begin with."""

_remembered: dict[str, dict[bytes, Share]] = {name: {} for name in _WHERE}


def shares_of_members(record: Mapping[str, Any]) -> list[Share]:
    """What each member's person, affiliation and role add: they come again, but not together."""
    if "members" not in record:
        return []
    members = elements(record, "members")
    if len(members) > MAX_PARTS:
        return [_made("members", members)]
    shares: list[Share] = []
    for member in members:
        person, affiliation = member.get("person"), member.get("affiliation")
        if person is not None:
            shares.append(share_of("person", person))
        if affiliation is not None:
            shares.append(share_of("affiliation", affiliation))
        role = member.get("role")
        if type(role) is str and len(member) == 1 + ("person" in member) + (
            "affiliation" in member
        ):
            shares.append(_of_role(role))
        else:
            rest = {name: value for name, value in member.items() if name not in _APART}
            shares.append(share_of("members", rest))
    return shares


_APART = frozenset({"person", "affiliation"})


@lru_cache(maxsize=1_024)
def _of_role(role: str) -> Share:
    return _made("members", {"role": role})


def _made(relation: str, value: object) -> Share:
    if relation == "person" and type(value) is dict:
        return _made_person(value)
    return _of_parts(relation, value)


def _of_parts(relation: str, value: object) -> Share:
    record = {relation: value}
    parts = elements(record, relation)
    class_name, prefix = _WHERE[relation]
    own = _terms(record, _plans(class_name, prefix, relation), MAX_PARTS)
    lines = {text: line(text) for text in lines_of(relation, parts)}
    if class_name != "Dataset":
        people = _people(relation, parts)
        return Share(own, _NONE, lines, (), [suggestion("person", name) for name in people])
    return Share(
        own,
        _terms(record, _plans("Dataset", "datasets.", relation), None),
        lines,
        names=tuple([str(part["name"]) for part in parts if part.get("name")]),
        tags=technique_scoring.tags_of(parts) if relation == "techniques" else frozenset(),
    )


def _made_person(value: Mapping[str, Any]) -> Share:
    """The same of one person: hardly any relation has so many values, and most have but names."""
    (plan,) = _plans("Member", "members.", "person")
    shape = plan.parts.shape_of(value)
    terms = Terms({plan.has: None, shape.has: None}, set())
    bare = []
    for name, head, most, _ in shape.plain:
        text = value[name]
        if type(text) is not str or len(head) + len(text) > most // 4:
            break
        if " " in text:
            terms.spaced.add(head + text)
        else:
            bare.append(head + text)
    written = " ".join(bare)
    if len(bare) + len(terms.spaced) < len(shape.has.split()) or not written.isprintable():
        return _of_parts("person", value)
    if bare:
        terms.lines[written] = None
    full = value.get("fullName")
    if not full:
        return Share(terms, _NONE, {})
    return Share(terms, _NONE, {full: name_line(full)}, (), (suggestion("person", full),))


def _terms(record: Mapping[str, Any], plans: tuple[PartsPlan, ...], most: int | None) -> Terms:
    terms = Terms({}, set())
    values: set[str] = set()
    add_part_terms(record, plans, terms.lines, values, most)
    terms.add(values)
    return terms


_NONE = Terms({}, set())


def _people(relation: str, parts: list[Mapping[str, Any]]) -> list[str]:
    if relation == "person":
        return [name for part in parts for name in strings(part, "fullName")]
    if relation == "members":
        return [name for part in parts for name in _people("person", elements(part, "person"))]
    return []


def lines_of(relation: str, parts: list[Mapping[str, Any]]) -> list[str]:
    """The lines of text of a relation's parts."""
    found: list[str] = []
    for part in parts:
        if relation == "members":
            for name in ("person", "affiliation"):
                if name in part:
                    found += lines_of(name, elements(part, name))
        else:
            found += strings(part, *_TEXTS[relation])
    if relation == "techniques":
        for tag in sorted(technique_scoring.tags_of(parts)):
            found += technique_scoring.names(tag)
    return found


_TEXTS = {
    "person": ("fullName",),
    "affiliation": ("name",),
    "techniques": ("name",),
    "samples": ("name", "description"),
    "instrument": ("name",),
}


@cache
def _plans(class_name: str, prefix: str, relation: str) -> tuple[PartsPlan, ...]:
    plan = class_plan(class_name, prefix)
    return tuple(one for one in plan.relations if one.name == relation)
