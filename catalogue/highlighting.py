"""Where the words of a question stand in what is shown of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalogue import analysis

SHOWN = ("title", "summary")


def highlights(
    record: Mapping[str, Any], stems: frozenset[str]
) -> dict[str, Sequence[tuple[int, int]]]:
    """Field → (start, end) offsets of the original text, for fields in which a word stands."""
    found: dict[str, Sequence[tuple[int, int]]] = {}
    for name in SHOWN:
        value = record.get(name)
        if isinstance(value, str) and (places := analysis.highlights(value, stems)):
            found[name] = places
    return found
