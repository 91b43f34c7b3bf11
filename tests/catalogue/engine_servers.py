"""Engines to test with; Elasticsearch is the real one, or the test is skipped with the reason."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
import shutil
import signal
import tempfile
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
    """The one server of a test run, whose processes share it: who needs it first starts it, who
    ends last stops it. Each holds a share of the lock on the file that tells of the server."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)
    told = Path(tempfile.gettempdir(), f"pan-commons-elasticsearch-{run}.json")
    users = told.open("a+")
    ours = None
    with told.with_suffix(".starting").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        users.seek(0)
        held = users.read()
        if not held:
            folder = Path(tempfile.mkdtemp(prefix="pan-commons-elasticsearch-"))
            ours = elasticsearch_server.start(folder)
            process = ours.nodes[0].process.pid
            held = json.dumps({"url": ours.url, "process": process, "folder": str(folder)})
            users.write(held)
            users.flush()
        fcntl.flock(users, fcntl.LOCK_SH)
    server = json.loads(held)

    def leave() -> None:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        os.kill(server["process"], signal.SIGKILL)
        if ours is not None:
            ours.stop()
        shutil.rmtree(server["folder"], ignore_errors=True)
        told.unlink()
        told.with_suffix(".starting").unlink()

    atexit.register(leave)
    return str(server["url"])
