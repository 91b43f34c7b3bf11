"""What a check means for asking a service live, in words for whoever configures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catalogue.facilities import Source

RANGES = ({"gt", "lt"}, {"gte", "lte"}, {"between"})


def mode_in_words(source: Source) -> str:
    """How a source of this mode is used."""
    if source.mode == "live":
        return "live: asked when somebody searches, never harvested"
    if source.mode == "both":
        return "both: asked when somebody searches, and harvested for when it does not answer"
    if source.protocol == "panosc":
        return 'indexed: harvested, not asked live (mode = "both" would)'
    return "indexed: harvested; only Search APIs can be asked live"


def outlook(found: Mapping[str, Any]) -> str:
    """How questions to one class of a checked service go.

    Args:
        found: the class's part of a profile, see ``capabilities.probe_service``.
    """
    works = {name for name, how in found["operators"].items() if how == "yes"}
    parts = [_words(found, works), _conditions(found, works)]
    if not found["skip"] and not found["keyset"]:
        parts.append("only its first page can be had, so answers say 'at least'")
    if not found.get("sampled", found.get("statistics", {}).get("records")):
        parts.append("no sample could be taken, so its hits are scored with the others' statistics")
    return "; ".join(parts)


def _words(found: Mapping[str, Any], works: set[str]) -> str:
    if found["scores"] == "scored":
        return "it ranks by words, and is scored again here"
    if works & {"ilike", "like"}:
        return "words are asked as parts of titles and summaries, and scored here"
    return "words cannot be asked: its records are read in pages and searched here"


def _conditions(found: Mapping[str, Any], works: set[str]) -> str:
    if not works:
        return "conditions are looked at here"
    ranges = any(needed <= works for needed in RANGES)
    return "conditions are asked" + ("" if ranges else ", except ranges of dates and values")


__all__ = ["mode_in_words", "outlook"]
