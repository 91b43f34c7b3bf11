"""Answers kept for a moment: the same question, of the same index, before anything opens.

An entry ends when the index or a facility's state changes (both are part of its key), at the next
opening among what it shows (semantics 2.5), and after ``keep_s`` at the latest. Questions whose
conditions depend on the clock are not kept at all.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from catalogue.engines.base import Seen
from catalogue.errors import EngineUnavailable
from catalogue.query import (
    AccessIs,
    And,
    Compare,
    Exists,
    Join,
    Node,
    Not,
    OneOf,
    OpenAt,
    Or,
)

if TYPE_CHECKING:
    from catalogue.catalogue import Catalogue
    from search_api.responses import Finished

OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply, the instant from which it may be wrong, and what it was counted as."""

    reply: Finished
    until: datetime
    bytes: int


class AnswerCache:
    """The most recently used answers, bounded in bytes.

    Args:
        most_bytes: of all bodies together; 0 keeps nothing.
        keep_s: longest life of an entry.
    """

    def __init__(self, most_bytes: int, keep_s: float) -> None:
        self._most_bytes = most_bytes
        self._keep = timedelta(seconds=keep_s)
        self._kept: OrderedDict[tuple[object, ...], Kept] = OrderedDict()
        self._bytes = 0
        self.hits = 0

    @property
    def is_on(self) -> bool:
        return self._most_bytes > 0

    def get(self, key: tuple[object, ...], now: datetime) -> Finished | None:
        """The answer kept under ``key``, if it still holds at ``now``."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until <= now:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return found.reply

    def put(self, key: tuple[object, ...], reply: Finished, now: datetime, until: datetime) -> None:
        """Keep ``reply`` until ``until``, or until the longest life is over."""
        # Its compressed forms come later, and together are about half as large.
        size = len(reply.reply.body) * 3 // 2 + OVERHEAD_BYTES
        if size > self._most_bytes // 10 or until <= now:
            return
        self._drop(key)
        self._kept[key] = Kept(reply, min(until, now + self._keep), size)
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[object, ...]) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.bytes


class Position:
    """How far the index is, as questions saw it within ``look_again_s``, or as a look of our own
    tells, which those who ask meanwhile share.

    While another look is being taken the last one holds as long again, so that whoever takes it is
    the only one to wait: with eight clients it takes 6 ms to get the interpreter and give it back
    (measured), and a third of all questions waited for it.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        look_again_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_again_s = look_again_s
        self._monotonic = monotonic
        self._catalogue = catalogue
        self._looked_at: Seen | None = None
        self._looked: asyncio.Event | None = None
        self._failures, self._problem = 0, ""

    async def now(self) -> int:
        asked_at_s = self._monotonic()
        while (seen := self._latest()) is None or seen.at_s < asked_at_s - self._holds_s:
            if self._looked is None:
                await self._look()
            else:
                # Not a lock: that lets those who wait through one by one, a turn of the event loop
                # each, which made requests wait 0.4 s while the loop was busy (measured).
                failures = self._failures
                await self._looked.wait()
                if self._failures != failures:
                    # It was waited for as long as for an answer: nobody looks again for that.
                    raise EngineUnavailable(self._problem)
        return seen.position

    def _latest(self) -> Seen | None:
        ours, questions = self._looked_at, self._catalogue.engine.position_seen
        return max(filter(None, (ours, questions)), default=None)

    @property
    def _holds_s(self) -> float:
        return self._look_again_s if self._looked is None else 2 * self._look_again_s

    async def _look(self) -> None:
        self._looked = asyncio.Event()
        began_s = self._monotonic()
        try:
            self._looked_at = Seen(began_s, await self._catalogue.engine.position())
        except EngineUnavailable as problem:
            self._failures, self._problem = self._failures + 1, str(problem)
            raise
        finally:
            self._looked.set()
            self._looked = None


FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def next_opening(record: Mapping[str, Any], now: datetime) -> datetime:
    """The next instant at which the record's state of access may change; far off if never."""
    return first_opening((record,), now)


def first_opening(records: Iterable[Mapping[str, Any]], now: datetime) -> datetime:
    """The next instant at which the state of access of any of the records may change."""
    # ISO UTC texts sort as instants do.
    present = now.isoformat()[:19]
    first = FOREVER
    for record in records:
        access = record.get("access")
        if not access:
            continue
        for name in _OPENINGS:
            text = access.get(name)
            if isinstance(text, str) and text > present:
                first = min(first, datetime.fromisoformat(text))
    return first


_OPENINGS = ("openFrom", "embargoUntil")


def depends_on_clock(node: Node) -> bool:
    """Whether the same question may have other hits a moment later."""
    match node:
        case OpenAt() | AccessIs():
            return True
        case Compare(field) | OneOf(field) | Exists(field):
            return field == "isPublic"
        case And(clauses) | Or(clauses):
            return any(depends_on_clock(clause) for clause in clauses)
        case Not(clause):
            return depends_on_clock(clause)
        case Join(_, where):
            return depends_on_clock(where)
    return False
