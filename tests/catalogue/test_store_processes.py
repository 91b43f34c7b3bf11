"""Several processes at one store, some of which die at the worst instant (faults H01, H02, H08).

Processes are forked, so each costs milliseconds; the instant of a death is the number of an SQL
statement, so each death can be repeated.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from store_world import NOON, World, dataset, document, record

from catalogue.errors import LeaseHeld, LeaseLost
from catalogue.records import PageCommit
from catalogue.store import Store

forked = multiprocessing.get_context("fork")
PAGES, SIZE = 6, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configured store that nobody has open."""
    world = World(tmp_path / "data")
    world.store.close()
    return tmp_path / "data"


def page_of(number: int, prefix: str = "") -> tuple[Any, ...]:
    """Flat records, and Datasets of Documents that come a page later."""
    names = [f"{prefix}{number * SIZE + n}" for n in range(SIZE)]
    return tuple(
        record(
            name,
            document(f"doi:10.5072/{name}", datasets=[f"dataset:doi:10.5072/{name}"]),
            dataset(f"doi:10.5072/{name}", documents=[f"document:doi:10.5072/{name}x"]),
        )
        for name in names
    )


def start(work: Callable[..., None], *arguments: Any) -> Any:
    process = forked.Process(target=work, args=arguments)
    process.start()
    return process


def harvest(folder: Path, source: str, attempt: int, die_at: int | None) -> None:
    """Harvest from the checkpoint to the end; be killed before the ``die_at``-th statement."""
    now = NOON + attempt * timedelta(minutes=5)
    with Store.open(folder) as store:
        if die_at is not None:
            done = 0

            def count(_: str) -> None:
                nonlocal done
                done += 1
                if done == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            store._database.connection().set_trace_callback(count)
            with store._database.write() as writing:
                writing.set_trace_callback(count)
        run = store.begin_run(source, kind="full", holder=f"{os.getpid()}", now=now)
        first = run.checkpoint["page"] if run.checkpoint else 0
        for number in range(first, PAGES):
            page = PageCommit(page_of(number, source), {"page": number + 1}, now)
            store.commit_page(run, page)
        store.finish_run(run, "ok", "end_of_list", now)


@pytest.mark.parametrize("seed", range(6))
def test_a_harvest_killed_at_any_statement_loses_and_doubles_nothing(
    folder: Path, seed: int
) -> None:
    """Fault H08: records and checkpoint agree at every instant."""
    chance = random.Random(seed)
    attempt = 0
    while True:
        attempt += 1
        # The first attempts die; a whole harvest is some 700 statements.
        die_at = chance.randrange(1, 400) if attempt <= 4 else None
        process = start(harvest, folder, "ess-oai", attempt, die_at)
        process.join()
        with Store.open(folder) as store:
            assert store.check().problems == ()
            status = store.source_status("ess-oai")
            last = status.last_run
            if last is not None and last.state == "running":
                pages = status.records // SIZE
                assert status.records == pages * SIZE
                (held,) = store._database.connection().execute(
                    "SELECT checkpoint FROM sources WHERE name = 'ess-oai'"
                ).fetchone()  # fmt: skip
                assert held == (f'{{"page":{pages}}}' if pages else None)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    with Store.open(folder) as store:
        names = store.live_identifiers("ess-oai")
        assert sorted(names) == sorted(f"ess-oai{n}" for n in range(PAGES * SIZE))
        assert store.count("Document") == PAGES * SIZE
        runs = store.runs("ess-oai")
        assert runs[0].state == "ok"
        assert {run.state for run in runs[1:]} <= {"stopped", "ok"}
        new = sum(run.counts["new"] for run in runs)
        assert new == PAGES * SIZE


def compete(folder: Path, pipe: Connection) -> None:
    with Store.open(folder) as store:
        pipe.recv()
        try:
            store.begin_run("ess-oai", kind="full", holder=f"{os.getpid()}", now=NOON)
            pipe.send("ran")
        except LeaseHeld as held:
            pipe.send(held.holder)


def test_of_two_daemons_one_gets_the_source(folder: Path) -> None:
    """Fault H02."""
    pipes = [forked.Pipe() for _ in range(4)]
    processes = [start(compete, folder, theirs) for _, theirs in pipes]
    for mine, _ in pipes:
        mine.send("go")
    said = [mine.recv() for mine, _ in pipes]
    for process in processes:
        process.join()
    assert said.count("ran") == 1
    winner = str(processes[said.index("ran")].pid)
    assert said.count(winner) == 3


def sleep_over(folder: Path, pipe: Connection) -> None:
    with Store.open(folder) as store:
        run = store.begin_run("ess-oai", kind="full", holder="sleeper", now=NOON)
        store.commit_page(run, PageCommit(page_of(0), {"page": 1}, NOON))
        pipe.send("asleep")
        pipe.recv()
        try:
            store.commit_page(run, PageCommit(page_of(1), {"page": 2}, NOON))
            pipe.send("wrote")
        except LeaseLost:
            pipe.send("fenced off")


def test_a_process_that_slept_through_its_lease_is_fenced_off(folder: Path) -> None:
    """Faults H01 and H02."""
    mine, theirs = forked.Pipe()
    process = start(sleep_over, folder, theirs)
    assert mine.recv() == "asleep"
    later = NOON + timedelta(minutes=2)
    with Store.open(folder) as store:
        run = store.begin_run("ess-oai", kind="full", holder="other", now=later)
        assert run.checkpoint == {"page": 1}
        mine.send("wake")
        assert mine.recv() == "fenced off"
        process.join()
        assert store.source_status("ess-oai").records == SIZE
        store.commit_page(run, PageCommit(page_of(1), {"page": 2}, later))
        store.finish_run(run, "ok", "end_of_list", later)


def test_several_processes_write_their_sources_at_once(folder: Path) -> None:
    """Semantics 10.1; an operator's commands work meanwhile."""
    names = ("ess-oai", "ess-rest", "ill-oai")
    processes = [start(harvest, folder, name, 0, None) for name in names]
    with Store.open(folder) as store:
        store.backup(folder / "copy.sqlite", NOON)
        store.remember("ess-oai", {"seen": True})
        store.compact(NOON)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with Store.open(folder) as store:
        assert [store.source_status(name).records for name in names] == [PAGES * SIZE] * 3
        numbers = [change.entity.change for change in store.changes_since(0, 10_000)]
        assert numbers == sorted(set(numbers))
        assert store.check().problems == ()


def test_migrating_twice_at_once_is_done_once(tmp_path: Path) -> None:
    processes = [start(lambda: Store.open(tmp_path / "new").close()) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with Store.open(tmp_path / "new") as store:
        assert store.check().problems == ()
