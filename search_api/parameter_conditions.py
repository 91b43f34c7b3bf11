"""Conditions on parameters: name, value and unit of one and the same row (semantics 5).

With a unit, values are compared in SI as intervals, whatever unit the facility sent; without one
(or with ``-``) the value is compared as sent. The result is a node about the thing that has the
parameters, and the unit that an answer shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from catalogue.query import Join, Node, Not, OneOf, ParameterRange
from mappings.parameter_names import announced_dimension, parameter_names
from mappings.quantities import interval_for_query
from search_api.conditions import (
    NEGATIONS,
    Leaf,
    Reading,
    all_of,
    any_of,
    expect_list,
    expect_object,
    plain_node,
    read_leaves,
)
from search_api.errors import BadRequest
from search_api.model import PARAMETER
from search_api.values import number_of

UNITS = {
    "length": ("nm", "pm", "angstrom", "um", "mm", "m"),
    "energy": ("eV", "keV", "meV", "J"),
    "temperature": ("K", "celsius", "fahrenheit"),
    "pressure": ("Pa", "kPa", "MPa", "GPa", "bar", "mbar"),
}
"""Units to name in messages, by dimension; many more are understood (``mappings.units``)."""
COMMON_UNITS = tuple(unit for units in UNITS.values() for unit in units)
BEAM = {"length", "energy"}
"""A beam is described by either (semantics 5.2)."""

CONDITIONS = ("name", "value", "unit", "and", "or")
NO_UNIT = frozenset({"", "-"})
NUMERIC = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "between", "inq", "nin"})

Conjunct = tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class AskedUnit:
    """Parameters of these names and this dimension are answered in ``unit``."""

    names: tuple[str, ...]
    dimension: str
    unit: str


@dataclass(frozen=True, slots=True)
class ParameterCondition:
    """``node``: about the Document or Dataset; holds for single rows, too."""

    node: Node
    asked: tuple[AskedUnit, ...]


@dataclass(frozen=True, slots=True)
class _Interval:
    low: float | None
    high: float | None
    open_low: bool
    open_high: bool

    def meet(self, other: _Interval) -> _Interval | None:
        """The intersection; ``None`` when it is empty."""
        low, open_low = max(
            (self.low, self.open_low),
            (other.low, other.open_low),
            key=lambda end: (float("-inf") if end[0] is None else end[0], end[1]),
        )
        high, open_high = min(
            (self.high, self.open_high),
            (other.high, other.open_high),
            key=lambda end: (float("inf") if end[0] is None else end[0], not end[1]),
        )
        if low is None or high is None:
            return _Interval(low, high, open_low, open_high)
        if low > high or (low == high and (open_low or open_high)):
            return None
        return _Interval(low, high, open_low, open_high)


def read_parameter_where(where: object, reading: Reading, path: str) -> ParameterCondition:
    """Compile the ``where`` of a relation ``parameters``.

    Raises:
        BadRequest: unknown field, operator or unit, impossible value, or a condition that opens
            into more alternatives than allowed.
    """
    asked: list[AskedUnit] = []
    nodes = [_conjunct_node(conjunct, asked) for conjunct in _alternatives(where, reading, path, 0)]
    return ParameterCondition(any_of(nodes), tuple(asked))


def _alternatives(where: object, reading: Reading, path: str, depth: int) -> list[Conjunct]:
    """``where`` as a list of alternatives, each a list of conditions on one row."""
    if depth > 12:
        raise BadRequest("Conditions are nested deeper than 12 levels.", field=path)
    result: list[Conjunct] = [()]
    for name, value in expect_object(where, path).items():
        place = f"{path}.{name}"
        if name == "or":
            choices = [
                alternative
                for number, part in enumerate(expect_list(value, place))
                for alternative in _alternatives(part, reading, f"{place}[{number}]", depth + 1)
            ]
            result = _product(result, choices, reading, place)
        elif name == "and":
            for number, part in enumerate(expect_list(value, place)):
                below = _alternatives(part, reading, f"{place}[{number}]", depth + 1)
                result = _product(result, below, reading, place)
        else:
            if name == "id":
                raise BadRequest(
                    "The id of a parameter is not looked for: it is its row's at the facility.",
                    field=place,
                    allowed=CONDITIONS,
                )
            leaves = tuple(read_leaves(PARAMETER, name, value, reading, place))
            result = _product(result, [leaves], reading, place)
    return result


def _product(
    left: Sequence[Conjunct], right: Sequence[Conjunct], reading: Reading, path: str
) -> list[Conjunct]:
    limit = reading.settings.max_alternatives
    if len(left) * len(right) > limit:
        raise BadRequest(f"The condition opens into more than {limit} alternatives.", field=path)
    return [first + second for first, second in itertools.product(left, right)]


def _conjunct_node(conjunct: Conjunct, asked: list[AskedUnit]) -> Node:
    names = [leaf for leaf in conjunct if leaf.field == "name"]
    values = [leaf for leaf in conjunct if leaf.field == "value"]
    units = [
        _without_empty_units(leaf)
        for leaf in conjunct
        if leaf.field == "unit" and not (leaf.op == "eq" and str(leaf.operands[0]) in NO_UNIT)
    ]
    if (
        len(names) == 1
        and len(units) == 1
        and values
        and names[0].op in ("eq", "inq")
        and units[0].op == "eq"
        and units[0].operands[0] is not None
        and all(leaf.op in NUMERIC for leaf in values)
    ):
        return _quantity_node(names[0], values, units[0], asked)
    return Join("parameters", all_of([_row_node(leaf) for leaf in (*names, *values, *units)]))


def _without_empty_units(leaf: Leaf) -> Leaf:
    """An empty unit among several, or denied, is that of a row without one: it is kept as none."""
    if leaf.op not in ("neq", "inq", "nin"):
        return leaf
    given = (None if str(value) in NO_UNIT else value for value in leaf.operands)
    return replace(leaf, operands=tuple(given))


def _row_node(leaf: Leaf) -> Node:
    """A condition on the row as sent; a name stands for every spelling of it (semantics 5.3)."""
    if leaf.field == "name" and NEGATIONS.get(leaf.op, leaf.op) in ("eq", "inq"):
        spellings = tuple(
            dict.fromkeys(
                spelling
                for value in leaf.operands
                if value is not None
                for spelling in (str(value), *parameter_names(str(value)))
            )
        )
        node: Node = OneOf("name", spellings)
        return Not(node) if leaf.op in NEGATIONS else node
    if leaf.field == "value" and leaf.op in ("gt", "gte", "lt", "lte", "between"):
        return plain_node(_numeric(leaf))
    return plain_node(leaf)


def _numeric(leaf: Leaf) -> Leaf:
    """Operands of an order as numbers where they all are numeric (portals send ``"10"``)."""
    numbers = tuple(number_of(value) for value in leaf.operands)
    if any(number is None for number in numbers):
        return leaf
    return Leaf(leaf.field, leaf.kind, leaf.op, numbers, leaf.path)


def _quantity_node(
    name_leaf: Leaf, values: Sequence[Leaf], unit_leaf: Leaf, asked: list[AskedUnit]
) -> Node:
    unit = str(unit_leaf.operands[0])
    nodes: list[Node] = []
    for name in name_leaf.operands:
        if name is None:
            continue
        found: list[_Interval] = [_Interval(None, None, False, False)]
        names: tuple[str, ...] = ()
        dimension = ""
        for leaf in values:
            names, dimension, choices = _intervals(str(name), leaf, unit, unit_leaf.path)
            found = [
                both
                for first, second in itertools.product(found, choices)
                if (both := first.meet(second)) is not None
            ]
        asked.append(AskedUnit(names, dimension, unit))
        nodes += [
            ParameterRange(names, dimension, i.low, i.high, i.open_low, i.open_high) for i in found
        ]
    return Join("parameters", any_of(nodes)) if nodes else any_of(nodes)


def _intervals(
    name: str, leaf: Leaf, unit: str, unit_path: str
) -> tuple[tuple[str, ...], str, list[_Interval]]:
    """The SI intervals that one value condition allows, in any order."""
    numbers = [number_of(value) for value in leaf.operands]
    if any(number is None for number in numbers):
        raise BadRequest(f"A value with the unit {unit[:50]!r} must be a number.", field=leaf.path)
    if leaf.op in ("eq", "inq"):
        steps: list[tuple[str, object]] = [("eq", number) for number in numbers]
    elif leaf.op in ("neq", "nin"):
        return _outside(name, numbers, unit, unit_path)
    elif leaf.op == "between":
        steps = [("between", numbers)]
    else:
        steps = [(leaf.op, numbers[0])]
    answers = [_ask(name, op, operand, unit, unit_path) for op, operand in steps]
    if not answers:
        names, dimension, _ = _ask(name, "eq", 0, unit, unit_path)
        return names, dimension, []
    return answers[0][0], answers[0][1], [interval for _, _, interval in answers]


def _outside(
    name: str, numbers: Sequence[float | None], unit: str, unit_path: str
) -> tuple[tuple[str, ...], str, list[_Interval]]:
    """Everything but these numbers: the gaps between them."""
    found = [_Interval(None, None, False, False)]
    names, dimension, _ = _ask(name, "eq", 0, unit, unit_path)
    for number in numbers:
        sides = [_ask(name, op, number, unit, unit_path)[2] for op in ("lt", "gt")]
        found = [
            both
            for first, second in itertools.product(found, sides)
            if (both := first.meet(second)) is not None
        ]
    return names, dimension, found


def _ask(
    name: str, op: str, operand: object, unit: str, unit_path: str
) -> tuple[tuple[str, ...], str, _Interval]:
    found = interval_for_query(name, op, operand, unit)
    if found is None:
        if interval_for_query(name, "eq", 1, unit) is not None:
            raise BadRequest(
                f"A value in {unit[:50]} is beyond what can be compared.", field=unit_path
            )
        dimension = announced_dimension(name)
        kind = f" for {dimension}" if dimension else ""
        raise BadRequest(
            f"{unit[:50]!r} is not a unit we know{kind}.",
            field=unit_path,
            allowed=UNITS.get(dimension or "", COMMON_UNITS),
            given=unit,
        )
    wanted = announced_dimension(name)
    if wanted is not None and {wanted, found.dimension} not in ({wanted}, BEAM):
        raise BadRequest(
            f"{name[:50]!r} is a {wanted}, {unit[:50]!r} is a unit of {found.dimension}.",
            field=unit_path,
            allowed=UNITS.get(wanted, ()),
        )
    interval = _Interval(found.low, found.high, found.open_low, found.open_high)
    return found.names, found.dimension, interval
