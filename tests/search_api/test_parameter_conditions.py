"""Conditions on parameters: name, value and unit of one row, in SI where there is a unit (§5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalogue.query import And, Compare, Join, Node, OneOf, ParameterRange
from mappings.quantities import parameter_names, to_quantity
from search_api.conditions import Reading
from search_api.errors import BadRequest
from search_api.parameter_conditions import read_parameter_where
from search_api.rows import holds

Make = Callable[[], Reading]


def row(name: str, value: Any, unit: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": name, "value": value}
    if unit is not None:
        shown["unit"] = unit
        quantity = to_quantity(name, value, unit)
        if quantity is not None:
            shown["quantity"] = quantity.as_json()
    return shown


def condition(name: str, op: str, value: Any, unit: str | None = None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": name}, {"value": {op: value}}]
    return {"and": parts if unit is None else [*parts, {"unit": unit}]}


def node_of(where: dict[str, Any], reading: Make) -> Node:
    return read_parameter_where(where, reading(), "where").node


@pytest.mark.parametrize(
    ("name", "op", "value", "unit", "held", "expected"),
    [
        ("wavelength", "between", [1000, 1100], "nm", row("wavelength", 1.064, "um"), True),
        ("wavelength", "gte", 1, "um", row("wavelength", 1064, "nm"), True),
        ("wavelength", "eq", 2.3, "angstrom", row("wavelength", 0.23, "nm"), True),
        ("temperature", "lt", 80, "celsius", row("temperature", 20, "celsius"), True),
        ("temperature", "eq", 77.15, "K", row("temperature", -196, "celsius"), True),
        ("temperature", "gt", 77.15, "K", row("temperature", -196, "celsius"), False),
        ("temperature", "neq", 20, "celsius", row("temperature", 20, "celsius"), False),
        ("temperature", "neq", 20, "celsius", row("temperature", 21, "celsius"), True),
        ("temperature", "inq", [20, 30], "celsius", row("temperature", 303.15, "K"), True),
        ("temperature", "nin", [20, 30], "celsius", row("temperature", 303.15, "K"), False),
        ("sample_temperature", "lte", "10", "K", row("temperature", 4, "K"), True),
        ("incident_photon_energy", "gte", "10", "eV", row("photon_energy", 930, "eV"), True),
    ],
)
def test_with_a_unit_values_are_compared_in_si(
    name: str,
    op: str,
    value: Any,
    unit: str,
    held: dict[str, Any],
    expected: bool,
    reading: Make,
) -> None:
    """semantics 5.1: 0.23 nm is 2.3 Å, −196 °C is 77.15 K; portals send numbers as text"""
    node = node_of(condition(name, op, value, unit), reading)
    assert holds("Dataset", node, {"parameters": [held]}) is expected


@pytest.mark.parametrize("unit", [None, "-", ""])
def test_without_a_unit_the_value_is_compared_as_sent(unit: str | None, reading: Make) -> None:
    """semantics 5.5"""
    node = node_of(condition("temperature", "lt", "80", unit), reading)
    assert isinstance(node, Join)
    assert isinstance(node.where, And)
    assert node.where.clauses[1] == Compare("value", "lt", 80)
    assert holds("Dataset", node, {"parameters": [row("temperature", 20, "celsius")]})


@pytest.mark.parametrize(
    ("unit", "without", "in_kelvin"),
    [
        ({"inq": [""]}, True, False),
        ({"inq": ["K", "-"]}, True, True),
        ({"neq": ""}, False, True),
        ({"nin": ["", "K"]}, False, False),
        ({"nin": ["nm", ""]}, False, True),
    ],
)
def test_an_empty_unit_among_others_is_that_of_a_row_without_one(
    unit: dict[str, Any], without: bool, in_kelvin: bool, reading: Make
) -> None:
    node = node_of({"and": [{"name": "temperature"}, {"unit": unit}]}, reading)
    assert holds("Dataset", node, {"parameters": [row("temperature", "warm")]}) is without
    assert holds("Dataset", node, {"parameters": [row("temperature", 4, "K")]}) is in_kelvin


def test_either_spelling_of_a_name_matches(reading: Make) -> None:
    """semantics 5.3"""
    node = node_of({"name": "incident_wavelength"}, reading)
    assert isinstance(node, Join)
    assert isinstance(node.where, OneOf)
    assert set(node.where.values) >= set(parameter_names("incident_wavelength"))
    assert holds("Dataset", node, {"parameters": [row("wavelength", 1, "nm")]})


def test_all_conditions_hold_for_one_and_the_same_row(reading: Make) -> None:
    """semantics 9.4: a hot sample and a cold detector are no cold sample"""
    rows = [row("sample_temperature", 300, "K"), row("detector_temperature", 4, "K")]
    node = node_of(condition("sample_temperature", "lt", 10, "K"), reading)
    assert not holds("Dataset", node, {"parameters": rows})


def test_two_bounds_become_one_interval_so_that_a_range_matches_by_overlap(reading: Make) -> None:
    where = {
        "and": [
            {"name": "temperature"},
            {"value": {"gte": 280}},
            {"value": {"lte": 300}},
            {"unit": "K"},
        ]
    }
    node = node_of(where, reading)
    assert isinstance(node, Join)
    assert isinstance(node.where, ParameterRange)
    assert (node.where.low, node.where.high) == (280.0, 300.0)


def test_alternatives_are_alternatives(reading: Make) -> None:
    where = {
        "or": [
            {"and": [{"name": "sample_state"}, {"value": "solid"}]},
            condition("temperature", "lt", 10, "K"),
        ]
    }
    node = node_of(where, reading)
    assert holds("Dataset", node, {"parameters": [row("sample_state", "solid")]})
    assert holds("Dataset", node, {"parameters": [row("temperature", 4, "K")]})
    assert not holds("Dataset", node, {"parameters": [row("temperature", 20, "K")]})


def test_the_answer_knows_which_unit_was_asked_for(reading: Make) -> None:
    where = condition("temperature", "lt", 80, "celsius")
    (asked,) = read_parameter_where(where, reading(), "where").asked
    assert (asked.dimension, asked.unit) == ("temperature", "celsius")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (condition("temperature", "lt", 80, "farenheidt"), "Did you mean 'fahrenheit'"),
        (condition("temperature", "lt", 80, "nm"), "a unit of length"),
        (condition("temperature", "lt", "warm", "K"), "must be a number"),
        ({"nmae": "x"}, "Did you mean 'name'"),
        ({"id": 1}, "Allowed: name, value, unit"),
        ({"and": [{"name": "x"}, {"id": {"inq": []}}]}, "Allowed: name, value, unit"),
    ],
)
def test_impossible_conditions_are_refused(
    where: dict[str, Any], message: str, reading: Make
) -> None:
    with pytest.raises(BadRequest, match=message):
        read_parameter_where(where, reading(), "where")


def test_alternatives_are_bounded(reading: Make) -> None:
    """fault I08"""
    choice = {"or": [{"name": "a"}, {"name": "b"}]}
    with pytest.raises(BadRequest, match="more than 128 alternatives"):
        read_parameter_where({"and": [choice] * 8}, reading(), "where")


def test_a_value_beyond_what_can_be_compared_does_not_blame_its_unit(reading: Make) -> None:
    with pytest.raises(BadRequest, match="A value in nm is beyond what can be compared"):
        node_of(condition("wavelength", "lt", 1e308, "nm"), reading)
