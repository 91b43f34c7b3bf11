"""The order of scored hits: scores on our scale, equal ones by ordinal (semantics 8.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from catalogue.engines.base import EngineHit, PageRequest
from catalogue.plan import Numbers
from catalogue.scoring import all_normalised, normalised
from catalogue.settled import Settled

MAX_SCORED = 10_000
"""How deep relevance pages go by ``skip``; deeper the cursor leads (semantics 9.2, fault F09)."""

TIE_ROOM = 32
"""Hits fetched beyond a page, so that equal rounded scores at its end come in order."""

TIED = (1_000, 2 * MAX_SCORED)
"""How many of the best are ranked when there are more equal scores than that."""


async def rank(
    settled: Settled, request: PageRequest, hits: Sequence[EngineHit], best: float
) -> list[EngineHit]:
    """Scores on our scale, equal ones in the order of their ordinals, cut to the page."""
    search = settled.search
    wanted = search.skip + search.limit
    scaled = all_normalised([hit.score for hit in hits], best)
    if len(hits) < request.limit or scaled[-1] != scaled[wanted - 1]:
        # Who is equal to the last of the page is among them.
        ranked = [
            EngineHit(hit.key, hit.ordinal, hit.change, score)
            for hit, score in zip(hits, scaled, strict=True)
        ]
        ranked.sort(key=_best_first)
        return ranked[search.skip : wanted]
    return await _ranked_among_more(settled, replace(request, count=False, facets=()))


def _best_first(hit: EngineHit) -> tuple[float, int]:
    return -hit.score, hit.ordinal


async def _ranked_among_more(settled: Settled, request: PageRequest) -> list[EngineHit]:
    """The same where more scores are equal than were fetched."""
    search = settled.search
    wanted = search.skip + search.limit
    ranked: list[tuple[int, float]] = []
    for most in TIED:
        if most > request.limit:
            request = replace(request, limit=most)
            pairs, best = await settled.reader.ranking(request)
            ranked = on_scale(pairs, best, wanted)
            if len(ranked) < most or ranked[-1][1] != ranked[wanted - 1][1]:
                break
    # With more equal scores than that the engine's own order among them has to do.
    page = ranked[search.skip : wanted]
    if not page:
        return []
    plan = Numbers("ordinal", frozenset(ordinal for ordinal, _ in page))
    versions = await settled.reader.versions(search.entity_class, plan)
    held = {ordinal: (key, change) for key, (ordinal, change) in versions.items()}
    return [
        EngineHit(held[ordinal][0], ordinal, held[ordinal][1], score)
        for ordinal, score in page
        if ordinal in held
    ]


def on_scale(
    pairs: Iterable[tuple[int, float]], best: float, wanted: int | None = None
) -> list[tuple[int, float]]:
    """(ordinal, score) with scores on our scale, best first, equal ones by ordinal.

    Args:
        wanted: the best so many will do, with all that are as good as the last of them; then
            ``pairs`` must come best first.
    """
    scaled: list[tuple[int, float]] = []
    last = -1.0
    for ordinal, raw in pairs:
        score = normalised(raw, best)
        if len(scaled) == wanted:
            last = scaled[-1][1]
        if score < last:
            break
        scaled.append((ordinal, score))
    return sorted(scaled, key=lambda pair: (-pair[1], pair[0]))


async def ranked_ordinals(settled: Settled, most: int = MAX_SCORED) -> list[tuple[int, float]]:
    """(ordinal, score) of the best hits: what a relevance cursor keeps."""
    request = PageRequest(
        settled.search.entity_class, settled.plan(), settled.scores, limit=most, count=False
    )
    pairs, best = await settled.reader.ranking(request)
    return on_scale(pairs, best)
