"""``panosc`` over OAI-PMH: European XFEL's and SciCat's dialects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mappings import Context, Header, Mapped, access_at, crosswalk

DATA = Path(__file__).parents[1] / "data" / "mappings"
XFEL = Context("EuXFEL", "xfel-oai", "Europe/Berlin", probes=("photon",), lists_only_open=True)
HEADER = Header("oai:xfel.eu:30", "2022-10-27T09:59:47Z", ("openaire_data",))


@pytest.fixture(scope="module")
def proposal_700000() -> Mapped:
    return crosswalk("panosc", (DATA / "panosc_xfel_700000.xml").read_bytes(), XFEL, HEADER)


def test_proposal_700000_is_a_document_and_one_derived_dataset(proposal_700000: Mapped) -> None:
    document, dataset = proposal_700000.entities
    assert document["class"] == "Document"
    assert document["key"] == "document:doi:10.22003/xfel.eu-data-700000-00"
    assert document["pid"] == document["doi"] == "10.22003/XFEL.EU-DATA-700000-00"
    assert (document["type"], document["title"]) == ("proposal", "Example Data")
    assert document["startDate"] == "2017-11-07T23:00:00Z"
    assert document["releaseDate"] == "2017-12-31T23:00:00Z"
    assert [(m["role"], m["person"]["fullName"]) for m in document["members"]] == [
        ("owner", "Fabio Dall'Antonia"),
        ("contributor", "Luca Gelisio"),
    ]
    assert document["datasets"] == [dataset["key"]]
    assert dataset["documents"] == [document["key"]]
    assert dataset["derived"] is True
    assert dataset["creationDate"] == "2017-11-07T23:00:00Z"
    assert dataset["size"] == 9074975744
    assert "parameters" not in dataset
    assert (proposal_700000.unmapped, proposal_700000.problems) == ((), ())


def test_proposal_700000_has_five_linked_techniques(proposal_700000: Mapped) -> None:
    techniques = proposal_700000.entities[1]["techniques"]
    assert [technique["panet"] for technique in techniques] == [
        "PaNET01174", "PaNET01168", "PaNET01188", "PaNET01205", "PaNET01101",
    ]  # fmt: skip
    assert techniques[0]["pid"] == "http://purl.org/pan-science/PaNET/PaNET01174"
    assert techniques[0]["name"] == "coherent diffraction imaging"


def test_proposal_700000_has_seven_samples_and_not_no_sample(proposal_700000: Mapped) -> None:
    assert [sample["name"] for sample in proposal_700000.entities[1]["samples"]] == [
        "Water",
        "Lysozyme",
        "Lithium Titanate",
        "Vycor",
        "Sucrose Solution 33 v/v",
        "Potassium hexacyanoferrate(II) trihydrate",
        "Xenon",
    ]


def test_proposal_700000_is_open_because_this_facility_lists_open_proposals(
    proposal_700000: Mapped,
) -> None:
    """§2.2, §2.3: the embargo's end alone would not do; no opening date is claimed."""
    access = proposal_700000.entities[0]["access"]
    now = access_at(access, datetime(2026, 1, 1, tzinfo=UTC))
    assert now.state == "open"
    assert "lists only open proposals" in now.reason
    assert "2018-01-01 (local time)" in now.reason
    assert "openSince" not in access
    before = access_at(access, datetime(2017, 12, 31, 22, 59, tzinfo=UTC))
    assert (before.state, before.until) == ("embargoed", "2017-12-31T23:00:00Z")
    assert access_at(access, datetime(2017, 12, 31, 23, tzinfo=UTC)).state == "open"
