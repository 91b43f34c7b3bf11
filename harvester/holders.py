"""Who holds a lease, in words that let a neighbour see whether that process still lives.

A lease of a killed process would keep its source for a minute. On the same machine, since the same
boot and among the same process numbers, nobody has to wait: the kernel knows (fault H01). Anywhere
else the lease runs out by its time.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from catalogue.records import RunRecord

_HOLDER = re.compile(r".* process (\d+) \[(\S+) (\d+)\]")


def this_process() -> str:
    """``host process 4711 [machine start]``"""
    pid = os.getpid()
    return f"{socket.gethostname()} process {pid} [{_machine()} {_started(pid) or 0}]"


def is_dead(holder: str) -> bool:
    """Whether the holder certainly is no more; ``False`` when that cannot be known."""
    match = _HOLDER.fullmatch(holder)
    if match is None:
        return False
    pid, machine, started = int(match[1]), match[2], int(match[3])
    if not started or machine != _machine() or machine == "unknown":
        return False
    return _started(pid) != started


def is_abandoned(run: RunRecord) -> bool:
    """Whether a run that counts as running certainly is nobody's any more (fault H01)."""
    return run.state == "running" and is_dead(run.holder)


def _machine() -> str:
    """The boot of this kernel and the namespace of process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return "unknown"
    return f"{boot}/{namespace}"


def _started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; ``None`` when there is none.

    A process that ended and was not yet waited for (a zombie) counts as none.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold anything; what follows is regular (proc(5)).
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
