"""Runs over a PaNOSC Search API: always whole, unchanged records untouched, absence looked into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalogue.records import PageReport
from harvester.place import Order
from harvester.progress import Silent
from simulator import FacilitySpec, Record, RestOptions
from tests.harvester.harvest_world import START, World, a_world


def document(number: int) -> dict[str, Any]:
    return {
        "pid": f"10.5072/P{number}",
        "doi": f"10.5072/P{number}",
        "type": "proposal",
        "isPublic": True,
        "title": f"Proposal {number}",
        "summary": "Synthetic.",
        "members": [{"id": f"m{number}", "role": "PI", "person": {"id": "1", "fullName": "A B"}}],
        "datasets": [
            {
                "pid": f"10.5072/D{number}",
                "title": f"Run {number}",
                "isPublic": True,
                "creationDate": "2020-01-01T00:00:00Z",
                "techniques": [{"pid": "PaNET01188", "name": "SAXS"}],
                "instrument": {"pid": "I1", "name": "Beamline", "facility": "TST"},
            }
        ],
    }


def spec(count: int = 12) -> FacilitySpec:
    records = [Record(f"oai:{n}", START, document=document(n)) for n in range(count)]
    return FacilitySpec("Test", records=records, rest=RestOptions())


def held(world: World, entity_class: str) -> int:
    return world.store.count(entity_class, derived=False)  # type: ignore[arg-type]


async def test_a_sweep_brings_documents_datasets_and_instruments(tmp_path: Path) -> None:
    async with a_world(tmp_path, spec(), protocol="panosc", options={"page_size": 5}) as world:
        run = await world.harvest()
        assert run.state == "ok", run
        assert (held(world, "Document"), held(world, "Dataset")) == (12, 12)
        assert held(world, "Instrument") == 1


async def test_a_second_sweep_changes_nothing(tmp_path: Path) -> None:
    """Semantics 1.6."""
    async with a_world(tmp_path, spec(), protocol="panosc") as world:
        await world.harvest()
        before = world.store.last_change()
        run = await world.harvest()
        assert run.state == "ok"
        assert run.counts["unchanged"] == run.counts["received"]
        assert world.store.last_change() == before


async def test_what_is_no_longer_there_is_looked_into_and_taken_away(tmp_path: Path) -> None:
    async with a_world(tmp_path, spec(), protocol="panosc") as world:
        await world.harvest()
        world.endpoint.records.delete("oai:3", START)
        run = await world.harvest()
        assert run.state == "ok", run
        assert run.counts["deleted"] == 2, "the proposal and its dataset"
        assert held(world, "Document") == 11


async def test_a_facility_that_lost_its_data_is_held(tmp_path: Path) -> None:
    """Fault H05."""
    async with a_world(tmp_path, spec(40), protocol="panosc") as world:
        await world.harvest()
        world.endpoint.records.clear()
        run = await world.harvest()
        assert run.state == "held", run
        assert held(world, "Document") == 40


async def test_one_object_can_be_asked_for(tmp_path: Path) -> None:
    async with a_world(tmp_path, spec(), protocol="panosc") as world:
        run = await world.harvest(Order(record="Dataset/10.5072/D3"))
        assert run.state == "ok", run
        assert run.counts["received"] == 1
        assert held(world, "Dataset") == 1


class Breaking(Silent):
    """The service begins to fail when some of a class have come."""

    def __init__(self, world: World, entity_class: str, fault: str) -> None:
        self.world, self.entity_class, self.fault = world, entity_class, fault

    def page(self, source: str, report: PageReport) -> None:
        if sum(name.startswith(self.entity_class) for name in self.world.held()) == 3:
            self.world.endpoint.faults.set(self.fault)


async def test_a_class_that_fails_keeps_no_other_back(tmp_path: Path) -> None:
    """Nor in later sweeps, that look at everything again; and nothing counts as gone."""
    options = {"page_size": 5}
    async with a_world(tmp_path, spec(), protocol="panosc", options=options) as world:
        await world.endpoint.behave("error:500@Datasets")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "broken_off"), run
        assert any("Datasets ended early: broken_off after 0" in one for one in run.problems)
        assert any("500" in one for one in run.problems)
        assert (held(world, "Document"), held(world, "Instrument")) == (12, 1)
        world.endpoint.records.put(Record("oai:99", START, document=document(99)))
        again = await world.harvest()
        assert again.state == "partial", again
        assert held(world, "Document") == 13
        await world.endpoint.behave()
        whole = await world.harvest()
        assert whole.state == "ok", whole
        assert held(world, "Dataset") == 13
        await world.endpoint.behave("error:500@Datasets")
        await world.harvest()
        assert held(world, "Dataset") == 13


@pytest.mark.parametrize("status", [403, 500])
async def test_a_service_that_shows_nothing_at_all_is_not_left_behind(
    tmp_path: Path, status: int
) -> None:
    """The next run begins at its first class, and not where there is nothing more to read."""
    async with a_world(tmp_path, spec(), protocol="panosc") as world:
        faults = [f"error:{status}@{name}" for name in ("Documents", "Datasets", "Instruments")]
        await world.endpoint.behave(*faults)
        assert (await world.harvest()).state == "failed"
        await world.endpoint.behave()
        run = await world.harvest()
        assert run.state == "ok", run
        assert held(world, "Document") == 12


async def test_a_class_that_fails_on_its_way_is_gone_on_with_first(tmp_path: Path) -> None:
    options = {"page_size": 1}
    async with a_world(tmp_path, spec(), protocol="panosc", options=options) as world:
        first = await world.harvest(watcher=Breaking(world, "Dataset", "error:500@Datasets"))
        assert (first.state, first.stop) == ("partial", "bad_status"), first
        await world.endpoint.behave("error:500@Datasets")
        second = await world.harvest()
        assert (second.state, second.stop) == ("partial", "broken_off"), second
        assert held(world, "Instrument") == 1
        await world.endpoint.behave()
        assert (await world.harvest()).state == "ok"
        assert held(world, "Dataset") == 12


async def test_a_service_that_fails_altogether_is_gone_on_with_where_it_did(
    tmp_path: Path,
) -> None:
    options = {"page_size": 1}
    async with a_world(tmp_path, spec(), protocol="panosc", options=options) as world:
        first = await world.harvest(watcher=Breaking(world, "Document", "error:500"))
        assert (first.state, first.stop) == ("partial", "bad_status"), first
        await world.endpoint.behave("error:500")
        second = await world.harvest()
        assert (second.state, second.counts["received"]) == ("failed", 0), second
        await world.endpoint.behave()
        assert (await world.harvest()).state == "ok"
        assert (held(world, "Document"), held(world, "Dataset")) == (12, 12)


async def test_a_scicat_is_swept_with_the_datasets_of_what_it_published(tmp_path: Path) -> None:
    from tests.harvester.test_scicat import scicat

    async with (
        scicat() as url,
        a_world(tmp_path, protocol="scicat", url=url, format="scicat") as world,
    ):
        run = await world.harvest()
        assert run.state in ("ok", "partial"), run
        assert held(world, "Document") == 23
        assert held(world, "Dataset") > 23
        before = world.store.last_change()
        again = await world.harvest()
        assert again.counts["new"] == 0
        assert world.store.last_change() == before
