"""Where live federation is measured: facilities that stand ready, and a server that asks them.

Ten facilities with ready answers run in one process (``_canned``), ``pan-commons serve`` in
another, the clients here. ``sources check`` has been run on simulated facilities at the same
addresses.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
from yarl import URL

from benchmarks._canned import TOTAL, document
from benchmarks.live import Place, Server, check_all, configure, serving
from benchmarks.search_api import free_port
from simulator import FULL_TEXT, FacilitySpec, Record, RestOptions, running_all
from simulator.simulated_time import START

FACILITIES = 10
WORDS = (
    "lysozyme", "crystals", "pressure", "structure", "dynamics",
    "water", "glycerol", "glass", "sample", "beam",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stand:
    """Facilities that stand ready: their ports, and a data folder that knows them."""

    ports: tuple[int, ...]
    folder: Path

    @property
    def places(self) -> list[Place]:
        return [Place(f"F{n}", f"http://127.0.0.1:{port}/api") for n, port in enumerate(self.ports)]


async def prepare(folder: Path) -> Stand:
    """Check simulated facilities with the same records, then leave their ports."""
    stand = Stand(tuple(free_port() for _ in range(FACILITIES)), folder)
    specs = [
        FacilitySpec(
            f"F{place}",
            records=[
                Record(f"oai:bench:{n}", START, document=document(place, n)) for n in range(TOTAL)
            ],
            rest=RestOptions(dialect=FULL_TEXT),
            port=port,
        )
        for place, port in enumerate(stand.ports)
    ]
    async with running_all(specs):
        problems = await check_all(configure(folder, stand.places), stand.places)
    if problems:
        print(f"sources check: {problems}")
    return stand


@contextmanager
def canned(stand: Stand) -> Iterator[None]:
    """The facilities with ready answers, at their ports."""
    command = [sys.executable, "-m", "benchmarks._canned", *map(str, stand.ports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait(10)


@dataclass(slots=True)
class Bench:
    """A stand, a server over it, and a session to ask both with."""

    stand: Stand
    server: Server
    session: aiohttp.ClientSession

    async def reconnect(self) -> None:
        """Close all connections of the clients, and begin anew."""
        await self.session.close()
        self.session = session()

    async def order(self, **orders: int) -> None:
        """Tell the facilities how to answer from now on, and forget what they saw."""
        words = "&".join(f"{name}={value}" for name, value in orders.items())
        async with self.session.get(f"http://127.0.0.1:{self.stand.ports[0]}/_set?{words}"):
            pass

    async def seen(self) -> list[dict[str, Any]]:
        async with self.session.get(f"http://127.0.0.1:{self.stand.ports[0]}/_seen") as response:
            found: list[dict[str, Any]] = orjson.loads(await response.read())
            return found

    async def search(self, words: str, **more: object) -> dict[str, Any]:
        """One answer of ``/api/search``."""
        params = {"q": words, "match": "any", **{k: str(v) for k, v in more.items()}}
        async with self.session.get(f"{self.server.url}/api/search", params=params) as response:
            body = await response.read()
            if response.status != 200:
                raise SystemExit(f"/api/search answered {response.status}: {body[:300]!r}")
            found: dict[str, Any] = orjson.loads(body)
            return found

    async def expect_live(self, path: str) -> None:
        """See that an answer has what the two facilities gave."""
        await self.order(hits=4)
        async with self.session.get(f"{self.server.url}{path}") as response:
            found = orjson.loads(await response.read())
        hits = found["hits"] if isinstance(found, dict) else found
        asked = sum(bool(row["asked"]) for row in await self.seen())
        if len(hits) != 8 or asked != 2:
            raise SystemExit(f"{path} gave {len(hits)} hits and asked {asked} facilities")

    async def gather(self, targets: Sequence[tuple[int, str]]) -> None:
        """The bare gather: all requests at once, JSON parsed."""

        async def one(port: int, target: str) -> object:
            url = URL(f"http://127.0.0.1:{port}{target}", encoded=True)
            async with self.session.get(url) as response:
                return orjson.loads(await response.read())

        await asyncio.gather(*(one(port, target) for port, target in targets))

    async def requests_of(self, words: str, **more: object) -> list[tuple[int, str]]:
        """What one question makes the server ask the facilities."""
        await self.order()
        await self.search(words, **more)
        return [(row["port"], target) for row in await self.seen() for target in row["asked"]]


def session() -> aiohttp.ClientSession:
    """As many connections as are wanted."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))


@asynccontextmanager
async def bench(
    stand: Stand,
    environment: Mapping[str, str],
    module: str = "pan_commons",
    workers: int = 1,
) -> AsyncIterator[Bench]:
    settings = configure(stand.folder, stand.places)
    for learnt in settings.data.glob("serving.sqlite*"):
        learnt.unlink()  # who hung in another part is not paused in this one
    with canned(stand), serving(settings, environment, module, workers=workers) as server:
        made = Bench(stand, server, session())
        try:
            yield made
        finally:
            await made.session.close()


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds of a process and its children so far."""
    used = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in used))
