"""Is a search that asks ten facilities as good as one index over what they hold?

    python -m benchmarks.relevance_live [FOLDER] [--queries 225] [--kind no-text …] [--whole 0]

FOLDER holds a collection with judgements (see ``relevance``). Its records are spread at random over
ten simulated facilities of one kind: good full-text ranking, substrings only, no text search at all
(refusing it, or ignoring it: ``deaf``). The catalogue is empty; ``sources check`` has been run. The
same questions go over HTTP to a server that asks the facilities and to one that has indexed the
union. A facility of so few records is read whole; ``--whole 0`` has the server treat each as one
that is too large for that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.live import Place, check_all, configure, lines_of, serving, settings_of
from benchmarks.relevance import Judgements, measure, read_collection
from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.records import PageCommit, SourceRecord
from mappings import crosswalk
from mappings.context import Header
from simulator import TEXT_KINDS, FacilitySpec, Record, RestOptions, running_all
from simulator.ranking import Taste
from simulator.simulated_time import START

FACILITIES = 10
DEPTH = 10
AT_ONCE = 2
TASTES: tuple[Taste, ...] = ("shuffled", "newest", "title", "id")
Documents = Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Asked:
    """Rankings by query, and what else the answers said. ``states`` counts facility lines."""

    ranking: dict[str, list[str]] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0


def documents_of(folder: Path) -> tuple[Documents, dict[str, str], Judgements]:
    """The collection as PaNOSC Documents with DOIs, its queries, and gains by DOI."""
    changes, queries, judgements = read_collection(folder)
    documents = []
    for change in changes:
        record = change.entity.record or {}
        documents.append(
            {
                "pid": doi_of(str(record["pid"])),
                "doi": doi_of(str(record["pid"])),
                "type": "proposal",
                "isPublic": True,
                "title": record["title"],
                "summary": record["summary"],
                "releaseDate": "2020-01-01T00:00:00.000Z",
            }
        )
    gains = {
        query: {doi_of(name): gain for name, gain in found.items()}
        for query, found in judgements.items()
    }
    return documents, queries, gains


def doi_of(number: str) -> str:
    return f"10.5072/collection.{number}"


def specs(documents: Documents, kind: str, seed: int = 6) -> list[FacilitySpec]:
    """Ten facilities of one kind, each with a random tenth and a scale and order of its own."""
    chosen = random.Random(seed)
    parts: list[list[Record]] = [[] for _ in range(FACILITIES)]
    for number, document in enumerate(documents):
        record = Record(f"oai:collection:{number}", START, document=document)
        parts[chosen.randrange(FACILITIES)].append(record)
    return [
        FacilitySpec(
            f"F{place}",
            records=part,
            rest=RestOptions(dialect=TEXT_KINDS[kind], taste=TASTES[place % len(TASTES)]),
            faults=f"scale-scores:{10 ** (place % 4)}",
        )
        for place, part in enumerate(parts)
    ]


async def build_union(folder: Path, documents: Documents) -> None:
    """One index over everything, in a data folder of its own."""
    async with Catalogue.open(settings_of(folder).data) as catalogue:
        facility = Facility("UNION", "Union", "http://127.0.0.1/api", demo=True)
        source = Source("union", "UNION", "panosc", "http://127.0.0.1/api", "panosc-json",
                        demo=True)  # fmt: skip
        catalogue.store.put_configuration([facility], [source])
        context = mapping_context(facility, source)
        records = []
        for document in documents:
            header = Header(f"Document/{document['pid']}")
            mapped = crosswalk("panosc-document", document, context, header)
            raw = json.dumps(document).encode()
            records.append(SourceRecord(header, "panosc-document", raw, mapped))
        run = catalogue.store.begin_run("union", kind="full", holder="benchmark", now=START,
                                        lease_s=86_400)  # fmt: skip
        catalogue.store.commit_page(run, PageCommit(records, None, START))
        catalogue.store.finish_run(run, "ok", "end_of_list", START)
        await catalogue.indexer.index_once()


async def ask_all(url: str, queries: Mapping[str, str]) -> Asked:
    """The first ten of every query, by the server's own way of answering."""
    asked = Asked()
    slots = asyncio.Semaphore(AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=120)
    started = time.perf_counter()

    async def one(session: aiohttp.ClientSession, number: str, words: str) -> None:
        params = {"q": words, "match": "any", "limit": str(DEPTH)}
        async with slots, session.get(f"{url}/api/search", params=params) as response:
            if response.status != 200:
                asked.refused[response.status] += 1
                asked.ranking[number] = []
                return
            answer = await response.json()
        asked.states.update(lines_of(answer).values())
        asked.ranking[number] = [str(hit.get("doi") or hit["pid"]) for hit in answer["hits"]]

    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
        for number, words in queries.items():
            tasks.create_task(one(session, number, words))
    asked.seconds = time.perf_counter() - started
    return asked


async def ask_union(documents: Documents, queries: Mapping[str, str]) -> Asked:
    with tempfile.TemporaryDirectory() as folder:
        await build_union(Path(folder), documents)
        settings = settings_of(Path(folder))
        assert settings.config is not None
        settings.config.write_text("")
        with serving(settings) as server:
            return await ask_all(server.url, queries)


async def ask_live(
    documents: Documents, queries: Mapping[str, str], kind: str, whole: int | None
) -> Asked:
    """From an empty catalogue, after ``sources check``."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_all(specs(documents, kind)) as facilities:
            places = [Place(facility.name, facility.api_url) for facility in facilities]
            settings = configure(Path(folder), places)
            problems = await check_all(settings, places)
            for name, found in sorted(problems.items())[:1]:
                print(f"{kind}: {name} (and {len(problems) - 1} more): {'; '.join(found)[:200]}")
            chosen = {} if whole is None else {"PAN_COMMONS_LIVE_WHOLE": str(whole)}
            with serving(settings, chosen) as server:
                return await ask_all(server.url, queries)


def overlap(ours: Mapping[str, Sequence[str]], whole: Mapping[str, Sequence[str]]) -> float:
    """Mean share of the whole's first ten that we have among ours."""
    shares = [
        len(set(ours[query][:DEPTH]) & set(best[:DEPTH])) / len(best[:DEPTH])
        for query, best in whole.items()
        if best
    ]
    return sum(shares) / max(len(shares), 1)


async def report(
    folder: Path, kinds: Sequence[str], most: int, whole: int | None
) -> dict[str, dict[str, Any]]:
    """Figures by kind of facility."""
    documents, queries, judgements = await asyncio.to_thread(documents_of, folder)
    queries = dict(list(queries.items())[:most])
    union = await ask_union(documents, queries)
    best = measure(union.ranking, judgements)["nDCG@10"]
    found: dict[str, dict[str, Any]] = {
        "one index over the union": {"nDCG@10": best, "seconds": union.seconds}
    }
    for kind in kinds:
        live = await ask_live(documents, queries, kind, whole)
        reached = measure(live.ranking, judgements)["nDCG@10"]
        found[kind] = {
            "nDCG@10": reached,
            "ratio": reached / best,
            "overlap": overlap(live.ranking, union.ranking),
            "seconds": live.seconds,
            "states": dict(live.states),
            "refused": dict(live.refused),
        }
    return found


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "cranfield"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=beside)
    parser.add_argument("--kind", action="append", choices=list(TEXT_KINDS))
    parser.add_argument("--queries", type=int, default=225)
    parser.add_argument("--whole", type=int, help="Records up to which one is read whole.")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is no folder with *_docs.json, *_queries.json, *_qrels.json")
    kinds = chosen.kind or list(TEXT_KINDS)
    found = asyncio.run(report(chosen.folder, kinds, chosen.queries, chosen.whole))
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'':26}{'nDCG@10':>9}{'ratio':>8}{'overlap':>9}{'s':>7}  goals: 0.99 and 0.95")
    for what, row in found.items():
        ratio, share = row.get("ratio", 1.0), row.get("overlap", 1.0)
        print(f"{what:26}{row['nDCG@10']:9.4f}{ratio:8.3f}{share:9.3f}{row['seconds']:7.1f}"
              f"  {row.get('states', '')} {row.get('refused') or ''}")  # fmt: skip


if __name__ == "__main__":
    main()
