"""PaNOSC REST JSON: the dialects of the Search APIs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from mapping_records import mapped, only, reasons, unused

from mappings import Context, Header, Mapped, MappingError, access_at, crosswalk

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEADER = Header("documents/1")


def _map(class_name: str, record: Any, **context: Any) -> Mapped:
    return crosswalk(f"panosc-{class_name}", record, Context("Demo", **context), HEADER)


def test_esrf_sends_numbers_blank_dois_and_early_releases() -> None:
    result = mapped("panosc-document", "rest_document_esrf.json", Context("ESRF"))
    document = only(result)
    assert document["key"] == "document:local:ESRF:1000001"
    assert "doi" not in document
    assert document["type"] == "proposal"
    assert document["isPublic"] is True
    assert document["startDate"] == "2019-03-19T14:36:46.000Z"
    assert document["releaseDate"] == "2019-03-18T14:39:35.000Z"
    assert "embargoUntil" not in document["access"]  # before the experiment: no embargo
    assert access_at(document["access"], NOW).state == "open"
    assert result.unmapped == ()


def test_is_public_proves_nothing_where_it_is_a_constant() -> None:
    """§2.2."""
    context = Context("ESRF", is_public_is_constant=True)
    document = only(mapped("panosc-document", "rest_document_esrf.json", context))
    assert document["isPublic"] is True
    assert access_at(document["access"], NOW).state == "unknown"


def test_ill_sends_null_for_everything_missing() -> None:
    result = mapped("panosc-document", "rest_document_ill.json", Context("ILL"))
    document = only(result)
    assert document["doi"] == "10.5291/ILL-DATA.0-00-000"
    assert not {"startDate", "endDate", "releaseDate", "keywords", "license"} & document.keys()
    assert reasons(result) == {"$.license": "no licence with an SPDX identifier"}


def test_a_document_with_all_its_relations() -> None:
    context = Context("ILL", "ill-rest", "Europe/Paris")
    result = mapped("panosc-document", "rest_document_with_everything.json", context)
    document, dataset, instrument = result.entities
    assert [e["class"] for e in result.entities] == ["Document", "Dataset", "Instrument"]
    assert document["pid"] == "10.5072/NEUTRON/7"
    assert "doi" not in document, "none was sent; the pid is the key all the same"
    assert document["datasets"] == [dataset["key"]]
    assert dataset["documents"] == [document["key"]]
    assert dataset["instrumentKey"] == instrument["key"] == "instrument:local:ILL:12"
    assert document["links"] == [{"rel": "description", "url": "https://example.org/about"}]
    assert document["keywords"] == ["ice", "pressure"]
    first, second = document["members"]
    assert first["role"] == "principal investigator"
    assert first["person"]["lastName"] == "GUTFREUND"
    assert first["affiliation"]["ror"] == "01xtjs520"
    assert second["person"] == {"fullName": "Jane Doe", "firstName": "Jane", "lastName": "Doe"}
    assert document["parameters"][0]["quantity"]["low"] == 77.15
    assert document["parameters"][1] == {"name": "note", "value": "cold"}
    techniques = dataset["techniques"]
    assert [technique["panet"] for technique in techniques] == [
        "PaNET01189", "PaNET01188", "PaNET01191", "PaNET01121",
    ]  # fmt: skip
    assert techniques[0]["pid"] == "31-2"
    assert (techniques[1]["name"], techniques[1]["evidence"]) == ("SAXS", "SAXS/WAXS")
    assert dataset["samples"] == [{"name": "D2O", "pid": "s1", "description": "heavy water"}]
    assert dataset["files"] == [
        {"id": "1", "name": "a.nxs", "path": "/data", "size": 12},
        {"name": "b.h5", "path": "/data/b.h5"},
    ]
    assert dataset["formats"] == ["HDF5", "NeXus"]
    wavelength = dataset["parameters"][0]["quantity"]
    assert wavelength["low"] == 6e-10
    assert "also" not in wavelength  # neutrons and photons among the techniques: no particle known
    assert unused(result) == {"$.surprise.deep[]": "1", "$.surprise.deep[].x": "y"}
    assert reasons(result)["$.datasets[]"] == "no pid"


def test_an_embargo_of_the_document_holds_for_its_datasets() -> None:
    """§2.5: the release on a bare date comes at its end in the facility's time zone."""
    context = Context("ILL", "ill-rest", "Europe/Paris")
    entities = mapped("panosc-document", "rest_document_with_everything.json", context).entities
    before = datetime(2024, 6, 3, 21, 59, tzinfo=UTC)
    for entity in entities[:2]:
        assert access_at(entity["access"], before).state == "embargoed"
        assert access_at(entity["access"], NOW).state == "unknown"  # ended, and "not public"


@pytest.mark.parametrize("relation", ["documents", "document"])
def test_a_dataset_names_its_documents_either_way(relation: str) -> None:
    parent = {"pid": "10.5072/D", "title": "Parent", "datasets": [{"pid": "other"}]}
    value = parent if relation == "document" else [parent, {"score": 0}, {"title": "no pid"}]
    result = _map("dataset", {"pid": "7", relation: value})
    document, dataset = result.entities
    assert document["key"] == "document:doi:10.5072/d"
    assert document["datasets"] == [dataset["key"]] == ["dataset:local:Demo:7"]
    assert dataset["documents"] == [document["key"]]


def test_a_mere_reference_to_a_document_is_a_relation_and_no_entity() -> None:
    dataset = only(_map("dataset", {"pid": "7", "documents": [{"pid": "10.5072/D"}]}))
    assert dataset["documents"] == ["document:doi:10.5072/d"]


@pytest.mark.parametrize("relation", ["documents", "document"])
def test_an_embargo_of_a_document_that_a_dataset_names_holds_for_it(relation: str) -> None:
    """However the two are asked for: a Dataset with its Document is as one in its Document."""
    document = {"pid": "10.5072/d", "title": "Study", "releaseDate": "2030-01-01"}
    payload = {"pid": "10.5072/r", "title": "Run", "isPublic": True}
    named: Any = document if relation == "document" else [document]
    (alone,) = _access_of_datasets(_map("dataset", {**payload, relation: named}))
    (inside,) = _access_of_datasets(_map("document", {**document, "datasets": [payload]}))
    assert alone["embargoUntil"] == inside["embargoUntil"] == "2030-01-02T00:00:00Z"
    assert access_at(alone, NOW) == access_at(inside, NOW)
    assert access_at(alone, NOW).state == "embargoed"


def _access_of_datasets(found: Mapped) -> list[Any]:
    return [one["access"] for one in found.entities if one["class"] == "Dataset"]


def test_a_licence_and_a_public_flag_on_an_embargoed_record_do_not_open_it() -> None:
    """§2.2: the contradiction is answered on the cautious side until the release."""
    record = {"pid": "1", "isPublic": True, "license": "CC-BY-4.0", "releaseDate": "2030-01-01"}
    access = only(_map("document", record))["access"]
    assert access_at(access, NOW).state == "embargoed"
    assert access_at(access, datetime(2030, 1, 2, tzinfo=UTC)).state == "open"


def test_numeric_pids_and_pid_n_are_the_same_local_thing() -> None:
    number = only(_map("document", {"pid": 1000001}))
    text = only(_map("document", {"pid": "pid:1000001"}))
    assert number["key"] == text["key"] == "document:local:Demo:1000001"
    assert text["pid"] == "pid:1000001"


def test_documents_are_keyed_by_doi_and_datasets_by_pid() -> None:
    """Datasets were seen with the DOI of what contains them: they must not merge."""
    document = only(_map("document", {"pid": "17", "doi": "https://doi.org/10.5072/AB"}))
    assert (document["key"], document["pid"]) == ("document:doi:10.5072/ab", "17")
    dataset = only(_map("dataset", {"pid": "18", "doi": "10.5072/AB"}))
    assert (dataset["key"], dataset["doi"]) == ("dataset:local:Demo:18", "10.5072/AB")


@pytest.mark.parametrize("class_name", ["document", "dataset", "instrument", "technique"])
@pytest.mark.parametrize("record", [{"score": 0}, {}, {"pid": None, "score": 1}])
def test_ghosts_cannot_be_mapped(class_name: str, record: dict[str, Any]) -> None:
    with pytest.raises(MappingError):
        _map(class_name, record)


@pytest.mark.parametrize("value", [None, 7, "text", [], [{"pid": "1"}]])
def test_what_is_no_object_cannot_be_mapped(value: Any) -> None:
    with pytest.raises(MappingError, match="a JSON object"):
        _map("document", value)


def test_odd_values_are_dropped_and_noted() -> None:
    result = _map(
        "document",
        {
            "pid": "1",
            "doi": "not a doi",
            "isPublic": "perhaps",
            "title": 5,
            "summary": " ",
            "startDate": "Winter 2003",
            "license": " ",
            "keywords": ["a", "ice", None, 5],
            "members": [{"person": {"score": 1}}, {"affiliation": {"id": "7"}}, "x"],
            "datasets": 5,
        },
    )
    document = only(result)
    assert reasons(result) == {
        "$.doi": "no DOI",
        "$.isPublic": "neither true nor false",
        "$.title": "no text",
        "$.startDate": "no date",
    }
    assert document["keywords"] == ["ice"]
    assert document["members"] == [{"affiliation": {"id": "7"}}]
    assert not {"title", "summary", "startDate", "isPublic"} & document.keys()


def test_evidence_holds_no_email_address() -> None:
    """§11.1: whatever field it came in."""
    member = {"person": {"fullName": "jane@example.org"}}
    result = _map("document", {"pid": "1", "contact": {"mail": "a@b.org"}, "members": [member]})
    assert unused(result) == {"$.contact.mail": "(e-mail)"}
    assert result.problems[0].value == "(e-mail)"


def test_odd_values_of_a_dataset() -> None:
    result = _map(
        "dataset",
        {
            "pid": "1",
            "isPublic": "TRUE",
            "size": "huge",
            "techniques": {"name": "SAXS", "pid": "https://purl.org/pan-science/PaNET/PaNET01189"},
            "samples": [{"pid": "s"}, {}],
            "files": [],
            "instrument": {"facility": "X"},
            "parameters": [{"name": "p", "value": {"a": 1}}, {"name": "big", "value": 10**30}],
            "creationDate": "2020-02-02",
        },
    )
    dataset = only(result)
    assert dataset["isPublic"] is True
    assert dataset["samples"] == [{"name": "s", "pid": "s"}]
    assert dataset["parameters"] == [{"name": "big", "value": 1e30}]
    assert dataset["techniques"][0]["panet"] == "PaNET01188"
    assert dataset["techniques"][0]["rule"] == "label against id"
    assert reasons(result) == {
        "$.size": "no size in bytes",
        "$.techniques": "label against id",
        "$.instrument": "an instrument without name",
        "$.parameters": "a parameter without name or value",
    }


def test_an_instrument_may_be_only_a_name() -> None:
    dataset = only(_map("dataset", {"pid": "1", "instrument": "D33", "size": 0}))
    assert dataset["instrument"] == {"name": "D33", "facility": "Demo"}
    assert "instrument" not in only(_map("dataset", {"pid": "1", "instrument": 4}))


def test_an_instrument_is_of_the_facility_that_is_asked_whatever_it_calls_itself() -> None:
    sent = {"pid": "1", "instrument": {"pid": "i1", "name": "D33", "facility": "Elsewhere"}}
    dataset = _map("dataset", sent).entities[0]
    assert dataset["instrument"]["facility"] == "Demo"


def test_instruments_and_what_was_measured_on_them() -> None:
    result = _map(
        "instrument",
        {
            "pid": "i1",
            "name": "D33",
            "facility": "ILL",
            "url": "https://example.org",
            "datasets": [{"pid": "1"}, {"title": "none"}],
        },
    )
    dataset, instrument = result.entities
    assert (instrument["facility"], instrument["key"]) == ("ILL", "instrument:local:Demo:i1")
    assert dataset["key"] == "dataset:local:Demo:1"
    assert unused(result) == {"$.url": "https://example.org"}
    assert only(_map("instrument", {"name": "D33"}))["pid"] == "D33"


def test_techniques_are_checked_against_panet_and_make_no_entity() -> None:
    known = _map("technique", {"pid": "PaNET01188", "name": "SAXS", "colour": "red"})
    assert (known.entities, known.problems) == ((), ())
    assert unused(known) == {"$.colour": "red"}
    unknown = _map("technique", {"pid": "x", "name": "divination"})
    assert reasons(unknown) == {"$.name": "no PaNET term found for this technique"}


def test_releases_and_configured_types() -> None:
    document = only(
        _map("document", {"pid": "1", "type": "Poster", "releaseDate": "2030"}, document_type="x")
    )
    assert (document["type"], document["kind"]) == ("x", "data")
    assert access_at(document["access"], NOW).state == "embargoed"
    assert only(_map("document", {"pid": "1", "type": "poster"}))["kind"] == "poster"


def test_nan_and_infinity_are_read_as_null_with_a_note() -> None:
    """Fault D11."""
    text = b'{"pid": "1", "parameters": [{"name": "a", "value": NaN}, {"name": "b", "value": 1}]}'
    result = _map("dataset", text)
    assert only(result)["parameters"] == [{"name": "b", "value": 1}]
    assert result.problems[0].reason == "no JSON: read as null"
    assert b"NaN" not in orjson.dumps(result.entities)


@pytest.mark.parametrize("text", [b"", b"{", b"<html>", b"[" * 5000, b"\xff"])
def test_what_is_no_json_cannot_be_mapped(text: bytes) -> None:
    with pytest.raises(MappingError, match="JSON"):
        _map("document", text)


def test_people_without_a_name_but_an_affiliation() -> None:
    document = only(
        _map("document", {"pid": "1", "members": [{"person": {}, "affiliation": {"name": "Lab"}}]})
    )
    assert document["members"] == [{"affiliation": {"name": "Lab"}}]
    nobody = only(
        _map("document", {"pid": "1", "members": [{"role": "PI"}], "summary": "http://{"})
    )
    assert not {"members", "links"} & nobody.keys()
