"""Where the words of a question stand in what is shown of a record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from catalogue.analysis import cut, stem, tokenize

SHOWN = ("title", "summary")
STEMS_KEPT = 32
"""Stems of which it is kept where they stand in one text."""

_WORD_FROM = re.compile(r"[a-z0-9]+")


def highlights(
    record: Mapping[str, Any], stems: frozenset[str], *, is_kept: bool = False
) -> dict[str, Sequence[tuple[int, int]]]:
    """Field → (start, end) offsets of the original text, for fields in which a word stands.

    Args:
        is_kept: whether the record stays in memory and is likely to be shown again.
    """
    places_of = places_again if is_kept else places
    found: dict[str, Sequence[tuple[int, int]]] = {}
    for name in SHOWN:
        value = record.get(name)
        if isinstance(value, str) and (marked := places_of(value, stems)):
            found[name] = marked
    return found


def places(text: str, wanted_stems: frozenset[str]) -> list[tuple[int, int]]:
    """Where words with one of the stems stand in ``text``, as (start, end) offsets."""
    if not text.isascii():
        return [
            (token.start, token.end) for token in tokenize(text) if stem(token.text) in wanted_stems
        ]
    lowered = text.lower()
    found: set[tuple[int, int]] = set()
    for head in _heads(wanted_stems):
        start = lowered.find(head)
        while start >= 0:
            end = start + 1
            if start == 0 or not lowered[start - 1].isalnum():
                rest = _WORD_FROM.match(lowered, start)
                end = rest.end() if rest else end
                if stem(cut(lowered[start:end])) in wanted_stems:
                    found.add((start, end))
            start = lowered.find(head, end)
    return sorted(found)


def places_again(text: str, wanted_stems: frozenset[str]) -> list[tuple[int, int]]:
    """As ``places``, for texts that are kept in memory and shown again and again: where each word
    stands is worked out once for all questions."""
    if not text.isascii():
        return places(text, wanted_stems)
    known = _known_places(text)
    found = []
    for one in wanted_stems:
        marked = known.get(one)
        if marked is None:
            marked = known[one] = tuple(places(text, frozenset((one,))))
            if len(known) > STEMS_KEPT:
                known.clear()
        if marked:
            found.append(marked)
    if len(found) == 1:
        return list(found[0])
    return sorted({place for marked in found for place in marked})


@lru_cache(maxsize=1_024)
def _known_places(text: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """Where stems stand in a text, as far as they were asked for."""
    return {}


@lru_cache(maxsize=1_024)
def _heads(stems: frozenset[str]) -> tuple[str, ...]:
    """How ASCII words with one of the stems begin. A word has the letters of its stem but for the
    last two (dying, die), so that very few words have to be stemmed at all; one with a digit is its
    own stem."""
    return tuple(
        {
            one[: max(1, len(one) - 2)] if one.isalpha() else one
            for one in stems
            if one and one.isascii()
        }
    )
