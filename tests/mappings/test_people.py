"""Names, roles, and who is nobody."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.people import (
    Name,
    agent_name,
    is_institute,
    member,
    person_name,
    role,
    without_emails,
    without_repeats,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Fabio Dall'Antonia", Name("Fabio Dall'Antonia")),
        ("Pojer, Florence", Name("Florence Pojer", "Florence", "Pojer")),
        ("Choiniere,Jonah", Name("Jonah Choiniere", "Jonah", "Choiniere")),
        ("GUTFREUND Philipp", Name("Philipp GUTFREUND", "Philipp", "GUTFREUND")),
        ("Philipp GUTFREUND", Name("Philipp GUTFREUND", "Philipp", "GUTFREUND")),
        ("Maria de LA CRUZ", Name("Maria de LA CRUZ", "Maria", "de LA CRUZ")),
        ("J. DOE", Name("J. DOE", "J.", "DOE")),
        ("JANE DOE", Name("JANE DOE")),
        ("Jane DOE Mary ROE", Name("Jane DOE Mary ROE")),
        ("Jane DOE Mary", Name("Jane DOE Mary")),
        (" Jane  Doe ", Name("Jane Doe")),
        ("Doe,", Name("Doe")),
        ("Doe, Jane, Dr.", Name("Doe, Jane, Dr.")),
        ("某人", Name("某人")),
        ("Jane Doe jane@example.org", Name("Jane Doe")),
        ("Jane Doe <jane@example.org>", Name("Jane Doe")),
    ],
)
def test_only_what_the_writing_tells_is_cut(text: str, name: Name) -> None:
    assert person_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["al.", "et al", ":unav", ":null", "", "12345", "--", "jane@example.org", "n/a", "Others"],
)
def test_nobody_is_no_person(text: str) -> None:
    assert person_name(text) is None


@pytest.mark.parametrize(
    ("text", "institute"),
    [
        ("Helmholtz-Zentrum Berlin", True),
        ("University of Somewhere", True),
        ("Institut Laue-Langevin", True),
        ("Demo GmbH", True),
        ("Facility, Demo", True),
        ("Jane Doe", False),
        ("Instone, Tom", False),
    ],
)
def test_institutes_are_told_from_persons(text: str, institute: bool) -> None:
    assert is_institute(text) is institute
    assert (agent_name(text) is None) is institute


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("principal_investigator", "principal investigator"),
        ("PI", "principal investigator"),
        ("ProjectManager", "principal investigator"),
        ("DataCollector", "local contact"),
        ("ContactPerson", "contact"),
        ("Editor", "Editor"),
    ],
)
def test_one_spelling_for_each_role(sent: str, kept: str) -> None:
    assert role(sent) == kept


def test_the_same_person_once() -> None:
    jane = member(Name("Jane Doe", "Jane", "Doe"), role_name="creator")
    again = member(Name("Doe Jane"), role_name="author", orcid_text="0000-0002-1825-0097")
    lab = {"role": "creator", "affiliation": {"name": "Lab"}}
    other = member(Name("Jane Doe"), orcid_text="0000-0002-1694-233X")
    merged = without_repeats([jane, again, lab, other, dict(lab)])
    assert [m.get("person", {}).get("orcid") for m in merged] == [
        "0000-0002-1825-0097", None, "0000-0002-1694-233X", None,
    ]  # fmt: skip
    assert merged[0]["role"] == "creator"
    assert merged[0]["person"]["fullName"] == "Jane Doe"


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text_is_a_name_or_none(text: str) -> None:
    name = person_name(text)
    if name is not None:
        assert name.full == " ".join(name.full.split())
        assert name.full


def test_no_address_stays_in_what_operators_read() -> None:
    """§11.1."""
    assert without_emails("write to <jane@example.org>, or j.d@x.org") == (
        "write to (e-mail), or (e-mail)"
    )
    assert without_emails("10 @ 5 K") == "10 @ 5 K"
