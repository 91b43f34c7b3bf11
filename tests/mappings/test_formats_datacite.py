"""DataCite, kernels 3 and 4, in and out of ``oai_datacite``, and its profile OpenAIRE."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree
from mapping_records import HEADER, mapped, only, payload, reasons, resource, unused

from mappings import Context, Header, Mapped, MappingError, access_at, crosswalk

ESRF = Context("ESRF", "esrf-oai", "Europe/Paris", probes=("photon",))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _datacite(inner: str, **context: Any) -> Mapped:
    identifier = "<identifier identifierType='DOI'>10.5072/X</identifier>"
    return crosswalk("datacite", resource(identifier + inner), Context("Demo", **context), HEADER)


def test_an_embargoed_session_of_esrf() -> None:
    """CC licence and publication year beside an embargo: embargoed, then unknown (§2.2, §2.5)."""
    document, dataset, instrument = mapped(
        "oai_datacite", "oai_datacite_esrf_embargoed.xml", ESRF
    ).entities
    assert document["key"] == "document:doi:10.5072/demo-es-2"
    assert document["title"] == "Structure of a demo protein"
    assert (document["type"], document["kind"]) == ("proposal", "data")
    assert (document["startDate"], document["endDate"]) == (
        "2025-09-05T07:30:00Z", "2025-09-06T06:00:00Z",
    )  # fmt: skip
    assert document["releaseDate"] == "2028-09-06"
    assert (document["proposal"], document["keywords"]) == ("MX-1", ["MX-1", "MX-2"])
    assert document["license"] == "CC-BY-4.0"
    creator, contact = document["members"]
    assert creator["person"]["orcid"] == "0000-0002-1825-0097"
    assert creator["affiliation"] == {"name": "Demo Lab, 1 Main Street, Lund, Sweden"}
    assert contact["role"] == "local contact"
    assert dataset["size"] == 5_976_883
    assert dataset["instrumentKey"] == instrument["key"] == "instrument:doi:10.5072/instr-1"
    assert instrument["name"] == "E2 - Demo Diffractometer"
    assert document["instrumentNames"] == ["E2 - Demo Diffractometer", "ID30A-3"]
    end_of_the_day_in_paris = datetime(2028, 9, 6, 22, tzinfo=UTC)
    assert access_at(document["access"], NOW).state == "embargoed"
    assert "2028-09-06 (end of the day)" in access_at(document["access"], NOW).reason
    assert access_at(document["access"], end_of_the_day_in_paris).state == "unknown"
    assert "openFrom" not in document["access"]


def test_an_embargo_ends_in_openness_where_the_facility_releases_automatically() -> None:
    context = Context("ESRF", "esrf-oai", "Europe/Paris", releases_automatically=True)
    access = mapped("oai_datacite", "oai_datacite_esrf_embargoed.xml", context).entities[0][
        "access"
    ]
    assert access["openFrom"] == "2028-09-06T22:00:00Z"
    assert access_at(access, datetime(2028, 9, 7, tzinfo=UTC)).state == "open"


def test_hzb_without_namespace_and_with_a_handle() -> None:
    result = mapped("oai_datacite", "datacite_hzb_no_namespace.xml", Context("HZB"))
    document, dataset = result.entities
    assert document["key"] == "document:hdl:21.11151/demo/7"
    assert "doi" not in document
    assert document["alternateIds"] == ["raw-7"]
    assert document["title"] == "Neutron powder diffraction of H2O"
    assert document["summary"] == "Ice & water"
    assert (document["type"], document["kind"]) == ("proposal", "data")
    assert document["releaseDate"] == "2020-02-02"
    assert document["license"] == "CC-BY-4.0"
    roles = [(m["role"], m.get("person", m.get("affiliation"))) for m in document["members"]]
    assert roles[0] == ("creator", {"name": "Helmholtz-Zentrum Demo"})
    assert roles[1][1]["fullName"] == "Änne Müller"
    assert document["members"][1]["affiliation"] == {"name": "Demo Institute", "ror": "02aj13c28"}
    assert [role for role, _ in roles[2:]] == ["Other", "principal investigator"]
    assert document["keywords"] == ["x-ray powder diffraction", "battery", "neutron diffraction"]
    assert document["related"] == [
        {"relation": "IsMetadataFor", "identifier": "10.5072/OTHER", "type": "DOI"}
    ]
    assert dataset["formats"] == ["HDF5", "NeXus"]
    assert dataset["size"] == 147_000_000
    assert dataset["creationDate"] == "2019-11-05"
    assert {technique["panet"] for technique in dataset["techniques"]} == {
        "PaNET01101", "PaNET01217",
    }  # fmt: skip
    assert reasons(result) == {
        "resource/nameIdentifier": "no valid ORCID",
        "resource/dates/date[Collected]": "a date in words",
    }
    assert unused(result)["resource/contributors/contributor[Funder]/contributorName"] == (
        "Demo Fund"
    )
    assert unused(result)["resource/rightsList/rights"] == "Ask nicely"


def test_a_collection_is_its_own_kind_and_tied_to_its_parts() -> None:
    """§1.7."""
    document = only(mapped("oai_datacite", "datacite_kernel3_collection.xml"))
    assert document["kind"] == "collection"
    assert document["datasets"] == ["dataset:doi:10.5072/part-1", "dataset:doi:10.5072/part-2"]
    assert len(document["related"]) == 3


def test_ceric_has_its_doi_among_the_alternate_identifiers() -> None:
    document, dataset = mapped("datacite", "datacite_ceric_alternate_identifier.xml").entities
    assert document["doi"] == "10.5072/CERIC/9"
    assert document["alternateIds"] == ["internal 9"]
    assert document["type"] == "Dataset"
    assert dataset["dataLevel"] == "raw"
    assert dataset["documents"] == [document["key"], "document:doi:10.5072/ceric/8"]


def test_people_in_parts_and_in_organisations() -> None:
    result = _datacite(
        "<creators><creator><familyName>Doe</familyName>"
        "<givenName>Jane Mary</givenName></creator>"
        "<creator><familyName>Prince</familyName></creator>"
        "<creator><givenName>Solo</givenName></creator>"
        "<creator><creatorName nameType='Organizational'>Team Blue</creatorName></creator>"
        "<creator><creatorName>Roe, R.</creatorName><affiliation/><affiliation>A</affiliation>"
        "<affiliation>B</affiliation><nameIdentifier nameIdentifierScheme='ISNI'>1</nameIdentifier>"
        "<nameIdentifier/></creator>"
        "<creator><creatorName>et al.</creatorName></creator>"
        "<leader>L</leader><!-- c --></creators>"
        "<contributors><person>P</person><contributor>"
        "<contributorName>Sam Poe</contributorName>"
        "<affiliation affiliationIdentifier='02aj13c2x'>C</affiliation>"
        "</contributor></contributors>"
    )
    members = only(result)["members"]
    assert members[0]["person"] == {
        "fullName": "Jane Mary Doe", "firstName": "Jane Mary", "lastName": "Doe",
    }  # fmt: skip
    assert members[1]["person"] == {"fullName": "Prince"}
    assert members[2] == {"role": "creator", "affiliation": {"name": "Team Blue"}}
    assert members[3]["affiliation"] == {"name": "A"}
    assert members[4] == {
        "role": "contributor", "person": {"fullName": "Sam Poe"}, "affiliation": {"name": "C"},
    }  # fmt: skip
    assert unused(result) == {"resource/nameIdentifier[ISNI]": "1", "resource/creators/leader": "L"}
    assert reasons(result) == {"resource/creator": "no name of a person"}


def test_identifiers_of_any_kind() -> None:
    result = crosswalk(
        "datacite",
        resource(
            "<identifier identifierType='URL'>https://example.org/l</identifier><identifier/>"
            "<identifier>http://exa{mple</identifier><identifier>10.5072/A</identifier>"
            "<identifier>10.5072/B</identifier>"
        ),
        Context("Demo"),
        HEADER,
    )
    document = only(result)
    assert document["pid"] == "10.5072/A"
    assert document["alternateIds"] == ["10.5072/B"]
    assert document["links"] == [{"rel": "landing", "url": "https://example.org/l"}]
    assert reasons(result) == {"resource/identifier": "no web address"}


def test_subjects_by_their_scheme() -> None:
    document, dataset = _datacite(
        "<subjects><subject subjectScheme='PaNET technique'>SAXS</subject>"
        "<subject subjectScheme='Proposal'>A</subject>"
        "<subject subjectScheme='proposal'>B-2</subject>"
        "<subject subjectscheme='Instrument'>D33</subject><subject/>"
        "<subject valueURI='https://example.org/x'>magnetism</subject><subject>y</subject></subjects>"
    ).entities
    assert document["keywords"] == ["SAXS", "B-2", "magnetism"]
    assert document["proposal"] == "B-2"
    assert dataset["instrument"] == {"name": "D33", "facility": "Demo"}
    assert dataset["techniques"][0]["panet"] == "PaNET01188"


def test_related_items_and_instruments() -> None:
    result = _datacite(
        "<relatedItems><relatedItem relationType='IsCollectedBy' relatedItemType='Instrument'>"
        "<titles><title>Beamline</title></titles></relatedItem>"
        "<relatedItem relationType='IsCitedBy'>"
        "<relatedItemIdentifier relatedItemIdentifierType='DOI'>"
        "doi:10.5072/P</relatedItemIdentifier><volume>3</volume></relatedItem>"
        "<relatedItem><titles><title>A book</title></titles></relatedItem><relatedItem/><other/>"
        "</relatedItems><relatedIdentifiers><relatedIdentifier relationType='IsCollectedBy' "
        "resourceTypeGeneral='Instrument'>10.5072/I</relatedIdentifier><relatedIdentifier/>"
        "</relatedIdentifiers>"
    )
    document, dataset, instrument = result.entities
    assert document["related"] == [
        {"relation": "IsCitedBy", "identifier": "10.5072/P", "type": "DOI"},
        {"relation": "IsCollectedBy", "identifier": "10.5072/I"},
    ]
    assert instrument["name"] == "10.5072/I"
    assert dataset["instrument"]["key"] == instrument["key"]
    assert unused(result) == {"resource/relatedItems/relatedItem[References]": "A book"}


def test_the_odd_places_of_titles_dates_and_descriptions() -> None:
    result = _datacite(
        "<titles><title titleType='Subtitle'>Sub</title><title/></titles><title>Outside</title>"
        "<descriptions><description descriptionType='Methods'>How</description><x/>"
        "<description>http://exa{mple</description></descriptions>"
        "<dates><date dateType='Created'>whenever</date><date dateType='Available'>one day</date>"
        "<date dateType='Available'>2019-01-01/2021-02-02</date>"
        "<date dateType='Collected'>2019</date>"
        "<date>2011</date><x/><date dateType='Collected'>never</date></dates>"
        "<publicationYear>n.d.</publicationYear><resourceType/><rightsList><rights/><x/></rightsList>"
        "<formats><x/></formats><sizes><x/><size>1 GB</size><size>2 GB</size></sizes>"
        "<alternateIdentifiers><x/></alternateIdentifiers><version>1.2</version><!-- c -->"
    )
    document, dataset = result.entities
    assert (document["title"], document["summary"]) == ("Sub", "How")
    assert document["releaseDate"] == "2021-02-02"
    assert (document["startDate"], document.get("endDate")) == ("2019", None)
    assert document["years"] == {"first": 2019, "last": 2019}
    assert dataset["size"] == 10**9
    assert set(reasons(result)) == {
        "resource/dates/date[Created]",
        "resource/dates/date[Available]",
        "resource/dates/date[Collected]",
        "resource/publicationYear",
    }
    assert unused(result) == {"resource/dates/date[]": "2011", "resource/version": "1.2"}


def test_open_access_in_the_rights() -> None:
    rights = "<rightsList><rights rightsURI='info:eu-repo/semantics/openAccess'/></rightsList>"
    access = only(_datacite(rights + "<publicationYear>2020</publicationYear>"))["access"]
    assert access_at(access, NOW).state == "open"
    assert access["openFrom"] == "2020-01-01T00:00:00Z"
    assert "openSince" not in access
    constant = only(_datacite(rights, is_public_is_constant=True))["access"]
    assert access_at(constant, NOW).state == "unknown"


def test_a_facility_may_configure_what_its_records_are() -> None:
    document = only(_datacite("<resourceType>Something</resourceType>", document_type="proposal"))
    assert (document["type"], document["kind"]) == ("proposal", "data")


@pytest.mark.parametrize(
    "text",
    [
        "<oai_datacite><payload/></oai_datacite>",
        "<oai_datacite/>",
        "<payload><payload><payload><payload><resource/></payload></payload></payload></payload>",
        "<dc/>",
    ],
)
def test_a_wrapper_without_a_resource_cannot_be_mapped(text: str) -> None:
    with pytest.raises(MappingError):
        crosswalk("oai_datacite", text.encode(), Context("Demo"), Header(""))


def test_a_parsed_element_does_as_well_as_bytes() -> None:
    """Comments inside a parsed element are passed over."""
    text = payload("oai_datacite_esrf_embargoed.xml")
    element = etree.fromstring(text.replace(b"<payload>", b"<!-- c --><payload>"))
    by_element = crosswalk("oai_datacite", element, ESRF, HEADER)
    assert by_element == crosswalk("oai_datacite", text, ESRF, HEADER)


# --- OpenAIRE --------------------------------------------------------------------------------

CONSTANT = Header("10.17199/DEMO/1", "2020-01-01", ("openaire_data",))


def test_scicats_constants_are_no_dates_and_no_evidence() -> None:
    """§2.2: every record of this provider says 2020-01-01 and openAccess."""
    result = mapped("openaire", "openaire_scicat_constant.xml", header=CONSTANT)
    document = only(result)
    assert document["key"] == "document:doi:10.17199/demo/1"
    assert document["releaseDate"] == "2018"
    assert reasons(result) == {"resource/dates/date": "a constant of the source"}
    answer = access_at(document["access"], NOW)
    assert (answer.state, answer.reason) == (
        "unknown",
        "the facility says the same of every record, which proves nothing",
    )


def test_another_source_may_mean_2020_01_01() -> None:
    header = Header("oai:x:1", "2026-02-02")
    contradicts = only(mapped("openaire", "openaire_scicat_constant.xml", header=header))
    assert contradicts["releaseDate"] == "2018"
    text = payload("openaire_scicat_constant.xml").replace(b">2018<", b">2020<")
    agrees = only(crosswalk("openaire", text, Context("Demo"), header))
    assert agrees["releaseDate"] == "2020-01-01"
    assert access_at(agrees["access"], NOW).state == "open"


def test_an_openaire_embargo_and_elements_outside_their_lists() -> None:
    result = mapped("openaire", "openaire_embargo_range.xml", Context("Demo"))
    document, dataset = result.entities
    assert document["pid"] == "oai:example.org:1"
    assert document["title"] == "Outside its list"
    assert document["summary"] == "Plain description"
    assert document["members"][0]["person"]["lastName"] == "Doe"
    assert document["keywords"] == ["SAXS"]
    assert dataset["techniques"][0]["panet"] == "PaNET01188"
    assert document["startDate"] == "2022-05-01"
    assert access_at(document["access"], datetime(2025, 5, 3, 23, tzinfo=UTC)).state == "embargoed"
    assert access_at(document["access"], datetime(2025, 5, 4, tzinfo=UTC)).state == "unknown"


def test_empty_elements_outside_their_lists() -> None:
    inner = "<identifier>10.5072/E</identifier><description/><subject/><date/>"
    assert only(crosswalk("openaire", resource(inner), Context("Demo"), HEADER))["kind"] == "data"
