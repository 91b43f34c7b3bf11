"""Hits in other forms: what harvested text must not do to the programs that read them."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from search_api.exports import export, write_bibtex, write_csv, write_datacite, write_ris

NASTY = [
    '=cmd|"/C calc"!A0',
    "@SUM(A1)",
    "{unbalanced",
    "}closed{",
    "\\input{/etc/passwd}",
    "100% & $5 #1 _x_ ~y Fe^{2+}",
    "ER  - \nTY  - JOUR",
]


def hit(title: str, **fields: Any) -> dict[str, Any]:
    shown = {
        "key": "document:doi:10.5072/a_b",
        "type": "Document",
        "kind": "data",
        "pid": "10.5072/a_b",
        "doi": "10.5072/a_b",
        "title": title,
        "facility": "A",
        "facilities": ["A"],
        "access": {"state": "open", "open_from": None},
        "techniques": [],
        "samples": [],
        "instruments": [],
        "services": [{"name": "DOI", "url": "https://doi.org/10.5072/a_b%20c"}],
        "startDate": "2018-02-01",
    }
    return {**shown, **fields}


@pytest.mark.parametrize("title", NASTY)
def test_braces_of_bibtex_stay_balanced(title: str) -> None:
    """BibTeX counts braces, also those after a backslash: one too many takes all later entries."""
    depth = 0
    for character in write_bibtex([hit(title)]):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_bibtex_writes_signs_that_latex_prints() -> None:
    (title,) = re.findall(r"title = \{(.*)\},\n", write_bibtex([hit("Fe^{2+} ~ 5 % \\ a_b")]))
    assert title == (
        r"Fe\textasciicircum{}\textbraceleft{}2+\textbraceright{} \textasciitilde{} 5 \% "
        r"\textbackslash{} a\_b"
    )


def test_a_record_is_cited_by_the_same_key_wherever_it_stands() -> None:
    """It had its place in the list in it, so that a text lost its citations with another search."""
    one, other = hit("x"), hit("y", pid="10.5072/c")
    assert re.findall(r"@misc\{(.*),", write_bibtex([one, other])) == ["10-5072-a-b", "10-5072-c"]
    assert re.findall(r"@misc\{(.*),", write_bibtex([other, one])) == ["10-5072-c", "10-5072-a-b"]
    like = hit("z", pid="10.5072/a-b")
    keys = re.findall(r"@misc\{(.*),", write_bibtex([one, like, one]))
    assert keys == ["10-5072-a-b", "10-5072-a-b-2", "10-5072-a-b-3"]


def test_bibtex_leaves_links_as_they_are() -> None:
    """An address with a backslash in it leads nowhere."""
    written = write_bibtex([hit("x")])
    assert "doi = {10.5072/a_b}" in written
    assert "url = {https://doi.org/10.5072/a_b%20c}" in written
    assert "doi = {10.5072/%7Ba%5C}" in write_bibtex([hit("x", doi="10.5072/{a\\")])


def test_an_institute_with_and_in_its_name_is_one_author() -> None:
    names = ["Institute for Science and Technology", "Müller, Eva", "a, b, c, d"]
    written = write_bibtex([hit("x", people=[{"name": name} for name in names])])
    authors = "{{Institute for Science and Technology} and Müller, Eva and {a, b, c, d}}"
    assert f"author = {authors}" in written


@pytest.mark.parametrize("title", NASTY)
def test_no_cell_is_a_formula(title: str) -> None:
    (row,) = csv.DictReader(io.StringIO(write_csv([hit(title)])))
    assert not row["title"].startswith(("=", "+", "-", "@"))
    assert title in row["title"]


@pytest.mark.parametrize("title", NASTY)
def test_a_reference_in_ris_has_one_beginning_and_one_end(title: str) -> None:
    tags = [line[:6] for line in write_ris([hit(title)]).split("\r\n")]
    assert tags[0] == "TY  - "
    assert (tags.count("TY  - "), tags.count("ER  - ")) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "general", "reference"),
    [("data", "Dataset", "DATA"), ("publication", "Text", "GEN"), ("software", "Software", "COMP")],
)
def test_things_are_cited_as_what_they_are(kind: str, general: str, reference: str) -> None:
    """Semantics 1.7: kinds are kept."""
    (cited,) = json.loads(write_datacite([hit("x", kind=kind)]))
    assert cited["types"] == {"resourceTypeGeneral": general}
    assert write_ris([hit("x", kind=kind)]).startswith(f"TY  - {reference}\r\n")


def test_a_citation_names_the_facility_in_full() -> None:
    for form, publisher in (
        ("bibtex", "publisher = {Facility \\& A}"),
        ("ris", "PB  - Facility & A"),
        ("datacite", '"publisher":"Facility & A"'),
    ):
        assert publisher in export(form, [hit("x")], {"A": "Facility & A"}).body.decode()
    assert "A,open" in export("csv", [hit("x")], {"A": "Facility & A"}).body.decode()
