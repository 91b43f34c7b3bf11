"""Words, stems, wholes (semantics 6.1; fault F08)."""

from __future__ import annotations

import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue import analysis, highlighting


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X-ray Diffraction", ["x", "ray", "diffraction"]),
        ("10²¹ photons", ["10", "21", "photons"]),
        ("Fe₂O₃", ["fe2o3"]),
        ("Müller, Müller", ["muller", "muller"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("β-lactoglobulin", ["beta", "lactoglobulin"]),
        ("ﬁeld ½", ["field", "1", "2"]),
        ("Łódź, Røntgen, Đ, Ærø", ["lodz", "rontgen", "d", "aero"]),
        ("蛋白质X線", ["蛋", "白", "质", "x", "線"]),
        ("リチウム電池", ["リ", "チ", "ウ", "ム", "電", "池"]),
        ("ﾘﾁｳﾑ・電池", ["リ", "チ", "ウ", "ム", "電", "池"]),
        ("단백질 ж", [unicodedata.normalize("NFD", "단백질"), "ж"]),
        ("", []),
        ("— … §", []),
    ],
)
def test_words_are_folded(text: str, words: list[str]) -> None:
    assert analysis.words(text) == words


def test_stems_join_the_forms_of_a_word() -> None:
    assert analysis.stems("crystals crystal") == ["crystal", "crystal"]
    assert analysis.stems("6HAF fe2o3") == ["6haf", "fe2o3"]


@pytest.mark.parametrize(
    ("text", "wholes"),
    [
        ("x-ray", {"x-ray", "xray"}),
        ("X rays", {"xray"}),
        ("(SAXS)", set()),
        ("small-angle", {"small-angle", "smallangl"}),
        ("10.5072/A-b.", {"10.5072/a-b", "10.5072", "a-b", "ab"}),
        ("plain words", set()),
    ],
)
def test_compounds_and_identifiers_are_kept_whole(text: str, wholes: set[str]) -> None:
    assert analysis.wholes(text) == wholes


def test_an_identifier_is_found_by_its_parts() -> None:
    assert "700000" in analysis.identifier_wholes("10.22003/XFEL.EU-DATA-700000-00")


def test_terms_are_cut_at_200_bytes_between_characters() -> None:
    """Fault F08."""
    assert analysis.words("ü" * 300 + "ж" * 300)[0].encode()[:3] == b"uuu"
    for text in ("a" * 1000, "ж" * 1000, "分" * 1000):
        assert all(len(word.encode()) <= 200 for word in analysis.words(text))


PIECES = (
    *("a", "B", "7", "x", "word", "running", "ray", "rays", "X-ray", "10.5072/a-b", "dye-ing"),
    *(" ", "\t", "\x1c", "\n", "\u3000", "b" * 50, "b" * 51),
    *("-", "'", ".", ",", "/", ";", "|", "_", "(", ")", "é", "²", "ﬁ", "—", "’"),
    *("ł", "Æ", "質", "の", "ｶﾞ", "㊀", "\u3099", "・"),
)
MIXED = st.lists(st.sampled_from(PIECES)).map("".join)


@given(st.text() | MIXED)
def test_any_text_gives_terms_that_engines_split_nowhere_else(text: str) -> None:
    terms = [*analysis.words(text), *analysis.stems(text), *analysis.wholes(text)]
    for term in terms:
        assert term == term.strip()
        assert term.split() == [term]
        assert len(term.encode(errors="replace")) <= 200
        assert term != analysis.SENTINEL


@given(st.text() | MIXED)
def test_the_quick_way_for_ascii_is_the_same_way(text: str) -> None:
    assert analysis.words(text) == [token.text for token in analysis.tokenize(text)]


@given(st.text() | MIXED)
def test_a_name_is_a_line_like_any_other(text: str) -> None:
    for _ in range(2):  # made, and put together of what was remembered
        made, plain = analysis.name_line(text), analysis.line(text)
        assert made[:2] == plain[:2]
        assert set(made.wholes) == set(plain.wholes)
        assert made.cut == plain.cut


@given(st.text() | MIXED)
def test_a_line_is_all_that_is_told_of_its_text(text: str) -> None:
    line = analysis.line(text)
    assert line.words == analysis.words(text)
    assert line.stems.split() == analysis.stems(text)
    assert set(line.wholes) == analysis.wholes(text)
    if analysis.may_be_cut(line.words):
        assert line.cut


@given(st.text() | MIXED)
def test_tokens_stand_where_they_say(text: str) -> None:
    for token in analysis.tokenize(text):
        assert 0 <= token.start < token.end <= len(text)


def test_each_letter_without_blanks_is_marked_by_itself() -> None:
    assert highlighting.places("蛋白质结晶", frozenset({"结", "晶"})) == [(3, 4), (4, 5)]


def test_threads_do_not_share_a_stemmer() -> None:
    """A PyStemmer object is not safe to share."""
    found: list[list[str]] = []
    words = [f"crystal{ending}" for ending in ("s", "", "line", "lization")]
    analysis._stems.clear()
    threads = [
        threading.Thread(target=lambda: found.append([analysis.stem(word) for word in words]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 8


def test_runs_of_a_part_say_which_ends_are_open() -> None:
    """Semantics 6.2."""
    assert analysis.runs("ering of cry") == [
        ("ering", True, False), ("of", False, False), ("cry", False, True),
    ]  # fmt: skip
    assert analysis.runs(" of ") == [("of", False, False)]
    assert analysis.runs("10²") == [("10", True, False), ("2", False, True)]
    assert analysis.runs("--") == []
    assert [run.text for run in analysis.runs("X線 と")] == ["x", "線", "と"]


_SUFFIXES = (
    " s es ed ing ingly edly ies ied y ly ational ization izer ousness fulness iveness ability"
    " ibility ement ment ent ance ence ancy ency alism ality ative icate iciti ical ness ful ogy"
    " able ible ism ate iti ous ive ize ion tion sion eed eedly"
)
_EXCEPTIONS = (
    "skis skies dying lying tying idly gently ugly early only singly sky news howe atlas cosmos"
    " bias andes inning outing canning herring earring proceed exceed succeed ponies hoping hopping"
)


@given(
    st.lists(
        st.builds(
            str.__add__,
            st.text("abdeginoprstuy", min_size=1, max_size=7),
            st.sampled_from(_SUFFIXES.split(" ")),
        )
        | st.sampled_from(_EXCEPTIONS.split())
        | st.text("aX1 -.,", max_size=5),
        max_size=8,
    ),
    st.data(),
)
def test_marked_is_every_word_with_a_wanted_stem_and_nothing_else(
    words: list[str], data: st.DataObject
) -> None:
    text = " ".join(words)
    tokens = list(analysis.tokenize(text))
    stems = sorted({analysis.stem(token.text) for token in tokens} | {"die", "beta"})
    wanted = frozenset(data.draw(st.lists(st.sampled_from(stems), max_size=3)))
    marked = [(t.start, t.end) for t in tokens if analysis.stem(t.text) in wanted]
    assert highlighting.places(text, wanted) == marked
    # A letter outside of ASCII takes the other way to the same places.
    assert highlighting.places(text + " é", wanted) == marked
    # And so does a text that is kept, word by word.
    assert highlighting.places_again(text, wanted) == marked
    assert highlighting.places_again(text + " é", wanted) == marked
