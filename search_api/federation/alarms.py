"""Alarms that hardly ever ring: limits of requests that are answered long before.

Every live request has three of them, and the event loop's own timers take some 5 µs each to be set
and taken back. Here those of the same few milliseconds share one timer, so that one costs an entry
in a list. They ring up to ``GRAIN_S`` late, and never early.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from math import inf

GRAIN_S = 0.004


class Alarm:
    """One alarm; ``cancel`` as often as one likes, also when it has rung."""

    __slots__ = ("_argument", "_ring")

    def __init__(self, ring: Callable[..., object], argument: tuple[object, ...]) -> None:
        self._ring: Callable[..., object] | None = ring
        self._argument = argument

    @property
    def is_set(self) -> bool:
        return self._ring is not None

    def cancel(self) -> None:
        """Do not ring."""
        self._ring = None
        self._argument = ()

    def ring(self) -> None:
        """Ring, unless it was cancelled."""
        ring, argument = self._ring, self._argument
        if ring is not None:
            self.cancel()
            ring(*argument)


class Alarms:
    """The alarms of one event loop."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Alarm]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._next: float = inf

    def at(self, when: float, ring: Callable[..., object], *argument: object) -> Alarm:
        """Ring at a moment of the loop's clock, at once where that is past, at infinity never."""
        alarm = Alarm(ring, argument)
        if when == inf:
            return alarm
        # Past it, so that nothing rings early.
        slot = int(when / GRAIN_S) + 1
        held = self._slots.get(slot)
        if held is None:
            self._slots[slot] = [alarm]
            heapq.heappush(self._order, slot)
            if slot < self._next:
                self._set(slot)
        else:
            held.append(alarm)
        return alarm

    def after(self, seconds: float, ring: Callable[..., object], *argument: object) -> Alarm:
        """Ring so many seconds from now."""
        return self.at(asyncio.get_running_loop().time() + seconds, ring, *argument)

    def close(self) -> None:
        """Let none of them ring."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._next = None, inf
        self._slots.clear()
        self._order.clear()

    def _set(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._next = slot
        self._timer = loop.call_at(slot * GRAIN_S, self._look, slot)

    def _look(self, slot: int) -> None:
        self._timer, self._next = None, inf
        loop = asyncio.get_running_loop()
        # At least what the timer was set for: divided, its own moment may lie a hair before it.
        now = max(slot, int(loop.time() / GRAIN_S))
        order = self._order
        due: list[Alarm] = []
        while order and order[0] <= now:
            due += self._slots.pop(heapq.heappop(order))
        if order:
            self._set(order[0])
        for alarm in due:
            if alarm.is_set:
                loop.call_soon(alarm.ring)
