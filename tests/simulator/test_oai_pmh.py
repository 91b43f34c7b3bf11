"""The simulated OAI-PMH endpoint keeps to the protocol, so that faults are all on purpose."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from lxml import etree

from simulator import Facility, FacilitySpec, OaiOptions, Record, running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # sickle 0.7 has invalid escape sequences in its source
    from sickle import Sickle

OAI = "{http://www.openarchives.org/OAI/2.0/}"
START = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


def record(number: int, *, set_: str = "proposals", when: datetime | None = None) -> Record:
    document = {
        "pid": f"10.5072/test-{number}",
        "title": f"Proposal {number} <α & β>",
        "summary": "A synthetic record.",
        "members": [{"role": "owner", "person": {"fullName": "Jürgen Müller"}}],
    }
    stamp = when or START + timedelta(hours=number)
    return Record(f"oai:test:{number:03}", stamp, (set_,), document=document)


def spec(count: int = 25, **options: object) -> FacilitySpec:
    chosen = {"page_size": 10, "sets": {"proposals": "Proposals", "proposals:open": "Open"}}
    return FacilitySpec(
        "Test",
        records=[
            record(n, set_="proposals:open" if n % 5 == 0 else "proposals") for n in range(count)
        ],
        oai=OaiOptions(**{**chosen, **options}),  # type: ignore[arg-type]
    )


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def ask(session: aiohttp.ClientSession, facility: Facility, **params: str) -> etree._Element:
    if "from_" in params:
        params["from"] = params.pop("from_")
    async with session.get(facility.oai_url, params=params) as response:
        assert response.status == 200
        return etree.fromstring(await response.read())


def identifiers(root: etree._Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{OAI}identifier")]


def error_code(root: etree._Element) -> str | None:
    error = root.find(f"{OAI}error")
    return None if error is None else error.get("code")


async def harvest(session: aiohttp.ClientSession, facility: Facility, **params: str) -> list[str]:
    """All identifiers, page by page, with the protocol's own way of ending."""
    found: list[str] = []
    root = await ask(session, facility, verb="ListRecords", **params)
    while True:
        found += identifiers(root)
        token = root.find(f".//{OAI}resumptionToken")
        if token is None or not token.text:
            return found
        root = await ask(session, facility, verb="ListRecords", resumptionToken=token.text)


async def test_sickle_reads_every_record_once() -> None:
    """An independent client walks all pages, sets and verbs."""
    async with running(spec()) as facility:
        sickle = Sickle(facility.oai_url)

        def walk() -> tuple[list[str], list[str], list[str], str, str]:
            listed = [r.header.identifier for r in sickle.ListRecords(metadataPrefix="oai_dc")]
            headers = [h.identifier for h in sickle.ListIdentifiers(metadataPrefix="oai_dc")]
            sets = [s.setSpec for s in sickle.ListSets()]
            one = sickle.GetRecord(identifier="oai:test:003", metadataPrefix="oai_dc")
            return listed, headers, sets, one.metadata["title"][0], sickle.Identify().granularity

        listed, headers, sets, title, granularity = await asyncio.to_thread(walk)
    assert listed == [f"oai:test:{n:03}" for n in range(25)]
    assert headers == listed
    assert sets == ["proposals", "proposals:open"]
    assert title == "Proposal 3 <α & β>"
    assert granularity == "YYYY-MM-DDThh:mm:ssZ"


async def test_tokens_carry_size_cursor_and_end_empty(session: aiohttp.ClientSession) -> None:
    async with running(spec()) as facility:
        root = await ask(session, facility, verb="ListRecords", metadataPrefix="oai_dc")
        cursors = []
        while True:
            token = root.find(f".//{OAI}resumptionToken")
            assert token is not None
            assert token.get("completeListSize") == "25"
            cursors.append(token.get("cursor"))
            if not token.text:
                break
            root = await ask(session, facility, verb="ListRecords", resumptionToken=token.text)
    assert cursors == ["0", "10", "20"]


async def test_expired_tokens_are_refused_when_they_have_a_lifetime(
    session: aiohttp.ClientSession,
) -> None:
    now = [START]
    options = spec(token_lifetime_s=60.0, complete_list_size=False)
    async with running(options, clock=lambda: now[0]) as facility:
        root = await ask(session, facility, verb="ListRecords", metadataPrefix="oai_dc")
        token = root.find(f".//{OAI}resumptionToken")
        assert token is not None
        assert token.get("completeListSize") is None
        assert token.get("expirationDate") == "2024-01-01T12:01:00Z"
        now[0] += timedelta(seconds=61)
        root = await ask(session, facility, verb="ListRecords", resumptionToken=token.text or "")
    assert error_code(root) == "badResumptionToken"


async def test_sets_and_windows_select(session: aiohttp.ClientSession) -> None:
    async with running(spec()) as facility:
        in_set = await harvest(session, facility, metadataPrefix="oai_dc", set="proposals:open")
        above = await harvest(session, facility, metadataPrefix="oai_dc", set="proposals")
        window = await harvest(
            session,
            facility,
            metadataPrefix="oai_dc",
            from_="2024-01-01T14:00:00Z",
            until="2024-01-01T16:00:00Z",
        )
        day = await harvest(
            session, facility, metadataPrefix="oai_dc", from_="2024-01-02", until="2024-01-02"
        )
    assert in_set == [f"oai:test:{n:03}" for n in range(0, 25, 5)]
    assert len(above) == 25
    assert window == ["oai:test:002", "oai:test:003", "oai:test:004"]
    assert day == [f"oai:test:{n:03}" for n in range(12, 25)]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "badVerb"),
        ({"verb": "Nonsense"}, "badVerb"),
        ({"verb": "Identify", "extra": "1"}, "badArgument"),
        ({"verb": "ListRecords"}, "badArgument"),
        ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "yesterday"}, "badArgument"),
        (
            {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2024-13-01"},
            "badArgument",
        ),
        (
            {
                "verb": "ListRecords",
                "metadataPrefix": "oai_dc",
                "from": "2024-01-02",
                "until": "2024-01-01T00:00:00Z",
            },
            "badArgument",
        ),
        (
            {
                "verb": "ListRecords",
                "metadataPrefix": "oai_dc",
                "from": "2024-01-02",
                "until": "2024-01-01",
            },
            "badArgument",
        ),
        ({"verb": "ListRecords", "metadataPrefix": "marc"}, "cannotDisseminateFormat"),
        (
            {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from": "2030-01-01"},
            "noRecordsMatch",
        ),
        ({"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "nope"}, "noRecordsMatch"),
        ({"verb": "ListRecords", "resumptionToken": "nope"}, "badResumptionToken"),
        (
            {"verb": "ListRecords", "resumptionToken": "x", "metadataPrefix": "oai_dc"},
            "badArgument",
        ),
        (
            {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "nope"},
            "idDoesNotExist",
        ),
        ({"verb": "ListMetadataFormats", "identifier": "nope"}, "idDoesNotExist"),
    ],
)
async def test_errors_have_the_protocols_codes(
    session: aiohttp.ClientSession, params: dict[str, str], code: str
) -> None:
    async with running(spec()) as facility:
        root = await ask(session, facility, **params)
    assert error_code(root) == code
    request = root.find(f"{OAI}request")
    assert request is not None
    assert (not request.attrib) == (code in ("badVerb", "badArgument"))


async def test_a_repository_of_days_without_sets(session: aiohttp.ClientSession) -> None:
    async with running(spec(granularity="days", sets=None, ends_with_token=False)) as facility:
        root = await ask(session, facility, verb="ListSets")
        assert error_code(root) == "noSetHierarchy"
        root = await ask(
            session,
            facility,
            verb="ListIdentifiers",
            metadataPrefix="oai_dc",
            from_="2024-01-01T12:00:00Z",
        )
        assert error_code(root) == "badArgument"
        root = await ask(session, facility, verb="ListIdentifiers", metadataPrefix="oai_dc")
        stamps = {element.text for element in root.iter(f"{OAI}datestamp")}
        assert stamps == {"2024-01-01"}
        assert root.find(f".//{OAI}setSpec") is None
        found = await harvest(session, facility, metadataPrefix="oai_dc")
    assert len(found) == 25


async def test_deleted_records_leave_tombstones_or_nothing(session: aiohttp.ClientSession) -> None:
    for policy, expected in (("persistent", ["deleted"]), ("no", [])):
        async with running(spec(3, deleted_record=policy)) as facility:
            facility.records.delete("oai:test:001", START + timedelta(days=30))
            root = await ask(session, facility, verb="ListRecords", metadataPrefix="oai_dc")
            states = [h.get("status") for h in root.iter(f"{OAI}header") if h.get("status")]
            assert states == expected
            assert len(list(root.iter(f"{OAI}metadata"))) == 2


async def test_records_that_move_during_paging_are_not_lost(session: aiohttp.ClientSession) -> None:
    """Tokens go on after a key: what is updated meanwhile comes again at the end, not never."""
    async with running(spec()) as facility:
        root = await ask(session, facility, verb="ListRecords", metadataPrefix="oai_dc")
        found = identifiers(root)
        token = root.find(f".//{OAI}resumptionToken")
        assert token is not None
        facility.records.put(record(2), when=START + timedelta(days=9))
        while token is not None and token.text:
            root = await ask(session, facility, verb="ListRecords", resumptionToken=token.text)
            found += identifiers(root)
            token = root.find(f".//{OAI}resumptionToken")
    assert set(found) == {f"oai:test:{n:03}" for n in range(25)}
    assert found[-1] == "oai:test:002"


async def test_post_gzip_and_the_log(session: aiohttp.ClientSession) -> None:
    async with running(spec()) as facility:
        data = {"verb": "GetRecord", "identifier": "oai:test:001", "metadataPrefix": "oai_dc"}
        async with session.post(facility.oai_url, data=data) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert identifiers(etree.fromstring(await response.read())) == ["oai:test:001"]
        async with session.get(
            facility.oai_url, params={"verb": "Identify"}, headers={"Accept-Encoding": "identity"}
        ) as response:
            assert "Content-Encoding" not in response.headers
        assert [request.verb for request in facility.requests] == ["GetRecord", "Identify"]
        assert facility.requests[0].method == "POST"
        assert facility.requests[0].params["identifier"] == "oai:test:001"
        assert facility.hits == {"GetRecord": 1, "Identify": 1}
