"""The small language of text queries, conditions' bounds, cursors, parameter terms (fault F14)."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_world import NOW, parameter

from catalogue.cursors import Continuation, after_plan, read_cursor, write_cursor
from catalogue.engines.base import SortBy
from catalogue.errors import QueryError, QueryTooCostly
from catalogue.parameter_terms import name_code, number_code, overlaps, parameter_terms, range_plan
from catalogue.pattern_planning import MAX_SCAN, literals, pattern_plan
from catalogue.patterns import compile_pattern
from catalogue.plan import All, NoneOf, Plan, TermRange, Terms, leaves, negation, upper
from catalogue.planning import plan_filter
from catalogue.query import (
    And,
    Compare,
    Everything,
    Or,
    ParameterRange,
    Pattern,
    Text,
    all_of,
    conditions,
)
from catalogue.query_language import parse_words
from catalogue.scoring import NORMS, coded_length
from catalogue.suggesting import edit_distance
from catalogue.text_query import plan_text


def read(sentence: str) -> list[tuple[str, str, str]]:
    return [(unit.sign, unit.shape, unit.text) for unit in parse_words(sentence)]


def test_words_phrases_signs_and_prefixes() -> None:
    assert read('lysozyme "small angle" -neutron +"x ray" crys*') == [
        ("", "word", "lysozyme"),
        ("", "phrase", "small angle"),
        ("-", "word", "neutron"),
        ("+", "phrase", "x ray"),
        ("", "prefix", "crys"),
    ]


def test_a_quoted_identifier_is_looked_for_whole() -> None:
    """A DOI in quotes is no run of words: only the field of wholes has it in one piece."""
    (unit,) = parse_words('"10.5072/FNS-00020"')
    assert (unit.shape, unit.text) == ("word", "10.5072/FNS-00020")
    assert parse_words('"small angle"')[0].shape == "phrase"


@pytest.mark.parametrize(
    ("sentence", "units"),
    [
        ("-196 °C", [("", "word", "-196"), ("", "word", "°C")]),
        ('"never closed', [("", "phrase", "never closed")]),
        ("“curly quotes”", [("", "phrase", "curly quotes")]),
        ('""', []),
        ("usb-c", [("", "word", "usb-c")]),
        ("* +", [("", "word", "*"), ("", "word", "+")]),
    ],
)
def test_what_is_no_syntax_is_a_word(sentence: str, units: list[tuple[str, str, str]]) -> None:
    assert read(sentence) == units


@settings(deadline=None)
@given(st.text(max_size=300))
def test_every_string_is_a_query(sentence: str) -> None:
    """Fault F14: only bounds refuse, never the grammar."""
    try:
        plan = plan_text(Text(sentence))
    except QueryTooCostly:
        return
    assert plan.all_of is not None
    for unit in parse_words(sentence):
        assert 0 <= unit.start < unit.end <= len(sentence)


def test_texts_beyond_the_bounds_are_refused_by_number() -> None:
    with pytest.raises(QueryTooCostly, match="2,001 characters"):
        parse_words("a" * 2_001)
    with pytest.raises(QueryTooCostly, match="65 things"):
        parse_words("a " * 65)
    with pytest.raises(QueryTooCostly, match="at least 2"):
        plan_text(Text("a*"))


def test_small_words_ask_for_nothing_unless_alone_or_quoted() -> None:
    assert plan_text(Text("structure of glass")).all_of == plan_text(Text("structure glass")).all_of
    assert plan_text(Text("of the")).all_of != All()
    assert plan_text(Text("+of glass")).all_of != plan_text(Text("glass")).all_of


def test_the_norm_coding_is_exact_to_forty_and_never_above() -> None:
    assert [coded_length(n) for n in range(41)] == list(range(41))
    assert coded_length(41) == 40
    assert all(later > earlier for earlier, later in itertools.pairwise(NORMS))


# --- filters ------------------------------------------------------------------------------------


def test_conditions_are_laid_flat() -> None:
    one, two = Compare("pid", "eq", "a"), Compare("pid", "eq", "b")
    assert all_of(And((one,)), Everything(), two) == And((one, two))
    assert conditions(And((one, And((two,))))) == (one, two)
    assert conditions(Everything()) == ()


def test_a_negated_candidate_is_no_candidate() -> None:
    """What may hold bounds from above; its negation must not be bounded by it."""
    plan = plan_filter(Or((Pattern(("title",), "lys"),)), "Document", NOW)
    assert upper(plan) != All()
    assert upper(negation(plan)) == All()
    assert isinstance(negation(upper(plan)), NoneOf)


@given(
    st.text(alphabet="abcde.x|()[]{}*+?^$\\", min_size=1, max_size=12),
    st.text(alphabet="abcdex", max_size=30),
)
def test_literals_of_a_pattern_are_in_every_match(pattern: str, text: str) -> None:
    """Semantics 6.2: candidates lose nothing."""
    try:
        compiled = compile_pattern(pattern, "regexp", False)
    except QueryError:
        return
    if compiled.search(text) is not None:
        assert all(literal in text for literal in literals(pattern))


def test_a_pattern_without_three_letters_in_a_row_is_bounded() -> None:
    for pattern in (Pattern(("title",), "ab"), Pattern(("title",), "a.*b.c", "regexp")):
        plan = pattern_plan(pattern, "Document")
        assert getattr(plan, "bound", None) == MAX_SCAN


def test_patterns_run_in_linear_time() -> None:
    """Fault I07: this one takes a backtracking matcher longer than a life."""
    compiled = compile_pattern("(a+)+$", "regexp", False)
    assert compiled.search("a" * 5_000 + "b") is None
    with pytest.raises(QueryError, match="longer than 500"):
        pattern_plan(Pattern(("title",), "a" * 501), "Document")


# --- parameters ---------------------------------------------------------------------------------

_numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 293.0, 300.0, 77.15, 1e-300, -1.0]
)


@given(_numbers, _numbers)
def test_codes_are_in_the_order_of_the_numbers(first: float, second: float) -> None:
    """Semantics 5.4, 5.1: −0 is 0."""
    assert (number_code(first) < number_code(second)) == (first < second)
    assert (number_code(first) == number_code(second)) == (first == second)


@given(st.text(), st.text(), st.text(), st.text())
def test_names_are_encoded_injectively(a: str, b: str, c: str, d: str) -> None:
    if "\0" in a + b + c + d:
        return
    assert (name_code(a, b) == name_code(c, d)) == ((a, b) == (c, d)) or len(a + c) > 60
    assert name_code(a, b).isascii()
    assert name_code(a, b).isalnum()


def _met(plan: Plan, terms: set[str]) -> bool:
    for leaf in leaves(plan):
        if isinstance(leaf, Terms) and leaf.terms & terms:
            return True
        if isinstance(leaf, TermRange) and any(leaf.low <= term <= leaf.high for term in terms):
            return True
    return False


@given(_numbers, _numbers, st.none() | _numbers, st.none() | _numbers, st.booleans(), st.booleans())
def test_lookups_find_exactly_the_overlapping_intervals(
    one: float, two: float, low: float | None, high: float | None, open_low: bool, open_high: bool
) -> None:
    """Semantics 5.1, 5.4: a range over any values is few lookups, and exact."""
    held = [parameter("t", one, dimension="d", low=min(one, two), high=max(one, two))]
    wanted = ParameterRange(("t",), "d", low, high, open_low, open_high)
    plan = range_plan("params", wanted)
    assert _met(plan, parameter_terms(held)) == overlaps(held, wanted)
    lookups = sum(len(leaf.terms) for leaf in leaves(plan) if isinstance(leaf, Terms))
    assert lookups <= 250
    assert math.isfinite(lookups)


# --- cursors ------------------------------------------------------------------------------------


@given(st.integers(0, 2**60), st.none() | st.integers(-(2**60), 2**60))
def test_cursors_come_back_as_they_went(ordinal: int, value: int | None) -> None:
    by = SortBy("n_startDate", True)
    written = write_cursor(Continuation("after", ordinal=ordinal, sort=by, value=value), "digest")
    assert read_cursor(written, "digest", by) == Continuation(
        "after", ordinal=ordinal, sort=by, value=value
    )
    assert after_plan(read_cursor(written, "digest", by)) != All()


@given(st.text(max_size=600))
def test_nonsense_is_no_cursor(text: str) -> None:
    with pytest.raises(QueryError):
        read_cursor(text, "digest", None)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("lysozime", "lysozyme", 1), ("saxs", "sans", 1), ("recieve", "receive", 1), ("a", "bcde", 3)],
)
def test_distances_between_words(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second, 2) == min(distance, 3)
