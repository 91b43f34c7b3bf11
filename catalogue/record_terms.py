"""The exact terms of a record: what equality, existence and substrings of its fields look up.

One walk over the record's own items gives them all. What the walk has to know of a class under a
prefix is prepared once (``ClassPlan``): an indexer passes here for every field of every record.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

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

MAX_PLAIN_TERM_BYTES = 200
MAX_PROSE_TERM_BYTES = 32
"""Longer terms are a digest: equality stays exact, no record is refused for a long term (fault
F08), and the dictionary stays small. Prose is looked through by its words (semantics 6.2)."""

PROSE = frozenset({"title", "summary", "description"})

_TERM_KINDS = frozenset({"text", "identifier", "any", "boolean"})


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field of a class under a prefix: ``has:samples.name`` and ``samples.name=``.

    ``texts``: a string becomes a term, and as it stands if ``plain``. ``termed``: values become
    terms at all. ``most_bytes``: of a term that is no digest. A record's own key is a field of
    the engines by itself.
    """

    full_name: str
    has: str
    head: str
    kind: Kind
    texts: bool
    plain: bool
    termed: bool
    most_bytes: int


@dataclass(frozen=True, slots=True)
class PartsPlan:
    """A relation of a class to parts of the same record, under a prefix."""

    name: str
    has: str
    many: str
    parts: ClassPlan


class Terms(NamedTuple):
    """Exact terms as the embedded engine takes them: those without white space in ``lines``, some
    of which many records have in common, and the others. A term may be there twice."""

    lines: dict[str, None]
    spaced: set[str]

    def all(self) -> set[str]:
        """Each once."""
        return self.spaced.union(*map(str.split, self.lines))

    def add(self, terms: AbstractSet[str]) -> None:
        """Add the terms as a line of their own."""
        line, spaced = apart(terms)
        if line:
            self.lines[line] = None
        self.spaced.update(spaced)


def apart(terms: AbstractSet[str]) -> tuple[str, list[str]]:
    """The terms without white space in one string, and the others."""
    spaced = [term for term in terms if " " in term]
    line = " ".join(terms - frozenset(spaced) if spaced else terms)
    if not line.isprintable():  # perhaps other white space than blanks, seldom
        spaced = [term for term in terms if has_space(term)]
        line = " ".join([term for term in terms if not has_space(term)])
    return line, spaced


def has_space(term: str) -> bool:
    """Whether a term has white space in it."""
    return term.split() != [term]


class Shape(NamedTuple):
    """What records with the same fields have in common: the terms that tell which they have, the
    fields whose values become terms, and those with instants and numbers. ``plain`` are name, head
    and most bytes of the fields whose strings become terms as they stand; ``numbers`` name, the
    engine's name and kind. What stands in ``again``, and in ``pid_and_doi`` where
    an entity has both, is in neither ``plain`` nor ``others``."""

    names: frozenset[str]
    has: str
    plain: tuple[tuple[str, str, int, FieldPlan], ...]
    others: tuple[tuple[str, FieldPlan], ...]
    numbers: tuple[tuple[str, str, Kind], ...]
    again: Again | None = None
    pid_and_doi: tuple[tuple[str, FieldPlan], ...] = ()


class Again(NamedTuple):
    """Those of a record's fields whose values come again and again, together (``AGAIN``).

    ``pick`` gives their values; ``number`` is that of these fields of this class, for whoever
    remembers what was made of values.
    """

    pick: Callable[[Mapping[str, Any]], Any]
    plain: tuple[tuple[str, str, int, FieldPlan], ...]
    others: tuple[tuple[str, FieldPlan], ...]
    number: int


_numbers = count()

AGAIN = frozenset(
    {
        "type", "kind", "license", "instrumentNames", "facility", "facilities", "provider",
        "derived", "dataLevel", "formats", "instrumentKey",
    }
)  # fmt: skip
"""Fields of entities in which a source has few different values."""


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """The fields and parts of a class under a prefix; without one, the class is that of
    ``of_entities``. ``shapes`` by a record's names in their order: those of a source are nearly
    always the same few."""

    fields: Mapping[str, FieldPlan]
    relations: tuple[PartsPlan, ...]
    of_entities: bool
    shapes: dict[tuple[str, ...], Shape] = field(default_factory=dict, compare=False)

    def shape_of(self, record: Mapping[str, Any]) -> Shape:
        """That of the record's fields which have a value."""
        names = tuple(record)
        if None in record.values():
            names = tuple([name for name in names if record[name] is not None])
        shape = self.shapes.get(names)
        if shape is None:
            if len(self.shapes) >= MAX_SHAPES:
                self.shapes.clear()
            shape = self.shapes[names] = self._new_shape(names)
        return shape

    def _new_shape(self, names: Sequence[str]) -> Shape:
        known = [(name, self.fields[name]) for name in names if name in self.fields]
        termed = [(name, one) for name, one in known if one.termed]
        names_again = [name for name in names if name in AGAIN] if self.of_entities else []
        again = [pair for pair in termed if pair[0] in names_again]
        both = self.of_entities and {"pid", "doi"} <= set(names)
        identifiers = [pair for pair in termed if both and pair[0] in ("pid", "doi")]
        termed = [pair for pair in termed if pair not in again and pair not in identifiers]
        return Shape(
            frozenset(names),
            " ".join([one.has for _, one in known]),
            _plain(termed),
            _not_plain(termed),
            tuple(
                (name, number_name(one.full_name), one.kind)
                for name, one in known
                if one.kind in ("instant", "number")
            ),
            Again(itemgetter(*names_again), _plain(again), _not_plain(again), next(_numbers))
            if names_again
            else None,
            tuple(identifiers),
        )


def _plain(
    fields: Iterable[tuple[str, FieldPlan]],
) -> tuple[tuple[str, str, int, FieldPlan], ...]:
    return tuple((name, one.head, one.most_bytes, one) for name, one in fields if one.plain)


def _not_plain(fields: Iterable[tuple[str, FieldPlan]]) -> tuple[tuple[str, FieldPlan], ...]:
    return tuple((name, one) for name, one in fields if not one.plain)


MAX_SHAPES = 4_096


def number_name(name: str) -> str:
    """The engine's number field for a field of the class."""
    return f"n_{name}"


@cache
def class_plan(class_name: str, prefix: str = "") -> ClassPlan:
    """What there is to know of a class whose terms begin with ``prefix``; a dozen in all."""
    fields = {
        name: FieldPlan(
            full_name=prefix + name,
            has=f"has:{prefix}{name}",
            head=f"{prefix}{name}=",
            kind=kind,
            texts=kind in ("text", "identifier") and prefix + name != "key",
            plain=kind == "text",
            termed=prefix + name != "key"
            and (kind in _TERM_KINDS or (bool(prefix) and kind == "number")),
            most_bytes=most_bytes(name),
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
    return ClassPlan(fields, relations, not prefix)


def add_value_terms(record: Mapping[str, Any], shape: Shape | Again, terms: set[str]) -> None:
    """Add those of the values of the record's own fields alone."""
    for name, head, most, one in shape.plain:
        value = record[name]
        if type(value) is str:
            whole = head + value
            if len(whole) * 4 > most and (len(whole) > most or not whole.isascii()):
                whole = _shortened(whole, one.full_name, most)
            terms.add(whole)
        else:
            _add_values(value, one, terms)
    for name, one in shape.others:
        value = record[name]
        if one.texts and type(value) is str:
            _add_identifier(value, one, terms)
        else:
            _add_values(value, one, terms)


def add_part_terms(
    record: Mapping[str, Any],
    relations: Iterable[PartsPlan],
    lines: dict[str, None],
    values: set[str],
    most: int | None = MAX_PARTS,
) -> None:
    """Add the terms of the parts under some relations: to ``lines`` which fields there are
    (``has:samples.name``), to ``values`` the others. Of more than ``most`` parts there are none but
    ``many:``."""
    for relation in relations:
        if relation.name not in record:
            continue
        parts = elements(record, relation.name)
        if not parts:
            continue
        lines[relation.has] = None
        if most is not None and len(parts) > most:
            lines[relation.many] = None
            continue
        plan = relation.parts
        for part in parts:
            shape = plan.shape_of(part)
            lines[shape.has] = None
            add_value_terms(part, shape, values)
            if plan.relations:
                add_part_terms(part, plan.relations, lines, values, most)


def _add_identifier(value: str, field: FieldPlan, terms: set[str]) -> None:
    canonical = canonical_identifier(value)
    whole = field.head + canonical
    if len(whole) * 4 > field.most_bytes:
        whole = _shortened(whole, field.full_name, field.most_bytes)
    terms.add(whole)
    if canonical != value:
        sent = sent_as(field.full_name)
        terms.add(_shortened(f"{sent}={value}", sent, field.most_bytes))


def _add_values(value: object, field: FieldPlan, terms: set[str]) -> None:
    """The rarer values: lists, numbers, what can be a number or a text."""
    for one in value if isinstance(value, (list, tuple)) else (value,):
        if field.plain and type(one) is str:
            whole = field.head + one
            if len(whole) * 4 > field.most_bytes:
                whole = _shortened(whole, field.full_name, field.most_bytes)
            terms.add(whole)
            continue
        if field.kind == "identifier" and isinstance(one, str):
            _add_identifier(one, field, terms)
            continue
        comparable = stored_value(field.kind, one)
        if comparable is None:
            continue
        terms.add(equality_term(field.full_name, comparable, field.kind))
        if field.kind == "any" and isinstance(one, str) and comparable != one:
            terms.add(term(sent_as(field.full_name), one))


SURELY_NO_DIGEST = MAX_PLAIN_TERM_BYTES // 4 - len("doi~=")
"""Letters of an identifier whose terms are surely short enough to be no digests."""

PID_AND_DOI = "id"
"""The name of the term of a record whose pid is its DOI: one in place of two that no other record
has."""


def add_pid_and_doi(record: Mapping[str, Any], shape: Shape, terms: set[str]) -> None:
    """Add the terms of both: one in place of two where they are equal, and no digests."""
    doi = record["doi"]
    if type(doi) is str and record["pid"] == doi:
        canonical = canonical_identifier(doi)
        if max(len(canonical), len(doi)) <= SURELY_NO_DIGEST:
            terms.add(f"{PID_AND_DOI}={canonical}")
            if canonical != doi:
                terms.add(f"{PID_AND_DOI}~={doi}")
            return
    for name, one in shape.pid_and_doi:
        if type(record[name]) is str:
            _add_identifier(record[name], one, terms)
        else:
            _add_values(record[name], one, terms)
    _merge_pid_and_doi(record, terms)


def _merge_pid_and_doi(record: Mapping[str, Any], terms: set[str]) -> None:
    """Put one term in place of those of an equal pid and DOI."""
    doi = record["doi"]
    if type(doi) is not str or record["pid"] != doi:
        return
    canonical = canonical_identifier(doi)
    for rest in (f"={canonical}", f"~={doi}") if canonical != doi else (f"={canonical}",):
        if (one := f"doi{rest}") in terms:  # else it is a digest
            terms.discard(one)
            terms.discard(f"pid{rest}")
            terms.add(PID_AND_DOI + rest)


def names_of(name: str) -> tuple[str, ...]:
    """The names under which the terms of a field are."""
    return (name, PID_AND_DOI) if name in ("pid", "doi") else (name,)


def most_bytes(name: str) -> int:
    """How long the plain terms of a field may be."""
    return MAX_PROSE_TERM_BYTES if name.rpartition(".")[2] in PROSE else MAX_PLAIN_TERM_BYTES


def sent_as(name: str) -> str:
    """Under which name an identifier or a number is kept that was sent in another writing than the
    one by which it compares: a substring condition looks at what was sent."""
    return f"{name}~"


def equality_term(name: str, value: Value, kind: Kind) -> str:
    """The term that a record with this value has."""
    # A parameter's text "5 mm" and number 5 must not meet: numbers are marked.
    return term(f"{name}#" if kind == "any" and not isinstance(value, str) else name, value)


def term(name: str, value: Value) -> str:
    """The raw term of a field's value; of a long one, a digest."""
    if isinstance(value, str):
        text = value
    elif type(value) is int:
        text = str(value)
    else:
        text = str(int(value)) if value == int_or_none(value) else repr(float(value))
    return _shortened(f"{name}={text}", name, most_bytes(name))


def digest_head(name: str) -> str:
    """How the terms of a field begin that are digests."""
    return f"{name}=#"


def _shortened(whole: str, name: str, most: int) -> str:
    if len(whole) * 4 <= most or (len(whole) <= most and whole.isascii()):
        return whole
    encoded = whole.encode(errors="replace")
    if len(encoded) <= most:
        return whole
    # 72 bits: among ten million records, one question in ten million million would meet another.
    digest = b2a_base64(blake2b(encoded, digest_size=9).digest(), newline=False)
    return digest_head(name) + digest.decode()


def int_or_none(value: float) -> int | None:
    """The integer that a number is, if it is one."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return None
    return whole if whole == value else None
