"""What a service can do is found out by asking, against every simulated dialect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from catalogue.facilities import Facility as There
from catalogue.facilities import Source
from catalogue.statistics import from_json
from facility_http.errors import FacilityHttpError
from facility_http.panosc_client import RestOptions, SearchApi
from harvester.capabilities import check_service, probe_service
from harvester.capability_probes import OPERATORS, PROBES, Sample
from harvester.sampling import SAMPLED, summarised
from simulator import DIALECTS, Facility, FacilitySpec, running
from simulator import RestOptions as Endpoint
from tests.facility_http.http_world import INTERNAL, fetcher

THERE = There("F", "F", "https://f.example/api")
NAMES = ("lysozyme in water", "serial crystallography", "magnetic order of iron")


def fill(facility: Facility, count: int = 12) -> None:
    for number in range(count):
        facility.database.put_document(
            {
                "pid": f"10.5072/{number:03}",
                "title": f"{NAMES[number % 3]} {number}",
                "summary": "Synthetic.",
                "type": "proposal",
                "isPublic": True,
                "startDate": f"2020-01-{number + 1:02}T00:00:00.000Z",
                "releaseDate": f"2023-01-{number + 1:02}T00:00:00.000Z",
                "members": [{"id": f"m{number}", "person": {"id": f"p{number}", "fullName": "D"}}],
                "datasets": [
                    {
                        "pid": f"20.500/{number:03}",
                        "title": f"Measurement {number}",
                        "isPublic": True,
                        "creationDate": f"2020-01-{number + 1:02}T00:00:00.000Z",
                        "techniques": [{"pid": "PaNET01188", "name": "SAXS"}],
                    }
                ],
            }
        )


async def profile(dialect: str = "reference", faults: str = "", **options: Any) -> dict[str, Any]:
    endpoint = Endpoint(dialect=DIALECTS[dialect], **options)
    async with running(FacilitySpec("Test", rest=endpoint, faults=faults)) as facility:
        fill(facility)
        async with fetcher() as http:
            api = SearchApi(http, facility.api_url, access=INTERNAL)
            found = await probe_service(api, RestOptions(classes=("Document", "Dataset")))
    return orjson.loads(orjson.dumps(found))["classes"]  # type: ignore[no-any-return]


def states(found: dict[str, Any], state: str) -> set[str]:
    return {name for name, how in found["operators"].items() if how == state}


async def test_the_reference_provider_does_everything() -> None:
    found = (await profile())["Document"]
    assert states(found, "yes") == set(OPERATORS)
    assert found["like"] == "contains"
    assert (found["order"], found["keyset"], found["skip"], found["fields"]) == (True,) * 4
    assert (found["count"], found["total"], found["counts_conditions"]) == ("object", 12, True)
    assert (found["largest_limit"], found["default_limit"]) == (None, None)
    assert found["joins"] is True
    assert (found["scores"], found["by_path"]) == ("zero", True)
    assert found["not_offered"] == []


async def test_what_european_xfel_lacks_is_seen_to_be_ignored() -> None:
    """Crosswalks 2.3: gt, lt, and, or, between, like, nlike, ilike; fault E08: a condition that
    must match nothing returns everything."""
    found = (await profile("xfel"))["Document"]
    assert states(found, "ignored") == {
        "gt", "lt", "and", "or", "between", "like", "nlike", "ilike"
    }  # fmt: skip
    assert found["keyset"] is False
    assert found["order"] is True


async def test_what_scicat_drops_and_ignores() -> None:
    """Crosswalks 2.3: conditions on type and isPublic silently removed, order ignored."""
    classes = await profile("scicat")
    found = classes["Document"]
    assert found["conditions_ignored"] == ["type", "isPublic"]
    assert states(found, "yes") == set(OPERATORS) - {"text"}
    assert (found["order"], found["fields"], found["bare_includes"]) == (False, False, False)
    assert found["scores"] == "scored"
    assert classes["Dataset"]["relations"]["documents"] == "document"


@pytest.mark.parametrize("operator", ["regexp", "like"])
def test_a_name_may_be_met_by_a_synonym(operator: str) -> None:
    """Crosswalks 2.4: an ontology service, ours too, was told to get regular expressions wrong."""
    sample = Sample.of([{"pid": "PaNET01125", "name": "photon probe technique"}])
    (_, probe), *_ = PROBES[operator](sample)
    assert probe.expected([{"name": "XPS", "synonym": ["x-ray photoelectron, photon in"]}])
    assert not probe.expected([{"name": "XPS", "synonym": None}])


async def test_what_ill_answers_otherwise() -> None:
    """Crosswalks 2.3: a bare number as count, SQL LIKE, no regexp, nlike broken, no files."""
    found = (await profile("ill"))["Document"]
    assert (found["count"], found["total"], found["like"]) == ("number", 12, "sql")
    assert states(found, "refused") == {"regexp"}
    assert states(found, "ignored") == {"nlike"}


async def test_what_datagateway_refuses() -> None:
    """Crosswalks 2.3: order and fields are answered with 400."""
    found = (await profile("datagateway"))["Document"]
    assert (found["order"], found["keyset"], found["fields"]) == (False, False, False)
    assert (found["skip"], found["scores"]) == (True, "scored")


@pytest.mark.parametrize(
    ("fault", "key", "value"),
    [
        ("cap-limit:5", "largest_limit", 5),
        ("ignores-skip", "skip", False),
        ("count-missing", "count", "none"),
        ("count-number", "count", "number"),
        ("ignores-order", "order", False),
        ("order-400", "order", False),
        ("error:404@Documents/pid", "by_path", False),
    ],
)
async def test_a_single_weakness_is_told(fault: str, key: str, value: object) -> None:
    """Faults E01, E02, E04, E05, E13."""
    assert (await profile(faults=fault))["Document"][key] == value


async def test_conditions_that_are_dropped_leave_no_operator_standing() -> None:
    """Fault E08."""
    found = (await profile(faults="ignores-where"))["Document"]
    assert states(found, "yes") == set()
    assert found["keyset"] is False
    assert set(found["conditions_ignored"]) >= {"type", "title"}


async def test_a_default_page_is_not_taken_for_everything() -> None:
    """Fault E05."""
    found = (await profile(default_limit=4))["Document"]
    assert found["default_limit"] == 4
    assert found["largest_limit"] is None


async def checked(dialect: str = "reference", faults: str = "", count: int = 12) -> dict[str, Any]:
    """The profile that ``sources check`` would keep."""
    endpoint = Endpoint(dialect=DIALECTS[dialect])
    async with running(FacilitySpec("Test", rest=endpoint, faults=faults)) as facility:
        fill(facility, count)
        source = Source("s", "F", "panosc", facility.api_url, "panosc-json", internal=True)
        report: dict[str, Any] = {"findings": {}, "problems": []}
        async with fetcher() as http:
            await check_service(http, THERE, source, report)
    return orjson.loads(orjson.dumps(report["profile"]))["classes"]  # type: ignore[no-any-return]


async def test_a_sample_is_counted_as_the_index_would_count_it() -> None:
    """Semantics 8: live results are scored with statistics from a sample; a Document's text has
    its Datasets' techniques and its people in it, whatever includes the service takes."""
    for dialect in ("reference", "xfel", "ill"):
        statistics = from_json((await checked(dialect))["Document"]["statistics"])
        assert statistics.documents == 12
        assert statistics.frequency("title", "lysozym") == 4
        assert statistics.frequency("text", "sax") == 12
        assert statistics.average_length("text") > statistics.average_length("title")


async def test_people_are_shown_how_large_a_sample_was_and_not_each_word_of_it() -> None:
    classes = await checked()
    shown = summarised(
        {"full_at": "2026-01-01", "capabilities": {"version": 2, "classes": classes}}
    )
    assert shown["full_at"] == "2026-01-01"
    assert shown["capabilities"]["classes"]["Document"]["statistics"] == {"records": 12.0}
    assert shown["capabilities"]["classes"]["Document"]["total"] == 12
    assert "counted" not in shown["capabilities"]["classes"]["Document"]
    assert "counted" in classes["Document"]
    assert summarised({"full_at": None}) == {"full_at": None}


async def test_at_least_a_thousand_records_of_each_class_are_sampled() -> None:
    found = await checked(count=1_100)
    assert found["Document"]["total"] == 1_100
    assert from_json(found["Document"]["statistics"]).documents >= SAMPLED == 1_000


@pytest.mark.parametrize(("dialect", "drops"), [("reference", True), ("ill", False)])
async def test_nested_includes_that_lose_parents_are_told_from_those_that_do_not(
    dialect: str, drops: bool
) -> None:
    """Crosswalks 2.2: the reference provider and SciCat drop parents without children."""
    spec = FacilitySpec("Test", rest=Endpoint(dialect=DIALECTS[dialect]))
    async with running(spec) as facility:
        fill(facility)
        facility.database.put_document({"pid": "10.5072/alone", "title": "No Dataset yet"})
        async with fetcher() as http:
            api = SearchApi(http, facility.api_url, access=INTERNAL)
            found = await probe_service(api, RestOptions(classes=("Document",)))
    assert found["classes"]["Document"]["nested_drops"] is drops


async def test_where_every_object_has_children_nothing_can_be_told_and_nothing_is_lost() -> None:
    assert (await profile())["Document"]["nested_drops"] is None
    assert "datasets" in (await checked())["Document"]["always"]


async def test_a_sample_tells_how_techniques_are_spelled() -> None:
    """By what they were linked to: a facility's own numbers and names are what it is asked for."""
    spelled = {"PaNET01188": {"pids": ["PaNET01188"], "names": ["SAXS"]}}
    assert (await checked())["Dataset"]["techniques"] == spelled


async def test_the_check_reports_findings_and_problems() -> None:
    async with running(
        FacilitySpec("Test", rest=Endpoint(dialect=DIALECTS["xfel"]), faults="ignores-skip")
    ) as facility:
        fill(facility)
        source = Source("s", "F", "panosc", facility.api_url, "panosc-json", internal=True)
        report: dict[str, Any] = {"findings": {}, "problems": []}
        async with fetcher() as http:
            await check_service(http, THERE, source, report)
    assert report["findings"]["Document"] == "12 objects"
    assert "between" in report["findings"]["Document: operators ignored"]
    assert any("only one page" in problem for problem in report["problems"])
    assert report["profile"]["version"] == 2


async def test_a_wrong_address_is_said_to_be_one() -> None:
    async with running(FacilitySpec("Test", rest=Endpoint())) as facility:
        url = facility.api_url + "/nothing"
        source = Source("s", "F", "panosc", url, "panosc-json", internal=True)
        report: dict[str, Any] = {"findings": {}, "problems": []}
        async with fetcher() as http:
            await check_service(http, THERE, source, report)
    assert any("base URL" in problem for problem in report["problems"])


async def test_a_service_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(FacilityHttpError):
        await profile(faults="error:503")
