"""The whole way of ``oai_datacite`` records, to durable and searchable, beside Sickle reading them.

One endpoint in another process serves pages that were rendered beforehand: RECORDS (100,000) of
about 1.5 kB (``--long``: 2.2 kB), 500 a page. In one run: Sickle reading all of them; our client
reading all of them; and ``pan-commons harvest`` of all of them, until the last is searchable. Then
what each stage costs a record, by itself on one core: that shows what bounds the whole. And what
the libraries alone cost, which no code around them can go below.

Run: ``python -m benchmarks.harvest [RECORDS] [--long]``. ``benchmarks.curves`` shows rate and
memory along the way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks._libraries import inserting_s, parsing_s
from benchmarks.crosswalks import datacite_record, short_datacite_record

PAGE = 500
GOAL_READING, GOAL_HARVEST, LEAST_HARVEST = 3.0, 0.7, 0.5
_NAMESPACE = 'xmlns="http://www.openarchives.org/OAI/2.0/"'

CONFIG = """
[facilities.BENCH]
title = "Benchmark"
provider = "http://127.0.0.1/api"
demo = true
probes = ["photon"]
[sources.bench]
facility = "BENCH"
protocol = "oai-pmh"
url = "{url}"
format = "oai_datacite"
internal = true
"""


FIRST = 70_000_000
BLOCK = 10_000
_BLOCK_OF = re.compile(rb"7000(?=\d{4}\b)")
MOST_RENDERED = 100_000
"""Records that an endpoint keeps rendered; longer lists repeat a block with other numbers in it."""

Make = Callable[[random.Random, int], str]
"""Writes the record with a number."""


def add_options(parser: argparse.ArgumentParser, records: int) -> None:
    """How many records, ``records`` unless told otherwise, and which."""
    parser.add_argument("records", nargs="?", type=int, default=records)
    parser.add_argument(
        "--long",
        dest="make",
        action="store_const",
        const=datacite_record,
        default=short_datacite_record,
        help="records of 2.2 kB in place of 1.5",
    )


def render(records: int, size: int = PAGE, make: Make = datacite_record) -> list[bytes]:
    """All pages of ListRecords, ``size`` records each, a whole document with its token."""
    chance = random.Random(7)
    pages = []
    for start in range(0, records, size):
        items = "".join(
            f"<record><header><identifier>oai:bench:{number}</identifier>"
            f"<datestamp>2024-01-01T00:00:00Z</datestamp></header>"
            f"<metadata>{make(chance, number)}</metadata></record>"
            for number in range(FIRST + start, FIRST + min(start + size, records))
        )
        more = start + size < records
        token = f"<resumptionToken>{start + size}</resumptionToken>" if more else ""
        pages.append(envelope(f"<ListRecords>{items}{token}</ListRecords>"))
    return pages


def page_from(pages: list[bytes], start: int, records: int) -> bytes:
    """The page of a list of ``records`` that begins at ``start``.

    Of a list longer than what is rendered, a page of the first block with its numbers moved on: in
    all of a record's numbers the first four digits say which block it is of.
    """
    if records <= MOST_RENDERED:
        return pages[start // PAGE]
    block, within = divmod(start, BLOCK)
    page = _BLOCK_OF.sub(b"%d" % (7000 + block), pages[within // PAGE])
    head, _, _ = page.partition(b"<resumptionToken>")
    more = start + PAGE < records
    token = b"<resumptionToken>%d</resumptionToken>" % (start + PAGE) if more else b""
    return head.removesuffix(b"</ListRecords></OAI-PMH>") + token + b"</ListRecords></OAI-PMH>"


def envelope(content: str) -> bytes:
    """An OAI-PMH document."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OAI-PMH {_NAMESPACE}>'
        f"<responseDate>2024-06-01T00:00:00Z</responseDate><request>http://127.0.0.1/</request>"
        f"{content}</OAI-PMH>"
    ).encode()


IDENTIFY = envelope(
    "<Identify><repositoryName>Bench</repositoryName><baseURL>http://127.0.0.1/</baseURL>"
    "<protocolVersion>2.0</protocolVersion><adminEmail>a@example.org</adminEmail>"
    "<earliestDatestamp>2024-01-01T00:00:00Z</earliestDatestamp>"
    # Persistent, so that no list of identifiers is compared: it is harvesting that is measured.
    "<deletedRecord>persistent</deletedRecord><granularity>YYYY-MM-DDThh:mm:ssZ</granularity>"
    "</Identify>"
)


def serve(records: int, make: Make, port: Any) -> None:
    """The endpoint: answers bytes that are ready."""
    from aiohttp import web

    pages = render(records if records <= MOST_RENDERED else BLOCK, make=make)

    async def answer(request: web.Request) -> web.Response:
        if request.query.get("verb") == "Identify":
            return web.Response(body=IDENTIFY, content_type="text/xml")
        if request.query.get("verb") == "ListIdentifiers":
            number = int(request.query.get("resumptionToken", "0"))
            return web.Response(body=headers_of(number, records), content_type="text/xml")
        start = int(request.query.get("resumptionToken", "0"))
        return web.Response(body=page_from(pages, start, records), content_type="text/xml")

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/oai", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.put((runner.addresses[0][1], sum(map(len, pages)) / min(records, len(pages) * PAGE)))
        await asyncio.Event().wait()

    asyncio.run(run())


def headers_of(start: int, records: int) -> bytes:
    """A page of ListIdentifiers, for the comparison after a first harvest."""
    end = min(start + 10_000, records)
    items = "".join(
        f"<header><identifier>oai:bench:{FIRST + number}</identifier>"
        f"<datestamp>2024-01-01T00:00:00Z</datestamp></header>"
        for number in range(start, end)
    )
    token = f"<resumptionToken>{end}</resumptionToken>" if end < records else ""
    return envelope(f"<ListIdentifiers>{items}{token}</ListIdentifiers>")


@contextmanager
def endpoint(records: int, make: Make) -> Iterator[str]:
    """Start the endpoint; its base URL."""
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    process = context.Process(target=serve, args=(records, make, port), daemon=True)
    process.start()
    number, size = port.get(timeout=600)
    print(f"{records:,} records of {size:,.0f} bytes on the wire, {PAGE} a page")
    try:
        yield f"http://127.0.0.1:{number}/oai"
    finally:
        process.terminate()


def read_with_sickle(url: str) -> int:
    """What Sickle needs to read all records."""
    from sickle import Sickle

    return sum(1 for _ in Sickle(url).ListRecords(metadataPrefix="oai_datacite"))


def read_with_ours(url: str) -> int:
    """What our client needs to read all records."""
    from facility_http.http import Access, Fetcher
    from harvester.oai_pmh import OaiClient

    async def read() -> int:
        count = 0
        async with Fetcher() as http:
            client = OaiClient(http, url, access=Access(internal=True))
            async for page in client.pages("ListRecords", "oai_datacite"):
                count += len(page.records)
        return count

    return asyncio.run(read())


@dataclass(frozen=True, slots=True)
class Point:
    """A look at a harvest: seconds since its start, records durable, and of all its processes
    resident bytes and processor time."""

    seconds: float
    durable: int
    resident: int
    processor_s: float


def harvest(url: str, folder: Path, curve: list[Point], *, index: bool = True) -> int:
    """``pan-commons harvest`` as a person starts it; gives how many records are searchable."""
    config = folder / "sources.toml"
    config.write_text(CONFIG.format(url=url), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    began = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pan_commons", "harvest", "--json"),
            *("--data", str(folder / "data"), "--config", str(config)),
            *(() if index else ("--no-index",)),
        ],
        stdout=subprocess.PIPE,
        env=environment,
    )
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        held = durable(folder / "data")
        curve.append(Point(time.monotonic() - began, held, *used(watched)))
        time.sleep(0.5)
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    (run,) = report["runs"]
    assert run["state"] == "ok", run
    assert not index or report["index"]["lag"] == 0, report["index"]
    return int(run["counts"]["new"])


def durable(folder: Path) -> int:
    """Records committed so far, by the file itself."""
    import sqlite3

    path = folder / "store.sqlite"
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
            return int(
                connection.execute("SELECT coalesce(sum(live), 0) FROM sources").fetchone()[0]
            )
    except sqlite3.Error:
        return 0


def used(process: psutil.Process) -> tuple[int, float]:
    """Bytes in memory, and seconds of processor, of a process and its children."""
    resident, processor_s = 0, 0.0
    try:
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            resident += one.memory_info().rss
            processor_s += times.user + times.system
    except psutil.Error:
        pass
    return resident, processor_s


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work gave and took: seconds by the clock, and of processors."""

    result: int
    clock_s: float
    processor_s: float


def measured(work: Callable[[], int]) -> Cost:
    """Do it and see, processes that it starts included."""
    began, used = time.perf_counter(), _processor_s()
    result = work()
    return Cost(result, time.perf_counter() - began, _processor_s() - used)


def _processor_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Stages:
    """Seconds of processor time by stage: they hold on a busy machine too. What the libraries' own
    threads do beside is a stage by itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.process_time()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add the time that the block takes in this thread."""
        began = time.thread_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - began

    def add_the_rest(self, name: str) -> None:
        """Add what other threads took since the beginning."""
        whole = time.process_time() - self._began
        self.seconds[name] = whole - sum(self.seconds.values())


def profile(
    records: int, make: Make, folder: Path
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Microseconds that each stage takes a record, by itself, on one core; and those that the
    libraries alone do, with rows and documents that are ready."""
    from catalogue.ahead import Foresight, foresee
    from catalogue.engines.tantivy import TantivyEngine
    from catalogue.facilities import Facility, Source
    from catalogue.processes import collect_rarely
    from catalogue.records import Foreseen, PageCommit
    from catalogue.store import Store, ready
    from catalogue.store.database import FILE_NAME
    from harvester.oai_xml import read_answer
    from harvester.pages import RawRecord
    from harvester.workers import map_records, portions
    from mappings.context import Context, Header, Mapped

    context = Context("BENCH", "bench", "UTC", probes=("photon",))
    facility = Facility("BENCH", "Bench", "http://127.0.0.1/", demo=True)
    source = Source("bench", "BENCH", "oai-pmh", "http://127.0.0.1/", "oai_datacite", demo=True)
    now = datetime(2024, 1, 1, tzinfo=UTC)
    foresight = Foresight(facility.provider, TantivyEngine.numbering.render)
    foreseen: list[Foreseen] = []
    warm = make(random.Random(1), 1).encode()
    collect_rarely()  # as all processes of a harvest do
    map_records(context, [RawRecord(Header("warm"), "oai_datacite", warm)])
    stages, parsed_s = Stages(), 0.0
    with Store.open(folder / "profile") as store:
        store.put_configuration([facility], [source])
        run = store.begin_run("bench", kind="harvest", holder="bench", now=now)
        for page in render(records, make=make):
            with stages.of("read OAI-PMH"):
                read, _ = read_answer(page, "ListRecords")
            raw = [RawRecord(one.header, "oai_datacite", one.payload) for one in read]
            parsed_s += parsing_s([one.payload or b"" for one in raw])
            dictionary = store.dictionary("bench", "oai_datacite")
            prepared = []
            for some in portions(raw):
                with stages.of("crosswalk"):
                    mapped = map_records(context, some)
                with stages.of("render and compress"):
                    made = ready(mapped, "BENCH", dictionary)
                with stages.of("engine documents"):
                    said = [
                        (one.mapped.entities, rendered.parts)
                        for one, rendered in zip(mapped, made, strict=True)
                        if isinstance(one.mapped, Mapped)
                    ]
                    documents = foresee(said, "BENCH", foresight)
                prepared += [
                    one._replace(foreseen=bodies)
                    for one, bodies in zip(made, documents, strict=True)
                ]
            with stages.of("commit"):
                page_of = PageCommit(prepared, {}, now, provider=facility.provider)
                report = store.commit_page(run, page_of)
            assert len(report.foreseen) == report.entities
            foreseen += report.foreseen
        index(foreseen, folder / "profile", stages)
    taken = [(name, seconds / records * 1e6) for name, seconds in stages.seconds.items()]
    written_s = inserting_s(folder / "profile" / FILE_NAME, folder / "copy.sqlite", records // PAGE)
    tantivy = sum(microseconds for name, microseconds in taken if "Tantivy" in name)
    alone = [
        ("lxml, parsing", parsed_s / records * 1e6),
        ("SQLite, inserting rows", written_s / records * 1e6),
        ("Tantivy", tantivy),
    ]
    return taken, alone


def index(foreseen: Sequence[Any], folder: Path, stages: Stages) -> None:
    """What the indexer does with documents that are made ahead, stage by stage."""
    from catalogue.engines.tantivy import TantivyEngine

    engine = TantivyEngine(folder)
    engine._open()
    beside = Stages()
    for start in range(0, len(foreseen), 2 * PAGE):
        with beside.of("number documents"):
            ready = [engine.numbering.number(one) for one in foreseen[start : start + 2 * PAGE]]
        with beside.of("add to Tantivy"):
            engine._apply(ready)
    with beside.of("commit Tantivy"):
        engine._commit(foreseen[-1].change)
    beside.add_the_rest("Tantivy's threads")
    stages.seconds |= beside.seconds
    engine._close()


def _print_costs(costs: Sequence[tuple[str, float]]) -> float:
    """Print them; their sum."""
    whole = sum(cost for _, cost in costs)
    for name, cost in (*costs, ("all", whole)):
        print(f"  {name:<24}{cost:>8.1f} µs a record")
    return whole


def main() -> int:
    """Measure; 1 when the harvest is below half of what Sickle merely reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, 100_000)
    asked = parser.parse_args()
    with endpoint(asked.records, asked.make) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        curve: list[Point] = []
        sickle = measured(lambda: read_with_sickle(url))
        ours = measured(lambda: read_with_ours(url))
        whole = measured(lambda: harvest(url, folder, curve))
        for name_of, cost in (
            ("Sickle, reading", sickle),
            ("our client, reading", ours),
            ("durable and searchable", whole),
        ):
            assert cost.result == asked.records
            print(
                f"{name_of + ':':<28}{asked.records / cost.clock_s:>8,.0f} records/s, "
                f"{cost.processor_s / asked.records * 1e6:>7,.0f} µs of processor a record"
            )
        faster = sickle.clock_s / ours.clock_s
        print(f"reading ÷ Sickle:           {faster:>8.2f}   goal {GOAL_READING}")
        ratio = sickle.clock_s / whole.clock_s
        print(f"whole harvest ÷ Sickle:     {ratio:>8.2f}   goal {GOAL_HARVEST}")
        most = max(point.resident for point in curve)
        print(f"resident memory, at most:   {most / 2**20:>8,.0f} MiB")
        sample = min(asked.records, 10_000)
        print(f"each stage by itself, one core, {sample:,} records:")
        stages, alone = profile(sample, asked.make, folder)
        _print_costs(stages)
        print("the libraries alone:")
        least = _print_costs(alone) / 2
        half = sickle.clock_s / asked.records * 1e6 / LEAST_HARVEST
        print(
            f"that over two cores: {least:.0f} µs, {least / half:.2f} of the {half:.0f} that a "
            f"record may take at {LEAST_HARVEST} × Sickle"
        )
    return 0 if ratio >= LEAST_HARVEST else 1


if __name__ == "__main__":
    raise SystemExit(main())
