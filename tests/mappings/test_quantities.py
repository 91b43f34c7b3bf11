"""Quantities in the field's writing become SI, or stay text (§5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.quantities import (
    canonical_name,
    from_si,
    interval_for_query,
    parameter_names,
    particle_for,
    recognise_quantities,
    refusal,
    to_quantities,
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


@pytest.mark.parametrize(
    ("sentence", "low", "high", "open_low", "open_high"),
    [
        ("at 300 K", 300, 300, False, False),
        ("below 10 K", None, 10, False, True),
        ("up to 10 K", None, 10, False, False),
        ("<= 10 K", None, 10, False, False),
        ("above 10 K", 10, None, True, False),
        ("at least 10 K", 10, None, False, False),
        ("between 1 and 2 K", 1, 2, False, False),
        ("from 2 K to 1 K", 1, 2, False, False),
        ("-10 °C to 300 K", 263.15, 300, False, False),
        ("10 ± 2 K", 8, 12, False, False),
        ("about 300 K", 299.5, 300.5, False, False),
        ("~4.2 K", 4.15, 4.25, False, False),
        ("around 1e2 K", 50, 150, False, False),
        ("−196 °C", 77.15, 77.15, False, False),
    ],
)
def test_a_quantity_in_a_sentence_is_a_condition(
    sentence: str, low: float | None, high: float | None, open_low: bool, open_high: bool
) -> None:
    """§5.3."""
    (found,) = recognise_quantities(f"copper {sentence}, twice")
    condition = found.condition
    assert condition.dimension == "temperature"
    assert "sample_temperature" in condition.names
    assert condition.low == (None if low is None else pytest.approx(low, rel=1e-8))
    assert condition.high == (None if high is None else pytest.approx(high, rel=1e-8))
    assert (condition.open_low, condition.open_high) == (open_low, open_high)


@pytest.mark.parametrize(
    ("sentence", "texts"),
    [
        ("SAXS at 77 K and 2 bar", ["77 K", "2 bar"]),
        ("8 keV and 1 to 2 GPa and below 5 K", ["8 keV", "1 to 2 GPa", "below 5 K"]),
        ("between 5 keV and 10 keV and 4 T", ["between 5 keV and 10 keV", "4 T"]),
        ("100 mK and 3 T", ["100 mK", "3 T"]),
    ],
)
def test_quantities_of_several_kinds_stand_for_themselves(sentence: str, texts: list[str]) -> None:
    assert [found.text for found in recognise_quantities(sentence)] == texts
    for found in recognise_quantities(sentence):
        assert sentence[found.start : found.end] == found.text


@pytest.mark.parametrize(
    "sentence",
    ["5 apples", "10 keV to 20 K", "at 12", "1e9 Kelvinists", "x12 keV", "12 keV2", "1e309 K",
     "10 hours", "300 mK^2"],
)  # fmt: skip
def test_what_is_no_listed_quantity_in_a_sentence_is_left(sentence: str) -> None:
    assert recognise_quantities(sentence) == ()


@pytest.mark.parametrize(
    ("op", "value", "low", "high", "open_low", "open_high"),
    [
        ("eq", 10, 10, 10, False, False),
        ("gt", 10, 10, None, True, False),
        ("gte", 10, 10, None, False, False),
        ("lt", "10", None, 10, False, True),
        ("lte", 10, None, 10, False, False),
        ("between", (20, 10), 10, 20, False, False),
    ],
)
def test_every_operator_is_an_interval(
    op: str, value: object, low: float | None, high: float | None, open_low: bool, open_high: bool
) -> None:
    found = interval_for_query("temperature", op, value, "K")
    assert found is not None
    assert found.low == (None if low is None else pytest.approx(low, rel=1e-8))
    assert found.high == (None if high is None else pytest.approx(high, rel=1e-8))
    assert (found.open_low, found.open_high) == (open_low, open_high)


@pytest.mark.parametrize(
    ("op", "value", "unit"),
    [("near", 10, "K"), ("between", 10, "K"), ("between", [1], "K"), ("eq", "warm", "K"),
     ("eq", 10, None), ("eq", 10, "counts"), ("between", [1, "x"], "K")],
)  # fmt: skip
def test_a_condition_that_is_no_quantity_is_none(op: str, value: object, unit: str | None) -> None:
    """§5.5: without a unit the value is compared as sent."""
    assert interval_for_query("temperature", op, value, unit) is None


def test_a_wavelength_asked_for_as_energy_is_looked_up_among_the_energies() -> None:
    """§5.2."""
    by_energy = interval_for_query("incident_wavelength", "eq", 12.4, "keV")
    assert by_energy is not None
    assert {"incident_wavelength", "incident_photon_energy"} <= set(by_energy.names)
    by_length = interval_for_query("incident_photon_energy", "eq", 1, "Å")
    assert by_length is not None
    assert {"incident_photon_energy", "incident_wavelength"} <= set(by_length.names)


def test_a_pair_of_ends_is_one_interval() -> None:
    """§5.1: both names state the whole interval, so that either matches by overlap."""
    low, high, other = to_quantities(
        [("temperature_min", 10, "K"), ("temperature_max", 20, "K"), ("pressure", 1, "bar")]
    )
    assert low is not None
    assert low == high
    assert (low.low, low.high, low.canonical) == (10.0, 20.0, "sample_temperature")
    assert other is not None
    assert other.low == 1e5


@pytest.mark.parametrize(
    "second",
    [("temperature_max", 5, "K"), ("temperature_max", 20, "bar"), ("temperature_max", "?", "K"),
     ("pressure_max", 20, "bar"), ("max", 20, "K"), ("temperature_min", 20, "K")],
)  # fmt: skip
def test_ends_that_make_no_interval_stay_apart(second: tuple[str, object, str]) -> None:
    first, _ = to_quantities([("temperature_min", 10, "K"), second])
    assert first is not None
    assert (first.low, first.high) == (10.0, 10.0)


def test_a_pair_of_wavelengths_has_its_twin() -> None:
    first, second = to_quantities(
        [("wavelength_min", 1, "Å"), ("wavelength_max", 2, "Å")], panet_ids=["PaNET01188"]
    )
    assert first == second
    assert first is not None
    (twin,) = first.also
    assert twin.canonical == "incident_photon_energy"
    assert twin.low < twin.high
    assert first.as_json()["also"][0]["dimension"] == "energy"


@pytest.mark.parametrize(
    ("name", "value", "unit", "reason"),
    [
        ("signal", "warm", "K", "no number"),
        ("signal", 5, None, "no unit"),
        ("signal", 5, "counts", "unknown unit"),
        ("energy", "12 keV", "eV", "unknown unit"),
        ("energy", 1e300, "GeV", None),
        ("pressure", 1e300, "TPa", "out of range"),
        ("energy [keV]", 12, None, None),
        ("energy", "12 keV", "keV", None),
    ],
)
def test_the_reason_why_a_value_stays_text(
    name: str, value: object, unit: str | None, reason: str | None
) -> None:
    """Faults D09, D11."""
    assert refusal(name, value, unit) == reason
    assert (to_quantity(name, value, unit) is None) == (reason is not None)


def test_a_name_with_another_dimension_is_not_the_portals() -> None:
    quantity = to_quantity("sample_temperature", 5, "V")
    assert quantity is not None
    assert quantity.canonical is None
    energy = to_quantity("neutron_energy", 5, "meV")
    assert energy is not None
    assert energy.canonical == "incident_neutron_energy"


@pytest.mark.parametrize("value", [0, -1, "1e-290"])
def test_a_beam_without_a_sensible_twin_has_none(value: object) -> None:
    quantity = to_quantity("wavelength", value, "Å", particle="neutron")
    assert quantity is not None
    assert quantity.also == ()


def test_an_answer_is_converted_to_the_asked_unit_or_not_at_all() -> None:
    assert from_si(2.3e-10, "length", "nm") == 0.23
    assert from_si(2.3e-10, "length", "K") is None
    assert from_si(2.3e-10, "length", "no unit") is None
    assert from_si(1e308, "length", "fm") is None


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("entry/sample/temperature", "sample_temperature"),
        ("detector.temperature", None),
        ("beam.wavelength", "incident_wavelength"),
        ("detector/energy", None),
        ("nothing", None),
        ("x" * 300, None),
    ],
)
def test_the_last_part_of_a_path_counts_only_below_known_groups(
    name: str, canonical: str | None
) -> None:
    assert canonical_name(name) == canonical


def test_the_names_of_an_end_are_the_names_of_the_whole() -> None:
    assert {"temperature_min", "sample_temperature"} <= set(parameter_names("temperature_min"))
    assert parameter_names("signal_min") == ("signal_min",)
    assert {"energy", "photon_energy", "neutron_energy"} <= set(parameter_names("energy"))


@pytest.mark.parametrize(
    ("name", "ids", "probes", "particle"),
    [
        ("photon and neutron energy", (), ("photon",), None),
        ("muon_momentum", (), ("photon",), "muon"),
        ("photoelectron_energy", (), (), None),
        ("electron_energy", (), ("photon",), "electron"),
        ("wavelength", ("PaNET99999", "PaNET01189"), (), "neutron"),
        ("wavelength", ("PaNET01188", "PaNET01189"), ("photon",), None),
        ("wavelength", ("PaNET01129",), ("photon",), "photon"),
    ],
)
def test_a_particle_is_known_only_where_nothing_contradicts_it(
    name: str, ids: tuple[str, ...], probes: tuple[str, ...], particle: str | None
) -> None:
    """§5.2."""
    assert particle_for(name, ids, probes) == particle


@pytest.mark.parametrize(
    ("name", "kelvins"),
    [("oven temp", 293.15), ("tempSensor1", 293.15), ("min temperature", 293.15), ("charge", None)],
)
def test_c_is_a_degree_only_of_a_temperature(name: str, kelvins: float | None) -> None:
    quantity = to_quantity(name, 20, "C")
    assert quantity is not None
    assert quantity.low == (kelvins if kelvins is not None else 20.0)


def test_a_is_an_angstrom_only_of_a_length() -> None:
    for name, dimension in (("my wavelength", "length"), ("ring", "current")):
        quantity = to_quantity(name, 1, "A")
        assert quantity is not None
        assert quantity.dimension == dimension


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
