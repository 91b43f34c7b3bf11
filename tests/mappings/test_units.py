"""Units in the field's writing, their dimensions, and SI."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.units import read_unit, round_value

EV = 1.602176634e-19


@pytest.mark.parametrize(
    ("written", "dimension", "factor"),
    [
        ("keV", "energy", 1e3 * EV), ("kev", "energy", 1e3 * EV), ("meV", "energy", 1e-3 * EV),
        ("kiloelectronvolts", "energy", 1e3 * EV), ("Å", "length", 1e-10),
        ("\u212b", "length", 1e-10), ("angstroms", "length", 1e-10), ("Ang.", "length", 1e-10),
        ("nm", "length", 1e-9), ("NM", "length", 1e-9), ("µm", "length", 1e-6),
        ("microns", "length", 1e-6), ("um", "length", 1e-6), ("mbar", "pressure", 100.0),
        ("mBar", "pressure", 100.0), ("GPa", "pressure", 1e9), ("mPa", "pressure", 1e-3),
        ("MPa", "pressure", 1e6), ("PASCAL", "pressure", 1.0), ("T", "magnetic flux density", 1.0),
        ("Tesla", "magnetic flux density", 1.0), ("Gauss", "magnetic flux density", 1e-4),
        ("kG", "magnetic flux density", 0.1), ("Oe", "magnetic field strength", 250 / math.pi),
        ("s", "time", 1.0), ("sec.", "time", 1.0), ("msec", "time", 1e-3), ("hrs", "time", 3600.0),
        ("s^-1", "frequency", 1.0), ("s⁻¹", "frequency", 1.0), ("1/s", "frequency", 1.0),
        ("Hz", "frequency", 1.0), ("hertz", "frequency", 1.0), ("rpm", "frequency", 1 / 60),
        ("deg", "angle", math.pi / 180), ("°", "angle", math.pi / 180), ("mrad", "angle", 1e-3),
        ("arcsec", "angle", math.pi / 648000), ("Å⁻¹", "wavenumber", 1e10),
        ("1/A", "wavenumber", 1e10), ("A^-1", "wavenumber", 1e10),
        ("inverse angstrom", "wavenumber", 1e10), ("reciprocal nm", "wavenumber", 1e9),
        ("mg/ml", "density", 1.0), ("mmol/l", "concentration", 1.0),
        ("µl/min", "volume flow", 1e-9 / 60),
        ("mm per second", "velocity", 1e-3), ("J/kg K", "m^2·s^-2·K^-1", 1.0),
        ("%", "number", 0.01), ("[keV]", "energy", 1e3 * EV), ("(nm)", "length", 1e-9),
        ("{bar}", "pressure", 1e5), ("mm**2", "area", 1e-6), ("kDa", "mass", 1.66053906660e-24),
        ("degree/s", "angular velocity", math.pi / 180), ("K/min", "temperature rate", 1 / 60),
        ("A", "current", 1.0), ("C", "charge", 1.0),
    ],
)  # fmt: skip
def test_a_unit_has_a_dimension_and_a_factor_to_si(
    written: str, dimension: str, factor: float
) -> None:
    unit = read_unit(written)
    assert unit is not None
    assert unit.dimension == dimension
    assert unit.factor == pytest.approx(factor, rel=1e-9)
    assert unit.offset == 0.0


@pytest.mark.parametrize(
    ("written", "quantity", "value", "kelvins"),
    [
        ("°C", None, -196.0, 77.15), ("celsius", None, 20.0, 293.15), ("℃", None, 0.0, 273.15),
        ("degrees Celsius", None, 25.0, 298.15), ("C", "temperature", 20.0, 293.15),
        ("c", "temperature", 20.0, 293.15), ("F", "temperature", 68.0, 293.15),
        ("°F", None, -40.0, 233.15), ("k", "temperature", 4.2, 4.2), ("Kelvin", None, 4.2, 4.2),
        ("degrees kelvin", None, 4.2, 4.2), ("mK", None, 50.0, 0.05),
    ],
)  # fmt: skip
def test_a_temperature_keeps_its_offset(
    written: str, quantity: str | None, value: float, kelvins: float
) -> None:
    """Fault D10."""
    unit = read_unit(written, quantity=quantity)
    assert unit is not None
    assert unit.to_si(value) == kelvins
    assert unit.from_si(kelvins) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("written", ["A", "a"])
def test_an_ampere_of_a_length_is_an_angstrom(written: str) -> None:
    unit = read_unit(written, quantity="length")
    assert unit is not None
    assert (unit.dimension, unit.factor) == ("length", 1e-10)
    product = read_unit("A/s", quantity="length")
    assert product is not None
    assert product.dimension == "velocity"


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "a.u.", "arb", "mev", "px", "u", "counts", "ph/s", "furlong/fortnight", "m//s",
        "m s^-1 /", "m^99", "m^-10/s", "s^-", "kdegC", "x" * 200, "1/", "nm!", "m s !", "€",
        "keV ? s", "min-inch", "e", "dB",
    ],
)  # fmt: skip
def test_what_is_no_unit_of_measurement_is_nothing(written: str) -> None:
    """Fault D09."""
    assert read_unit(written) is None


def test_rounding_takes_away_the_noise_of_doubles() -> None:
    """§5.1: in doubles 0.23 nm is not 2.3 Å."""
    nanometre, angstrom = read_unit("nm"), read_unit("Å")
    assert nanometre is not None
    assert angstrom is not None
    assert nanometre.to_si(0.23) == angstrom.to_si(2.3) == 2.3e-10
    assert str(round_value(-0.0)) == "0.0"
    assert math.isnan(round_value(math.nan))
    assert round_value(math.inf) == math.inf


@given(
    st.floats(1e-6, 1e6), st.sampled_from(["keV", "Å", "°C", "degF", "mbar", "deg", "s^-1", "T"])
)
def test_si_and_back_is_the_same(value: float, written: str) -> None:
    unit = read_unit(written)
    assert unit is not None
    assert unit.from_si(unit.to_si(value)) == pytest.approx(value, rel=1e-9, abs=1e-8)
    assert unit.to_si(value) == round_value(unit.to_si(value)), "rounding is idempotent"


@given(st.text(max_size=50), st.sampled_from([None, "temperature", "length", "wavenumber"]))
def test_no_text_raises(text: str, quantity: str | None) -> None:
    unit = read_unit(text, quantity=quantity)
    assert unit is None or (math.isfinite(unit.factor) and unit.factor != 0)
