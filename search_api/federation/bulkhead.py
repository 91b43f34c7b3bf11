"""A wall around each facility: so many requests to it at once, the others wait their turn.

Waiting here is our queue and never the facility's slowness (fault A05).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Bulkhead:
    """The places for requests to one facility.

    ``async with places`` waits for one, first come first served.
    """

    def __init__(self, at_once: int) -> None:
        self.places = anyio.Semaphore(at_once, max_value=at_once, fast_acquire=True)
        self._at_once = at_once

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._at_once - self.places.value

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self.places.statistics().tasks_waiting

    @contextmanager
    def spare_place(self) -> Iterator[bool]:
        """A place if one is free this moment; gives whether it is."""
        try:
            self.places.acquire_nowait()
        except anyio.WouldBlock:
            yield False
            return
        try:
            yield True
        finally:
            self.places.release()
