"""What live federation costs: beside a bare gather of the same requests, and requests a second.

    python -m benchmarks.federation [--part own-time] [--part loop] [--part rate] …

Facilities, server and clients are those of ``_stand``. The bare gather sends the requests that the
server was seen to send, with one aiohttp session, and parses the JSON. *Own time* is the median of
the server's answers less the median of the gather, both asked in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import psutil

from benchmarks._stand import FACILITIES, WORDS, Bench, Stand, bench, cpu_s, prepare
from benchmarks.live import Server, lines_of

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
    spent, gathered = cpu_s(process), 0.0
    for _ in range(rounds):
        begun, cpu = time.perf_counter(), time.process_time()
        await run.gather(targets)
        gathered += time.process_time() - cpu
        between = time.perf_counter()
        await run.search(words, **params)
        ended = time.perf_counter()
        times.bare_ms.append((between - begun) * 1000)
        times.ours_ms.append((ended - between) * 1000)
    times.ours_cpu_ms = (cpu_s(process) - spent) * 1000 / rounds
    times.bare_cpu_ms = gathered * 1000 / rounds
    return times


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
                    print(f"    {row['wall_ms']:7.1f} ms: work {row['cpu_ms']:.1f}, not run by the "
                          f"kernel {row['delay_ms']:.1f}, held by others {row['held_ms']:.1f}; "
                          f"{row['what'][:110]}")  # fmt: skip
                for part in ("cpu_ms", "held_ms"):
                    worst = max((row[part] for row in rows), default=0.0)
                    print(f"      largest {part} among the longest {len(rows)}: {worst:.1f}")


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
    spent = cpu_s(process)
    per_s, median_ms = await rate(run.server.url, paths, seconds)
    spent_ms = (cpu_s(process) - spent) * 1000 / (per_s * seconds)
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
    for workers in (1, 2):
        async with bench(stand, NO_CACHES, workers=workers) as run:
            await run.order(hits=4)
            for what, paths in (("/api/search", distinct), ("/api/Documents", lists)):
                await run.expect_live(paths[0])
                await rate(run.server.url, paths[:50], 2.0)
                told = await rate_of(run, paths, seconds)
                print(f"  {what:16} caches off, distinct {told} (goal 3), workers: {workers}")
    async with bench(stand, {}) as run:
        await run.order(hits=4)
        for what, paths in (("/api/search", distinct), ("/api/Documents", lists)):
            await rate(run.server.url, paths[:20], 1.0)
            told = await rate_of(run, paths[:20], seconds)
            print(f"  {what:16} caches on, repeated  {told} (goal 10)")


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


PARTS = ("own-time", "loop", "rate", "stream")
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
            else:
                await part_stream(stand)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    asyncio.run(run_parts(chosen.part or PARTS, chosen.seconds))


if __name__ == "__main__":
    main()
