"""Why a hit has its score: the parts in words and numbers (semantics 8.4).

Each part is asked of the engine itself, for the hits of the page only, so that the explanation
adds up to the score that was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catalogue.answers import Explanation, Hit
from catalogue.engines.base import PageRequest
from catalogue.plan import LevelScore, Numbers, Score, WordScore
from catalogue.settled import Settled

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
    points, best = await _points(settled, ordinals)
    for score in settled.scores:
        side = "technique" if _is_technique(score) else "text"
        for ordinal, given in points[score].items():
            sums[ordinal][side] += given
            fields = [
                {"where": FIELD_WORDS[one.clauses[0].field], "points": round(found, 6)}
                for one in _by_field(score)
                if (found := points[one].get(ordinal))
            ]
            parts[ordinal].append(
                {"what": _what(score), "part": side, "points": round(given, 6), "fields": fields}
            )
    return [
        hit._replace(
            explanation=Explanation(
                text=round(sums[hit.entity.ordinal]["text"], 6),
                technique=round(sums[hit.entity.ordinal]["technique"], 6),
                best_possible=round(best, 6),
                parts=parts[hit.entity.ordinal],
            ),
        )
        for hit in hits
    ]


async def _points(
    settled: Settled, ordinals: frozenset[int]
) -> tuple[dict[Score, dict[int, float]], float]:
    """What each score, and each field of it alone, gives each hit, and the best possible sum."""
    scores = list(dict.fromkeys(o for one in settled.scores for o in (one, *_by_field(one))))
    entity_class = settled.search.entity_class
    plan = Numbers("ordinal", ordinals)
    requests = [
        PageRequest(entity_class, plan, (score,), limit=len(ordinals), count=False)
        for score in scores
    ]
    every = PageRequest(entity_class, settled.plan(), settled.scores, limit=1, count=False)
    *found, (_, best) = await settled.reader.rankings([*requests, every])
    return {
        score: {ordinal: points for ordinal, points in pairs if points > 0}
        for score, (pairs, _) in zip(scores, found, strict=True)
    }, best


def _by_field(score: Score) -> list[WordScore]:
    """A word's score in each of its fields alone."""
    if not isinstance(score, WordScore):
        return []
    return [WordScore(score.word, (clause,)) for clause in score.clauses]


def _is_technique(score: Score) -> bool:
    return isinstance(score, LevelScore) and len(score.levels) > 1


def _what(score: Score) -> str:
    if isinstance(score, WordScore):
        return f"the word “{score.word}”"
    return f"tagged with or near {score.what}" if _is_technique(score) else f"words in {score.what}"
