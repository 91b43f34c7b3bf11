"""The Elasticsearch engine as the environment describes it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.errors import EngineError

PREFIX_VARIABLE = "ELASTICSEARCH_PREFIX"
SHARDS_VARIABLE = "ELASTICSEARCH_SHARDS"
REPLICAS_VARIABLE = "ELASTICSEARCH_REPLICAS"


def prefix_of(environment: Mapping[str, str] = os.environ) -> str:
    """What the names of our indices begin with."""
    return environment.get(PREFIX_VARIABLE) or "pan-commons"


def engine_from(
    urls: str,
    *,
    read_only: bool = False,
    store: str | None = None,
    taking_over: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> ElasticsearchEngine:
    """An engine with prefix, shards and replicas as the environment has them.

    Args:
        store: the identity of the record store whose records are to be written.

    Raises:
        EngineError: shards or replicas are no numbers.
    """
    counts = []
    for name, default in ((SHARDS_VARIABLE, "1"), (REPLICAS_VARIABLE, "0")):
        value = environment.get(name) or default
        if not value.isdigit():
            raise EngineError(f"{name} is {value!r}; it must be a whole number.")
        counts.append(int(value))
    return ElasticsearchEngine(
        urls,
        prefix=prefix_of(environment),
        shards=counts[0],
        replicas=counts[1],
        read_only=read_only,
        store=store,
        taking_over=taking_over,
    )
