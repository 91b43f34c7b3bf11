"""Runs over OAI-PMH: everything comes, once, and the next run takes only what is new."""

from __future__ import annotations

from pathlib import Path

from catalogue.ahead import Ahead
from catalogue.engines.tantivy import TantivyEngine
from harvester.place import Order
from tests.harvester.harvest_world import a_world, oai_record, oai_spec


async def test_a_first_harvest_brings_everything(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        run = await world.harvest()
        assert (run.state, run.stop) == ("ok", "empty_token"), run
        assert world.held() == world.offered()
        assert run.counts["received"] == run.counts["new"] == 25
        assert world.titles()["10.5072/7"] == "Röntgen 7"


async def test_the_next_run_asks_only_from_the_last_response_date(tmp_path: Path) -> None:
    """Faults B15, B16, B17: by the server's clock, with an overlap of one granule."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        world.endpoint.records.put(oai_record(3, title="Changed"), world.clock())
        world.endpoint.records.put(oai_record(99), world.clock())
        world.clock.advance(hours=1)
        run = await world.harvest()
        assert run.state == "ok"
        assert run.counts["received"] == 2
        assert (run.counts["new"], run.counts["changed"]) == (1, 1)
        assert world.titles()["10.5072/3"] == "Changed"
        assert world.held() == world.offered()
        asked = [r.params.get("from") for r in world.endpoint.requests if r.verb == "ListRecords"]
        assert asked[-1] == "2024-06-01T11:59:59Z"


async def test_nothing_new_is_a_success(tmp_path: Path) -> None:
    """Fault B10."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.clock.advance(hours=3)
        run = await world.harvest()
        assert (run.state, run.stop) == ("ok", "no_records_match")
        assert run.counts["received"] == 0


async def test_a_record_that_is_gone_under_no_is_taken_away_after_asking_for_it(
    tmp_path: Path,
) -> None:
    """Faults B21, H06, semantics 1.4."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        world.endpoint.records.delete("oai:test:0003", world.clock())
        run = await world.harvest()
        assert run.state == "ok", run
        assert run.counts["deleted"] == 1
        assert world.held() == world.offered()
        assert "10.5072/3" not in world.titles()
        assert "GetRecord" in world.verbs()
        again = await world.harvest()
        assert (again.state, again.counts["deleted"]) == ("ok", 0)


async def test_unchanged_records_take_no_change_number(tmp_path: Path) -> None:
    """Semantics 1.6, fault B18."""
    from harvester.place import Order

    async with a_world(tmp_path) as world:
        await world.harvest()
        before = world.store.last_change()
        run = await world.harvest(Order(full=True))
        assert run.counts["unchanged"] == 25
        assert world.store.last_change() == before


async def test_windows_of_a_long_history_commit_by_themselves(tmp_path: Path) -> None:
    spec = oai_spec(40)
    async with a_world(tmp_path, spec, options={"window_days": 0.5}) as world:
        run = await world.harvest()
        assert run.state == "ok"
        assert world.held() == world.offered()
        asked = {r.params.get("from") for r in world.endpoint.requests if "from" in r.params}
        assert len(asked) > 100, "from January to June, half a day each"


async def test_a_harvest_brings_engine_documents_along_for_an_indexer_that_wants_them(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        ahead = Ahead()
        ahead.open(TantivyEngine.numbering)
        assert (await world.harvest(ahead=ahead)).state == "ok"
        reached, keys = 0, []
        while (page := ahead.take(reached)) is not None:
            assert not page.missing
            keys += [document.key for document in page.documents]
            reached = page.until
        assert reached == world.store.last_change()
        assert keys == [change.entity.key for change in world.store.changes_since(0)]


async def test_a_record_outside_the_set_is_not_brought_in_by_its_name(tmp_path: Path) -> None:
    """Fault B09: the set is the source's, whichever way a record comes."""
    async with a_world(tmp_path, set="even") as world:
        await world.harvest()
        record = await world.harvest(Order(record="oai:test:0003"))
        assert (record.state, record.counts["received"]) == ("partial", 0)
        assert record.problems["outside the set asked for"] == (1, ("oai:test:0003",))
        assert "oai:test:0003" not in world.held()


async def test_a_record_asked_for_by_name_goes_when_the_server_calls_it_deleted(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path, oai_spec(deleted_record="persistent")) as world:
        await world.harvest()
        world.endpoint.records.delete("oai:test:0003", world.clock())
        record = await world.harvest(Order(record="oai:test:0003"))
        assert (record.state, record.counts["deleted"]) == ("ok", 1)
        assert "oai:test:0003" not in world.held()


async def test_what_was_forgotten_is_not_asked_for_again(tmp_path: Path) -> None:
    """Semantics 11.1: the list still names it, and nobody fetches it because of that."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.store.forget("oai:test:0003", now=world.clock())
        world.clock.advance(days=1)
        record = await world.harvest()
        assert (record.state, record.counts["received"]) == ("ok", 0)
        assert "GetRecord" not in world.verbs()
        assert world.held() == world.offered() - {"oai:test:0003"}
