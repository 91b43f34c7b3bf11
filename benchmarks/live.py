"""What the benchmarks of live federation share: facilities to ask, and a server that asks them.

Everything goes the operator's way: a configuration file, ``sources check``, ``pan-commons serve``
as a process of its own, questions over HTTP.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.search_api import free_port
from harvester.check import check
from pan_commons_terminal import Settings

CHECKS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A facility to ask: its short name and the base URL of its Search API."""

    name: str
    url: str
    mode: str = "live"

    @property
    def source(self) -> str:
        return f"{self.name.lower()}-live"


def settings_of(folder: Path) -> Settings:
    return Settings(folder / "data", folder / "sources.toml", "tantivy", None, as_json=True)


def configure(folder: Path, places: Sequence[Place]) -> Settings:
    """Write the configuration of these facilities (demonstration ones, on this machine)."""
    lines = []
    for place in places:
        lines += [
            f"[facilities.{place.name}]",
            f'title = "{place.name}"',
            f'provider = "{place.url}"',
            "demo = true",
            f"[sources.{place.source}]",
            f'facility = "{place.name}"',
            'protocol = "panosc"',
            f'url = "{place.url}"',
            'format = "panosc-json"',
            f'mode = "{place.mode}"',
            "internal = true",
            "demo = true",
        ]
    settings = settings_of(folder)
    settings.data.mkdir(parents=True, exist_ok=True)
    assert settings.config is not None
    settings.config.write_text("\n".join(lines) + "\n")
    return settings


async def check_all(settings: Settings, places: Sequence[Place]) -> dict[str, list[str]]:
    """``sources check`` of every facility; problems by name of the facility."""
    slots = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def one(place: Place) -> tuple[str, list[str]]:
        async with slots:
            report = await check(settings, place.source)
            return place.name, list(report["problems"])

    found = await asyncio.gather(*(one(place) for place in places))
    return {name: problems for name, problems in found if problems}


@dataclass(frozen=True, slots=True)
class Server:
    """A server process: its base URL and process id."""

    url: str
    pid: int


@contextmanager
def serving(
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    module: str = "pan_commons",
    port: int | None = None,
    workers: int = 1,
) -> Iterator[Server]:
    """``pan-commons serve`` over a data folder, ready when the block begins.

    Args:
        environment: settings of the server, by their full names.
        module: what is run as ``pan-commons``.
    """
    port = port or free_port()
    command = [sys.executable, "-m", module, "serve", "--port", str(port)]
    command += ["--data", str(settings.data), "--config", str(settings.config)]
    command += ["--workers", str(workers)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("SHOW_SERVER") else subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url + "/health/live", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"The server ended with {process.returncode}.") from None
                time.sleep(0.1)
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def lines_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """The state of each facility in an answer of ``/api/search``."""
    return {str(line["name"]): str(line["state"]) for line in answer["facilities"]}
