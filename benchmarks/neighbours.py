"""Whether slow facilities slow the others: ten endpoints, nine of which wait two seconds a page.

The tenth is harvested (to durable) once alone and once beside the nine, by ``pan-commons harvest``;
the nine have enough pages to outlast it. Goal: its run takes at most a tenth longer. Each is done
ROUNDS times in turn and the best of each compared, since other work on the machine only adds.

The nine send FEW records a page, so that it is their waiting that is seen. With ``--large`` their
pages are as large as the tenth's: then they bring 2,250 records a second to the same processors,
and the rate of all together is what counts.

Run: ``python -m benchmarks.neighbours [--large] [RECORDS]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harvest import CONFIG, IDENTIFY, PAGE, headers_of, page_from, render
from catalogue.errors import StoreError
from catalogue.store import Store

SLOW, WAIT_S = 9, 2.0
ROUNDS = 3
FEW, MANY = 5, 1_000
"""Records on a page of theirs, and such pages."""
MOST_LONGER = 0.10
_SOURCE = CONFIG[CONFIG.index("[sources.bench]") :]


def serve(records: int, size: int, ports: Any) -> None:
    """Ten endpoints in one process: the first answers at once, the others wait at each page, which
    is of ``size`` records."""
    from aiohttp import web

    pages = render(records)
    theirs = pages if size == PAGE else render(size * MANY, size)

    async def start(wait_s: float) -> int:
        async def answer(request: web.Request) -> web.Response:
            start = int(request.query.get("resumptionToken", "0"))
            verb = request.query.get("verb")
            if verb == "Identify":
                return web.Response(body=IDENTIFY, content_type="text/xml")
            await asyncio.sleep(wait_s)
            if verb == "ListIdentifiers":
                return web.Response(body=headers_of(start, records), content_type="text/xml")
            body = theirs[start // size] if wait_s else page_from(pages, start, records)
            return web.Response(body=body, content_type="text/xml")

        application = web.Application()
        application.router.add_get("/oai", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def run() -> None:
        ports.put([await start(0.0), *[await start(WAIT_S) for _ in range(SLOW)]])
        await asyncio.Event().wait()

    asyncio.run(run())


def seconds_of_the_tenth(ports: list[int], folder: Path) -> tuple[float, int]:
    """Harvest from the endpoints; how long the first one's run took, by the store, and how many
    records all brought until soon after.

    The command is stopped once that run has ended: the others have no end to wait for.
    """
    folder.mkdir()
    config = folder / "sources.toml"
    sources = "".join(
        _SOURCE.replace(
            "[sources.bench]", f"[sources.{'tenth' if not number else f'n{number}'}]"
        ).format(url=f"http://127.0.0.1:{port}/oai")
        for number, port in enumerate(ports)
    )
    config.write_text(CONFIG[: CONFIG.index("[sources.bench]")] + sources, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pan_commons", "harvest", "--json", "--no-index"),
            *("--data", str(folder / "data"), "--config", str(config)),
        ],
        stdout=subprocess.PIPE,
        env=environment,
    )
    while (took := _run_of(folder / "data")) is None:
        time.sleep(0.1)
    if len(ports) > 1:  # one that is alone is at its end, and no longer heeds signals
        process.terminate()
    report = json.loads(process.communicate()[0])
    states = {run["source"]: run["state"] for run in report["runs"]}
    assert states.pop("tenth") == "ok", states
    assert set(states.values()) <= {"stopped"}, "the nine were at it all the while"
    return took, sum(run["counts"]["new"] for run in report["runs"])


def _run_of(data: Path) -> float | None:
    """Seconds that the tenth's run took, once it has ended."""
    try:
        store = Store.open(data, read_only=True)
    except StoreError:
        return None  # not there yet, or just being made
    with store:
        if "tenth" not in {source.name for source in store.sources()}:
            return None
        run = next(iter(store.runs("tenth", 1)), None)
    if run is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at).total_seconds()


def main() -> int:
    """Measure; 1 when the neighbours cost the tenth more than a tenth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=20_000)
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    records, size = asked.records, PAGE if asked.large else FEW
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=serve, args=(records, size, queue), daemon=True)
    process.start()
    try:
        ports = queue.get(timeout=600)
        alone, beside = [], []
        with tempfile.TemporaryDirectory() as name:
            for number in range(ROUNDS):
                alone.append(seconds_of_the_tenth(ports[:1], Path(name) / f"alone-{number}"))
                beside.append(seconds_of_the_tenth(ports, Path(name) / f"beside-{number}"))
    finally:
        process.terminate()
    print(
        f"{records:,} records in pages of {PAGE}, {SLOW} neighbours that wait {WAIT_S:g} s a page"
        f" of {size}"
    )
    for words, found in (("alone", alone), ("beside nine slow ones", beside)):
        seconds, came = min(found)
        print(
            f"{words + ':':<24}{seconds:6.2f} s, {came / seconds:,.0f} records/s altogether   of "
            + ", ".join(f"{s:.2f}" for s, _ in found)
        )
    longer = min(beside)[0] / min(alone)[0]
    print(f"beside ÷ alone: {longer:.2f}   goal {1 + MOST_LONGER}")
    return 0 if longer <= 1 + MOST_LONGER else 1


if __name__ == "__main__":
    raise SystemExit(main())
