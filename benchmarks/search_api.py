"""How fast the server answers: eight clients on keep-alive connections, one server process.

    python -m benchmarks.search_api [--documents 20000] [--seconds 5] [--folder DIR] [--workers 1]

Documents are synthetic, three Datasets each, from a seed. The catalogue is built once in a folder
(kept with ``--folder``), then ``pan-commons serve`` runs as a process of its own. The clients speak
HTTP/1.1 over plain streams, so that they cost little beside the server. Figures are requests a
second, median and 99th percentile, and the ratio to a bare route of the same server in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import math
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.records import PageCommit, SourceRecord
from mappings import crosswalk
from mappings.context import Header
from mappings.techniques import load_panet

CLIENTS = 8
PAGE = 500
SEED = 20_261_123
NOW = datetime(2026, 3, 1, tzinfo=UTC)
COMMON = (  # noqa: SIM905 (a list of words reads best as words)
    "structure dynamics protein polymer lithium battery magnetic thin film water interface alloy "
    "catalyst membrane crystal phase transition diffusion strain texture nanoparticle surfactant "
    "vesicle lysozyme graphene perovskite superconductor skyrmion hydrogen storage steel weld bone"
).split(" ")
VOCABULARY = 30_000
TOLD = (60, 6_000)
"""Ranks of the words that people ask for: neither in every abstract nor in one alone."""


@functools.cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Words by rank, and their summed weights after Zipf: rank r is met 1/(r + 2.7) as often."""
    random_ = random.Random(SEED)
    syllables = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "io", "u")]
    words = dict.fromkeys(COMMON)
    while len(words) < VOCABULARY:
        words["".join(random_.choices(syllables, k=random_.randint(2, 4))) + "n"] = None
    weights = [1 / (rank + 2.7) for rank in range(VOCABULARY)]
    return list(words), list(itertools.accumulate(weights))


def asked(count: int) -> list[str]:
    """Pairs of telling words, rare and less rare ones equally often; always the same."""
    random_ = random.Random(SEED + 1)
    words, _ = vocabulary()
    low, high = (math.log(rank) for rank in TOLD)

    def word() -> str:
        return words[int(math.exp(random_.uniform(low, high)))]

    return [f"{word()} {word()}" for _ in range(count)]


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Synthetic Documents as a Search API sends them, the same for the same count."""
    random_ = random.Random(SEED)
    techniques = [term.label for term in load_panet().terms.values() if term.is_technique][40:]
    known, weights = vocabulary()
    for number in range(count):
        words = random_.choices(known, cum_weights=weights, k=100)
        year = random_.randint(2008, 2025)
        yield {
            "pid": f"10.5072/bench-{number}",
            "type": "proposal",
            "isPublic": random_.random() < 0.7,
            "title": " ".join(words[:8]).capitalize(),
            "summary": "Synthetic. " + " ".join(words[4:90]),
            "startDate": f"{year}-04-01T00:00:00Z",
            "endDate": f"{year}-04-03T00:00:00Z",
            "releaseDate": f"{year + 3}-04-03T00:00:00Z",
            "members": [{"role": "owner", "person": {"fullName": f"Person {number % 5000}"}}],
            "datasets": [
                {
                    "pid": f"20.500.99999/bench-{number}-{run}",
                    "title": f"{words[90]} {words[91]} run {run}",
                    "isPublic": True,
                    "creationDate": f"{year}-04-0{run + 1}T00:00:00Z",
                    "size": random_.randint(10**6, 10**11),
                    "techniques": [{"name": random_.choice(techniques)}],
                    "samples": [{"name": random_.choice(COMMON)}],
                    "instrument": {"pid": f"bench-{number % 60}", "name": f"B{number % 60}"},
                    "parameters": [
                        {
                            "name": "sample_temperature",
                            "value": round(random_.uniform(2, 900), 1),
                            "unit": "K",
                        }
                    ],
                }
                for run in range(3)
            ],
        }


async def build(folder: Path, count: int) -> None:
    """Put the Documents into a data folder, if it does not hold them already."""
    async with Catalogue.open(folder) as catalogue:
        store = catalogue.store
        if store.count("Document") >= count:
            return
        facility = Facility("BENCH", "Benchmark", "http://127.0.0.1/api")
        source = Source("bench", "BENCH", "panosc", "http://127.0.0.1/api", "panosc-json")
        store.put_configuration([facility], [source])
        context = mapping_context(facility, source)
        run = store.begin_run("bench", kind="full", holder="benchmark", now=NOW, lease_s=86_400)
        page: list[SourceRecord] = []
        for payload in documents(count):
            header = Header(f"Document/{payload['pid']}")
            mapped = crosswalk("panosc-document", payload, context, header)
            raw = json.dumps(payload).encode()
            page.append(SourceRecord(header, "panosc-document", raw, mapped))
            if len(page) == PAGE:
                store.commit_page(run, PageCommit(page, None, NOW))
                page = []
        store.commit_page(run, PageCommit(page, None, NOW))
        store.finish_run(run, "ok", "end_of_list", NOW)
        await catalogue.indexer.index_once()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(folder: Path, port: int, workers: int = 1) -> Iterator[list[psutil.Process]]:
    """``pan-commons serve`` as a process of its own, ready when the block begins; its processes."""
    command = [sys.executable, "-m", "pan_commons", "serve", "--data", str(folder)]
    command += ["--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(2 * (workers - 1))
        found = psutil.Process(process.pid)
        yield [found, *found.children(recursive=True)]
    finally:
        process.terminate()
        process.wait(30)


async def one_client(port: int, paths: Sequence[str], until: float, times: list[float]) -> None:
    """Ask for the paths in turn over one connection until the time is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = random.randrange(len(paths))
    while time.perf_counter() < until:
        path = paths[number % len(paths)]
        number += 1
        started = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            raise SystemExit(f"{path} answered {head[:200]!r}")
        lowered = head.lower()
        at = lowered.index(b"content-length:") + 15
        await reader.readexactly(int(lowered[at : lowered.index(b"\r\n", at)]))
        times.append(time.perf_counter() - started)
    writer.close()


async def measure(port: int, paths: Sequence[str], seconds: float) -> tuple[float, float, float]:
    """Requests a second, and median and 99th percentile in milliseconds."""
    await asyncio.gather(*(one_client(port, paths, time.perf_counter() + 0.5, []) for _ in "1234"))
    times: list[float] = []
    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(one_client(port, paths, until, times) for _ in range(CLIENTS)))
    elapsed = time.perf_counter() - started
    times.sort()
    return (
        len(times) / elapsed,
        times[len(times) // 2] * 1000,
        times[int(len(times) * 0.99)] * 1000,
    )


def filtered(path: str, **given: Any) -> str:
    return f"{path}?filter={quote(json.dumps(given))}"


def questions() -> dict[str, list[str]]:
    """Paths by name. "New": another text each time, so that no cache helps; "again": a hundred
    texts in turn, as portals see it; "common": the words that are in most records."""
    new = asked(20_000)
    again = new[:100]
    common = [f"{first} {second}" for first in COMMON for second in COMMON if first != second]
    technique = {
        "relation": "techniques",
        "scope": {"where": {"name": "small angle x-ray scattering"}},
    }
    cold = [{"name": "sample_temperature"}, {"value": {"lte": "10"}}, {"unit": "K"}]
    parameter = {"relation": "parameters", "scope": {"where": {"and": cold}}}
    return {
        "bare route (/health/live)": ["/health/live"],
        "Documents, limit 10": [filtered("/api/Documents", limit=10)],
        "Documents, text, limit 10, new": [
            filtered("/api/Documents", query=text, limit=10) for text in new
        ],
        "Documents, text, limit 10, again": [
            filtered("/api/Documents", query=text, limit=10) for text in again
        ],
        "Documents, text, limit 10, common": [
            filtered("/api/Documents", query=text, limit=10) for text in common
        ],
        "Documents, text, limit 50, new": [
            filtered("/api/Documents", query=text, limit=50) for text in new
        ],
        "portal: technique through datasets": [
            filtered(
                "/api/Documents",
                include=[{"relation": "datasets", "scope": {"include": [technique]}}],
                limit=50,
            )
        ],
        "portal: parameter through datasets": [
            filtered(
                "/api/Documents",
                include=[{"relation": "datasets", "scope": {"include": [parameter]}}],
                limit=50,
            )
        ],
        "Document by pid": [f"/api/Documents/10.5072%2Fbench-{n}" for n in range(0, 1000, 7)],
        "/api/search, limit 10, new": [f"/api/search?q={quote(text)}&limit=10" for text in new],
        "/api/search, limit 10, again": [f"/api/search?q={quote(text)}&limit=10" for text in again],
    }


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    started = time.perf_counter()
    await build(folder, arguments.documents)
    print(f"{arguments.documents:,} Documents ready in {time.perf_counter() - started:.1f} s")
    port = free_port()
    bare = 0.0
    with server(folder, port, arguments.workers) as processes:
        for name, paths in questions().items():
            if arguments.only not in name:
                continue
            before, began = processor_s(processes), time.perf_counter()
            rate, median, worst = await measure(port, paths, arguments.seconds)
            used = processor_s(processes) - before
            share = used / (time.perf_counter() - began)
            bare = bare or rate
            print(
                f"{name:36} {rate:7.0f} /s  p50 {median:6.1f} ms  p99 {worst:6.1f} ms"
                f"  {rate / bare:5.3f} of the first  {share / rate * 1000:6.2f} ms of processor"
                f" each ({share:.2f} of a core)",
                flush=True,
            )


def processor_s(processes: Sequence[psutil.Process]) -> float:
    """Seconds of processor time that the processes have used."""
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a question's name")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        asyncio.run(run(arguments, arguments.folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
