"""PaNET as a graph: what lies below what, and how near techniques are (§4.1, §4.2)."""

from __future__ import annotations

from pathlib import Path

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


def test_terms_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "terms.tsv"
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


def test_a_parent_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnreadableOntology, match="PaNET01002"):
        Panet((Term("PaNET01001", "", "a", (), ("PaNET01002",)),))


def test_terms_are_found_by_label_first_and_by_synonym() -> None:
    panet = load_panet()
    assert panet.named(" SAXS ")[0].id == SAXS
    assert panet.named("small angle scattering")[0].id == "PaNET01124"
    assert panet.named("lysozyme") == ()
    assert panet.find("lysozyme") is None


def test_the_least_common_subsumer_of_saxs_and_sans_is_small_angle_scattering() -> None:
    panet = load_panet()
    found = panet.least_common_subsumers(SAXS, SANS)
    assert found[0] == "PaNET01124"
    assert panet.least_common_subsumers(SAXS, SAXS) == (SAXS,)
    for one in found:
        assert not any(
            other != one and one in panet.ancestors(other)
            for other in panet.ancestors(SAXS) & panet.ancestors(SANS)
        )


def test_near_techniques_are_of_the_same_probe_unless_asked() -> None:
    """§4.1."""
    panet = load_panet()
    near = dict(panet.similar(SAXS))
    assert SANS not in near
    assert SAXS not in near
    assert all(panet.probe(one) in (None, "photon") for one in near)
    assert list(near.values()) == sorted(near.values(), reverse=True)
    wide = dict(panet.similar(SAXS, across_probes=True))
    assert near.items() <= wide.items()
    assert wide[SANS] == pytest.approx(panet.similarity(SAXS, SANS))
    assert panet.similar(SAXS, at_least=1.1) == ()


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableOntology, match="nowhere"):
        read_terms(tmp_path / "nowhere.tsv")


@given(IDS, IDS)
def test_lin_similarity_follows_from_the_information_content(first: str, second: str) -> None:
    """Lin (1998) over Seco's information content of the graph."""
    panet = load_panet()
    if first == second:
        assert panet.similarity(first, second) == 1.0
        return
    shared = panet.ancestors(first) & panet.ancestors(second)
    common = max((panet.information_content(one) for one in shared), default=0.0)
    total = panet.information_content(first) + panet.information_content(second)
    expected = min(2 * common / total, 1.0) if total else 0.0
    assert panet.similarity(first, second) == pytest.approx(expected)
