"""Technique strings and ids of a record → technique objects."""

from __future__ import annotations

import pytest

from mappings.tags import keyword_tags, technique_tags, techniques_in_list, without_repeats

SAXS_IRI = "http://purl.org/pan-science/PaNET/PaNET01188"


@pytest.mark.parametrize(
    "identifier",
    [
        SAXS_IRI,
        "https://purl.org/pan-science/PaNET/PaNET01188",
        "PaNET01188",
    ],
)
def test_an_id_in_any_writing_is_one_term(identifier: str) -> None:
    (tag,) = technique_tags("SAXS", identifier)
    assert (tag["panet"], tag["panetId"], tag["pid"]) == ("PaNET01188", SAXS_IRI, identifier)
    assert (tag["name"], tag["rule"], tag["confidence"]) == ("SAXS", "id", 1.0)


def test_an_id_alone_has_the_name_of_its_term() -> None:
    (tag,) = technique_tags(None, "PaNET01189")
    assert tag["name"] == "small angle neutron scattering"
    (tag,) = technique_tags("PaNET01189")
    assert tag["name"] == "small angle neutron scattering"
    (tag,) = technique_tags("PaNET01189", "PaNET01189")
    assert tag["name"] == "small angle neutron scattering"


def test_a_label_that_panet_renamed_still_means_its_id() -> None:
    """ESS tags 00101 "neutron probe"; PaNET says something else today."""
    (tag,) = technique_tags("neutron probe", "http://purl.org/pan-science/PaNET/PaNET00101")
    assert tag["panet"] == "PaNET00101"
    assert tag["rule"] == "id"


def test_a_label_that_contradicts_its_id_is_followed_with_less_confidence() -> None:
    """One DESY dataset has 01177 (x-ray fluorescence) named "X-Ray Reflectivity (XRR)"."""
    (tag,) = technique_tags(
        "X-Ray Reflectivity (XRR)", "https://purl.org/pan-science/PaNET/PaNET01177"
    )
    assert tag["panet"] == "PaNET01149"
    assert tag["confidence"] < 0.9
    assert tag["evidence"] == "PaNET01177 (x-ray fluorescence)"


def test_a_broader_or_narrower_label_is_no_contradiction() -> None:
    (tag,) = technique_tags("small angle scattering", "PaNET01188")
    assert (tag["panet"], tag["rule"]) == ("PaNET01188", "id")


@pytest.mark.parametrize("identifier", ["PaNET2020072", "PaNET99999", "31-2", "urn:uuid:1"])
def test_ids_that_are_no_techniques_leave_it_to_the_label(identifier: str) -> None:
    """§4.3: PaNET2xxxxxx are probes and processes, never linked."""
    (tag,) = technique_tags("small angle x-ray scattering", identifier)
    assert (tag["panet"], tag["pid"]) == ("PaNET01188", identifier)
    assert technique_tags("water divination", identifier) == [
        {"name": "water divination", "pid": identifier}
    ]
    assert technique_tags(None, "31-2") == technique_tags(None, "PaNET99999") == []


def test_nothing_is_nothing() -> None:
    assert technique_tags(None) == technique_tags("n/a", " ") == technique_tags(5) == []


def test_a_very_long_label_stays_text() -> None:
    label = "SAXS " * 100
    assert technique_tags(label) == [{"name": label.strip()}]
    (tag,) = technique_tags(label, "PaNET01188")
    assert tag["panet"] == "PaNET01188"


def test_comma_lists_are_cut_outside_brackets_and_repeats_dropped() -> None:
    """Fault D06."""
    tags = techniques_in_list("SAXS, small angle x-ray scattering (SAXS, bio); water divination,")
    assert [tag.get("panet") for tag in tags] == ["PaNET01188", None]


def test_keywords_name_techniques_only_when_certain() -> None:
    assert keyword_tags("small angle x-ray scattering", ())[0]["panet"] == "PaNET01188"
    for word in ("battery", "phase", "water divination", "x" * 200):
        assert keyword_tags(word, ()) == ()


def test_of_two_tags_for_one_term_the_surer_one_stays() -> None:
    unsure = {"name": "saxs?", "panet": "PaNET01188", "confidence": 0.5}
    sure = {"name": "SAXS", "panet": "PaNET01188", "confidence": 1.0}
    assert without_repeats([unsure, sure, {"name": "odd"}, {"name": "ODD"}]) == [
        sure,
        {"name": "odd"},
    ]
