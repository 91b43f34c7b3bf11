"""Which nodes a question has passed (``X-Pan-Commons-Via``), so that federations of them end.

A node adds its identity to every request it makes of a facility. One that finds itself there, or
two hops, answers from its index only and says so.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

HEADER = "X-Pan-Commons-Via"
MOST_HOPS = 2

_NODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A chain is never longer than MOST_HOPS among nodes that keep the rule; more is noise.
_MOST_NAMED = 16


def new_node() -> str:
    """A random identity for a node; its workers share one (``ServingStore.node``)."""
    return secrets.token_hex(8)


def read_via(text: str | None) -> tuple[str, ...]:
    """The nodes in a header's value, first one first.

    What is no identity counts as a hop all the same, under the name ``?``: a chain must not become
    shorter by being unreadable.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")[:_MOST_NAMED]]
    return tuple(part if _NODE.fullmatch(part) else "?" for part in parts if part)


def write_via(passed: Sequence[str], node: str) -> str:
    """The header's value for a request that ``node`` makes."""
    return ", ".join((*passed, node))


def why_index_only(passed: Sequence[str], node: str) -> str | None:
    """Why a question that has passed these nodes is answered from the index only; ``None``: it may
    be asked live."""
    if node in passed:
        return "this server has asked itself by way of another one"
    if len(passed) >= MOST_HOPS:
        return f"the question has come through {len(passed)} servers"
    return None
