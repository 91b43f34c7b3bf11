"""What a search answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from catalogue.records import StoredEntity


@dataclass(frozen=True, slots=True)
class Total:
    """How many match; ``gte`` says "at least" (semantics 9.1, 9.5)."""

    value: int
    relation: Literal["eq", "gte"] = "eq"


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value (``id`` for machines, ``label`` for people) and how many hits have it."""

    id: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of a score in words and numbers (semantics 8.4)."""

    text: float
    technique: float
    best_possible: float
    parts: Sequence[Mapping[str, Any]] = ()


class Hit(NamedTuple):
    """One entity found. ``score`` is 0 without a text, else strictly between 0 and 1.
    ``contained``: how many Datasets a Document has, and the first of them, where that was asked
    for and is told here."""

    entity: StoredEntity
    score: float
    highlights: Mapping[str, Sequence[tuple[int, int]]] = {}
    explanation: Explanation | None = None
    contained: tuple[int, Sequence[StoredEntity]] | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """Words of the sentence that were taken for a technique or a quantity."""

    text: str
    kind: Literal["technique", "quantity"]
    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of hits with everything that is known about the whole result."""

    hits: Sequence[Hit]
    total: Total
    facets: Mapping[str, Sequence[FacetCount]] = field(default_factory=dict)
    related: Sequence[FacetCount] = ()
    recognised: Sequence[Recognised] = ()
    cursor: str | None = None
    relaxed: bool = False
    unknown_access: int | None = None
    not_data: Mapping[str, int] = field(default_factory=dict)
    suggestion: str | None = None
