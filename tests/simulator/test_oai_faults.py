"""OAI-PMH endpoints with faults of sections A to C and I of the catalogue, seen from outside."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from lxml import etree
from yarl import URL

from simulator import Facility, FacilitySpec, OaiOptions, Record, running

OAI = "{http://www.openarchives.org/OAI/2.0/}"
NOW = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)


def spec(count: int = 25) -> FacilitySpec:
    records = [
        Record(
            f"oai:test:{number:03}",
            datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(hours=number),
            ("even" if number % 2 == 0 else "odd",),
            document={"pid": f"10.5072/{number}", "title": f"Röntgen {number}", "summary": "Text."},
        )
        for number in range(count)
    ]
    options = OaiOptions(page_size=10, sets={"even": "Even", "odd": "Odd"})
    return FacilitySpec("Test", records=records, oai=options)


class Sleeper:
    """Records how long was slept, and does not sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def facility() -> AsyncIterator[Facility]:
    async with running(spec(), clock=lambda: NOW, sleep=Sleeper()) as started:
        yield started


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


Ask = Callable[..., "asyncio.Future[tuple[int, dict[str, str], bytes]]"]


async def ask(
    session: aiohttp.ClientSession, facility: Facility, **params: str
) -> tuple[int, dict[str, str], bytes]:
    if not params:
        params = {"verb": "ListRecords", "metadataPrefix": "oai_dc"}
    params = {name.rstrip("_"): value for name, value in params.items()}
    async with session.get(facility.oai_url, params=params, allow_redirects=False) as response:
        return response.status, dict(response.headers), await response.read()


async def walk(
    session: aiohttp.ClientSession, facility: Facility, most: int = 8, **params: str
) -> list[list[str]]:
    """Identifiers page by page, as a careless client would read them; at most ``most`` pages."""
    pages: list[list[str]] = []
    _, _, body = await ask(session, facility, **params)
    while len(pages) < most:
        root = etree.fromstring(body)
        pages.append([(e.text or "")[-3:] for e in root.iter(f"{OAI}identifier")])
        token = root.find(f".//{OAI}resumptionToken")
        if token is None or not token.text or not token.text.strip():
            break
        verb = params.get("verb", "ListRecords")
        _, _, body = await ask(session, facility, verb=verb, resumptionToken=token.text)
        if b"<error" in body:
            pages.append([str(etree.fromstring(body).find(f"{OAI}error").get("code"))])  # type: ignore[union-attr]
            break
    return pages


FIRST, SECOND, THIRD = ([f"{n:03}" for n in range(low, min(low + 10, 25))] for low in (0, 10, 20))


@pytest.mark.parametrize(
    ("fault", "pages"),
    [
        pytest.param("", [FIRST, SECOND, THIRD], id="none"),
        pytest.param("loop-token", [FIRST] + [SECOND] * 7, id="B03 loop"),
        pytest.param(
            "cyclic-token", [FIRST, SECOND, THIRD] + [SECOND, THIRD] * 2 + [SECOND], id="B03 cycle"
        ),
        pytest.param("repeat-page", [FIRST, FIRST, THIRD], id="B19 page repeated"),
        pytest.param(
            "repeat-page:for-ever", [FIRST, SECOND] + [THIRD] * 6, id="E04 last page for ever"
        ),
        pytest.param("empty-token", [FIRST], id="B06 empty token"),
        pytest.param("empty-token:blank", [FIRST], id="B05 blank token"),
        pytest.param("lost-token@page2", [FIRST, SECOND], id="B06 no token"),
        pytest.param("empty-page@page3", [FIRST, SECOND] + [[]] * 6, id="B04 empty for ever"),
        pytest.param("empty-page:once", [FIRST, [], SECOND, THIRD], id="B04 empty once"),
        pytest.param(
            "trailing-token", [FIRST, SECOND, THIRD, ["noRecordsMatch"]], id="B04 one token more"
        ),
        pytest.param("expired-token@page3", [FIRST, SECOND, ["badResumptionToken"]], id="B01"),
        pytest.param("odd-token", [FIRST, SECOND, THIRD], id="B07 escaped tokens"),
        pytest.param("token-needs-prefix", [FIRST, ["badArgument"]], id="B08"),
        pytest.param(
            "duplicates", [FIRST, FIRST[-3:] + SECOND, SECOND[-3:] + THIRD], id="B19 doubles"
        ),
        pytest.param("gap@page2", [FIRST, SECOND[1:], THIRD], id="B19 gap"),
        pytest.param("ignores-from", [FIRST, SECOND, THIRD], id="B18"),
        pytest.param("ignores-until", [FIRST, SECOND, THIRD], id="B18 until"),
    ],
)
async def test_lists(
    session: aiohttp.ClientSession, facility: Facility, fault: str, pages: list[list[str]]
) -> None:
    facility.faults.set(fault)
    assert await walk(session, facility) == pages


async def test_fault_b09_the_set_is_lost_after_the_first_page(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("lost-set")
    params = {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "even"}
    pages = await walk(session, facility, **params)
    assert all(int(name) % 2 == 0 for name in pages[0])
    assert any(int(name) % 2 for name in pages[1])


async def test_faults_a01_a03_errors_come_with_retry_after(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    for argument, expected in (
        ("503", None),
        ("429:120", "120"),
        ("503:date", "Sat, 01 Jun 2024 12:02:00 GMT"),
        ("503:absurd", "31536000"),
        ("503:nonsense", "soon, hopefully"),
    ):
        facility.faults.set(f"error:{argument}@ListRecordsx1")
        status, headers, _ = await ask(session, facility)
        assert (status, headers.get("Retry-After")) == (int(argument[:3]), expected)
        assert (await ask(session, facility))[0] == 200


async def test_fault_a04_slow_and_stalling(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    sleeper = facility.sleep
    assert isinstance(sleeper, Sleeper)
    facility.faults.set("slow:2s")
    assert (await ask(session, facility))[0] == 200
    facility.faults.set("stall:100")
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(session, facility)
    assert sleeper.slept == [2.0, 3600.0]


async def test_fault_a07_connections_break(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    for fault in ("reset", "break-off", "not-gzip", "broken-gzip"):
        facility.faults.set(fault)
        with pytest.raises(aiohttp.ClientError):
            await ask(session, facility)


async def test_fault_a08_a_poisoned_record_spoils_its_page_for_ever(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("poison:oai:test:013")
    with pytest.raises(etree.XMLSyntaxError):
        await walk(session, facility)
    headers = await walk(session, facility, verb="ListIdentifiers", metadataPrefix="oai_dc")
    assert "013" in headers[1]
    for number, status in (("013", 500), ("012", 200)):
        got = await ask(
            session,
            facility,
            verb="GetRecord",
            metadataPrefix="oai_dc",
            identifier=f"oai:test:{number}",
        )
        assert got[0] == status


async def test_fault_a09_protocol_answers_under_other_statuses(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("error-status:422")
    assert (await ask(session, facility))[0] == 200
    status, _, body = await ask(
        session, facility, verb="ListRecords", metadataPrefix="oai_dc", from_="2030-01-01"
    )
    assert (status, b"noRecordsMatch" in body) == (422, True)


async def test_faults_a10_a11_redirects_and_challenges(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("redirect:http://127.0.0.1:9/elsewhere")
    status, headers, _ = await ask(session, facility, verb="Identify")
    assert (status, headers["Location"]) == (301, "http://127.0.0.1:9/elsewhere?verb=Identify")
    facility.faults.set("html:403")
    status, headers, body = await ask(session, facility)
    assert (status, headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("truncate", id="C08"),
        pytest.param("illegal-characters", id="C01 raw"),
        pytest.param("illegal-characters:reference", id="C01 reference"),
        pytest.param("illegal-characters:fffe", id="C01 U+FFFE"),
        pytest.param("lying-encoding", id="C03 Latin-1 said to be UTF-8"),
        pytest.param("invalid-utf8", id="C03 one byte"),
        pytest.param("second-declaration", id="C04"),
        pytest.param("leading-blank", id="C04 blank line"),
        pytest.param("bare-ampersand", id="C09"),
        pytest.param("huge-text", id="C07"),
        pytest.param("empty-body", id="A11"),
    ],
)
async def test_documents_that_a_strict_parser_refuses(
    session: aiohttp.ClientSession, facility: Facility, fault: str
) -> None:
    facility.faults.set(fault)
    status, _, body = await ask(session, facility)
    assert status == 200
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(body)
    facility.faults.clear()
    etree.fromstring((await ask(session, facility))[2])


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        pytest.param("bom", b"\xef\xbb\xbf<?xml", id="C04 BOM"),
        pytest.param("prefix", b"<oai:ListRecords>", id="C06"),
        pytest.param("late-namespaces", b"<OAI-PMH xmlns:oai_dc=", id="C05"),
        pytest.param("latin-1", b'encoding="ISO-8859-1"', id="C03 declared Latin-1"),
        pytest.param("foreign-elements", b"<dc:license>", id="C09"),
        pytest.param("missing-metadata", b"</header></record>", id="B22"),
        pytest.param("odd-header:empty-datestamp", b"<datestamp></datestamp>", id="B22 date"),
        pytest.param("odd-header:empty-identifier", b"<identifier></identifier>", id="B22 id"),
        pytest.param("deleted", b'<header status="deleted">', id="B12 B21"),
        pytest.param("size", b'completeListSize="225176"', id="B20"),
        pytest.param("clock:-3h", b"<responseDate>2024-06-01T09:00:00Z<", id="B15"),
        pytest.param("datestamp-now", b"<datestamp>2024-06-01T12:00:00Z<", id="B18 now"),
        pytest.param("datestamp-now:updatedAt", b"<datestamp>updatedAt<", id="B18 constant"),
        pytest.param("response-date", b"<responseDate>2020-01-01T", id="B16"),
        pytest.param("deep:200", b"<n><n><n>", id="I04 depth"),
    ],
)
async def test_documents_that_are_odd_and_well_formed(
    session: aiohttp.ClientSession, facility: Facility, fault: str, seen: bytes
) -> None:
    facility.faults.set(fault)
    _, _, body = await ask(session, facility)
    assert seen in body
    etree.fromstring(body)


async def test_fault_b13_granularity_is_refused(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    for fault, refused, taken in (
        ("no-seconds", "2024-01-01T00:00:00Z", "2024-01-01"),
        ("no-days", "2024-01-01", "2024-01-01T00:00:00Z"),
    ):
        facility.faults.set(fault)
        for stamp, expected in ((refused, True), (taken, False)):
            _, _, body = await ask(
                session, facility, verb="ListRecords", metadataPrefix="oai_dc", from_=stamp
            )
            assert (b'code="badArgument"' in body) == expected


async def test_fault_b13_only_days_are_heard(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("whole-days")
    stamps = {"from_": "2024-01-01T23:59:59Z", "until": "2024-01-01T23:59:59Z"}
    pages = await walk(session, facility, verb="ListRecords", metadataPrefix="oai_dc", **stamps)
    assert pages
    assert pages[0][0] == FIRST[0]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("granularity:YYYY-MM-DD", b">YYYY-MM-DD</granularity>"), ("granularity", None)],
)
async def test_fault_b13_identify_says_another_granularity_or_none(
    session: aiohttp.ClientSession, facility: Facility, fault: str, said: bytes | None
) -> None:
    facility.faults.set(fault)
    body = (await ask(session, facility, verb="Identify"))[2]
    assert (said in body) if said else (b"granularity" not in body)


async def test_fault_b14_the_earliest_datestamp_is_impossible(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("earliest:2017-01-00T03:24:00Z")
    assert b"2017-01-00T03:24:00Z" in (await ask(session, facility, verb="Identify"))[2]
    facility.faults.set("earliest:none")
    assert b"earliestDatestamp" not in (await ask(session, facility, verb="Identify"))[2]


async def test_fault_b12_a_blank_set_deletes_everything(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("deleted:empty-set,blank-set")
    assert b'status="deleted"' not in (await ask(session, facility))[2]
    _, _, body = await ask(session, facility, verb="ListRecords", metadataPrefix="oai_dc", set="")
    assert body.count(b'status="deleted"') == 10


@pytest.mark.parametrize("declared", ["file", "http", "parameter", "expansion"])
async def test_fault_i03_entities_are_declared(
    session: aiohttp.ClientSession, facility: Facility, declared: str
) -> None:
    facility.faults.set(f"doctype:{declared}")
    body = (await ask(session, facility))[2]
    assert b"<!DOCTYPE OAI-PMH [" in body
    assert b"&x;" in body


async def test_fault_i04_a_small_body_becomes_huge(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("bomb:4")
    async with aiohttp.ClientSession(auto_decompress=False) as raw:
        url = URL(facility.oai_url).with_query({"verb": "Identify"})
        async with raw.get(url) as response:
            packed = await response.read()
    assert len(packed) < 2**15
    assert len(gzip.decompress(packed)) > 2**22


async def test_faults_can_be_changed_while_the_facility_runs(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.add("error:500x1")
    assert [(await ask(session, facility))[0] for _ in range(2)] == [500, 200]
    facility.faults.add("error:502x1", "error:504x1")
    assert [(await ask(session, facility))[0] for _ in range(3)] == [502, 504, 200]
    assert facility.faults.hits == {"error": 3}


async def test_fault_b16_records_come_in_no_order_of_date(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("unordered")
    root = etree.fromstring((await ask(session, facility))[2])
    stamps = [element.text or "" for element in root.iter(f"{OAI}datestamp")]
    assert len(stamps) == 10
    assert stamps != sorted(stamps)
    other = await walk(session, facility)
    assert [sorted(page) for page in other] == [FIRST, SECOND, THIRD]


async def test_fault_b11_nothing_matches_whatever_there_is(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("no-records-match")
    assert b'code="noRecordsMatch"' in (await ask(session, facility))[2]
    facility.faults.set("oai-error:badResumptionToken")
    assert b'code="badResumptionToken"' in (await ask(session, facility))[2]


async def test_headers_that_lie(session: aiohttp.ClientSession, facility: Facility) -> None:
    for fault, header, value in (
        ("content-type", "Content-Type", "text/html"),
        ("content-type:application/json", "Content-Type", "application/json"),
        ("wrong-charset", "Content-Type", "text/xml; charset=ISO-8859-1"),
        ("set-cookie", "Set-Cookie", "session=planted; Path=/"),
    ):
        facility.faults.set(fault)
        status, headers, body = await ask(session, facility)
        assert (status, headers[header]) == (200, value)
        etree.fromstring(body)
    facility.faults.set("status:404")
    status, _, body = await ask(session, facility)
    assert (status, b"<ListRecords>" in body) == (404, True)


async def test_a_document_without_its_request_element(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("odd-request")
    root = etree.fromstring((await ask(session, facility))[2])
    assert root.find(f"{OAI}request") is None
