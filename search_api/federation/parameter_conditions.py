"""Ranges of parameters as conditions on a facility's rows, in its own units (semantics 5).

What is sent lets through every row that may satisfy the range: names and units are those that the
sample of its records has; where a value is no plain number of a known unit, or is one end of an
interval, or an energy stands for a wavelength, the name alone is asked for. The rest is the
oracle's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalogue.query import Join, Node, Or, ParameterRange
from mappings.parameter_names import BEAM_NAMES, canonical_name, limit_of
from mappings.quantities import from_si
from search_api.federation.profiles import ClassProfile

Where = Mapping[str, Any]

OPERATORS = frozenset({"and", "or", "inq", "gte", "lte"})
MARGIN = 1e-6
"""Of a value, each way: conversions are rounded, and equality has a tolerance."""


def ranges_of(node: Node) -> tuple[ParameterRange, ...]:
    """The ranges of which one has to hold; none where the node says something else."""
    if isinstance(node, ParameterRange):
        return (node,)
    if isinstance(node, Join) and node.relation == "parameters":
        return ranges_of(node.where)
    if isinstance(node, Or) and node.clauses:
        found = [ranges_of(clause) for clause in node.clauses]
        return tuple(one for part in found for one in part) if all(found) else ()
    return ()


def rows_where(ranges: Sequence[ParameterRange], profile: ClassProfile) -> Where | None:
    """The condition on rows that may satisfy one of the ranges; ``None``: nothing can be said.

    Args:
        profile: of the class that has the rows.
    """
    if not ranges or not profile.parameter_ranges or not profile.parameters:
        return None
    if not profile.operators >= OPERATORS:
        return None
    choices: list[Where] = []
    plain: list[str] = []
    for wanted in ranges:
        for name, seen in profile.parameters.items():
            if not _may_be(name, wanted.names):
                continue
            found = _by_value(name, seen, wanted)
            if found is None:
                plain.append(name)
            choices += found or ()
        # Spellings that the sample does not have, but others of its records may.
        plain += [name for name in wanted.names if name not in profile.parameters]
    choices.append({"name": {"inq": list(dict.fromkeys(plain))}})
    return {"or": choices}


def _may_be(name: str, wanted: Iterable[str]) -> bool:
    """Whether a row of this name may satisfy a condition on these, by its name, what it is an end
    of, or since energies and wavelengths of a beam are each other's measure."""
    names = set(wanted)
    limit = limit_of(name)
    bases = {name, canonical_name(name)}
    if limit is not None:
        bases |= {limit.base, canonical_name(limit.base)}
    return bool(names & bases) or bool(BEAM_NAMES & bases and BEAM_NAMES & names)


def _by_value(name: str, seen: Any, wanted: ParameterRange) -> list[Where] | None:
    """Conditions on the value, one for each unit; ``None`` where only the name can be asked for."""
    units = seen.get("units") if isinstance(seen, Mapping) else None
    if not units or not seen.get("numbers") or limit_of(name) is not None:
        return None
    found: list[Where] = []
    for unit in units:
        ends = [
            None if end is None else from_si(end, wanted.dimension, str(unit or ""))
            for end in (wanted.low, wanted.high)
        ]
        if (wanted.low is not None and ends[0] is None) or (
            wanted.high is not None and ends[1] is None
        ):
            return None
        conditions: list[Where] = [{"name": name}]
        if len(units) > 1:
            conditions.append({"unit": unit})
        low, high = ends
        margin = MARGIN * max(abs(low or 0.0), abs(high or 0.0), 1e-300)
        if low is not None:
            conditions.append({"value": {"gte": low - margin}})
        if high is not None:
            conditions.append({"value": {"lte": high + margin}})
        found.append({"and": conditions})
    return found


__all__ = ["ranges_of", "rows_where"]
