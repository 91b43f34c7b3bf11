"""Engines to test with; Elasticsearch is the real one, or the test is skipped with the reason."""

from __future__ import annotations

import fcntl
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import elasticsearch_server
import pytest

from catalogue.engines.base import Engine
from catalogue.engines.elasticsearch import ElasticsearchEngine
from catalogue.engines.tantivy import TantivyEngine

ENGINES = ["tantivy", pytest.param("elasticsearch", marks=pytest.mark.elasticsearch)]


async def open_engine(name: str, folder: Path) -> Engine:
    """A new, empty engine."""
    engine: Engine
    if name == "tantivy":
        engine = TantivyEngine(folder)
    else:
        engine = ElasticsearchEngine(elasticsearch_url(), prefix=f"test-{secrets.token_hex(4)}")
    await engine.open()
    return engine


def as_another_version(patch: pytest.MonkeyPatch) -> None:
    """Let engines be of a version with another mapping or analysis."""
    engines = ("tantivy", "tantivy_generations", "elasticsearch")
    for module in ("fingerprint", *(f"engines.{name}" for name in engines)):
        patch.setattr(f"catalogue.{module}.fingerprint", lambda: "0123456789ab")


def elasticsearch_url() -> str:
    """Where an Elasticsearch for tests answers: ``ELASTICSEARCH_URL``, else one started here."""
    named = os.environ.get("ELASTICSEARCH_URL")
    if named:
        return named
    try:
        return _started()
    except elasticsearch_server.Unavailable as error:
        _cannot(error)


def started_cluster(folder: Path, count: int) -> elasticsearch_server.Cluster:
    """Several nodes of our own, one of which may be killed."""
    try:
        return elasticsearch_server.start(folder, count=count, heap="384m")
    except elasticsearch_server.Unavailable as error:
        _cannot(error)


def _cannot(error: Exception) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Elasticsearch, and CI demands it: {error}")
    pytest.skip(f"no Elasticsearch: {error}")


@lru_cache(maxsize=1)
def _started() -> str:
    """The one server of a test run: whichever of its processes needs it first starts it, and the
    run's end ends it (``conftest.py``)."""
    run = Path(os.environ["PAN_COMMONS_TEST_RUN"])
    told = run / "elasticsearch.url"
    with (run / "elasticsearch.lock").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not told.exists():
            cluster = elasticsearch_server.start(run / "elasticsearch")
            (node,) = cluster.nodes
            (run / "elasticsearch.pid").write_text(str(node.process.pid))
            told.write_text(node.url)
            _ours.append(cluster)
    return told.read_text()


_ours: list[elasticsearch_server.Cluster] = []
"""Of this process; forgotten, Python would warn of a process that still runs."""
