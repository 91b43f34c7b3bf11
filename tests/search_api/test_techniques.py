"""The ontology service: one resource, answering as official PaNET (semantics 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mappings.techniques import load_panet
from search_api.conditions import Reading
from search_api.errors import BadRequest, UnknownThing
from search_api.loopback import Projection
from search_api.rows import holds
from search_api.technique_conditions import read_technique_where, technique_ids
from search_api.techniques import find_technique, find_techniques, pan_ontology

Make = Callable[[], Reading]
PANET = "http://purl.org/pan-science/PaNET/"
XES = PANET + "PaNET01200"
SAXS = "PaNET01188"


def test_a_technique_has_the_fields_of_both_models() -> None:
    found = find_technique(XES, Projection(), 1)
    assert found["pid"] == found["panetId"] == XES
    assert found["name"] == "x-ray emission spectroscopy"
    assert found["synonym"] == ["XES"]
    assert found["relatives"] == [XES]
    assert found["children"] == []
    assert found["parents"]
    assert found["createdAt"] == 1


@pytest.mark.parametrize("name", [XES, "https" + XES[4:], "PaNET01200", "XES", "xes"])
def test_a_technique_is_found_by_any_of_its_names(name: str) -> None:
    assert find_technique(name, Projection(), 1)["pid"] == XES


def test_an_unknown_technique_is_unknown() -> None:
    with pytest.raises(UnknownThing):
        find_technique("astrology", Projection(), 1)


def test_there_is_no_default_limit(reading: Make) -> None:
    found, total = find_techniques(None, reading(), 1)
    assert len(found) == total == len(load_panet().terms)


def test_limit_skip_order_and_fields_are_kept(reading: Make) -> None:
    given = {"order": "name DESC", "limit": "2", "skip": "1", "fields": ["name"]}
    found, total = find_techniques(given, reading(), 1)
    names = sorted((term.label for term in load_panet().terms.values()), reverse=True)
    assert [item["name"] for item in found] == names[1:3]
    assert set(found[0]) == {"name"}
    assert total == len(names)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"name": "SAXS"}, {"PaNET01188"}),
        ({"name": {"like": "small angle x-ray"}}, {"PaNET01188"}),
        ({"pid": "https://purl.org/pan-science/PaNET/PaNET01188"}, {"PaNET01188"}),
        ({"or": [{"name": "SAXS"}, {"name": "SANS"}]}, {"PaNET01188", "PaNET01189"}),
        ({"children": PANET + "PaNET01188"}, set(load_panet().official_parents(SAXS))),
    ],
)
def test_conditions_select_techniques(where: Any, expected: set[str], reading: Make) -> None:
    found, _ = find_techniques({"where": where}, reading(), 1)
    assert expected <= {item["pid"].removeprefix(PANET) for item in found}
    assert len(found) < 10


def relatives(name: str) -> list[str]:
    (term, *_) = load_panet().named(name)
    return sorted(PANET + one for one in load_panet().official_relatives(term.id))


def test_a_name_becomes_itself_and_all_below(reading: Make) -> None:
    """crosswalks 2.4"""
    assert pan_ontology({"name": "XES"}, reading()) == {"pid": {"inq": [XES]}}
    assert pan_ontology({"pid": XES}, reading()) == {"pid": {"inq": [XES]}}
    where = {"name": "neutron diffraction"}
    assert pan_ontology(where, reading()) == {"pid": {"inq": relatives("neutron diffraction")}}


@pytest.mark.parametrize("op", ["neq", "nlike", "nilike"])
def test_a_negation_becomes_nin(op: str, reading: Make) -> None:
    where = {"name": {op: "x-ray emission spectroscopy"}}
    found = pan_ontology(where, reading())
    assert list(found["pid"]) == ["nin"]
    assert XES in found["pid"]["nin"]


def test_and_and_or_keep_their_sides(reading: Make) -> None:
    where = {"and": [{"name": "XES"}, {"name": {"nin": ["SAXS"]}}]}
    (first, second) = pan_ontology(where, reading())["and"]
    assert first == {"pid": {"inq": [XES]}}
    assert second == {"pid": {"nin": relatives("SAXS")}}


def test_an_unknown_term_becomes_an_empty_list(reading: Make) -> None:
    assert pan_ontology({"name": "astrology"}, reading()) == {"pid": {"inq": []}}
    assert pan_ontology({"name": {"neq": "astrology"}}, reading()) == {"pid": {"nin": []}}


def test_a_label_of_an_earlier_release_still_stands_for_its_term(reading: Make) -> None:
    below = sorted(PANET + one for one in load_panet().official_relatives("PaNET01012"))
    assert pan_ontology({"name": "x-ray probe"}, reading()) == {"pid": {"inq": below}}
    assert pan_ontology({"name": {"neq": "x-ray probe"}}, reading()) == {"pid": {"nin": below}}
    both = pan_ontology({"name": {"inq": ["XES", "x-ray probe"]}}, reading())
    assert both == {"pid": {"inq": below}}
    assert XES in below


def test_unknown_words_are_refused(reading: Make) -> None:
    with pytest.raises(BadRequest, match="Did you mean 'name'"):
        pan_ontology({"nmae": "x"}, reading())
    with pytest.raises(BadRequest, match="Did you mean 'where'"):
        find_techniques({"wher": {}}, reading(), 1)


def dataset(*ids: str) -> dict[str, Any]:
    return {"techniques": [{"name": one, "panet": one, "panetId": PANET + one} for one in ids]}


@pytest.mark.parametrize(
    ("where", "tags", "expected"),
    [
        ({"name": "small angle scattering"}, ["PaNET01188"], True),
        ({"name": "SAXS"}, ["PaNET01189"], False),
        ({"pid": PANET + "PaNET01188"}, ["PaNET01188"], True),
        ({"name": {"neq": "SAXS"}}, ["PaNET01188", "PaNET01200"], False),
        ({"name": {"neq": "SAXS"}}, ["PaNET01200"], True),
        ({"name": {"nin": ["SAXS", "XES"]}}, ["PaNET01200"], False),
        ({"name": {"nin": ["SAXS", "XES"]}}, [], True),
        ({"name": {"inq": ["SAXS", "XES"]}}, ["PaNET01200"], True),
        ({"and": [{"name": "SAXS"}, {"name": "XES"}]}, ["PaNET01188", "PaNET01200"], True),
        ({"and": [{"name": "SAXS"}, {"name": "XES"}]}, ["PaNET01188"], False),
        ({"name": "astrology"}, ["PaNET01188"], False),
        ({"name": {"neq": "astrology"}}, ["PaNET01188"], True),
        ({"name": {"ilike": "emission spec"}}, ["PaNET01200"], True),
        ({"text": "EMISSION SPEC"}, ["PaNET01200"], True),
        ({"name": {"regexp": "/^x-ray emission/i"}}, ["PaNET01200"], True),
    ],
)
def test_conditions_are_about_the_dataset_not_its_rows(
    where: Any, tags: list[str], expected: bool, reading: Make
) -> None:
    """crosswalks 2.4: neq and nin mean "has none of them"; and means one tag in each set"""
    node = read_technique_where(where, reading(), "where").node
    assert holds("Dataset", node, dataset(*tags)) is expected


def test_a_name_that_panet_does_not_know_is_compared_as_sent(reading: Make) -> None:
    node = read_technique_where({"name": "home-made method"}, reading(), "where").node
    assert holds("Dataset", node, {"techniques": [{"name": "home-made method"}]})
    assert not holds("Dataset", node, dataset("PaNET01188"))


def test_a_synonym_names_the_technique_and_not_the_process() -> None:
    """crosswalks 3.7: ids below 02000 are preferred"""
    assert technique_ids("small angle scattering") == ("PaNET01124",)


TAGS = {
    "rixs": ["PaNET01183"],
    "anomalous": ["PaNET01275"],
    "gisaxs": ["PaNET01162"],
    "inelastic": ["PaNET01281"],
    "magnetic": ["PaNET01313"],
    "emission": ["PaNET01200"],
    "emission and magnetic": ["PaNET01200", "PaNET01313"],
    "emission and gisaxs": ["PaNET01200", "PaNET01162"],
    "neutrons": ["PaNET01189"],
}
SMALL, MAGNETISM, XRAY = "PaNET01124", "PaNET00207", "PaNET01012"
SMALL_ANGLE = {"anomalous", "gisaxs", "inelastic", "emission and gisaxs", "neutrons"}
MAGNETIC = {"magnetic", "emission and magnetic"}
EMISSION = {"emission", "emission and magnetic", "emission and gisaxs"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"name": "x-ray emission spectroscopy"}, EMISSION),
        ({"name": {"neq": "x-ray emission spectroscopy"}}, set(TAGS) - EMISSION),
        ({"name": "small angle scattering"}, SMALL_ANGLE),
        ({"pid": {"eq": PANET + SMALL}}, SMALL_ANGLE),
        ({"name": {"neq": "small angle scattering"}}, set(TAGS) - SMALL_ANGLE),
        ({"pid": {"neq": PANET + SMALL}}, set(TAGS) - SMALL_ANGLE),
        ({"and": [{"name": "small angle scattering"}, {"name": "magnetism technique"}]}, set()),
        ({"or": [{"pid": PANET + SMALL}, {"pid": PANET + MAGNETISM}]}, SMALL_ANGLE | MAGNETIC),
        (
            {"and": [{"name": "small angle scattering"}, {"name": "x-ray probe"}]},
            SMALL_ANGLE - {"neutrons"},
        ),
        ({"or": [{"name": "small angle scattering"}, {"name": "x-ray probe"}]}, set(TAGS)),
        (
            {"and": [{"name": "small angle scattering"}, {"name": {"neq": "x-ray probe"}}]},
            {"neutrons"},
        ),
        ({"and": [{"pid": PANET + SMALL}, {"pid": {"neq": PANET + XRAY}}]}, {"neutrons"}),
        (
            {"and": [{"name": "small angle scattering"}, {"name": {"neq": "magnetism technique"}}]},
            SMALL_ANGLE,
        ),
    ],
)
def test_the_kinds_of_question_that_scicat_publishes(
    where: Any, expected: set[str], reading: Make
) -> None:
    """The ten kinds of technique query that SciCat's Search API documents as verified: a
    technique, none of it, both, either, one without the other, by name and by IRI."""
    node = read_technique_where(where, reading(), "where").node
    assert {name for name, ids in TAGS.items() if holds("Dataset", node, dataset(*ids))} == expected
