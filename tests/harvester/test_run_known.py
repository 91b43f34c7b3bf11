"""What a facility always does a little wrong: acknowledged once, and shown when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester.approvals import deletions_to_approve
from harvester.deviations import is_known, unknown
from harvester.harvest_command import acknowledge
from harvester.keys import ConfigurationError
from harvester.outcomes import Account, judge
from harvester.place import Order
from pan_commons_terminal import Settings
from simulator import Record
from tests.harvester.harvest_world import START, World, a_world, oai_record, oai_spec


def settings_of(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data", None, "tantivy", None, as_json=True)


async def test_a_list_size_that_always_lies_is_acknowledged_and_the_next_run_is_short(
    tmp_path: Path,
) -> None:
    """Fault B20: until then each run asks for everything again, which is rude as well as red."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("size:225176")
        first = await world.harvest()
        assert (first.state, first.stop) == ("partial", "incomplete")
        assert first.details["deviations"]["list_size"] == 1
        assert acknowledge(settings_of(tmp_path), first.number, undo=False) == 0
        whole = await world.harvest()
        assert whole.state == "ok", whole
        world.clock.advance(hours=1)
        world.endpoint.records.put(oai_record(99), world.clock())
        world.endpoint.records.delete("oai:test:0003", world.clock())
        run = await world.harvest()
        assert (run.state, run.counts["received"]) == ("ok", 1), run
        assert world.held() == world.offered()


async def test_the_option_says_the_same(tmp_path: Path) -> None:
    """Fault B20: for whoever keeps all in one file."""
    async with a_world(tmp_path, options={"list_size_is_wrong": True}) as world:
        world.endpoint.faults.set("size:225176")
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()


async def test_a_list_that_ended_early_before_a_kill_is_still_doubtful_after_it(
    tmp_path: Path,
) -> None:
    """Faults B20, H08: the checkpoint remembers that some window's list was short."""
    async with a_world(tmp_path, oai_spec(40)) as world:
        # The list of records ends early; then the endpoint goes away during the list of headers.
        world.endpoint.faults.set("size:99@ListRecords", "redirect@ListIdentifiers")
        first = await world.harvest()
        assert (first.state, first.stop) == ("partial", "bad_redirect"), first
        world.endpoint.faults.clear()
        resumed = await world.harvest()
        assert resumed.details["resumed"]
        assert "response_date" not in world.store.source_status("test").memory
        again = await world.harvest()
        assert again.details["harvest"] == "full", "asked for everything again"
        assert again.state == "ok"


async def quarantine_some(world: World, count: int) -> None:
    for number in range(count):
        identifier = f"oai:test:bad:{number}"
        broken = Record(identifier, START, payloads={"oai_datacite": b"<oops/>"})
        world.endpoint.records.put(broken, world.clock())


async def test_known_records_in_quarantine_are_no_news_and_more_of_them_are(
    tmp_path: Path,
) -> None:
    """Fault H04, both ways."""
    async with a_world(tmp_path) as world:
        await quarantine_some(world, 10)
        first = await world.harvest()
        assert first.state == "partial"
        acknowledge(settings_of(tmp_path), first.number, undo=False)
        assert (await world.harvest(Order(full=True))).state == "ok"
        await quarantine_some(world, 11)
        assert (await world.harvest(Order(full=True))).state == "ok", "a tenth more"
        await quarantine_some(world, 12)
        run = await world.harvest(Order(full=True))
        assert run.state == "partial"
        acknowledge(settings_of(tmp_path), run.number, undo=False)
        assert (await world.harvest(Order(full=True))).state == "ok"
        acknowledge(settings_of(tmp_path), run.number, undo=True)
        assert (await world.harvest(Order(full=True))).state == "partial"


async def test_known_ghosts_do_not_keep_a_service_from_being_compared(tmp_path: Path) -> None:
    """Fault E01: counted and never shown; what goes besides is still found gone."""
    async with a_world(tmp_path, oai_spec(40, rest=True), protocol="panosc") as world:
        world.endpoint.faults.set("count-wrong:3")
        first = await world.harvest()
        assert first.state == "partial", first
        assert first.details["deviations"]["Documents: count_disagrees"] == 3
        acknowledge(settings_of(tmp_path), first.number, undo=False)
        known = await world.harvest()
        assert known.state == "ok", known
        assert "full_at" in world.store.source_status("test").memory
        gone = sorted(world.held())[7]
        world.endpoint.records.delete("oai:test:0007", world.clock())
        run = await world.harvest()
        assert run.state == "ok", run
        assert run.counts["deleted"] == 1, (gone, run)


async def test_only_what_a_facility_does_is_acknowledged(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        fine = await world.harvest()
        with pytest.raises(ConfigurationError, match="is ok; there is nothing"):
            acknowledge(settings_of(tmp_path), fine.number, undo=False)
        world.endpoint.faults.set("redirect@page2+")
        failed = await world.harvest(Order(full=True))
        with pytest.raises(ConfigurationError, match="ended by a failure"):
            acknowledge(settings_of(tmp_path), failed.number, undo=False)


def test_a_known_deviation_may_grow_by_a_tenth() -> None:
    assert is_known("ghosts", 11, {"ghosts": 10})
    assert not is_known("ghosts", 12, {"ghosts": 10})
    assert not is_known("ghosts", 2, {"ghosts": 1})
    assert unknown({"a": 1, "b": 1}, {"a": 1}) == {"b": 1}


def test_what_is_known_never_makes_a_success_of_nothing() -> None:
    """Fault H04: all in quarantine is a failure, whoever knew of it."""
    account = Account(
        None, "end_of_list", received=5, quarantined=5, reconciliation=None,
        deviations={"quarantined: x": 5}, known={"quarantined: x": 5},
    )  # fmt: skip
    assert judge(account).state == "failed"


async def new_identifiers(world: World, count: int) -> None:
    world.endpoint.records.clear()
    for number in range(count):
        old = oai_record(number)
        world.endpoint.records.put(
            Record(f"oai:new:{number}", world.clock(), old.sets, document=old.document)
        )


async def test_changed_identifiers_are_doubted_in_a_short_run_too(tmp_path: Path) -> None:
    """Fault H07: under persistent no list is compared, and nobody says that the old ones went."""
    async with a_world(tmp_path, oai_spec(60, deleted_record="persistent")) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        await new_identifiers(world, 60)
        run = await world.harvest()
        assert run.details["harvest"] == "incremental"
        assert run.state == "held", run
        assert "did the facility change its identifiers" in run.details["held"]


async def test_the_doubt_stays_until_somebody_approves(tmp_path: Path) -> None:
    """Fault H07: the second time they come the identifiers are not new any more."""
    async with a_world(tmp_path, oai_spec(60, deleted_record="persistent")) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        await new_identifiers(world, 60)
        first = await world.harvest()
        again = await world.harvest()
        assert (again.state, again.details["held"]) == ("held", first.details["held"])
        gone = deletions_to_approve(again)
        assert gone == 60, "whoever says that they changed says that the old ones may go"
        approved = await world.harvest(Order(approved=gone))
        assert approved.state == "ok", approved
        assert world.held() == world.offered()
        assert (await world.harvest()).state == "ok"


async def test_a_good_day_is_no_change_of_identifiers(tmp_path: Path) -> None:
    """Fault H07, the other way: what is asked for because it is new is new."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        for number in range(100, 140):
            world.endpoint.records.put(oai_record(number), world.clock())
        run = await world.harvest()
        assert (run.state, run.counts["new"]) == ("ok", 40)


async def test_single_records_before_the_first_harvest_raise_no_doubt(tmp_path: Path) -> None:
    """Fault H07: it is the first run for everything, whatever was fetched by name before."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        await world.harvest(Order(record="oai:test:0001"))
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == world.offered()
