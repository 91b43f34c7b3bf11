"""How well texts are ranked: nDCG@10, MAP and recall@100 on a collection with judgements.

    python benchmarks/relevance.py [FOLDER] [--cross-validate]

FOLDER holds ``*_docs.json``, ``*_queries.json`` and ``*_qrels.json`` (default: Cranfield beside the
checkout). Compared in one run: our text scoring (``match=any``) over one index; the same with the
records spread at random over ten facilities, each with an index of its own, whose answers are
merged by score; and plain BM25 over all text in one field. Facilities that are asked live are
measured by ``relevance_live``.

``--cross-validate`` chooses title's and wholes' boosts and the tie breaker on a random half of the
queries and reports on the other half, a hundred times: what of a lead is not merely tuned.

Files are JSON arrays, objects by identifier, or one JSON object a line. Grades: Cranfield's
positions 1 (best) to 4 become gains 4 to 1; -1 and anything else is no gain. Other collections may
give a ``grade``, ``relevance`` or ``gain`` (higher is better, 0 is none) in place of ``position``.
Judgements name a query by its own number where all of them do; else, as Cranfield's, by its place
in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from operator import gt
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catalogue import scoring, text_query
from catalogue.documents import engine_document
from catalogue.engines import tantivy_index
from catalogue.engines.base import PageRequest, Reader
from catalogue.engines.tantivy import TantivyEngine
from catalogue.plan import Clause, WordScore
from catalogue.query import Text
from catalogue.records import Change, StoredEntity
from catalogue.scoring import normalised
from catalogue.text_query import plan_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEPTH = 100
Judgements = Mapping[str, Mapping[str, float]]
Ranking = Mapping[str, Sequence[str]]


def read_collection(
    folder: Path,
) -> tuple[list[Change], dict[str, str], dict[str, dict[str, float]]]:
    """Records, queries by number, and gains by query and record."""
    docs = {_first(doc, *_ID): doc for doc in _listed(folder, "docs")}
    changes = [_change(n, name, doc) for n, (name, doc) in enumerate(docs.items(), 1)]
    asked = _listed(folder, "queries")
    judgements = _listed(folder, "qrels")
    judged = {_first(one, *_QUERY, "id") for one in judgements}
    own = [_first(query, *_QUERY, *_ID) for query in asked]
    # Judgements of Cranfield count the queries from 1 in the order of the file.
    numbers = own if judged <= set(own) else [str(n) for n in range(1, len(asked) + 1)]
    queries = {
        number: _first(query, "query", "text", "title", "body")
        for number, query in zip(numbers, asked, strict=True)
    }
    gains: dict[str, dict[str, float]] = {}
    for one in judgements:
        gain = _gain(one)
        if gain > 0:
            doc = _first(one, "doc_id", "docid", "doc", "document", "id")
            gains.setdefault(_first(one, *_QUERY, "id"), {})[doc] = gain
    return changes, queries, gains


_ID = ("id", "_id", "doc_id", "docid", "docno")
_QUERY = ("query_num", "query number", "query_number", "query_id", "query-id", "qid")


def _listed(folder: Path, what: str) -> list[Mapping[str, Any]]:
    """The objects of the one file of a kind, in its order."""
    found = sorted(folder.glob(f"*_{what}.json"))
    if len(found) != 1:
        raise SystemExit(f"{folder} has {len(found)} files *_{what}.json; there must be one.")
    text = found[0].read_text("utf-8-sig")
    try:
        read = json.loads(text)
    except ValueError:
        read = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(read, list):
        return read
    return [
        one if isinstance(one, Mapping) and any(key in one for key in (*_ID, *_QUERY))
        else {"id": name, **(one if isinstance(one, Mapping) else {"query": one})}
        for name, one in read.items()
    ]  # fmt: skip


def _first(one: Mapping[str, Any], *names: str) -> str:
    """The first of the fields that there is, as text; empty without any."""
    return next((str(one[name]).strip() for name in names if one.get(name) is not None), "")


def _gain(judged: Mapping[str, Any]) -> float:
    for name in ("grade", "relevance", "rel", "gain", "score"):
        if judged.get(name) is not None:
            return float(judged[name])
    position = int(float(judged.get("position", 1)))
    return float(5 - position) if 1 <= position <= 4 else 0.0


def _change(number: int, name: str, doc: Mapping[str, Any]) -> Change:
    key = f"document:local:collection:{number}"
    record = {
        "class": "Document", "key": key, "pid": name, "facility": "collection",
        "facilities": ["collection"], "access": {"evidence": []}, "kind": "data",
        "title": _first(doc, "title"),
        "summary": _first(doc, "body", "text", "abstract", "contents"),
    }  # fmt: skip
    return Change(StoredEntity(key, "Document", number, number, False, record))


def ndcg(ranked: Sequence[str], gains: Mapping[str, float], depth: int = 10) -> float:
    found = sum(gains.get(doc, 0.0) / math.log2(n + 2) for n, doc in enumerate(ranked[:depth]))
    best = sorted(gains.values(), reverse=True)[:depth]
    ideal = sum(gain / math.log2(n + 2) for n, gain in enumerate(best))
    return found / ideal if ideal else 0.0


def average_precision(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
    hits = 0
    total = 0.0
    for place, doc in enumerate(ranked, 1):
        if doc in gains:
            hits += 1
            total += hits / place
    return total / len(gains)


def recall(ranked: Sequence[str], gains: Mapping[str, float], depth: int = DEPTH) -> float:
    return len(set(ranked[:depth]) & gains.keys()) / len(gains)


def measure(ranking: Ranking, judgements: Judgements) -> dict[str, float]:
    judged = [number for number in judgements if number in ranking]
    count = max(1, len(judged))
    return {
        "nDCG@10": sum(ndcg(ranking[q], judgements[q]) for q in judged) / count,
        "MAP": sum(average_precision(ranking[q], judgements[q]) for q in judged) / count,
        "recall@100": sum(recall(ranking[q], judgements[q]) for q in judged) / count,
    }


async def rank(changes: Iterable[Change], queries: Mapping[str, str], *, plain: bool = False,
               depth: int = DEPTH) -> dict[str, list[tuple[str, float]]]:  # fmt: skip
    """(record, score) by query, best first, from a freshly built index."""
    listed = list(changes)
    async with _indexed(listed) as reader:
        return await _ranked(reader, _names(listed), queries, plain=plain, depth=depth)


@asynccontextmanager
async def _indexed(changes: Iterable[Change]) -> AsyncIterator[Reader]:
    with tempfile.TemporaryDirectory() as folder:
        engine = TantivyEngine(Path(folder))
        await engine.open()
        await engine.apply([engine_document(change) for change in changes])
        await engine.commit(1)
        try:
            yield await engine.reader()
        finally:
            await engine.close()


def _names(changes: Iterable[Change]) -> dict[str, str]:
    """The collection's own identifiers, by key."""
    return {change.entity.key: str(change.entity.record["pid"]) for change in changes}


async def _ranked(reader: Reader, names: Mapping[str, str], queries: Mapping[str, str], *,
                  plain: bool = False, depth: int = DEPTH
                  ) -> dict[str, list[tuple[str, float]]]:  # fmt: skip
    found: dict[str, list[tuple[str, float]]] = {}
    for number, words in queries.items():
        if not words.strip():
            found[number] = []
            continue
        plan = plan_text(Text(words, match="any", recognise=False))
        scores = tuple(_plain(s) for s in plan.scores) if plain else plan.scores
        page = await reader.page(
            PageRequest("Document", plan.any_of, scores, limit=depth, count=False)
        )
        found[number] = [
            (names[hit.key], normalised(hit.score, page.best_possible)) for hit in page.hits
        ]
    return found


def _plain(score: Any) -> Any:
    """The word in the field that holds everything, alone."""
    if isinstance(score, WordScore):
        clauses = [c for c in score.clauses if c.field == "text"]
        return WordScore(score.word, tuple(Clause("text", c.term) for c in clauses))
    return score


async def rank_merged(
    changes: Sequence[Change], queries: Mapping[str, str], facilities: int
) -> dict[str, list[str]]:
    """Ten facilities answer with their own statistics; their hits are merged by score."""
    chosen = random.Random(6)
    parts: list[list[Change]] = [[] for _ in range(facilities)]
    for change in changes:
        parts[chosen.randrange(facilities)].append(change)
    answers = [await rank(part, queries) for part in parts]
    merged = {}
    for number in queries:
        hits = [hit for answer in answers for hit in answer[number]]
        merged[number] = [doc for doc, _ in sorted(hits, key=lambda hit: -hit[1])[:DEPTH]]
    return merged


async def report(folder: Path, facilities: int) -> dict[str, dict[str, float]]:
    changes, queries, judgements = await asyncio.to_thread(read_collection, folder)

    def documents(ranked: Mapping[str, Sequence[tuple[str, float]]]) -> Ranking:
        return {number: [doc for doc, _ in hits] for number, hits in ranked.items()}

    return {
        "one index": measure(documents(await rank(changes, queries)), judgements),
        f"{facilities} facilities merged": measure(
            await rank_merged(changes, queries, facilities), judgements
        ),
        "plain BM25, one field": measure(
            documents(await rank(changes, queries, plain=True)), judgements
        ),
    }


GRID = tuple(itertools.product((0.0, 0.2, 0.35, 0.5, 0.7, 1.0), (0.25, 0.5, 1.0),
                               (0.0, 0.15, 0.3, 0.5, 1.0)))  # fmt: skip
"""Boost of the title, boost of wholes, tie breaker."""

SPLITS = 100


async def cross_validate(folder: Path) -> dict[str, float]:
    """nDCG@10 on halves of the queries that the boosts were not chosen on."""
    changes, queries, judgements = await asyncio.to_thread(read_collection, folder)
    names = _names(changes)

    def by_query(ranked: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, float]:
        return {
            number: ndcg([doc for doc, _ in ranked[number]], judgements[number])
            for number in judgements
            if number in ranked
        }

    async with _indexed(changes) as reader:
        now = (scoring.BOOSTS["title"], scoring.BOOSTS["wholes"], tantivy_index.TIE_BREAKER)
        plain = by_query(await _ranked(reader, names, queries, plain=True, depth=10))
        tried: dict[tuple[float, float, float], dict[str, float]] = {}
        for setting in (now, *GRID):
            _set(*setting)
            tried[setting] = by_query(await _ranked(reader, names, queries, depth=10))
        _set(*now)
    numbers = sorted(plain)
    draw = random.Random(1)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(SPLITS):
        draw.shuffle(numbers)
        chosen_on, held_out = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        best = max(tried, key=lambda setting: _mean(tried[setting], chosen_on))
        ours.append(_mean(tried[best], held_out))
        bare.append(_mean(plain, held_out))
    leads = sorted(
        _mean({n: tried[now][n] - plain[n] for n in numbers}, draw.choices(numbers, k=len(numbers)))
        for _ in range(2_000)
    )
    return {
        "held out, boosts chosen on the other half": sum(ours) / SPLITS,
        "plain BM25 on the same halves": sum(bare) / SPLITS,
        "share of halves where ours is ahead": sum(map(gt, ours, bare)) / SPLITS,
        "lead of the boosts in use, 2.5 % bound": leads[50],
        "lead of the boosts in use, 97.5 % bound": leads[-51],
    }


def _mean(figures: Mapping[str, float], numbers: Sequence[str]) -> float:
    return sum(figures[number] for number in numbers) / max(1, len(numbers))


def _set(title: float, wholes: float, tie_breaker: float) -> None:
    for boosts in (scoring.BOOSTS, text_query.BOOSTS):
        boosts |= {"title": title, "wholes": wholes}
    tantivy_index.TIE_BREAKER = tie_breaker


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "cranfield"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=beside)
    parser.add_argument("--facilities", type=int, default=10)
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--boost", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--tie-breaker", type=float)
    chosen = parser.parse_args()
    for boost in chosen.boost:
        name, _, value = boost.partition("=")
        scoring.BOOSTS[name] = float(value)
        text_query.BOOSTS[name] = float(value)
    if chosen.tie_breaker is not None:
        tantivy_index.TIE_BREAKER = chosen.tie_breaker
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is no folder with *_docs.json, *_queries.json, *_qrels.json")
    if chosen.cross_validate:
        for what, figure in asyncio.run(cross_validate(chosen.folder)).items():
            print(f"{what:44} {figure:.4f}")
        return
    found = asyncio.run(report(chosen.folder, chosen.facilities))
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    names = ("nDCG@10", "MAP", "recall@100")
    print(f"{'':28}" + "".join(f"{name:>12}" for name in names))
    for what, figures in found.items():
        print(f"{what:28}" + "".join(f"{figures[name]:12.4f}" for name in names))


if __name__ == "__main__":
    main()
