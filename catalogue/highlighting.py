"""Where the words of a question stand in what is shown of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalogue import analysis

SHOWN = ("title", "summary")


def highlights(
    record: Mapping[str, Any], stems: frozenset[str], *, is_kept: bool = False
) -> dict[str, Sequence[tuple[int, int]]]:
    """Field → (start, end) offsets of the original text, for fields in which a word stands.

    Args:
        is_kept: whether the record stays in memory and is likely to be shown again.
    """
    places_of = analysis.highlights_again if is_kept else analysis.highlights
    found: dict[str, Sequence[tuple[int, int]]] = {}
    for name in SHOWN:
        value = record.get(name)
        if isinstance(value, str) and (places := places_of(value, stems)):
            found[name] = places
    return found
