"""Cleaning of text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.text import (
    clean,
    clip,
    is_no_sample,
    is_only_url,
    known,
    split_keywords,
    split_list,
    split_outside_brackets,
    split_samples,
)


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("Structure of a demo\n protein ", "Structure of a demo protein"),
        ("Two   blanks", "Two blanks"),
        ("<p>One</p><p>Two &amp; three</p>", "One Two & three"),
        ("H<sub>2</sub>O", "H2O"),
        ("10<sup>21</sup> photons", "10²¹ photons"),
        ("a <b>bold</b> <i/>word<br/>line", "a bold word line"),
        ("<jats:p>Text</jats:p>", "Text"),
        ("below T<Tc and x < 5 > 3", "below T<Tc and x < 5 > 3"),
        ("a <b and c> d", "a <b and c> d"),
        ('<a href="x">link</a>', "link"),
        ("<script>alert(1)</script>safe<STYLE>p{}</STYLE>", "safe"),
        ("safe<script>alert(1)", "safe"),
        ("<style>x</style", ""),
        ("&lt;p&gt; stays text", "<p> stays text"),
        ("no\u00a0break\u200bspace\u00ad", "no breakspace"),
        ("A\u030angstro\u0308m", "Ångström"),
        ("nul\x00 bell\x07", "nul bell"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("İ<script>x</script>", "İ"),
        ("<unknown>tag</unknown>", "<unknown>tag</unknown>"),
    ],
)
def test_text_becomes_plain(sent: str, plain: str) -> None:
    """Fault D03."""
    assert clean(sent) == plain
    assert known(sent) == (plain or None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n",
        ":unav",
        ":null",
        ":tba",
        "(:tba)",
        "(:null)",
        ":unkn",
        ":none",
        ":etal",
        "n/a",
        "N/A",
        "None",
        "not stated",
        "Not available",
        "default",
        "string",
        None,
        5,
        ["x"],
        "<p></p>",
    ],
)
def test_words_for_nothing_are_absent(text: object) -> None:
    assert known(text) is None


@settings(max_examples=100)
@given(st.text())
def test_clean_text_is_one_line_of_valid_unicode(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert cleaned == unicodedata.normalize("NFC", cleaned)
    cleaned.encode()
    assert known(text) == (known(cleaned) if "&" not in text and "<" not in text else known(text))


def test_cleaning_takes_linear_time() -> None:
    for piece in ("<", "<a ", "<script", "&", "<p>", "<!--", "(", "a<", "</script", "<sup>1"):
        started = time.process_time()
        clean(piece * 100_000)
        split_list(piece * 100_000)
        assert time.process_time() - started < 2


def test_a_lone_url_is_no_description() -> None:
    assert is_only_url("https://example.org/wiki/HDF5")
    assert not is_only_url("see https://example.org")


def test_samples_with_inner_commas_and_brackets_stay_whole() -> None:
    """Fault D06."""
    text = (
        "Water,Lysozyme; 2,5-dihydroxybenzoic acid, N,N-dimethylformamide, Fe(II, III) oxide, "
        "33,5 % sucrose, No Sample, none, 2,2'-bipyridine"
    )
    assert split_samples(text) == [
        "Water",
        "Lysozyme",
        "2,5-dihydroxybenzoic acid",
        "N,N-dimethylformamide",
        "Fe(II, III) oxide",
        "33,5 % sucrose",
        "2,2'-bipyridine",
    ]


def test_a_bracket_that_is_never_closed_does_not_swallow_the_list() -> None:
    assert split_list("a (b, c, d") == ["a (b", "c", "d"]
    assert split_list("a) b, c") == ["a) b", "c"]
    assert split_outside_brackets("a (b, c", ",") == ["a (b", "c"]
    assert split_outside_brackets("a] (b, c), d", ",") == ["a] (b, c)", "d"]
    assert split_outside_brackets(" x ", ",") == ["x"]
    assert split_outside_brackets(" ", ",") == []


def test_keywords_are_cut_by_rule() -> None:
    assert split_keywords("LS-3436,LS-3437") == ["LS-3436", "LS-3437"]
    assert split_keywords("ice, water; snow") == ["ice, water", "snow"]
    assert split_keywords("a|bc", "|") == ["bc"]
    assert split_keywords("one phrase") == ["one phrase"]


def test_no_sample_in_its_writings() -> None:
    assert is_no_sample("No Sample")
    assert is_no_sample("no_sample.")
    assert not is_no_sample("No. 7")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 300, "x" * 199 + "…"),
        ({"a": 1}, "an object with 1 members"),
        ([1, 2], "a list of 2"),
        (10**40, "an integer of more than 30 digits"),
        (None, "None"),
        (True, "True"),
        ("\ud800", "?"),
    ],
)
def test_any_value_is_shown_short(value: object, shown: str) -> None:
    assert clip(value) == shown
