"""What processes that do nothing but work through batches of records have in common."""

from __future__ import annotations

import atexit
import errno
import gc
import multiprocessing
import multiprocessing.connection
import os
import resource
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

Result = TypeVar("Result")

MANY_FILES = 65_536


class WorkProcesses:
    """Processes beside this one, brought up when they are first wanted and kept until ``close``.

    Args:
        most: how many.
        begin: called in each before anything else, with ``arguments``; a function of a module.
    """

    def __init__(self, most: int, begin: Callable[..., None], *arguments: Any) -> None:
        self.most = most
        self._begin = begin
        self._arguments = arguments
        self._pool: ProcessPoolExecutor | None = None
        self._first: Future[int] | None = None

    @property
    def are_started(self) -> bool:
        """Whether somebody has wanted them."""
        return self._pool is not None

    def warm(self) -> bool:
        """Whether they can be asked; starts them when they are not there."""
        if self._pool is None:
            # Forking a process with threads copies locks in any state; spawn does not.
            self._pool = ProcessPoolExecutor(
                self.most,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=self._begin,
                initargs=self._arguments,
            )
            self._first = self._pool.submit(int)
        assert self._first is not None
        return self._first.done() and self._first.exception() is None

    async def wait_until_warm(self) -> None:
        """As long as that takes, a second or so.

        Raises:
            BrokenProcessPool: they do not start.
        """
        self.warm()
        assert self._first is not None
        await result_of(self._first)

    @property
    def process_ids(self) -> list[int]:
        """Of those that were started."""
        return list(self._pool._processes) if self._pool is not None else []

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have something done by one of them; to be called when they are warm.

        Raises:
            BrokenProcessPool: one of them died.
        """
        assert self._pool is not None
        return self._pool.submit(function, *arguments)

    def forget(self) -> None:
        """Let go of processes of which one died; others are started when they are wanted."""
        self._pool = self._first = None

    async def close(self) -> None:
        """End them, when what they are at is done."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await anyio.to_thread.run_sync(partial(pool.shutdown, cancel_futures=True))


async def result_of(future: Future[Result]) -> Result:
    """Wait for what a process does, without holding the event loop."""
    return await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True)


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()


def allow_many_files() -> None:
    """Let this process have as many files and connections as it may: systems start it with 1,024
    of many more (a Mac with 256), for programs that count in bits (``select``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A Mac says "without limit", and refuses it.
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def lacks_files(error: BaseException) -> bool:
    """Whether something failed because no more files may be open, by whatever way that came out."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(lacks_files, error.exceptions))
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


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
