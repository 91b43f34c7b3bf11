"""The physical plan: lookups and ranges that both engines do fast and alike.

``planning.py`` compiles the query tree into this small language; each engine translates it into
its own. ``Undecided`` and ``Linked`` are answered before an engine sees the plan (``search.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from catalogue.query import Node


@dataclass(frozen=True, slots=True)
class All:
    """Every record of the class."""


@dataclass(frozen=True, slots=True)
class Empty:
    """No record."""


@dataclass(frozen=True, slots=True)
class Terms:
    """At least one of the terms in a raw or text field."""

    field: str
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class TermRange:
    """A term of the raw field from ``low`` to ``high``, ends included; letters and digits only."""

    field: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """A term of the field that begins so."""

    field: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Like:
    """A term of the field that is ``head``, then anything if ``open_start``, then one of the
    letters in each of ``letters``, then anything if ``open_end``."""

    field: str
    head: str
    letters: tuple[str, ...]
    open_start: bool = True
    open_end: bool = True


@dataclass(frozen=True, slots=True)
class LikePhrase:
    """Terms like these next to each other, in order, in one line of the text field. Only for
    candidates: an engine may answer with the records that have each of them anywhere."""

    parts: tuple[Like, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """The terms next to each other, in order, in one line of the text field."""

    field: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumberRange:
    """A number field in the interval, ends included; ``None`` is open-ended."""

    field: str
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number field with one of the values."""

    field: str
    values: frozenset[int]


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    part: Plan


@dataclass(frozen=True, slots=True)
class Undecided:
    """A condition that terms cannot settle: the records that satisfy it are among ``among``, and
    must be looked at with the oracle's evaluator. ``bound``: look at no more than so many."""

    node: Node
    among: Plan
    bound: int | None = None


@dataclass(frozen=True, slots=True)
class Linked:
    """Some linked entity satisfies ``where``, to be answered on that entity's own index."""

    relation: str
    target: str
    where: Node


Plan: TypeAlias = (
    All
    | Empty
    | Terms
    | TermRange
    | Prefix
    | Like
    | LikePhrase
    | Phrase
    | NumberRange
    | Numbers
    | AllOf
    | AnyOf
    | NoneOf
    | Undecided
    | Linked
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One field's share in the score of a word."""

    field: str
    term: str
    boost: float = 1.0


@dataclass(frozen=True, slots=True)
class WordScore:
    """BM25 of the best field, with the tie breaker (semantics 8.1)."""

    word: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class LevelScore:
    """A constant score by the best level that holds: technique kin, met prefixes.

    ``levels`` are (score, plan), best first; the first that holds counts.
    """

    what: str
    levels: tuple[tuple[float, Plan], ...]


Score: TypeAlias = WordScore | LevelScore


def both(*plans: Plan) -> Plan:
    """Conjunction, simplified."""
    parts: list[Plan] = []
    for plan in plans:
        if isinstance(plan, Empty):
            return Empty()
        if isinstance(plan, AllOf):
            parts.extend(plan.parts)
        elif not isinstance(plan, All):
            parts.append(plan)
    if not parts:
        return All()
    return parts[0] if len(parts) == 1 else AllOf(tuple(dict.fromkeys(parts)))


def either(*plans: Plan) -> Plan:
    """Disjunction, simplified; lookups in one field become one lookup."""
    terms: dict[str, set[str]] = {}
    parts: list[Plan] = []
    for plan in plans:
        if isinstance(plan, All):
            return All()
        if isinstance(plan, Terms):
            terms.setdefault(plan.field, set()).update(plan.terms)
        elif isinstance(plan, AnyOf):
            parts.extend(plan.parts)
        elif not isinstance(plan, Empty):
            parts.append(plan)
    parts.extend(Terms(field, frozenset(found)) for field, found in terms.items() if found)
    if not parts:
        return Empty()
    return parts[0] if len(parts) == 1 else AnyOf(tuple(dict.fromkeys(parts)))


def negation(plan: Plan) -> Plan:
    """Everything but ``plan``."""
    if isinstance(plan, All):
        return Empty()
    if isinstance(plan, Empty):
        return All()
    return plan.part if isinstance(plan, NoneOf) else NoneOf(plan)


def rewrite(plan: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """The plan with ``change`` applied to every leaf."""
    if isinstance(plan, AllOf):
        parts: list[Plan] = []
        for part in plan.parts:
            changed = rewrite(part, change)
            if isinstance(changed, Empty):
                return changed
            parts.append(changed)
        return both(*parts)
    if isinstance(plan, AnyOf):
        return either(*(rewrite(part, change) for part in plan.parts))
    if isinstance(plan, NoneOf):
        return negation(rewrite(plan.part, change))
    return change(plan)


def leaves(plan: Plan) -> list[Plan]:
    """All leaves, ``Undecided.among`` included."""
    if isinstance(plan, AllOf | AnyOf):
        return [leaf for part in plan.parts for leaf in leaves(part)]
    if isinstance(plan, NoneOf):
        return leaves(plan.part)
    if isinstance(plan, Undecided):
        return [plan, *leaves(plan.among)]
    return [plan]


def upper(plan: Plan) -> Plan:
    """A plan without ``Undecided`` that holds wherever ``plan`` may hold."""
    return _bounded(plan, widest=True)


def _bounded(plan: Plan, *, widest: bool) -> Plan:
    if isinstance(plan, AllOf):
        return both(*(_bounded(part, widest=widest) for part in plan.parts))
    if isinstance(plan, AnyOf):
        return either(*(_bounded(part, widest=widest) for part in plan.parts))
    if isinstance(plan, NoneOf):
        return negation(_bounded(plan.part, widest=not widest))
    if isinstance(plan, Undecided):
        return _bounded(plan.among, widest=True) if widest else Empty()
    return plan
