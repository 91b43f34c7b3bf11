"""How well texts are ranked, on Cranfield (issue: reach plain BM25, then pass it)."""

from __future__ import annotations

from pathlib import Path

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
