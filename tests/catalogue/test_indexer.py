"""From the outbox to an engine, through crashes and outages (faults F11 to F13, F15, H08)."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from operator import lt
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio
import psutil
import pytest
from engine_servers import as_another_version
from search_world import NOW, Entities
from store_world import World, dataset, document, record, tombstone

from catalogue.catalogue import Catalogue
from catalogue.documents import EngineDocument
from catalogue.engines import tantivy_documents
from catalogue.engines.base import Applied, Engine, Rendered
from catalogue.engines.tantivy import TantivyEngine
from catalogue.errors import (
    EngineDamaged,
    EngineError,
    EngineUnavailable,
    ForeignIndex,
    IndexBusy,
    IndexEmpty,
    StoreDamaged,
)
from catalogue.indexer import Indexer, Pace
from catalogue.plan import All
from catalogue.query import Pattern, Search, Text
from catalogue.records import Change
from catalogue.store import Store
from catalogue.verifying import rebuild, repair, verify

HERE = Path(__file__).parent


@pytest.fixture
async def catalogue(world: World) -> AsyncIterator[Catalogue]:
    async with Catalogue.open(world.store.folder) as opened:
        yield opened


def put_document(world: World, name: str, title: str) -> None:
    world.put(record(f"oai:{name}", document(f"doi:10.5072/{name}", title=title)))


async def titles(catalogue: Catalogue, words: str) -> list[str]:
    answer = await catalogue.search(Search("Document", NOW, text=Text(words)))
    return [] if answer.relaxed else [hit.entity.record["title"] for hit in answer.hits]


async def test_what_is_committed_is_found_after_the_next_pass(
    world: World, catalogue: Catalogue
) -> None:
    """Fault F11: searchable when the pass returns, not some time later."""
    put_document(world, "a", "glass")
    with pytest.raises(IndexEmpty):
        await titles(catalogue, "glass")
    assert await catalogue.indexer.index_once() == 1
    assert await titles(catalogue, "glass") == ["glass"]
    assert await catalogue.indexer.index_once() == 0
    assert await catalogue.indexer.lag() == 0


async def test_who_asks_beside_a_writer_can_wait_for_what_is_committed(
    world: World, catalogue: Catalogue
) -> None:
    put_document(world, "a", "glass")
    await catalogue.indexer.index_once()
    async with Catalogue.open(world.store.folder, read_only=True) as asking:
        assert await asking.engine.has_writer()
        put_document(world, "b", "glass beads")
        newest = world.store.last_change()
        assert await asking.indexer.wait_for(newest, 0.0) == 1
        waited: list[int] = []

        async def wait() -> None:
            waited.append(await asking.indexer.wait_for(newest, 60.0))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await catalogue.indexer.index_once()
        assert waited == [0]
        assert sorted(await titles(asking, "glass")) == ["glass", "glass beads"]


async def test_what_nobody_brings_in_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalogue.indexer.UNMOVED_S", 0.0)
    put_document(world, "a", "glass")
    async with Catalogue.open(world.store.folder) as writing:
        await writing.indexer.index_once()
    put_document(world, "a", "glass beads")
    async with Catalogue.open(world.store.folder, read_only=True) as asking:
        assert not await asking.engine.has_writer()
        with anyio.fail_after(30.0):
            assert await asking.indexer.wait_for(world.store.last_change(), 3600.0) == 1


async def test_whoever_waits_asks_again_whether_anybody_is_at_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 10.2: whatever is between two commits of an indexer; but not once it has ended."""
    monkeypatch.setattr("catalogue.indexer.UNMOVED_S", 0.0)
    monkeypatch.setattr("catalogue.indexer.LOOK_AGAIN_S", 0.0)

    class Between:
        render, in_process = None, True

        def __init__(self) -> None:
            self.writers = [True, True, False]

        async def position(self) -> int:
            return 1

        async def has_writer(self) -> bool:
            return self.writers.pop(0)

    engine = Between()
    with anyio.fail_after(30.0):
        assert await Indexer(world.store, cast(Any, engine)).wait_for(3, 3600.0) == 2
    assert engine.writers == []


async def test_a_changed_record_is_one_record(world: World, catalogue: Catalogue) -> None:
    """Fault F15 (d): updates must not turn into duplicates."""
    for title in ("glass", "glass beads", "glass spheres"):
        put_document(world, "a", title)
        await catalogue.indexer.index_once()
    assert await titles(catalogue, "glass") == ["glass spheres"]
    reader = await catalogue.engine.reader()
    assert await reader.count("Document", All()) == 1


async def test_a_child_s_change_reaches_its_parent(world: World, catalogue: Catalogue) -> None:
    """Semantics 1.5: change, move and delete a child."""
    parent = document("doi:10.5072/p", title="parent", datasets=["dataset:doi:10.5072/c"])
    child = dataset("doi:10.5072/c", samples=[{"name": "lysozyme"}])
    world.put(record("oai:p", parent), record("oai:c", child))
    await catalogue.indexer.index_once()
    assert await titles(catalogue, "lysozyme") == ["parent"]
    world.put(record("oai:c", dataset("doi:10.5072/c", samples=[{"name": "insulin"}])))
    await catalogue.indexer.index_once()
    assert await titles(catalogue, "lysozyme") == []
    assert await titles(catalogue, "insulin") == ["parent"]
    world.put(tombstone("oai:c"))
    await catalogue.indexer.index_once()
    assert await titles(catalogue, "insulin") == []


async def test_a_hit_is_never_shown_with_a_record_that_does_not_match(
    world: World, catalogue: Catalogue
) -> None:
    """Semantics 10.3: the index is behind the store."""
    put_document(world, "a", "glass beads")
    put_document(world, "b", "glass spheres")
    put_document(world, "c", "glass rods")
    await catalogue.indexer.index_once()
    put_document(world, "a", "steel")
    put_document(world, "b", "glass spheres, polished")
    world.put(tombstone("oai:c"))
    assert await titles(catalogue, "glass") == ["glass spheres, polished"]


async def test_a_view_tells_up_to_which_change_it_has_everything(
    world: World, catalogue: Catalogue
) -> None:
    """Semantics 10.3: what the store has of a change up to there need not be looked up in the
    index; of a later one it must be asked whether it still matches."""
    put_document(world, "a", "glass")
    await catalogue.indexer.index_once()
    first = (await catalogue.engine.reader()).complete_until
    assert first == world.store.last_change() > 0
    put_document(world, "a", "steel")
    assert (await catalogue.engine.reader()).complete_until == first
    async with Catalogue.open(world.store.folder) as other:
        await catalogue.engine.release()
        await other.indexer.index_once()
    assert (await catalogue.engine.reader()).complete_until == world.store.last_change() > first


async def test_another_process_s_commits_are_seen(world: World, catalogue: Catalogue) -> None:
    put_document(world, "a", "glass")
    async with Catalogue.open(world.store.folder) as other:
        assert await other.indexer.index_once() == 1
    assert await titles(catalogue, "glass") == ["glass"]


async def test_one_indexer_at_a_time_and_the_other_goes_on_reading(
    world: World, catalogue: Catalogue
) -> None:
    """Fault F15 (a), semantics 10.1."""
    put_document(world, "a", "glass")
    await catalogue.indexer.index_once()
    async with Catalogue.open(world.store.folder) as other:
        put_document(world, "b", "glass, too")
        with pytest.raises(IndexBusy, match="process"):
            await other.indexer.index_once()
        assert await titles(other, "glass") == ["glass"]
        await catalogue.engine.release()
        assert await other.indexer.index_once() == 1


async def test_a_rebuild_beside_a_running_indexer_is_followed(
    world: World, catalogue: Catalogue
) -> None:
    """Fault F13: rebuilt beside, swapped at once, and the daemon writes on in the new one."""
    put_document(world, "a", "glass")
    await catalogue.indexer.index_once()
    async with Catalogue.open(world.store.folder) as operator:
        assert await rebuild(operator.store, operator.engine) == 1
    assert await titles(catalogue, "glass") == ["glass"]
    put_document(world, "b", "more glass")
    assert await catalogue.indexer.index_once() == 1
    assert sorted(await titles(catalogue, "glass")) == ["glass", "more glass"]
    assert (await verify(world.store, catalogue.engine)).sound


async def test_rebuilds_at_the_same_time_take_turns(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F13: each removes what the others fill, and all counted on from the same number."""
    for name in "abcdef":
        put_document(world, name, "glass")
    monkeypatch.setattr("catalogue.turns.LOOK_FOR_TURN_S", 0.01)
    waited: list[str] = []
    applied: list[int] = []

    async def rebuild_by_another() -> None:
        async with Catalogue.open(world.store.folder) as operator:
            made = await rebuild(
                operator.store, operator.engine, waiting=lambda busy: waited.append(str(busy))
            )
            applied.append(made)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(rebuild_by_another)
    assert applied == [6, 6, 6]
    assert len(waited) == 2
    assert "being made anew by process" in waited[0]
    assert (await verify(world.store, catalogue.engine)).outstanding == 0
    assert await titles(catalogue, "glass") == ["glass"] * 6


async def test_a_rebuilt_index_that_comes_into_use_in_the_midst_of_a_catch_up_lacks_nothing(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F13: what went into the former index is behind no position of the new one."""
    put_document(world, "a", "glass")
    operator = TantivyEngine(world.store.folder)
    await operator.open()
    rebuilt = await operator.beside()
    await Indexer(world.store, rebuilt).index_once()
    for name in "bcd":
        put_document(world, name, "more glass")
    daemon = Indexer(world.store, catalogue.engine, batch=1)
    apply = catalogue.engine.apply
    batches = 0

    async def swap_after_two(documents: Sequence[EngineDocument | Rendered]) -> Applied:
        nonlocal batches
        batches += 1
        applied = await apply(documents)
        if batches == 2:
            await operator.replace_with(rebuilt)
            assert await catalogue.engine.position() == 1  # as whoever asks for the lag does
        return applied

    monkeypatch.setattr(catalogue.engine, "apply", swap_after_two)
    await daemon.index_once()
    assert await daemon.lag() == 0
    assert len(await titles(catalogue, "glass")) == 4
    assert (await verify(world.store, catalogue.engine)).sound
    await operator.close()


async def test_verify_names_every_difference_and_repairs_it(
    world: World, catalogue: Catalogue
) -> None:
    for name in "abc":
        put_document(world, name, f"glass {name}")
    await catalogue.indexer.index_once()
    position = await catalogue.engine.position()
    foreign = Entities()
    foreign.document("surplus", title="nobody's glass")
    lost = world.store.changes_of(["document:doi:10.5072/a"])["document:doi:10.5072/a"]

    from catalogue.documents import engine_document

    gone = lost._replace(entity=lost.entity._replace(deleted=True, change=position + 1))
    strange = foreign.changes()[0].entity._replace(ordinal=10_000, change=1)
    surplus = foreign.changes()[0]._replace(entity=strange)
    await catalogue.engine.apply([engine_document(gone), engine_document(surplus)])
    await catalogue.engine.commit(position)
    found = await verify(world.store, catalogue.engine)
    assert found.missing == ("document:doi:10.5072/a",)
    assert [key for _, key, _, _ in found.surplus] == ["document:doi:10.5072/surplus"]
    await repair(world.store, catalogue.engine, found)
    assert (await verify(world.store, catalogue.engine)).sound


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


async def test_a_full_disk_keeps_changes_waiting_and_loses_none(tmp_path: Path) -> None:
    """Fault H09, with the system's limit for files in place of the disk's: the commit after the one
    that failed must not succeed without its documents."""
    engine = TantivyEngine(tmp_path)
    await engine.open()
    world = Entities()
    world.document("first", title="glass")
    indexer = Indexer(world, engine)
    await indexer.index_once()
    for n in range(400):
        summary = " ".join(f"word{n}x{k}" for k in range(60))
        world.document(f"d{n}", title=f"glass {n}", summary=summary)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        kept = []  # whoever keeps an error must not keep the lock of the writer that failed
        for _ in range(3):
            with pytest.raises(EngineError, match="os error 27") as caught:
                await indexer.index_once()
            kept.append(caught)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await (await engine.reader()).count("Document", All()) == 1
    assert len([path for path in (tmp_path / "index").iterdir() if path.is_dir()]) == 1
    assert await indexer.index_once() == 400
    assert await (await engine.reader()).count("Document", All()) == 401
    assert (await verify(world, engine)).sound
    await engine.close()


async def test_a_rebuild_that_fails_leaves_nothing_beside_the_index(tmp_path: Path) -> None:
    engine = TantivyEngine(tmp_path)
    await engine.open()
    world = Entities()
    world.document("first", title="glass")
    await Indexer(world, engine).index_once()

    class Gone(Entities):
        def changes_since(self, number: int, limit: int = 1_000) -> list[Change]:
            raise StoreDamaged("the store cannot be read")

        def last_change(self) -> int:
            return 1

    with pytest.raises(StoreDamaged):
        await rebuild(Gone(), engine)
    assert len([path for path in (tmp_path / "index").iterdir() if path.is_dir()]) == 1
    assert (await verify(world, engine)).sound
    await engine.close()


async def test_an_index_that_cannot_be_written_any_more_is_made_anew(tmp_path: Path) -> None:
    """Fault F15: an indexer that follows the outbox recovers by itself, and reads go on."""

    class Damaged(TantivyEngine):
        commits = 0

        def _commit(self, position: int) -> None:
            self.commits += 1
            if self.commits == 2:
                raise EngineDamaged("a file of its own stands in its way")
            super()._commit(position)

    world = Entities()
    world.document("a", title="glass")
    engine = Damaged(tmp_path)
    await engine.open()
    try:
        indexer = Indexer(world, engine)
        await indexer.index_once()
        reader, former = await engine.reader(), engine._generation
        world.document("b", title="glass")
        await indexer.index_once()
        assert engine._generation != former
        assert await reader.count("Document", All()) == 1
        assert await (await engine.reader()).count("Document", All()) == 2
        assert (await verify(world, engine)).sound
    finally:
        await engine.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "document" / "meta.json").write_text("{ nonsense"),
        lambda folder: (folder / "document" / "meta.json").unlink(),
        lambda folder: [file.unlink() for file in (folder / "document").glob("*.term")],
        lambda folder: [_cut(file) for file in (folder / "document").glob("*.store")],
        lambda folder: (folder.parent / "current.json").write_text("nonsense"),
    ],
    ids=["meta is nonsense", "meta is gone", "terms are gone", "a file is cut", "no pointer"],
)
async def test_a_damaged_index_is_rebuilt_from_the_store(
    world: World, damage: Callable[[Path], object]
) -> None:
    put_document(world, "a", "glass")
    async with Catalogue.open(world.store.folder) as first:
        await first.indexer.index_once()
    (generation,) = [p for p in (world.store.folder / "index").iterdir() if p.is_dir()]
    damage(generation)
    async with Catalogue.open(world.store.folder) as again:
        assert await titles(again, "glass") == ["glass"]
        assert (await verify(world.store, again.engine)).sound


async def test_a_thrown_away_index_comes_back_the_same(world: World) -> None:
    import shutil

    for name in "abc":
        put_document(world, name, f"glass {name}")
    async with Catalogue.open(world.store.folder) as first:
        await first.indexer.index_once()
        before = await first.search(Search("Document", NOW, text=Text("glass b", match="any")))
    shutil.rmtree(world.store.folder / "index")
    async with Catalogue.open(world.store.folder) as again:
        await again.indexer.index_once()
        after = await again.search(Search("Document", NOW, text=Text("glass b", match="any")))
    assert [(h.entity.key, h.score) for h in before.hits] == [
        (h.entity.key, h.score) for h in after.hits
    ]


def put_back(world: World, backup: Path) -> None:
    """A backup in the place of the store, as an operator puts it there."""
    world.store.close()
    for suffix in ("-wal", "-shm"):
        world.store.path.with_name(world.store.path.name + suffix).unlink(missing_ok=True)
    backup.replace(world.store.path)
    world.store = Store.open(world.store.folder)


async def test_a_backup_that_was_put_back_is_indexed_anew(world: World, tmp_path: Path) -> None:
    """Fault H08: change numbers begin to mean something else, and no hit may come from before."""
    put_document(world, "a", "glass")
    put_document(world, "b", "steel")
    world.store.backup(tmp_path / "kept.sqlite", world.now)
    async with Catalogue.open(world.store.folder) as catalogue:
        put_document(world, "a", "copper")
        await catalogue.indexer.index_once()
    put_back(world, tmp_path / "kept.sqlite")
    put_document(world, "b", "lead")
    async with Catalogue.open(world.store.folder) as catalogue:
        await catalogue.indexer.index_once()
        assert (await verify(catalogue.store, catalogue.engine)).sound
        assert await titles(catalogue, "glass") == ["glass"]
        assert await titles(catalogue, "lead") == ["lead"]
        assert await titles(catalogue, "copper") == []


async def test_an_index_ahead_of_its_store_is_behind_by_everything(
    world: World, tmp_path: Path
) -> None:
    """Fault H08: also where the files were copied by other means than ours, identity and all."""
    put_document(world, "a", "glass")
    async with Catalogue.open(world.store.folder) as catalogue:
        await catalogue.indexer.index_once()
    world.store.close()
    shutil.copy(world.store.path, tmp_path / "kept.sqlite")
    world.store = Store.open(world.store.folder)
    put_document(world, "a", "copper")
    async with Catalogue.open(world.store.folder) as catalogue:
        await catalogue.indexer.index_once()
    put_back(world, tmp_path / "kept.sqlite")
    async with Catalogue.open(world.store.folder) as catalogue:
        assert await catalogue.indexer.lag() == 1
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(catalogue.indexer.follow, stop, poll_s=0.01))
            with anyio.fail_after(20):
                while await titles(catalogue, "glass") != ["glass"]:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            stop.set()
        assert await catalogue.indexer.lag() == 0


async def test_an_index_of_another_mapping_is_refused_and_can_be_rebuilt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 6.3."""
    put_document(world, "a", "glass")
    async with Catalogue.open(world.store.folder) as former:
        await former.indexer.index_once()
    as_another_version(monkeypatch)
    async with Catalogue.open(world.store.folder) as newer:
        with pytest.raises(ForeignIndex, match="index rebuild"):
            await titles(newer, "glass")
        put_document(world, "b", "glass, too")
        with pytest.raises(ForeignIndex, match="index rebuild"):
            await newer.indexer.index_once()
        assert await rebuild(newer.store, newer.engine) == 2
        assert len(await titles(newer, "glass")) == 2


async def test_a_panic_of_the_library_is_an_error_of_ours(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with tantivy 0.27: a panic is no ``Exception`` and would end the server."""
    from catalogue.engines import tantivy_index

    class PanicException(BaseException):
        """As pyo3 raises it."""

    def panics(*_: object) -> object:
        raise PanicException("called `Option::unwrap()` on a `None` value")

    put_document(world, "a", "glass")
    await catalogue.indexer.index_once()
    monkeypatch.setattr(tantivy_index.ClassView, "query", panics)
    reader = await catalogue.engine.reader()
    with pytest.raises(EngineDamaged, match="unwrap"):
        await reader.ordinals("Document", All())


async def test_a_read_only_folder_is_said_so_and_the_store_is_unharmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_document(world, "a", "glass")

    def full(self: Path, *_: object, **__: object) -> object:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("catalogue.engines.tantivy.Path.mkdir", full)
    engine = TantivyEngine(world.store.folder)
    with pytest.raises(EngineError, match="No space left on device"):
        await engine.open()
    assert world.store.last_change() == 1


async def test_following_brings_in_what_others_commit(world: World, catalogue: Catalogue) -> None:
    put_document(world, "first", "metal")
    await catalogue.indexer.index_once()
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: catalogue.indexer.follow(stop, poll_s=0.01))
        put_document(world, "a", "glass")
        with anyio.fail_after(10):
            # Nothing here is told when another task has indexed: look until it has.
            while await titles(catalogue, "glass") != ["glass"]:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        stop.set()


async def test_a_paced_follower_waits_for_enough_changes(
    world: World, catalogue: Catalogue
) -> None:
    """So that a parent that children arrive for is indexed once, and not with each of them."""
    stop = anyio.Event()
    engine = catalogue.engine
    applied: list[int] = []
    apply = engine.apply

    async def counted(documents: Sequence[EngineDocument]) -> Applied:
        applied.append(len(documents))
        return await apply(documents)

    engine.apply = counted  # type: ignore[method-assign]
    asked = anyio.Event()
    lag = catalogue.indexer.lag

    async def asking() -> int:
        found = await lag()
        asked.set()
        return found

    catalogue.indexer.lag = asking  # type: ignore[method-assign]
    put_document(world, "a", "glass")
    pace = Pace(changes=2, longest_s=1_000.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: catalogue.indexer.follow(stop, poll_s=0.01, pace=pace))
        with anyio.fail_after(10):
            await asked.wait()
            assert applied == []
            put_document(world, "b", "glass, too")
            while not applied:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        stop.set()
    assert applied == [2]


async def test_an_outage_of_the_engine_loses_nothing(world: World, catalogue: Catalogue) -> None:
    """The outbox waits; the position only moves with the engine's own commit."""
    put_document(world, "a", "glass")
    engine = catalogue.engine
    commit = engine.commit

    async def fails(position: int) -> None:
        raise EngineError("away")

    engine.commit = fails  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        await catalogue.indexer.index_once()
    engine.commit = commit  # type: ignore[method-assign]
    assert await catalogue.indexer.lag() == 1
    assert await catalogue.indexer.index_once() == 1
    assert await titles(catalogue, "glass") == ["glass"]


async def test_more_words_than_the_library_expands_to_are_looked_up_one_by_one(
    world: World, catalogue: Catalogue
) -> None:
    """Semantics 6.2: the words of a title's substring are candidates in a row, or else anywhere."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    many = " ".join("cry" + "".join(ends) for ends in itertools.product(letters, repeat=3))
    put_document(world, "a", f"glass {many}")
    put_document(world, "b", "cry glass")
    await catalogue.indexer.index_once()
    for pattern, found in (("lass cry", ["a"]), ("zzz glass cr", []), ("ry glass", ["b"])):
        answer = await catalogue.search(Search("Document", NOW, Pattern(("title",), pattern)))
        assert [hit.entity.key[-1] for hit in answer.hits] == found


def many_documents(world: World, count: int) -> None:
    world.put(
        *(
            record(f"oai:d{n}", document(f"doi:10.5072/d{n}", title=f"glass {n}"))
            for n in range(count)
        )
    )


async def warmed(indexer: Indexer) -> None:
    """Wait for the processes that prepare."""
    assert indexer._preparers is not None
    await indexer._preparers.processes.wait_until_warm()


async def test_a_long_way_is_prepared_in_another_process(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back is what this process would have made; superseded numbers are left out."""
    monkeypatch.setattr("catalogue.indexer.LONG_WAY", 10)
    monkeypatch.setattr("catalogue.preparing.RANGE", 7)
    many_documents(world, 40)
    for n in range(0, 40, 3):
        put_document(world, f"d{n}", f"glass {n}, again")
    world.put(tombstone("oai:d1"))
    await warmed(catalogue.indexer)

    def none_here(*_: object) -> object:
        raise AssertionError("prepared in this process")

    monkeypatch.setattr("catalogue.indexer.prepare", none_here)
    assert await catalogue.indexer.index_once() == 40
    assert len(await titles(catalogue, "glass")) == 10
    assert (await verify(world.store, catalogue.engine)).sound
    assert await catalogue.indexer.lag() == 0


async def test_processes_that_prepare_are_let_go_when_the_way_is_short_again(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalogue.indexer.LONG_WAY", 10)
    monkeypatch.setattr("catalogue.indexer.IDLE_S", 0.0)
    many_documents(world, 40)
    await warmed(catalogue.indexer)
    preparers = catalogue.indexer._preparers
    assert preparers is not None
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: catalogue.indexer.follow(stop, poll_s=0.01))
        with anyio.fail_after(60):
            while preparers.processes.are_started or await catalogue.indexer.lag():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        stop.set()
    assert (await verify(world.store, catalogue.engine)).sound


async def test_a_process_that_dies_costs_no_record(
    world: World, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H03: out of memory, say; this process goes on from where the other had come."""
    monkeypatch.setattr("catalogue.indexer.LONG_WAY", 10)
    many_documents(world, 40)
    await warmed(catalogue.indexer)
    assert catalogue.indexer._preparers is not None
    for process_id in catalogue.indexer._preparers.processes.process_ids:
        os.kill(process_id, signal.SIGKILL)
    assert await catalogue.indexer.index_once() == 40
    assert (await verify(world.store, catalogue.engine)).sound


async def test_two_engines_are_filled_at_once(world: World, tmp_path: Path) -> None:
    """Moving from one engine to another without a gap: each keeps its own position."""
    put_document(world, "a", "glass")
    first, second = TantivyEngine(tmp_path / "one"), TantivyEngine(tmp_path / "two")
    for engine in (first, second):
        await engine.open()
    assert await Indexer(world.store, first).index_once() == 1
    put_document(world, "b", "glass, too")
    assert await Indexer(world.store, first).index_once() == 1
    assert await Indexer(world.store, second).index_once() == 2
    for engine in (first, second):
        assert (await verify(world.store, engine)).sound
        await engine.close()


PREPARING = """
import asyncio, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from catalogue.engines.tantivy_documents import rendered
from catalogue.preparing import Preparers

preparers = Preparers(Path(sys.argv[1]), rendered, 1)
asyncio.run(preparers.processes.wait_until_warm())
print(*preparers.processes.process_ids, flush=True)
sys.stdin.read()
"""


def test_processes_that_prepare_end_with_whoever_started_them(world: World) -> None:
    """One that is killed cannot tell them."""
    put_document(world, "a", "glass")
    script = PREPARING.format(paths=[str(HERE), str(HERE.parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(world.store.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        (child,) = map(int, process.stdout.readline().split())
        started = psutil.Process(child)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert psutil.wait_procs([started], timeout=60)[1] == []


# --- crashes ----------------------------------------------------------------------------------

WORKER = """
import asyncio, sys
from datetime import timedelta
sys.path[:0] = {paths!r}
from pathlib import Path
from catalogue.catalogue import Catalogue
from catalogue.documents import EngineDocument
from catalogue.engines.base import Applied
from store_world import World, document, dataset, record, tombstone

async def work():
    world = World(Path(sys.argv[1]))
    start = int(sys.argv[2])
    # The lease of the one before runs out a minute after it was killed.
    world.now += timedelta(minutes=start)
    async with Catalogue.open(world.store.folder) as catalogue:
        print("ready", flush=True)
        for n in range(start, start + 10_000):
            name = n % 50
            world.put(
                record(f"oai:{{name}}", document(f"doi:10.5072/d{{name}}", title=f"glass {{n}}",
                       datasets=[f"dataset:doi:10.5072/s{{name}}"])),
                record(f"oai:s{{name}}", dataset(f"doi:10.5072/s{{name}}", title=f"set {{n}}"))
                if n % 3 else tombstone(f"oai:s{{name}}"),
            )
            if n % 4 == 0:
                await catalogue.indexer.index_once()

asyncio.run(work())
"""


def _work_until_killed(folder: Path, random: Random, start: int) -> None:
    """A process that harvests and indexes, killed at a random instant of its work."""
    paths = [str(HERE), str(HERE.parents[1])]
    command = [sys.executable, "-c", WORKER.format(paths=paths), str(folder), str(start)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        done = threading.Event()
        done.wait(random.uniform(0.0, 0.3))
    finally:
        process.send_signal(signal.SIGKILL)
        ended = process.wait()
        process.stdout.close()
    assert ended == -signal.SIGKILL, "it was at work until it was killed"


async def _survives(folder: Path, seed: int, kills: int) -> None:
    random = Random(seed)
    reached: list[int] = []
    for number in range(kills):
        _work_until_killed(folder, random, 1_000 * number)
        async with Catalogue.open(folder) as catalogue:
            await catalogue.indexer.index_once()
            found = await verify(catalogue.store, catalogue.engine)
            assert found.sound, (seed, number, found)
            assert found.outstanding == 0
            reached.append(found.position)
    # Most of them had written something when they died.
    assert sum(map(lt, reached, reached[1:])) >= kills // 2


async def test_kills_at_random_instants_leave_nothing_to_repair(tmp_path: Path) -> None:
    """Faults H08, F15: after the next start the index agrees with the store by itself."""
    await _survives(tmp_path / "data", seed=6, kills=10)


@pytest.mark.soak
async def test_many_kills_at_random_instants_leave_nothing_to_repair(tmp_path: Path) -> None:
    await _survives(tmp_path / "data", seed=int(time.time()), kills=200)


class Elsewhere:
    """A double of an engine that is asked over a network: notes what happens, in order."""

    in_process = False
    numbering = None
    render = staticmethod(tantivy_documents.rendered)

    def __init__(self, fails_at: int = 0) -> None:
        self.happened: list[str] = []
        self.committed = 0
        self.fails_at = fails_at

    def try_lock(self) -> bool:
        return True

    async def expect(self, until: int) -> int:
        return self.committed

    async def apply(self, documents: Sequence[Rendered]) -> Applied:
        self.happened.append(f"begin {documents[0].change}")
        if documents[0].change == self.fails_at:
            raise EngineUnavailable("gone")
        await anyio.wait_all_tasks_blocked()
        self.happened.append(f"end {documents[0].change}")
        return Applied(written=len(documents))

    async def commit(self, position: int) -> None:
        self.committed = position


class Telling(Entities):
    """A store that tells when its outbox is read."""

    happened: list[str]

    def changes_since(self, number: int, limit: int = 1_000) -> tuple[Change, ...]:
        self.happened.append(f"read {number + 1}")
        return super().changes_since(number, limit)


def three_documents(engine: Elsewhere) -> Telling:
    world = Telling()
    world.happened = engine.happened
    for name in "abc":
        world.document(name, title="glass")
    return world


async def test_with_an_engine_elsewhere_the_next_changes_are_read_while_some_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(work: Callable[..., Any], *given: Any) -> Any:
        return work(*given)

    monkeypatch.setattr("anyio.to_thread.run_sync", at_once)
    engine = Elsewhere()
    indexer = Indexer(three_documents(engine), cast(Engine, engine), batch=1)
    assert await indexer.index_once() == 3
    assert engine.committed == 3
    assert engine.happened.index("read 2") < engine.happened.index("end 1")
    assert [one for one in engine.happened if "begin" in one] == ["begin 1", "begin 2", "begin 3"]


async def test_an_engine_elsewhere_that_fails_amid_a_pass_commits_nothing_of_it() -> None:
    """Fault F12: all of it comes again."""
    engine = Elsewhere(fails_at=2)
    world = three_documents(engine)
    with pytest.raises(EngineUnavailable, match="gone"):
        await Indexer(world, cast(Engine, engine), batch=1).index_once()
    assert engine.committed == 0
    engine.fails_at = 0
    assert await Indexer(world, cast(Engine, engine), batch=1).index_once() == 3
