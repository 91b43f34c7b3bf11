"""What a facility always does a little wrong, and an operator has said to know.

Some endpoints never give all that they announce: a completeListSize that always lies (fault B20),
ghosts or refused objects that are counted and never shown. Their runs would be partial for ever,
and the day on which something else goes wrong would look like any other. So an operator looks once
and acknowledges a run (``pan-commons runs acknowledge``); from then on the same, and no more of
it, counts as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SLACK = 1.1
"""A known deviation may grow by a tenth, as catalogues do, before it is shown again."""

LIST_SIZE = "list_size"
"""completeListSize says more than comes. Once it is known, the number is believed no longer."""


def is_known(name: str, size: int, known: Mapping[str, int]) -> bool:
    """Whether so much of a deviation was acknowledged."""
    return name in known and size <= int(known[name] * SLACK)


def unknown(deviations: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    """The deviations that are none, or more than, an operator has seen."""
    return {name: size for name, size in deviations.items() if not is_known(name, size, known)}


def known_deviations(memory: Mapping[str, Any]) -> dict[str, int]:
    """What was acknowledged of a source, by its memory."""
    held = memory.get("known")
    if not isinstance(held, Mapping):
        return {}
    return {str(name): int(size) for name, size in held.items() if isinstance(size, int)}
