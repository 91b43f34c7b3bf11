"""``oai_dc``: what little it says, kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from mapping_records import HEADER, dc, mapped, only, reasons, unused

from mappings import Context, Mapped, access_at, crosswalk

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _dc(inner: str, **context: Any) -> Mapped:
    identifier = "<dc:identifier>10.5072/X</dc:identifier>"
    return crosswalk("oai_dc", dc(identifier + inner), Context("Demo", **context), HEADER)


def test_icat_says_when_in_words_before_the_date() -> None:
    document = only(mapped("oai_dc", "oai_dc_icat.xml"))
    assert document["key"] == "document:doi:10.5072/demo-1"
    assert document["startDate"] == "2021-03-01T07:00:00Z"
    assert document["endDate"] == "2021-03-04T06:00:00Z"
    assert document["releaseDate"] == "2024-03-04T00:00:00Z"
    assert document["license"] == "CC0-1.0"
    assert document["kind"] == "data"  # a Collection with experiment dates is an investigation
    assert document["members"][0]["person"] == {
        "fullName": "Jane Doe", "firstName": "Jane", "lastName": "Doe",
    }  # fmt: skip
    assert access_at(document["access"], NOW).state == "unknown"  # embargo over, CC0: no proof


def test_scicat_says_the_same_rights_of_every_record() -> None:
    """§2.2: a constant of the source is no evidence; the detail page is a link."""
    document = only(mapped("oai_dc", "oai_dc_scicat.xml"))
    assert document["releaseDate"] == "2018"
    assert not {"startDate", "years"} & document.keys()
    assert {"rel": "landing", "url": "https://example.org/detail/10.17199%2FDEMO%2F1"} in document[
        "links"
    ]
    answer = access_at(document["access"], NOW)
    assert (answer.state, answer.reason) == (
        "unknown",
        "the facility says the same of every record, which proves nothing",
    )


@pytest.mark.parametrize(
    ("rights", "state"),
    [
        ("info:eu-repo/semantics/openAccess", "open"),
        ("info:eu-repo/semantics/embargoedAccess", "unknown"),
        ("http://purl.org/coar/access_right/c_16ec", "restricted"),
        ("http://purl.org/coar/access_right/c_14cb", "metadata_only"),
        ("CC BY-NC 4.0", "unknown"),
        ("Ask the librarian", "unknown"),
    ],
)
def test_rights_become_one_of_five_states(rights: str, state: str) -> None:
    document = only(_dc(f"<dc:rights>{rights}</dc:rights>"))
    assert access_at(document["access"], NOW).state == state


def test_openness_that_is_a_constant_of_the_source_is_no_evidence() -> None:
    open_access = "<dc:rights>info:eu-repo/semantics/openAccess</dc:rights>"
    document = only(_dc(open_access, is_public_is_constant=True))
    assert access_at(document["access"], NOW).state == "unknown"


def test_the_first_doi_wins_and_other_identifiers_are_kept() -> None:
    result = crosswalk(
        "oai_dc",
        dc(
            "<dc:identifier>hdl:21.11151/A</dc:identifier><dc:identifier>local 7</dc:identifier>"
            "<dc:identifier>https://doi.org/10.5072/First</dc:identifier>"
            "<dc:identifier>10.5072/second</dc:identifier><dc:identifier>10.5072/FIRST</dc:identifier>"
            "<dc:identifier>http://exa^mple.org</dc:identifier>"
        ),
        Context("Demo"),
        HEADER,
    )
    document = only(result)
    assert document["pid"] == document["doi"] == "10.5072/First"
    assert document["alternateIds"] == ["local 7", "21.11151/A", "10.5072/second", "10.5072/FIRST"]
    assert reasons(result)["dc/identifier"] == "no web address"


def test_one_subject_alone_is_a_list_and_several_are_not() -> None:
    """Fault D06: never split blindly; chemical names keep their commas."""
    alone = only(_dc("<dc:subject>LS-3436,LS-3437, 2,5-dihydroxybenzoic acid, x</dc:subject>"))
    assert alone["keywords"] == ["LS-3436", "LS-3437", "2,5-dihydroxybenzoic acid"]
    several = only(
        _dc("<dc:subject>Physics, condensed matter</dc:subject><dc:subject>ice; water</dc:subject>")
    )
    assert several["keywords"] == ["Physics, condensed matter", "ice", "water"]
    told = only(
        _dc(
            "<dc:subject>a1|b2</dc:subject><dc:subject>c3</dc:subject>",
            options={"keyword_separator": "|"},
        )
    )
    assert told["keywords"] == ["a1", "b2", "c3"]


def test_a_technique_among_the_subjects_makes_a_derived_dataset() -> None:
    document, dataset = _dc(
        "<dc:subject>small angle x-ray scattering</dc:subject><dc:subject>phase</dc:subject>"
    ).entities
    assert [technique["panet"] for technique in dataset["techniques"]] == ["PaNET01188"]
    assert dataset["derived"] is True
    assert document["keywords"] == ["small angle x-ray scattering", "phase"]


def test_formats_that_are_known_go_to_the_dataset() -> None:
    result = _dc("<dc:format>NeXus/HDF5</dc:format><dc:format>parchment</dc:format>")
    assert result.entities[1]["formats"] == ["NeXus", "HDF5"]
    assert unused(result) == {"dc/format": "parchment"}


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (["Dataset"], "data"),
        (["info:eu-repo/semantics/article"], "publication"),
        (["Poster"], "poster"),
        (["Software"], "software"),
        (["Collection"], "collection"),
        (["something else"], "other"),
        (["Text", "Poster"], "publication"),
        ([], "data"),
    ],
)
def test_kinds_are_kept_apart(types: list[str], kind: str) -> None:
    """§1.7."""
    document = _dc("".join(f"<dc:type>{text}</dc:type>" for text in types)).entities[0]
    assert document["kind"] == kind


def test_a_facility_may_say_the_type_itself() -> None:
    assert only(_dc("<dc:type>Collection</dc:type>"))["type"] == "Collection"
    assert only(_dc("<dc:type>Investigation</dc:type>"))["type"] == "proposal"
    told = only(_dc("<dc:type>Collection</dc:type>", document_type="proposal"))
    assert told["type"] == "proposal"


def test_dates_without_a_word_are_of_the_publication_and_ranges_of_the_experiment() -> None:
    """Fault D02: the three kinds of date are kept apart."""
    published = only(_dc("<dc:date>2019-05-05</dc:date><dc:date>2018</dc:date>"))
    assert published["releaseDate"] == "2018"
    assert "startDate" not in published
    experiment = only(_dc("<dc:date>2019-05-05/2019-05-07</dc:date>"))
    assert (experiment["startDate"], experiment["endDate"]) == ("2019-05-05", "2019-05-07")
    later = only(_dc("<dc:date>2019-05-05/</dc:date><dc:date>2022</dc:date>"))
    assert later["access"]["embargoUntil"] == "2023-01-01T00:00:00Z"


def test_dates_that_cannot_be_read_are_noted() -> None:
    result = _dc(
        "<dc:date>Created: soon/later</dc:date><dc:date>Available: Winter 2003</dc:date>"
        "<dc:date>updatedAt</dc:date><dc:date>Updated: 2020-01-01</dc:date>"
    )
    assert reasons(result) == {"dc/date": "no date"}
    assert unused(result) == {"dc/date": "Updated: 2020-01-01"}
    assert only(result)["releaseDate"] == "2003"  # a year in words: only as a release


def test_relations_keep_the_identifier_inside() -> None:
    result = _dc(
        "<dc:relation>Doe et al., Nature 2020, doi:10.5072/NATURE.7.</dc:relation>"
        "<dc:relation>https://example.org/x</dc:relation><dc:source>Demo Facility</dc:source>"
        "<dc:source>hdl:20.500.12269/A/1</dc:source>"
    )
    assert only(result)["related"] == [
        {"relation": "relation", "identifier": "10.5072/NATURE.7", "type": "DOI"},
        {"relation": "relation", "identifier": "https://example.org/x", "type": "URL"},
        {"relation": "source", "identifier": "20.500.12269/A/1", "type": "Handle"},
    ]
    assert unused(result) == {"dc/source": "Demo Facility"}


def test_institutes_and_nobody_are_no_persons() -> None:
    result = _dc(
        "<dc:creator>Demo Institute of Physics</dc:creator><dc:creator>al.</dc:creator>"
        "<dc:contributor>Jane Doe</dc:contributor><dc:creator>Doe, Jane</dc:creator>"
        "<dc:contributor>Demo GmbH</dc:contributor><dc:contributor>et al</dc:contributor>"
    )
    assert only(result)["members"] == [
        {"role": "creator", "affiliation": {"name": "Demo Institute of Physics"}},
        {
            "role": "contributor",
            "person": {"fullName": "Jane Doe", "firstName": "Jane", "lastName": "Doe"},
        },
        {"role": "contributor", "affiliation": {"name": "Demo GmbH"}},
    ]
    nobody = "no name of a person"
    assert reasons(result) == {"dc/creator": nobody, "dc/contributor": nobody}


def test_notes_of_one_record_are_bounded() -> None:
    result = _dc("<dc:coverage>C</dc:coverage><dc:creator>al.</dc:creator>" * 1500)
    assert (len(result.unmapped), len(result.problems)) == (1000, 1000)


def test_several_titles_and_descriptions() -> None:
    result = _dc(
        "<dc:title>One</dc:title><dc:title>Two</dc:title><dc:title>One</dc:title>"
        "<dc:description>A</dc:description><dc:description>B</dc:description>"
        "<dc:description>A</dc:description><dc:publisher>P</dc:publisher><dc:coverage>C</dc:coverage>"
    )
    assert (only(result)["title"], only(result)["summary"]) == ("One", "A B")
    assert unused(result) == {"dc/title": "Two", "dc/coverage": "C"}
