"""The scale of scores (semantics 8.3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalogue.scoring import normalised


@given(st.floats(1e-9, 1e6), st.floats(1e-9, 1e6))
def test_a_score_has_six_significant_digits_and_lies_between_zero_and_one(
    raw: float, best: float
) -> None:
    score = normalised(raw, best)
    assert 0 < score < 1
    assert score == float(f"{score:.6g}")
    if raw < 0.9 * best:
        assert score == float(f"{raw / best:.6g}")


def test_nothing_is_worth_nothing() -> None:
    assert normalised(0.0, 1.0) == normalised(1.0, 0.0) == 0.0
