"""Giving cursors and continuing them (semantics 9.3; ``cursors.py`` has their form).

A relevance cursor names a view of the index. Where the engine keeps views for whoever names them,
the cursor says which, and any node continues it. Else the ranking is what is kept: pinned here
while nothing is committed, afterwards in ``serving.sqlite``.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

from catalogue.cursors import (
    KEPT,
    Continuation,
    Snapshot,
    Snapshots,
    expired,
    short_stamp,
    write_cursor,
)
from catalogue.engines.base import Reader, SortBy
from catalogue.errors import EngineError
from catalogue.fields import kind_of
from catalogue.plan import Numbers
from catalogue.planning import number_field
from catalogue.query import Search
from catalogue.ranking import MAX_SCORED, ranked_ordinals
from catalogue.records import EntityClass
from catalogue.search import Found
from catalogue.settled import Settled
from catalogue.threads import in_thread, is_driven

MAX_PINNED = 256
"""First pages whose ranking may still be asked for; beyond it another worker's way is taken."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was found, and the question as it was settled."""

    found: Found
    settled: Settled
    relaxed: bool = False


@runtime_checkable
class KeptView(Protocol):
    """A reader whose view outlives the question: any node can read it again."""

    def promise(self) -> Mapping[str, str]:
        """What a cursor names the view by."""


class Cursors:
    """The cursors of one catalogue.

    Args:
        snapshots: where rankings are kept.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots
        self.last_error: Exception | None = None
        self._saving: set[asyncio.Task[None]] = set()
        self._pinned: OrderedDict[str, Page] = OrderedDict()
        self._pinned_stamp: str | None = None
        self._pinning = threading.Lock()
        self._unsaved: dict[str, Page] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def on_loop(self) -> None:
        """Remember the event loop, for saving from a thread that drives a question."""
        self._loop = asyncio.get_running_loop()

    async def settle(self) -> None:
        """Wait until the rankings of the last answers are kept for their cursors."""
        for task in list(self._saving):
            await task

    async def close(self) -> None:
        await self.settle()
        close = getattr(self.snapshots, "close", None)
        if close is not None:
            await in_thread(close)

    def reads(self, reader: Reader) -> None:
        """Keep the pinned rankings when the index moved on: they can be had from the former view
        only."""
        if reader.stamp == self._pinned_stamp:
            return
        with self._pinning:
            former = list(self._pinned.items())
            self._pinned.clear()
            self._pinned_stamp = reader.stamp
        for name, page in former:
            self._save_soon(name, page)

    async def next_after(
        self, page: Page, digest: str, continuation: Continuation | None = None
    ) -> str | None:
        """The cursor of the page behind; ``None`` after the last, and where none is wanted.

        Args:
            continuation: what led to this page.
        """
        search, found = page.settled.search, page.found
        if search.plain or not search.limit or len(found.hits) < search.limit:
            return None
        at = search.skip + search.limit
        if page.settled.scores:
            end = found.total.value if found.total.relation == "eq" else MAX_SCORED
            return None if at >= end else write_cursor(self._ranked(page, at, continuation), digest)
        last = found.hits[-1]
        if not search.sort:
            return write_cursor(Continuation("after", ordinal=last.ordinal), digest)
        by = sort_of_cursor(search)
        if by is None:
            return write_cursor(Continuation("skip", at=at), digest)
        value = await _sort_value(page.settled.reader, search.entity_class, by, last.ordinal)
        return write_cursor(Continuation("after", ordinal=last.ordinal, value=value), digest)

    def _ranked(self, page: Page, at: int, continuation: Continuation | None) -> Continuation:
        reader = page.settled.reader
        expires = int((page.settled.search.now + KEPT).timestamp())
        if continuation is not None:
            expires = continuation.expires
        if isinstance(reader, KeptView):
            best = page.found.best_possible
            return Continuation("view", at=at, view=reader.promise(), best=best, expires=expires)
        name = secrets.token_urlsafe(12)
        stamp = reader.stamp
        if stamp is None:
            self._save_soon(name, page)
        elif stamp == self._pinned_stamp:
            # Most first pages have no second one: the ranking is worked out when it comes.
            with self._pinning:
                self._pinned[name] = page
                if len(self._pinned) > MAX_PINNED:
                    self._pinned.popitem(last=False)
        return Continuation(
            "ranked", at=at, snapshot=name, stamp=short_stamp(stamp), expires=expires
        )

    async def snapshot(
        self,
        search: Search,
        reader: Reader,
        continuation: Continuation,
        first_page: Callable[[Search], Awaitable[Page]],
    ) -> Snapshot:
        """The ranking that a cursor continues: kept, pinned here, or worked out again where the
        index is still the same.

        Raises:
            CursorExpired: it is none of these.
        """
        name = continuation.snapshot
        with self._pinning:
            page = self._pinned.pop(name, None) or self._unsaved.get(name)
        if page is None:
            kept = await in_thread(partial(self.snapshots.get, name, search.now))
            if kept is not None:
                return kept
        if page is None and short_stamp(reader.stamp) == continuation.stamp != "":
            page = await first_page(replace(search, cursor=None, skip=0, facets=()))
        if page is None:
            raise expired()
        await self._save(page, name)
        kept = await in_thread(partial(self.snapshots.get, name, search.now))
        if kept is None:
            raise expired()
        return kept

    def _save_soon(self, name: str, page: Page) -> None:
        self._unsaved[name] = page
        if is_driven() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_saving, name, page)
        else:
            self._start_saving(name, page)

    def _start_saving(self, name: str, page: Page) -> None:
        task = asyncio.create_task(self._save(page, name))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save(self, page: Page, name: str) -> None:
        """Keep a ranking where every worker finds it."""
        try:
            ranked = await ranked_ordinals(page.settled)
            snapshot = Snapshot(
                [ordinal for ordinal, _ in ranked],
                [score for _, score in ranked],
                page.found.total.value,
            )
            expires = page.settled.search.now + KEPT
            await in_thread(partial(self.snapshots.put, name, snapshot, expires))
        except (EngineError, OSError) as error:
            # The answer is already given; its cursor will say that it has expired.
            self.last_error = error
        finally:
            self._unsaved.pop(name, None)


def sort_of_cursor(search: Search) -> SortBy | None:
    """The sort that a cursor can go on from by value: a single number or date."""
    if len(search.sort) != 1:
        return None
    (one,) = search.sort
    if kind_of(search.entity_class, one.field) not in ("instant", "number"):
        return None
    return SortBy(number_field(one.field), one.descending)


async def _sort_value(
    reader: Reader, entity_class: EntityClass, by: SortBy, ordinal: int
) -> int | None:
    values = await reader.values(entity_class, Numbers("ordinal", frozenset({ordinal})), by.field)
    return int(next(iter(values))) if values else None


__all__ = ["Cursors", "KeptView", "Page", "sort_of_cursor"]
