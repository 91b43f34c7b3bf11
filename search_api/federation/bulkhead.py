"""A wall around each facility: so many requests to it at once, the others wait their turn.

Waiting here is our queue and never the facility's slowness (fault A05).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Bulkhead:
    """The places for requests to one facility.

    ``enter`` waits for one, first come first served; ``leave`` gives it back.
    """

    def __init__(self, at_once: int) -> None:
        self._places = anyio.Semaphore(at_once, max_value=at_once, fast_acquire=True)
        self._at_once = at_once

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._at_once - self._places.value

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._places.statistics().tasks_waiting

    async def enter(self) -> None:
        """Wait for a place."""
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            await self._places.acquire()

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()

    @contextmanager
    def spare_place(self) -> Iterator[bool]:
        """A place if one is free this moment; gives whether it is."""
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            yield False
            return
        try:
            yield True
        finally:
            self._places.release()
