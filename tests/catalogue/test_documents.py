"""What an engine indexes is what the record says (semantics 5.4, 6.1, 9.4), however fast it is
made: every part is compared with one made field by field."""

from __future__ import annotations

from typing import Any

import pytest
from generated_world import WORDS, generated
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_documents import (
    plain_points,
    plain_spans,
    plain_strings,
    plain_terms,
    plain_wholes,
    plain_words,
)
from search_world import Entities, parameter, person

from catalogue import analysis
from catalogue.documents import CARRIED, EngineDocument, engine_document, text_lines
from catalogue.fields import elements
from catalogue.parameter_terms import parameter_terms
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
    world.put("Instrument", "i", name="BM-29/x")
    return world


@pytest.fixture(params=["odd", 1, 2, 3])
def world(request: pytest.FixtureRequest) -> list[tuple[Change, EngineDocument]]:
    made = odd_world() if request.param == "odd" else generated(request.param)
    live = [change for change in made.changes() if not change.entity.deleted]
    assert live
    return [(change, engine_document(change)) for change in live]


Pairs = list[tuple[Change, EngineDocument]]


def test_terms_are_those_of_every_field_and_part(world: Pairs) -> None:
    """Also those that a Document carries of its Datasets; of too many parts there are none
    (fault F06)."""
    for change, document in world:
        record: dict[str, Any] = dict(change.entity.record)
        expected = plain_terms(record, document.entity_class, "", MAX_PARTS)
        expected |= {f"at={name.casefold()}" for name in record["facilities"]}
        if document.entity_class == "Document":
            live = [child.record for child in change.children if not child.deleted]
            for child in live:
                carried = {name: child[name] for name in CARRIED if name in child}
                expected |= plain_terms(carried, "Dataset", "datasets.", 10**9)
            expected |= {"has:datasets"} if live else set()
        assert document.terms == expected


def test_patterns_see_every_string(world: Pairs) -> None:
    """§6.2: a substring that is in no trigram would never be found."""
    for change, document in world:
        strings = plain_strings(change.entity.record, document.entity_class)
        assert set(document.patterned) == {string.casefold() for string in strings}


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
        listed = [plain_words(line) for line in (*lines.title, *lines.others)]
        assert document.words == {word for words in listed for word in words}
        assert document.text == [" ".join(map(analysis.stem, words)) for words in listed if words]
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
