"""Quantities in the field's writing become SI, or stay text (§5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.quantities import (
    from_si,
    interval_for_query,
    parameter_names,
    particle_for,
    recognise_quantities,
    refusal,
    to_quantity,
)


@pytest.mark.parametrize(
    ("name", "value", "unit", "dimension", "si"),
    [
        ("wavelength", 0.23, "nm", "length", 2.3e-10),
        ("wavelength", 2.3, "Å", "length", 2.3e-10),
        ("wavelength", "2.3", "angstrom", "length", 2.3e-10),
        ("temperature", -196, "°C", "temperature", 77.15),
        ("temperature", 20, "celsius", "temperature", 293.15),
        ("temperature", 20, "C", "temperature", 293.15),
        ("temperature", 68, "degF", "temperature", 293.15),
        ("temperature", 300, "K", "temperature", 300.0),
        ("pressure", 1, "bar", "pressure", 1e5),
        ("pressure", 100, "mbar", "pressure", 1e4),
        ("flux", "1.34E+12", "s^-1", "frequency", 1.34e12),
    ],
)
def test_a_value_becomes_si(name: str, value: object, unit: str, dimension: str, si: float) -> None:
    """Fault D10: the offset of a temperature is never forgotten."""
    quantity = to_quantity(name, value, unit)
    assert quantity is not None
    assert quantity.dimension == dimension
    assert quantity.low == quantity.high == si


def test_energy_and_wavelength_are_twins_when_the_particle_is_known() -> None:
    """§5.2: 1 Å is 12.398 keV for a photon and 81.80 meV for a neutron."""
    electronvolt = 1.602176634e-19
    for particle, energy_ev in (("photon", 12398.4), ("neutron", 0.081804)):
        quantity = to_quantity("wavelength", 1, "angstrom", particle=particle)
        assert quantity is not None
        (twin,) = quantity.also
        assert twin.dimension == "energy"
        assert twin.low / electronvolt == pytest.approx(energy_ev, rel=1e-4)
    unknown = to_quantity("wavelength", 1, "angstrom")
    assert unknown is not None
    assert unknown.also == ()


def test_the_particle_comes_from_the_name_then_the_technique_then_the_only_probe() -> None:
    """§5.2"""
    assert particle_for("photon_energy", ("PaNET01189",), ("neutron",)) == "photon"
    assert particle_for("wavelength", ("PaNET01189",), ("photon",)) == "neutron"
    assert particle_for("wavelength", (), ("neutron",)) == "neutron"
    assert particle_for("wavelength", (), ("neutron", "photon")) is None


@pytest.mark.parametrize("unit", ["counts", "ph/sx", "furlongs per fortnightt", "???"])
def test_an_unknown_unit_leaves_the_value_as_text_with_a_reason(unit: str) -> None:
    """Fault D09."""
    assert to_quantity("signal", 5, unit) is None
    assert refusal("signal", 5, unit)


@pytest.mark.parametrize("value", ["NaN", "inf", float("nan"), float("inf"), "-Infinity"])
def test_no_number_is_no_quantity(value: object) -> None:
    """Fault D11."""
    assert to_quantity("temperature", value, "K") is None


@pytest.mark.parametrize(
    ("value", "low", "high"), [("1-2", 1e-9, 2e-9), ("1..2", 1e-9, 2e-9), ("1.5 ± 0.5", 1e-9, 2e-9)]
)
def test_a_range_is_an_interval(value: str, low: float, high: float) -> None:
    quantity = to_quantity("wavelength", value, "nm")
    assert quantity is not None
    assert (quantity.low, quantity.high) == (low, high)


def test_either_spelling_of_a_parameter_is_meant() -> None:
    """§5.3"""
    assert {"wavelength", "incident_wavelength"} <= set(parameter_names("wavelength"))
    assert {"temperature", "sample_temperature"} <= set(parameter_names("sample_temperature"))


def test_a_condition_becomes_an_interval() -> None:
    interval = interval_for_query("incident_wavelength", "between", ["1000", 1100], "nm")
    assert interval is not None
    assert interval.dimension == "length"
    assert interval.low == pytest.approx(1e-6, rel=1e-8)
    assert interval.high == pytest.approx(1.1e-6, rel=1e-8)
    above = interval_for_query("sample_temperature", "gt", 10, "K")
    assert above is not None
    assert (above.low, above.high, above.open_low) == (10.0, None, True)


@pytest.mark.parametrize(
    ("sentence", "taken"),
    [("SAXS on lysozyme at 12 keV", "12 keV"), ("copper below 10 K", "below 10 K")],
)
def test_quantities_are_recognised_in_sentences(sentence: str, taken: str) -> None:
    (found,) = recognise_quantities(sentence)
    assert taken in sentence[found.start : found.end] or found.text in taken
    assert found.text == sentence[found.start : found.end]


@given(
    st.floats(min_value=1e-6, max_value=1e6),
    st.sampled_from([("wavelength", "nm"), ("wavelength", "angstrom"), ("energy", "keV"),
                     ("temperature", "celsius"), ("pressure", "bar"), ("time", "ms")]),
)  # fmt: skip
def test_conversion_comes_back(value: float, named: tuple[str, str]) -> None:
    name, unit = named
    quantity = to_quantity(name, value, unit)
    assert quantity is not None
    back = from_si(quantity.low, quantity.dimension, unit)
    # Twelve digits of kelvins are fewer of degrees near zero.
    assert back == pytest.approx(value, rel=1e-10, abs=1e-8)


@given(
    st.text(max_size=30),
    st.one_of(st.none(), st.text(max_size=30), st.floats(), st.integers(), st.booleans()),
    st.one_of(st.none(), st.text(max_size=20)),
)
def test_nothing_raises(name: str, value: object, unit: str | None) -> None:
    quantity = to_quantity(name, value, unit)
    assert quantity is None or quantity.low <= quantity.high
