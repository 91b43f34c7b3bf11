"""One request for all who ask the same at the same time."""

from __future__ import annotations

from typing import Generic, TypeVar

import anyio

from search_api.federation.errors import FederationError

Answer = TypeVar("Answer")


class Flight(Generic[Answer]):
    """A request under way, and who waits for it.

    It runs in a task of its own, so that nobody's leaving ends it for the others. It ends with the
    last who leaves: no facility works for nobody. Where those who wait have run out of time, it
    goes on once it is ``sent``, to the facility's limit: a late answer is kept, and a limit that is
    passed is known.
    """

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.sent = False
        self.answer: Answer | None = None
        self.failure: FederationError | None = None
        self._waiting = 0

    @property
    def is_wanted(self) -> bool:
        """Whether somebody may still join it."""
        return not self.scope.cancel_called

    async def wait(self, for_s: float) -> bool:
        """Wait until it is done; gives whether it is."""
        self._waiting += 1
        has_left = True
        try:
            with anyio.move_on_after(for_s):
                await self.done.wait()
            has_left = False
        finally:
            self._waiting -= 1
            if not self._waiting and (has_left or not self.sent):
                self.scope.cancel()
        return self.done.is_set()
