"""Whose turn it is to make a search index beside the one in use: each who makes one removes all
others in the end, so there is one at a time, whatever the engine (fault F13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from catalogue.engines.tantivy_files import WriterLock
from catalogue.errors import IndexBusy

MAKING_LOCK = "making-index.lock"
"""In the data folder: an index elsewhere cannot tell which process makes one beside it."""
LOOK_FOR_TURN_S = 0.2


@asynccontextmanager
async def turn_to_make(
    folder: Path | None, *, waits: bool, told: Callable[[IndexBusy], None] | None = None
) -> AsyncIterator[None]:
    """Make an index meanwhile; a store that is in no folder has no other processes.

    Args:
        waits: for another process to have done; ``told`` is told of it, once.

    Raises:
        IndexBusy: another process makes one, and is not waited for.
    """
    if folder is None:
        yield
        return
    making = WriterLock(folder / MAKING_LOCK, "made anew")
    while True:
        try:
            await anyio.to_thread.run_sync(making.take)
            break
        except IndexBusy as busy:
            if not waits:
                raise
            if told is not None:
                told(busy)
                told = None
        await anyio.sleep(LOOK_FOR_TURN_S)
    try:
        yield
    finally:
        making.free()
