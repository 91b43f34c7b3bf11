"""Search APIs with faults of sections D, E and G of the catalogue, seen from outside."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from simulator import Facility, FacilitySpec, Record, RestOptions, running

FORBIDDEN = {"statusCode": 403, "message": "Unauthorized access", "error": "Forbidden"}


@pytest.fixture
async def facility() -> AsyncIterator[Facility]:
    records = [
        Record(
            f"oai:test:{n}",
            datetime(2024, 1, 1, tzinfo=UTC),
            document={"pid": f"d{n:02}", "title": f"Proposal {n}", "type": "proposal"},
        )
        for n in range(12)
    ]
    async with running(FacilitySpec("Test", records=records, rest=RestOptions())) as started:
        yield started


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def raw(
    session: aiohttp.ClientSession, facility: Facility, path: str, **asked: object
) -> tuple[int, bytes]:
    params = {"filter": json.dumps(asked)} if asked else {}
    async with session.get(facility.api_url + path, params=params) as response:
        return response.status, await response.read()


async def pids(
    session: aiohttp.ClientSession, facility: Facility, **asked: object
) -> list[int] | int:
    """The numbers of the documents answered, or the status of an error."""
    status, body = await raw(session, facility, "/Documents", **asked)
    return [int(each["pid"][1:]) for each in json.loads(body)] if status == 200 else status


ALL = list(range(12))


@pytest.mark.parametrize(
    ("fault", "asked", "found"),
    [
        pytest.param("", {"limit": 3, "skip": 3}, [3, 4, 5], id="none"),
        pytest.param("ignores-skip", {"limit": 3, "skip": 3}, [0, 1, 2], id="E03"),
        pytest.param("skip-from-one", {"limit": 3}, [1, 2, 3], id="E03 from one"),
        pytest.param("cap-limit:5", {"limit": 9}, [0, 1, 2, 3, 4], id="E05 capped"),
        pytest.param("cap-limit:5", {}, [0, 1, 2, 3, 4], id="E05 default page"),
        pytest.param("limit-0-empty", {"limit": 0}, [], id="E05 limit 0"),
        pytest.param("ceiling:6", {"limit": 3, "skip": 9}, [3, 4, 5], id="E04 last page again"),
        pytest.param("ceiling-error:6", {"limit": 3, "skip": 6}, 500, id="E04 error"),
        pytest.param("ignores-order", {"order": "pid DESC"}, ALL, id="E02"),
        pytest.param("order-400", {"order": "pid DESC"}, 400, id="E10"),
        pytest.param("moving:2", {"limit": 3, "skip": 6}, [4, 5, 6], id="E01 forward"),
        pytest.param("sliding:2", {"limit": 3, "skip": 6}, [8, 9, 10], id="E01 backward"),
        pytest.param("empty@page2", {"limit": 3, "skip": 3}, [], id="E07"),
        pytest.param("short:2", {"limit": 3}, [0], id="E12"),
        pytest.param("twice", {"limit": 2}, [0, 0, 1], id="G10"),
        pytest.param("ignores-where", {"where": {"pid": "d03"}}, ALL, id="E08"),
        pytest.param(
            "ignores-where:title", {"where": {"pid": "d03", "title": "x"}}, [3], id="E08 f"
        ),
        pytest.param("include-500", {"include": [{"relation": "datasets"}]}, 500, id="E10 include"),
        pytest.param(
            "include-500:members", {"include": [{"relation": "datasets"}]}, ALL, id="E10 o"
        ),
        pytest.param("error:503", {}, 503, id="G15 503"),
    ],
)
async def test_lists(
    session: aiohttp.ClientSession,
    facility: Facility,
    fault: str,
    asked: dict[str, Any],
    found: list[int] | int,
) -> None:
    facility.faults.set(fault)
    assert await pids(session, facility, **asked) == found


async def test_fault_e02_the_order_changes_between_pages(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("unstable-order")
    answers = [await pids(session, facility, limit=3) for _ in range(3)]
    assert answers == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]


async def test_fault_e07_now_and_then_nothing_comes(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("empty@every3")
    answers = [await pids(session, facility, limit=2) for _ in range(4)]
    assert answers == [[0, 1], [0, 1], [], [0, 1]]


async def test_fault_e12_relations_are_left_out(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    asked = {"include": [{"relation": "datasets"}, {"relation": "members"}], "limit": 1}
    facility.faults.set("ignores-include:members")
    (found,) = json.loads((await raw(session, facility, "/Documents", **asked))[1])
    assert ("datasets" in found, "members" in found) == (True, False)
    facility.faults.set("ignores-include")
    (found,) = json.loads((await raw(session, facility, "/Documents", **asked))[1])
    assert ("datasets" in found, "members" in found) == (False, False)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        pytest.param("", 200, b'{"count":12}', id="none"),
        pytest.param("count-number", 200, b"12", id="bare number"),
        pytest.param("count-wrong:-3", 200, b'{"count":9}', id="G05"),
        pytest.param("count-missing", 404, None, id="E04 missing"),
        pytest.param("count-500", 500, None, id="E10"),
    ],
)
async def test_counts(
    session: aiohttp.ClientSession,
    facility: Facility,
    fault: str,
    status: int,
    body: bytes | None,
) -> None:
    facility.faults.set(fault)
    answer = await raw(session, facility, "/Documents/count")
    assert answer[0] == status
    assert body in (None, answer[1])
    assert len(await pids(session, facility)) == 12  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "place", "expected"),
    [
        pytest.param("ghosts:2", 1, {"score": 0}, id="G11 ghost"),
        pytest.param("forbidden:2", 1, FORBIDDEN, id="D12 refused in place of a record"),
        pytest.param("null-rows", 0, None, id="G11 null"),
        pytest.param(
            "missing-title", 0, {"pid": "d00", "type": "proposal", "score": 0}, id="D07 G11"
        ),
        pytest.param(
            "odd-scores:0.7",
            0,
            {"pid": "d00", "title": "Proposal 0", "type": "proposal", "score": 0.7},
            id="G06",
        ),
        pytest.param(
            "numeric-pids",
            0,
            {
                "pid": 1_000_000,
                "id": "d00",
                "doi": " ",
                "title": "Proposal 0",
                "type": "proposal",
                "score": 0,
            },
            id="E09",
        ),
    ],
)
async def test_objects(
    session: aiohttp.ClientSession, facility: Facility, fault: str, place: int, expected: object
) -> None:
    facility.faults.set(fault)
    _, body = await raw(session, facility, "/Documents", limit=3)
    assert json.loads(body)[place] == expected


async def test_fault_g07_scores_are_odd_in_turn(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("odd-scores")
    _, body = await raw(session, facility, "/Documents", limit=6)
    scores = [each.get("score", "missing") for each in json.loads(body)]
    assert scores == [None, -1, 1, 17.5, "high", "missing"]


async def test_nulls_for_what_is_missing(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("nulls")
    _, body = await raw(session, facility, "/Documents/d01")
    assert json.loads(body)["startDate"] is None
    facility.faults.set("nulls:title")
    _, body = await raw(session, facility, "/Documents", limit=1)
    assert json.loads(body)[0]["title"] is None


@pytest.mark.parametrize("word", ["NaN", "Infinity"])
async def test_fault_d11_no_json_at_all(
    session: aiohttp.ClientSession, facility: Facility, word: str
) -> None:
    facility.faults.set(f"nan:{word}")
    _, body = await raw(session, facility, "/Documents", limit=1)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    with pytest.raises(ValueError, match=word):
        json.loads(body, parse_constant=refuse)


async def test_errors_and_lists_in_other_clothes(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("object")
    assert list(json.loads((await raw(session, facility, "/Documents"))[1])) == ["data"]
    facility.faults.set("error-200")
    status, body = await raw(session, facility, "/Documents")
    assert (status, list(json.loads(body))) == (200, ["error"])
    facility.faults.set("html")
    status, body = await raw(session, facility, "/Documents")
    assert (status, body[:15]) == (200, b"<!DOCTYPE html>")
    facility.faults.set("truncate")
    with pytest.raises(ValueError):
        json.loads((await raw(session, facility, "/Documents"))[1])


async def test_conditions_name_classes(session: aiohttp.ClientSession, facility: Facility) -> None:
    facility.faults.set("error:500@Documents/count,error:502@Datasets")
    assert (await raw(session, facility, "/Documents"))[0] == 200
    assert (await raw(session, facility, "/Documents/count"))[0] == 500
    assert (await raw(session, facility, "/Datasets"))[0] == 502
    assert facility.hits == {"Documents": 1, "Documents/count": 1, "Datasets": 1}


NESTED = {
    "where": {"and": [{"title": {"like": "Proposal"}}, {"pid": "d03"}]},
    "include": [{"relation": "datasets", "scope": {"include": [{"relation": "files"}]}}],
}


@pytest.mark.parametrize(
    ("fault", "asked", "found"),
    [
        pytest.param("refuses-operator:like", NESTED, 400, id="E10 operator, at any depth"),
        pytest.param(
            "refuses-operator:gt", {"where": NESTED["where"]}, [3], id="E10 another operator"
        ),
        pytest.param(
            "ignores-operator:like", {"where": {"title": {"like": "Nothing"}}}, ALL, id="E08"
        ),
        pytest.param("where-500", {"where": {"pid": "d03"}}, 500, id="E10 any condition"),
        pytest.param("where-500", {"limit": 2}, [0, 1], id="E10 no condition"),
        pytest.param("where-500:like", NESTED, 500, id="E10 one operator"),
        pytest.param("include-depth:1", NESTED, 400, id="E12 too deep"),
        pytest.param("include-depth:2", NESTED, [], id="E12 deep enough, joined to nothing"),
        pytest.param("refuses-operator:between", {}, ALL, id="E10 nothing named"),
    ],
)
async def test_filters_that_are_not_understood(
    session: aiohttp.ClientSession,
    facility: Facility,
    fault: str,
    asked: dict[str, Any],
    found: list[int] | int,
) -> None:
    facility.faults.set(fault)
    assert await pids(session, facility, **asked) == found


async def test_fault_e12_includes_are_cut_silently(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.database.put_document(
        {"pid": "x", "title": "X", "datasets": [{"pid": "y", "title": "Y", "files": [{"id": 1}]}]}
    )
    asked = {**NESTED, "where": {"pid": "x"}}
    (whole,) = json.loads((await raw(session, facility, "/Documents", **asked))[1])
    facility.faults.set("shallow-includes")
    (cut,) = json.loads((await raw(session, facility, "/Documents", **asked))[1])
    assert (len(whole["datasets"][0]["files"]), "files" in cut["datasets"][0]) == (1, False)


async def test_fault_g05_everything_is_counted_whatever_the_condition(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("count-all")
    params = {"where": '{"pid":"d03"}'}
    async with session.get(facility.api_url + "/Documents/count", params=params) as response:
        assert await response.json() == {"count": 12}


async def test_fault_g06_scores_are_on_a_scale_of_their_own(
    session: aiohttp.ClientSession, facility: Facility
) -> None:
    facility.faults.set("odd-scores:0.5,scale-scores:1000")
    _, body = await raw(session, facility, "/Documents", limit=1)
    assert json.loads(body)[0]["score"] == 500


async def test_fault_i04_a_body_is_huge(session: aiohttp.ClientSession, facility: Facility) -> None:
    facility.faults.set("huge:1")
    _, body = await raw(session, facility, "/Documents")
    assert 2**20 < len(body) < 2**20 + 10_000
    assert len(json.loads(body)) == 12
