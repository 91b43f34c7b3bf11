"""The garbage collector of a server: it looks through everything only when nobody waits.

Answers of facilities are many objects at once, and long-lived. Looking through all of them takes a
tenth of a second and more, in which the event loop stands still. So only young objects are looked
through at any time; those that are in cycles and grew older are found in a quiet moment.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import anyio

YOUNG = 2_500
"""So many new objects more than have gone, and the young ones are looked through: a millisecond or
two. With four times as many it was up to nine on a busy machine, the most of what held the loop."""
NEVER = 1_000_000
EVERY_S = 60.0
LOOKS = 600
LOOK_AGAIN_S = 0.1


def only_young() -> None:
    """Leave out of the automatic collections what is loaded by now, and all that grows old."""
    gc.freeze()
    gc.set_threshold(YOUNG, NEVER, NEVER)


async def collect_in_quiet_moments(
    is_busy: Callable[[], bool],
    *,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    collect: Callable[[], object] = gc.collect,
) -> None:
    """About once a minute look through everything, as soon as nobody waits for an answer; after a
    minute without such a moment all the same."""
    while True:
        await sleep(EVERY_S)
        for _ in range(LOOKS):
            if not is_busy():
                break
            await sleep(LOOK_AGAIN_S)
        collect()
