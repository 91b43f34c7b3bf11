"""The query tree: what is asked, before any engine sees it (frozen, parsed once).

LoopBack filters, ``/api/search`` parameters and the command line all become a ``Search``; the
engines compile it, the oracle evaluates it. Fields are PaNOSC names of the class they stand in
(``title``, ``releaseDate``); through a ``Join`` they are those of the relation's class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from catalogue.errors import QueryTooCostly
from catalogue.records import EntityClass

Scalar: TypeAlias = str | int | float | bool | None
Comparison = Literal["eq", "neq", "gt", "gte", "lt", "lte", "between"]

MAX_DEPTH = 12
MAX_CLAUSES = 1_024


@dataclass(frozen=True, slots=True)
class Everything:
    """Holds for every entity."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Holds for no entity."""


@dataclass(frozen=True, slots=True)
class And:
    """All clauses hold; with none, everything."""

    clauses: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one clause holds; with none, nothing."""

    clauses: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The clause does not hold."""

    clause: Node


@dataclass(frozen=True, slots=True)
class Compare:
    """A field compared with one value. Dates compare as instants, numbers as numbers, text by code
    point, list fields (keywords) by any element. ``neq`` is the exact negation of ``eq``: it holds
    where the field is absent, too. The other comparisons never hold for an absent field.
    ``between`` is for text alone: one element from ``value`` to ``high``."""

    field: str
    op: Comparison
    value: Scalar
    high: Scalar = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field equals one of the values (``inq``)."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is present and not null."""

    field: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A substring, or a regular expression (RE2), of the original string of any of the fields
    (semantics 6.2)."""

    fields: tuple[str, ...]
    pattern: str
    kind: Literal["substring", "regexp"] = "substring"
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class ParameterRange:
    """Some parameter with one of the ``names`` has an SI value of ``dimension`` in the interval
    (semantics 5). ``None`` is open-ended. Intervals match by overlap; ends are included unless
    ``open_low`` / ``open_high``. Energies and wavelengths stand for each other as §5.2."""

    names: tuple[str, ...]
    dimension: str
    low: float | None
    high: float | None
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True, slots=True)
class TechniqueIn:
    """Tagged with one of these PaNET ids (``PaNET01188``) or a term below (semantics 4.1)."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenAt:
    """Open at the instant (semantics 2.1)."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class AccessIs:
    """In one of the five states of semantics 2.1 at the instant (``open``, ``embargoed``,
    ``restricted``, ``metadata_only``, ``unknown``)."""

    states: tuple[str, ...]
    instant: datetime


@dataclass(frozen=True, slots=True)
class InYears:
    """The experiment overlaps the calendar years, ends included (semantics 3.1)."""

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class AtFacility:
    """Held by one of these facilities (short names, compared without case)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HasWords:
    """Text as a filter (never scores): every word in one of the text fields."""

    text: str


@dataclass(frozen=True, slots=True)
class Join:
    """Some related thing satisfies ``where``; ``Everything`` asks only that there is one.

    Relations: Document → ``datasets``, ``members``, ``parameters``; Dataset → ``documents``,
    ``techniques``, ``instrument``, ``samples``, ``parameters``, ``files``; Instrument →
    ``datasets``; Member → ``person``, ``affiliation``. All conditions hold for one and the same
    thing (semantics 9.4).
    """

    relation: str
    where: Node


Node: TypeAlias = (
    Everything
    | Nothing
    | And
    | Or
    | Not
    | Compare
    | OneOf
    | Exists
    | Pattern
    | ParameterRange
    | TechniqueIn
    | OpenAt
    | AccessIs
    | InYears
    | AtFacility
    | HasWords
    | Join
)


@dataclass(frozen=True, slots=True)
class Text:
    """A scoring text query (semantics 7, 8), in the catalogue's small language.

    ``words`` as typed: bare words, ``"phrases"``, ``-excluded``, ``+required``, ``prefix*``.
    ``recognise``: find techniques and quantities in the sentence (linker of ``mappings``).
    ``techniques``: further PaNET ids whose kin rise in the order; they never decide membership.
    ``literal``: what is not to be recognised after all, by its words (without case) or its id.
    """

    words: str
    match: Literal["all", "any"] = "all"
    recognise: bool = True
    techniques: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    """By a field of the class; undated or absent values last (semantics 3.1)."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts of values; ``exclude_own_filter`` leaves out the top-level filter on that field."""

    field: Literal["facility", "technique", "instrument", "year", "access", "kind", "sample"]
    size: int = 20
    exclude_own_filter: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """One question. ``limit`` may be 0 (count and facets only). ``now`` decides what is open.

    ``plain``: only hits and total are wanted, no cursor, highlights or suggestion: a portal's list,
    which pages by ``skip``, need not pay for a snapshot of the whole ranking. ``bare``: Documents
    are wanted as they state themselves, without the keys of their Datasets, provider and
    provenance. ``contained``: with at most so many of their Datasets. ``without``: ordinals of
    entities that are left out of everything, because the asker has them from elsewhere.
    """

    entity_class: EntityClass
    now: datetime
    where: Node = Everything()
    text: Text | None = None
    sort: tuple[Sort, ...] = ()
    skip: int = 0
    limit: int = 10
    facets: tuple[Facet, ...] = ()
    cursor: str | None = None
    count: bool = True
    explain: bool = False
    related: bool = False
    plain: bool = False
    bare: bool = False
    contained: int = 0
    without: frozenset[int] = frozenset()


NOT_DATA = ("publication", "poster", "software")
"""Kinds that stay out of default results, with their number shown (semantics 1.7)."""


_DATA_ONLY = Not(OneOf("kind", NOT_DATA))


def data_only() -> Node:
    """The condition that keeps publications, posters and software out of default results.

    Put it into the top-level ``And`` of ``Search.where``: the answer's ``not_data`` then tells how
    many of each kind were left out.
    """
    return _DATA_ONLY


def all_of(*clauses: Node) -> Node:
    """The conjunction of the clauses, nested ``And``s laid flat."""
    flat: list[Node] = []
    for clause in clauses:
        if isinstance(clause, And):
            flat.extend(clause.clauses)
        elif not isinstance(clause, Everything):
            flat.append(clause)
    if not flat:
        return Everything()
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def conditions(node: Node) -> tuple[Node, ...]:
    """The top-level conditions of a filter: what ``all_of`` would put together again."""
    if isinstance(node, And):
        return tuple(part for clause in node.clauses for part in conditions(clause))
    return () if isinstance(node, Everything) else (node,)


def check_bounds(node: Node) -> None:
    """Refuse a tree that is deeper or wider than anybody needs.

    Raises:
        QueryTooCostly: more than ``MAX_DEPTH`` levels or ``MAX_CLAUSES`` clauses and values.
    """
    clauses = 0
    for current, depth in parts_of(node):
        clauses += len(current.values) if isinstance(current, OneOf) else 1
        if depth > MAX_DEPTH:
            raise QueryTooCostly(f"The filter is nested deeper than {MAX_DEPTH} levels.")
        if clauses > MAX_CLAUSES:
            raise QueryTooCostly(f"The filter has more than {MAX_CLAUSES:,} conditions.")


def count_conditions(node: Node) -> int:
    """How many conditions one look at a record may take; a list of values is one."""
    return sum(not isinstance(part, And | Or | Not) for part, _ in parts_of(node))


def parts_of(node: Node) -> Iterator[tuple[Node, int]]:
    """All parts of a filter, those of its joins too, each with its level."""
    pending: list[tuple[Node, int]] = [(node, 1)]
    while pending:
        current, depth = pending.pop()
        yield current, depth
        if isinstance(current, And | Or):
            pending.extend((clause, depth + 1) for clause in current.clauses)
        elif isinstance(current, Not):
            pending.append((current.clause, depth + 1))
        elif isinstance(current, Join):
            pending.append((current.where, depth + 1))
