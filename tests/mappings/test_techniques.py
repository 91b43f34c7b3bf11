"""PaNET as a graph: what lies below what, and how near techniques are (§4.1, §4.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.errors import UnknownTechnique, UnreadableOntology
from mappings.techniques import (
    GraphException,
    Panet,
    Term,
    canonical_iri,
    find_id,
    load_panet,
    read_terms,
    write_terms,
)

SAXS, SANS, SFX, SSX, XRD = "PaNET01188", "PaNET01189", "PaNET01168", "PaNET01169", "PaNET01216"
IDS = st.sampled_from(sorted(load_panet().terms))


def test_a_term_may_have_several_parents() -> None:
    assert set(load_panet().official_parents(SAXS)) == {"PaNET01124", "PaNET01184"}


def test_serial_femtosecond_crystallography_is_cut_from_the_synchrotrons_and_stays_official() -> (
    None
):
    """§4.2"""
    panet = load_panet()
    assert SFX not in panet.descendants(SSX)
    assert SFX in panet.descendants("PaNET01082"), "still crystallography"
    assert SFX in panet.official_relatives(SSX)
    assert SFX in panet.official_children(SSX)


def test_saxs_is_nearer_to_sans_than_to_tomography() -> None:
    panet = load_panet()
    assert panet.similarity(SAXS, SANS) > panet.similarity(SAXS, "PaNET01129")
    assert panet.similarity(SAXS, SAXS) == 1.0


def test_a_probe_is_what_the_term_says() -> None:
    panet = load_panet()
    assert panet.probe(SAXS) == "photon"
    assert panet.probe(SANS) == "neutron"
    assert panet.probe("PaNET01129") is None


@pytest.mark.parametrize(
    "text",
    [
        "PaNET01188",
        "panet:PaNET01188",
        "https://purl.org/pan-science/PaNET/PaNET01188",
        "PaNET_01188",
    ],
)
def test_every_form_of_an_id_is_one(text: str) -> None:
    assert find_id(text) == SAXS
    assert load_panet().term(text).iri == canonical_iri(SAXS)


def test_an_unknown_id_is_refused_by_name() -> None:
    with pytest.raises(UnknownTechnique, match="PaNET09999"):
        load_panet().term("PaNET09999")


def test_a_graph_above_itself_is_refused() -> None:
    first = Term("PaNET01001", "", "a", (), ("PaNET01002",))
    second = Term("PaNET01002", "", "b", (), ("PaNET01001",))
    with pytest.raises(UnreadableOntology):
        Panet((first, second))


def test_an_exception_about_an_unknown_term_is_refused() -> None:
    with pytest.raises(UnreadableOntology):
        Panet((Term("PaNET01001", "", "a", (), ()),), (GraphException("PaNET01001", "PaNET1", ""),))


def test_terms_are_written_as_they_are_read(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "terms.tsv"
    terms = tuple(load_panet().terms.values())
    write_terms(path, terms)
    assert read_terms(path) == terms


@given(IDS, IDS)
def test_similarity_is_symmetric_and_between_nought_and_one(first: str, second: str) -> None:
    panet = load_panet()
    value = panet.similarity(first, second)
    assert value == panet.similarity(second, first)
    assert 0.0 <= value <= 1.0


@given(IDS, IDS)
def test_above_and_below_are_each_others_reverse(first: str, second: str) -> None:
    panet = load_panet()
    assert (first in panet.descendants(second)) == (second in panet.ancestors(first))


@given(IDS)
def test_information_grows_downwards(identifier: str) -> None:
    panet = load_panet()
    own = panet.information_content(identifier)
    assert all(panet.information_content(one) <= own for one in panet.ancestors(identifier))
