"""What live federation costs: beside a bare gather of the same requests, and under load.

    python -m benchmarks.federation [--part own-time] [--part loop] [--part rate] …

Ten facilities with ready answers run in one process (``_canned``), ``pan-commons serve`` in
another, the clients here. ``sources check`` has been run on simulated facilities at the same
addresses. The bare gather sends the requests that the server was seen to send, with one aiohttp
session, and parses the JSON. *Own time* is the median of the server's answers less the median of
the gather, both asked in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import psutil
from yarl import URL

from benchmarks._canned import TOTAL, document
from benchmarks.live import Place, Server, check_all, configure, lines_of, serving
from benchmarks.search_api import free_port
from simulator import FULL_TEXT, FacilitySpec, Record, RestOptions, running_all
from simulator.simulated_time import START

FACILITIES = 10
INCUMBENT_PER_S = 218.0
NO_CACHES = {
    f"PAN_COMMONS_{name}": "0"
    for name in (
        "CACHE_BYTES", "FACILITY_CACHE_S", "FACILITY_CACHE_BRIEF_S", "FACILITY_STALE_S",
        "FACILITY_SINGLE_FLIGHT",
    )
}  # fmt: skip
CLIENTS = 8
WARMING_S = 4.0
"""So long a server is asked before it is measured: it starts processes when it has read some."""
DEADLINE_MS = 2_000
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
    stand: Stand, environment: Mapping[str, str], module: str = "pan_commons"
) -> AsyncIterator[Bench]:
    settings = configure(stand.folder, stand.places)
    for learnt in settings.data.glob("serving.sqlite*"):
        learnt.unlink()  # who hung in another part is not paused in this one
    with canned(stand), serving(settings, environment, module) as server:
        made = Bench(stand, server, session())
        try:
            yield made
        finally:
            await made.session.close()


# --- own time ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Times:
    """Of each round; ``*_cpu_ms``: processor time a question, the server's and the gather's."""

    ours_ms: list[float] = field(default_factory=list)
    bare_ms: list[float] = field(default_factory=list)
    ours_cpu_ms: float = 0.0
    bare_cpu_ms: float = 0.0

    def row(self) -> str:
        ours, bare = statistics.median(self.ours_ms), statistics.median(self.bare_ms)
        best = min(self.ours_ms) - min(self.bare_ms)
        return (
            f"ours {ours:7.1f} ms  gather {bare:6.1f} ms  own {ours - bare:7.1f} ms"
            f" (of the best {best:6.1f}; of the processor {self.ours_cpu_ms:.1f} and"
            f" {self.bare_cpu_ms:.1f})"
        )


async def own_time(run: Bench, names: str, words: str, rounds: int, limit: int) -> Times:
    """Ask the server and make the gather in turns, once the server has come to its ways."""
    params = {"facilities": names, "limit": limit}
    targets = await run.requests_of(words, **params)
    answer = await run.search(words, **params)
    print(f"  {len(targets)} requests, {answer['total']} found, states "
          f"{dict(Counter(lines_of(answer).values()))}")  # fmt: skip
    until = time.perf_counter() + WARMING_S
    while time.perf_counter() < until:
        await run.search(words, **params)
    times = Times()
    process = psutil.Process(run.server.pid)
    spent, gathered = _cpu_s(process), 0.0
    for _ in range(rounds):
        begun, cpu = time.perf_counter(), time.process_time()
        await run.gather(targets)
        gathered += time.process_time() - cpu
        between = time.perf_counter()
        await run.search(words, **params)
        ended = time.perf_counter()
        times.bare_ms.append((between - begun) * 1000)
        times.ours_ms.append((ended - between) * 1000)
    times.ours_cpu_ms = (_cpu_s(process) - spent) * 1000 / rounds
    times.bare_cpu_ms = gathered * 1000 / rounds
    return times


def _cpu_s(process: psutil.Process) -> float:
    """Processor seconds of a process so far."""
    used = process.cpu_times()
    return float(used.user + used.system)


def names_of(count: int) -> str:
    return ",".join(f"F{n}" for n in range(count))


async def part_own_time(stand: Stand) -> None:
    print("Own time on top of the slowest facility, no cache of answers:")
    async with bench(stand, NO_CACHES) as run:
        await run.order(hits=10, fresh=0)
        times = await own_time(run, names_of(2), "lysozyme pressure", 150, 10)
        print(f"  2 x 10 hits, seen         {times.row()} goal 3 ms")
        await run.order(hits=10, fresh=1)
        times = await own_time(run, names_of(2), "lysozyme pressure", 150, 10)
        print(f"  2 x 10 hits, never seen   {times.row()} goal 3 ms")
        await run.order(hits=100, fresh=0)
        times = await own_time(run, names_of(10), "lysozyme pressure", 25, 100)
        print(f"  10 x 100 hits, seen       {times.row()} goal 15 ms")
        await run.order(hits=100, fresh=1)
        times = await own_time(run, names_of(10), "lysozyme pressure", 25, 100)
        print(f"  10 x 100 hits, never seen {times.row()} goal 100 ms")


# --- how long the loop is held -------------------------------------------------------------------


async def part_loop(stand: Stand) -> None:
    print("The longest callbacks of the server's event loop (goal 10 ms):")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.json"
        environment = {**NO_CACHES, "WATCHED_REPORT": str(target)}
        async with bench(stand, environment, "benchmarks._watched") as run:
            for what, orders, limit in (
                ("2 x 10 hits", {"hits": 10, "fresh": 1}, 10),
                ("10 x 100 hits, seen", {"hits": 100, "fresh": 0}, 100),
                ("10 x 100 hits, never seen", {"hits": 100, "fresh": 1}, 100),
                ("10 x 1000 hits, never seen", {"hits": 1000, "fresh": 1}, 100),
            ):
                await run.order(**orders)
                await run.search("lysozyme pressure", limit=limit)
                await asyncio.to_thread(watched, run.server, target)  # forget what starting took
                for _ in range(12):
                    await run.search("lysozyme pressure", limit=limit)
                rows = (await asyncio.to_thread(watched, run.server, target))["longest"]
                print(f"  {what:28}" + ("nothing above 2 ms" if not rows else ""))
                for row in rows[:3]:
                    print(f"    {row['wall_ms']:7.1f} ms ({row['cpu_ms']:.1f} of the processor) "
                          f"{row['what'][:110]}")  # fmt: skip


def watched(server: Server, target: Path) -> dict[str, Any]:
    """What ``_watched`` has to report since the last time."""
    target.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    while not target.exists():
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(target.read_text())
    return found


# --- requests a second ---------------------------------------------------------------------------


async def rate(url: str, paths: Sequence[str], seconds: float) -> tuple[float, float]:
    """Requests a second of eight clients, and the median in milliseconds."""
    port = int(url.rpartition(":")[2])
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def client(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = offset
        while time.perf_counter() < until:
            begun = time.perf_counter()
            path = paths[number % len(paths)]
            number += CLIENTS
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            at = lowered.index(b"content-length:") + 15
            body = await reader.readexactly(int(lowered[at : lowered.index(b"\r\n", at)]))
            if b" 200 " not in head[:20]:
                raise SystemExit(f"{path} answered {head[:20]!r} {body[:300]!r}")
            times.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    elapsed = time.perf_counter() - begun
    return len(times) / elapsed, statistics.median(times) * 1000


async def rate_of(run: Bench, paths: Sequence[str], seconds: float) -> str:
    """A row: requests a second, and what each costs the server's processor."""
    process = psutil.Process(run.server.pid)
    spent = _cpu_s(process)
    per_s, median_ms = await rate(run.server.url, paths, seconds)
    spent_ms = (_cpu_s(process) - spent) * 1000 / (per_s * seconds)
    times = per_s / INCUMBENT_PER_S
    return (
        f"{per_s:7.0f} /s, p50 {median_ms:5.1f} ms, {times:5.1f} x the incumbent,"
        f" {spent_ms:5.2f} ms of the processor each"
    )


async def part_rate(stand: Stand, seconds: float) -> None:
    print("Requests a second, two facilities with 4 Documents each, eight clients:")
    two = "facilities=F0&facilities=F1"
    distinct = [
        f"/api/search?q={quote(f'{a} {b} n{n}')}&match=any&limit=10&{two}"
        for n in range(60)
        for a in WORDS
        for b in WORDS
        if a < b
    ]
    lists = [
        f"/api/Documents?{two}&filter="
        + quote(json.dumps({"query": f"lysozyme n{n}", "limit": 10}))
        for n in range(2000)
    ]
    async with bench(stand, NO_CACHES) as run:
        await run.order(hits=4)
        for what, paths in (("/api/search", distinct), ("/api/Documents", lists)):
            await run.expect_live(paths[0])
            await rate(run.server.url, paths[:50], 1.0)
            told = await rate_of(run, paths, seconds)
            print(f"  {what:16} caches off, distinct {told} (goal 3)")
    async with bench(stand, {}) as run:
        await run.order(hits=4)
        for what, paths in (("/api/search", distinct), ("/api/Documents", lists)):
            await rate(run.server.url, paths[:20], 1.0)
            told = await rate_of(run, paths[:20], seconds)
            print(f"  {what:16} caches on, repeated  {told} (goal 10)")


# --- patience ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Load:
    """What came of many questions: latencies of answers, statuses, states of facilities."""

    ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    hanging: Counter[str] = field(default_factory=Counter)
    retry_after: int = 0
    rss_mib: list[float] = field(default_factory=list)


async def question(run: Bench, number: int, load: Load, hanging: frozenset[str]) -> None:
    params = {
        "q": f"lysozyme {WORDS[number % 10]} n{number}", "match": "any", "limit": "10",
        "deadline_ms": str(DEADLINE_MS),
    }  # fmt: skip
    begun = time.perf_counter()
    try:
        async with run.session.get(f"{run.server.url}/api/search", params=params) as response:
            body = await response.read()
    except aiohttp.ClientError as error:
        load.statuses[-1] += 1
        print(f"  {type(error).__name__}: {error}")
        return
    took = (time.perf_counter() - begun) * 1000
    load.statuses[response.status] += 1
    if response.status == 200:
        load.ms.append(took)
        for name, state in lines_of(orjson.loads(body)).items():
            (load.hanging if name in hanging else load.states)[state] += 1
    else:
        load.retry_after += "Retry-After" in response.headers


async def part_patience(stand: Stand, seconds: float) -> None:
    per_s, connections, silent = 50.0, 200, 3
    print(f"{connections} connections, {per_s:.0f} distinct questions a second, {silent} of "
          f"{FACILITIES} facilities hang, deadline {DEADLINE_MS} ms:")  # fmt: skip
    hanging = frozenset(f"F{n}" for n in range(FACILITIES - silent, FACILITIES))
    async with bench(stand, {}) as run:
        process = psutil.Process(run.server.pid)
        await run.order(hits=10, hang=silent, vary=1)
        slots = asyncio.Semaphore(connections)
        load = Load()

        async def one(number: int) -> None:
            async with slots:
                await question(run, number, load, hanging)

        files_before, spent = process.num_fds(), _cpu_s(process)
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(per_s * seconds)):
                await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
                tasks.create_task(one(number))
                if number % int(per_s * 2) == 0:
                    load.rss_mib.append(process.memory_info().rss / 2**20)
        spent = (_cpu_s(process) - spent) * 1000 / sum(load.statuses.values())
        await run.reconnect()
        await asyncio.sleep(3.0)
        load.rss_mib.append(process.memory_info().rss / 2**20)
        seen = await run.seen()
        left = sum(row["hanging"] for row in seen)
        load.ms.sort()
        shed = load.statuses[503]
        print(
            f"  statuses {dict(load.statuses)}, of {shed} shed {load.retry_after} say Retry-After"
        )
        print(f"  {spent:.1f} ms of the processor a question")
        if load.ms:
            p99 = load.ms[min(int(len(load.ms) * 0.99), len(load.ms) - 1)]
            print(f"  p50 {statistics.median(load.ms):.0f} ms, p99 {p99:.0f} ms, worst "
                  f"{load.ms[-1]:.0f} ms (goal {DEADLINE_MS + 50} ms)")  # fmt: skip
        print(f"  well facilities {dict(load.states)}; hanging ones {dict(load.hanging)}")
        print("  memory MiB " + " ".join(f"{each:.0f}" for each in load.rss_mib))
        print(f"  requests left hanging {left}, connections open at facilities "
              f"{sum(row['open'] for row in seen)}, files {files_before} -> {process.num_fds()}, "
              f"asked of a hanging one {len(seen[-1]['asked'])}")  # fmt: skip


# --- streams -------------------------------------------------------------------------------------


async def streamed(run: Bench, words: str, **more: object) -> tuple[float, float, float, int]:
    """Milliseconds to the first message with hits, to the last update and to the end, and how many
    messages there were."""
    params = {"q": words, "match": "any", **{k: str(v) for k, v in more.items()}}
    begun = time.perf_counter()
    first = last = ended = 0.0
    count = 0
    async with run.session.get(
        f"{run.server.url}/api/search", params=params, headers={"Accept": "application/x-ndjson"}
    ) as response:
        async for line in response.content:
            message = orjson.loads(line)
            at = (time.perf_counter() - begun) * 1000
            count += 1
            if message["event"] == "end":
                ended = at
                if not message["keys"]:
                    raise SystemExit("a stream ended without hits")
            else:
                last = at
                if not first and message["added"]:
                    first = at
    return first, last, ended, count


async def part_stream(stand: Stand) -> None:
    """One of ten facilities is slow; a stream need not wait for it."""
    print(f"Streams, {FACILITIES} facilities with 10 hits, one of them takes {SLOW_MS} ms:")
    async with bench(stand, NO_CACHES) as run:
        await run.order(hits=10, slow=1, delay_ms=SLOW_MS, fresh=0)
        whole: list[float] = []
        rows: list[tuple[float, float, float, int]] = []
        for _ in range(15):
            begun = time.perf_counter()
            await run.search("lysozyme pressure", limit=10)
            whole.append((time.perf_counter() - begun) * 1000)
            rows.append(await streamed(run, "lysozyme pressure", limit=10))
        first, last, ended, count = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
        print(
            f"  first hits {first:.0f} ms, last update {last:.0f} ms, end {ended:.0f} ms,"
            f" {count:.0f} messages; whole answers {statistics.median(whole):.0f} ms"
        )


PARTS = ("own-time", "loop", "rate", "patience", "stream")
SLOW_MS = 500


async def run_parts(parts: Sequence[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stand = await prepare(Path(folder))
        for part in parts:
            if part == "own-time":
                await part_own_time(stand)
            elif part == "loop":
                await part_loop(stand)
            elif part == "rate":
                await part_rate(stand, seconds)
            elif part == "stream":
                await part_stream(stand)
            else:
                await part_patience(stand, seconds * 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    asyncio.run(run_parts(chosen.part or PARTS, chosen.seconds))


if __name__ == "__main__":
    main()
