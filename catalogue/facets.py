"""Facets: which field is counted, and which filters are a facet's own (issue: counts that exclude
their own filter)."""

from __future__ import annotations

from catalogue.query import (
    AccessIs,
    AtFacility,
    Compare,
    InYears,
    Join,
    Node,
    Not,
    OneOf,
    OpenAt,
    Or,
    TechniqueIn,
)

FIELD_OF_FACET = {
    "facility": "f_facility",
    "technique": "panet",
    "instrument": "f_instrument",
    "year": "f_year",
    "kind": "f_kind",
    "sample": "f_sample",
}
"""Engine field of each facet; ``access`` depends on the instant and is counted state by state."""

_BY_FIELD = {"kind": "kind", "facility": "facility", "instrumentNames": "instrument"}
_BY_RELATION = {"instrument": "instrument", "samples": "sample", "techniques": "technique"}


def facet_of(node: Node) -> str | None:
    """The facet that a condition chooses values of; ``None`` for other conditions."""
    match node:
        case AtFacility():
            return "facility"
        case TechniqueIn():
            return "technique"
        case InYears():
            return "year"
        case OpenAt() | AccessIs():
            return "access"
        case Compare(field) | OneOf(field):
            return _BY_FIELD.get(field)
        case Not(clause):
            return "kind" if facet_of(clause) == "kind" else None
        case Or(clauses):
            facets = {facet_of(clause) for clause in clauses}
            return facets.pop() if len(facets) == 1 else None
        case Join("datasets", where):
            return facet_of(where)
        case Join(relation):
            return _BY_RELATION.get(relation)
    return None
