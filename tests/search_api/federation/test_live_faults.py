"""Facilities that fail in every way, asked live: what is missing is said, what is not is whole.

Each test names the faults of the catalogue (sections E and G) whose guard it is.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from simulator.simulated_time import run_simulated
from tests.search_api.federation.live_world import (
    CHECKED_S,
    Answered,
    Prepared,
    World,
    check_again,
    documents,
)
from tests.search_api.federation.test_live_truth import ALL, living

DEADLINE_S = 3.0
PATIENT = {"deadline_ms": int(DEADLINE_S * 1000)}
GRACE_S = 0.05
FAILURES = {
    "refuse": "failed",
    "reset": "failed",
    "break-off": "failed",
    "hang": "timed_out",
    "stall": "timed_out",
    "trickle": "timed_out",
    "slow:30s": "timed_out",
    "error:429:60": ("failed", "paused"),
    "error:401": ("failed", "paused"),
    "error:403": ("failed", "paused"),
    "error:500": "failed",
    "error:503": "failed",
    "not-json": "failed",
    "truncate": "failed",
    "empty-body": "failed",
    "html": "failed",
    "object": "failed",
    "error-200": "failed",
}


def without(truth: Answered, missing: str) -> set[str]:
    """Keys that somebody besides ``missing`` has."""
    return {hit["key"] for hit in truth.json["hits"] if set(hit["facilities"]) - {missing}}


@pytest.mark.parametrize("behaviour", FAILURES)
def test_a_facility_that_fails_is_named_and_the_others_answer(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Faults G01, G02, G05, G15, G16: silence is no empty list, within the deadline, and no total
    is claimed to be exact while somebody is missing."""

    async def look(world: World) -> None:
        await world.change(F5=behaviour)
        truth = await world.truth.search("lysozyme", limit=ALL)
        live = await world.live.search("lysozyme", limit=ALL, **PATIENT)
        assert live.status == 200
        assert live.seconds <= DEADLINE_S + GRACE_S
        states = live.states()
        expected = FAILURES[behaviour]
        assert states.pop("F5") in ((expected,) if isinstance(expected, str) else expected)
        assert live.lines["F5"]["why"]
        assert set(states.values()) == {"answered"}
        assert without(truth, "F5") <= set(live.keys) <= set(truth.keys)
        assert not live.is_exact
        assert live.total <= truth.total
        assert live.headers["X-Facilities-Missing"] == "F5"

    living(ten_facilities, tmp_path, look)


@pytest.mark.parametrize("behaviour", ["hang", "error:503", "refuse", "not-json"])
def test_the_panosc_form_says_it_in_headers(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Faults G01, G05: an array has no room for it, so headers have."""

    async def look(world: World) -> None:
        await world.change(F0=behaviour)
        listed = await world.live.find("/api/Documents", limit=5)
        counted = await world.live.count("/api/Documents")
        runs = await world.live.find("/api/Datasets", limit=5)
        for answer in (listed, counted, runs):
            assert answer.status == 200
            assert answer.headers["X-Facilities-Missing"] == "F0"
            assert answer.headers["X-Total-Count-Relation"] == "gte"
            assert "F0=" in answer.headers["X-Facilities-States"]
        assert len(listed.json) == 5
        assert counted.json["count"] > 0

    living(ten_facilities, tmp_path, look)


@pytest.mark.parametrize("behaviour", ["refuse", "hang", "error:500", "error:401", "empty-body"])
@pytest.mark.parametrize(
    "path",
    ["/api/search?q=lysozyme", "/api/Documents", "/api/Documents/count", "/api/Datasets",
     "/api/Documents/10.5072%2Fu0001"],
)  # fmt: skip
def test_nobody_answering_is_an_error_and_never_an_empty_list(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str, path: str
) -> None:
    """Faults G01, G15, G16."""

    async def look(world: World) -> None:
        await world.change(**{f"F{n}": behaviour for n in range(10)})
        answer = await world.live.get(path)
        assert answer.status == 503
        assert answer.json["error"]["statusCode"] == 503
        assert answer.json["error"]["message"]

    living(ten_facilities, tmp_path, look, deadline_s=6.0)


@pytest.mark.parametrize("behaviour", ["refuse", "hang", "error:429:60", "error:403", "error:500",
                                       "error:503", "not-json", "empty-body"])  # fmt: skip
def test_a_copy_stands_in_for_whoever_fails_however_it_fails(
    mixed_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Fault G15: every kind of failure takes the same path, and the copy's age is told."""

    async def look(world: World) -> None:
        await world.change(F3=behaviour, F4=behaviour)
        truth = await world.truth.search("lysozyme", limit=ALL)
        live = await world.live.search("lysozyme", limit=ALL, **PATIENT)
        assert live.states()["F3"] == live.states()["F4"] == "stale"
        assert live.lines["F3"]["age_s"] == pytest.approx(CHECKED_S, abs=CHECKED_S)
        assert live.lines["F3"]["why"]
        assert set(live.keys) == set(truth.keys)
        listed = await world.live.find("/api/Documents", limit=ALL)
        whole = await world.truth.find("/api/Documents", limit=ALL)
        assert {one["pid"] for one in listed.json} == {one["pid"] for one in whole.json}
        assert "F3=stale" in listed.headers["X-Facilities-States"]

    living(mixed_facilities, tmp_path, look)


@pytest.mark.parametrize("behaviour", ["refuse", "error:500", "error:503", "not-json", "hang"])
def test_what_a_facility_said_a_moment_ago_stands_in_and_is_marked(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Faults G14, G15: stale answers on error, for each kind of error, never as fresh."""

    async def look(world: World) -> None:
        fresh = await world.live.search("lysozyme", limit=ALL)
        await world.change(F5=behaviour)
        await anyio.sleep(120)
        stale = await world.live.search("lysozyme", limit=ALL, **PATIENT)
        assert stale.states()["F5"] == "stale"
        assert stale.lines["F5"]["age_s"] >= 120
        assert set(stale.keys) == set(fresh.keys)

    living(ten_facilities, tmp_path, look)


def test_a_failure_is_not_kept_once_the_facility_is_well(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Fault G14: nothing empty or partial is served as complete afterwards."""

    async def look(world: World) -> None:
        truth = await world.truth.search("lysozyme", limit=ALL)
        for behaviour in ("error:503x1", "not-json", "empty", "truncate"):
            await world.change(F5=behaviour)
            await world.live.search("lysozyme", limit=ALL)
            await world.change(F5="")
            await anyio.sleep(900)
            again = await world.live.search("lysozyme", limit=ALL)
            assert again.states()["F5"] == "answered", behaviour
            assert set(again.keys) == set(truth.keys), behaviour

    living(ten_facilities, tmp_path, look)


def test_one_hung_facility_delays_every_kind_of_question_until_the_deadline_only(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Fault G02: single objects and files too."""

    async def look(world: World) -> None:
        await world.change(F2="hang", F7="stall")
        for path in ("/api/search?q=x", "/api/Documents?limit=1", "/api/Documents/count",
                     "/api/Documents/10.5072%2Fu0003", "/api/Datasets/20.500.12269%2Fu0003",
                     "/api/Datasets/20.500.12269%2Fu0003/files", "/api/Instruments"):  # fmt: skip
            answer = await world.live.get(path)
            assert answer.seconds <= 5.0 + GRACE_S, path
            assert answer.status in (200, 404, 503), path

    living(ten_facilities, tmp_path, look, deadline_s=5.0)


def test_slow_is_not_failed(ten_facilities: Prepared, tmp_path: Path) -> None:
    """Fault G03: within the deadline a slow facility answers, and is not paused for it."""

    async def look(world: World) -> None:
        await world.change(F5="slow:800ms", F6="slow:100ms..900ms")
        for _ in range(6):
            live = await world.live.search("lysozyme", limit=ALL, **PATIENT)
            assert set(live.states().values()) == {"answered"}
            assert live.lines["F5"]["elapsed_ms"] >= 0
            await anyio.sleep(700)

    living(ten_facilities, tmp_path, look)


@pytest.mark.parametrize("behaviour", ["odd-scores", "scale-scores:1000", "odd-scores:1e300"])
def test_what_facilities_say_of_scores_changes_nothing(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Faults G06, G07."""

    async def look(world: World) -> None:
        before = await world.live.search("lysozyme water", match="any", limit=50)
        await world.change(**{f"F{n}": behaviour for n in range(10)})
        await anyio.sleep(4000)
        after = await world.live.search("lysozyme water", match="any", limit=50)
        assert set(after.states().values()) == {"answered"}
        assert [(h["key"], h["score"]) for h in after.json["hits"]] == [
            (h["key"], h["score"]) for h in before.json["hits"]
        ]

    living(ten_facilities, tmp_path, look)


@pytest.mark.parametrize(
    "behaviour", ["twice", "null-rows", "ghosts", "missing-title", "nulls:title", "forbidden"]
)
def test_odd_objects_are_dropped_and_the_rest_is_answered(
    ten_facilities: Prepared, tmp_path: Path, behaviour: str
) -> None:
    """Faults G10, G11: no vote twice, no malformed result breaks the answer."""

    async def look(world: World) -> None:
        await world.change(F0=behaviour, F6=behaviour)
        truth = await world.truth.search("lysozyme", limit=ALL)
        live = await world.live.search("lysozyme", limit=ALL)
        assert live.status == 200
        assert len(live.keys) == len(set(live.keys))
        assert set(live.keys) <= set(truth.keys)
        others = {
            hit["key"] for hit in truth.json["hits"] if not {"F0", "F6"} & set(hit["facilities"])
        }
        assert others <= set(live.keys)
        if behaviour == "twice":
            assert live.keys == truth.keys or set(live.keys) == set(truth.keys)
            assert live.total == truth.total
        listed = await world.live.find("/api/Documents", limit=ALL)
        assert listed.status == 200

    living(ten_facilities, tmp_path, look)


def test_a_paused_facility_is_seen_with_the_time_of_its_return(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Faults G12, G13: 429 pauses at once, for as long as it says; then one probe at a time."""

    async def look(world: World) -> None:
        await world.change(F5="error:429:120")
        await world.live.search("lysozyme")
        asked = len(world.endpoint("F5").requests)
        paused = await world.live.search("water")
        line = paused.lines["F5"]
        assert line["state"] == "paused"
        until = datetime.fromisoformat(line["until"])
        waits = (until - world.clock.now()).total_seconds()
        assert 119 <= waits <= 180
        assert len(world.endpoint("F5").requests) == asked  # nobody bothers it meanwhile
        await anyio.sleep(waits + 1)
        await world.change(F5="slow:1s")
        asked = len(world.endpoint("F5").requests)
        answers: list[Answered] = []

        async def one(number: int) -> None:
            answers.append(await world.live.search(f"film n{number}", match="any", **PATIENT))

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(one, number)
        states = [answer.states()["F5"] for answer in answers]
        assert states.count("answered") == 1
        assert len(world.endpoint("F5").requests) - asked <= 3  # one probing question's requests
        for _ in range(6):
            await anyio.sleep(30)
            last = await world.live.search("polymer", **PATIENT)
        assert last.states()["F5"] == "answered"

    # Small facilities are read whole, whatever is asked: all would share one request.
    living(ten_facilities, tmp_path, look, live_whole=0)


@pytest.mark.parametrize(
    "fault",
    ["unstable-order", "ignores-skip", "ceiling:5", "ceiling-error:5",
     "cap-limit:4", "cap-limit:4,ignores-skip", "empty@every3", "ignores-where",
     "ignores-include", "order-400", "ignores-order", "include-500", "where-500",
     "refuses-operator:like", "ignores-operator:like", "refuses-operator:and",
     "count-wrong:10", "count-wrong:-3", "count-all", "count-missing", "count-500",
     "count-number", "shallow-includes", "include-depth:1", "limit-0-empty", "twice"],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_what_is_claimed_of_a_service_with_faults_is_true(
    apart_facilities: Prepared, tmp_path: Path, fault: str, known: bool
) -> None:
    """Faults E01 to E12, G05: found by the check or met afterwards, what is claimed exact is exact;
    nothing that does not match is shown, nothing twice."""
    prepared, faults = apart_facilities, {"F0": fault, "F6": fault}
    if known:
        prepared = run_simulated(
            lambda loop: check_again(loop, tmp_path / "checked", apart_facilities, faults)
        )

    async def look(world: World) -> None:
        await world.change(F0=fault, F6=fault)
        for names in (["F0"], ["F6"], ["F0", "F3", "F6"]):
            for question in ({"q": "lysozyme"}, {"q": ""}, {"q": "", "year": "2012-2018"}):
                live = await world.live.search(limit=ALL, facilities=names, **question)
                truth = await world.truth.search(limit=ALL, facility=names, **question)
                told = (fault, names, question, live.json)
                if live.status == 503:
                    assert names != ["F0", "F3", "F6"], told
                    continue
                assert live.status == 200, told
                assert len(live.keys) == len(set(live.keys)), told
                assert set(live.keys) <= set(truth.keys), told
                if live.is_exact:
                    assert set(live.states().values()) == {"answered"}, told
                    assert (live.total, set(live.keys)) == (truth.total, set(truth.keys)), told
                else:
                    assert live.total <= truth.total, told

    living(prepared, tmp_path / "world", look)


def new_document(pid: str, title: str) -> dict[str, Any]:
    """A Document that the facility did not have when it was checked."""
    return {**next(documents(1)), "pid": pid, "doi": None, "title": title}


@pytest.mark.parametrize("count", [20, 21, 1000])
def test_long_lists_of_values_stay_whole(
    ten_facilities: Prepared, tmp_path: Path, count: int
) -> None:
    """Fault E11."""

    async def look(world: World) -> None:
        wanted = [f"10.5072/u{n:04}" for n in range(count)]
        asked: dict[str, Any] = {"where": {"doi": {"inq": wanted}}, "limit": ALL}
        live = await world.live.find("/api/Documents", **asked)
        truth = await world.truth.find("/api/Documents", **asked)
        assert sorted(one["pid"] for one in live.json) == sorted(one["pid"] for one in truth.json)
        assert len(live.json) >= 20

    living(ten_facilities, tmp_path, look)


@pytest.mark.parametrize("pid", ["007", "1e5", "2020-01", "a-35266", "10.5072/a/b+c", "äö"])
def test_identifiers_are_never_misread(ten_facilities: Prepared, tmp_path: Path, pid: str) -> None:
    """Faults E09, E13: digits, dates, slashes and signs stay what they are."""

    async def look(world: World) -> None:
        for name in ("F0", "F6"):
            world.endpoint(name).database.put_document(new_document(pid, "lysozyme oddly named"))
        found = await world.live.find("/api/Documents", where={"pid": pid}, limit=5)
        assert {one["pid"] for one in found.json} == {pid}
        one = await world.live.get("/api/Documents/" + quote(pid, safe=""), {"facility": "F0"})
        assert one.status == 200
        assert one.json["title"] == "lysozyme oddly named"

    living(ten_facilities, tmp_path, look)


def test_records_that_change_between_two_questions_are_answered_as_they_are_now(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Faults E01, G14: live means of this minute, once what was kept has run out."""

    async def look(world: World) -> None:
        before = await world.live.search("lysozyme", limit=ALL)
        world.endpoint("F0").database.put_document(new_document("10.5072/new", "lysozyme anew"))
        await anyio.sleep(3600)
        after = await world.live.search("lysozyme", limit=ALL)
        assert set(after.keys) - set(before.keys) == {"document:doi:10.5072/new"}
        assert after.total == before.total + 1

    living(ten_facilities, tmp_path, look)


def test_an_operator_that_turns_out_unknown_is_learnt(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Fault E10: refused once, it is not sent again, and the answer is whole all the same."""

    async def look(world: World) -> None:
        asked: dict[str, Any] = {"where": {"title": {"like": "water"}}, "limit": ALL}
        truth = await world.truth.find("/api/Documents", **asked)
        await world.change(F0="refuses-operator:like", F6="refuses-operator:like")
        for _ in range(3):
            live = await world.live.find("/api/Documents", **asked)
            assert {one["pid"] for one in live.json} == {one["pid"] for one in truth.json}
            assert live.headers["X-Total-Count-Relation"] == "eq"
        sent = [str(request.params) for request in world.endpoint("F0").requests]
        assert sum("like" in one for one in sent) == 2  # the list and its count, once

    living(ten_facilities, tmp_path, look, live_whole=0)


def test_operators_that_a_service_is_known_not_to_know_are_never_sent(
    ten_facilities: Prepared, tmp_path: Path
) -> None:
    """Crosswalks 2.3 (European XFEL), fault E08."""

    async def look(world: World) -> None:
        for where in (
            {"startDate": {"gt": "2015-01-01", "lt": "2018-12-31"}},
            {"startDate": {"between": ["2015-01-01", "2018-12-31"]}},
            {"and": [{"type": "proposal"}, {"or": [{"title": {"like": "a"}}, {"title": "b"}]}]},
            {"title": {"nlike": "water"}},
            {"title": {"ilike": "WATER"}},
        ):
            await world.live.find("/api/Documents", where=where, limit=10)
        sent = " ".join(str(request.params) for request in world.endpoint("F1").requests)
        assert sent
        for operator in ("gt", "lt", "and", "or", "between", "like", "nlike", "ilike"):
            assert f'"{operator}":' not in sent
        for name in ("F3", "F4"):  # these answer 400 to order and fields
            for request in world.endpoint(name).requests:
                assert '"order"' not in str(request.params)
                assert '"fields"' not in str(request.params)

    living(ten_facilities, tmp_path, look, live_whole=0)
