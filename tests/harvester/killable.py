"""A program that runs harvests in child processes which may be killed at any instant.

Everything is imported once; each line of JSON on standard input forks a child that harvests as
``pan-commons harvest`` does, prints its process number and, when it is over, how it ended.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

import harvester.daemon
import harvester.harvest_command
import harvester.oai_sweep
import harvester.rest_sweep
import harvester.station
import mappings.crosswalks  # noqa: F401
from catalogue.store import Store
from facility_http.http import Fetcher
from facility_http.waiting import Patience
from harvester.place import Order
from harvester.run import Harvesting
from pan_commons_terminal import Settings

# Retries without the pauses that real servers are given.
harvester.station.Fetcher = functools.partial(  # type: ignore[assignment,misc]
    Fetcher, patience=Patience(first_pause_s=0.005, longest_pause_s=0.02)
)


def harvest(job: dict[str, Any]) -> int:
    settings = Settings(Path(job["data"]), Path(job["config"]), "tantivy", None, as_json=True)
    os.environ.update(job.get("environment", {}))
    if job.get("file_limit"):
        # The nearest thing to a full disk that needs no root: writes beyond it fail.
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"], job["file_limit"]))
    if job.get("clock_s"):
        real = harvester.station.utc_now
        off = timedelta(seconds=job["clock_s"])
        harvester.station.utc_now = lambda: real() + off
    if job.get("clock_file"):
        follow_clock_file(Path(job["clock_file"]))
    if job.get("busy_s"):
        harvester.station.Store.open = functools.partial(  # type: ignore[method-assign]
            Store.open, busy_timeout_s=job["busy_s"]
        )
    if job.get("lease_s"):
        harvester.station.Harvesting = functools.partial(  # type: ignore[assignment,misc]
            Harvesting, lease_s=job["lease_s"]
        )
    if job.get("daemon"):
        return anyio.run(harvester.daemon.serve, settings, 4)
    wanted = harvester.harvest_command.Wanted((), Order(**job.get("order", {})))
    return anyio.run(harvester.harvest_command.carry_out, settings, wanted)


def follow_clock_file(path: Path) -> None:
    """Be off by the seconds in a file that somebody else changes while the process runs."""
    real = harvester.station.utc_now

    def now() -> datetime:
        return real() + timedelta(seconds=float(path.read_text(encoding="ascii")))

    harvester.station.utc_now = now


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = 99
            try:
                code = harvest(job)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
