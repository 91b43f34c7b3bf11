"""Texts of Documents as the terms by which they are completed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from catalogue import analysis
from catalogue.fields import strings


def suggestions_of(record: Mapping[str, Any], facets: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The raw terms by which a Document's texts are completed, but for those of people."""
    found = {suggestion("title", title) for title in strings(record, "title")}
    for text in facets["sample"]:
        found.add(suggestion_term("sample", text))
    for text in facets["instrument"]:
        found.add(suggestion_term("instrument", text))
    return found


MAX_SUGGESTION = 60
_CAPITALS = bytes(ord("1" if chr(code).isupper() else "0") for code in range(128)) + bytes(128)
"""Capitals as ``1``, all else as ``0``: a number by whose bits they are found again."""


def suggestion(kind: str, text: str) -> str:
    """The raw term by which a text is completed: its folded form, and after a unit separator what
    makes the original of it again: the places of its capitals, or itself."""
    original = " ".join(text.split())[:MAX_SUGGESTION]
    folded = analysis.fold(original)
    if folded == original:
        written = ""
    elif original.isascii():
        written = f"{int(original.encode().translate(_CAPITALS)[::-1], 2):x}"
    else:
        written = f"={original}"
    return f"{kind}:{folded}\x1f{written}"


suggestion_term = lru_cache(maxsize=8_192)(suggestion)
"""The same, for what comes again."""


def suggested_text(term: str) -> str:
    """The text as it was written, of a ``suggestion_term``."""
    head, _, written = term.partition("\x1f")
    if written.startswith("="):
        return written[1:]
    folded = head.partition(":")[2]
    capitals = int(written or "0", 16)
    return "".join(
        letter.upper() if capitals >> place & 1 else letter for place, letter in enumerate(folded)
    )
