"""The exact terms of a record, and the strings of it that a substring condition may name.

One walk over the record's own items gives both. What the walk has to know of a class under a
prefix is prepared once (``ClassPlan``): an indexer passes here for every field of every record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

from catalogue.fields import (
    FIELDS,
    RELATIONS,
    Kind,
    Value,
    canonical_identifier,
    elements,
    stored_value,
)

MAX_PARTS = 2_000
"""Parts of one kind (files, members …) whose terms are indexed; beyond it the record is marked
``many:files`` and looked at when asked (semantics 9.4, fault F06)."""

MAX_PLAIN_TERM_BYTES = 72

_PATTERN_KINDS = frozenset({"text", "identifier", "any"})
_TERM_KINDS = frozenset({"text", "identifier", "any", "boolean"})


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field of a class under a prefix: ``has:samples.name`` and ``samples.name=``.

    ``texts``: a string becomes a term, and as it stands if ``plain``. ``termed``: values become
    terms at all. ``patterned``: substring conditions may name the field.
    """

    full_name: str
    has: str
    head: str
    kind: Kind
    texts: bool
    plain: bool
    termed: bool
    patterned: bool


@dataclass(frozen=True, slots=True)
class PartsPlan:
    """A relation of a class to parts of the same record, under a prefix."""

    name: str
    has: str
    many: str
    parts: ClassPlan


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """The fields and parts of a class under a prefix."""

    fields: Mapping[str, FieldPlan]
    relations: tuple[PartsPlan, ...]


@cache
def class_plan(class_name: str, prefix: str = "") -> ClassPlan:
    """What there is to know of a class whose terms begin with ``prefix``; a dozen in all."""
    fields = {
        name: FieldPlan(
            full_name=prefix + name,
            has=f"has:{prefix}{name}",
            head=f"{prefix}{name}=",
            kind=kind,
            texts=kind in ("text", "identifier"),
            plain=kind == "text",
            termed=kind in _TERM_KINDS or (bool(prefix) and kind == "number"),
            patterned=kind in _PATTERN_KINDS,
        )
        for name, kind in FIELDS[class_name].items()
    }
    relations = tuple(
        PartsPlan(
            name=name,
            has=f"has:{prefix}{name}",
            many=f"many:{prefix}{name}",
            parts=class_plan(relation.target, f"{prefix}{name}."),
        )
        for name, relation in RELATIONS.get(class_name, {}).items()
        if not relation.linked
    )
    return ClassPlan(fields, relations)


def add_terms(
    record: Mapping[str, Any],
    plan: ClassPlan,
    terms: set[str],
    strings: list[str],
    most: int | None = MAX_PARTS,
) -> None:
    """Add the terms of a record's fields and parts (``title=…``, ``has:title``,
    ``samples.name=…``) to ``terms``, and every string that a substring condition may name to
    ``strings``. Of more than ``most`` parts there are no terms but ``many:``.
    """
    fields = plan.fields
    for name, value in record.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        terms.add(field.has)
        if field.texts and type(value) is str:
            whole = field.head + (value if field.plain else canonical_identifier(value))
            short = len(whole) <= MAX_PLAIN_TERM_BYTES and whole.isascii()
            terms.add(whole if short else _shortened(whole, field.full_name))
            strings.append(value)
        elif field.termed:
            _add_values(value, field, terms, strings)
    if plan.relations:
        add_parts(record, plan.relations, terms, strings, most)


def add_parts(
    record: Mapping[str, Any],
    relations: Iterable[PartsPlan],
    terms: set[str],
    strings: list[str],
    most: int | None = MAX_PARTS,
) -> None:
    """As ``add_terms``, of the parts under some relations alone."""
    for relation in relations:
        if relation.name not in record:
            continue
        parts = elements(record, relation.name)
        if not parts:
            continue
        terms.add(relation.has)
        if most is not None and len(parts) > most:
            terms.add(relation.many)
            _add_strings(parts, relation.parts, strings)
            continue
        for part in parts:
            add_terms(part, relation.parts, terms, strings, most)


def _add_values(value: object, field: FieldPlan, terms: set[str], strings: list[str]) -> None:
    """The rarer values: lists, numbers, what can be a number or a text."""
    for one in value if isinstance(value, (list, tuple)) else (value,):
        comparable = stored_value(field.kind, one)
        if comparable is not None:
            terms.add(equality_term(field.full_name, comparable, field.kind))
        if field.patterned and isinstance(one, str):
            strings.append(one)


def _add_strings(parts: list[Mapping[str, Any]], plan: ClassPlan, strings: list[str]) -> None:
    """The strings, without the terms, of the first of far too many parts."""
    unwanted: set[str] = set()
    for part in parts[:MAX_PARTS]:
        add_terms(part, plan, unwanted, strings)
        unwanted.clear()


def equality_term(name: str, value: Value, kind: Kind) -> str:
    """The term that a record with this value has."""
    # A parameter's text "5 mm" and number 5 must not meet: numbers are marked.
    return term(f"{name}#" if kind == "any" and not isinstance(value, str) else name, value)


def term(name: str, value: Value) -> str:
    """The raw term of a field's value. Long values become a digest of 128 bits: equality stays
    exact, no record is refused for a long term (fault F08), and the dictionary stays small."""
    if isinstance(value, str):
        text = value
    elif type(value) is int:
        text = str(value)
    else:
        text = str(int(value)) if value == int_or_none(value) else repr(float(value))
    return _shortened(f"{name}={text}", name)


def _shortened(whole: str, name: str) -> str:
    if len(whole) * 4 <= MAX_PLAIN_TERM_BYTES:
        return whole
    encoded = whole.encode(errors="replace")
    if len(encoded) <= MAX_PLAIN_TERM_BYTES:
        return whole
    return f"{name}=#{blake2b(encoded, digest_size=16).hexdigest()}"


def int_or_none(value: float) -> int | None:
    """The integer that a number is, if it is one."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return None
    return whole if whole == value else None
