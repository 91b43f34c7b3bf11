"""Search over generated records: our answers beside the bare engine's, in one run.

    python -m benchmarks.search [--records 100000] [--datasets-per-document 1] [--json]

Records go through the real store, outbox and indexer. Reported: indexing rate from the store beside
that of the library alone (its documents made beforehand, two threads, merges at the end not waited
for), index size beside the normalised records, p50 and p99 of text queries (1 to 4 words, half of
them common, all required) with three facets against the same Tantivy calls without our code, joins,
a parameter range, a deep unscored page, substring conditions, and resident memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import psutil
import tantivy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catalogue.catalogue import Catalogue
from catalogue.documents import engine_documents
from catalogue.engines.tantivy_documents import build_schema, rendered
from catalogue.engines.tantivy_writer import heap_bytes
from catalogue.facilities import Facility, Source
from catalogue.query import (
    And,
    Compare,
    Facet,
    Join,
    ParameterRange,
    Pattern,
    Search,
    TechniqueIn,
    Text,
    data_only,
)
from catalogue.records import PageCommit, SourceRecord
from catalogue.settled import settle
from catalogue.store import Store
from mappings.context import Header, Mapped

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMON = ("scattering", "crystal", "temperature", "sample", "measurement", "neutron", "structure")
TECHNIQUES = ("PaNET01188", "PaNET01189", "PaNET01168", "PaNET01030", "PaNET01012")
FACETS = (Facet("facility"), Facet("technique"), Facet("year"))
FACET_COLUMNS = ("f_facility", "technique_set", "f_year")
PAGE = 1_000
BARE_ENTITIES = 60_000
"""As many are held in memory for the library alone."""
SUBSTRINGS = {
    "substring of the title": (
        "cattering cry", "eutron sam", "ystal struc", "mple temp", "ement neu", "ucture sc",
        "rature mea",
    ),
    "rare substring": ("abcd", "bcde", "cdef", "defg", "efgh", "fghi", "ghij"),
}  # fmt: skip


def vocabulary(random: Random) -> list[str]:
    letters = "abcdefghijklmnoprstuvw"
    return ["".join(random.choices(letters, k=random.randint(5, 9))) for _ in range(30_000)]


def records(count: int, per_document: int) -> Iterator[SourceRecord]:
    """Documents with their Datasets, word frequencies roughly as in prose."""
    random = Random(6)
    words = vocabulary(random)
    for number in range(count):
        keys = [f"dataset:doi:10.5072/s{number}-{n}" for n in range(per_document)]
        year = 2000 + number % 25
        document = {
            "class": "Document", "key": f"document:doi:10.5072/d{number}",
            "pid": f"10.5072/d{number}", "doi": f"10.5072/d{number}", "kind": "data",
            "title": _prose(random, words, 8), "summary": _prose(random, words, 45),
            "years": {"first": year, "last": year}, "startDate": f"{year}-03-01T00:00:00Z",
            "access": {"evidence": [], "openFrom": f"{year + 3}-03-01T00:00:00Z"},
            "members": [{"role": "pi", "person": {"fullName": f"{random.choice(words)} Müller"}}],
            "keywords": [random.choice(words)], "datasets": keys, "facility": "ESS",
        }  # fmt: skip
        yield _record(f"d{number}", document)
        for n, key in enumerate(keys):
            kelvin = round(random.uniform(1, 1000), 6)
            sample = "silicon" if number % 2 else random.choice(words)
            dataset = {
                "class": "Dataset", "key": key, "pid": key[8:], "title": f"run {number}.{n}",
                "kind": "data", "size": number * 1_000, "access": {"evidence": []},
                "techniques": [{"pid": "x", "name": "x", "panet": random.choice(TECHNIQUES)}],
                "samples": [{"name": sample}],
                "instrument": {"name": f"beamline {number % 40}"},
                "parameters": [{
                    "name": "temperature", "value": kelvin, "unit": "K",
                    "quantity": {"dimension": "temperature", "low": kelvin, "high": kelvin,
                                 "canonical": "sample_temperature"},
                }],
                "documents": [document["key"]], "facility": "ESS",
            }  # fmt: skip
            yield _record(key, dataset)


def _prose(random: Random, words: list[str], length: int) -> str:
    picked = [
        random.choice(COMMON)
        if random.random() < 0.25
        else words[int(30_000 * random.random() ** 3)]
        for _ in range(length)
    ]
    return " ".join(picked)


def _record(identifier: str, entity: dict[str, Any]) -> SourceRecord:
    return SourceRecord(Header(identifier), "panosc", orjson.dumps(entity), Mapped((entity,)))


def fill(store: Store, count: int, per_document: int) -> int:
    """Commit the records; returns the bytes of the normalised records."""
    store.put_configuration(
        [Facility("ESS", "ESS", "https://ess.example/api")],
        [Source("ess", "ESS", "panosc", "https://ess.example/api", "panosc-json")],
    )
    run = store.begin_run("ess", kind="full", holder="benchmark", now=NOW, lease_s=100_000)
    size = 0
    page: list[SourceRecord] = []
    for record in records(count, per_document):
        size += len(record.payload or b"")
        page.append(record)
        if len(page) == PAGE:
            store.commit_page(run, PageCommit(page, None, NOW))
            page = []
    store.commit_page(run, PageCommit(page, None, NOW))
    store.finish_run(run, "ok", "end_of_list", NOW, None, {})
    return size


def bare_indexing(store: Store, folder: Path) -> float:
    """Entities a second that the library takes on both cores when everything else is free: no
    reading of records, no analysis, no JSON to be made. No indexer can be quicker."""
    bodies: dict[str, list[str]] = {}
    after = 0
    while after < BARE_ENTITIES and (changes := store.changes_since(after, 500)):
        for document in map(rendered, engine_documents(changes)):
            bodies.setdefault(document.entity_class, []).append(document.body.decode())
            after = document.change
    started = time.perf_counter()
    writers = []
    for class_name, documents in bodies.items():
        path = folder / class_name
        path.mkdir()
        index = tantivy.Index(build_schema(class_name), path=str(path))
        writer = index.writer(heap_bytes(BARE_ENTITIES), num_threads=2)
        for body in documents:
            writer.add_json(body)
        writers.append(writer)
    for writer in writers:
        writer.commit()
    seconds = time.perf_counter() - started
    for writer in writers:
        writer.wait_merging_threads()
    return sum(map(len, bodies.values())) / seconds


def percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": round(statistics.median(ordered) * 1_000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99) - 1] * 1_000, 2),
    }


async def timed(ask: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await ask()
    return time.perf_counter() - started


def questions(number: int) -> list[str]:
    """1 to 4 words, half of them common."""
    random = Random(7)
    words = vocabulary(Random(6))
    asked = []
    for _ in range(number):
        count = random.randint(1, 4)
        picked = [
            random.choice(COMMON) if n % 2 == 0 else words[int(30_000 * random.random() ** 3)]
            for n in range(count)
        ]
        asked.append(" ".join(picked))
    return asked


async def texts(catalogue: Catalogue, rounds: int) -> dict[str, Any]:
    """Ours, and the same engine calls without our code, in turn."""
    ours: list[float] = []
    bare: list[float] = []
    ours_cpu: list[float] = []
    bare_cpu: list[float] = []
    uncounted: list[float] = []
    for words in questions(rounds):
        search = Search("Document", NOW, data_only(), Text(words), facets=FACETS)
        seconds, used = await _bare(catalogue, search)
        bare.append(seconds)
        bare_cpu.append(used)
        started = time.process_time()
        ours.append(await timed(lambda search=search: catalogue.search(search)))
        ours_cpu.append(time.process_time() - started)
        quick = replace(search, count=False, facets=())
        uncounted.append(await timed(lambda quick=quick: catalogue.search(quick)))
    await catalogue.settle_snapshots()
    report: dict[str, Any] = {"ours": percentiles(ours), "bare engine": percentiles(bare)}
    report["added_p50_ms"] = round(report["ours"]["p50_ms"] - report["bare engine"]["p50_ms"], 2)
    # Of a machine that others use, too, processor time tells more than the clock does.
    report["ours, processor"] = percentiles(ours_cpu)
    report["bare engine, processor"] = percentiles(bare_cpu)
    report["without count and facets"] = percentiles(uncounted)
    return report


async def _bare(catalogue: Catalogue, search: Search) -> tuple[float, float]:
    """Query and facets straight on the library, from a query made beforehand: seconds, and those
    of the processor."""
    reader: Any = await catalogue.engine.reader()
    settled = await settle(search, reader, catalogue.store.entities)
    view = reader._views["Document"]
    query = view.scored(settled.plan(), settled.scores)
    plain = view.query(settled.plan())
    wanted = {f: {"terms": {"field": f, "size": 20}} for f in FACET_COLUMNS}
    started, used = time.perf_counter(), time.process_time()
    hits = view.searcher.search(query, limit=10, count=True).hits
    view.searcher.aggregate(plain, wanted)
    for _, address in hits:
        view.searcher.doc(address)
    return time.perf_counter() - started, time.process_time() - used


async def others(catalogue: Catalogue, count: int) -> dict[str, Any]:
    """Joins, ranges, deep pages, substrings: median of seven, in milliseconds."""
    silicon = Join("samples", Compare("name", "eq", "silicon"))
    half = Join("datasets", And((silicon, Compare("size", "gte", 0))))
    tenth = Join("datasets", And((silicon, Compare("size", "lt", count * 200))))
    asked = {
        "join, half of the children": Search("Document", NOW, half),
        "join, a tenth of the children": Search("Document", NOW, tenth),
        "parameter range over half": Search(
            "Dataset", NOW,
            ParameterRange(("sample_temperature",), "temperature", 300.1234, 800.4321),
        ),
        "page at skip 100,000": Search("Document", NOW, skip=min(100_000, count - 10)),
        "technique filter": Search("Document", NOW, TechniqueIn(("PaNET01188",))),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for what, patterns in SUBSTRINGS.items():
        fields = ("title",) if "title" in what else ("title", "summary")
        # Others each time: what was looked up once for a view of the index is remembered.
        asked_in_turn = [Search("Document", NOW, Pattern(fields, one)) for one in patterns]
        times = [await timed(lambda search=one: catalogue.search(search)) for one in asked_in_turn]
        found[what] = {
            "median_ms": round(statistics.median(times) * 1_000, 1),
            "matches": [(await catalogue.search(one)).total.value for one in asked_in_turn],
        }
    for what, search in asked.items():
        first = await timed(lambda search=search: catalogue.search(search))
        times = [await timed(lambda search=search: catalogue.search(search)) for _ in range(7)]
        total = (await catalogue.search(search)).total.value
        found[what] = {
            "first_ms": round(first * 1_000, 1),
            "median_ms": round(statistics.median(times) * 1_000, 1),
            "matches": total,
        }
    return found


async def report(count: int, per_document: int, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"documents": count, "datasets": count * per_document}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bare").mkdir()
        with Store.open(Path(folder)) as store:
            normalised = await asyncio.to_thread(fill, store, count, per_document)
            bare = await asyncio.to_thread(bare_indexing, store, Path(folder) / "bare")
        async with Catalogue.open(Path(folder)) as catalogue:
            started = time.perf_counter()
            indexed = await catalogue.indexer.index_once()
            seconds = time.perf_counter() - started
            found["indexed_per_s"] = round(indexed / seconds)
            found["the library alone, per_s"] = round(bare)
        async with Catalogue.open(Path(folder)) as catalogue:
            size = await catalogue.engine.size_bytes() or 0
            found["index_to_records"] = round(size / normalised, 2)
            found["text with three facets"] = await texts(catalogue, rounds)
            found |= await others(catalogue, count)
        found["resident_mb"] = round(psutil.Process().memory_info().rss / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--datasets-per-document", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = asyncio.run(report(chosen.records, chosen.datasets_per_document, chosen.rounds))
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
