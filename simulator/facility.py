"""A facility one can start: real HTTP servers over records, with a log, counters and faults."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from simulator import oai_faults, rest_faults, transport_faults
from simulator.database import Database
from simulator.dialects import numbered
from simulator.faults import Fault, Faults, parse_faults
from simulator.listening import Door
from simulator.oai_pmh import OaiEndpoint, OaiOptions, page_of
from simulator.pages import landing_page, status_of
from simulator.panosc_rest import RestEndpoint, RestOptions, read_filter
from simulator.protocol import Answer, Clock, Exchange, RestError, Sleep
from simulator.records import Document, Holdings, Record, Records
from simulator.scripts import Schedule, Script

__all__ = ["Facility", "FacilitySpec", "Request", "running", "running_all"]

# Imported for what they enter into the table of faults.
_FAULTS = (oai_faults, rest_faults, transport_faults)

LOG_SIZE = 100_000
"""Requests remembered; older ones are forgotten, the counters are not."""


@dataclass(frozen=True, slots=True)
class FacilitySpec:
    """What to start.

    ``records``: OAI-PMH items and, as far as they carry documents, objects of the Search API; a
    function is called at start (generation takes time and memory only when wanted).
    ``holdings``: OAI-PMH items held otherwise (millions, made on request). ``database``: a
    LoopBack memory database (decoded ``db.json``) for the Search API. ``oai`` and ``rest``: which
    protocols, ``None`` for not at all. ``faults``: what it always has; ``schedule``: what comes
    and goes (``scripts.py``). ``port``: where it usually listens (0: any).
    """

    name: str
    title: str = ""
    records: Sequence[Record] | Callable[[], Sequence[Record]] = ()
    holdings: Holdings | None = None
    database: Mapping[str, Any] | None = None
    oai: OaiOptions | None = None
    rest: RestOptions | None = None
    faults: str | tuple[str | Fault, ...] = ()
    schedule: Schedule = ()
    port: int = 0
    landing_pages: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the log. ``verb`` as in ``Exchange``; ``when`` by the facility's clock."""

    when: datetime
    protocol: str
    verb: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    method: str
    path: str


@dataclass
class Facility:
    """A facility that is running. ``records``, ``database`` and ``faults`` may be changed."""

    spec: FacilitySpec
    records: Records
    database: Database
    faults: Faults
    clock: Clock
    sleep: Sleep
    base_url: str = ""
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=LOG_SIZE))
    hits: Counter[str] = field(default_factory=Counter)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    door: Door | None = None

    def __post_init__(self) -> None:
        holdings = self.spec.holdings or self.records
        oai, rest = self.spec.oai, self.spec.rest
        self._oai = OaiEndpoint(oai, holdings, self.faults) if oai else None
        self._rest = RestEndpoint(rest, self.database, self.faults) if rest else None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def oai_url(self) -> str:
        """The OAI-PMH base URL; ValueError when the facility has none."""
        if self.spec.oai is None:
            raise ValueError(f"{self.name} speaks no OAI-PMH")
        return self.base_url + self.spec.oai.path

    @property
    def api_url(self) -> str:
        """The Search API base URL; ValueError when the facility has none."""
        if self.spec.rest is None:
            raise ValueError(f"{self.name} has no Search API")
        return self.base_url + self.spec.rest.path

    async def behave(self, *faults: str | Fault | Iterable[str | Fault]) -> None:
        """Have these faults and no others, and be reachable or not, as they say."""
        self.faults.set(*faults)
        if self.door is None:
            return
        if self.faults.refuse_connections:
            await self.door.shut()
        else:
            await self.door.open()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, whatever its path."""
        path = request.rel_url.raw_path
        pairs = list(request.query.items())
        oai, rest = self.spec.oai, self.spec.rest
        if oai and path.rstrip("/") == oai.path:
            if request.method == "POST":
                pairs += [(name, str(value)) for name, value in (await request.post()).items()]
            return await self._send(request, await self._speak_oai(request, pairs))
        if rest and (path == rest.path or path.startswith(rest.path + "/")):
            segments = [unquote(part) for part in path[len(rest.path) :].split("/") if part]
            return await self._send(request, await self._speak_rest(request, pairs, segments))
        return await self._send(request, self._other(path))

    def _exchange(
        self, request: web.Request, pairs: Sequence[tuple[str, str]], **own: Any
    ) -> Exchange:
        exchange = Exchange(
            params=dict(pairs),
            pairs=pairs,
            url=self.base_url + request.rel_url.raw_path,
            now=self.clock(),
            headers=dict(request.headers),
            **own,
        )
        self.hits[exchange.verb] += 1
        self.requests.append(
            Request(
                exchange.now,
                exchange.protocol,
                exchange.verb,
                dict(exchange.params),
                exchange.headers,
                request.method,
                request.rel_url.raw_path,
            )
        )
        return exchange

    async def _speak_oai(self, request: web.Request, pairs: Sequence[tuple[str, str]]) -> Answer:
        params = dict(pairs)
        exchange = self._exchange(
            request,
            pairs,
            protocol="oai-pmh",
            verb=params.get("verb", ""),
            page=page_of(params),
        )
        early = await self.faults.arrive(exchange, self.sleep)
        if early is not None or self._oai is None:
            return early or Answer(b"", status=404)
        answer = self._oai.answer(exchange)
        # A body to be cut is counted in the bytes of the document, so it goes out unpacked.
        packed = "Content-Encoding" in answer.headers or answer.cut_after is not None
        accepted = exchange.headers.get("Accept-Encoding", "")
        if self._oai.options.gzip and "gzip" in accepted and not packed:
            answer.body = gzip.compress(answer.body, 1)
            answer.headers["Content-Encoding"] = "gzip"
        return answer

    async def _speak_rest(
        self, request: web.Request, pairs: Sequence[tuple[str, str]], segments: list[str]
    ) -> Answer:
        counted = segments[-1:] == ["count"]
        verb = segments[0] if segments else ""
        if len(segments) > 1:
            verb += {True: "/count", False: "/files" if "files" in segments[2:] else "/pid"}[
                counted
            ]
        exchange = self._exchange(
            request, pairs, protocol="panosc", verb=verb, page=rest_page_of(pairs)
        )
        early = await self.faults.arrive(exchange, self.sleep)
        if early is not None or self._rest is None:
            return early or Answer(b"", status=404)
        return self._rest.answer(exchange, segments)

    def _other(self, path: str) -> Answer:
        if path == "/":
            return status_of(self.spec, self.started, self.clock())
        if self.spec.landing_pages and path.startswith("/records/"):
            pid = unquote(path.removeprefix("/records/"))
            row = self.database.tables["Document"].get(pid) or self.database.tables["Dataset"].get(
                pid
            )
            if row is not None:
                return landing_page(self.spec, row)
        return Answer(b"Not found.", "text/plain; charset=utf-8", 404)

    async def _send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if answer.cut_after is None:
            return web.Response(body=answer.body, status=answer.status, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        if answer.cut_after > 0:
            response.content_length = len(answer.body)
            await response.prepare(request)
            await response.write(answer.body[: answer.cut_after])
        if answer.ending == "stall":
            await self.sleep(3600.0)
        if answer.ending == "trickle":
            for place in range(answer.cut_after, len(answer.body)):
                await self.sleep(1.0)
                await response.write(answer.body[place : place + 1])
            return response
        transport = request.transport
        if transport is not None and answer.ending == "reset":
            transport.abort()
        elif transport is not None:
            transport.close()
        return response


def rest_page_of(pairs: Sequence[tuple[str, str]]) -> int:
    """Which page of a list is asked for, by skip and limit; 1 when unreadable."""
    try:
        asked = read_filter(pairs)
        skip, limit = int(asked.get("skip") or 0), int(asked.get("limit") or 0)
    except (RestError, ValueError, TypeError):
        return 1
    return skip // limit + 1 if limit else 1


def build(
    spec: FacilitySpec, *, clock: Clock | None = None, sleep: Sleep = asyncio.sleep
) -> Facility:
    """A facility with its records in place, not yet listening."""
    listed: Iterable[Record] = spec.records() if callable(spec.records) else spec.records
    keeps = spec.oai is not None and spec.oai.deleted_record != "no"
    records = Records(listed, keeps_deletions=keeps)
    database = Database.from_memory(spec.database) if spec.database else Database()
    if spec.rest is not None:
        for record in records:
            if record.document is not None:
                database.put_document(_held(spec, record.document))

        def follow(before: Record | None, after: Record | None) -> None:
            if before is not None and before.document is not None:
                database.delete_document(_held(spec, before.document)["pid"])
            if after is not None and after.document is not None:
                database.put_document(_held(spec, after.document))

        records.watch(follow)
    faults = Faults(spec.faults, seed=spec.name)
    return Facility(spec, records, database, faults, clock or _now, sleep)


def _now() -> datetime:
    return datetime.now(UTC)


def _held(spec: FacilitySpec, document: Document) -> Document:
    """The document as the facility's implementation holds it."""
    renumbers = spec.rest is not None and spec.rest.dialect.numeric_pids
    return numbered(document) if renumbers else document


async def _perform(facility: Facility, script: Script, monotonic: Callable[[], float]) -> None:
    """Go through the schedule's phases while time passes."""
    began, elapsed = monotonic(), 0.0
    always = parse_faults(facility.spec.faults)
    while (change := script.next_change_s(elapsed)) is not None:
        while elapsed < change:
            await facility.sleep(change - elapsed)
            elapsed = monotonic() - began
        await facility.behave(always, script.at(elapsed))


@asynccontextmanager
async def running(
    spec: FacilitySpec,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    sleep: Sleep = asyncio.sleep,
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[Facility]:
    """Start a facility and stop it at the end.

    Args:
        port: 0 lets the system choose.
        clock: what the facility takes for now (aware UTC); the machine's clock by default.
        sleep: what slow and stalling faults wait with, and the schedule between its phases.
        monotonic: seconds that the schedule counts by; of the event loop by default.

    Raises:
        PortInUse: somebody else listens there.
    """
    facility = build(spec, clock=clock, sleep=sleep)
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", facility.handle)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    facility.door = door = Door(runner, spec.title or spec.name, host, port)
    performance: asyncio.Task[None] | None = None
    try:
        await door.open()
        shown = f"[{host}]" if ":" in host else host
        facility.base_url = f"http://{shown}:{door.port}"
        script = Script.read(spec.schedule)
        await facility.behave(parse_faults(spec.faults), script.at(0.0))
        if spec.schedule:
            told = monotonic or asyncio.get_running_loop().time
            performance = asyncio.create_task(_perform(facility, script, told))
        yield facility
    finally:
        if performance is not None:
            performance.cancel()
            with suppress(asyncio.CancelledError):
                await performance
        await runner.cleanup()
        door.leave()


@asynccontextmanager
async def running_all(
    specs: Iterable[FacilitySpec],
    host: str = "127.0.0.1",
    clock: Clock | None = None,
    sleep: Sleep = asyncio.sleep,
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[tuple[Facility, ...]]:
    """Start many facilities in this process, each on its own port; see ``running``."""
    async with AsyncExitStack() as stack:
        yield tuple(
            [
                await stack.enter_async_context(
                    running(spec, host, spec.port, clock, sleep, monotonic)
                )
                for spec in specs
            ]
        )
