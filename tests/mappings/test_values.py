"""Sizes, scalars, parameters in their shapes."""

from __future__ import annotations

import pytest

from mappings.values import measured, parameters, scalar, size_in_bytes


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [
        ("9074975744", None, 9074975744),
        (9074975744, None, 9074975744),
        ("5.70 MiB", None, 5976883),
        ("147 MB", None, 147_000_000),
        ("1.5", "GB", 1_500_000_000),
        ("1,024 bytes", None, 1024),
        ("1e3", None, 1000),
        (12.7, None, 12),
        (0, None, None),
        ("0", None, None),
        (0.0, None, None),
        (-1, None, None),
        (float("nan"), None, None),
        (2**63, None, None),
        ("99999999999999999 PiB", None, None),
        ("5 furlongs", None, None),
        ("many", None, None),
        (True, None, None),
        (None, None, None),
    ],
)
def test_sizes_are_bytes_or_unknown(value: object, unit: str | None, size: int | None) -> None:
    assert size_in_bytes(value, unit) == size


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (" x ", "x"), ("n/a", None), (True, "true"), (False, "false"), (5, 5), (1.5, 1.5),
        (float("inf"), None), (float("nan"), None), (2**60, float(2**60)), (10**400, None),
        (None, None), ([1], None), ({}, None),
    ],
)  # fmt: skip
def test_scalars(value: object, kept: object) -> None:
    """Fault D11."""
    assert scalar(value) == kept
    assert type(scalar(value)) is type(kept)


@pytest.mark.parametrize(
    "shape",
    [
        {"value": 2.3, "unit": "angstrom"},
        {"v": 2.3, "u": "angstrom"},
        {"value": 2.3, "units": "angstrom"},
        {"value": 2.3, "unit": "angstrom", "valueSI": 9, "unitSI": "m"},
    ],
)
def test_the_same_parameter_in_several_shapes_is_the_same(shape: dict[str, object]) -> None:
    """Fault D08."""
    assert measured(shape) == (2.3, "angstrom")


def test_bare_values_and_other_objects() -> None:
    assert measured(5) == (5, None)
    assert measured({"a": {"value": 1}}) is None
    assert measured({"value": 1, "unit": " "}) == (1, None)


@pytest.mark.parametrize("unit", ["wombats", "counts per blink", "Ohmm"])
def test_a_unit_that_cannot_be_converted_costs_only_its_own_value(unit: str) -> None:
    """Fault D09."""
    made, refused = parameters([("a", 5, unit), ("temperature", 20, "degC")], (), ())
    assert made[0] == {"name": "a", "value": 5, "unit": unit}
    assert made[1]["quantity"]["low"] == 293.15
    assert refused == [(("a", 5, unit), "unknown unit")]


@pytest.mark.parametrize(
    ("value", "unit", "kelvin"),
    [(300, "degC", 573.15), (20, "celsius", 293.15), (-196, "°C", 77.15), (32, "degF", 273.15)],
)
def test_temperatures_keep_their_offset(value: float, unit: str, kelvin: float) -> None:
    """Fault D10."""
    made, _ = parameters([("temperature", value, unit)], (), ())
    assert made[0]["quantity"]["low"] == kelvin


def test_the_particle_comes_from_the_techniques_and_then_from_the_facility() -> None:
    """§5.2."""
    raw = [("wavelength", 1, "angstrom")]
    neutron, _ = parameters(raw, [{"panet": "PaNET01189"}, {"name": "unlinked"}], ("photon",))
    photon, _ = parameters(raw, (), ("photon",))
    unknown, _ = parameters(raw, (), ())
    joule = 1.602176634e-19
    assert neutron[0]["quantity"]["also"][0]["low"] == pytest.approx(0.0818042 * joule, rel=1e-5)
    assert photon[0]["quantity"]["also"][0]["low"] == pytest.approx(12398.42 * joule, rel=1e-5)
    assert "also" not in unknown[0]["quantity"]
