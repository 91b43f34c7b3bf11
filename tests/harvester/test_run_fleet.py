"""Many sources at once, what a person sees of them, and mapping in other processes."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from catalogue.ahead import Foresight
from catalogue.facilities import Source
from catalogue.records import ReadyRecord, RunRecord
from catalogue.store.payloads import Dictionary
from harvester import workers
from harvester.fleet import NoFiles, exit_code, harvest_many, within_files
from harvester.pages import RawRecord
from harvester.progress import Progress
from harvester.run import Harvesting
from harvester.workers import MappingProcesses, prepare_records
from mappings.context import Context, Header
from simulator import running
from tests.harvester.harvest_world import a_world, oai_record, oai_spec, until


async def test_nine_slow_endpoints_do_not_slow_the_tenth(tmp_path: Path) -> None:
    """Nine wait at each page; the tenth is done before any of them has sent one."""
    async with a_world(tmp_path, oai_spec(100)) as world, AsyncExitStack() as stack:
        release = anyio.Event()

        async def wait(seconds: float) -> None:
            await release.wait()

        sources: list[Source] = [world.source]
        for number in range(9):
            slow = await stack.enter_async_context(running(oai_spec(20), sleep=wait))
            slow.faults.set("slow:2s")
            sources.append(replace(world.source, name=f"slow-{number}", url=slow.oai_url))
        world.store.put_configuration([world.facility], sources)
        ended: list[str] = []

        class Watch(Progress):
            def ended(self, source: str, record: RunRecord) -> None:
                ended.append(source)
                release.set()

        shared = Harvesting(world.store, world.http, world.clock, Watch())
        results = await harvest_many(shared, [(world.facility, one) for one in sources])
        assert ended[0] == "test"
        assert {result.state for result in results.values()} == {"ok"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("files", "at_once"), [(48, 1), (64, 1), (128, 4), (256, 14), (1_024, 16), (-1, 16)]
)
def test_with_few_files_fewer_sources_are_harvested_at_a_time(
    files: int, at_once: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With 64 of them ten of twelve sources failed, some with a trace."""
    monkeypatch.setattr("harvester.fleet.most_files", lambda: files)
    assert within_files(16) == at_once
    assert (f"more than {files} files open" in caplog.text) == (at_once < 16)


async def test_where_no_more_files_may_be_open_that_is_said_without_a_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def prepare(*_: object) -> list[ReadyRecord]:
        raise OSError(errno.EMFILE, "Too many open files")

    async with a_world(tmp_path) as world:
        shared = Harvesting(world.store, world.http, world.clock, prepare_page=prepare)
        results = await harvest_many(shared, [(world.facility, world.source)])
    assert isinstance(results["test"], NoFiles)
    assert "files open; allow it more (ulimit -n" in str(results["test"])
    assert "Traceback" not in caplog.text


async def test_a_mistake_of_ours_costs_one_source(tmp_path: Path) -> None:
    """Fault H03."""
    async with a_world(tmp_path) as world:
        other = replace(world.source, name="other")
        world.store.put_configuration([world.facility], [world.source, other])

        async def prepare(
            context: Context,
            records: Sequence[RawRecord],
            dictionary: Dictionary | None = None,
            foresight: Foresight | None = None,
        ) -> list[ReadyRecord]:
            if context.source == "other":
                raise ZeroDivisionError
            return prepare_records(context, records, dictionary, foresight)

        shared = Harvesting(world.store, world.http, world.clock, prepare_page=prepare)
        pairs = [(world.facility, world.source), (world.facility, other)]
        results = await harvest_many(shared, pairs)
        assert isinstance(results["test"], RunRecord)
        assert results["test"].state == "ok"
        assert isinstance(results["other"], Exception)
        assert exit_code(list(results.values())) == 3
        assert world.store.live_identifiers("other") == (), "no page without its records"
        (run,) = world.store.runs("other")
        assert (run.state, run.stop) == ("failed", "internal_error")


async def test_a_terminal_shows_a_row_for_each_source(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        seconds = iter(range(1000))
        screen = Console(file=io.StringIO(), force_terminal=True, width=160)
        progress = Progress(("test", "idle"), console=screen, monotonic=lambda: next(seconds))
        world.endpoint.faults.set("error:503@page2x2")
        with progress:
            run = await world.harvest(watcher=progress)
        assert progress.rows["test"].retries == run.details["retries"] == 2
        assert progress.rows["test"].counts["received"] == 25
        assert progress.rows["test"].pages == 3
        screen.print(progress.table())
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        assert "test" in shown
        assert "waiting" in shown


async def test_mapping_in_processes_gives_what_mapping_here_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "WARM_AFTER", 10)
    context = Context("TST", "test")
    raw = [
        RawRecord(Header(one.identifier), "oai_datacite", one.payload("oai_datacite"))
        for one in map(oai_record, range(40))
    ]
    raw[7] = replace(raw[7], payload=b"<oops/>")
    here = prepare_records(context, raw)
    async with MappingProcesses(1) as mapping:
        await mapping(context, raw)
        await mapping.processes.wait_until_warm()
        there = await mapping(context, raw)
    assert there == here
    assert there[7].rejection is not None


def test_records_worked_on_together_are_few_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed, a record is many times its payload (fault H11); none is left out."""
    monkeypatch.setattr(workers, "TOGETHER", 3)
    monkeypatch.setattr(workers, "TOGETHER_BYTES", 10)
    sizes = [1, 1, 1, 1, 9, 9, 50, 0, 10, 1, 1]
    records = [RawRecord(Header(str(n)), "oai_dc", bytes(size)) for n, size in enumerate(sizes)]
    parts = list(workers.portions(records))
    assert [record for part in parts for record in part] == records
    assert [[len(one.payload or b"") for one in part] for part in parts] == [
        [1, 1, 1], [1, 9], [9], [50], [0, 10], [1, 1],
    ]  # fmt: skip
    assert list(workers.portions([])) == []


async def test_a_worker_that_dies_costs_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault H03: out of memory, say; the page is mapped in this process instead."""
    monkeypatch.setattr(workers, "WARM_AFTER", 10)
    context = Context("TST", "test")
    raw = [
        RawRecord(Header(one.identifier), "oai_datacite", one.payload("oai_datacite"))
        for one in map(oai_record, range(40))
    ]
    async with MappingProcesses(1) as mapping:
        await mapping(context, raw)
        await mapping.processes.wait_until_warm()
        for process_id in mapping.processes.process_ids:
            os.kill(process_id, signal.SIGKILL)
        assert await mapping(context, raw) == prepare_records(context, raw)


async def test_an_operator_can_stop_a_run(tmp_path: Path) -> None:
    """Fault H01: a stop that works, from another connection, and a run that goes on later."""
    async with a_world(tmp_path, oai_spec(400)) as world:

        async def nap(seconds: float) -> None:
            await anyio.sleep(min(seconds, 0.05))

        world.endpoint.sleep = nap
        world.endpoint.faults.set("slow:50ms")
        async with anyio.create_task_group() as tasks:
            results: list[RunRecord] = []

            async def harvest() -> None:
                results.append(await world.harvest())

            tasks.start_soon(harvest)
            await until(world.held)
            world.store.request_stop(world.store.runs("test")[0].number)
        assert [(one.state, one.stop) for one in results] == [("stopped", "requested")]
        assert 0 < len(world.held()) < 400
        world.endpoint.faults.clear()
        run = await world.harvest()
        assert run.state == "ok"
        assert world.held() == world.offered()


async def test_where_no_process_can_be_started_pages_are_mapped_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pipes are files, too."""

    def refuse() -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    async with MappingProcesses() as mapping:
        monkeypatch.setattr(mapping.processes, "warm", refuse)
        monkeypatch.setattr(workers, "WARM_AFTER", 1)
        monkeypatch.setattr(workers, "SMALL_PAGE", 1)
        assert not mapping._warm()
        context = Context(facility="TEST", source="test")
        assert await mapping(context, [], None, None) == []
