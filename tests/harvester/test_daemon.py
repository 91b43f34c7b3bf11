"""The daemon: schedules, signals, its neighbours, and how soon a record is found."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from catalogue.catalogue import Catalogue
from catalogue.errors import IndexEmpty, StoreBusy, StoreError
from catalogue.query import Search
from catalogue.store import Store
from harvester.added import add_source
from harvester.daemon import Daemon, _show_life, in_words
from harvester.indexing import LEFT, EngineSettings, IndexFollower
from harvester.keys import ConfigurationError
from harvester.outcomes import goes_on_at_once
from harvester.place import Order
from harvester.presence import presence
from harvester.removal import remove
from harvester.reports import due_at
from harvester.run import Harvesting
from harvester.sd_notify import Notifier
from harvester.sources import Budget, Configuration
from harvester.space import Room
from pan_commons_terminal import Settings
from simulator import running
from tests.harvester.harvest_world import World, a_world, oai_record, oai_spec, until
from tests.harvester.zygotes import (
    YEAR_S,
    ClockFile,
    a_zygote,
    assert_store_and_index_equal,
)


class Heard:
    """What the daemon said."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, details: Any) -> None:
        self.events.append((event, dict(details)))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def daemon_of(world: World, heard: Heard, **more: Any) -> Daemon:
    configuration = Configuration(None, (world.facility,), (world.source,))
    shared = Harvesting(world.store, world.http, world.clock, stopping=world.stopping)
    return Daemon(shared, configuration, more.get("reload", lambda: configuration), heard)


async def test_a_source_is_harvested_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_of(world, heard).run, 0.01)
            await until(lambda: heard.names().count("run_ended") == 1)
            await asyncio.sleep(0.2)
            assert heard.names().count("run_ended") == 1
            world.clock.advance(hours=7)
            await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()


async def test_a_source_that_keeps_failing_is_backed_off(tmp_path: Path) -> None:
    """Fault H03."""
    async with a_world(tmp_path, schedule="1s") as world:
        world.endpoint.faults.set("error:404")
        heard = Heard()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_of(world, heard).run, 0.01)
            await until(lambda: heard.names().count("run_ended") == 1)
            world.clock.advance(minutes=2)
            await asyncio.sleep(0.2)
            assert heard.names().count("run_ended") == 1
            world.clock.advance(minutes=4)
            await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()


async def test_a_source_that_was_mended_is_tried_at_once(tmp_path: Path) -> None:
    """Fault H03: it was backed off for up to a day for an address that it no longer has, also by a
    daemon that was started anew. That only its schedule is another is no reason."""
    async with a_world(tmp_path, schedule="6h") as world:
        good, heard = world.source, Heard()
        world.configure(url="http://127.0.0.1:9/oai", options={"retries": 0})
        await world.harvest()
        later = replace(world.source, schedule="1h", trust=7)
        status, recent = world.store.source_status("test"), world.store.runs("test")
        assert due_at(later, status, recent, world.clock()) > world.clock()
        world.source = good
        daemon = daemon_of(world, heard)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: "run_ended" in heard.names())
            await asyncio.sleep(0.05)
            world.stopping.set()
        assert [run.state for run in world.store.runs("test")] == ["ok", "failed"]


@pytest.mark.parametrize("years", [-3, 3])
async def test_a_clock_that_jumps_does_not_stop_the_daemon(tmp_path: Path, years: int) -> None:
    """Fault H10."""
    async with a_world(tmp_path, schedule="1h") as world:
        heard = Heard()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_of(world, heard).run, 0.01)
            await until(lambda: heard.names().count("run_ended") == 1)
            world.clock.advance(days=365 * years)
            world.endpoint.records.put(oai_record(77), world.clock())
            world.clock.advance(hours=2)
            if years < 0:
                # The last start lies in the future: one interval from now, not three years.
                await asyncio.sleep(0.1)
                assert heard.names().count("run_ended") in (1, 2)
                world.clock.advance(days=365 * 3 + 1)
            await until(lambda: heard.names().count("run_ended") >= 2)
            world.stopping.set()
        assert "oai:test:0077" in world.held()


async def test_a_held_run_is_said_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    """Fault H05: the log said "held" and no more."""
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        daemon = daemon_of(world, heard)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: heard.names().count("run_ended") == 1)
            for identifier in world.endpoint.records.identifiers()[:22]:
                world.endpoint.records.delete(identifier, world.clock())
            world.clock.advance(hours=8)
            await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()
    told = in_words(*next(one for one in reversed(heard.events) if one[0] == "run_ended"))
    assert "held=would take away 22 of 25 records" in told
    assert "advice=pan-commons runs approve 2" in told


@pytest.mark.parametrize(
    "problem",
    [
        ConfigurationError("sources.toml: sources.test.url is missing."),
        TypeError("'int' object is not iterable"),
    ],
    ids=["a bad file", "a mistake of ours while reading it"],
)
async def test_a_bad_configuration_is_refused_and_the_old_one_kept(
    tmp_path: Path, problem: Exception
) -> None:
    """Fault H03: whatever is wrong with a file, the daemon goes on with what it had."""
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()

        def broken() -> Configuration:
            raise problem

        daemon = daemon_of(world, heard, reload=broken)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: "run_ended" in heard.names())
            daemon.reload_asked.set()
            await until(lambda: "reload_refused" in heard.names())
            world.clock.advance(hours=8)
            await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()


async def test_stopping_finishes_the_page_in_hand(tmp_path: Path) -> None:
    async with a_world(tmp_path, oai_spec(200), schedule="6h") as world:
        heard = Heard()

        async def nap(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.02))

        world.endpoint.sleep = nap
        world.endpoint.faults.set("slow:20ms")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_of(world, heard).run, 0.01)
            await until(lambda: len(world.held()) >= 30)
            world.stopping.set()
        run = world.store.runs("test")[0]
        assert (run.state, run.stop) == ("stopped", "shutdown")
        assert goes_on_at_once(run)
        assert len(world.held()) % 10 == 0
        assert len(world.held()) < 200


@pytest.mark.parametrize(
    ("change", "stop"),
    [
        (None, "source_removed"),
        ({"enabled": False}, "source_disabled"),
        ({"mode": "live"}, "source_disabled"),
        ({"format": "oai_dc"}, "source_changed"),
        ({"options": {"page_size": 7}}, "source_changed"),
    ],
    ids=["removed", "disabled", "only asked live", "another format", "another option"],
)
async def test_a_run_ends_when_its_source_is_another_in_the_configuration(
    tmp_path: Path, change: dict[str, Any] | None, stop: str
) -> None:
    """Fault H06: what is taken out is not harvested to its end, and what is mended is begun at
    once; the run says why it ended."""
    async with a_world(tmp_path, oai_spec(200), schedule="6h") as world:
        heard = Heard()
        sources = () if change is None else (replace(world.source, **change),)
        then = Configuration(None, (world.facility,), sources)
        daemon = daemon_of(world, heard, reload=lambda: then)

        async def nap(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.02))

        world.endpoint.sleep = nap
        world.endpoint.faults.set("slow:20ms")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: len(world.held()) >= 30)
            daemon.reload_asked.set()
            await until(lambda: "reloaded" in heard.names())
            daemon.reload_asked.set()  # Another change, of other sources: nothing new of this one.
            await until(lambda: "run_ended" in heard.names())
            held = len(world.held())
            assert held % 10 == 0
            assert held < 200
            if stop == "source_changed":
                world.endpoint.faults.clear()
                await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()
        *later, first = world.store.runs("test")
        assert (first.state, first.stop) == ("stopped", stop)
        told = [details for name, details in heard.events if name == "run_ends"]
        assert told == [{"source": "test", "reason": stop}]
        if stop == "source_changed":
            assert [run.state for run in later] == ["ok"]
            assert world.held() == world.offered()
        else:
            assert later == []


async def test_who_asks_is_told_as_the_configuration_says_by_now(tmp_path: Path) -> None:
    """Semantics 10.5: a daemon that was started without a contact, and told of one, asked real
    facilities without naming it."""
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        real = replace(world.source, demo=False)
        facility = replace(world.facility, demo=False)
        file = [Configuration(None, (facility,), (real,))]
        with Store.open(tmp_path / "real") as store:
            store.put_configuration([facility], [real])
            daemon = daemon_of(world, heard, reload=lambda: file[0])
            daemon.configuration = file[0]
            daemon.shared = replace(daemon.shared, store=store)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(daemon.run, 0.01)
                daemon.reload_asked.set()
                await until(lambda: "no_contact" in heard.names())
                assert not world.endpoint.requests
                file[0] = Configuration("data@institute.example", (facility,), (real,))
                daemon.reload_asked.set()
                await until(lambda: "run_ended" in heard.names())
                world.stopping.set()
        agents = {request.headers["User-Agent"] for request in world.endpoint.requests}
        assert len(agents) == 1
        assert "mailto:data@institute.example" in agents.pop()
        assert heard.names().count("no_contact") == 1


async def test_a_run_goes_on_when_only_its_schedule_is_another(tmp_path: Path) -> None:
    async with a_world(tmp_path, oai_spec(100), schedule="6h") as world:
        heard = Heard()
        later = replace(world.source, schedule="1h", trust=7, mode="both")
        then = Configuration(None, (world.facility,), (later,))
        daemon = daemon_of(world, heard, reload=lambda: then)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(world.held)
            daemon.reload_asked.set()
            await until(lambda: {"run_ended", "reloaded"} <= set(heard.names()))
            world.stopping.set()
        assert [(run.state, run.stop) for run in world.store.runs("test")] == [
            ("ok", "empty_token")
        ]


async def test_what_an_operator_s_command_reads_anew_the_daemon_reads_too(tmp_path: Path) -> None:
    """Semantics 1.6: the store noted the file's new options for what was mapped with the old, so
    that no remap looked at it. Another file than the daemon's is not taken up, and not fought."""
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        file = [Configuration(None, (world.facility,), (world.source,))]
        daemon = daemon_of(world, heard, reload=lambda: file[0])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: "run_ended" in heard.names())
            strange = replace(world.source, options={"retries": 1})
            world.store.put_configuration([world.facility], [strange])
            await asyncio.sleep(0.1)
            assert "reloaded" not in heard.names()
            assert world.store.sources() == (strange,)
            edited = replace(world.facility, lists_only_open=True)
            file[0] = Configuration(None, (edited,), (world.source,))
            world.store.put_configuration([edited], [world.source])
            await until(lambda: "reloaded" in heard.names())
            world.stopping.set()
        assert daemon.configuration == file[0]
        assert heard.names().count("reloaded") == 1


async def test_a_durable_record_is_searchable_within_two_seconds(tmp_path: Path) -> None:
    """A daemon in its own process; SIGTERM ends it well; a person's harvest beside it works."""
    async with (
        running(oai_spec(30)) as endpoint,
        a_zygote(tmp_path, endpoint) as one,
        a_zygote(tmp_path, endpoint) as two,
    ):
        pid = await one.start(daemon=True)
        data = tmp_path / "data"
        await until(lambda: (data / "store.sqlite").exists() and '"ready"' in one.output())
        await until(lambda: '"run_ended"' in one.output())
        async with Catalogue.open(data, read_only=True) as catalogue:

            async def found() -> bool:
                search = Search("Document", now=datetime.now(UTC), limit=100)
                try:
                    answer = await catalogue.search(search)
                except IndexEmpty:  # the first records are durable, and none is searchable yet
                    return False
                return any(hit.entity.record["title"] == "Brand new" for hit in answer.hits)

            def durable() -> bool:
                return "oai:test:0500" in catalogue.store.live_identifiers("test", None, 1000)

            endpoint.records.put(oai_record(500, title="Brand new"), endpoint.clock())
            await two.start()
            await until(durable)
            began = asyncio.get_running_loop().time()
            await until(found, 10)
            elapsed = asyncio.get_running_loop().time() - began
            assert elapsed < 2.0
            assert await two.wait() == 0, two.output()
        os.kill(pid, signal.SIGTERM)
        assert await one.wait() == 0, one.output()
        events = [json.loads(line)["event"] for line in one.output().splitlines() if "{" in line]
        assert events[-1] == "stopped"
        await assert_store_and_index_equal(data, endpoint)


async def test_a_daemon_lives_through_jumps_of_the_clock(tmp_path: Path) -> None:
    """Fault H10, in a process: three years back, then on, while it harvests every second."""
    clock = ClockFile(tmp_path / "clock")
    async with running(oai_spec(30)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        pid = await zygote.start(daemon=True, clock_file=str(clock.path))

        def held() -> set[str]:
            with Store.open(tmp_path / "data", read_only=True) as store:
                return set(store.live_identifiers("test", None, 1000))

        await until(lambda: '"run_ended"' in zygote.output())
        for number, jump_s in enumerate((-3 * YEAR_S, 3 * YEAR_S, 0)):
            clock.set(jump_s)
            endpoint.records.put(oai_record(500 + number), endpoint.clock())
            wanted = f"oai:test:{500 + number:04}"
            await until(lambda wanted=wanted: wanted in held())  # type: ignore[misc]
        os.kill(pid, signal.SIGTERM)
        assert await zygote.wait() == 0, zygote.output()
        assert "Traceback" not in zygote.output()
        await assert_store_and_index_equal(tmp_path / "data", endpoint)


async def test_a_full_folder_is_spoken_of_now_and_then_and_room_is_taken_up(
    tmp_path: Path,
) -> None:
    """Fault H09."""
    async with a_world(tmp_path, schedule="1h") as world:
        heard = Heard()
        daemon = daemon_of(world, heard)
        daemon.monotonic = lambda: world.clock().timestamp()
        room = Room(tmp_path, Budget(1), used=lambda _: 1, free=lambda _: 10**12)
        daemon.shared = replace(daemon.shared, room=room)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: heard.names().count("no_room") == 1)
            world.clock.advance(seconds=30)
            await asyncio.sleep(0.1)
            assert heard.names().count("no_room") == 1
            world.clock.advance(seconds=31)
            await until(lambda: heard.names().count("no_room") == 2)
            world.clock.advance(seconds=61)
            await asyncio.sleep(0.1)
            assert heard.names().count("no_room") == 2, "less and less often"
            room.budget = Budget()
            world.clock.advance(seconds=61)
            await until(lambda: "run_ended" in heard.names())
            world.stopping.set()
        assert world.held() == world.offered()


async def test_sources_are_added_and_removed_while_a_daemon_runs(tmp_path: Path) -> None:
    """Fault H06: what was removed does not come back with the daemon's next round, and nobody has
    to tell it; what is added again is harvested at once."""
    async with running(oai_spec(30)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        settings = Settings(
            tmp_path / "data", tmp_path / "sources.toml", "tantivy", None, as_json=True
        )
        pid = await zygote.start(daemon=True)

        def held() -> int:
            with Store.open(tmp_path / "data", read_only=True) as store:
                return len(store.live_identifiers("test", None, 1000))

        def told(event: str) -> int:
            return zygote.output().count(f'"{event}"')

        await until(lambda: told("run_ended") >= 1)
        report = await remove(settings, "test", False)
        assert report["deleted"] == 30
        await until(lambda: told("reloaded") == 1)
        rounds = told("run_ended")
        asked = len(endpoint.requests)
        endpoint.records.put(oai_record(77), endpoint.clock())
        await asyncio.sleep(2.5)  # more than two of its rounds
        assert held() == 0
        assert (told("run_ended"), len(endpoint.requests)) == (rounds, asked)
        await anyio.to_thread.run_sync(
            partial(add_source, settings.data, "test", {"enabled": True, "schedule": "1h"})
        )
        await until(lambda: held() == 31)
        os.kill(pid, signal.SIGTERM)
        assert await zygote.wait() == 0, zygote.output()


async def test_a_run_that_read_an_older_configuration_is_refused(tmp_path: Path) -> None:
    """Fault H06: removed between the daemon's look at what is due and the beginning of the run."""
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        daemon = daemon_of(world, heard)
        world.store.put_configuration([world.facility], [])
        daemon._known = world.store.facilities(), world.store.sources()
        daemon.reload = lambda: Configuration(None, (world.facility,), ())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.01)
            await until(lambda: "reloaded" in heard.names())
            world.stopping.set()
        assert "source_unlisted" in heard.names()
        assert "run_ended" not in heard.names()
        assert not world.endpoint.requests


async def test_fetching_single_records_does_not_put_the_schedule_off(tmp_path: Path) -> None:
    async with a_world(tmp_path, schedule="6h") as world:

        def due() -> datetime:
            status = world.store.source_status("test")
            return due_at(world.source, status, world.store.runs("test", 20), world.clock())

        assert due() <= world.clock(), "it never ran"
        await world.harvest()
        first = due()
        assert world.clock() < first
        for order in (Order(record="oai:test:0001"), Order(set="odd")):
            world.clock.advance(hours=2)
            await world.harvest(order)
            assert due() == first
        world.clock.advance(hours=3)
        await world.harvest(Order(full=True))
        assert due() > first


async def test_two_daemons_share_the_work_and_never_a_source(tmp_path: Path) -> None:
    """Fault H02."""
    async with (
        running(oai_spec(60)) as endpoint,
        a_zygote(tmp_path, endpoint) as one,
        a_zygote(tmp_path, endpoint) as two,
    ):
        endpoint.faults.set("slow:10ms")
        pids = [await zygote.start(daemon=True) for zygote in (one, two)]

        def ended() -> bool:
            if not (tmp_path / "data" / "store.sqlite").exists():
                return False
            try:
                store = Store.open(tmp_path / "data", read_only=True)
            except StoreError:
                return False  # being made this very moment
            with store:
                return bool(store.sources()) and (
                    sum(run.state == "ok" for run in store.runs("test")) >= 3
                )

        await until(ended, 30)
        for pid, zygote in zip(pids, (one, two), strict=True):
            os.kill(pid, signal.SIGTERM)
            assert await zygote.wait() == 0, zygote.output()
        with Store.open(tmp_path / "data", read_only=True) as store:
            runs = sorted(store.runs("test"), key=lambda run: run.number)
        for earlier, later in pairwise(runs):
            assert earlier.ended_at is not None
            assert later.started_at >= earlier.ended_at
        assert sum(run.counts["new"] for run in runs) == 60


async def test_a_daemon_is_a_good_service(tmp_path: Path) -> None:
    """In a process: ready, alive, a broken configuration refused and a mended one taken, and at the
    end the page in hand is finished (fault H09: nothing half-done)."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        told: list[bytes] = []

        def heard(wanted: bytes) -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    told.append(listener.recv(500))
            return any(message.startswith(wanted) for message in told)

        async with running(oai_spec(400)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
            endpoint.faults.set("slow:50ms")
            config = anyio.Path(zygote.job["config"])
            service = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
            pid = await zygote.start(daemon=True, environment=service)
            await until(lambda: heard(b"READY=1") and heard(b"WATCHDOG=1"))
            assert presence(tmp_path / "data", datetime.now(UTC)).state == "working"
            good = await config.read_text(encoding="utf-8")
            for text, answer in (("[sources", "reload_refused"), (good, "reloaded")):
                await config.write_text(text, encoding="utf-8")
                os.kill(pid, signal.SIGHUP)
                await until(lambda answer=answer: f'"{answer}"' in zygote.output())  # type: ignore[misc]
            await until(lambda: endpoint.hits["ListRecords"] >= 8)
            os.kill(pid, signal.SIGTERM)
            await until(lambda: heard(b"STOPPING=1"))
            assert await zygote.wait() == 0, zygote.output()
        assert "Traceback" not in zygote.output()
    assert presence(tmp_path / "data", datetime.now(UTC)).state == "none"
    with Store.open(tmp_path / "data", read_only=True) as store:
        (run,) = store.runs("test")
        held = len(store.live_identifiers("test", None, 1000))
    assert (run.state, run.stop) == ("stopped", "shutdown")
    assert 0 < held < 400
    assert held % 10 == 0


def test_what_a_daemon_says_is_a_line_that_can_be_read() -> None:
    counts = {"received": 40, "new": 2, "changed": 0}
    told = in_words("run_ended", {"source": "a", "state": "ok", "counts": counts, "stop": None})
    assert told == "run_ended source=a state=ok received=40 new=2"
    assert in_words("stopping", {"running": []}) == "stopping"
    assert in_words("stopping", {"running": ["a", "b"]}) == "stopping running=a,b"
    assert in_words("stopped", {"index_lag": 0}) == "stopped index_lag=0"


async def test_a_process_that_is_to_end_leaves_a_long_way_of_indexing_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that hangs in the midst of a commit is not waited for either."""
    monkeypatch.setattr("harvester.indexing.COMMIT_S", 0.0)
    follower, stopping = IndexFollower(EngineSettings(tmp_path, "tantivy", None)), anyio.Event()
    stopping.set()
    follower.state.lag = 3
    with anyio.fail_after(10):
        state = await follower.finish(stopping, 0.0)
    assert (state.lag, state.problem) == (3, LEFT)


async def test_a_mistake_of_ours_while_indexing_ends_no_harvest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault H03: the index beside them does not take the runs down with it."""

    def mistaken(*_: object) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr("harvester.indexing.Catalogue.open", mistaken)
    follower = IndexFollower(EngineSettings(tmp_path, "tantivy", None))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.follow)
        state = await follower.finish()
    assert state.problem == "a mistake of ours: KeyError('nothing')"
    assert caplog.messages == ["index: a mistake of ours"]


async def test_a_process_that_may_open_no_more_files_says_so_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("harvester.indexing.Catalogue.open", none_left)
    follower = IndexFollower(EngineSettings(tmp_path, "tantivy", None))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.follow)
        await follower.finish()
    assert caplog.messages == ["index: [Errno 24] Too many open files"]


async def test_a_store_that_does_not_answer_is_said_once_and_its_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look serves the note and the watchdog; neither is fed by a store that is stuck."""

    class Stuck:
        def __init__(self) -> None:
            self.looks = 0

        def last_change(self) -> int:
            self.looks += 1
            if 3 <= self.looks <= 6:
                raise StoreBusy("locked")
            return 0

    class Fed(Notifier):
        watchdog_s = 0.002

        def __init__(self) -> None:
            self.fed_at: list[int] = []

        def send(self, *lines: str) -> bool:
            self.fed_at.append(store.looks)
            return True

    monkeypatch.setattr("harvester.daemon.RENEWED_EVERY_S", 0.0)
    async with a_world(tmp_path) as world:
        heard, store, notifier = Heard(), Stuck(), Fed()
        daemon = daemon_of(world, heard)
        daemon.shared = replace(daemon.shared, store=cast(Any, store))
        renewed: list[int] = []
        note = SimpleNamespace(renew=lambda now: renewed.append(store.looks))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_show_life, cast(Any, note), notifier, daemon)
            await until(lambda: store.looks >= 9)
            tasks.cancel_scope.cancel()
    assert heard.events == [("store_error", {"error": "locked"}), ("store_answers", {})]
    assert notifier.fed_at[:5] == renewed[:5] == [1, 2, 7, 8, 9]


async def test_a_daemon_says_that_an_import_was_broken_off(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        heard = Heard()
        daemon = daemon_of(world, heard)
        daemon.say_what_hinders()
        assert heard.events == []
        with pytest.raises(StoreError, match="line 2"):
            world.store.import_(
                [b'{"kind": "pan-commons store", "format": 1}', b"{"], world.clock()
            )
        daemon.say_what_hinders()
        ((event, told),) = heard.events
        assert event == "no_harvest_begins"
        assert "import it again" in str(told["error"])


async def test_an_idle_daemon_reads_nothing_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks twice a second, for a year; what is written is seen at the next look."""
    looks: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def told(*given: Any) -> Any:
            looks.append(name)
            return real(*given)

        return told

    for name in ("sources", "facilities", "source_status", "runs", "data_version"):
        monkeypatch.setattr(Store, name, noting(name, getattr(Store, name)))
    async with a_world(tmp_path) as world:
        heard = Heard()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_of(world, heard).run, 0.005)
            await until(lambda: "run_ended" in heard.names())
            await until(lambda: looks[-9:] == ["data_version"] * 9)
            with Store.open(tmp_path / "data") as operators:
                operators.put_configuration([world.facility], [world.source])
            await until(lambda: "sources" in looks[-9:] and "source_status" in looks[-9:])
            await until(lambda: looks[-9:] == ["data_version"] * 9)
            world.stopping.set()


@pytest.mark.parametrize("put_back", [True, False], ids=["a backup put back", "removed"])
async def test_a_daemon_whose_store_is_another_ends_and_says_so(
    tmp_path: Path, put_back: bool
) -> None:
    """Fault H08: what it did came to nothing. One that is gone may come back in a moment, and a
    daemon started anew in between would make an empty one."""
    async with a_world(tmp_path) as world:
        heard, now = Heard(), [0.0]
        daemon = replace(daemon_of(world, heard), monotonic=lambda: now[0])
        world.store.backup(tmp_path / "kept.sqlite", world.clock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.005)
            await until(lambda: "run_ended" in heard.names())
            world.store.path.rename(tmp_path / "former.sqlite")
            await until(lambda: daemon._gone_since is not None)
            assert daemon.lost is None
            if put_back:
                (tmp_path / "kept.sqlite").rename(world.store.path)
            else:
                now[0] = 61.0
        assert daemon.lost is not None
        assert heard.names()[-2:] == ["store_lost", "stopping"]


async def test_a_daemon_whose_store_was_gone_for_a_moment_goes_on(tmp_path: Path) -> None:
    async with a_world(tmp_path, schedule="6h") as world:
        heard = Heard()
        daemon = daemon_of(world, heard)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run, 0.005)
            await until(lambda: "run_ended" in heard.names())
            world.store.path.rename(tmp_path / "elsewhere.sqlite")
            await until(lambda: daemon._gone_since is not None)
            (tmp_path / "elsewhere.sqlite").rename(world.store.path)
            await until(lambda: daemon._gone_since is None)
            world.clock.advance(hours=7)
            await until(lambda: heard.names().count("run_ended") == 2)
            world.stopping.set()
        assert daemon.lost is None


async def test_a_daemon_that_lost_its_store_fails_so_that_it_is_started_again(
    tmp_path: Path,
) -> None:
    async with running(oai_spec(20)) as endpoint, a_zygote(tmp_path, endpoint) as zygote:
        await zygote.start(daemon=True)
        await until(lambda: "run_ended" in zygote.output())
        with Store.open(tmp_path / "data") as store:
            store.backup(tmp_path / "kept.sqlite", datetime.now(UTC))
        (tmp_path / "kept.sqlite").replace(tmp_path / "data" / "store.sqlite")
        assert await zygote.wait() == 99, "as the front door makes exit code 1 of"
        assert "store_lost" in zygote.output()
        assert zygote.output().rstrip().splitlines()[-1].startswith("catalogue.errors.Store")


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        notifier = Notifier(
            {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
        )
        assert notifier.watchdog_s == 3.0
        assert notifier.send("READY=1", "STATUS=2 sources")
        assert listener.recv(100) == b"READY=1\nSTATUS=2 sources"
    assert not Notifier({}).send("READY=1")
    assert not notifier.send("READY=1"), "nobody listens any more, and that is no error"
