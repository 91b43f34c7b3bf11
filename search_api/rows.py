"""Whether one record or row meets a condition: the catalogue's own evaluator, so that what an
answer shows and what the search found cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from catalogue.oracle import Evaluator, Thing
from catalogue.query import Node

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def holds(
    class_name: str, node: Node, record: Mapping[str, Any], now: datetime = _ANY_TIME
) -> bool:
    """Whether ``record``, a thing of ``class_name``, meets ``node``; ``now`` decides what is
    open."""
    return Evaluator(now).holds(node, Thing(class_name, record))
