"""Harvests in real processes, for tests that kill them, double them or change their clocks."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from catalogue.catalogue import Catalogue
from catalogue.query import Search
from catalogue.store import Store
from simulator import Facility

CONFIG = """
[facilities.TST]
title = "Test facility"
provider = "http://127.0.0.1/api"
demo = true
[sources.test]
facility = "TST"
{where}
internal = true
schedule = "1s"
"""

YEAR_S = 400 * 86_400


class Program:
    """``killable.py``, which imports everything once and then forks a harvest for each line."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killable.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
        )
        assert self.line() == b"ready\n"

    def say(self, job: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def kill(self) -> None:
        """The program and whatever harvest of its is still alive."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


_idle: list[Program] = []
"""Programs that wait for the next test: to start one takes longer than most harvests here."""


@atexit.register
def _end_all() -> None:
    for program in _idle:
        program.kill()


@dataclass
class Zygote:
    """Starts harvests, one at a time; see ``killable.py``."""

    program: Program
    job: dict[str, Any]
    alive: bool = field(default=False)

    async def start(self, **more: Any) -> int:
        """Fork a harvest; its process number."""
        self.program.say(self.job | more)
        self.alive = True
        return int((await self._line())["pid"])

    async def wait(self) -> int:
        """Exit code of the harvest that was started; negative for a signal."""
        code = int((await self._line())["code"])
        self.alive = False
        return code

    async def _line(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await anyio.to_thread.run_sync(self.program.line))
        return found

    def output(self) -> str:
        path = Path(self.job["output"])
        return path.read_text(encoding="utf-8") if path.exists() else ""


@asynccontextmanager
async def a_zygote(
    tmp_path: Path, endpoint: Facility, protocol: str = "oai-pmh"
) -> AsyncIterator[Zygote]:
    config = tmp_path / "sources.toml"
    if protocol == "oai-pmh":
        where = f'protocol = "oai-pmh"\nurl = "{endpoint.oai_url}"\nformat = "oai_datacite"'
    else:
        where = (
            f'protocol = "{protocol}"\nurl = "{endpoint.api_url}"\noptions = {{ page_size = 10 }}'
        )
    config.write_text(CONFIG.format(where=where), encoding="utf-8")
    program = _idle.pop() if _idle else await anyio.to_thread.run_sync(Program)
    job = {
        "data": str(tmp_path / "data"),
        "config": str(config),
        "output": str(tmp_path / f"output.{program.process.pid}"),
    }
    zygote = Zygote(program, job)
    try:
        yield zygote
    except BaseException:
        program.kill()
        raise
    if zygote.alive:
        program.kill()
    else:
        _idle.append(program)


async def assert_store_and_index_equal(
    data: Path, endpoint: Facility, protocol: str = "oai-pmh"
) -> None:
    """None lost, none twice, none that never existed; each with its newest title."""
    wanted = {
        record.document["pid"]: record.document["title"]
        for record in endpoint.records
        if record.document is not None
    }
    with Store.open(data, read_only=True) as store:
        identifiers = set(endpoint.records.identifiers())
        if protocol != "oai-pmh":
            identifiers = {f"Document/{pid}" for pid in wanted}
        assert set(store.live_identifiers("test", None, 10**6)) == identifiers
        changes = store.changes_since(0, 10**6)
        assert len({change.entity.key for change in changes}) == len(changes)
        held = {
            change.entity.record["pid"]: change.entity.record["title"]
            for change in changes
            if change.entity.entity_class == "Document" and not change.entity.deleted
        }
        assert held == wanted
        newest = store.last_change()
    async with Catalogue.open(data, read_only=True) as catalogue:
        assert await catalogue.engine.position() == newest
        found: dict[str, str] = {}
        for skip in range(0, len(wanted) + 100, 100):
            answer = await catalogue.search(
                Search("Document", now=datetime.now(UTC), limit=100, skip=skip)
            )
            for hit in answer.hits:
                assert hit.entity.key not in found
                found[hit.entity.key] = hit.entity.record["title"]
        assert sorted(found.values()) == sorted(wanted.values())


class ClockFile:
    """A clock that several processes read, and that the test sets while they run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, seconds: int) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(str(seconds), encoding="ascii")
        beside.replace(self.path)
