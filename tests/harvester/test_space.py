"""The data folder's budget: asked before a run and after each page; nothing is left half-done."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from catalogue.store import Store
from harvester.fleet import harvest_many
from harvester.ledger import Ledger, ledger_path
from harvester.run import Harvesting
from harvester.sources import MIB, Budget, merge_layers
from harvester.space import NoRoom, Room, tidy, used_bytes
from simulator import running
from tests.harvester.harvest_world import a_world, oai_spec
from tests.harvester.zygotes import a_zygote, assert_store_and_index_equal


def room_of(folder: Path, *, used: int = 0, free: int = 10**12, **budget: int) -> Room:
    return Room(folder, Budget(**budget), used=lambda _: used, free=lambda _: free)


def test_the_budget_and_the_disk_each_have_their_say(tmp_path: Path) -> None:
    """Fault H09."""
    room_of(tmp_path, used=99, bytes=100).require()
    with pytest.raises(NoRoom, match=r"budget_mib, or remove a source"):
        room_of(tmp_path, used=100, bytes=100).require()
    with pytest.raises(NoRoom, match="300 are to stay free"):
        room_of(tmp_path, free=299 * MIB, least_free_bytes=300 * MIB).require()
    with pytest.raises(NoRoom, match="200 are to stay free"):
        room_of(tmp_path, free=199 * MIB).require()


def test_what_the_files_take_is_counted_and_vanished_ones_are_no_trouble(tmp_path: Path) -> None:
    assert used_bytes(tmp_path / "not there") == 0
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "segment").write_bytes(os.urandom(50_000))
    (tmp_path / "elsewhere").symlink_to("/usr")
    assert 50_000 <= used_bytes(tmp_path) < 100_000


def test_a_budget_is_configured_in_the_file_and_a_later_file_lies_upon_it() -> None:
    first = {"storage": {"budget_mib": 10, "least_free_mib": 500}}
    made = merge_layers([(Path("a.toml"), first), (Path("b.toml"), {})], {})
    assert made.storage == Budget(10 * MIB, 500 * MIB)
    made = merge_layers(
        [(Path("a.toml"), first), (Path("b.toml"), {"storage": {"budget_mib": 20}})], {}
    )
    assert made.storage == Budget(20 * MIB, 500 * MIB)


async def test_a_run_over_budget_ends_behind_a_page_and_goes_on_with_more(tmp_path: Path) -> None:
    """Fault H09: no half pages, the place is kept, the next run goes on from it."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        pages: list[int] = []
        room = Room(tmp_path, Budget(30), used=lambda _: len(world.held()), free=lambda _: 10**12)
        run = await world.harvest(room=room)
        pages.append(len(world.held()))
        assert (run.state, run.stop) == ("partial", "no_room"), run
        assert pages == [30]
        with pytest.raises(NoRoom):
            await world.harvest(room=room)
        assert len(world.store.runs("test")) == 1, "nothing was begun"
        room.budget = Budget(100)
        run = await world.harvest(room=room)
        assert (run.state, run.details["resumed"]) == ("ok", True)
        assert world.held() == world.offered()


async def test_without_room_each_source_says_so_without_a_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault H09."""
    async with a_world(tmp_path) as world:
        room = room_of(tmp_path, used=1, bytes=1)
        shared = Harvesting(world.store, world.http, world.clock, room=room)
        results = await harvest_many(shared, [(world.facility, world.source)])
        assert isinstance(results["test"], NoRoom)
        assert not any(entry.exc_info for entry in caplog.records)
        assert not world.endpoint.requests


async def test_a_budget_in_a_process_stops_and_more_lets_it_go_on(tmp_path: Path) -> None:
    """Fault H09: as an operator meets it, exit code and all."""
    async with running(oai_spec(400)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        config = anyio.Path(zygote.job["config"])
        roomy = await config.read_text(encoding="utf-8")
        await config.write_text(roomy + "[storage]\nbudget_mib = 1\n", encoding="utf-8")
        await zygote.start()
        assert await zygote.wait() == 3, zygote.output()
        assert "budget_mib" in zygote.output()
        assert "Traceback" not in zygote.output()
        with Store.open(tmp_path / "data", read_only=True) as store:
            held = store.live_identifiers("test", None, 1000)
            (run,) = store.runs("test")
        assert run.stop == "no_room"
        assert 0 < len(held) < 400
        assert len(held) % 10 == 0
        await config.write_text(roomy, encoding="utf-8")
        await zygote.start()
        assert await zygote.wait() == 0, zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


async def test_a_source_can_be_removed_from_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H09: what makes room is not refused for want of it."""
    from catalogue.store import store as module
    from harvester.removal import _remove_records

    async with a_world(tmp_path) as world:
        await world.harvest()
        monkeypatch.setattr(module, "MIN_FREE_BYTES", 2**60)
        assert await _remove_records(world.store, "test") == 25


def test_what_killed_processes_left_goes_at_the_start(tmp_path: Path) -> None:
    """Fault H09: scratch files of sources that are no more, and halves of a file."""
    for name in ("kept", "gone"):
        Ledger(ledger_path(tmp_path, name), "one").close()
    (tmp_path / ".sources.toml.999999999").write_text("half")
    (tmp_path / f".sources.toml.{os.getpid()}").write_text("being written")
    (tmp_path / ".sources.toml.lock").write_text("")
    assert tidy(tmp_path, ["kept"]) == ["harvesting/gone.sqlite", ".sources.toml.999999999"]
    assert tidy(tmp_path, ["kept"]) == []
    assert [path.name for path in (tmp_path / "harvesting").glob("*.sqlite")] == ["kept.sqlite"]
    assert len(list(tmp_path.glob(".sources.toml.*"))) == 2


async def test_nothing_is_left_of_a_harvest_that_ended_well(tmp_path: Path) -> None:
    """Fault H09."""
    async with a_world(tmp_path) as world:
        await world.harvest()
    assert list((tmp_path / "data" / "harvesting").iterdir()) == []
