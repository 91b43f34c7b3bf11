"""Running the server: one process or several, and one question without a server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from aiohttp import web

from catalogue.catalogue import Catalogue
from catalogue.clock import utc_now
from catalogue.errors import CatalogueError, EngineDamaged, StoreDamaged, StoreFull, StoreReadOnly
from catalogue.processes import allow_many_files, end_with_parent
from catalogue.store.database import FILE_NAME
from mappings.linking import recognise
from mappings.quantities import interval_for_query
from pan_commons_terminal import Settings, log_to_stderr, say
from search_api.app import SERVER, create_app, runner_options
from search_api.conditions import Reading
from search_api.connections import Exhaustion
from search_api.errors import NothingToServe, PortInUse, SearchApiError
from search_api.facilities import FacilityStates
from search_api.federation.contact import configured_contact
from search_api.federation.participants import Asked
from search_api.federation.service import LiveService
from search_api.garbage import collect_in_quiet_moments, only_young
from search_api.health import forget_process, keep_shown, shared_measurements
from search_api.operator_key import read_operator_key
from search_api.pages.site import environment
from search_api.rate import prepare_table, table_bytes
from search_api.replies import Emit
from search_api.search import SearchRequest, read_search
from search_api.search_answer import show
from search_api.search_stream import tell_answer
from search_api.settings import ServerSettings, mistyped, settings_from
from search_api.technique_conditions import technique_ids
from search_api.whole import ask, asked_of

RESTART_PAUSE_S = 1.0
BACKLOG = 1_024
SWITCH_S = 0.001
"""After so long a thread lets another one have the interpreter. The event loop asks for it anew
after each call to the network, and can lose Python's 5 ms each time that a thread is at work."""


@contextlib.asynccontextmanager
async def open_catalogue(settings: Settings, *, index: bool) -> AsyncIterator[Catalogue]:
    """The catalogue of the data folder, read-only unless this process also indexes."""
    named = (settings.data, settings.engine, settings.elasticsearch_url)
    if index:
        async with Catalogue.open(*named) as catalogue:
            yield catalogue
        return
    if settings.engine == "tantivy":
        # Make store and index where they are missing, so that a server may start first. A node
        # with Elasticsearch and an empty folder reads everything from there (semantics 10.4).
        with contextlib.suppress(StoreReadOnly, StoreFull):
            async with Catalogue.open(*named):
                pass
    async with Catalogue.open(*named, read_only=True) as catalogue:
        yield catalogue


def run_workers(settings: Settings, host: str, port: int, workers: int, *, index: bool) -> None:
    """Serve until interrupted; several processes share the port.

    Raises:
        PortInUse: somebody else listens there.
        BadRequest: a setting is impossible.
        CatalogueError: there is nothing that can be served.
    """
    options = settings_from()
    for variable, meant in mistyped():
        say(f"{variable} is no setting; did you mean {meant}?")
    free = check_port(host, port)
    if workers == 1:
        asyncio.run(serve_one(settings, options, host, port, index=index))
        return
    asyncio.run(check_folder(settings, options))
    with shared_measurements():
        _run_processes(settings, host, free, workers, index=index)


def _run_processes(settings: Settings, host: str, port: int, workers: int, *, index: bool) -> None:
    context = multiprocessing.get_context("spawn")
    rates = context.RawArray("B", table_bytes())
    prepare_table(memoryview(rates).cast("B"))
    start = partial(_start, context, settings, host, port, rates)
    processes = [start(index and n == 0) for n in range(workers)]
    say(f"Serving on {address(host, port)} with {workers} processes.")
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for process in processes:
            process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while not stopping:
        time.sleep(RESTART_PAUSE_S)
        for place, process in enumerate(processes):
            if not process.is_alive() and not stopping:
                say(f"A server process ended with exit code {process.exitcode}; starting another.")
                forget_process(process.pid)
                processes[place] = start(index and place == 0)
    for process in processes:
        process.join()


async def check_folder(settings: Settings, options: ServerSettings) -> None:
    """Raise what would end each process, before any is started."""
    read_operator_key(options)
    async with open_catalogue(settings, index=False) as catalogue:
        await _say_what_is_served(settings, catalogue)


async def _say_what_is_served(settings: Settings, catalogue: Catalogue) -> None:
    """A server may start first; it may also have been given a folder that was mistyped, or be newer
    than the index."""
    if not await anyio.to_thread.run_sync(catalogue.store.last_change):
        say(
            f"Nothing is kept in {settings.data} yet: what is harvested into it will be served. "
            "Another folder is named with --data."
        )
    foreign = await catalogue.indexer.foreign()
    if foreign is not None:
        say(f"No question is answered until that is done: {foreign}")


def _start(
    context: Any, settings: Settings, host: str, port: int, rates: Any, index: bool
) -> multiprocessing.process.BaseProcess:
    process: multiprocessing.process.BaseProcess = context.Process(
        target=_worker, args=(settings, host, port, rates, index)
    )
    process.start()
    return process


def _worker(settings: Settings, host: str, port: int, rates: Any, index: bool) -> None:
    log_to_stderr()
    end_with_parent()  # Else it would keep the port from whoever is started next.
    shared = memoryview(rates).cast("B")
    try:
        asyncio.run(serve_one(settings, settings_from(), host, port, index=index, shared=shared))
    except (CatalogueError, SearchApiError, OSError) as error:
        say(f"pan-commons: {error}")
        raise SystemExit(1) from None


async def serve_one(
    settings: Settings,
    options: ServerSettings,
    host: str,
    port: int,
    *,
    index: bool,
    shared: memoryview | None = None,
) -> None:
    """Serve in this process until SIGINT or SIGTERM; with others on the same port where there is
    something ``shared``, in which the requests of clients are counted."""
    async with open_catalogue(settings, index=index) as catalogue:
        await anyio.to_thread.run_sync(warm_up)
        only_young()
        allow_many_files()
        asyncio.get_running_loop().set_exception_handler(Exhaustion().tell)
        sys.setswitchinterval(SWITCH_S)
        contact = configured_contact(settings.config, settings.data)
        app = create_app(catalogue, settings=options, contact=contact, rates=shared)
        runner = web.AppRunner(app, **runner_options(options))
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, host, port, reuse_port=shared is not None or None, backlog=BACKLOG
            )
            try:
                await site.start()
            except OSError as error:
                raise _port_error(host, port, error) from error
            if shared is None:
                bound = runner.addresses[0][1] if runner.addresses else port
                await _say_what_is_served(settings, catalogue)
                say(f"Serving {settings.data} on {address(host, bound)} ; Ctrl-C ends.")
            server = app[SERVER]
            besides = [
                asyncio.create_task(collect_in_quiet_moments(lambda: server.in_flight > 0)),
                *([] if shared is None else [asyncio.create_task(keep_shown(server))]),
            ]
            try:
                await _until_interrupted(catalogue, index=index)
            finally:
                for task in besides:
                    task.cancel()
                await asyncio.gather(*besides, return_exceptions=True)
        finally:
            await runner.cleanup()


def warm_up() -> None:
    """Load what the first request would otherwise wait for: PaNET, its names, the unit table (0.7 s
    of reading unit definitions, measured)."""
    recognise("SAXS")
    technique_ids("SAXS")
    interval_for_query("temperature", "eq", 1, "K")
    environment().get_template("search.html")


async def _until_interrupted(catalogue: Catalogue, *, index: bool) -> None:
    stop = anyio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        if index:
            await catalogue.indexer.follow(stop)
        else:
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def check_port(host: str, port: int) -> int:
    """The port, or for 0 a free one; raise ``PortInUse`` when nothing can listen there. Processes
    that share a port would not notice that somebody else has it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _port_error(host, port, error) from error
        bound: int = probe.getsockname()[1]
        return bound


def _port_error(host: str, port: int, error: OSError) -> PortInUse:
    if error.errno == errno.EADDRINUSE:
        reason = "another program listens there already"
    else:
        reason = error.strerror or str(error)
    # What is wrong with the name or the address of the machine, no other port makes good.
    of_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
    option = "--host" if of_host else "--port"
    return PortInUse(f"Port {port} on {host} cannot be used: {reason}; name another with {option}.")


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds the server."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (only compared)
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


async def ask_folder(settings: Settings, pairs: Sequence[tuple[str, str]], wait_s: float) -> Any:
    """The answer of ``/api/search`` from the data folder, without a server. ``index_behind`` is
    there where the index had not got after ``wait_s`` as far as the store was when we began.

    Raises:
        NothingToServe: nothing was ever stored there.
        BadRequest: see ``read_search``.
    """
    async with _folder(settings, pairs) as (catalogue, states, live, request):
        asked = asked_of(pairs)
        behind = await _wait_for_index(catalogue, asked, wait_s)
        whole = await ask(catalogue, states, live.federation, request.search, asked)
        answer = await show(whole, states, {}, request)
        return {**answer, "index_behind": behind} if behind else answer


async def tell_from_folder(
    settings: Settings,
    pairs: Sequence[tuple[str, str]],
    emit: Emit,
    wait_s: float,
) -> None:
    """The same as messages, while the answer grows; ``index_behind`` is in the last."""
    async with _folder(settings, pairs) as (catalogue, states, live, request):
        asked = asked_of(pairs)
        behind = await _wait_for_index(catalogue, asked, wait_s)

        async def tell(message: Mapping[str, Any]) -> None:
            last = behind and message["event"] == "end"
            await emit({**message, "index_behind": behind} if last else message)

        await tell_answer(catalogue, states, live.federation, request, asked, tell)


async def _wait_for_index(catalogue: Catalogue, asked: Asked, longest_s: float) -> int:
    """Let the index get as far as the store is now; gives how many changes it is behind."""
    if asked.mode == "live":
        return 0  # The index is not asked.
    newest = await anyio.to_thread.run_sync(catalogue.store.last_change)
    return await catalogue.indexer.wait_for(newest, longest_s)


@contextlib.asynccontextmanager
async def _as_it_is(settings: Settings) -> AsyncIterator[Catalogue]:
    """The catalogue for one question. Nothing is written, unless an older version wrote the store,
    the index is damaged, or there is none yet and nothing that could be in it."""
    named = (settings.data, settings.engine, settings.elasticsearch_url)
    try:
        catalogue = await Catalogue.open(*named, read_only=True)
    except (StoreDamaged, EngineDamaged):
        async with open_catalogue(settings, index=False) as mended:
            yield mended
        return
    async with catalogue:
        lacks_index = await _lacks_index(catalogue)
        if not lacks_index:
            yield catalogue
    if lacks_index:
        async with open_catalogue(settings, index=False) as mended:
            yield mended


async def _lacks_index(catalogue: Catalogue) -> bool:
    """Whether there is no index, because nothing was ever harvested: where all sources are asked
    live, an empty one will do."""
    try:
        await catalogue.engine.reader()
    except EngineDamaged:
        return not await anyio.to_thread.run_sync(catalogue.store.last_change)
    return False


@contextlib.asynccontextmanager
async def _folder(
    settings: Settings, pairs: Sequence[tuple[str, str]]
) -> AsyncIterator[tuple[Catalogue, FacilityStates, LiveService, SearchRequest]]:
    """What is needed to answer one question from a data folder."""
    if settings.engine == "tantivy" and not settings.data.is_dir():
        raise NothingToServe(
            f"There is no data folder {settings.data}; harvest first, or name one with --data."
        )
    if settings.engine == "tantivy" and not (settings.data / FILE_NAME).exists():
        raise NothingToServe(
            f"Nothing was harvested into {settings.data} yet; harvest first, or name another "
            "folder with --data."
        )
    options = settings_from()
    async with _as_it_is(settings) as catalogue:
        states = FacilityStates(catalogue.store, options.status_max_age_s)
        now = utc_now()
        await states.refresh(now)
        request = read_search(Reading(now, states.facilities, options), pairs, options.search_limit)
        contact = configured_contact(settings.config, settings.data)
        async with LiveService(catalogue, states, options, now=utc_now, contact=contact) as live:
            yield catalogue, states, live, request


__all__ = [
    "address",
    "ask_folder",
    "check_port",
    "open_catalogue",
    "run_workers",
    "tell_from_folder",
]
