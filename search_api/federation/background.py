"""A task group that lives as long as the server, whoever opens and closes it.

A task group must be left by the task that entered it; a server's start and end are often two tasks.
So one task of its own holds the group, and closing waits for it: nothing runs on by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

Result = TypeVar("Result")


class Background:
    """Where requests run that may outlive whoever asked for them."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._holder: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def open(self) -> None:
        """Be ready for tasks."""
        ready = asyncio.Event()
        self._over.clear()
        self._holder = asyncio.create_task(self._hold(ready), name="federation")
        await ready.wait()

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        self._over.set()
        holder, self._holder = self._holder, None
        if holder is not None:
            await holder

    def start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Run ``work`` there; it must not raise."""
        if self._tasks is None:
            raise RuntimeError("The asker is not open.")
        self._tasks.start_soon(work, *arguments)

    async def _hold(self, ready: asyncio.Event) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                ready.set()
                await self._over.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait until the work is done even if the caller's task is cancelled meanwhile: the
    cancellation comes at its next wait, when it knows what was done. For tasks that are cancelled
    as ``asyncio`` does it; anyio's own scopes have ``shield``."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:
            break  # as the result is about to say
    caller = asyncio.current_task()
    if cancelled and caller is not None:
        caller.uncancel()
        caller.cancel()
    return task.result()
