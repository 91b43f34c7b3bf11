"""``pan-commons serve`` with an eye on its event loop, for ``benchmarks.federation``.

    WATCHED_REPORT=FILE python -m benchmarks._watched serve --port 8080 …

Every callback of the loop is timed. On SIGUSR1 the longest ones since the last time are written to
the file, and forgotten. Of each it is told what it was, and in milliseconds the clock (``wall_ms``)
and what that is made of: the processor's time in this thread (``cpu_ms``); what it could have run
while the kernel let others (``delay_ms``, of ``schedstat``); and the rest (``held_ms``), in which
it waited for somebody: in a callback, where nothing waits for the network, for a thread of ours
that had the interpreter, or for the kernel in a call.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

KEPT = 20
_longest: list[tuple[float, float, float, int, str]] = []
_count = 0


def watch() -> None:
    """Time every callback that an event loop runs from now on."""
    run = asyncio.Handle._run
    clock, processor = time.perf_counter, time.thread_time
    figures = _schedstat()

    def timed(handle: Any) -> None:
        global _count
        delayed = int(os.pread(figures, 64, 0).split()[1])
        before, spent = clock(), processor()
        run(handle)
        took, spent = clock() - before, processor() - spent
        _count += 1
        if took > 0.002:
            delay = int(os.pread(figures, 64, 0).split()[1]) - delayed
            row = (took * 1000, spent * 1000, delay / 1e6, _count, _name(handle))
            heapq.heappush(_longest, row)
            if len(_longest) > KEPT:
                heapq.heappop(_longest)

    asyncio.Handle._run = timed  # type: ignore[method-assign]
    asyncio.TimerHandle._run = timed  # type: ignore[method-assign]


def _schedstat() -> int:
    """The kernel's own figures of this thread, open: nanoseconds that it ran, and that it waited
    for a processor."""
    return os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)


def _name(handle: Any) -> str:
    task = getattr(handle._callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        frames = task.get_stack(limit=4)
        where = " < ".join(
            f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" for frame in frames[::-1]
        )
        return f"{getattr(task.get_coro(), '__qualname__', '?')} {where}"
    return repr(handle._callback)[:120]


def report(*_: object) -> None:
    rows = [
        {
            "wall_ms": round(wall, 2),
            "cpu_ms": round(cpu, 2),
            "delay_ms": round(delay, 2),
            "held_ms": round(max(0.0, wall - cpu - delay), 2),
            "what": what,
        }
        for wall, cpu, delay, _, what in sorted(_longest, reverse=True)
    ]
    target = Path(os.environ["WATCHED_REPORT"])
    made = target.with_suffix(".new")
    made.write_text(json.dumps({"callbacks": _count, "longest": rows}))
    made.replace(target)
    _longest.clear()


if __name__ == "__main__":
    watch()
    signal.signal(signal.SIGUSR1, report)
    from pan_commons import main

    sys.argv[0] = "pan-commons"
    main()
