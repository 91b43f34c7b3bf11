"""Changes of the outbox made ready for an engine, in this process or, for a long way, in others.

Reading and analysing a change costs more than all that the engine does with it, and holds the
interpreter; the engine's library does not. So a process of its own reads the store and sends back
documents that are rendered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from catalogue.ahead import Page
from catalogue.documents import EngineDocument, engine_documents
from catalogue.engines.base import Engine, Rendered
from catalogue.errors import StoreError
from catalogue.processes import (
    WorkProcesses,
    collect,
    collect_when_told,
    end_with_parent,
    result_of,
)
from catalogue.records import Change

if TYPE_CHECKING:
    from catalogue.store import Store

log = logging.getLogger(__name__)

LONG_WAY = 5_000
"""Outstanding changes from which processes are worth their start, which takes a second."""

MOST_PROCESSES = 4
"""More than these prepare faster than one writer takes it."""

RANGE = 1_000
"""Change numbers that a process is asked for at once."""

TOGETHER = 50
"""Documents that are made step by step: so many fit into a processor's caches with the code of a
step. One by one and a thousand at once each took a tenth to a fifth more."""

AHEAD = 2
"""Ranges for each process that may be ready before the engine has taken the ones before."""

Render = Callable[[EngineDocument], Rendered]


class Outbox(Protocol):
    """What is read of the record store."""

    def changes_since(self, number: int, limit: int = 1_000) -> Sequence[Change]: ...

    def changes_numbered(self, numbers: Sequence[int]) -> Sequence[Change]: ...

    def last_change(self) -> int: ...


class Batch(NamedTuple):
    """Documents in the order of their changes; after them the engine has come to ``position``."""

    documents: Sequence[Rendered]
    position: int


def prepare(outbox: Outbox, render: Render, after: int, limit: int) -> Batch:
    """The next changes after a number; none only at the end."""
    changes = outbox.changes_since(after, limit)
    documents = _rendered(changes, render)
    return Batch(documents, documents[-1].change if documents else after)


def _rendered(changes: Sequence[Change], render: Render) -> list[Rendered]:
    return [
        render(document)
        for first in range(0, len(changes), TOGETHER)
        for document in engine_documents(changes[first : first + TOGETHER])
    ]


def complete(outbox: Outbox, engine: Engine, page: Page) -> Batch:
    """A page whose documents were made ahead, with what has to be read for it."""
    assert engine.numbering is not None
    documents = [engine.numbering.number(document) for document in page.documents]
    if page.missing:
        changes = outbox.changes_numbered(page.missing)
        documents += _rendered(changes, engine.render)
        documents.sort(key=attrgetter("change"))
    return Batch(documents, page.until)


def _prepare_range(render: Render, after: int, until: int) -> Batch:
    """In a process: all changes after a number and up to another. One that gets a new number
    meanwhile is read under that one."""
    assert _store is not None
    collect()
    documents: list[Rendered] = []
    reached = after
    while reached < until:
        changes = _store.changes_since(reached, min(RANGE, until - reached))
        inside = [change for change in changes if change.entity.change <= until]
        documents += _rendered(inside, render)
        if len(inside) < len(changes) or not inside:
            break
        reached = inside[-1].entity.change
    return Batch(documents, until)


_store: Store | None = None


def _begin(folder: Path) -> None:
    """In a process: open the store, load what analysis needs, and end with the parent."""
    global _store
    from catalogue.store import Store
    from mappings.techniques import load_panet

    end_with_parent()
    _store = Store.open(folder, read_only=True)
    load_panet()
    collect_when_told()


class Preparers:
    """Processes that prepare; started when there is a long way to go, kept until ``close``."""

    def __init__(self, folder: Path, render: Render, processes: int | None = None) -> None:
        self._render = render
        most = processes or min(MOST_PROCESSES, os.cpu_count() or 1)
        self.processes = WorkProcesses(most, _begin, folder)
        self._given_up = False

    def warm(self) -> bool:
        """Whether the processes can be asked; starts them when they are not there."""
        return not self._given_up and self.processes.warm()

    async def batches(self, after: int, newest: int) -> AsyncGenerator[Batch]:
        """All changes after ``after`` and up to ``newest``, or as far as the processes live."""
        waiting: list[Future[Batch]] = []
        try:
            while after < newest or waiting:
                while after < newest and len(waiting) < self.processes.most * (1 + AHEAD):
                    until = min(after + RANGE, newest)
                    waiting.append(
                        self.processes.submit(_prepare_range, self._render, after, until)
                    )
                    after = until
                first = waiting.pop(0)
                yield await result_of(first)
        except (BrokenProcessPool, StoreError) as problem:
            # Out of memory, as a rule. The caller goes on by itself from where we came to.
            log.warning("index: a process that prepares failed (%s); going on without", problem)
            self._given_up = True
        finally:
            for future in waiting:
                future.cancel()

    async def close(self) -> None:
        """End the processes."""
        await self.processes.close()
