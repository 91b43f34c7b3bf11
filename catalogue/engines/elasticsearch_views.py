"""Points in time: one unchanging view of an index for all steps of a question, and for its cursor
(semantics 9.3).

Opening one for each question would cost as much as the question. Questions share the last view
while nothing was committed: that is looked up at most twice a second, which is well within the two
seconds after which a record must be found.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import anyio
import elasticsearch
from elasticsearch import AsyncElasticsearch

from catalogue.engines.elasticsearch_client import translated
from catalogue.errors import EngineError

CHECKED_S = 0.5
"""How long a view is taken for the newest without asking."""

OLDEST_S = 30.0
"""A view is renewed after so long whatever the position says: repairs do not move it."""

RETIRED_S = 35.0
"""A question takes no longer: its requests end after 30 s."""

KEPT = "1m"
KEPT_FOR_A_CURSOR = "11m"
"""Cursors are promised for ten minutes."""


class View:
    """The points in time of one view, opened class by class when first asked for.

    Args:
        names: index or alias of each class.
        pits: points in time that were opened before, by class: those of a cursor.
        position: outbox position of the index when it began.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        names: Mapping[str, str],
        pits: Mapping[str, str] | None = None,
        position: int | None = None,
    ) -> None:
        self._client = client
        self._names = names
        self.position = position
        self._pits = dict(pits or {})
        self._opening = anyio.Lock()
        self.lost = False
        self.promised = pits is not None

    @property
    def pits(self) -> Mapping[str, str]:
        """The points in time so far, by class."""
        return dict(self._pits)

    async def pit(self, class_name: str) -> str:
        """The point in time of a class."""
        held = self._pits.get(class_name)
        if held is not None:
            return held
        async with self._opening:
            if class_name not in self._pits:
                async with translated("opening a point in time"):
                    answer = await self._client.open_point_in_time(
                        index=self._names[class_name], keep_alive=KEPT
                    )
                self._pits[class_name] = str(answer["id"])
        return self._pits[class_name]

    def moved(self, class_name: str, pit: str | None) -> None:
        """The server may give a point in time another name with each answer."""
        if pit is not None:
            self._pits[class_name] = pit

    async def close(self) -> None:
        """Give the points in time back, unless a cursor was promised them."""
        if self.promised:
            return
        for pit in self._pits.values():
            # What cannot be given back ends by itself after a minute.
            with contextlib.suppress(EngineError, elasticsearch.NotFoundError):
                async with translated("closing a point in time"):
                    await self._client.close_point_in_time(id=pit)


class Views:
    """The view that questions share.

    Args:
        position: the outbox position of the index at present.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        position: Callable[[], Awaitable[int]],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._position = position
        self._clock = clock
        self._held: View | None = None
        self._retired: deque[tuple[float, View]] = deque()
        self._at = -1
        self._names: Mapping[str, str] = {}
        self._opened = self._checked = 0.0
        self._renewing = anyio.Lock()

    async def current(self, names: Mapping[str, str]) -> View:
        """A view of what was committed half a second ago or later."""
        held = self._held
        now = self._clock()
        if held is not None and self._fresh(held, names) and now - self._checked < CHECKED_S:
            return held
        async with self._renewing:
            held = self._held
            now = self._clock()
            if held is not None and self._fresh(held, names) and now - self._checked < CHECKED_S:
                return held
            position = await self._position()
            if (
                held is None
                or not self._fresh(held, names)
                or position != self._at
                or now - self._opened > OLDEST_S
            ):
                await self.forget()
                held = self._held = View(self._client, names, position=position)
                self._at, self._names, self._opened = position, names, now
            self._checked = now
            return held

    def _fresh(self, view: View, names: Mapping[str, str]) -> bool:
        return not view.lost and names == self._names

    async def forget(self) -> None:
        """Answer the next question from a new view: something was committed.

        Questions at hand go on with the former one, so it is given back a while later.
        """
        now = self._clock()
        if self._held is not None:
            self._retired.append((now, self._held))
            self._held = None
        while self._retired and now - self._retired[0][0] > RETIRED_S:
            await self._retired.popleft()[1].close()

    async def close(self) -> None:
        """Give back everything."""
        await self.forget()
        while self._retired:
            await self._retired.popleft()[1].close()
