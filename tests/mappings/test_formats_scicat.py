"""SciCat's PublishedData and Dataset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from mapping_records import HEADER, mapped, only, reasons, unused

from mappings import Context, Mapped, MappingError, access_at, crosswalk

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _published(record: dict[str, Any], **context: Any) -> Mapped:
    whole = {"doi": "10.5072/p", **record}
    return crosswalk("scicat-publisheddata", whole, Context("Demo", **context), HEADER)


def _dataset(record: dict[str, Any], **context: Any) -> Mapped:
    return crosswalk("scicat-dataset", {"pid": "1", **record}, Context("Demo", **context), HEADER)


def test_published_data_of_version_3() -> None:
    result = mapped("scicat-publisheddata", "scicat_published_v3.json", Context("ESS"))
    document = only(result)
    assert document["key"] == "document:doi:10.5072/demo"
    assert (document["title"], document["summary"]) == ("Demo", "Two blanks")
    assert [m["person"]["fullName"] for m in document["members"]] == ["Jane Doe"]
    assert document["datasets"] == ["dataset:hdl:20.500.12269/a/b1"]
    assert document["isPublic"] is True
    assert document["releaseDate"] == "2020-09-01T14:16:15.552Z"
    assert document["links"] == [{"rel": "description", "url": "https://example.org/wiki"}]
    assert reasons(result) == {"$.creator": "no name of a person"}
    assert result.unmapped == ()


def test_registered_data_are_open_since_they_were_registered() -> None:
    """§2.3: here the source gives the opening date."""
    access = only(mapped("scicat-publisheddata", "scicat_published_v3.json"))["access"]
    assert access["openSince"] == "2020-09-01T14:16:15.552Z"
    answer = access_at(access, NOW)
    assert answer.state == "open"
    assert "open since 2020-09-01T14:16:15.552Z" in answer.reason
    assert access_at(access, datetime(2020, 1, 1, tzinfo=UTC)).state == "embargoed"


def test_published_data_of_version_4() -> None:
    result = mapped("scicat-publisheddata", "scicat_published_v4.json", Context("MAXIV"))
    document = only(result)
    assert document["datasets"] == ["dataset:hdl:20.500.12269/a/b2"]  # the doubled prefix too
    assert document["summary"] == "All the runs"
    jane, team, richard = document["members"]
    assert jane["person"]["orcid"] == "0000-0002-1825-0097"
    assert jane["affiliation"] == {"name": "Demo Lab"}
    assert team == {"role": "creator", "affiliation": {"name": "Demo Collaboration"}}
    assert richard["role"] == "principal investigator"
    assert richard["affiliation"] == {"name": "Third Lab"}
    assert document["related"] == [
        {"relation": "relatedPublication", "identifier": "10.5072/NATURE.7", "type": "DOI"},
        {"relation": "IsCitedBy", "identifier": "10.5072/PAPER", "type": "DOI"},
        {"relation": "References", "identifier": "10.5072/BARE"},
    ]
    assert document["keywords"] == ["SAXS", "soft matter"]
    assert document["isPublic"] is False
    assert access_at(document["access"], NOW).state == "restricted"
    assert unused(result)["$.metadata.contactName"] == "Jane"
    assert reasons(result) == {"$.datasetPids": "no pid of a Dataset"}


def test_published_data_without_datasets_has_a_derived_one() -> None:
    document, dataset = _published(
        {"sizeOfArchive": 123, "resourceType": "raw", "_id": "x", "id": "10.5072/p", "extra": [1]}
    ).entities
    assert (dataset["size"], dataset["dataLevel"], dataset["derived"]) == (123, "raw", True)
    assert document["pid"] == "10.5072/p"


def test_the_identifier_may_be_only_in_id() -> None:
    record = {"_id": "10.5072/only", "id": "7"}
    document = only(crosswalk("scicat-publisheddata", record, Context("Demo"), HEADER))
    assert document["doi"] == "10.5072/only"


def test_odd_values_of_published_data() -> None:
    result = _published(
        {
            "status": "weird",
            "url": "javascript:alert(1)",
            "downloadLink": "https://example.org/d",
            "license": 5,
            "resourceType": ["x"],
            "creator": [{"nameIdentifiers": []}, 7, {"name": "Roe, R.", "affiliation": []}],
            "registeredTime": {"$date": "2020-01-01T00:00:00.000Z"},
            "dataDescription": "http://{",
            "title": 5,
            "keywords": [None, "tomography"],
            "relatedPublications": [5],
            "abstract": " ",
            "publicationYear": {},
            "dataset": {"a": {"b": [None, "kept"]}},
        }
    )
    document, dataset = result.entities
    assert document["members"] == [
        {
            "role": "creator",
            "person": {"fullName": "R. Roe", "firstName": "R.", "lastName": "Roe"},
        }
    ]
    assert document["releaseDate"] == "2020-01-01T00:00:00.000Z"
    assert document["links"] == [{"rel": "download", "url": "https://example.org/d"}]
    assert dataset["techniques"][0]["name"] == "tomography"
    assert unused(result) == {
        "$.status": "weird",
        "$.url": "javascript:alert(1)",
        "$.license": "5",
        "$.resourceType[]": "x",
        "$.relatedPublications[]": "5",
        "$.dataset.a.b[]": "kept",
    }
    description = only(_published({"dataDescription": 4, "doi": None, "_id": "10.5072/q"}))
    assert "links" not in description


def test_a_dataset_as_scicat_sends_it() -> None:
    result = mapped("scicat-dataset", "scicat_dataset.json", Context("ESS", probes=("neutron",)))
    dataset = only(result)
    assert dataset["key"] == "dataset:hdl:20.500.12269/a/b1"
    assert dataset["title"] == "run 1"
    assert "size" not in dataset
    assert dataset["techniques"][0]["panet"] == "PaNET01188"
    wavelength, phi = dataset["parameters"]
    assert (wavelength["name"], wavelength["value"], wavelength["unit"]) == (
        "wavelength", "2.154", "angstrom",
    )  # fmt: skip
    assert wavelength["quantity"]["low"] == 2.154e-10
    assert phi["name"] == "motors.phi"
    assert dataset["years"] == {"first": 2019, "last": 2019}
    assert reasons(result) == {"$.license": "no licence with an SPDX identifier"}
    assert access_at(dataset["access"], NOW).state == "open"


def test_a_dataset_of_desy_with_everything_odd() -> None:
    result = mapped("scicat-dataset", "scicat_dataset_desy.json", Context("DESY"))
    dataset, instrument = result.entities
    assert dataset["dataLevel"] == "raw"
    assert instrument["key"] == "instrument:local:DESY:/desy/petra3/p08"
    assert (instrument["name"], dataset["instrument"]["name"]) == ("p08", "p08")
    assert dataset["samples"] == [{"name": "Silicon wafer", "pid": "S1"}]
    assert dataset["proposal"] == "11023101"
    assert dataset["keywords"] == ["reflectometry", "XRR", "thin film"]
    technique = dataset["techniques"][0]
    assert (technique["panet"], technique["rule"]) == ("PaNET01149", "label against id")
    assert "PaNET01177" in technique["evidence"]
    values = {p["name"]: p for p in dataset["parameters"]}
    assert values["energy"]["quantity"]["canonical"] == "incident_photon_energy"
    assert values["temperature"]["quantity"]["low"] == 573.15  # fault D10: not 300 K
    assert "quantity" not in values["flux"]
    assert values["group.sub.x"]["quantity"]["low"] == 0.001
    assert values["on"]["value"] == "true"
    assert [file["name"] for file in dataset["files"]] == ["scan_1.nxs", "scan_2.h5"]
    assert (dataset["startDate"], dataset["endDate"]) == (
        "2023-04-05T06:00:00Z", "2023-04-05T07:00:00Z",
    )  # fmt: skip
    assert access_at(dataset["access"], NOW).state == "restricted"
    assert unused(result)["$.ownerEmail"] == "(e-mail)"
    assert unused(result)["$.mystery.deep[]"] == "kept"
    assert reasons(result)["parameters/flux"] == "not comparable: unknown unit"


def test_the_same_place_in_another_case_is_the_same_instrument() -> None:
    upper = _dataset({"creationLocation": "/DESY/petra3/p08"}).entities[1]
    lower = _dataset({"creationLocation": "/desy/petra3/p08/"}).entities[1]
    assert upper["key"] == lower["key"]


def test_an_instrument_without_a_path() -> None:
    instrument = _dataset({"creationLocation": "PSI:SLS:PXIII"}).entities[1]
    assert instrument["name"] == instrument["pid"] == "PSI:SLS:PXIII"
    by_id = _dataset({"instrumentId": "20.500.12269/I1", "creationLocation": "/"}).entities[1]
    assert (by_id["key"], by_id["name"]) == ("instrument:hdl:20.500.12269/i1", "/")
    nothing = _dataset({"instrumentIds": [None], "creationLocation": " "})
    assert "instrument" not in only(nothing)


def test_creation_is_when_the_run_was_only_for_raw_data() -> None:
    made = {"creationTime": "2020-01-01T12:00:00Z"}
    assert only(_dataset(made))["years"] == {"first": 2020, "last": 2020}
    assert "years" not in only(_dataset({**made, "type": "derived"}))


def test_odd_values_of_a_dataset() -> None:
    result = _dataset(
        {
            "datasetName": 4,
            "isPublished": "perhaps",
            "type": "odd",
            "techniques": ["x"],
            "sampleIds": ["No Sample", "s2", 5],
            "samples": [{"sampleId": None}, {"sampleId": "s3"}],
            "scientificMetadata": {"a": float("nan"), "b": {"value": None, "unit": "K"}, "": 5},
            "origdatablocks": [{"dataFileList": [{"path": "noending"}]}],
            "keywords": "one, two",
            "license": " ",
            "proposalIds": [None, "7"],
            "owner": [None, "DESY"],
            "endTime": "soon",
            "packedSize": 5,
        }
    )
    dataset = only(result)
    assert dataset["samples"] == [{"name": "s2", "pid": "s2"}, {"name": "s3", "pid": "s3"}]
    assert dataset["keywords"] == ["one", "two"]
    assert dataset["proposal"] == "7"
    assert dataset["files"] == [{"id": "1", "name": "noending", "path": "noending"}]
    assert not {"title", "isPublic", "dataLevel", "formats", "techniques"} & dataset.keys()
    assert reasons(result) == {
        "$.scientificMetadata.a": "a list or no finite number",
        "$.endTime": "no date",
    }
    empty = _dataset({"scientificMetadata": {"a": None}, "proposalId": " ", "keywords": [" "]})
    assert not {"parameters", "proposal", "keywords"} & only(empty).keys()


def test_is_published_as_a_constant_and_a_doi_as_pid() -> None:
    record = {"pid": "10.5072/DS", "isPublished": True}
    dataset = only(
        crosswalk("scicat-dataset", record, Context("Demo", is_public_is_constant=True), HEADER)
    )
    assert dataset["doi"] == "10.5072/DS"
    assert access_at(dataset["access"], NOW).state == "unknown"


def test_a_dataset_without_a_pid_cannot_be_mapped() -> None:
    with pytest.raises(MappingError, match="a pid"):
        crosswalk("scicat-dataset", {"datasetName": "x"}, Context("Demo"), HEADER)
