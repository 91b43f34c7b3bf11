"""Why a hit has its score: the parts in words and numbers (semantics 8.4).

Each part is asked of the engine itself, for the hits of the page only, so that the explanation
adds up to the score that was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from catalogue.answers import Explanation, Hit
from catalogue.engines.base import PageRequest
from catalogue.plan import LevelScore, Numbers, Score, WordScore
from catalogue.search import Settled

FIELD_WORDS = {
    "text": "anywhere in the record",
    "title": "in the title",
    "wholes": "as a compound or identifier",
}


async def explain_hits(settled: Settled, hits: Sequence[Hit]) -> list[Hit]:
    """The hits with their explanations."""
    ordinals = frozenset(hit.entity.ordinal for hit in hits)
    if not ordinals:
        return []
    parts: dict[int, list[dict[str, Any]]] = {ordinal: [] for ordinal in ordinals}
    sums: dict[int, dict[str, float]] = {o: {"text": 0.0, "technique": 0.0} for o in ordinals}
    for score in settled.scores:
        side = "technique" if _is_technique(score) else "text"
        for ordinal, points in (await _points(settled, (score,), ordinals)).items():
            sums[ordinal][side] += points
            parts[ordinal].append(
                {"what": _what(score), "part": side, "points": round(points, 6), "fields": []}
            )
        if isinstance(score, WordScore):
            await _add_fields(settled, score, parts)
    best = await _best_possible(settled)
    return [
        replace(
            hit,
            explanation=Explanation(
                text=round(sums[hit.entity.ordinal]["text"], 6),
                technique=round(sums[hit.entity.ordinal]["technique"], 6),
                best_possible=round(best, 6),
                parts=parts[hit.entity.ordinal],
            ),
        )
        for hit in hits
    ]


async def _add_fields(
    settled: Settled, score: WordScore, parts: dict[int, list[dict[str, Any]]]
) -> None:
    """Which field gave how much, under the word's entry."""
    for clause in score.clauses:
        alone = WordScore(score.word, (clause,))
        found = await _points(settled, (alone,), frozenset(parts))
        for ordinal, points in found.items():
            entry = {"where": FIELD_WORDS[clause.field], "points": round(points, 6)}
            parts[ordinal][-1]["fields"].append(entry)


async def _points(
    settled: Settled, scores: tuple[Score, ...], ordinals: frozenset[int]
) -> dict[int, float]:
    request = PageRequest(
        settled.search.entity_class,
        Numbers("ordinal", ordinals),
        scores,
        limit=len(ordinals),
        count=False,
    )
    pairs, _ = await settled.reader.ranking(request)
    return {ordinal: points for ordinal, points in pairs if points > 0}


async def _best_possible(settled: Settled) -> float:
    request = PageRequest(
        settled.search.entity_class, settled.plan(), settled.scores, limit=1, count=False
    )
    return (await settled.reader.ranking(request))[1]


def _is_technique(score: Score) -> bool:
    return isinstance(score, LevelScore) and len(score.levels) > 1


def _what(score: Score) -> str:
    if isinstance(score, WordScore):
        return f"the word “{score.word}”"
    return f"tagged with or near {score.what}" if _is_technique(score) else f"words in {score.what}"
