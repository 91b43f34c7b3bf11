"""How well texts are ranked: nDCG@10, MAP and recall@100 on a collection with judgements.

    python benchmarks/relevance.py [FOLDER]

FOLDER holds ``*_docs.json``, ``*_queries.json`` and ``*_qrels.json`` (default: Cranfield beside the
checkout). Compared in one run: our text scoring (``match=any``) over one index; the same with the
records spread at random over ten facilities, each with an index of its own, whose answers are
merged by score; and plain BM25 over all text in one field.

Grades: Cranfield's positions 1 (best) to 4 become gains 4 to 1; -1 and anything else is no gain.
Other collections may give a ``grade`` (higher is better) in place of ``position``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catalogue import scoring, text_query
from catalogue.documents import engine_document
from catalogue.engines.base import PageRequest
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
    (docs_file,) = folder.glob("*_docs.json")
    (queries_file,) = folder.glob("*_queries.json")
    (qrels_file,) = folder.glob("*_qrels.json")
    changes = [_change(n, doc) for n, doc in enumerate(json.loads(docs_file.read_text()), 1)]
    queries = {
        # Judgements of Cranfield count the queries from 1 in the order of the file.
        str(n): str(query["query"])
        for n, query in enumerate(json.loads(queries_file.read_text()), 1)
    }
    gains: dict[str, dict[str, float]] = {}
    for judged in json.loads(qrels_file.read_text()):
        if "grade" in judged:
            gain = float(judged["grade"])
        else:
            position = int(judged["position"])
            gain = float(5 - position) if 1 <= position <= 4 else 0.0
        if gain > 0:
            gains.setdefault(str(judged["query_num"]), {})[str(judged["id"])] = gain
    return changes, queries, gains


def _change(number: int, doc: Mapping[str, Any]) -> Change:
    key = f"document:local:cranfield:{doc['id']}"
    record = {
        "class": "Document", "key": key, "pid": str(doc["id"]), "facility": "cranfield",
        "facilities": ["cranfield"], "access": {"evidence": []}, "kind": "data",
        "title": doc.get("title") or "", "summary": doc.get("body") or doc.get("text") or "",
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
    with tempfile.TemporaryDirectory() as folder:
        engine = TantivyEngine(Path(folder))
        await engine.open()
        await engine.apply([engine_document(change) for change in changes])
        await engine.commit(1)
        reader = await engine.reader()
        found = {}
        for number, words in queries.items():
            plan = plan_text(Text(words, match="any", recognise=False))
            scores = tuple(_plain(s) for s in plan.scores) if plain else plan.scores
            page = await reader.page(
                PageRequest("Document", plan.any_of, scores, limit=depth, count=False)
            )
            found[number] = [
                (hit.key.rpartition(":")[2], normalised(hit.score, page.best_possible))
                for hit in page.hits
            ]
        await engine.close()
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


def main() -> None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "cranfield"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=beside)
    parser.add_argument("--facilities", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--boost", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--tie-breaker", type=float)
    chosen = parser.parse_args()
    for boost in chosen.boost:
        name, _, value = boost.partition("=")
        scoring.BOOSTS[name] = float(value)
        text_query.BOOSTS[name] = float(value)
    if chosen.tie_breaker is not None:
        from catalogue.engines import tantivy_index

        tantivy_index.TIE_BREAKER = chosen.tie_breaker
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is no folder with *_docs.json, *_queries.json, *_qrels.json")
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
