"""Sweeps of PaNOSC Search APIs against simulated dialects and faults (section E)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from facility_http.answers import Limits
from facility_http.errors import (
    AccessRefused,
    BadStatus,
    ChallengePage,
    FacilityHttpError,
    MalformedResponse,
    NotOffered,
)
from facility_http.panosc_client import RestOptions, SearchApi, read_rest_options
from facility_http.rest_json import Objects
from harvester.panosc_places import Place, Reading
from harvester.panosc_rest import COMPLETE_STOPS, PanoscClient, RestPage
from simulator import DIALECTS, Facility, FacilitySpec, running
from simulator import RestOptions as Endpoint
from tests.facility_http.http_world import INTERNAL, fetcher

COUNT = 27
CLASSES = ("Document", "Dataset", "Instrument")


def documents(count: int = COUNT) -> list[dict[str, Any]]:
    """Proposals, each fourth without members, with up to three datasets; pids in no order."""
    chance = random.Random(7)
    made = []
    for number in range(count):
        members = [
            {
                "id": f"m{number}-{index}",
                "role": "principal investigator",
                "person": {"id": f"p{number}-{index}", "fullName": f"Jane Doe {number}"},
                "affiliation": {"id": f"a{index}", "name": "Demo Lab"},
            }
            for index in range(number % 4)
        ]
        datasets = [
            {
                "pid": f"20.500/{chance.randrange(10**6):06d}/{number}-{index}",
                "title": f"Run {index} of lysozyme",
                "isPublic": True,
                "creationDate": "2020-01-01T00:00:00.000Z",
                "techniques": [{"pid": "PaNET01188", "name": "SAXS"}],
                "samples": [{"pid": f"s{number}", "name": "water"}],
                "parameters": [{"name": "wavelength", "value": 1.5, "unit": "nm"}],
                "files": [{"id": f"f{number}-{index}", "name": "a.h5", "path": "/", "size": 1}],
                "instrument": {"pid": f"i{index}", "name": "P1", "facility": "Test"},
            }
            for index in range((number + 1) % 4)
        ]
        made.append(
            {
                "pid": f"10.5072/{chance.randrange(10**6):06d}-{number}",
                "title": f"Lysozyme in proposal {number}",
                "type": "proposal",
                "isPublic": True,
                "members": members,
                "datasets": datasets,
                "parameters": [],
            }
        )
    return made


@dataclass
class Swept:
    """What came of a sweep."""

    pages: list[RestPage] = field(default_factory=list)

    @property
    def records(self) -> list[tuple[str, str]]:
        return [_split(one.header.identifier) for page in self.pages for one in page.records]

    def pids(self, entity_class: str) -> set[str]:
        return {pid for name, pid in self.records if name == entity_class}

    @property
    def stops(self) -> dict[str, str]:
        return {page.entity_class: page.stop for page in self.pages if page.stop}

    @property
    def notes(self) -> Counter[str]:
        return Counter({key: n for page in self.pages for key, n in page.notes.items()})

    def objects(self, entity_class: str) -> list[dict[str, Any]]:
        return [
            orjson.loads(one.payload or b"{}")
            for page in self.pages
            for one in page.records
            if page.entity_class == entity_class
        ]


def _split(identifier: str) -> tuple[str, str]:
    name, _, pid = identifier.partition("/")
    return name, pid


def spec(faults: str = "", dialect: str = "reference") -> FacilitySpec:
    return FacilitySpec("Test", rest=Endpoint(dialect=DIALECTS[dialect]), faults=faults)


def fill(facility: Facility, count: int = COUNT) -> dict[str, set[str]]:
    """Put documents in; gives what a sweep has to find."""
    for one in documents(count):
        facility.database.put_document(one)
    return {name: set(facility.database.tables[name]) for name in CLASSES}


async def sweep(
    facility: Facility, *, resume: Mapping[str, Any] | None = None, **options: Any
) -> Swept:
    settings = {"page_size": 8, **options}
    async with fetcher() as http:
        client = PanoscClient(
            http, facility.api_url, access=INTERNAL, options=RestOptions(**settings)
        )
        return Swept([page async for page in client.pages(resume)])


def complete(swept: Swept, wanted: Mapping[str, set[str]]) -> bool:
    missing = {name: wanted[name] - swept.pids(name) for name in wanted}
    assert not any(missing.values()), missing
    assert len(swept.records) == len(set(swept.records)), "something came twice"
    return all(stop in COMPLETE_STOPS for stop in swept.stops.values())


# --- dialects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_is_swept_completely_with_its_people(dialect: str) -> None:
    """Crosswalks 2.2, 2.3: a nested include loses parents without children at most of them."""
    async with running(spec(dialect=dialect)) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted)
    people = [
        member["person"]["fullName"]
        for one in swept.objects("Document")
        for member in one.get("members") or ()
    ]
    assert len(people) == sum(number % 4 for number in range(COUNT))
    for one in swept.objects("Dataset"):
        assert one["techniques"][0]["name"] == "SAXS"
        assert one["instrument"]["name"] == "P1"
        assert one["files"][0]["name"] == "a.h5"
        assert one["samples"][0]["name"] == "water"
    assert swept.stops["Technique"] in ("not_offered", "end_of_class")
    assert swept.pages[-1].last


async def test_documents_name_their_datasets_so_that_the_link_is_known() -> None:
    """Where a Dataset names no Document: the reference provider refuses that relation."""
    async with running(spec()) as facility:
        fill(facility)
        swept = await sweep(facility)
    linked = {one["pid"] for doc in swept.objects("Document") for one in doc.get("datasets") or ()}
    assert linked == swept.pids("Dataset")
    assert {page.not_offered for page in swept.pages if page.entity_class == "Dataset"} == {
        ("documents",)
    }


async def test_a_singular_parent_becomes_a_list() -> None:
    """Crosswalks 3.6: `document` is `documents`."""
    async with running(spec(dialect="scicat")) as facility:
        fill(facility)
        swept = await sweep(facility)
    assert all(len(one["documents"]) == 1 for one in swept.objects("Dataset"))
    assert not any("document" in one for one in swept.objects("Dataset"))


# --- paging (E01–E07) -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["reference", "datagateway", "xfel"])
@pytest.mark.parametrize(
    "fault",
    [
        "moving",
        "moving:3",
        "sliding",
        "unstable-order",
        "ignores-order",
        "order-400",
        "ignores-skip",
        "cap-limit:3",
        "empty@every3",
        "empty@page2x1",
        "twice",
        "ignores-where",
        "null-rows",
        "limit-0-empty",
        "count-number",
        "count-missing",
        "count-500",
        "count-wrong:-10",
    ],
)
async def test_nothing_is_lost_whatever_the_pages_do(fault: str, dialect: str) -> None:
    """Faults E01 (the list moves), E02 (no order), E03, E04, E05 (caps), E07 (a passing empty
    page), E08 (conditions ignored), and counts of every kind."""
    async with running(spec(fault, dialect)) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted), swept.stops


async def test_a_record_that_appears_and_one_that_goes_while_it_runs() -> None:
    """Fault E01: by pid, a change elsewhere moves no page."""
    async with running(spec()) as facility, fetcher() as http:
        wanted = fill(facility)
        late = {**documents(1)[0], "pid": "10.5072/999999-late", "datasets": [], "members": []}
        client = PanoscClient(
            http, facility.api_url, access=INTERNAL, options=RestOptions(page_size=8)
        )
        swept = Swept()
        first_gone = None
        async for page in client.pages():
            swept.pages.append(page)
            if len(swept.pages) == 1:
                first_gone = _split(page.records[0].header.identifier)[1]
                facility.database.delete("Document", first_gone)
                facility.database.put_document(late)
    assert swept.pids("Document") == wanted["Document"] | {"10.5072/999999-late"}
    assert swept.stops["Document"] == "end_of_class"
    assert first_gone in swept.pids("Document")


@pytest.mark.parametrize("fault", ["skip-from-one", "short"])
async def test_what_cannot_be_had_is_not_called_complete(fault: str) -> None:
    """Faults E03, E07: without order or conditions one object stays hidden; the count tells."""
    async with running(spec(fault, "datagateway")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert len(wanted["Document"] - swept.pids("Document")) == 1
    assert swept.stops["Document"] == "count_disagrees"


async def test_the_first_record_is_not_skipped_where_order_can_be_turned() -> None:
    """Fault E03: skip counts from one; read from the other end, the first is the last."""
    async with running(spec("skip-from-one")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert swept.pids("Document") == wanted["Document"]
    assert swept.stops["Document"] == "end_of_class"


@pytest.mark.parametrize("count", [1, 8, 9])
async def test_one_record_one_page_and_one_more(count: int) -> None:
    """Faults E03, E05: the contract at the edges of a page."""
    async with running(spec()) as facility:
        wanted = fill(facility, count)
        swept = await sweep(facility)
    assert complete(swept, wanted)


async def test_an_empty_service_is_complete() -> None:
    async with running(spec()) as facility:
        swept = await sweep(facility)
    assert swept.records == []
    assert swept.stops["Document"] == "end_of_class"


@pytest.mark.parametrize("fault", ["ceiling:16", "ceiling-error:16"])
async def test_a_ceiling_is_passed_by_pid_and_named_where_it_is_not(fault: str) -> None:
    """Fault E04: the last page for ever, or 500; never an endless loop."""
    async with running(spec(fault)) as facility:
        wanted = fill(facility)
        assert complete(await sweep(facility), wanted)
    async with running(spec(fault, "datagateway")) as facility:
        fill(facility)
        swept = await sweep(facility)
        assert swept.stops["Document"] == "ceiling"
        assert swept.stops["Instrument"] == "end_of_class"
        assert sum(facility.hits.values()) < 400


async def test_a_count_that_is_too_high_ends_after_bounded_passes() -> None:
    async with running(spec("count-wrong:10")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
        assert not complete(swept, wanted)
        assert swept.stops["Document"] == "count_disagrees"
        assert (swept.pages[-2].count or 0) > swept.pages[-2].seen


# --- filters and includes (E08–E12) ---------------------------------------------------------------


@pytest.mark.parametrize("fault", ["include-500:files", "ignores-include:files"])
async def test_what_cannot_be_included_comes_by_a_second_request(fault: str) -> None:
    """Faults E10, E12."""
    async with running(spec(fault)) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted)
    assert all(one["files"][0]["name"] == "a.h5" for one in swept.objects("Dataset"))
    assert not any("files" in page.not_offered for page in swept.pages)


async def test_what_is_not_offered_is_unknown_and_not_none() -> None:
    """Fault E12: DataGateway sends [] for relations that were not included."""
    async with running(spec("include-500:techniques", "datagateway")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted)
    assert all("techniques" not in one for one in swept.objects("Dataset"))
    dataset_pages = [page for page in swept.pages if page.entity_class == "Dataset"]
    assert all("techniques" in page.not_offered for page in dataset_pages)


async def test_a_relation_that_is_taken_and_never_sent_is_noted() -> None:
    """Fault E12."""
    async with running(spec("ignores-include:members")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted)
    assert swept.notes["never_sent_members"] == 1


# --- odd objects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "note"), [("ghosts", "ghost"), ("forbidden", "refused")])
async def test_ghosts_and_refusals_are_counted_and_leave_a_gap(fault: str, note: str) -> None:
    """Crosswalks 2.3: {"score": 0}, and a 403 object in place of a record."""
    async with running(spec(f"{fault}:8@Documents")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert swept.notes[note] > 0
    missing = wanted["Document"] - swept.pids("Document")
    assert swept.stops["Document"] == ("end_with_gaps" if missing else "end_of_class")
    assert swept.pids("Dataset") == wanted["Dataset"]


@pytest.mark.parametrize("fault", ["nulls", "nan", "odd-scores", "missing-title"])
async def test_odd_values_are_passed_on(fault: str) -> None:
    """Faults D07, D11: the crosswalk judges them; NaN is no JSON and becomes null, counted."""
    async with running(spec(fault)) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert complete(swept, wanted)
    assert all(one.payload for page in swept.pages for one in page.records)
    assert bool(swept.notes["nan"]) == (fault == "nan")


async def test_numeric_pids_are_identifiers() -> None:
    """Fault E09, crosswalks 2.3: ESRF."""
    async with running(spec("numeric-pids@Instruments")) as facility:
        fill(facility)
        swept = await sweep(facility)
    assert "1000000" in swept.pids("Instrument")


# --- services that do not answer ------------------------------------------------------------------


async def test_one_class_behind_a_login_does_not_keep_the_others_back() -> None:
    async with running(spec("error:403@Datasets")) as facility:
        wanted = fill(facility)
        swept = await sweep(facility)
    assert swept.pids("Document") == wanted["Document"]
    assert swept.stops["Dataset"] == "refused"
    assert swept.pids("Instrument") == wanted["Instrument"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("html:200", ChallengePage),
        ("empty-body", MalformedResponse),
        ("error-200", MalformedResponse),
        ("object", MalformedResponse),
        ("error:503", BadStatus),
        ("error:404", NotOffered),
    ],
)
async def test_a_service_that_answers_something_else_is_an_error(
    fault: str, error: type[FacilityHttpError]
) -> None:
    """Faults A01, A11, E09: never an empty sweep."""
    async with running(spec(fault)) as facility:
        fill(facility)
        with pytest.raises(error):
            await sweep(facility)


@pytest.mark.parametrize(
    "fault", ["truncate:300x2", "break-off:100x2", "error:500@page2x2", "reset@page3x2"]
)
async def test_what_passes_costs_nothing(fault: str) -> None:
    """Faults A07, C08."""
    async with running(spec(fault)) as facility:
        wanted = fill(facility)
        assert complete(await sweep(facility), wanted)


async def test_pages_that_are_too_heavy_become_smaller() -> None:
    """Fault A04 in its REST form: what times out or is too large at eight comes at two."""
    async with running(spec()) as facility, fetcher(limits=Limits(max_body_bytes=4000)) as http:
        wanted = fill(facility)
        client = PanoscClient(
            http, facility.api_url, access=INTERNAL, options=RestOptions(page_size=32)
        )
        swept = Swept([page async for page in client.pages()])
    assert complete(swept, wanted)
    assert swept.notes["smaller_page"] > 0


async def test_one_object_that_cannot_be_read_with_its_relations_comes_without() -> None:
    """Fault A08: marked for quarantine, while all the others come in."""
    poison = documents()[5]["pid"]
    async with running(spec()) as facility:
        wanted = fill(facility)
        endpoint = facility._rest
        assert endpoint is not None
        joined = endpoint._joined

        def fail(model: Any, row: Any, includes: Any, **own: Any) -> Any:
            if row.get("pid") == poison and includes:
                raise ValueError("a mandatory relation without data")
            return joined(model, row, includes, **own)

        endpoint._joined = fail  # type: ignore[method-assign]
        swept = await sweep(facility)
    assert complete(swept, wanted)
    marked = [one for page in swept.pages for one in page.records if one.problem]
    assert [one.header.identifier for one in marked] == [f"Document/{poison}"]
    assert "relations" in (marked[0].problem or "")


# --- going on, and single objects -----------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["reference", "datagateway"])
async def test_a_sweep_goes_on_behind_any_page(dialect: str) -> None:
    """The checkpoint is JSON; with it, and the pages before, everything is there."""
    async with running(spec(dialect=dialect)) as facility:
        wanted = fill(facility)
        whole = await sweep(facility)
        for index in range(0, len(whole.pages) - 1, 3):
            checkpoint = orjson.loads(orjson.dumps(dict(whole.pages[index].checkpoint)))
            rest = await sweep(facility, resume=checkpoint)
            both = Swept(whole.pages[: index + 1] + rest.pages)
            for name in wanted:
                assert wanted[name] <= both.pids(name), (index, name)
            assert all(stop in COMPLETE_STOPS for stop in rest.stops.values())
            assert len(rest.records) <= len(whole.records)


@pytest.mark.parametrize("pid", ["10.1/a/b", "a+b c", "ü/é", "x%2Fy", "tail/"])
async def test_one_object_is_found_by_its_identifier(pid: str) -> None:
    """Fault E13: encoded in the path, else by a condition."""
    async with running(spec()) as facility, fetcher() as http:
        fill(facility)
        facility.database.put_document({**documents(1)[0], "pid": pid, "datasets": []})
        client = PanoscClient(http, facility.api_url, access=INTERNAL)
        found = await client.get("Document", pid)
        assert found is not None
        assert found.header.identifier == f"Document/{pid}"
        assert await client.get("Document", "no-such") is None


async def test_an_object_that_is_not_shown_is_not_gone() -> None:
    """Semantics 1.4: a refusal is no deletion."""
    async with running(spec("error:403@Documents/pid")) as facility, fetcher() as http:
        fill(facility)
        client = PanoscClient(http, facility.api_url, access=INTERNAL)
        with pytest.raises(AccessRefused):
            await client.get("Document", documents()[0]["pid"])


async def test_the_endpoint_is_found_in_lower_case() -> None:
    """Crosswalks 2.1: /datasets here, /Datasets there."""

    from aiohttp import web

    from tests.facility_http.http_world import serving

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/documents":
            return web.json_response([{"pid": "a"}])
        error = {"error": {"statusCode": 404, "message": "no such method"}}
        return web.json_response(error, status=404)

    async with serving(handle) as url, fetcher() as http:
        api = SearchApi(http, f"{url}/api/", access=INTERNAL)
        found = await api.find("Document", {"limit": 1})
        assert [one["pid"] for one in found.items] == ["a"]
        assert api.able("Document").path == "documents"


# --- bookkeeping ----------------------------------------------------------------------------------


def test_a_keyset_page_without_anything_new_is_no_keyset() -> None:
    reading = Reading(Place(strategy="keyset"), page_size=2, count=4)
    page = Objects([{"pid": "a"}, {"pid": "b"}], 2)
    assert len(reading.take(page)) == 2
    assert reading.window()["where"] == {"pid": {"gt": "b"}}
    assert reading.take(page) == []
    assert (reading.place.strategy, reading.place.skip) == ("offset", 0)


def test_a_resumed_list_by_skip_is_read_once_more_before_it_counts() -> None:
    """Fault E01: what moved while nobody looked would be missed."""
    place = Place(strategy="offset", skip=2, seen=2, resumed=True)
    reading = Reading(place, page_size=2, count=3)
    reading.take(Objects([{"pid": "c"}], 1))
    reading.take(Objects([], 0))
    assert reading.finished(4) is None
    reading.next_pass(keyset=False)
    assert (reading.place.skip, reading.place.seen, reading.distinct) == (0, 0, 1)


def test_a_sources_options_are_read() -> None:
    assert read_rest_options({}) == RestOptions()
    options = read_rest_options({"page_size": 50, "classes": ["Documents"], "max_pages": 3})
    assert (options.page_size, options.classes, options.max_pages) == (50, ("Document",), 3)


async def test_a_page_limit_has_a_name() -> None:
    async with running(spec()) as facility:
        fill(facility)
        swept = await sweep(facility, max_pages=2)
    assert swept.stops["Document"] == "page_limit"
