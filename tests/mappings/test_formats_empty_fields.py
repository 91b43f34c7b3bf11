"""Fields that are there and say nothing: no trace of them in the entity, no note, no failure."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from mapping_records import HEADER, dc, only, reasons, resource, unused

from mappings import Context, crosswalk
from mappings.crosswalks import JSON_FORMATS, XML_FORMATS
from mappings.formats import xml
from mappings.formats.rules import Rules

CONTEXT = Context("Demo", "demo", "Europe/Paris")
XML_FIELDS = [
    (format_name, name) for format_name, (_, rules) in XML_FORMATS.items() for name in rules.readers
]
JSON_FIELDS = [
    (format_name, name)
    for format_name, (_, rules) in JSON_FORMATS.items()
    for name in rules.readers
    if format_name != "panosc-technique"
]


@pytest.mark.parametrize(("format_name", "name"), XML_FIELDS)
def test_an_empty_element(format_name: str, name: str) -> None:
    for inner in ("", "  \n ", "<!-- c -->", ":unav", "<x><!-- c --></x>"):
        _check_element(format_name, name, inner)


def _check_element(format_name: str, name: str, inner: str) -> None:
    root = {"panosc": "panosc", "oai_dc": "dc"}.get(format_name, "resource")
    element = etree.fromstring(f"<{root}><!-- c --><{name}>{inner}</{name}></{root}>")
    result = crosswalk(format_name, element, CONTEXT, HEADER)
    document = result.entities[0]
    assert document["key"] == "document:local:Demo:oai:example.org:1"
    assert not {"title", "summary", "members", "keywords", "startDate"} & document.keys()
    assert not {"releaseDate", "license", "links", "related"} & document.keys()
    assert result.problems == ()


@pytest.mark.parametrize(("format_name", "name"), JSON_FIELDS)
def test_an_empty_member(format_name: str, name: str) -> None:
    nothing: list[Any] = [None, "", " ", [], [None], {}, [{}], "n/a", [" "], {"name": " "}]
    for value in nothing:
        _check_member(format_name, name, value)


def _check_member(format_name: str, name: str, value: Any) -> None:
    record = {"pid": "7", "doi": "10.5072/x", "name": "D33", name: value}
    record |= {"pid": "7", "doi": "10.5072/x"}
    entity = crosswalk(format_name, record, CONTEXT, HEADER).entities[0]
    assert not {"title", "summary", "keywords", "startDate", "datasets"} & entity.keys()
    assert not {"techniques", "samples", "files", "parameters", "links"} & entity.keys()


def test_a_second_mention_adds_nothing_twice() -> None:
    document = only(
        crosswalk(
            "oai_dc",
            dc(
                "<dc:identifier>10.5072/x</dc:identifier><dc:identifier>doi:10.5072/x</dc:identifier>"
                "<dc:date>2018</dc:date><dc:date>2019</dc:date>"
            ),
            CONTEXT,
            HEADER,
        )
    )
    assert "alternateIds" not in document
    assert document["releaseDate"] == "2018"


def test_alternate_identifiers_that_identify_nothing_globally() -> None:
    inner = (
        "<alternateIdentifiers><alternateIdentifier>7</alternateIdentifier></alternateIdentifiers>"
    )
    document = only(crosswalk("datacite", resource(inner), CONTEXT, HEADER))
    assert document["key"] == "document:local:Demo:oai:example.org:1"
    assert document["alternateIds"] == ["7"]


def test_the_same_instrument_named_twice_is_one() -> None:
    inner = (
        "<identifier>10.5072/x</identifier><subjects>"
        "<subject subjectScheme='Instrument'>D33</subject></subjects>"
        "<relatedItems><relatedItem relatedItemType='Instrument'>"
        "<titles><title>d33</title></titles>"
        "<relatedItemIdentifier>i-1</relatedItemIdentifier></relatedItem>"
        "<relatedItem relatedItemType='Instrument'>"
        "<titles><title>D33</title></titles></relatedItem></relatedItems>"
    )
    document, dataset, instrument = crosswalk("datacite", resource(inner), CONTEXT, HEADER).entities
    assert document["instrumentNames"] == ["d33"]
    assert dataset["instrument"]["pid"] == instrument["pid"] == "i-1"


def test_small_oddities_of_json() -> None:
    person = {"fullName": "Jane Doe", "firstName": "Jane"}
    document = only(
        crosswalk(
            "panosc-document",
            {"pid": "1", "isPublic": 1, "keywords": 5, "members": [{"person": person}]},
            CONTEXT,
            HEADER,
        )
    )
    assert document["isPublic"] is True
    assert document["members"][0]["person"] == person
    two = {"pid": "1", "isPublic": 2}
    assert reasons(crosswalk("panosc-dataset", two, CONTEXT, HEADER)) == {
        "$.isPublic": "neither true nor false"
    }
    unnamed = {
        "pid": "1",
        "affiliation": [{"id": 1}],
        "creator": [{"name": "A", "affiliation": {}}],
    }
    assert unused(crosswalk("scicat-publisheddata", unnamed, CONTEXT, HEADER)) == {
        "$.pid": "1",
        "$.affiliation[].id": "1",
    }


def test_the_cache_of_element_names_does_not_grow_without_end() -> None:
    for number in range(5000):
        assert xml.NAMES[f"{{urn:x}}Name{number}"] == f"name{number}"
    assert len(xml.NAMES) <= 4096


def test_no_tag_is_remembered_for_ever() -> None:
    """A record whose every child has another name costs no memory that stays."""
    rules = Rules("demo", "Demo")
    rules.reads("title", ("title", "Document.title"))(len)
    rules.ignores("publisher", "known")
    readers = xml.Readers(rules, repr)
    assert readers["{urn:x}TITLE"] is len
    assert readers["publisher"] is readers[etree.Comment] is None
    for number in range(5000):
        assert readers[f"{{urn:x}}other{number}"] is repr
    assert len(readers) <= 4096
    assert readers["{urn:x}title"] is len


def test_the_text_of_mixed_content() -> None:
    element = etree.fromstring("<a> x<b>y</b> z </a>")
    assert xml.raw_text(element) == "xy z"
    assert xml.text_of(element) == "xy z"
