"""Numbers as facilities write them, or nothing."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.numerals import Numeral, read_number, read_numeral


@pytest.mark.parametrize(
    ("written", "low", "high", "unit"),
    [
        (12, 12.0, 12.0, None),
        (1.5, 1.5, 1.5, None),
        ("1.34E+12", 1.34e12, 1.34e12, None),
        ("1,5", 1.5, 1.5, None),
        ("0,125", 0.125, 0.125, None),
        ("1,234.5", 1234.5, 1234.5, None),
        ("1,234,567", 1234567.0, 1234567.0, None),
        ("12 keV", 12.0, 12.0, "keV"),
        ("~12.4keV", 12.4, 12.4, "keV"),
        ("ca. 300 K", 300.0, 300.0, "K"),
        ("−196 °C", -196.0, -196.0, "°C"),
        ("–5", -5.0, -5.0, None),
        ("10^3", 1000.0, 1000.0, None),
        ("10⁻³ mbar", 1e-3, 1e-3, "mbar"),
        ("1.34 x 10^12", 1.34e12, 1.34e12, None),
        ("2×10**-4 Pa", 2e-4, 2e-4, "Pa"),
        ("1e5 x 10^2", 1e7, 1e7, None),
        ("20.15(3)", 20.12, 20.18, None),
        ("7(2) K", 5.0, 9.0, "K"),
        ("20 ± 1", 19.0, 21.0, None),
        ("(20 +/- 1) K", 19.0, 21.0, "K"),
        ("20 K ± 1 K", 19.0, 21.0, "K"),
        ("1-2", 1.0, 2.0, None),
        ("2 – 1 nm", 1.0, 2.0, "nm"),
        ("1 – 2", 1.0, 2.0, None),
        ("0…1", 0.0, 1.0, None),
        ("10..20", 10.0, 20.0, None),
        ("from 5 to 10 keV", 5.0, 10.0, "keV"),
        ("between 1 nm and 2 nm", 1.0, 2.0, "nm"),
        ("-20 to -10 °C", -20.0, -10.0, "°C"),
        ("[1 - 2]", 1.0, 2.0, None),
        ("5 bis 7 K", 5.0, 7.0, "K"),
    ],
)
def test_a_number_or_interval_is_read(
    written: object, low: float, high: float, unit: str | None
) -> None:
    found = read_numeral(written)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-14)
    assert found.unit == unit


@pytest.mark.parametrize(
    "written",
    [
        None, True, False, [], {}, "", "abc", "5x5", "2020-01-01", "NaN", "inf", "-Infinity",
        math.nan, math.inf, -math.inf, 1e301, "1e301", 10**400, "1,234", "1,2,3", "1.2.3",
        "1.5,2", "5 K ± 1 mK", "1 nm - 2 Å", "1--2", "1,234 ± 1", "1 ± 1,234", "1,234 - 2",
        "1 - 2,345", "1e3(2)", "2x10^3(1)", "1" * 81, "10^999", "1.2.3(4)",
    ],
)  # fmt: skip
def test_what_is_ambiguous_or_no_number_is_nothing(written: object) -> None:
    """Fault D11."""
    assert read_numeral(written) is None


def test_a_lone_comma_group_is_ambiguous_and_a_decimal_comma_is_not() -> None:
    assert read_number("1,234") is None
    assert read_number("1234,5") == 1234.5
    assert read_number("0,5e3") == 500.0
    assert read_number("x10^3") is None
    assert read_number("nothing") is None


@given(st.floats(min_value=-1e290, max_value=1e290, allow_subnormal=False))
def test_every_number_reads_itself_back(value: float) -> None:
    assert read_numeral(value) == read_numeral(repr(value)) == Numeral(value, value)


@given(
    st.integers(-999, 999),
    st.integers(0, 999),
    st.sampled_from(["..", " to ", " and ", " – ", "…"]),
)
def test_an_interval_holds_its_ends_in_order(first: int, width: int, between: str) -> None:
    found = read_numeral(f"{first}{between}{first + width}")
    if found is None:
        assert first >= 0 > first + width or first < 0
    else:
        assert (found.low, found.high) == (first, first + width)


@given(st.text(max_size=100))
def test_no_text_raises_and_what_is_read_is_finite_and_in_order(text: str) -> None:
    found = read_numeral(text)
    assert found is None or (math.isfinite(found.high) and found.low <= found.high)


@pytest.mark.parametrize("piece", ["1", "1.", "1,", "10^", "(1", "± ", "-", "1-", " ", "x10"])
def test_awkward_texts_take_milliseconds(piece: str) -> None:
    started = time.perf_counter()
    for length in range(80):
        read_numeral((piece * 80)[:length])
    assert time.perf_counter() - started < 2
