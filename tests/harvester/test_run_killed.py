"""Harvests in real processes that are killed, doubled, starved of disk and given wrong clocks.

Whatever happens to them, the store and the index are in the end what the endpoint holds: none
lost, none twice, none that never existed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from catalogue.store import Store
from harvester.outcomes import goes_on_at_once
from harvester.reports import RUN_COLUMNS, run_as_json, run_row
from harvester.run import LEASE_S
from simulator import Facility, running
from tests.harvester.harvest_world import oai_record, oai_spec, until
from tests.harvester.zygotes import YEAR_S, ClockFile, a_zygote, assert_store_and_index_equal


def mutate(endpoint: Facility, chance: random.Random, number: int) -> None:
    """A few records come, change and go at the facility."""
    now = endpoint.clock()
    endpoint.records.put(oai_record(1000 + number, title=f"New {number}"), now)
    for identifier in chance.sample(endpoint.records.identifiers(), 3):
        digits = int(identifier.rpartition(":")[2])
        endpoint.records.put(oai_record(digits, title=f"Changed {number}"), now)
    endpoint.records.delete(chance.choice(endpoint.records.identifiers()), now)


FAULTS = (
    "slow:8ms",
    "error:503:0@every13",
    "truncate@every17",
    "reset@every23",
    "expired-token@every31",
)


async def kill_again_and_again(
    tmp_path: Path, seed: int, kills: int, protocol: str = "oai-pmh"
) -> None:
    chance = random.Random(seed)
    rest = protocol != "oai-pmh"
    async with (
        running(oai_spec(300, rest=rest)) as endpoint,
        a_zygote(tmp_path, endpoint, protocol) as zygote,
    ):
        # Search APIs know no tokens.
        endpoint.faults.set(*(FAULTS[:-1] if rest else FAULTS))
        killed = 0
        for number in range(kills):
            pid = await zygote.start()
            await asyncio.sleep(chance.uniform(0.05, 0.9))
            # One that had little left to do is over by now, and then there is nobody to kill.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed += await zygote.wait() == -signal.SIGKILL
            mutate(endpoint, chance, number)
        assert killed >= kills // 2, "most of them died at work"
        endpoint.faults.clear()
        # Twice: the first may go on with a harvest that began before the last changes.
        for _ in range(2):
            await zygote.start()
            assert await zygote.wait() in (0, 3), zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint, protocol)


async def test_kills_during_sweeps_of_a_search_api_lose_nothing(tmp_path: Path) -> None:
    """Faults H01, H08, E01: the list has no tokens, and moves while nobody looks."""
    await kill_again_and_again(tmp_path, seed=1, kills=5, protocol="panosc")


async def test_ten_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Faults H01, H08, F12: kill -9 at random instants, faults all the while."""
    await kill_again_and_again(tmp_path, seed=1, kills=10)


@pytest.mark.soak
@pytest.mark.skipif("'soak' not in config.getoption('markexpr')", reason="only with make soak")
@pytest.mark.parametrize("seed", range(2, 22))
async def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    await kill_again_and_again(tmp_path, seed, kills=10)


@pytest.mark.soak
@pytest.mark.skipif("'soak' not in config.getoption('markexpr')", reason="only with make soak")
@pytest.mark.parametrize("seed", range(2, 7))
async def test_fifty_kills_of_a_search_api(tmp_path: Path, seed: int) -> None:
    await kill_again_and_again(tmp_path, seed, kills=10, protocol="panosc")


async def test_a_killed_harvest_goes_on_where_it_was(tmp_path: Path) -> None:
    """Faults B02, H01: no waiting for the dead, no page twice."""
    async with running(oai_spec(200)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:20ms")
        pid = await zygote.start()
        await until(lambda: endpoint.hits["ListRecords"] >= 8)
        os.kill(pid, signal.SIGKILL)
        assert await zygote.wait() == -signal.SIGKILL
        endpoint.faults.clear()
        before = len(endpoint.requests)
        await zygote.start()
        assert await zygote.wait() == 0, zygote.output()
        again = [r for r in list(endpoint.requests)[before:] if r.verb == "ListRecords"]
        assert "from" not in again[0].params
        assert "resumptionToken" in again[0].params, "the first request goes on from a token"
        assert len(again) <= 18
        await assert_store_and_index_equal(tmp_path / "data", endpoint)
        with Store.open(tmp_path / "data", read_only=True) as store:
            states = [(run.state, run.stop) for run in store.runs("test")]
        assert states == [("ok", "empty_token"), ("stopped", "interrupted")]


async def test_a_daemon_goes_on_at_once_with_what_was_killed_and_others_see_that_it_was(
    tmp_path: Path,
) -> None:
    """Fault H01: nobody waits for the lease of a process that the system knows to be dead."""
    async with running(oai_spec(200)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:20ms")
        pid = await zygote.start()
        await until(lambda: endpoint.hits["ListRecords"] >= 8)
        os.kill(pid, signal.SIGKILL)
        await zygote.wait()
        with Store.open(tmp_path / "data", read_only=True) as store:
            (run,) = store.runs("test")
        assert run.state == "running"
        assert run_as_json(run)["abandoned"] is True
        shown = dict(zip(RUN_COLUMNS, run_row(run), strict=True))
        assert shown["State"] == "abandoned"
        assert goes_on_at_once(run)
        endpoint.faults.clear()
        began = endpoint.clock()
        pid = await zygote.start(daemon=True)
        await until(lambda: all_there(tmp_path / "data"))
        os.kill(pid, signal.SIGTERM)
        assert await zygote.wait() == 0, zygote.output()
        with Store.open(tmp_path / "data", read_only=True) as store:
            ended = [run for run in store.runs("test") if run.state == "ok"]
        assert ended[-1].started_at - began < timedelta(seconds=LEASE_S / 2)


def all_there(data: Path) -> bool:
    with Store.open(data, read_only=True) as store:
        return store.source_status("test").records == 200 and any(
            run.state == "ok" for run in store.runs("test")
        )


async def test_two_at_once_do_not_write_one_source(tmp_path: Path) -> None:
    """Fault H02: the second follows the first and ends as it does."""
    async with (
        running(oai_spec(120)) as endpoint,
        a_zygote(tmp_path, endpoint) as one,
        a_zygote(tmp_path, endpoint) as two,
    ):
        endpoint.faults.set("slow:20ms")
        await one.start()
        await until(lambda: bool(endpoint.requests))
        await two.start()
        assert (await one.wait(), await two.wait()) == (0, 0), one.output()
        with Store.open(tmp_path / "data", read_only=True) as store:
            runs = store.runs("test")
        assert sum(run.counts["new"] for run in runs) == 120
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


async def test_a_full_disk_is_said_and_leaves_a_sound_store(tmp_path: Path) -> None:
    """Fault H09: no write beyond a limit; with room again the harvest goes on."""
    async with running(oai_spec(400)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        await zygote.start(file_limit=600_000)
        assert await zygote.wait() in (1, 3), zygote.output()
        assert "Traceback" not in zygote.output()
        with Store.open(tmp_path / "data") as store:
            held = len(store.live_identifiers("test", None, 10**6))
        assert held < 400
        await zygote.start()
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


@pytest.mark.parametrize("patient", [True, False])
async def test_a_locked_database_is_waited_for_or_left_for_the_next_run(
    tmp_path: Path, patient: bool
) -> None:
    """Fault H08: another process keeps the write lock, for a moment or for longer than we wait."""
    async with running(oai_spec(200)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:20ms")
        await zygote.start(busy_s=20.0 if patient else 0.05)
        await until(lambda: endpoint.hits["ListRecords"] >= 4)
        path = tmp_path / "data" / "store.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            held = other.execute("SELECT count(*) FROM records").fetchone()[0]
            assert held < 200
            if patient:
                await asyncio.sleep(0.5)
                assert other.execute("SELECT count(*) FROM records").fetchone()[0] == held
            else:
                assert await zygote.wait() in (1, 3), zygote.output()
                assert "locked by another process" in zygote.output()
            other.execute("ROLLBACK")
        if patient:
            assert await zygote.wait() == 0, zygote.output()
        assert "Traceback" not in zygote.output()
        endpoint.faults.clear()
        await zygote.start()
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


@pytest.mark.parametrize("jump_s", [-400 * 86_400, 400 * 86_400])
async def test_a_clock_that_jumps_between_runs_loses_nothing(tmp_path: Path, jump_s: int) -> None:
    """Fault H10: killed, then the clock jumps by more than a year, either way."""
    async with running(oai_spec(150)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:15ms")
        pid = await zygote.start()
        await until(lambda: len(endpoint.requests) >= 6)
        os.kill(pid, signal.SIGKILL)
        await zygote.wait()
        endpoint.faults.clear()
        mutate(endpoint, random.Random(3), 0)
        for _ in range(2):
            await zygote.start(clock_s=jump_s)
            assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)
        mutate(endpoint, random.Random(4), 1)
        await zygote.start()
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


@pytest.mark.parametrize("jumps_s", [(YEAR_S,), (-YEAR_S,), (YEAR_S, -YEAR_S, 0)])
async def test_a_clock_that_jumps_during_a_run_disturbs_nothing(
    tmp_path: Path, jumps_s: tuple[int, ...]
) -> None:
    """Fault H10: forth, back, and both, over a year, in the middle of a harvest whose lease has to
    be renewed meanwhile."""
    clock = ClockFile(tmp_path / "clock")
    async with running(oai_spec(160)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:50ms")
        await zygote.start(clock_file=str(clock.path), lease_s=1.0)
        for number, jump_s in enumerate(jumps_s):
            enough = 4 + 4 * number
            await until(lambda enough=enough: endpoint.hits["ListRecords"] >= enough)  # type: ignore[misc]
            clock.set(jump_s)
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)
        with Store.open(tmp_path / "data", read_only=True) as store:
            (run,) = store.runs("test")
        assert (run.state, run.counts["new"]) == ("ok", 160)
        mutate(endpoint, random.Random(5), 0)
        await zygote.start(clock_file=str(clock.path))
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
async def test_a_clock_that_jumps_lets_no_second_process_in(tmp_path: Path, jump_s: int) -> None:
    """Faults H02, H10: by the new time the lease ran out long ago, or lies in the future. Whoever
    has it in the end, no record comes twice and none is lost."""
    clock = ClockFile(tmp_path / "clock")
    async with (
        running(oai_spec(200)) as endpoint,
        a_zygote(tmp_path, endpoint) as one,
        a_zygote(tmp_path, endpoint) as two,
    ):
        endpoint.faults.set("slow:40ms")
        await one.start(clock_file=str(clock.path))
        await until(lambda: endpoint.hits["ListRecords"] >= 5)
        clock.set(jump_s)
        await two.start(clock_file=str(clock.path))
        codes = {await one.wait(), await two.wait()}
        assert codes <= {0, 3}, one.output() + two.output()
        assert 0 in codes
        with Store.open(tmp_path / "data", read_only=True) as store:
            runs = store.runs("test")
        assert sum(run.counts["new"] for run in runs) == 200
        assert runs[0].state == "ok"
        await assert_store_and_index_equal(tmp_path / "data", endpoint)
