"""Ten facilities of every dialect, a server that asks them live, and what is true of their union.

What is true is what an ordinary harvest of the same facilities, indexed, answers: "as if it were
one index". Everything lives on one simulated loop (``simulator.simulated_time``): facilities,
server and client, so that an hour with faults passes in moments and nobody is slow by accident.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import anyio
from aiohttp import web
from yarl import URL

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from facility_http.http import Fetcher
from harvester.capabilities import check_service
from harvester.progress import Silent
from harvester.run import Harvesting, harvest_source
from search_api.app import create_app, runner_options
from search_api.settings import ServerSettings
from simulator import (
    DATAGATEWAY,
    DEAF,
    ESRF,
    FULL_TEXT,
    ILL,
    NO_TEXT,
    REFERENCE,
    SCICAT,
    SUBSTRING,
    XFEL,
    FacilitySpec,
    Record,
    RestOptions,
    Schedule,
    running_all,
)
from simulator import Facility as Endpoint
from simulator.ranking import Taste
from simulator.simulated_time import START, SimulatedLoop
from simulator.spreading import Spread, spread

DIALECTS = (
    REFERENCE, XFEL, ILL, DATAGATEWAY, ESRF, FULL_TEXT, SUBSTRING, NO_TEXT, DEAF, SCICAT,
)  # fmt: skip
TASTES: tuple[Taste, ...] = ("shuffled", "newest", "title", "id")
WORDS = (
    "lysozyme", "crystal", "water", "lithium", "battery", "magnetic", "film", "polymer",
    "diffusion", "pressure",
)  # fmt: skip
TECHNIQUES = (
    ("PaNET01188", "small angle x-ray scattering"),
    ("PaNET01189", "small angle neutron scattering"),
    ("PaNET01098", "x-ray powder diffraction"),
)
CHECKED_S = 600.0
"""When schedules begin to matter: until then everybody is well and has been checked."""

Json = dict[str, Any]


def documents(count: int, seed: int = 8) -> Iterator[Json]:
    """Documents whose titles and summaries hold the same words, so that all copies match alike."""
    random = Random(seed)
    for number in range(count):
        words = random.sample(WORDS, 3)
        year = random.randint(2010, 2023)
        pid, name = random.choice(TECHNIQUES)
        yield {
            "pid": f"10.5072/u{number:04}",
            "doi": f"10.5072/u{number:04}",
            "type": "proposal",
            "isPublic": True,
            "title": f"{' '.join(words)} {number:04}",
            "summary": " ".join(words * random.randint(1, 3)),
            "startDate": f"{year}-04-01T00:00:00.000Z",
            "endDate": f"{year}-04-03T00:00:00.000Z",
            "releaseDate": f"{year + 1}-01-01T00:00:00.000Z",
            "license": "CC-BY-4.0",
            "members": [{"id": f"m{number}", "person": {"id": f"p{number}", "fullName": "Dana D"}}],
            "datasets": [
                {
                    "pid": f"20.500.12269/u{number:04}",
                    "title": f"Run of {words[0]} {number:04}",
                    "isPublic": True,
                    "creationDate": f"{year}-04-02T00:00:00.000Z",
                    "techniques": [{"pid": pid, "name": name}],
                }
            ],
        }


def ten(count: int, *, shared: float, seed: int = 8) -> tuple[list[FacilitySpec], Spread]:
    """Ten facilities of ten dialects over one world of Documents."""
    world = spread(documents(count, seed), len(DIALECTS), Random(seed), shared=shared)
    specs = [
        FacilitySpec(
            f"F{place}",
            records=[
                Record(f"oai:f{place}:{n}", START, document=document)
                for n, document in enumerate(held)
            ],
            rest=RestOptions(dialect=DIALECTS[place], taste=TASTES[place % 4]),
        )
        for place, held in enumerate(world.held)
    ]
    return specs, world


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: status, headers, JSON, and the simulated seconds it took."""

    status: int
    headers: Mapping[str, str]
    json: Any
    seconds: float

    @property
    def keys(self) -> list[str]:
        """What was found, by DOI, else by key."""
        return [str(hit["key"]) for hit in self.json["hits"]]

    @property
    def total(self) -> int:
        return int(self.json["total"]["value"])

    @property
    def is_exact(self) -> bool:
        return bool(self.json["total"]["relation"] == "eq")

    @property
    def lines(self) -> dict[str, Json]:
        return {str(line["name"]): line for line in self.json["facilities"]}

    def states(self) -> dict[str, str]:
        return {name: str(line["state"]) for name, line in self.lines.items()}


@dataclass
class Node:
    """A server on the loop, asked over HTTP."""

    url: str
    session: aiohttp.ClientSession
    clock: SimulatedLoop
    catalogue: Catalogue

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, **headers: str
    ) -> Answered:
        pairs = [
            (name, str(one))
            for name, value in (params or {}).items()
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        began = self.clock.time()
        url = URL(self.url + path, encoded=True).update_query(pairs)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(url, headers=sent) as response:
            body = await response.read()
            seconds = self.clock.time() - began
            return Answered(response.status, response.headers, json.loads(body), seconds)

    async def search(self, q: str = "", **params: Any) -> Answered:
        """``/api/search``."""
        return await self.get("/api/search", {"q": q, **params})

    async def find(self, path: str, **asked: Any) -> Answered:
        """``/api/Documents`` and its like, with a filter."""
        return await self.get(path, {"filter": json.dumps(asked)} if asked else {})

    async def count(self, path: str, **where: Any) -> Answered:
        return await self.get(f"{path}/count", {"where": json.dumps(where)} if where else {})


def configured(endpoint: Endpoint, mode: Any = "live") -> tuple[Facility, Source]:
    """The facility and its one source, as configuration would have them."""
    facility = Facility(endpoint.name, endpoint.name, endpoint.api_url, demo=True)
    source = Source(
        endpoint.name.lower(), endpoint.name, "panosc", endpoint.api_url, "panosc-json",
        mode=mode, internal=True, demo=True, trust=100 + int(endpoint.name[1:] or 0),
    )  # fmt: skip
    return facility, source


@asynccontextmanager
async def serving(
    loop: SimulatedLoop, catalogue: Catalogue, **settings: Any
) -> AsyncIterator[Node]:
    """A server over a catalogue, on the simulated clock."""
    chosen = ServerSettings(
        **{"cache_bytes": 0, "status_max_age_s": 0, "live_readers": 0, **settings}
    )
    app = create_app(catalogue, now=loop.now, settings=chosen, monotonic=loop.time)
    runner = web.AppRunner(app, **runner_options(chosen))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Node(url, session, loop, catalogue)
    finally:
        await runner.cleanup()


async def check(
    catalogue: Catalogue, facility: Facility, source: Source, loop: SimulatedLoop
) -> None:
    """``sources check`` of one source."""
    report: Json = {"findings": {}, "problems": []}
    async with Fetcher(now=loop.now, monotonic=loop.time) as http:
        await check_service(http, facility, source, report)
    memory = {"checked_at": loop.now().isoformat(), "capabilities": report["profile"]}
    catalogue.store.remember(source.name, json.loads(json.dumps(memory, default=str)))


async def harvest(
    catalogue: Catalogue, facility: Facility, source: Source, loop: SimulatedLoop
) -> None:
    """An ordinary harvest of one source, indexed."""
    async with Fetcher(now=loop.now, monotonic=loop.time) as http:
        run = await harvest_source(
            Harvesting(store=catalogue.store, http=http, now=loop.now, watcher=Silent(),
                       stopping=anyio.Event()),
            facility,
            source,
        )  # fmt: skip
    assert run.state == "ok", run
    await catalogue.indexer.index_once()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Facilities that have been checked and harvested once, for many tests.

    ``folder`` holds ``live`` (knows the profiles, and the records of who is not ``live``) and
    ``truth`` (has harvested all).
    """

    folder: Path
    specs: tuple[FacilitySpec, ...]
    spread: Spread
    modes: Mapping[str, str]


async def prepare(
    loop: SimulatedLoop,
    folder: Path,
    count: int = 120,
    *,
    shared: float = 0.2,
    modes: Mapping[str, str] | None = None,
) -> Prepared:
    """Start ten facilities, check and harvest them, and stop them.

    ``modes``: of facilities that are not ``live``.
    """
    modes = modes or {}
    specs, world = ten(count, shared=shared)
    async with (
        running_all(specs, clock=loop.now) as endpoints,
        Catalogue.open(folder / "live") as asking,
        Catalogue.open(folder / "truth") as knowing,
    ):
        put_configuration(asking, knowing, endpoints, modes)
        for endpoint in endpoints:
            facility, source = configured(endpoint, modes.get(endpoint.name, "live"))
            if source.mode != "live":
                await harvest(asking, facility, source, loop)
            if source.mode != "indexed":
                await check(asking, facility, source, loop)
            await harvest(knowing, facility, replace(source, mode="indexed"), loop)
    assert loop.time() < CHECKED_S
    return Prepared(folder, tuple(specs), world, modes)


async def check_again(
    loop: SimulatedLoop, folder: Path, prepared: Prepared, faults: Mapping[str, str]
) -> Prepared:
    """The same facilities, some of them checked once more while they had faults."""
    shutil.copytree(prepared.folder, folder)
    specs = [replace(spec, faults=faults.get(spec.name, "")) for spec in prepared.specs]
    async with (
        running_all(specs, clock=loop.now) as endpoints,
        Catalogue.open(folder / "live") as asking,
        Catalogue.open(folder / "truth") as knowing,
    ):
        put_configuration(asking, knowing, endpoints, prepared.modes)
        for endpoint in endpoints:
            if endpoint.name in faults:
                await check(asking, *configured(endpoint), loop)
    return replace(prepared, folder=folder)


def put_configuration(
    asking: Catalogue, knowing: Catalogue, endpoints: Sequence[Endpoint], modes: Mapping[str, str]
) -> None:
    """Both catalogues know where the facilities are."""
    made = [configured(one, modes.get(one.name, "live")) for one in endpoints]
    asking.store.put_configuration([f for f, _ in made], [s for _, s in made])
    whole = [configured(one, "indexed") for one in endpoints]
    knowing.store.put_configuration([f for f, _ in whole], [s for _, s in whole])


@dataclass
class World:
    """``live``: the server that asks. ``truth``: the server that has harvested everything."""

    endpoints: tuple[Endpoint, ...]
    live: Node
    truth: Node
    spread: Spread

    def endpoint(self, name: str) -> Endpoint:
        return next(one for one in self.endpoints if one.name == name)

    @property
    def clock(self) -> SimulatedLoop:
        return self.live.clock

    async def change(self, **faults: str) -> None:
        """Have these facilities (``F3="error:503"``) behave so from now on, whatever they did."""
        for name, behaviour in faults.items():
            await self.endpoint(name).behave(behaviour)


@asynccontextmanager
async def live_world(
    loop: SimulatedLoop,
    folder: Path,
    prepared: Prepared,
    *,
    schedules: Sequence[Schedule] = (),
    **settings: Any,
) -> AsyncIterator[World]:
    """Facilities, a server that asks them and one that has harvested them, at ``CHECKED_S``.

    ``schedules``: one for each facility, counted from then on. ``settings``: of the asking server.
    """
    shutil.copytree(prepared.folder, folder, dirs_exist_ok=True)
    specs = prepared.specs
    if schedules:
        specs = tuple(
            replace(spec, schedule=[(CHECKED_S + from_s, what) for from_s, what in schedule])
            for spec, schedule in zip(specs, schedules, strict=True)
        )
    async with (
        running_all(specs, clock=loop.now) as endpoints,
        Catalogue.open(folder / "live") as asking,
        Catalogue.open(folder / "truth") as knowing,
    ):
        put_configuration(asking, knowing, endpoints, prepared.modes)
        await anyio.sleep(CHECKED_S - loop.time())
        async with (
            serving(loop, asking, **settings) as live,
            serving(loop, knowing) as truth,
        ):
            yield World(endpoints, live, truth, prepared.spread)
