"""The garbage collector of a server: it looks through everything only when nobody waits.

Answers of facilities are many objects at once, and long-lived. Looking through all of them takes a
tenth of a second and more, in which the event loop stands still. So only young objects are looked
through at any time; those that are in cycles and grew older are found in a quiet moment. What is
made of large answers is not even looked through while it is young: it has no cycles, and that took
up to 14 ms at a time, in whichever thread it was.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

YOUNG = 2_500
"""So many new objects more than have gone, and the young ones are looked through: a millisecond or
two. With four times as many it was up to nine on a busy machine, the most of what held the loop."""
NEVER = 1_000_000
EVERY_S = 60.0
LOOKS = 600
LOOK_AGAIN_S = 0.1
ALL_EVERY = 10
"""Of so many quiet moments one is for what was left alone, too. Cycles of others that were young
when it was made are kept until then, so it is not seldom."""


class _Spared:
    """Who is at work on what is left alone; nobody, until a server says ``only_young``."""

    def __init__(self) -> None:
        self.is_on = False
        self.has_left = False
        self._at_work = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            self._at_work += 1
            gc.disable()

    def end(self) -> None:
        with self._lock:
            self._at_work -= 1
            if gc.get_count()[0] > YOUNG:  # else no look is due
                # At once, however many there are: the lists of all objects change hands. Those of
                # others, too, which may be in cycles: left alone after each small answer, these
                # took a megabyte more each second (50 questions a second, three facilities hang).
                gc.freeze()
                self.has_left = True
            if not self._at_work:
                gc.enable()


_SPARED = _Spared()


def only_young() -> None:
    """Leave out of the automatic collections what is loaded by now, and all that grows old."""
    gc.freeze()
    gc.set_threshold(YOUNG, NEVER, NEVER)
    _SPARED.is_on = True


@contextmanager
def left_alone() -> Iterator[None]:
    """What is made in here is much and has no cycles: it is not looked through for garbage, neither
    now nor until everything is. For servers; elsewhere it changes nothing. From any thread."""
    if not _SPARED.is_on:
        yield
        return
    _SPARED.begin()
    try:
        yield
    finally:
        _SPARED.end()


class Collect:
    """Looks through everything but what was left alone, and now and then through that, too: it is
    ten times as much, and next to nothing was ever found in it (36 objects in a hundred
    questions)."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> None:
        self._looks += 1
        if self._looks % ALL_EVERY or not _SPARED.has_left:
            gc.collect()
            return
        _SPARED.has_left = False
        gc.unfreeze()
        gc.collect()
        gc.freeze()


async def collect_in_quiet_moments(
    is_busy: Callable[[], bool],
    *,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    collect: Callable[[], object] | None = None,
) -> None:
    """About once a minute look through everything, as soon as nobody waits for an answer; after a
    minute without such a moment all the same."""
    collect = collect or Collect()
    while True:
        await sleep(EVERY_S)
        for _ in range(LOOKS):
            if not is_busy():
                break
            await sleep(LOOK_AGAIN_S)
        collect()
