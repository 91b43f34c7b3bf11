"""Windows that fail and are cut: what it may cost, and what is done where cutting is of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester import oai_sweep
from tests.harvester.harvest_world import a_world, oai_record, oai_spec

PAGE_TWO_FAILS = "error:500@ListRecords@page2+"


async def test_where_windows_are_ignored_a_broken_list_is_fetched_record_by_record(
    tmp_path: Path,
) -> None:
    """Faults A08, B18: each half of the window was the whole list again, without end."""
    async with a_world(tmp_path, options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-from", PAGE_TWO_FAILS)
        run = await world.harvest()
        assert (run.state, run.stop) == ("ok", "end_of_list"), run
        assert run.details["windows_ignored"] is True
        assert world.held() == world.offered()
        # Identify, two pages, the halves, the list of identifiers twice, and each record.
        assert len(world.endpoint.requests) < 25 + 20


async def test_records_fetched_one_by_one_are_those_of_the_set(tmp_path: Path) -> None:
    """Faults A08, B09: the list of identifiers forgets the set on its second page."""
    async with a_world(tmp_path, oai_spec(50), set="odd", options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-from", PAGE_TWO_FAILS, "lost-set@ListIdentifiers")
        run = await world.harvest()
        assert run.state == "partial", run
        assert run.problems["outside the set asked for"][0] > 0
        assert world.held() == {f"oai:test:{number:04}" for number in range(1, 50, 2)}


async def test_where_windows_are_ignored_cut_histories_are_fetched_once(tmp_path: Path) -> None:
    """Faults A08, B18: all windows of such a server are one list."""
    options = {"retries": 0, "window_days": 0.05}
    async with a_world(tmp_path, options=options) as world:
        world.endpoint.faults.set("ignores-from", PAGE_TWO_FAILS)
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()
        assert world.verbs().count("GetRecord") == 25
        assert len(world.endpoint.requests) < 25 + 20


async def test_where_windows_are_ignored_and_no_way_leads_round_the_run_says_so(
    tmp_path: Path,
) -> None:
    """Faults A08, B18: what came stays, and the next run goes on from there."""
    async with a_world(tmp_path, options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-from", "error:500@page2+")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "windows_ignored"), run
        assert "ignores from and until" in run.details["error"]
        assert "500" in run.details["error"]
        assert len(world.held()) == 10
        assert len(world.endpoint.requests) < 20
        world.endpoint.faults.clear()
        before = len(world.endpoint.requests)
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()
        lists = [one for one in list(world.endpoint.requests)[before:] if one.verb == "ListRecords"]
        assert "resumptionToken" in lists[0].params, "it goes on behind what it has"


async def test_tokens_that_never_work_where_windows_are_ignored_end_the_run(
    tmp_path: Path,
) -> None:
    """Faults B01, B18."""
    async with a_world(tmp_path, options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-from", "expired-token")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "windows_ignored"), run
        assert len(world.held()) == 10
        assert len(world.endpoint.requests) < 20


async def test_where_only_the_end_of_windows_is_ignored_all_comes_one_by_one(
    tmp_path: Path,
) -> None:
    """Faults A08, B18: whichever half is asked for, what fails is in it, until the window is too
    small to be cut. No record is asked for twice."""
    async with a_world(tmp_path, oai_spec(60), options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-until", PAGE_TWO_FAILS)
        run = await world.harvest()
        assert (run.state, run.stop) == ("ok", "end_of_list"), run
        assert world.held() == world.offered()
        assert world.verbs().count("GetRecord") <= 60
        assert len(world.endpoint.requests) < 60 + 150


async def test_a_server_of_days_is_cut_into_days(tmp_path: Path) -> None:
    """Fault B13: Identify speaks of seconds; a day was cut down to its seconds, each of which was
    the whole day."""
    spec = oai_spec(records=[oai_record(number) for number in range(60)], page_size=7)
    async with a_world(tmp_path, spec, options={"retries": 0}) as world:
        world.endpoint.faults.set("no-seconds", PAGE_TWO_FAILS)
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()
        assert len(world.endpoint.requests) < 60 + 160


async def test_a_server_that_forgets_the_time_of_day_is_cut_into_days(tmp_path: Path) -> None:
    """Fault B13: seconds are taken, and only their day is heard; other windows are not given up."""
    spec = oai_spec(records=[oai_record(number) for number in range(60)], page_size=7)
    async with a_world(tmp_path, spec, options={"retries": 0}) as world:
        world.endpoint.faults.set("whole-days", PAGE_TWO_FAILS)
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()
        assert len(world.endpoint.requests) < 300


async def test_cutting_has_an_end_whatever_a_server_does(tmp_path: Path) -> None:
    """Fault A08: page one always comes, the next never, and nothing tells that halves are the
    same."""
    async with a_world(tmp_path, options={"retries": 0}) as world:
        world.endpoint.faults.set("ignores-from", PAGE_TWO_FAILS, "error:500@ListIdentifiers")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "bad_status"), run
        assert run.problems["cut again and again, to no use"][0] == 1
        assert len(world.endpoint.requests) < 5 * oai_sweep.FRUITLESS


async def test_all_cuts_of_a_run_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault B01: the next run goes on with the windows that are left."""
    monkeypatch.setattr(oai_sweep, "MOST_CUTS", 3)
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("expired-token@ListRecords")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "bad_resumption_token"), run
        assert run.problems["cut again and again, to no use"][0] == 1
        for _ in range(10):
            run = await world.harvest()
            if run.state == "ok":
                break
        assert run.state == "ok", run
        assert world.held() == world.offered()


@pytest.mark.parametrize(
    ("said", "refused"),
    [("", ""), ("YYYY-MM-DD", "no-days")],
    ids=["unsaid", "days said and seconds wanted"],
)
async def test_windows_leave_no_part_of_a_day_out(tmp_path: Path, said: str, refused: str) -> None:
    """Faults B13, B14: windows were planned in days and asked for in seconds, so that the last day
    of each was its first second."""
    options = {"window_days": 2, "retries": 0}
    async with a_world(tmp_path, oai_spec(100, deleted_record="persistent"), options=options) as w:
        w.endpoint.faults.set(f"granularity:{said}", *([refused] if refused else []))
        run = await w.harvest()
        assert w.verbs().count("GetRecord") == 0, "everything came with the pages"
        assert run.state == "ok", run
        assert w.held() == w.offered()
