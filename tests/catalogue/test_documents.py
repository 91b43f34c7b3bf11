"""What an engine indexes is what the record says (semantics 5.4, 6.1, 9.4), however fast it is
made: every part is compared with one made field by field."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
import re2
from generated_world import WORDS, generated
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_documents import (
    may_match,
    plain_identifier_wholes,
    plain_points,
    plain_spans,
    plain_strings,
    plain_terms,
    plain_wholes,
    plain_words,
)
from search_world import Entities, parameter, person

from catalogue import analysis
from catalogue.analysis import in_any_case
from catalogue.documents import CARRIED, EngineDocument, engine_document, text_lines
from catalogue.fields import FIELDS, elements
from catalogue.parameter_terms import parameter_terms
from catalogue.pattern_planning import pattern_candidates
from catalogue.patterns import compile_pattern
from catalogue.query import Pattern
from catalogue.record_terms import MAX_PARTS
from catalogue.records import Change


def odd_world() -> Entities:
    """Records with values of kinds that their fields should not have, and with far too many."""
    world = Entities()
    many = [{"id": str(n), "name": f"f{n}.h5", "size": n, "path": "/ü" * 20} for n in range(2_100)]
    sets = [
        world.dataset("a", title=["x", "y"], size=True, files=many, derived="true"),
        world.dataset(
            "b", title="", size="12.5", creationDate="nonsense", isPublic="no",
            formats=[None, "", 3], samples={"name": "single"},
            techniques=[{"name": ["a", "b"], "panetId": "x/PaNET01188"}, {"panet": "PaNET99999"}],
            instrument=[{"name": "I1"}, {"name": 7}],
        ),
        world.dataset(
            "c", size=2**70, creationDate="2020-01-01", parameters=[
                parameter("m", True), parameter("m", "1e999"), parameter("m", "nan"),
                parameter("m", "007"), parameter("m", -0.0), {"name": "z" * 100, "value": "ß" * 70},
                {"name": "zero", "quantity": {"dimension": "length", "low": -0.0, "high": 0.0}},
            ],
        ),
        world.dataset(
            "d", title="ſtraße \ud800", doi=" https://dx.doi.org/10.5072/ABC ",
            samples=[{"name": "ﬁne¯sign, x-ray 10²¹ α-Fe₂O₃/β;c|d,e— o’neill .a.", "pid": 5}],
            access={"evidence": [{"says": "open"}], "embargoUntil": "2030-01-01T00:00:00Z"},
        ),
        world.dataset("e", files="text", samples=["no", {"name": "yes"}], title=12, isPublic=0),
    ]  # fmt: skip
    for number in range(3):
        world.document(
            f"doc{number}", datasets=sets[number : number + 3], keywords="one",
            title="x" * 500 + " " + "ü" * 90, members=[person("Ada"), {"role": "pi"}],
            alternateIds=["ark:/1/2 3", "proposal 700000"], years={"first": 1800, "last": 2100},
        )  # fmt: skip
    world.document("many", members=[person(f"N{n} M") for n in range(MAX_PARTS + 1)])
    world.dataset("f", pid="10.5072/SAME", doi="10.5072/SAME")
    world.put("Instrument", "i", name="BM-29/x")
    return world


@pytest.fixture(params=["odd", 1, 2, 3])
def world(request: pytest.FixtureRequest) -> list[tuple[Change, EngineDocument]]:
    made = odd_world() if request.param == "odd" else generated(request.param)
    live = [change for change in made.changes() if not change.entity.deleted]
    assert live
    return [(change, engine_document(change)) for change in live]


Pairs = list[tuple[Change, EngineDocument]]


def _lines(change: Change) -> tuple[str, ...]:
    lines = text_lines(change)
    return (*lines.title, *lines.others)


def test_terms_are_those_of_every_field_and_part(world: Pairs) -> None:
    """Also those that a Document carries of its Datasets; of too many parts there are none
    (fault F06)."""
    for change, document in world:
        record: dict[str, Any] = dict(change.entity.record)
        expected = plain_terms(record, document.entity_class, "", MAX_PARTS)
        expected |= {f"at={name.casefold()}" for name in record["facilities"]}
        if (doi := record.get("doi")) is not None and doi == record.get("pid"):
            both = {term for term in expected if term.startswith(("doi=", "doi~="))}
            assert not any(term.startswith("doi=#") for term in both)
            expected -= both | {f"pid{term[3:]}" for term in both}
            expected |= {f"id{term[3:]}" for term in both}
        expected = {term for term in expected if not term.startswith("key=")}
        words = {word for line in _lines(change) for word in plain_words(line)}
        expected |= {"cut:words"} if any(len(w.encode()) > 196 for w in words) else set()
        if document.entity_class == "Document":
            live = [child.record for child in change.children if not child.deleted]
            for child in live:
                carried = {name: child[name] for name in CARRIED if name in child}
                expected |= plain_terms(carried, "Dataset", "datasets.", 10**9)
            expected |= {"has:datasets"} if live else set()
        assert document.terms == expected


def test_a_part_of_any_string_finds_its_record(world: Pairs) -> None:
    """§6.2: what is no candidate would never be found."""
    random = Random(3)
    for change, document in world:
        strings = plain_strings(change.entity.record, document.entity_class)
        for class_name, prefix, field, string in random.sample(strings, min(60, len(strings))):
            start = random.randrange(len(string) + 1)
            end = min(len(string), start + random.choice((3, 5, 20)))
            assert_found(document, class_name, prefix, field, string[start:end])


def assert_found(
    document: EngineDocument, class_name: str, prefix: str, field: str, part: str
) -> None:
    """With and without case, whole and as an expression of two literals."""
    halves = (part[: len(part) // 2], part[len(part) // 2 :])
    for pattern in (
        Pattern((field,), part, "substring"),
        Pattern((field,), part.swapcase(), "substring", ignore_case=True),
        Pattern((field, "pid"), ".*".join(map(re.escape, halves)), "regexp"),
    ):
        if (
            pattern.ignore_case
            and compile_pattern(part.swapcase(), "substring", True).search(part) is None
        ):  # some letters come back as others: ŉ, ß
            continue
        if pattern.fields == (field, "pid") and "pid" not in FIELDS[class_name]:
            continue
        candidates = pattern_candidates(pattern, class_name, prefix)
        assert candidates is None or may_match(candidates, document), pattern


_ODD_LETTERS = (
    "abkKsSxyzı.-_/ \u00a0²³½ßẞÉéſ\u212aιΙαΑβςσΣµμ\u0301\u0345\u034f\u0307\u20d0ﬁﬃ¯㈱①Ⓐⓐ℃Åℌ"
    "łÆ結晶のｶﾞカ゛㊀・"
    "가각ㄱ\u1100\u1161\u11a8\u0938\u093f\u0b94\u0b92\u0bd7İŉǅʼn"
)
_odd_texts = st.text(_ODD_LETTERS, min_size=3, max_size=14) | st.text(min_size=3, max_size=14)


@settings(max_examples=400, deadline=None)
@given(_odd_texts, st.text(_ODD_LETTERS, max_size=5), st.text(_ODD_LETTERS, max_size=5))
@example("ιabc", " \u0345", "")
@example("abc가", "", "\u11a8")
@example("\u1161abc", "\u1100", "")
@example("Kㄱ\u1161", "", "")
@example("α-x", "", "")
@example("KK\u00a0", "", "")
def test_a_part_is_found_whatever_stands_beside_it(part: str, before: str, after: str) -> None:
    """§6.2 with Unicode's traps: letters that join, fold to several, or to none."""
    text = before + part + after
    world = Entities()
    world.dataset("a", title=text, pid=text, samples=[{"name": text, "description": text}])
    (change,) = world.changes()
    document = engine_document(change)
    for class_name, prefix, field in (
        ("Dataset", "", "title"),
        ("Dataset", "", "pid"),
        ("Sample", "samples.", "name"),
        ("Sample", "samples.", "description"),
    ):
        assert_found(document, class_name, prefix, field, part)


def test_words_that_were_cut_may_hold_anything() -> None:
    """§6.1, fault F08."""
    world = Entities()
    world.dataset("a", title="x" * 250 + "needle", samples=[{"description": "ж" * 300 + "needle"}])
    world.dataset("b", title="x" * 50)
    long, short = map(engine_document, world.changes())
    assert_found(long, "Dataset", "", "title", "xxneedle")
    assert_found(long, "Sample", "samples.", "description", "жneedle")
    assert not may_match(pattern_candidates(Pattern(("title",), "xneedle"), "Dataset"), short)


def test_letters_that_differ_by_case_are_one_to_look_up() -> None:
    """§6.2: whatever RE2 takes for the same letter is folded alike, and looked up in terms."""
    letters = [letter for letter in map(chr, range(0x20000)) if len(in_any_case(letter)) > 1]
    cased = "".join(letters)
    assert len(letters) > 2_500
    for letter in letters:
        options = re2.Options()
        options.case_sensitive, options.literal = False, True
        same = set(re2.compile(letter, options).findall(cased))
        assert same <= set(in_any_case(letter))
        assert len({tuple(run.text for run in analysis.runs(one)) for one in same}) == 1


def test_parameters_have_all_precisions_of_their_ends(world: Pairs) -> None:
    """§5.4; the terms between two ends, marked ``i``, are tested by the engines' answers."""
    for change, document in world:
        own = elements(change.entity.record, "parameters")
        children = [child.record for child in change.children if not child.deleted]
        below = [one for child in children for one in elements(child, "parameters")]
        assert plain_points(own) <= document.params == parameter_terms(own)
        if document.entity_class == "Document":
            assert plain_points([*own, *below]) <= document.all_params
            assert document.all_params == parameter_terms([*own, *below])


def test_spans_of_openness_are_those_of_each_moment(world: Pairs) -> None:
    """§2.1: remembered spans are never those of another record."""
    for change, document in world:
        if document.entity_class != "Instrument":
            held = {
                name.removesuffix("_from"): (start, document.numbers[f"{name[:-5]}_until"])
                for name, start in document.numbers.items()
                if name.endswith("_from")
            }
            assert held == plain_spans(change.entity.record)


def test_words_and_stems_are_those_of_the_tokens(world: Pairs) -> None:
    """§6.1: what is highlighted is what is indexed."""
    for change, document in world:
        lines = text_lines(change)
        listed = [plain_words(line) for line in _lines(change)]
        assert document.words == {word for words in listed for word in words}
        assert document.text == [" ".join(map(analysis.stem, words)) for words in listed if words]
        titles = [plain_words(line) for line in lines.title]
        assert document.title_words == [" ".join(words) for words in titles if words]
        for line in lines.title:
            assert plain_wholes(line) <= document.wholes or not plain_words(line)


_TEXTS = st.lists(
    st.sampled_from(WORDS)
    | st.text("ab1-–'’·/,;|._ \u00a0²³αßÉ\u0301ﬁ¯xray", max_size=12)
    | st.text(max_size=8),
    max_size=8,
).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(_TEXTS)
@example("20℃ 1½, at 5㎏.  x…")
def test_words_and_wholes_of_any_text_are_those_made_piece_by_piece(text: str) -> None:
    """§6.1, whatever was remembered of other texts."""
    assert analysis.words(text) == plain_words(text)
    assert analysis.wholes(text) == plain_wholes(text)
    assert analysis.wholes(text, analysis.words(text)) == plain_wholes(text)
    line = analysis.line(text)
    assert (line.words, set(line.wholes)) == (plain_words(text), plain_wholes(text))
    assert line.stems.split() == analysis.stems(text)
    assert analysis.identifier_wholes(text) == plain_identifier_wholes(text)


@pytest.mark.parametrize("identifier", ["10.5/X-Ray_7", "a,b-c|d'e", " doi:10.5072/AB--C ", "9.2."])
def test_an_identifier_gives_the_wholes_made_piece_by_piece(identifier: str) -> None:
    for one in (identifier, identifier * 20, identifier + "é"):
        assert analysis.identifier_wholes(one) == plain_identifier_wholes(one)
