"""What a score is (semantics 8): BM25 with the norm coding that Lucene and Tantivy share.

Boosts, tie breaker and weights were chosen with ``benchmarks/relevance.py`` on Cranfield.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

K1 = 1.2
B = 0.75
TIE_BREAKER = 0.3

BOOSTS = {"text": 1.0, "title": 0.5, "wholes": 0.5}
"""Boost of each text field. ``text`` holds everything, ``title`` the title once more, ``wholes``
compounds and identifiers. Cranfield, nDCG@10: 0.543; title 1: 0.532, title 0.2: 0.534, wholes 1:
0.540, tie breaker 0: 0.533, all text in one field alone: 0.532."""

TECHNIQUE_WEIGHT = 12.0
"""What a hit gains from one asked technique at similarity 1: about the most that one word met by a
hundredth of all records can give (2.2 · ln 100 = 10), so a tag outranks a mere mention."""

MIN_SIMILARITY = 0.2
"""Kin below this similarity do not move the order."""

PREFIX_SCORE = 1.0
"""What a met ``prefix*`` gives: it has no single word whose rarity could be weighed."""

_HIGHEST = 0.999999


def _decoded_lengths() -> tuple[int, ...]:
    """The 256 field lengths that one byte can say: exact to 40, then four significant bits."""
    lengths = list(range(40))
    for code in range(40, 256):
        bits = code - 24
        mantissa, shift = bits & 7, (bits >> 3) - 1
        lengths.append(24 + ((mantissa | 8) << shift))
    return tuple(lengths)


NORMS = _decoded_lengths()


def coded_length(length: int) -> int:
    """The field length as both engines remember it: the largest codable one not above it."""
    if length < 40:
        return length
    low, high = 40, 255
    while low < high:
        middle = (low + high + 1) // 2
        if NORMS[middle] <= length:
            low = middle
        else:
            high = middle - 1
    return NORMS[low]


def idf(documents: float, frequency: float) -> float:
    """Rarity of a term that ``frequency`` of ``documents`` records have."""
    return math.log(1 + max(0.0, documents - frequency + 0.5) / (frequency + 0.5))


def bm25(
    frequency_in_field: int,
    length: int,
    average_length: float,
    documents: float,
    frequency: float,
) -> float:
    """Score of one term in one field; ``length`` in terms, sentinel included."""
    if frequency_in_field == 0:
        return 0.0
    return weight(documents, frequency) * saturation(frequency_in_field, length, average_length)


def weight(documents: float, frequency: float) -> float:
    """What a term is worth at most."""
    return idf(documents, frequency) * (K1 + 1)


def saturation(frequency_in_field: int, length: int, average_length: float) -> float:
    """The share of a term's worth that a record gets, below 1."""
    norm = K1 * (1 - B + B * coded_length(length) / average_length)
    return frequency_in_field / (frequency_in_field + norm)


def best_of_fields(scores: Sequence[float]) -> float:
    """``dis_max``: the best field, and a little of the others."""
    if not scores:
        return 0.0
    best = max(scores)
    return best + TIE_BREAKER * (sum(scores) - best)


def highest_for_term(documents: float, clauses: Sequence[tuple[float, float]]) -> float:
    """More than any record can get for a term; ``clauses`` are (boost, records with the term)."""
    return best_of_fields(
        [boost * idf(documents, frequency) * (K1 + 1) for boost, frequency in clauses if frequency]
    )


def highest_for_levels(levels: Sequence[float]) -> float:
    """The best level; a score of a single level (a prefix) is worth half of what it could be, so
    that it alone does not reach the end of the scale."""
    if len(levels) == 1:
        return 2 * levels[0]
    return max(levels, default=0.0)


def all_normalised(raws: Iterable[float], best_possible: float) -> list[float]:
    """``normalised`` of each; a page's scores are nearly all from a tenth on."""
    if best_possible <= 0:
        return [0.0 for _ in raws]
    return [
        round(share, 6)
        if 0.1 <= (share := raw / best_possible) <= _HIGHEST
        else normalised(raw, best_possible)
        for raw in raws
    ]


def normalised(raw: float, best_possible: float) -> float:
    """On the scale strictly between 0 and 1, six significant digits (semantics 8.3)."""
    if raw <= 0 or best_possible <= 0:
        return 0.0
    share = min(raw / best_possible, _HIGHEST)
    # From a tenth on, six significant digits are six decimals, which take half as long.
    return round(share, 6) if share >= 0.1 else float(f"{share:.6g}")
