"""What is read by a short cut is read as the long way reads it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from mapping_records import mapped

from mappings import (
    Context,
    Header,
    MappingError,
    checks,
    crosswalk,
    dates,
    identifiers,
    people,
    rights,
    values,
)
from mappings.formats.xml import attribute, text_of
from mappings.schema import MODELS, validated
from mappings.text import known

XML_TEXT = st.text(
    st.characters(
        exclude_categories=["Cs"],
        exclude_characters=[chr(n) for n in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)],
    ),
    max_size=40,
)
ZONES = st.sampled_from(["UTC", "Europe/Paris", "Asia/Tokyo", "America/Los_Angeles"])


@given(XML_TEXT)
@example("n/a")
@example(" blank first")
@example("blank last ")
@example("two  blanks")
@example("a\tb")
@example("del\x7fete")
@example("H<sub>2</sub>O")
@example("R&amp;D")
def test_the_text_of_an_element(text: str) -> None:
    element = etree.Element("title")
    element.text = text
    assert text_of(element) == known(text)


@pytest.mark.parametrize("written", ["rightsURI", "rightsuri", "{urn:x}RightsURI"])
def test_an_attribute_by_local_name_in_any_case(written: str) -> None:
    element = etree.Element("rights", {written: " https://example.org "})
    assert attribute(element, "rightsURI") == "https://example.org"
    assert attribute(element, "rightsIdentifier") is None


INSTANTS = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z".format,
    st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.integers(0, 24),
    st.integers(0, 60), st.integers(0, 61),
)  # fmt: skip


@given(INSTANTS | st.text("0123456789-:TZW", min_size=20, max_size=20), ZONES)
@example("2018-12-31T23:30:00Z", "Asia/Tokyo")
@example("2018-W01-1T07:30:00Z", "UTC")
@example("0999-05-05T07:30:00Z", "UTC")
@example("9999-05-05T07:30:00Z", "UTC")
@example("2016-12-31T23:59:60Z", "UTC")
@example("2016-05-05T24:00:00Z", "UTC")
def test_an_instant(text: str, time_zone: str) -> None:
    assert dates.moment(text, time_zone) == dates._moment(text, time_zone)


@given(st.from_regex(r"\A(doi:)?10\.[0-9]{4,9}/[A-Za-z0-9._/-]{0,20}\Z") | st.text(max_size=30))
@example("doi:doi:10.5072/demo-1")
@example("doi: 10.5072/demo-1")
def test_a_plain_doi(text: str) -> None:
    assert identifiers.identify(text) == identifiers._identify(text)


@given(
    st.builds(
        "{}{}{}".format,
        st.from_regex(r"\A[0-9]{1,20}(\.[0-9]{0,5})?\Z") | st.text("0123456789.,e", max_size=8),
        st.sampled_from(["", " ", "  "]),
        st.sampled_from(["", "B", "MiB", "GB", "kb", "parsecs"]),
    ),
    st.sampled_from([None, "MB", "furlong"]),
)
def test_a_size(text: str, unit: str | None) -> None:
    assert values.size_in_bytes(text, unit) == values._size_written_otherwise(text, unit)


AGENTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["Doe", "Meyer-Roe", "-", "12", "Labor", "Institut-X", "van Doe", "Ångström", ""]
    )
    | st.text(max_size=8),
    st.sampled_from([", ", ",", " ", ";", " (", ", , "]),
    st.sampled_from(["Jane", "J.", "e.V.", ".", "J. P.", "GmbH", "jane@example.org", "Zoë", "7"])
    | st.text(max_size=8),
)


@given(AGENTS)
@example("DESY, Hamburg")
@example("Doe, ")
@example(", Jane")
@example("al, et")
@example("İnstitut, K")
def test_a_name_with_a_comma(text: str) -> None:
    name = known(text)
    if name is not None:
        whole = None if people.is_institute(name) else people._read_name(name)
        assert people.agent_name(name) == whole


NAMES = st.lists(
    st.sampled_from(
        ["Jane Doe", "Doe Jane", "doe jane", "Doe, Jane,", "Jan Edoe", "Weiß A", "Weiss A",
         "A WEISS", "Müller J", "J Müller", "Li"]
    ),
    max_size=5,
)  # fmt: skip


@given(NAMES)
def test_the_same_person_once(names: list[str]) -> None:
    members: list[dict[str, Any]] = [{"person": {"fullName": name}} for name in names]
    shown = [one["person"]["fullName"] for one in people.without_repeats(copy.deepcopy(members))]
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(people._same_name(name), name)
    assert shown == list(kept.values())


PIECES = st.lists(
    st.builds(
        rights.evidence,
        st.sampled_from(["open", "licence", "embargoed"]),
        st.sampled_from("ab"),
        st.sampled_from("cd"),
    ),
    max_size=5,
)  # fmt: skip


@given(PIECES)
def test_each_piece_of_evidence_once_in_a_fixed_order(pieces: list[dict[str, str]]) -> None:
    seen: dict[tuple[str, str, str], dict[str, str]] = {}
    for piece in pieces:
        seen.setdefault((piece["says"], piece["path"], piece["value"]), piece)
    assert rights.decide(pieces)["evidence"] == [seen[one] for one in sorted(seen)]


def test_a_shared_access_block_is_believed_and_nothing_else() -> None:
    document, dataset = mapped("panosc", "panosc_xfel_700000.xml").entities
    assert document["access"] is dataset["access"]
    odd: dict[str, Any] = {"evidence": "none"}
    for entity in (document, dataset):
        check = checks.compiled(MODELS[entity["class"]])
        assert check({**entity, "access": odd}, odd), "whoever hands it over has looked at it"
        assert not check({**entity, "access": odd}, {"evidence": "none"})
        assert not check({**entity, "access": odd})
        without = {name: value for name, value in entity.items() if name != "access"}
        assert not check(without, odd)
        assert not check({**without, "surprise": odd}, odd)
        with pytest.raises(MappingError):
            validated({**entity, "access": odd})


def test_what_fits_a_pattern_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST_REMEMBERED", 3)
    (document, _) = mapped("panosc", "panosc_xfel_700000.xml").entities
    check = checks.compiled.__wrapped__(MODELS["Document"])
    for number in range(10):
        assert check({**document, "key": f"document:doi:10.5072/{number}"})
        assert not check({**document, "key": f"document:doy:10.5072/{number}"})
        assert not check({**document, "key": "document:doi:\ud800"})


PEOPLE = (
    {"role": "pi", "person": {"fullName": "Doe, Jane", "orcid": "0000-0000-0000-0000"}},
    {"role": "pi", "person": {"fullName": "Roe, Jo"}, "affiliation": {"name": "ESS"}},
    {"role": "pi", "person": {"fullName": "al."}},
)


def test_whoever_was_met_before_is_read_and_noted_as_at_first() -> None:
    """An ORCID that is none is noted of each record that has it."""
    record = {"pid": "10.5072/people", "members": [*PEOPLE, *PEOPLE]}
    context, header = Context("ESS"), Header("documents/1")
    first = crosswalk("panosc-document", record, context, header)
    again = crosswalk("panosc-document", record, context, header)
    assert again == first
    members = first.entities[0]["members"]
    assert [one["person"]["fullName"] for one in members] == ["Jane Doe", "Jo Roe"] * 2
    assert [one.path for one in again.problems] == [
        "$.members[].person.orcid",
        "$.members[].person",
    ] * 2


def test_a_technique_is_linked_by_the_probes_of_its_source() -> None:
    record = {"pid": "10.5072/runs", "techniques": [{"name": "small angle scattering"}] * 2}
    found = [
        crosswalk("panosc-dataset", record, Context("X", probes=probes), Header("d")).entities[0]
        for probes in (("neutron",), ("photon",), ("neutron",))
    ]
    neutrons, photons, again = ([tag["panet"] for tag in one["techniques"]] for one in found)
    assert neutrons == again != photons
