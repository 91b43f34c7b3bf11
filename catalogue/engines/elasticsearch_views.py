"""Points in time: one unchanging view of an index for all steps of a question, and for its cursor
(semantics 9.3).

Opening one for each question would cost as much as the question. Questions share the last view
while nothing was committed: that is looked up at most twice a second, which is well within the two
seconds after which a record must be found.

The classes have an index each, and a commit makes what is new visible in one after the other. A
view is of one state of all: its points in time are opened together, and if a commit was under way
the former view serves a moment longer. Of mixed states a Document would be found for having no
Dataset of a kind, whose Datasets are merely not there yet.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import anyio
import elasticsearch

from catalogue.engines.elasticsearch_silence import Silence
from catalogue.errors import EngineError

CHECKED_S = 0.5
"""How long a view is taken for the newest without asking."""

OLDEST_S = 30.0
"""A view is renewed after so long whatever the position says: repairs do not move it."""

RETIRED_S = 35.0
"""A question takes no longer."""

AMID_COMMIT_S = 0.1
"""The same for one that serves on because a commit is under way."""

TRIES = 5
PAUSE_S = 0.03
"""Where there is no former view a commit under way is waited for, so often and so long: more takes
one of a hundred thousand changes, and questions had better be answered."""

KEPT = "2m"
"""A view serves for ``OLDEST_S``, and a question that began then for ``RETIRED_S``."""
KEPT_FOR_A_CURSOR = "11m"
"""Cursors are promised for ten minutes."""


class Mark(NamedTuple):
    """How far an index is. Where it is the same before and after something, and ``settled``, no
    commit was under way meanwhile."""

    generation: str | None
    position: int
    version: tuple[int, int]
    settled: bool


class View:
    """The points in time of one view.

    Args:
        names: index or alias of each class.
        pits: points in time that were opened before, by class: those of a cursor.
        position: outbox position of the index when it began.
    """

    def __init__(
        self,
        silence: Silence,
        names: Mapping[str, str],
        pits: Mapping[str, str] | None = None,
        position: int | None = None,
    ) -> None:
        self._silence = silence
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

    async def open(self) -> None:
        """Open the points in time of all classes. One that cannot be had is only missed, and an
        error, where it is asked for."""

        async def open_one(class_name: str) -> None:
            with contextlib.suppress(EngineError):
                await self._open_one(class_name)

        async with anyio.create_task_group() as tasks:
            for name in self._names:
                tasks.start_soon(open_one, name)

    async def pit(self, class_name: str) -> str:
        """The point in time of a class."""
        held = self._pits.get(class_name)
        if held is not None:
            return held
        async with self._opening:
            if class_name not in self._pits:
                await self._open_one(class_name)
        return self._pits[class_name]

    async def _open_one(self, class_name: str) -> None:
        async with self._silence.broken_by("opening a point in time"):
            answer = await self._silence.asking.open_point_in_time(
                index=self._names[class_name], keep_alive=KEPT
            )
        self._pits[class_name] = str(answer["id"])

    def moved(self, class_name: str, pit: str | None) -> None:
        """The server may give a point in time another name with each answer."""
        if pit is not None:
            self._pits[class_name] = pit

    async def close(self) -> None:
        """Give the points in time back, unless a cursor was promised them."""
        if self.promised:
            return
        for pit in self._pits.values():
            if self._silence.lasts:
                return
            # What cannot be given back ends by itself after two minutes.
            with contextlib.suppress(EngineError, elasticsearch.NotFoundError):
                async with self._silence.broken_by("closing a point in time"):
                    await self._silence.asking.close_point_in_time(id=pit)


class Views:
    """The view that questions share.

    Args:
        mark: how far the index is at present.
        clock: seconds, monotonic.
        sleep: waits for a commit that is under way.
    """

    def __init__(
        self,
        silence: Silence,
        mark: Callable[[], Awaitable[Mark]],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._silence = silence
        self._mark = mark
        self._clock = clock
        self._sleep = sleep
        self._held: View | None = None
        self._retired: deque[tuple[float, View]] = deque()
        self._at: Mark | None = None
        self._names: Mapping[str, str] = {}
        self._opened = self._checked = 0.0
        self._renewing = anyio.Lock()

    async def current(self, names: Mapping[str, str]) -> View:
        """A view of what was committed half a second ago or later."""
        held = self._held
        now = self._clock()
        if held is not None and self._fresh(held, names) and now - self._checked < CHECKED_S:
            return held
        heard = self._silence.times
        async with self._renewing:
            self._silence.heed(heard)
            held = self._held
            now = self._clock()
            usable = held is not None and self._fresh(held, names)
            if held is not None and usable and now - self._checked < CHECKED_S:
                return held
            mark = await self._mark()
            young = now - self._opened <= OLDEST_S
            if held is not None and usable and young and mark == self._at:
                self._checked = now
                return held
            made, seen = await self._made(names, mark, waits=not (usable and young))
            if made is None and held is not None:
                self._checked = now - CHECKED_S + AMID_COMMIT_S
                return held
            assert made is not None
            await self.forget()
            self._held, self._at = made, seen
            self._names, self._opened, self._checked = names, now, now
            return made

    async def _made(
        self, names: Mapping[str, str], before: Mark, *, waits: bool
    ) -> tuple[View | None, Mark]:
        """A view of one state of all classes, and its mark; ``None`` while a commit is under way.
        With ``waits`` that is waited for, and given up in favour of whatever can be seen."""
        for attempt in range(TRIES):
            last = waits and attempt == TRIES - 1
            if before.settled or last:
                view = View(self._silence, names, position=before.position)
                await view.open()
                after = await self._mark()
                if last or after == before:
                    return view, before
                await view.close()
            elif waits:
                await self._sleep(PAUSE_S)
                after = await self._mark()
            else:
                break
            before = after
        return None, before

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
