"""An index that is gone, empty, being made anew or not to be written: what questions, the log and a
process that is told to stop make of it (semantics 10.3; faults F13, F15, H09)."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from engine_servers import ENGINES, open_engine
from search_world import NOW, Entities

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.engines.base import Engine
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.tantivy import TantivyEngine
from catalogue.errors import EngineDamaged, EngineError, EngineUnavailable, IndexBusy, IndexEmpty
from catalogue.indexer import Indexer
from catalogue.query import Search
from catalogue.verifying import verify


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    made = await open_engine(request.param, tmp_path)
    yield made
    if isinstance(made, ElasticsearchEngine):
        await made.remove_all()
    await made.close()


@pytest.fixture
def world() -> Entities:
    made = Entities()
    for number in range(6):
        made.document(f"d{number}", title="glass")
    return made


def catalogue_of(world: Entities, engine: Engine, folder: Path, **more: Any) -> Catalogue:
    return Catalogue(cast(Any, world), engine, SnapshotFile(folder), **more)


async def found(catalogue: Catalogue) -> int:
    return (await catalogue.search(Search("Document", NOW))).total.value


async def test_an_index_that_was_emptied_is_not_taken_for_one_without_matches(
    engine: Engine, world: Entities, tmp_path: Path
) -> None:
    catalogue = catalogue_of(world, engine, tmp_path)
    await catalogue.indexer.index_once()
    assert await found(catalogue) == 6
    await engine.restart_empty()
    with pytest.raises(IndexEmpty):
        await found(catalogue)
    await catalogue.indexer.index_once()
    assert await found(catalogue) == 6


@pytest.mark.elasticsearch
async def test_indices_that_somebody_removed_are_not_called_another_version_s(
    world: Entities, tmp_path: Path
) -> None:
    engine = await open_engine("elasticsearch", tmp_path)
    assert isinstance(engine, ElasticsearchEngine)
    catalogue = catalogue_of(world, engine, tmp_path, read_only=True)
    await catalogue.indexer.index_once()
    assert await found(catalogue) == 6
    await engine.remove_all()
    assert await engine.position() == 0
    with pytest.raises(EngineDamaged, match="no search index in this Elasticsearch yet"):
        await found(catalogue)
    await engine.close()


class Halting(Entities):
    """Stops while it is read for an index that is made anew, until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.indexer: Indexer | None = None
        self.halted = anyio.Event()
        self.goes_on = anyio.Event()

    def changes_since(self, number: int, limit: int = 1_000) -> Any:
        if self.indexer and self.indexer.making_anew and not self.goes_on.is_set():
            anyio.from_thread.run_sync(self.halted.set)
            anyio.from_thread.run(self.goes_on.wait)
        return super().changes_since(number, limit)


async def test_a_question_leaves_an_index_alone_that_is_being_made_anew(tmp_path: Path) -> None:
    """It would put an empty one in its place, and remove what was filled so far."""
    world = Halting()
    world.document("a", title="glass")
    engine = TantivyEngine(tmp_path)
    await engine.open()
    catalogue = catalogue_of(world, engine, tmp_path)
    await catalogue.indexer.index_once()
    await catalogue.indexer.engine.release()
    for path in (tmp_path / "index").glob("*/*/meta.json"):
        path.write_text("{")
    world.document("b", title="glass")
    world.indexer = catalogue.indexer
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(catalogue.indexer.index_once)
        with anyio.fail_after(20):
            await world.halted.wait()
        begun = sorted(path.name for path in (tmp_path / "index").iterdir() if path.is_dir())
        with pytest.raises(EngineDamaged, match="is being made anew"):
            await found(catalogue)
        assert begun == sorted(p.name for p in (tmp_path / "index").iterdir() if p.is_dir())
        world.goes_on.set()
    assert await found(catalogue) == 2
    assert (await verify(cast(Any, world), engine)).sound
    await catalogue.close()


async def test_an_index_that_somebody_removes_under_its_writer_is_made_anew(
    tmp_path: Path, world: Entities
) -> None:
    """Fault F15: it ended the daemon with a stack trace; and whoever came next found the lock
    free, and wrote beside it."""
    engine, next_one = TantivyEngine(tmp_path), TantivyEngine(tmp_path)
    await engine.open()
    indexer = Indexer(world, engine)
    await indexer.index_once()
    shutil.rmtree(tmp_path / "index")
    world.document("late", title="glass")
    await indexer.index_once()
    assert await engine.position() == world.last_change()
    assert (await verify(cast(Any, world), engine)).sound
    assert not next_one.try_lock()
    shutil.rmtree(tmp_path / "index")
    world.document("later", title="glass")
    assert next_one.try_lock()
    assert not engine.try_lock()
    await next_one.close()
    await indexer.index_once()
    assert (await verify(cast(Any, world), engine)).sound
    await engine.close()


async def test_told_to_stop_an_indexer_leaves_a_long_way_where_it_is(
    engine: Engine, world: Entities
) -> None:
    """What it has applied by then is committed, and the next one goes on from there."""
    stop = anyio.Event()
    indexer = Indexer(world, engine, batch=2, progress=lambda _: stop.set())
    with anyio.fail_after(30):
        await indexer.follow(stop)
    reached = await engine.position()
    assert 0 < reached < world.last_change()
    stop = anyio.Event()
    indexer = Indexer(world, engine, batch=1, progress=lambda _: stop.set())
    assert await indexer.index_once(stop) == 1, "so does one that only catches up"
    reached += 1
    assert await Indexer(world, engine).index_once() == world.last_change() - reached
    assert (await verify(cast(Any, world), engine)).sound


async def test_told_to_stop_an_indexer_gives_up_an_index_that_it_makes_anew(
    tmp_path: Path, world: Entities
) -> None:
    engine = TantivyEngine(tmp_path)
    await engine.open()
    await Indexer(world, engine).index_once()
    await engine.release()
    for path in (tmp_path / "index").glob("*/*/meta.json"):
        path.write_text("{")
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    stop = anyio.Event()

    class Stopping(Entities):
        def changes_since(self, number: int, limit: int = 1_000) -> Any:
            anyio.from_thread.run_sync(stop.set)
            return world.changes_since(number, limit)

        def last_change(self) -> int:
            return world.last_change() + 1

    with anyio.fail_after(30):
        await Indexer(Stopping(), engine, batch=2).follow(stop)
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    await engine.close()


class Hindered:
    """As much of an engine as is asked before it cannot be written."""

    in_process = True
    render = staticmethod(lambda document: document)

    def __init__(self, problems: list[Exception | None], stop: anyio.Event) -> None:
        self.problems = problems
        self.stop = stop

    def try_lock(self) -> bool:
        return True

    async def position(self) -> int:
        problem = self.problems.pop(0)
        if not self.problems:
            self.stop.set()
        if problem is not None:
            raise problem
        return 0


async def test_a_server_that_is_back_is_indexed_to_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an outage of a minute it had been half a minute."""
    waits, waited = anyio.move_on_after, list[float]()

    def noting(seconds: float) -> anyio.CancelScope:
        waited.append(seconds)
        return waits(0)

    monkeypatch.setattr("catalogue.indexer.anyio.move_on_after", noting)
    for problem, longest_s in ((EngineUnavailable("away"), 5.0), (EngineError("odd"), 30.0)):
        waited.clear()
        stop = anyio.Event()
        hindered = Hindered([problem] * 8, stop)
        await Indexer(Entities(), cast(Any, hindered)).follow(stop, poll_s=0)
        assert (waited[0], max(waited), waited[-1]) == (1.0, longest_s, longest_s)


async def test_what_hinders_the_index_is_in_the_log_once_and_its_end_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H09: else an operator sees for hours that nothing new is found, and not why."""
    waits = anyio.move_on_after
    monkeypatch.setattr("catalogue.indexer.anyio.move_on_after", lambda _: waits(0))
    full, other = EngineUnavailable("The disk is full."), EngineUnavailable("Nobody answers.")
    stop = anyio.Event()
    hindered = Hindered([full, full, other, None, IndexBusy("At it."), None, None], stop)
    with caplog.at_level(logging.WARNING):
        await Indexer(Entities(), cast(Any, hindered)).follow(stop, poll_s=0)
    assert caplog.messages == [
        "index: The disk is full. Changes wait in the store.",
        "index: Nobody answers. Changes wait in the store.",
        "index: It can be written again.",
    ]
