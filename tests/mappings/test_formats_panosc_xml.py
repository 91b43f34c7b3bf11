"""``panosc`` over OAI-PMH: European XFEL's and SciCat's dialects, and harvest-api's schema."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from mapping_records import mapped, only, reasons, unused

from mappings import Context, Header, Mapped, MappingError, access_at, crosswalk

XFEL = Context("EuXFEL", "xfel-oai", "Europe/Berlin", probes=("photon",), lists_only_open=True)
HEADER = Header("oai:xfel.eu:30", "2022-10-27T09:59:47Z", ("openaire_data",))


@pytest.fixture(scope="module")
def proposal_700000() -> Mapped:
    return mapped("panosc", "panosc_xfel_700000.xml", XFEL, HEADER)


def test_proposal_700000_is_a_document_and_one_derived_dataset(proposal_700000: Mapped) -> None:
    document, dataset = proposal_700000.entities
    assert document["class"] == "Document"
    assert document["key"] == "document:doi:10.22003/xfel.eu-data-700000-00"
    assert document["pid"] == document["doi"] == "10.22003/XFEL.EU-DATA-700000-00"
    assert (document["type"], document["title"]) == ("proposal", "Example Data")
    assert document["proposal"] == "700000"
    assert document["startDate"] == "2017-11-07T23:00:00Z"
    assert document["releaseDate"] == "2017-12-31T23:00:00Z"
    assert document["years"] == {"first": 2017, "last": 2017}
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


def test_without_the_policy_the_passed_embargo_of_700000_proves_nothing() -> None:
    closed_lipped = Context("EuXFEL", "xfel-oai", "Europe/Berlin")
    access = mapped("panosc", "panosc_xfel_700000.xml", closed_lipped).entities[0]["access"]
    answer = access_at(access, datetime(2026, 1, 1, tzinfo=UTC))
    assert answer.state == "unknown"
    assert "nobody confirmed" in answer.reason


def test_scicat_puts_panosc_into_the_dublin_core_namespace() -> None:
    """Wrong namespace, empty elements, a description that is only a wiki address."""
    document, dataset = mapped("panosc", "panosc_scicat_wrong_namespace.xml").entities
    assert document["type"] == "publication"
    assert "summary" not in document
    assert document["links"] == [{"rel": "description", "url": "https://example.org/wiki/HDF5"}]
    assert dataset["size"] == 30000
    assert not {"techniques", "samples", "parameters"} & dataset.keys()


def test_size_and_wavelength_may_have_children_for_value_and_units() -> None:
    result = mapped("panosc", "panosc_value_and_units.xml", Context("ILL", probes=("neutron",)))
    document, dataset = result.entities
    assert document["members"] == [
        {
            "role": "owner",
            "person": {
                "fullName": "Philipp GUTFREUND",
                "firstName": "Philipp",
                "lastName": "GUTFREUND",
                "orcid": "0000-0002-1825-0097",
            },
        }
    ]
    assert document["license"] == "CC-BY-4.0"
    assert (document["startDate"], document["endDate"]) == ("2019-05-01", "2019-05-03")
    assert dataset["size"] == 1_500_000_000
    formula, wavelength = dataset["parameters"]
    assert formula == {"name": "sample_chemical_formula", "value": "Li4Ti5O12"}
    assert wavelength["value"] == "5.5"
    assert wavelength["quantity"]["low"] == 5.5e-10
    assert wavelength["quantity"]["also"][0]["dimension"] == "energy"
    assert unused(result) == {
        "panosc/contactEmail": "(e-mail)",
        "panosc/beamtime": "morning shift",
    }


def test_the_configured_type_comes_first() -> None:
    context = Context("ESS", document_type="proposal")
    document = mapped("panosc", "panosc_scicat_wrong_namespace.xml", context).entities[0]
    assert document["type"] == "proposal"


def _panosc(inner: str) -> Mapped:
    text = f"<panosc><id>10.5072/X1</id>{inner}</panosc>"
    return crosswalk("panosc", text.encode(), Context("Demo"), HEADER)


def test_fields_that_cannot_be_read_are_dropped_and_noted() -> None:
    result = _panosc(
        "<owner>12345</owner><contributor>al.</contributor><license>ESS</license>"
        "<embargoEndDate>in spring</embargoEndDate><startDate>Winter 2003</startDate>"
        "<size>many</size><orcidOfOwner>0000-0000-0000-0000</orcidOfOwner>"
    )
    assert reasons(result) == {
        "panosc/owner": "no name of a person",
        "panosc/contributor": "no name of a person",
        "panosc/license": "no licence with an SPDX identifier",
        "panosc/embargoEndDate": "no date",
        "panosc/startDate": "a date in words is not certain enough here",
        "panosc/size": "no size in bytes",
        "panosc/orcidOfOwner": "no valid ORCID",
    }
    document, dataset = result.entities
    assert not {"members", "license", "startDate", "releaseDate", "years"} & document.keys()
    assert "size" not in dataset


def test_what_has_no_place_is_kept_as_evidence() -> None:
    result = _panosc(
        "<orcidOfOwner>0000-0002-1825-0097</orcidOfOwner><path>/gpfs/exfel/raw</path>"
        "<path>http://[</path><description>https://exa mple</description><id>21.11151/OLD</id>"
        "<description>http://a\u00adb</description><license/><size>0</size><wavelength><x/></wavelength>"
    )
    assert unused(result)["panosc/orcidOfOwner"] == "0000-0002-1825-0097"
    assert unused(result)["panosc/path"] == "/gpfs/exfel/raw"
    assert result.entities[0]["alternateIds"] == ["21.11151/OLD"]
    assert result.entities[0]["summary"] == "https://exa mple"


def test_a_record_without_id_takes_that_of_its_header() -> None:
    result = crosswalk("panosc", b"<panosc><name>x</name></panosc>", Context("Demo"), HEADER)
    assert result.entities[0]["key"] == "document:local:Demo:oai:xfel.eu:30"
    bare = Header("10.5072/BARE")
    result = crosswalk("panosc", b"<panosc><id/></panosc>", Context("Demo"), bare)
    assert result.entities[0]["doi"] == "10.5072/BARE"


def test_a_record_without_any_identifier_cannot_be_mapped() -> None:
    with pytest.raises(MappingError) as refusal:
        crosswalk("panosc", b"<panosc/>", Context("Demo"), Header(" "))
    assert refusal.value.path == "identifier"
    assert refusal.value.expected == "an identifier in the record or its header"


def test_another_root_element_cannot_be_mapped() -> None:
    with pytest.raises(MappingError, match="panosc or panoscType"):
        crosswalk("panosc", b"<dc><title>x</title></dc>", Context("Demo"), HEADER)


def test_wrappers_around_the_root_are_looked_through() -> None:
    wrapped = b"<record><metadata><panosc><id>10.5072/W</id></panosc></metadata></record>"
    document = crosswalk("panosc", wrapped, Context("Demo"), HEADER).entities[0]
    assert document["pid"] == "10.5072/W"
    with pytest.raises(MappingError):
        only(crosswalk("panosc", b"<record>" * 9 + b"</record>" * 9, Context("Demo"), HEADER))
