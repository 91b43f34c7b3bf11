"""Runs over a PaNOSC Search API: always whole, unchanged records untouched, absence looked into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harvester.place import Order
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
