"""Runs that are asked to end, wherever they stand: soon, with a name, and going on from there."""

from __future__ import annotations

import json
import logging
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalogue.catalogue import Catalogue
from catalogue.errors import StoreFull
from catalogue.records import RunRecord
from catalogue.store import Store
from harvester.place import Order
from simulator import running
from tests.harvester.harvest_world import World, a_world, oai_record, oai_spec, until
from tests.harvester.zygotes import a_zygote


async def stopped_amid(world: World, request: str, order: Order | None = None) -> RunRecord:
    """A run that is asked to end while the endpoint thinks for ever about one request."""
    world.endpoint.sleep = anyio.sleep
    world.endpoint.faults.add(f"slow:1h@{request}")
    results: list[RunRecord] = []

    async def harvest() -> None:
        results.append(await world.harvest(order, grace_s=0.1))

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(harvest)
            await until(lambda: world.endpoint.faults.hits["slow"])
            world.store.request_stop(world.store.runs("test")[0].number)
    world.endpoint.faults.clear()
    return results[0]


@pytest.mark.parametrize(
    ("request_", "held"),
    [
        ("Identify", 0),
        ("ListRecords@page1", 0),
        ("ListRecords@page3", 20),
        ("ListIdentifiers@page2", 25),
    ],
)
async def test_a_run_ends_soon_whatever_it_waits_for(
    tmp_path: Path, request_: str, held: int
) -> None:
    """Faults A03, A04, H01: what had come is kept, and the next run goes on."""
    async with a_world(tmp_path, oai_spec(25)) as world:
        run = await stopped_amid(world, request_)
        assert (run.state, run.stop) == ("stopped", "requested"), run
        assert len(world.held()) == held
        again = await world.harvest()
        assert again.state == "ok", again
        assert again.counts["new"] == 25 - held
        assert world.held() == world.offered()


async def test_a_run_ends_soon_while_it_looks_after_what_is_gone(tmp_path: Path) -> None:
    """Faults B21, H01: nothing is taken away that was not asked for."""
    async with a_world(tmp_path, oai_spec(25)) as world:
        await world.harvest()
        for number in (3, 4):
            world.endpoint.records.delete(oai_record(number).identifier, world.clock())
        run = await stopped_amid(world, "GetRecord")
        assert (run.state, run.stop) == ("stopped", "requested"), run
        assert len(world.held()) == 25
        assert (await world.harvest()).state == "ok"
        assert world.held() == world.offered()


async def test_a_run_ends_soon_while_it_goes_round_a_broken_window(tmp_path: Path) -> None:
    """Faults A08, H01."""
    async with a_world(tmp_path, oai_spec(25), options={"retries": 0}) as world:
        world.endpoint.faults.set("poison:oai:test:0013")
        run = await stopped_amid(world, "GetRecord")
        assert (run.state, run.stop) == ("stopped", "requested"), run
        assert (await world.harvest()).state == "ok"
        assert world.held() == world.offered()


@pytest.mark.parametrize("request_", ["documents", "datasets"])
async def test_a_sweep_of_a_search_api_ends_soon(tmp_path: Path, request_: str) -> None:
    """Faults A04, H01."""
    spec = oai_spec(25, rest=True)
    async with a_world(tmp_path, spec, protocol="panosc") as world:
        run = await stopped_amid(world, request_)
        assert (run.state, run.stop) == ("stopped", "requested"), run
        assert (await world.harvest()).state == "ok"
        assert len(world.titles()) == 25


async def test_a_harvest_that_only_indexes_ends_cleanly_when_told_to(tmp_path: Path) -> None:
    """It died of SIGTERM, without a word. Here another process has the index, for which it
    waits."""
    data = tmp_path / "data"
    async with running(oai_spec(10)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        async with Catalogue.open(data, demo=True) as catalogue:
            assert catalogue.engine.try_lock()
            pid = await zygote.start()

            def is_done() -> bool:
                with Store.open(data, read_only=True) as store:
                    return any(run.state == "ok" for run in store.runs(None, 1))

            await until(is_done)
            os.kill(pid, signal.SIGTERM)
            with anyio.fail_after(15):
                assert await zygote.wait() == 3, zygote.output()
        told = json.loads("{" + zygote.output().partition("{")[2])
        assert told["exit_code"] == 3
        assert (told["index"]["lag"], told["runs"][0]["state"]) == (10, "ok")
        assert "Another process is writing" in told["index"]["problem"]


async def test_told_twice_a_harvest_ends_at_once_and_says_so(tmp_path: Path) -> None:
    async with running(oai_spec(30)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        endpoint.faults.set("slow:1h@ListRecords@page2")
        pid = await zygote.start()
        await until(lambda: endpoint.hits["ListRecords"] >= 2)
        os.kill(pid, signal.SIGTERM)
        await until(lambda: "once more stops at once" in zygote.output())
        os.kill(pid, signal.SIGTERM)
        with anyio.fail_after(15):
            assert await zygote.wait() == 130, zygote.output()
    with Store.open(tmp_path / "data", read_only=True) as store:
        (run,) = store.runs("test")
        assert (run.state, run.stop) == ("stopped", "cancelled")
        assert len(store.live_identifiers("test", None, 100)) == 10


async def test_heartbeats_that_a_store_refuses_are_said_once_and_their_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H09: twice a second for as long as a disk was full."""
    async with a_world(tmp_path, oai_spec(25)) as world:
        world.endpoint.sleep = anyio.sleep
        world.endpoint.faults.add("slow:1h@ListRecords@page2")
        beats = 0
        takes = world.store.heartbeat

        def heartbeat(*arguments: Any) -> None:
            nonlocal beats
            beats += 1
            if beats <= 5:
                raise StoreFull("disk full")
            takes(*arguments)

        monkeypatch.setattr(world.store, "heartbeat", heartbeat)
        with caplog.at_level(logging.WARNING), anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(world.harvest, lease_s=0.2, grace_s=0.0))
                await until(lambda: beats >= 7)
                world.stopping.set()
    assert [text for text in caplog.messages if "heartbeat" in text] == [
        "test: heartbeat failed: disk full",
        "test: the store takes heartbeats again",
    ]
