"""What processes that do nothing but work through batches of records have in common."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import multiprocessing.connection
import os
import threading


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()


def collect_rarely(after: int = 200_000) -> None:
    """Tell the garbage collector what work on batches of records is like: very many objects, and
    none in cycles. Looking through them time and again took half of the time to read the outbox.

    Args:
        after: so many new objects more than have gone; looking through 25,000 takes some 8 ms.
    """
    gc.set_threshold(after, 20, 50)
    # At the end the interpreter would look through all objects once more, which took 0.4 s in each
    # of the processes of a harvest; the system frees them anyway.
    atexit.register(gc.freeze)


def collect_when_told() -> None:
    """For a process that calls ``collect`` whenever a batch is done with: then hardly anything is
    left to look through, while in the middle of a batch there are all its records."""
    gc.collect()
    gc.freeze()
    gc.disable()


def collect() -> None:
    """Let go of what was made since the last time and stands in cycles."""
    gc.collect(1)
