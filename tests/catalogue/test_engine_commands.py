"""``pan-commons index status|rebuild|verify``: what an operator sees, with exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result
from store_world import World, document, record, tombstone

from catalogue.catalogue import Catalogue
from catalogue.commands import COMMANDS
from catalogue.documents import engine_document
from catalogue.errors import NothingKept
from catalogue.records import StoredEntity

INDEX = next(command for command in COMMANDS if command.name == "index")


def run(world: World | Path, *arguments: str) -> Result:
    folder = world if isinstance(world, Path) else world.store.folder
    return CliRunner().invoke(INDEX, [*arguments, "--data", str(folder), "--engine", "tantivy"])


def fill(world: World, count: int = 3) -> None:
    for number in range(count):
        world.put(record(f"oai:{number}", document(f"doi:10.5072/{number}", title="glass")))


async def index(world: World) -> None:
    async with Catalogue.open(world.store.folder) as catalogue:
        await catalogue.indexer.index_once()


def test_status_tells_how_far_the_index_is(world: World) -> None:
    fill(world)
    asyncio.run(index(world))
    fill(world, 4)
    found = json.loads(run(world, "status", "--json").stdout)
    assert found["engine"] == "tantivy"
    assert found["records"]["Document"] == {"store": 4, "engine": 3}
    assert found["lag"] == found["last_change"] - found["position"] > 0
    assert found["size_bytes"] > 0


def test_status_for_people_names_classes_and_lag(world: World) -> None:
    fill(world)
    result = run(world, "status")
    assert result.exit_code == 0
    assert "Document" in result.output
    assert "behind" in result.output


def test_verify_finds_an_index_of_nothing_outstanding(world: World) -> None:
    fill(world)
    result = run(world, "verify", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["outstanding"] == 3


def hand_over(world: World, altered: Callable[[StoredEntity, int], StoredEntity]) -> None:
    """Give the engine a version of a Document that the store does not have."""

    async def work() -> None:
        async with Catalogue.open(world.store.folder) as catalogue:
            position = await catalogue.engine.position()
            key = "document:doi:10.5072/1"
            change = world.store.changes_of([key])[key]
            other = change._replace(entity=altered(change.entity, position))
            await catalogue.engine.apply([engine_document(other)])
            await catalogue.engine.commit(position)

    asyncio.run(work())


def test_verify_fails_until_repaired(world: World) -> None:
    fill(world)
    asyncio.run(index(world))

    hand_over(world, lambda one, position: one._replace(deleted=True, change=position + 1))
    result = run(world, "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["missing"] == ["document:doi:10.5072/1"]
    result = run(world, "verify", "--repair", "--json")
    assert (result.exit_code, json.loads(result.stdout)["repaired"]) == (0, True)
    assert run(world, "verify").exit_code == 0


def test_what_an_index_takes_for_newer_than_the_store_is_repaired_too(world: World) -> None:
    """Fault F12: in place it would be kept."""
    fill(world)
    asyncio.run(index(world))

    hand_over(world, lambda one, position: one._replace(change=position + 1_000))
    result = run(world, "verify", "--repair", "--json")
    assert (result.exit_code, json.loads(result.stdout)["repaired"]) == (0, True)
    assert "cannot be mended in place; making it anew" in result.stderr
    assert run(world, "verify").exit_code == 0


def test_verify_and_check_count_the_same_entities_beside_the_records_of_sources(
    world: World,
) -> None:
    """One counted 3,631 "records" in the demo, the other 3,640: tombstones of entities, and
    records of two sources that are one entity, without saying so."""
    fill(world)
    world.put(record("api/0", document("doi:10.5072/0", title="glass")), of="ess-rest")
    world.put(tombstone("oai:2"))
    asyncio.run(index(world))
    counts = "3 records of sources (and 1 that are gone) make 2 entities (and 1 that are gone): "
    assert counts + "sound." in run(world, "check").stderr
    assert "Compared 2 entities (and 1 that are gone); 0 wait" in run(world, "verify").stderr
    found = json.loads(run(world, "verify", "--json").stdout)
    assert (found["compared"], found["gone"]) == (3, 1)
    found = json.loads(run(world, "check", "--json").stdout)
    assert (found["records"], found["records_gone"]) == (3, 1)
    assert (found["entities"], found["entities_gone"]) == (2, 1)


def test_rebuild_makes_the_index_anew_while_another_has_it(world: World) -> None:
    fill(world)

    async def beside_an_indexer() -> Result:
        async with Catalogue.open(world.store.folder) as daemon:
            await daemon.indexer.index_once()
            result = await asyncio.to_thread(run, world, "rebuild", "--json")
            assert await daemon.indexer.lag() == 0
            return result

    result = asyncio.run(beside_an_indexer())
    assert json.loads(result.stdout)["changes"] == 3
    assert run(world, "verify").exit_code == 0


def test_a_rebuild_says_how_many_entities_of_how_many_are_indexed(world: World) -> None:
    fill(world, 4)
    result = run(world, "rebuild")
    assert result.stderr.splitlines() == [
        "… 4 of 4 entities indexed",
        "Rebuilt the search index from 4 entities.",
    ]
    assert "indexed" not in run(world, "rebuild", "--json").stderr


def test_a_folder_without_a_store_is_said_so(tmp_path: Path) -> None:
    result = run(tmp_path, "status")
    assert isinstance(result.exception, NothingKept)
    assert "harvest first" in str(result.exception)
