"""Sickle and our client read the same fixtures, record by record."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from lxml import etree

from facility_http.errors import FacilityHttpError, MalformedResponse
from harvester.errors import ProtocolError
from harvester.oai_pmh import OaiClient
from harvester.oai_xml import OaiRecord
from tests.facility_http.http_world import INTERNAL, fetcher, serving

with warnings.catch_warnings():
    # Its source has escapes that Python warns of when it compiles them.
    warnings.simplefilter("ignore")
    import sickle
    from sickle import oaiexceptions

VERBS = ("ListRecords", "ListIdentifiers", "GetRecord", "Identify", "ListSets")
FORMATS = ("ListMetadataFormats",)
ERRORS = (
    "badArgument",
    "badResumptionToken",
    "cannotDisseminateFormat",
    "idDoesNotExist",
    "noRecordsMatch",
    "noSetHierarchy",
)


@asynccontextmanager
async def fixtures(folder: Path, renamed: dict[str, str] | None = None) -> AsyncIterator[str]:
    """A server of the fixtures: the file is named by the token, else by the verb."""

    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.query.get("resumptionToken") or f"{request.query['verb']}.xml"
        path = folder / "oai" / (renamed or {}).get(name, name)
        return web.Response(body=path.read_bytes(), content_type="text/xml", charset="utf-8")

    async with serving(handle) as url:
        yield f"{url}/oai"


def told(record: sickle.models.Record | sickle.models.Header) -> tuple[object, ...]:
    """What Sickle says of a record, in our words."""
    header = getattr(record, "header", record)
    payload = None
    if hasattr(record, "header") and not record.deleted:
        payload = canonical(record.xml.find(f".//{record._oai_namespace}metadata")[0])
    # A header without identifier is None to Sickle and empty to us.
    identifier = header.identifier or ""
    return identifier, header.datestamp, tuple(header.setSpecs), header.deleted, payload


def ours(record: OaiRecord) -> tuple[object, ...]:
    header = record.header
    payload = None if record.payload is None else canonical(etree.fromstring(record.payload))
    return header.identifier, header.datestamp, header.sets, record.deleted, payload


def canonical(element: etree._Element) -> bytes:
    """Without blanks between elements, which Sickle's parser drops."""
    parser = etree.XMLParser(remove_blank_text=True)
    alone = etree.fromstring(etree.tostring(element, with_tail=False), parser)
    return etree.tostring(alone, method="c14n")


@pytest.mark.parametrize("verb", ["ListRecords", "ListIdentifiers"])
async def test_lists_agree_record_by_record(shared_data: Path, verb: str) -> None:
    async with fixtures(shared_data) as url:
        peer = sickle.Sickle(url)
        listed = await asyncio.to_thread(
            lambda: [told(one) for one in getattr(peer, verb)(metadataPrefix="oai_dc")]
        )
        async with fetcher() as http:
            client = OaiClient(http, url, access=INTERNAL)
            walk = client.list_records if verb == "ListRecords" else client.list_identifiers
            found = [ours(one) async for one in walk("oai_dc")]
    assert found == listed
    assert len(found) == {"ListRecords": 8, "ListIdentifiers": 4}[verb]


@pytest.mark.parametrize("file", ["GetRecord.xml", "GetRecord_utf8test.xml"])
async def test_single_records_agree(shared_data: Path, file: str) -> None:
    async with fixtures(shared_data, {"GetRecord.xml": file}) as url:
        peer = await asyncio.to_thread(
            lambda: told(sickle.Sickle(url).GetRecord(identifier="x", metadataPrefix="oai_dc"))
        )
        async with fetcher() as http:
            found = await OaiClient(http, url, access=INTERNAL).get_record("x", "oai_dc")
    assert ours(found) == peer


async def test_what_is_said_of_the_repository_agrees(shared_data: Path) -> None:
    async with fixtures(shared_data) as url:
        peer = sickle.Sickle(url)
        identify = await asyncio.to_thread(peer.Identify)
        formats = await asyncio.to_thread(lambda: list(peer.ListMetadataFormats()))
        sets = await asyncio.to_thread(lambda: list(peer.ListSets()))
        async with fetcher() as http:
            client = OaiClient(http, url, access=INTERNAL)
            said = await client.identify()
            found_formats = await client.list_metadata_formats()
            found_sets = [one async for one in client.list_sets()]
    assert said.repository_name == identify.repositoryName
    assert said.base_url == identify.baseURL
    assert said.granularity == identify.granularity
    assert said.deleted_record == identify.deletedRecord
    assert said.earliest_datestamp == identify.earliestDatestamp
    assert [(one.prefix, one.schema, one.namespace) for one in found_formats] == [
        (one.metadataPrefix, one.schema, one.metadataNamespace) for one in formats
    ]
    assert [(one.spec, one.name) for one in found_sets] == [
        (one.setSpec, one.setName) for one in sets
    ]


@pytest.mark.parametrize("code", ERRORS)
async def test_errors_agree_by_their_code(shared_data: Path, code: str) -> None:
    async with fixtures(shared_data, {"GetRecord.xml": f"{code}.xml"}) as url:
        with pytest.raises(getattr(oaiexceptions, code[0].upper() + code[1:])) as theirs:
            await asyncio.to_thread(
                lambda: sickle.Sickle(url).GetRecord(identifier="x", metadataPrefix="oai_dc")
            )
        async with fetcher() as http:
            with pytest.raises(ProtocolError) as mine:
                await OaiClient(http, url, access=INTERNAL).get_record("x", "oai_dc")
    assert type(mine.value).__name__.lower() == type(theirs.value).__name__.lower() == code.lower()


async def test_an_unknown_error_is_an_error_for_both(shared_data: Path) -> None:
    async with fixtures(shared_data, {"GetRecord.xml": "undefinedError.xml"}) as url:
        with pytest.raises(oaiexceptions.OAIError):
            await asyncio.to_thread(
                lambda: sickle.Sickle(url).GetRecord(identifier="x", metadataPrefix="oai_dc")
            )
        async with fetcher() as http:
            with pytest.raises(ProtocolError, match="undefinedError"):
                await OaiClient(http, url, access=INTERNAL).get_record("x", "oai_dc")


async def test_what_is_no_xml_is_an_error_and_not_an_empty_list(shared_data: Path) -> None:
    """Sickle's recovering parser raises from deep inside; ours says what came."""
    broken = fixtures(shared_data, {"ListRecords.xml": "ListRecordsBroken.xml"})
    async with broken as url, fetcher() as http:
        client = OaiClient(http, url, access=INTERNAL)
        with pytest.raises(MalformedResponse):
            [one async for one in client.list_records("oai_dc")]


def test_every_fixture_is_used(shared_data: Path) -> None:
    """A fixture that nobody reads would agree with anything."""
    used = {f"{name}.xml" for name in (*VERBS, *FORMATS, *ERRORS, "undefinedError")}
    used |= {f"ListRecords{n}.xml" for n in (2, 3, 4, "Broken")}
    used |= {"ListIdentifiers2.xml", "GetRecord_utf8test.xml"}
    assert {path.name for path in (shared_data / "oai").glob("*.xml")} == used
    assert issubclass(ProtocolError, FacilityHttpError)
