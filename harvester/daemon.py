"""``pan-commons daemon``: every source on its schedule, indexing beside it, until told to stop.

The daemon keeps nothing to itself: when a source is due follows from the runs in the store, so a
restart, a second daemon and an operator's commands all see the same. Two daemons never write one
source: each run holds the source's lease (fault H02).
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio
import anyio.abc
import anyio.to_thread
import click

from catalogue.errors import (
    ImportUnfinished,
    LeaseHeld,
    NotFound,
    StoreError,
    StoreFull,
    StoreGone,
    StoreReplaced,
)
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.processes import lacks_files
from catalogue.records import RunRecord, SourceStatus
from facility_http.errors import FacilityHttpError
from harvester.added import added_stamp
from harvester.fleet import NoFiles, within_files
from harvester.indexing import EngineSettings, IndexFollower, Indexing
from harvester.keys import HOW_TO_SAY_WHO, ConfigurationError
from harvester.listings import read_configuration
from harvester.outcomes import (
    SOURCE_CHANGED,
    SOURCE_DISABLED,
    SOURCE_REMOVED,
    goes_on_at_once,
)
from harvester.presence import RENEWED_EVERY_S, Note, present
from harvester.reports import due_at
from harvester.run import Harvesting, harvest_source
from harvester.sd_notify import Notifier
from harvester.sources import Configuration
from harvester.space import NoRoom
from harvester.station import open_station, put_configuration
from harvester.trouble import Trouble
from pan_commons_terminal import EXIT_DONE, Settings, emit_json_line

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often due sources are looked for; a schedule is kept to about a second."""
RECENT_RUNS = 20
GONE_S = 60.0
"""How long a store may be gone: whoever puts a backup back removes the former file first, and a
daemon that is started anew in between would make an empty one."""


@dataclass(slots=True)
class Daemon:
    """The loop, apart from signals and processes, so that tests can run it.

    ``reload`` reads the configuration again; its errors are reported and the old one stays.
    ``stamp`` changes when an operator's command has changed the configuration: then it is read
    again without being asked for. ``say`` is told one event each: a name and what belongs to it.
    """

    shared: Harvesting
    configuration: Configuration
    reload: Callable[[], Configuration]
    say: Callable[[str, Mapping[str, object]], None]
    at_once: int = 16
    stamp: Callable[[], object] = lambda: None
    monotonic: Callable[[], float] = time.monotonic
    reload_asked: anyio.Event = field(default_factory=anyio.Event)
    _running: dict[str, tuple[Facility, Source]] = field(default_factory=dict)
    _held_until: dict[str, datetime] = field(default_factory=dict)
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    _read_at: object = None
    _known: object = None
    _version: int | None = None
    _histories: dict[str, tuple[SourceStatus, Sequence[RunRecord]]] = field(default_factory=dict)
    _gone_since: float | None = None
    lost: StoreReplaced | None = None

    async def run(self, tick_s: float = TICK_S) -> None:
        """Start what is due until ``shared.stopping``; then let runs finish their page.

        Ends by itself, with ``lost`` saying why, when another file is in the store's place.
        """
        slots = anyio.CapacityLimiter(self.at_once)
        self._read_at = await anyio.to_thread.run_sync(self.stamp)
        async with anyio.create_task_group() as tasks:
            while not self.shared.stopping.is_set():
                stamp = await anyio.to_thread.run_sync(self.stamp)
                if self.reload_asked.is_set() or stamp != self._read_at:
                    self.reload_asked, self._read_at = anyio.Event(), stamp
                    await self._reload()
                elif await anyio.to_thread.run_sync(self._others_configuration):
                    await self._reload(only_changes=True)
                if self.lost is not None:
                    self.say("store_lost", {"error": str(self.lost)})
                    self.shared.stopping.set()
                    break
                for facility, source in await self._due():
                    self._running[source.name] = facility, source
                    tasks.start_soon(self._harvest, facility, source, slots)
                with anyio.move_on_after(tick_s):
                    await self.shared.stopping.wait()
            self.say("stopping", {"running": sorted(self._running)})

    def say_who_is_left_out(self) -> None:
        """Real facilities are asked only by somebody they can write to (semantics 10.5)."""
        real = [one.name for one in self.configuration.sources if one.enabled and not one.demo]
        if real and self.configuration.contact is None:
            self.say("no_contact", {"not_harvested": real, "advice": HOW_TO_SAY_WHO})

    def say_what_hinders(self) -> None:
        """An import left undone keeps every harvest from beginning, and hours may pass until one is
        due that says so."""
        try:
            self.shared.store.require_whole()
        except ImportUnfinished as problem:
            self.say("no_harvest_begins", {"error": str(problem)})

    def _others_configuration(self) -> bool:
        """Whether an operator's command has told the store of another configuration than ours:
        records would be noted as mapped with that one, and be mapped with ours."""
        store = self.shared.store
        try:
            if not self._is_written():
                return False
            known = store.facilities(), store.sources()
        except StoreReplaced as problem:
            self._lose(problem)
            return False
        except StoreError:
            self._version = None
            return False
        if known == self._known:
            return False
        self._known = known
        return known != (self.configuration.facilities, self.configuration.sources)

    def _is_written(self) -> bool:
        """Whether anybody has written to the store since we looked; what was read is read anew."""
        version = self.shared.store.data_version()
        self._gone_since = None
        if version == self._version:
            return False
        self._version = version
        self._histories.clear()
        return True

    def _lose(self, problem: StoreReplaced) -> None:
        """Nothing that we do reaches the store any more, but a process that is started anew does
        it."""
        if isinstance(problem, StoreGone):
            now = self.monotonic()
            if self._gone_since is None:
                self._gone_since = now
            if now - self._gone_since < GONE_S:
                return
        self.lost = problem

    async def _due(self) -> list[tuple[Facility, Source]]:
        """Sources whose time has come and that nobody harvests."""
        now = self.shared.now()
        due = []
        for source in self.configuration.sources:
            if not source.enabled or source.mode == "live" or source.name in self._running:
                continue
            if not source.demo and self.configuration.contact is None:
                continue
            until = self._held_until.get(source.name)
            # A wait that the clock made longer than it was meant does not last (fault H10).
            if until is not None and now < until <= now + timedelta(minutes=5):
                continue
            try:
                if await anyio.to_thread.run_sync(self._due_at, source, now) <= now:
                    due.append((self.configuration.facility(source.facility), source))
            except StoreError as problem:
                # Of the one store, so that the other sources need not be tried.
                self._complain(source, "store_error", problem)
                break
        return due

    def _due_at(self, source: Source, now: datetime) -> datetime:
        if source.name not in self._histories:
            store = self.shared.store
            try:
                status = store.source_status(source.name)
            except NotFound:
                return now
            self._histories[source.name] = status, store.runs(source.name, RECENT_RUNS)
        status, recent = self._histories[source.name]
        last = status.last_run
        if last is not None and _ended_with_its_process(last, now, self.shared.lease_s):
            return now
        return due_at(source, status, recent, now)

    async def _harvest(
        self, facility: Facility, source: Source, slots: anyio.CapacityLimiter
    ) -> None:
        """One run; whatever happens to it happens to it alone (fault H03)."""
        try:
            async with slots:
                if self.shared.stopping.is_set() or source.name in self.shared.withdrawn:
                    return
                record = await harvest_source(self.shared, facility, source)
            self._troubles.pop(source.name, None)
            self.say("run_ended", _line(record))
        except NotFound as gone:
            # Taken out, or another process uses the folder with another configuration.
            self._wait(source)
            self.reload_asked.set()
            self._complain(source, "source_unlisted", gone)
        except LeaseHeld as held:
            self._wait(source)
            self._complain(source, "source_busy", held, holder=held.holder)
        except (StoreFull, NoRoom) as problem:
            # Nobody makes room within seconds, and every source would say so each time.
            self._wait(source, 60.0)
            self._complain(source, "no_room", problem)
        except (StoreError, FacilityHttpError) as problem:
            self._wait(source)
            self._complain(source, "run_failed", problem)
        except Exception as problem:
            if lacks_files(problem):
                self._wait(source)
                self._complain(source, "run_failed", NoFiles())
                return
            log.exception("%s: a mistake of ours", source.name)
            self._wait(source)
            self.say("run_failed", {"source": source.name, "error": repr(problem)})
        finally:
            self._running.pop(source.name, None)
            self.shared.withdrawn.pop(source.name, None)

    def _complain(self, source: Source, event: str, problem: Exception, **more: object) -> None:
        """Say what keeps a source from being harvested; what lasts, less and less often. Its next
        run that ends says that it is over."""
        trouble = self._troubles.setdefault(source.name, Trouble(self.monotonic))
        if trouble.again(problem):
            self.say(event, {"source": source.name, **(more or {"error": str(problem)})})

    def _wait(self, source: Source, seconds: float = 10.0) -> None:
        self._held_until[source.name] = self.shared.now() + timedelta(seconds=seconds)

    async def _reload(self, *, only_changes: bool = False) -> None:
        """Read the configuration and tell the store.

        Args:
            only_changes: what the store knows may be another file's, which is nothing to us while
                our own has not changed: two daemons would take turns for ever.
        """
        try:
            configuration = await anyio.to_thread.run_sync(self.reload)
            if only_changes and configuration == self.configuration:
                return
            await anyio.to_thread.run_sync(put_configuration, self.shared.store, configuration)
        except (ConfigurationError, StoreError) as problem:
            self.say("reload_refused", {"error": str(problem)})
            return
        except Exception as problem:
            # A mistake of ours while reading must not end the harvests that go on.
            log.exception("the configuration could not be read: a mistake of ours")
            self.say("reload_refused", {"error": repr(problem)})
            return
        self.configuration = configuration
        self.shared.http.introduce(configuration.contact)
        if self.shared.room is not None:
            self.shared.room.budget = configuration.storage
        self.say("reloaded", {"sources": len(configuration.sources)})
        self.say_who_is_left_out()
        for name, (facility, source) in self._running.items():
            reason = withdrawal(configuration, facility, source)
            if reason is not None and self.shared.withdrawn.get(name) != reason:
                # After the page in hand; what the source is now is begun when that run is over.
                self.shared.withdrawn[name] = reason
                self.say("run_ends", {"source": name, "reason": reason})


def withdrawal(configuration: Configuration, facility: Facility, source: Source) -> str | None:
    """Why a run of ``source``, as it was when it began, is to end under a new configuration."""
    now = next((one for one in configuration.sources if one.name == source.name), None)
    if now is None:
        return SOURCE_REMOVED
    if not now.enabled or now.mode == "live":
        return SOURCE_DISABLED
    home = configuration.facility(now.facility)
    # When a source is harvested, how far it is believed and who else asks it are no run's business.
    alike = replace(now, schedule=source.schedule, trust=source.trust, mode=source.mode)
    same = (
        alike == source
        and home.provider == facility.provider
        and mapping_context(home, now) == mapping_context(facility, source)
    )
    return None if same else SOURCE_CHANGED


def _ended_with_its_process(record: RunRecord, now: datetime, lease_s: float) -> bool:
    """Whether the run was cut short by the end of its process, or by a change of its source: then
    the next goes on at once.

    One that still counts as running, whose process is dead, is gone on with, too (fault H01), and
    one that was not heard of for as long as a lease lasts, by a clock that may have jumped either
    way (fault H10), is tried; its lease has the last word.
    """
    if goes_on_at_once(record):
        return True
    heard = record.heartbeat_at or record.started_at
    return record.state == "running" and abs((now - heard).total_seconds()) > lease_s


def _line(record: RunRecord) -> dict[str, object]:
    line: dict[str, object] = {
        "source": record.source,
        "run": record.number,
        "state": record.state,
        "stop": record.stop,
        "counts": dict(record.counts),
    }
    if record.details.get("error"):
        line["error"] = record.details["error"]
    if record.state == "held":
        advice = f"pan-commons runs approve {record.number}"
        line |= {"held": record.details.get("held"), "advice": advice}
    return line


async def serve(settings: Settings, at_once: int = 16) -> int:
    """Run the daemon in this process until SIGTERM or SIGINT; gives the exit code.

    Raises:
        StoreReplaced: another file is in the store's place, or none; whoever looks after the
            process is to start it again.
    """
    configuration = read_configuration(settings)
    notifier = Notifier()
    say = _speaker(settings)
    async with open_station(settings.data, configuration) as station:
        daemon = Daemon(
            station.shared,
            configuration,
            lambda: read_configuration(settings),
            say,
            within_files(at_once),
            lambda: added_stamp(settings.data),
        )
        follower = IndexFollower(
            EngineSettings(settings.data, settings.engine, settings.elasticsearch_url),
            ahead=station.shared.ahead,
        )
        daemon.say_who_is_left_out()
        await anyio.to_thread.run_sync(daemon.say_what_hinders)
        now = station.shared.now
        with present(settings.data, now()) as note:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follower.follow)
                tasks.start_soon(_heed_signals, daemon, tasks.cancel_scope, notifier)
                tasks.start_soon(_show_life, note, notifier, daemon)
                notifier.send("READY=1", f"STATUS={len(configuration.sources)} sources")
                say("ready", {"sources": len(configuration.sources), "data": str(settings.data)})
                await daemon.run()
                say("stopped", _told(await follower.finish(station.shared.stopping)))
                tasks.cancel_scope.cancel()
    if daemon.lost is not None:
        raise daemon.lost
    return EXIT_DONE


def _told(state: Indexing) -> Mapping[str, object]:
    """How far the index is at the end; the next start does the rest."""
    told: dict[str, object] = {} if state.lag is None else {"index_lag": state.lag}
    return told if state.problem is None else told | {"index": state.problem}


def _speaker(settings: Settings) -> Callable[[str, Mapping[str, object]], None]:
    """One line an event on standard output: JSON Lines with ``--json``, else words."""

    def say(event: str, details: Mapping[str, object]) -> None:
        if settings.as_json:
            emit_json_line({"event": event, **details})
        else:
            click.echo(in_words(event, details))
        sys.stdout.flush()

    return say


def in_words(event: str, details: Mapping[str, object]) -> str:
    """One line for people: what is not there, and counts of nothing, are left out."""
    words = [event]
    for name, value in details.items():
        if isinstance(value, Mapping):
            words += [f"{inner}={count}" for inner, count in value.items() if count]
        elif isinstance(value, list):
            words += [f"{name}={','.join(map(str, value))}"] if value else []
        elif value is not None:
            words.append(f"{name}={value}")
    return " ".join(words)


async def _heed_signals(daemon: Daemon, scope: anyio.CancelScope, notifier: Notifier) -> None:
    """SIGTERM: finish the page in hand. SIGHUP: read the configuration again."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                daemon.reload_asked.set()
            elif daemon.shared.stopping.is_set():
                scope.cancel()
                return
            else:
                notifier.send("STOPPING=1")
                daemon.shared.stopping.set()


async def _show_life(note: Note, notifier: Notifier, daemon: Daemon) -> None:
    """Tell the note in the folder and the service manager's watchdog that the loop is alive and
    the store answers: one look for both, as often as the more impatient of them wants it."""
    watchdog_s = notifier.watchdog_s
    every_s = RENEWED_EVERY_S if watchdog_s is None else min(RENEWED_EVERY_S, watchdog_s / 2)
    renew_at, trouble = anyio.current_time() + RENEWED_EVERY_S, Trouble()
    while True:
        try:
            await anyio.to_thread.run_sync(daemon.shared.store.last_change)
        except StoreError as problem:
            # Unfed, the watchdog ends us when this lasts; runs that can go on do until then.
            if trouble.again(problem):
                daemon.say("store_error", {"error": str(problem)})
        else:
            if trouble.over():
                daemon.say("store_answers", {})
            notifier.send("WATCHDOG=1")
            if anyio.current_time() >= renew_at:
                renew_at = anyio.current_time() + RENEWED_EVERY_S
                await anyio.to_thread.run_sync(note.renew, daemon.shared.now())
        await anyio.sleep(every_s)
