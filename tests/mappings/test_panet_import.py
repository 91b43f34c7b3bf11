"""A newer official PaNET file is read without losing what people already use."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings.errors import UnreadableOntology
from mappings.panet_import import import_owl
from mappings.techniques import GraphException, Panet, Term, canonical_iri

PREFIXES = """
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix p: <http://purl.org/pan-science/PaNET/> .
"""
GRAPH = (
    PREFIXES
    + """
p:PaNET00001 a owl:Class ; rdfs:label "technique"@en .
p:PaNET00100 a owl:Class ; rdfs:label "photon probe technique" ; rdfs:subClassOf p:PaNET00001 .
p:PaNET01022 a owl:Class ; rdfs:label "diffraction" ; rdfs:subClassOf p:PaNET00001 .
p:PaNET01216 a owl:Class ; rdfs:label "photon diffraction" ; skos:altLabel "XRD" ;
    owl:equivalentClass [ a owl:Class ; owl:intersectionOf ( p:PaNET00100 p:PaNET01022 ) ] .
p:PaNET01999 a owl:Class ; rdfs:label "new technique" ;
    rdfs:subClassOf p:PaNET00100, p:PaNET01022, p:PaNET00001 .
"""
)


def term(number: str, label: str, *parents: str) -> Term:
    identifier = f"PaNET{number}"
    above = tuple(f"PaNET{parent}" for parent in parents)
    return Term(identifier, canonical_iri(identifier), label, (), above)


KNOWN = Panet(
    (
        term("00001", "technique"),
        term("00100", "photon probe technique", "00001"),
        term("01216", "x-ray diffraction", "00100"),
        term("01500", "forgotten technique", "00100"),
    ),
    (GraphException("PaNET01216", "PaNET00100", "for this test"),
     GraphException("PaNET01500", "PaNET00001", "for this test")),
)  # fmt: skip


@pytest.fixture
def owl(tmp_path: Path) -> Path:
    path = tmp_path / "panet.ttl"
    path.write_text(GRAPH, encoding="utf-8")
    return path


def test_parents_come_from_subclasses_and_equivalences(owl: Path) -> None:
    terms = {one.id: one for one in import_owl(owl, KNOWN).terms}
    assert set(terms["PaNET01216"].parents) == {"PaNET00100", "PaNET01022"}


def test_what_is_below_all_that_defines_a_class_is_below_the_class(owl: Path) -> None:
    terms = {one.id: one for one in import_owl(owl, KNOWN).terms}
    assert terms["PaNET01999"].parents == ("PaNET01216",)


def test_an_old_label_stays_as_a_synonym(owl: Path) -> None:
    imported = import_owl(owl, KNOWN)
    terms = {one.id: one for one in imported.terms}
    assert terms["PaNET01216"].label == "photon diffraction"
    assert terms["PaNET01216"].synonyms == ("XRD", "x-ray diffraction")
    assert imported.relabelled == ("PaNET01216",)


def test_terms_that_the_file_lacks_stay_and_are_reported(owl: Path) -> None:
    imported = import_owl(owl, KNOWN)
    assert imported.missing == ("PaNET01500",)
    assert "PaNET01500" in {one.id for one in imported.terms}
    assert imported.added == ("PaNET01022", "PaNET01999")


def test_exceptions_that_no_longer_cut_anything_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "panet.ttl"
    path.write_text(
        PREFIXES + 'p:PaNET01216 a owl:Class ; rdfs:label "x-ray diffraction" .', encoding="utf-8"
    )
    imported = import_owl(path, KNOWN)
    assert [one.child for one in imported.unnecessary_exceptions] == ["PaNET01216"]


def test_rdf_xml_is_read_too(tmp_path: Path, owl: Path) -> None:
    from rdflib import Graph

    path = tmp_path / "panet.owl"
    Graph().parse(owl).serialize(path, format="xml")
    assert import_owl(path, KNOWN) == import_owl(owl, KNOWN)


@pytest.mark.parametrize(
    "content",
    ["", "no RDF at all <", "<html></html>", PREFIXES,
     PREFIXES + 'p:PaNET01216 a owl:Class ; rdfs:label "a" ; rdfs:subClassOf p:PaNET01217 .'
                'p:PaNET01217 a owl:Class ; rdfs:label "b" ; rdfs:subClassOf p:PaNET01216 .'],
)  # fmt: skip
def test_what_is_no_ontology_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "panet.owl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableOntology):
        import_owl(path, KNOWN)


def test_external_entities_are_refused(tmp_path: Path) -> None:
    """Fault I03."""
    path = tmp_path / "panet.owl"
    path.write_text(
        '<!DOCTYPE rdf:RDF [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">&x;</rdf:RDF>',
        encoding="utf-8",
    )
    with pytest.raises(UnreadableOntology, match="external entities"):
        import_owl(path, KNOWN)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableOntology, match="cannot be read"):
        import_owl(tmp_path / "nowhere.owl", KNOWN)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mappings.panet_import.MAX_FILE_BYTES", 10)
    path = tmp_path / "panet.owl"
    path.write_text(PREFIXES, encoding="utf-8")
    with pytest.raises(UnreadableOntology, match="10 at most"):
        import_owl(path, KNOWN)


def test_external_entities_are_not_read(tmp_path: Path) -> None:
    """Fault I03."""
    path = tmp_path / "panet.owl"
    path.write_text(
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">&x;</rdf:RDF>',
        encoding="utf-8",
    )
    with pytest.raises(UnreadableOntology, match="external entities"):
        import_owl(path, KNOWN)


def test_a_term_without_a_label_and_labels_of_other_languages_are_passed_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "panet.ttl"
    path.write_text(
        PREFIXES
        + 'p:PaNET01216 a owl:Class ; rdfs:label "x-ray diffraction", "Röntgenbeugung"@de .'
        + "p:PaNET01777 a owl:Class .",
        encoding="utf-8",
    )
    terms = {one.id: one for one in import_owl(path, KNOWN).terms}
    assert "PaNET01777" not in terms
    assert terms["PaNET01216"].label == "x-ray diffraction"
    assert terms["PaNET01216"].synonyms == ()
