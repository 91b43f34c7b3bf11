"""Runs that are asked to end, wherever they stand: soon, with a name, and going on from there."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from catalogue.records import RunRecord
from harvester.place import Order
from tests.harvester.harvest_world import World, a_world, oai_record, oai_spec, until


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
