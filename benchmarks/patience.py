"""How long answers take while facilities hang: many questions under one deadline.

    python -m benchmarks.patience [--seconds 20]

200 connections ask 50 distinct questions a second of ten facilities, three of which never answer.
Answers have to be there within the deadline and 50 ms; what is shed (503 with ``Retry-After``) is
counted. Facilities, server and clients are those of ``_stand``.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import psutil

from benchmarks._stand import FACILITIES, WORDS, Bench, Stand, bench, cpu_s, prepare
from benchmarks.live import lines_of

DEADLINE_MS = 2_000


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


async def be_patient(stand: Stand, seconds: float) -> None:
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

        files_before, spent = process.num_fds(), cpu_s(process)
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(per_s * seconds)):
                await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
                tasks.create_task(one(number))
                if number % int(per_s * 2) == 0:
                    load.rss_mib.append(process.memory_info().rss / 2**20)
        spent = (cpu_s(process) - spent) * 1000 / sum(load.statuses.values())
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


async def measure(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await be_patient(await prepare(Path(folder)), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    asyncio.run(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
