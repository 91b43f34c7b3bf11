"""The OAI-PMH client against a server with every fault switchable (sections A, B, C)."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from facility_http.errors import (
    BadStatus,
    ChallengePage,
    FacilityHttpError,
    MalformedResponse,
    NotTheProtocol,
    Parked,
)
from facility_http.http import Fetcher
from harvester.errors import (
    BadArgument,
    BadResumptionToken,
    CannotDisseminateFormat,
    IdDoesNotExist,
    NoMetadataFormats,
    NoSetHierarchy,
)
from harvester.oai_pmh import (
    DAY,
    SECOND,
    OaiClient,
    OaiOptions,
    OaiPage,
    format_instant,
    read_options,
)
from harvester.oai_repairs import REPAIRS
from harvester.oai_walk import COMPLETE_STOPS
from simulator import Facility, FacilitySpec, running
from tests.facility_http.http_world import INTERNAL, NOW, answers, fetcher, serving
from tests.harvester.client_world import START, Walked, identifiers, oai_spec, record, walk

ALL = identifiers(*range(25))


def client(http: Fetcher, facility: Facility, **own: object) -> OaiClient:
    return OaiClient(http, facility.oai_url, access=INTERNAL, **own)  # type: ignore[arg-type]


async def walked(spec: FacilitySpec, **own: object) -> Walked:
    async with running(spec, clock=lambda: NOW) as facility:
        return await walk(facility.oai_url, **own)  # type: ignore[arg-type]


async def until_it_fails(spec: FacilitySpec) -> tuple[list[OaiPage], FacilityHttpError]:
    """The pages that came, and the failure that ended the walk."""
    given: list[OaiPage] = []
    async with running(spec, clock=lambda: NOW) as facility, fetcher() as http:
        try:
            async for page in client(http, facility).pages("ListRecords", "oai_dc"):
                given.append(page)  # noqa: PERF401, what came before the failure counts
        except FacilityHttpError as failure:
            return given, failure
    pytest.fail("it did not fail")


# --- the six verbs --------------------------------------------------------------------------------


async def test_identify_says_what_the_repository_is() -> None:
    spec = oai_spec(granularity="days", deleted_record="transient")
    async with running(spec) as facility, fetcher() as http:
        one = client(http, facility)
        said = await one.identify()
    assert (said.repository_name, said.granularity) == ("Simulated repository", DAY)
    assert (said.deleted_record, said.protocol_version) == ("transient", "2.0")
    assert said.admin_emails == ("admin@example.org",)
    assert one.granularity == DAY


async def test_formats_are_listed_of_the_repository_and_of_one_record() -> None:
    async with running(oai_spec()) as facility, fetcher() as http:
        one = client(http, facility)
        everywhere = {found.prefix for found in await one.list_metadata_formats()}
        of_one = {found.prefix for found in await one.list_metadata_formats("oai:test:0003")}
        assert everywhere == of_one == {"oai_dc", "oai_datacite"}
        with pytest.raises(IdDoesNotExist):
            await one.list_metadata_formats("oai:test:none")


async def test_sets_are_listed_or_there_are_none() -> None:
    async with running(oai_spec()) as facility, fetcher() as http:
        sets = [one async for one in client(http, facility).list_sets()]
    assert [(one.spec, one.name) for one in sets] == [("even", "Even"), ("odd", "Odd")]
    async with running(oai_spec(sets=None)) as facility, fetcher() as http:
        with pytest.raises(NoSetHierarchy):
            [one async for one in client(http, facility).list_sets()]


async def test_a_record_is_got_or_the_reason_why_not() -> None:
    async with running(oai_spec()) as facility, fetcher() as http:
        one = client(http, facility)
        found = await one.get_record("oai:test:0007", "oai_dc")
        assert found.header.identifier == "oai:test:0007"
        assert "Röntgen 😀 7" in (found.payload or b"").decode()
        with pytest.raises(IdDoesNotExist):
            await one.get_record("oai:test:none", "oai_dc")
        with pytest.raises(CannotDisseminateFormat):
            await one.get_record("oai:test:0007", "marc21")


async def test_records_and_headers_come_one_by_one() -> None:
    async with running(oai_spec(deleted_record="persistent")) as facility, fetcher() as http:
        facility.records.delete("oai:test:0005", START + timedelta(days=9))
        one = client(http, facility)
        records = [found async for found in one.list_records("oai_dc")]
        headers = [found async for found in one.list_identifiers("oai_dc")]
    assert [found.header for found in records] == [found.header for found in headers]
    assert sorted(found.header.identifier for found in records) == ALL
    assert [found.header.identifier for found in records if found.deleted] == ["oai:test:0005"]
    assert all(found.payload is None for found in headers)


async def test_a_consumer_may_stop_anywhere() -> None:
    async with running(oai_spec()) as facility, fetcher() as http:
        async for found in client(http, facility).list_records("oai_dc"):
            assert found.header.identifier == "oai:test:0000"
            break
        assert (await client(http, facility).identify()).repository_name
    assert facility.hits["ListRecords"] == 1


# --- A: transport ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "error:503:120@page2x2",
        "error:503:date@page3x1",
        "error:429:1@page2x1",
        "error:500@page2x2",
        "reset@page2x2",
        "break-off:700@page2x2",
        "truncate:900@page2x2",
        "truncate@page3x3",
        "empty-body@page2x1",
    ],
)
async def test_what_passes_costs_nothing(fault: str) -> None:
    """Faults A01, A02, A07, C08: no page is lost, none doubled, the end is the real end."""
    found = await walked(oai_spec(faults=fault))
    assert found.identifiers == ALL
    assert found.stop in COMPLETE_STOPS


async def test_a_503_in_the_middle_is_never_the_end() -> None:
    """Fault A01: pages before it were given, then the failure comes out."""
    given, failure = await until_it_fails(oai_spec(faults="error:503@page3"))
    assert isinstance(failure, BadStatus)
    assert [page.stop for page in given] == [None, None]


async def test_a_repository_in_maintenance_is_parked() -> None:
    """Fault A03."""
    async with running(oai_spec(faults="error:503:absurd")) as facility, fetcher() as http:
        with pytest.raises(Parked):
            await client(http, facility).identify()


async def test_a_poison_page_ends_after_bounded_tries_and_its_place_is_known() -> None:
    """Fault A08: the way round it is the run's; here it is found, and named."""
    spec = oai_spec(faults="poison:oai:test:0015")
    given, failure = await until_it_fails(spec)
    assert isinstance(failure, BadStatus)
    assert (failure.status, failure.attempts) == (500, 3)
    assert [(page.seen, page.checkpoint["token"]) for page in given] == [(10, given[0].token)]
    async with running(spec) as facility, fetcher() as http:
        one = client(http, facility)
        good = await one.get_record("oai:test:0014", "oai_dc")
        assert good.problem is None
        headers = [found async for found in one.list_identifiers("oai_dc")]
        assert len(headers) == 25


@pytest.mark.parametrize("status", [422, 500, 503, 404, 202])
async def test_an_answer_of_the_protocol_counts_under_any_status(status: int) -> None:
    """Fault A09: both a list and an error."""
    found = await walked(oai_spec(faults=f"status:{status}"))
    assert found.identifiers == ALL
    async with running(oai_spec(faults=f"error-status:{status}")) as facility, fetcher() as http:
        with pytest.raises(IdDoesNotExist):
            await client(http, facility).get_record("none", "oai_dc")
        empty = await walk(facility.oai_url, from_="2030-01-01T00:00:00Z")
    assert empty.stop == "no_records_match"


async def test_an_endpoint_that_moved_is_followed_and_its_address_told() -> None:
    """Fault A10."""
    async with running(oai_spec()) as there:
        fault = f"redirect:{there.oai_url}"
        async with running(oai_spec(faults=fault)) as here, fetcher() as http:
            one = client(http, here)
            pages = [page async for page in one.pages("ListRecords", "oai_dc")]
            assert [found.header.identifier for page in pages for found in page.records] == ALL
            assert one.moved_to == there.oai_url


async def test_a_bot_wall_has_its_own_name() -> None:
    """Fault A11."""
    async with running(oai_spec(faults="html:403")) as facility, fetcher() as http:
        with pytest.raises(ChallengePage):
            await client(http, facility).identify()
    assert facility.hits["Identify"] == 1


@pytest.mark.parametrize("fault", ["content-type", "content-type:application/octet-stream"])
async def test_the_content_type_is_no_argument(fault: str) -> None:
    """Faults A11, C03: a right answer under a wrong type is a right answer."""
    assert (await walked(oai_spec(faults=fault))).identifiers == ALL


# --- B: protocol ----------------------------------------------------------------------------------


async def test_a_token_that_expired_is_told_so_that_the_window_begins_again() -> None:
    """Fault B01."""
    async with running(oai_spec(faults="expired-token@page2")) as facility, fetcher() as http:
        with pytest.raises(BadResumptionToken):
            [page async for page in client(http, facility).pages("ListRecords", "oai_dc")]


async def test_a_checkpoint_goes_on_behind_its_page() -> None:
    """Fault B02: with the counters, so that the end is judged over the whole list."""
    async with running(oai_spec()) as facility, fetcher() as http:
        one = client(http, facility)
        page = await anext(one.pages("ListRecords", "oai_dc"))
        rest = [more async for more in one.pages("ListRecords", "oai_dc", resume=page.checkpoint)]
    came = [found.header.identifier for more in rest for found in more.records]
    assert came == ALL[10:]
    assert (rest[-1].seen, rest[-1].complete_list_size) == (25, 25)
    assert rest[-1].first_response_date == page.response_date
    assert rest[-1].stop == "empty_token"


async def test_expiration_dates_are_passed_on() -> None:
    """Fault B02: a saved token is known to be stale."""
    found = await walked(oai_spec(token_lifetime_s=60.0))
    assert found.pages[0].expiration is not None
    assert found.pages[0].checkpoint["expiration"] == found.pages[0].expiration


@pytest.mark.parametrize(
    ("fault", "stop", "most"),
    [
        ("loop-token@page2", "repeated_token", 4),
        ("cyclic-token", "cyclic_token", 8),
        ("repeat-page:for-ever", "repeated_page", 6),
    ],
)
async def test_walks_in_circles_end_with_a_name(fault: str, stop: str, most: int) -> None:
    """Faults B03, E04: token and content have to repeat; each stop has its name."""
    async with running(oai_spec(faults=fault)) as facility:
        found = await walk(facility.oai_url)
        assert found.stop == stop
        assert found.stop not in COMPLETE_STOPS
        assert facility.hits["ListRecords"] <= most


async def test_a_page_that_came_in_place_of_another_is_missed() -> None:
    """Fault B19: as many records as announced, and ten of them twice."""
    found = await walked(oai_spec(faults="repeat-page:2"))
    assert found.stop == "incomplete"
    assert found.notes == {"page_repeated": 1}
    assert (found.pages[-1].seen, len(set(found.identifiers))) == (15, 15)


async def test_one_token_for_a_whole_session_is_no_circle() -> None:
    """Fault B03: the token alone is not proof; a server may keep one and move on."""
    pages = iter(range(4))

    async def handle(request: web.Request) -> web.StreamResponse:
        number = next(pages)
        token = "<resumptionToken>session</resumptionToken>" if number < 3 else ""
        return web.Response(text=_list(f"a{number}", token), content_type="text/xml")

    async with serving(handle) as url:
        found = await walk(url)
    assert found.identifiers == ["a0", "a1", "a2", "a3"]
    assert (found.stop, found.notes) == ("end_of_list", {"token_seen_before": 2})


def _list(identifier: str, token: str = "") -> str:
    head = f"<identifier>{identifier}</identifier><datestamp>2024-01-01</datestamp>"
    inside = (
        f"<record><header>{head}</header><metadata><x/></metadata></record>" if identifier else ""
    )
    return (
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-01-02T00:00:00Z'
        f"</responseDate><ListRecords>{inside}{token}</ListRecords></OAI-PMH>"
    )


async def test_a_page_limit_and_a_record_limit_have_names() -> None:
    """Fault B03: caps for whatever no guard thought of."""
    found = await walked(oai_spec(), options=OaiOptions(max_pages=2))
    assert (found.stop, len(found.identifiers)) == ("page_limit", 20)
    found = await walked(oai_spec(), options=OaiOptions(max_records=10))
    assert (found.stop, len(found.identifiers)) == ("record_limit", 10)


async def test_one_empty_page_may_pass_and_two_are_the_end() -> None:
    """Fault B04: an empty page with a token is confirmed by one more request."""
    token = "<resumptionToken>{}</resumptionToken>"
    page = [_list("a", token.format("t1")), _list("", token.format("t2")), _list("b")]
    handle, _ = answers(*(web.Response(text=text) for text in page))
    async with serving(handle) as url:
        found = await walk(url)
    assert (found.identifiers, found.stop) == (["a", "b"], "end_of_list")
    page = [_list("a", token.format("t1")), *(_list("", token.format(n)) for n in range(5))]
    handle, log = answers(*(web.Response(text=text) for text in page))
    async with serving(handle) as url:
        found = await walk(url)
    assert (found.stop, len(log)) == ("empty_page_with_token", 3)


@pytest.mark.parametrize("count", [20, 25])
async def test_a_token_behind_which_there_is_nothing_is_a_normal_end(count: int) -> None:
    """Fault B04: the total is a multiple of the page size, and the next request is an error."""
    found = await walked(oai_spec(count, faults="trailing-token"))
    assert found.identifiers == ALL[:count]
    assert found.stop in COMPLETE_STOPS


async def test_a_list_that_ends_too_early_is_not_believed() -> None:
    """Faults B05, B06, B20: one page of three, and the announced size knows better."""
    found = await walked(oai_spec(faults="empty-token@page1"))
    assert found.stop == "incomplete"
    assert (found.pages[-1].seen, found.pages[-1].complete_list_size) == (10, 25)
    found = await walked(oai_spec(faults="lost-token@page2"))
    assert found.stop == "incomplete"


async def test_a_lost_token_on_the_first_page_shows() -> None:
    """Fault B06: every run "succeeds" with one page; its size gives it away."""
    found = await walked(oai_spec(faults="lost-token@page1"))
    assert found.identifiers == ALL[:10]
    assert found.notes == {"single_page_of_round_size": 1}


async def test_a_single_page_of_a_round_size_is_noted() -> None:
    """Fault B06: nothing announced, no token, just 100 records: it shows."""
    found = await walked(oai_spec(100, page_size=100))
    assert found.notes == {"single_page_of_round_size": 1}
    assert (await walked(oai_spec(99, page_size=100))).notes == {}


@pytest.mark.parametrize("fault", ["", "odd-token"])
async def test_tokens_go_back_as_they_came(fault: str) -> None:
    """Fault B07: encoded exactly once, `+/=&%` and blanks and all."""
    found = await walked(oai_spec(faults=fault))
    assert found.identifiers == ALL


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=300, alphabet=st.characters(exclude_categories=("Cs", "Cc"))))
def test_any_token_is_encoded_exactly_once(token: str) -> None:
    """Fault B07: what the server decodes is what it sent; no argument is added or lost."""
    one = OaiClient(None, "https://example.org/oai?source=x")  # type: ignore[arg-type]
    url = one._url("ListRecords", {"resumptionToken": token, "set": None})
    assert url.startswith("https://example.org/oai?source=x&verb=ListRecords&resumptionToken=")
    assert dict(URL(url, encoded=True).query) == {
        "source": "x",
        "verb": "ListRecords",
        "resumptionToken": token,
    }
    assert unquote(url.rsplit("=", 1)[1]) == token


def test_a_token_of_two_kilobytes_is_whole() -> None:
    """Fault B07."""
    token = "aä+/=&% " * 256
    one = OaiClient(None, "https://example.org/oai")  # type: ignore[arg-type]
    url = one._url("ListRecords", {"resumptionToken": token})
    assert URL(url, encoded=True).query["resumptionToken"] == token


def test_servers_that_forbid_escaping_get_tokens_raw() -> None:
    """Fault B07: only what would end or split the query is escaped then."""
    options = OaiOptions(token_encoding="raw")
    one = OaiClient(None, "https://example.org/oai", options=options)  # type: ignore[arg-type]
    url = one._url("ListRecords", {"resumptionToken": "a/b=c|d:e%2F f&g#h"})
    assert url.endswith("&resumptionToken=a/b=c|d:e%2F%20f%26g%23h")


async def test_the_token_travels_alone_unless_the_server_insists() -> None:
    """Fault B08."""
    async with running(oai_spec()) as facility:
        await walk(facility.oai_url, set_="even")
        followed = [one.params for one in facility.requests if "resumptionToken" in one.params]
        assert followed
        assert all(set(params) == {"verb", "resumptionToken"} for params in followed)
    stubborn = oai_spec(faults="token-needs-prefix")
    async with running(stubborn) as facility:
        with pytest.raises(BadArgument):
            await walk(facility.oai_url)
        found = await walk(facility.oai_url, options=OaiOptions(send_prefix_with_token=True))
    assert found.identifiers == ALL


async def test_records_outside_the_set_are_counted() -> None:
    """Fault B09: page two of the set is that of the whole repository."""
    spec = oai_spec(40, faults="lost-set@page2")
    found = await walked(spec, set_="even")
    assert found.notes["outside_set"] > 0
    async with running(spec) as facility, fetcher() as http:
        listed = [one async for one in client(http, facility).list_records("oai_dc", set_="even")]
    assert all("even" in one.header.sets for one in listed)


async def test_nothing_new_is_an_empty_answer() -> None:
    """Fault B10: a success with a name of its own."""
    found = await walked(oai_spec(), from_=datetime(2030, 1, 1, tzinfo=UTC))
    assert (found.stop, found.identifiers) == ("no_records_match", [])
    assert found.stop in COMPLETE_STOPS


async def test_empty_arguments_are_never_sent() -> None:
    """Fault B12: a blank set makes some servers mark everything deleted."""
    async with running(oai_spec(faults="blank-set")) as facility:
        found = await walk(facility.oai_url, set_="", from_="", until=None)
        assert found.identifiers == ALL
        assert not any(one.deleted for page in found.pages for one in page.records)
        assert all(value for one in facility.requests for value in one.params.values())


@pytest.mark.parametrize(
    ("value", "granularity", "text"),
    [
        (datetime(2024, 1, 2, 3, 4, 5, 999, tzinfo=UTC), SECOND, "2024-01-02T03:04:05Z"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), DAY, "2024-01-02"),
        (datetime.fromisoformat("2024-01-01T23:30:00-02:00"), DAY, "2024-01-02"),
        (date(2024, 1, 2), SECOND, "2024-01-02T00:00:00Z"),
        (date(2024, 1, 2), DAY, "2024-01-02"),
        ("2024", DAY, "2024"),
        (None, SECOND, None),
        ("", SECOND, None),
    ],
)
def test_both_ends_are_written_in_one_granularity(
    value: datetime | date | str | None, granularity: str, text: str | None
) -> None:
    """Faults B13, B15: in UTC."""
    assert format_instant(value, granularity) == text


@pytest.mark.parametrize(("fault", "granularity"), [("no-seconds", SECOND), ("no-days", DAY)])
async def test_the_other_granularity_is_tried_once(fault: str, granularity: str) -> None:
    """Fault B13: Identify says one thing and the server takes the other."""
    from_, until = START - timedelta(days=1), START + timedelta(days=3)
    async with running(oai_spec(faults=fault)) as facility, fetcher() as http:
        one = client(http, facility)
        one.granularity = granularity
        walking = one.pages("ListRecords", "oai_dc", from_=from_, until=until)
        found = Walked([page async for page in walking])
    assert found.identifiers == ALL
    assert found.notes == {"granularity_fallback": 1}


async def test_a_bad_argument_that_is_no_matter_of_dates_comes_out() -> None:
    async with running(oai_spec(faults="oai-error:badArgument")) as facility:
        with pytest.raises(BadArgument):
            await walk(facility.oai_url, from_=START)


async def test_the_first_response_date_is_that_of_the_first_answer() -> None:
    """Fault B16: not the newest datestamp, and not the last answer's."""
    now = iter([START + timedelta(days=30, minutes=minutes) for minutes in range(100)])
    async with running(oai_spec(faults="unordered"), clock=lambda: next(now)) as facility:
        found = await walk(facility.oai_url)
    dates = [page.response_date for page in found.pages]
    assert dates == sorted(set(dates))
    assert {page.first_response_date for page in found.pages} == {dates[0]}


async def test_records_that_come_twice_are_passed_on() -> None:
    """Fault B19: the store keeps the last; a page with doubles is no repeated page."""
    found = await walked(oai_spec(faults="duplicates"))
    assert set(found.identifiers) == set(ALL)
    assert found.stop in COMPLETE_STOPS


@pytest.mark.parametrize(("size", "complete"), [("225176", False), ("3", True), ("0", True)])
async def test_a_size_that_lies_is_a_check_and_nothing_more(size: str, complete: bool) -> None:
    """Fault B20: everything comes either way; a clean end far below it is not called complete."""
    found = await walked(oai_spec(faults=f"size:{size}"))
    assert found.identifiers == ALL
    assert (found.stop in COMPLETE_STOPS) == complete
    assert found.pages[-1].seen == 25


async def test_odd_headers_and_missing_metadata_do_not_stop_the_list() -> None:
    """Fault B22."""
    found = await walked(oai_spec(faults="missing-metadata,odd-header"))
    assert found.stop in COMPLETE_STOPS
    records = [one for page in found.pages for one in page.records]
    assert len(records) == 25
    assert {one.problem for one in records} > {None, "no_metadata"}


# --- C: XML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "bom",
        "latin-1",
        "wrong-charset",
        "prefix",
        "late-namespaces",
        "odd-request",
        "foreign-elements",
    ],
)
async def test_unusual_xml_is_read(fault: str) -> None:
    """Faults C03, C04, C05, C06, C09: unusual, and right."""
    found = await walked(oai_spec(faults=fault))
    assert found.identifiers == ALL
    plain = await walked(oai_spec())
    problems = [one.problem for page in found.pages for one in page.records]
    assert problems == [None] * 25
    assert found.stop == plain.stop


@pytest.mark.parametrize(
    ("fault", "repair"),
    [
        ("illegal-characters", "control_characters"),
        ("invalid-utf8", "encoding"),
        ("lying-encoding", "encoding"),
        ("second-declaration", "declarations"),
        ("bare-ampersand", "ampersands"),
    ],
)
async def test_a_broken_record_is_named_and_with_its_repair_it_comes(
    fault: str, repair: str
) -> None:
    """Faults C01, C03, C04, C09: one bad byte costs one record, not the harvest."""
    spec = oai_spec(faults=fault)
    strict = await walked(spec)
    assert strict.identifiers == ALL
    broken = [one for page in strict.pages for one in page.records if one.problem]
    assert broken
    assert all(one.payload for one in broken)
    mended = await walked(spec, options=OaiOptions(repairs=frozenset({repair})))
    assert [one.problem for page in mended.pages for one in page.records] == [None] * 25
    flagged = [one for page in mended.pages for one in page.records if one.repairs]
    assert {one.header.identifier for one in flagged} == {one.header.identifier for one in broken}
    assert mended.notes[repair] >= len(broken)


async def test_a_blank_before_the_declaration_is_refused_or_mended() -> None:
    """Fault C04."""
    spec = oai_spec(faults="leading-blank")
    with pytest.raises(MalformedResponse):
        await walked(spec)
    mended = await walked(spec, options=OaiOptions(repairs=frozenset({"declarations"})))
    assert mended.identifiers == ALL


async def test_a_huge_text_costs_its_own_record_only() -> None:
    """Fault C07: and the token behind it is not lost."""
    found = await walked(oai_spec(faults="huge-text", gzip=False))
    assert found.identifiers == ALL
    assert {one.problem for page in found.pages for one in page.records} == {None, "too_large"}


async def test_a_page_that_is_cut_every_time_is_no_page() -> None:
    """Fault C08: nothing of it is given as if it were the whole."""
    given, failure = await until_it_fails(oai_spec(faults="truncate@page2"))
    assert isinstance(failure, MalformedResponse)
    assert [one.header.identifier for page in given for one in page.records] == ALL[:10]


@pytest.mark.parametrize("kind", ["file", "http", "parameter", "expansion"])
async def test_a_doctype_is_refused(kind: str) -> None:
    """Entities are never declared, expanded or fetched."""
    async with running(oai_spec(faults=f"doctype:{kind}")) as facility, fetcher() as http:
        with pytest.raises(MalformedResponse, match="DOCTYPE"):
            await client(http, facility).identify()


async def test_a_deep_document_costs_its_own_record_only() -> None:
    found = await walked(oai_spec(faults="deep"))
    assert len(found.identifiers) == 25
    assert any(one.problem for page in found.pages for one in page.records)


async def test_a_large_answer_comes_in_parts_that_begin_again_at_its_start() -> None:
    """No answer has to fit into memory; a part's checkpoint asks for the same answer again."""
    async with running(oai_spec(3000, page_size=5000)) as facility, fetcher() as http:
        one = client(http, facility)
        pages = [page async for page in one.pages("ListRecords", "oai_dc", part_records=500)]
        assert facility.hits["ListRecords"] == 1
        parts = [page for page in pages if page.part]
        assert len(parts) >= 3
        assert all(page.stop is None and page.checkpoint["token"] is None for page in parts)
        again = [
            page async for page in one.pages("ListRecords", "oai_dc", resume=parts[0].checkpoint)
        ]
    assert len(Walked(pages).identifiers) == 3000
    assert Walked(again).identifiers == Walked(pages).identifiers


async def test_an_answer_of_twenty_megabytes_passes_through_little_memory() -> None:
    """What is held is a chunk, a record, and the names of this answer's records."""
    filling = "text " * 800

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        head, tail = _list("").split("</ListRecords>")
        await response.write(head.encode())
        for number in range(5_000):
            one = _list(f"a{number}").split("<ListRecords>")[1].split("</ListRecords>")[0]
            await response.write(one.replace("<x/>", f"<x>{filling}</x>").encode())
        await response.write(f"</ListRecords>{tail}".encode())
        return response

    async with serving(stream) as url, fetcher() as http:
        one = OaiClient(http, url, access=INTERNAL)
        gc.collect()
        tracemalloc.start()
        try:
            count, size = 0, 0
            async for found in one.list_records("oai_dc"):
                count, size = count + 1, size + len(found.payload or b"")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (count, size > 20_000_000) == (5_000, True)
    assert peak < 10 << 20


async def test_a_page_that_breaks_while_records_flow_gives_none_twice() -> None:
    """Fault A07: the library's stream goes on where it was."""
    spec = oai_spec(2000, faults="break-off:400000x1", page_size=5000)
    async with running(spec) as facility, fetcher() as http:
        found = [one async for one in client(http, facility).list_records("oai_dc")]
        assert facility.hits["ListRecords"] == 2
    assert len({one.header.identifier for one in found}) == len(found) == 2000


async def test_every_error_code_comes_out_as_its_class() -> None:
    """The body's code is read before the status is judged."""
    codes: Mapping[str, type[FacilityHttpError]] = {
        "badResumptionToken": BadResumptionToken,
        "noMetadataFormats": NoMetadataFormats,
        "cannotDisseminateFormat": CannotDisseminateFormat,
    }
    for code, kind in codes.items():
        async with running(oai_spec(faults=f"oai-error:{code}")) as facility, fetcher() as http:
            with pytest.raises(kind):
                await client(http, facility).list_metadata_formats()


async def test_another_document_is_not_taken_for_an_empty_list() -> None:
    handle, _ = answers(web.Response(text="<rss/>", content_type="application/xml"))
    async with serving(handle) as url:
        with pytest.raises(NotTheProtocol, match="rss"):
            await walk(url)


def test_a_sources_options_are_read() -> None:
    assert read_options({}) == OaiOptions(check_payloads=False)
    assert read_options({"repair": True}).check_payloads
    assert read_options({"repair": True}).repairs == frozenset(REPAIRS)
    assert read_options({"repair": ["encoding"]}).repairs == {"encoding"}
    options = read_options({"token_encoding": "raw", "max_pages": 7, "check_payloads": False})
    assert (options.token_encoding, options.max_pages) == ("raw", 7)
    assert not options.check_payloads


async def test_identifiers_with_any_characters_are_asked_for_whole() -> None:
    odd = "oai:test:a/b c+d&e=f%2Fg#hü"
    spec = oai_spec(1)
    async with running(spec) as facility, fetcher() as http:
        facility.records.put(
            type(record(0))(odd, START, (), document={**(record(0).document or {}), "pid": "x"})
        )
        found = await client(http, facility).get_record(odd, "oai_dc")
    assert found.header.identifier == odd
