"""Waiting where SQLite does not: a busy timeout leaves some waits out, and answers at once.

A transaction that has read and then wants to write is told BUSY without a wait, since both sides
might wait for each other for ever. ``PRAGMA journal_mode=WAL`` is one on a file that is new: of
twelve threads that opened a fresh folder at once one was refused. The same goes for the recovery of
a log that a killed process left.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.05

Result = TypeVar("Result")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else was in the way, and may be gone in a moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)


def patiently(
    work: Callable[[], Result],
    patience_s: float,
    *,
    pause: Callable[[float], None] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Result:
    """Do something that leaves nothing behind when it fails, again and again while others are in
    the way, for at most ``patience_s`` seconds. Blocks: for worker threads.

    Raises:
        sqlite3.Error: it failed otherwise, or somebody was in the way for too long.
    """
    until = monotonic() + patience_s
    wait = FIRST_PAUSE_S
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() >= until:
                raise
        (pause or time.sleep)(wait)
        wait = min(2 * wait, LONGEST_PAUSE_S)
