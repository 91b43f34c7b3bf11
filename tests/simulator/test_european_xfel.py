"""The demo copy shows the real endpoint's record with the real endpoint's oddities."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lxml import etree
from yarl import URL

from simulator import Facility, running
from simulator.demo import european_xfel

OAI = "{http://www.openarchives.org/OAI/2.0/}"
PANOSC = "{http://scicat.esss.se/panosc}"
DOI = "10.22003/XFEL.EU-DATA-700000-00"


@pytest.fixture
async def facility() -> AsyncIterator[Facility]:
    async with running(european_xfel.facility()) as started:
        yield started


async def ask(facility: Facility, **params: str) -> etree._Element:
    async with (
        aiohttp.ClientSession() as session,
        session.get(facility.oai_url, params=params) as response,
    ):
        return etree.fromstring(await response.read())


async def get(facility: Facility, path: str, **asked: object) -> Any:
    url = URL(facility.api_url + path, encoded=True).with_query(filter=json.dumps(asked))
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return json.loads(await response.read())


async def test_identify_names_a_base_url_that_is_not_the_one_harvested(facility: Facility) -> None:
    root = await ask(facility, verb="Identify")
    assert root.findtext(f"{OAI}request") == 'https://in.xfel.eu/metadata{"verb"=>"Identify"}'
    assert root.findtext(f"{OAI}Identify/{OAI}baseURL") == "https://in.xfel.eu/metadata"
    assert root.findtext(f"{OAI}Identify/{OAI}deletedRecord") == "no"
    assert root.findtext(f"{OAI}Identify/{OAI}earliestDatestamp") == "2019-02-14T14:27:59Z"
    assert len(root.findall(f"{OAI}Identify/{OAI}adminEmail")) == 2
    assert facility.oai_url.endswith("/metadata/oai-pmh/oai2")


async def test_the_record_is_the_one_shown_in_2022(facility: Facility) -> None:
    asked = {"verb": "GetRecord", "identifier": "oai:xfel.eu:30", "metadataPrefix": "panosc"}
    root = await ask(facility, **asked)
    assert root.findtext(f"{OAI}request") == (
        'https://in.xfel.eu/metadata{"identifier"=>"oai:xfel.eu:30", '
        '"metadataPrefix"=>"panosc", "verb"=>"GetRecord"}'
    )
    (header,) = root.iter(f"{OAI}header")
    assert header.findtext(f"{OAI}datestamp") == "2022-10-27T09:59:47Z"
    assert header.findtext(f"{OAI}setSpec") == "openaire_data"
    (metadata,) = root.iter(f"{OAI}metadata")
    (payload,) = metadata
    assert payload.tag == f"{PANOSC}panoscType"
    values = {str(child.tag).removeprefix(PANOSC): child.text for child in payload}
    assert values["id"] == DOI
    assert values["embargoEndDate"] == "2018-01-01T00:00:00+01:00"
    assert values["startDate"] == "2017-11-08T00:00:00+01:00"
    assert values["path"] == ("https://in.xfel.eu/metadata/doi/10.22003%2FXFEL.EU-DATA-700000-00")
    assert values["size"] == "9074975744"
    assert "No Sample" in (values["sampleName"] or "").split(", ")
    assert len((values["technique"] or "").split(", ")) == 5
    assert values["wavelength"] is None


@pytest.mark.parametrize("prefix", ["panosc", "oai_dc", "oai_datacite"])
async def test_every_format_holds_the_one_record(facility: Facility, prefix: str) -> None:
    root = await ask(facility, verb="ListRecords", metadataPrefix=prefix, set="openaire_data")
    assert [element.text for element in root.iter(f"{OAI}identifier")] == ["oai:xfel.eu:30"]
    assert DOI.encode() in etree.tostring(root)
    assert root.find(f".//{OAI}resumptionToken") is None


async def test_the_search_api_says_the_same(facility: Facility) -> None:
    include = [
        {
            "relation": "datasets",
            "scope": {"include": [{"relation": "techniques"}, {"relation": "samples"}]},
        }
    ]
    found = await get(facility, f"/Documents/{DOI.replace('/', '%2F')}", include=include)
    assert (found["title"], found["type"], found["isPublic"]) == ("Example Data", "proposal", True)
    (dataset,) = found["datasets"]
    assert dataset["size"] == 9_074_975_744
    assert len(dataset["techniques"]) == 5
    assert "No Sample" not in {sample["name"] for sample in dataset["samples"]}
    techniques = await get(facility, "/Techniques")
    assert {each["panetId"][-10:] for each in techniques} == {
        "PaNET01101",
        "PaNET01168",
        "PaNET01174",
        "PaNET01188",
        "PaNET01205",
    }
