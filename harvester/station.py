"""What a command that harvests needs around it: configuration, store, fetcher, engine, signals."""

from __future__ import annotations

import ctypes
import logging
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from catalogue.clock import utc_now
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.processes import allow_many_files, collect_rarely
from catalogue.store import Store
from facility_http.http import Fetcher
from harvester.indexing import FINISH_S
from harvester.keys import HOW_TO_SAY_WHO, ConfigurationError
from harvester.listings import read_configuration
from harvester.progress import Silent, Watcher
from harvester.run import Harvesting
from harvester.sources import Configuration
from harvester.space import Room, tidy
from harvester.workers import MappingProcesses
from pan_commons_terminal import Settings, say

log = logging.getLogger(__name__)


def require_contact(configuration: Configuration, sources: Sequence[Source]) -> None:
    """Real sources are not asked anonymously (semantics 10.5).

    Raises:
        ConfigurationError: one of the sources is real and nobody is named.
    """
    real = [source.name for source in sources if not source.demo]
    if real and configuration.contact is None:
        more = f" and {len(real) - 3} more" if len(real) > 3 else ""
        raise ConfigurationError(f"{', '.join(real[:3])}{more}: {HOW_TO_SAY_WHO}")


def choose_sources(
    configuration: Configuration, names: Sequence[str]
) -> list[tuple[Facility, Source]]:
    """The sources (or facilities) named; without names, all that are enabled and indexed.

    Raises:
        ConfigurationError: a name is none, or a source is only asked live.
    """
    if names:
        chosen: list[Source] = []
        facilities = {facility.name for facility in configuration.facilities}
        for name in names:
            own = [source for source in configuration.sources if source.name == name]
            if not own and name in facilities:
                own = [
                    source
                    for source in configuration.sources
                    if source.facility == name and source.enabled and source.mode != "live"
                ]
                if not own:
                    raise ConfigurationError(
                        f"{name} has no source that is enabled and harvested; "
                        "`pan-commons sources list` shows all. One that is disabled is harvested "
                        "when it is named itself."
                    )
            for source in own or [configuration.source(name)]:
                if source.mode == "live":
                    raise ConfigurationError(
                        f"{source.name} is asked live (mode = 'live') and not harvested."
                    )
                if source not in chosen:
                    chosen.append(source)
    else:
        chosen = [s for s in configuration.sources if s.enabled and s.mode != "live"]
    if not chosen:
        raise ConfigurationError(
            "There is no enabled source to harvest; `pan-commons sources list` shows what is "
            "configured, `pan-commons sources add` adds one."
        )
    return [(configuration.facility(source.facility), source) for source in chosen]


_M_ARENA_MAX = -8  # malloc.h of the GNU C library
HEAPS = 2


def share_heaps() -> None:
    """Let all threads allocate from two heaps. By default each has its own, and what one of them
    freed no other can use: 60 MB after 10,000 records. Nothing happens with other C libraries."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS)


@asynccontextmanager
async def open_store(folder: Path, configuration: Configuration) -> AsyncIterator[Store]:
    """The data folder's store, knowing the configuration as it is now."""
    store = await anyio.to_thread.run_sync(Store.open, folder)
    try:
        await anyio.to_thread.run_sync(put_configuration, store, configuration)
        yield store
    finally:
        await anyio.to_thread.run_sync(store.close)


def put_configuration(store: Store, configuration: Configuration) -> None:
    """Tell the store what is configured, when that differs from what it knows."""
    facilities, sources = configuration.facilities, configuration.sources
    origin = configuration.origin
    known = store.facilities(), store.sources(), store.configured_by()
    if known != (facilities, sources, origin):
        store.put_configuration(facilities, sources, origin=origin)


def configured_now(
    store: Store, configuration: Configuration
) -> dict[str, tuple[Facility, Source]]:
    """The store's own sources by name, as they are configured now, with their facilities. None is
    left out, and none added: whoever only looks after what is there may have named another
    file."""
    named = {source.name: source for source in configuration.sources}
    facilities = {facility.name: facility for facility in store.facilities()}
    facilities |= {facility.name: facility for facility in configuration.facilities}
    sources = [named.get(source.name, source) for source in store.sources()]
    return {source.name: (facilities[source.facility], source) for source in sources}


def renew_configuration(store: Store, configuration: Configuration) -> None:
    """Tell the store how its own sources are configured now."""
    pairs = configured_now(store, configuration)
    facilities = {facility.name: facility for facility in store.facilities()}
    facilities |= {facility.name: facility for facility, _ in pairs.values()}
    facilities |= {
        facility.name: facility
        for facility in configuration.facilities
        if facility.name in facilities
    }
    sources = tuple(source for _, source in pairs.values())
    if sources != store.sources() or tuple(facilities.values()) != store.facilities():
        store.put_configuration(list(facilities.values()), sources)


def read_anew(
    settings: Settings, store: Store, *, dry_run: bool
) -> Mapping[str, tuple[Facility, Source]]:
    """Read the configuration for what is mapped anew, and tell the store, unless nothing is to be
    written; the store's sources as they are configured now.

    Raises:
        ConfigurationError: it cannot be meant; or none was named, and the shipped one has sources
            otherwise that another file was harvested with.
    """
    configuration = read_configuration(settings)
    _notice_another_file(settings, store, configuration)
    if not dry_run:
        renew_configuration(store, configuration)
    return configured_now(store, configuration)


def _notice_another_file(settings: Settings, store: Store, configuration: Configuration) -> None:
    """Whoever forgets ``--config`` must not have records mapped by the shipped file's sources of
    the same name; whoever names another file than that of the harvests is told what it has
    otherwise."""
    origin = store.configured_by()
    here = configuration.origin
    if origin is None or origin == here:
        return
    homes = {facility.name: facility for facility in store.facilities()}
    known = {source.name: (homes[source.facility], source) for source in store.sources()}
    others = [
        name
        for name, pair in configured_now(store, configuration).items()
        if mapping_context(*pair) != mapping_context(*known[name])
    ]
    if not others:
        return
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    told = f"{', '.join(others[:3])}{more}: harvested as {origin} has it, and otherwise in {here}"
    if settings.config is None:
        raise ConfigurationError(f"{told}; name the file to map by with --config.")
    say(f"{told}, which is gone by.")


@dataclass(frozen=True, slots=True)
class Station:
    """Everything open, for as long as a command takes."""

    configuration: Configuration
    shared: Harvesting


@asynccontextmanager
async def open_station(
    folder: Path, configuration: Configuration, watcher: Watcher | None = None
) -> AsyncIterator[Station]:
    """Open what a harvest needs."""
    share_heaps()
    allow_many_files()
    collect_rarely()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(folder, configuration))
        http = await stack.enter_async_context(Fetcher(configuration.contact))
        mapping = await stack.enter_async_context(MappingProcesses())
        await anyio.to_thread.run_sync(tidy, folder, [s.name for s in configuration.sources])
        room = Room(folder, configuration.storage)
        yield Station(
            configuration,
            Harvesting(store, http, utc_now, watcher or Silent(), prepare_page=mapping, room=room),
        )


async def heed_signals(stopping: anyio.Event, scope: anyio.CancelScope) -> None:
    """First SIGINT or SIGTERM: finish the page in hand, and index what is there, both within a
    time. Second: stop at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stopping.is_set():
                scope.cancel()
                return
            log.warning(
                "stopping after the page in hand, and at most %.0f s of indexing; once more stops "
                "at once",
                FINISH_S,
            )
            stopping.set()
