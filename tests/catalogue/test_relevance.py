"""How well texts are ranked, on Cranfield (issue: reach plain BM25, then pass it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.relevance import average_precision, measure, ndcg, rank, read_collection, recall


def test_measures_by_hand() -> None:
    gains = {"a": 3.0, "b": 1.0}
    assert ndcg(["a", "b"], gains) == 1.0
    assert ndcg(["x", "a"], gains) == pytest.approx((3 / 1.584963) / (3 + 1 / 1.584963), rel=1e-6)
    assert average_precision(["x", "a", "b"], gains) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert recall(["a", "x"], gains) == 0.5


async def test_our_ranking_passes_plain_bm25(shared_data: Path) -> None:
    changes, queries, judgements = read_collection(shared_data / "cranfield")
    found = {}
    for plain in (False, True):
        ranked = await rank(changes, queries, plain=plain)
        ranking = {number: [doc for doc, _ in hits] for number, hits in ranked.items()}
        found[plain] = measure(ranking, judgements)["nDCG@10"]
    assert found[False] > 0.541
    assert found[False] > found[True] + 0.008


DOCS = [{"id": 1, "title": "glass", "body": "of silica"}, {"id": "b:2", "body": "ice"}]


@pytest.mark.parametrize(
    ("docs", "queries", "qrels"),
    [
        (
            DOCS,
            [{"query number": 7, "query": "glass"}, {"query number": 9, "query": "ice"}],
            [{"query_num": "1", "position": 1, "id": "1"},
             {"query_num": "2", "position": 4, "id": "b:2"},
             {"query_num": "2", "position": -1, "id": "1"}],
        ),
        (
            [{"_id": "1", "text": "glass"}, {"_id": "b:2", "text": "ice", "title": None}],
            [{"query_id": "7", "text": "glass"}, {"query_id": "9", "text": "ice"}],
            [{"query_id": 7, "doc_id": 1, "relevance": 4},
             {"query_id": 9, "doc_id": "b:2", "relevance": 1},
             {"query_id": 9, "doc_id": "1", "relevance": 0}],
        ),
    ],
    ids=["as Cranfield's", "by the queries' own numbers"],
)  # fmt: skip
@pytest.mark.parametrize("lines", [False, True], ids=["an array", "an object a line"])
async def test_another_collection_in_the_same_form_can_be_measured(
    tmp_path: Path, docs: Any, queries: Any, qrels: Any, lines: bool
) -> None:
    for name, listed in (("docs", docs), ("queries", queries), ("qrels", qrels)):
        text = "\n".join(map(json.dumps, listed)) if lines else json.dumps(listed)
        (tmp_path / f"other_{name}.json").write_text(text, "utf-8")
    changes, asked, judgements = read_collection(tmp_path)
    assert [list(gains.values()) for gains in judgements.values()] == [[4.0], [1.0]]
    ranked = await rank(changes, asked)
    assert [[doc for doc, _ in hits] for hits in ranked.values()] == [["1"], ["b:2"]]
    figures = measure({n: [doc for doc, _ in hits] for n, hits in ranked.items()}, judgements)
    assert figures == {"nDCG@10": 1.0, "MAP": 1.0, "recall@100": 1.0}


def test_a_folder_without_a_collection_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"0 files \*_docs\.json"):
        read_collection(tmp_path)
