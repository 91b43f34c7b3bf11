"""What can go wrong in the catalogue.

CatalogueError                 status 500, exit code 1 unless said otherwise
├── StoreError
│   ├── StoreTooNew            409  the data folder was written by a newer version
│   ├── StoreDamaged           500  SQLite says the file is not sound
│   ├── StoreReadOnly          503  read-only file system, or permission denied
│   ├── StoreFull              503  no space left
│   ├── StoreBusy              503  another process kept the write lock too long
│   ├── StoreReplaced          503  another file is in its place since it was opened
│   │   └── StoreGone          503  none is
│   ├── ImportUnfinished       409  only part of an export came in
│   ├── MixedData              409  demo and real sources in one folder (semantics 10.5)
│   ├── LeaseHeld              409  somebody else works on this source
│   └── LeaseLost              409  our fencing number is no longer the newest: stop writing
├── EngineError
│   ├── EngineUnavailable      503
│   │   ├── IndexEmpty         503  nothing of what the store has was brought in yet
│   │   └── ViewLost           503  the view that was being read is gone: ask again
│   ├── EngineDamaged          503  can be rebuilt from the store
│   ├── IndexBusy              409  another process is writing the embedded index
│   ├── ForeignIndex           409  other mapping or analysis (semantics 6.3)
│   └── ForeignStore           409  the indices belong to another record store
├── QueryError                 400  the query cannot be meant; ``field`` names where
│   └── QueryTooCostly         400  over a bound, which the message names
├── CursorExpired              410
├── NothingKept                404  there is no store in the data folder yet
└── NotFound                   404
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CatalogueError(Exception):
    """Base of everything that ``catalogue`` raises on purpose; ``status`` is for HTTP."""

    status = 500
    exit_code = 1


class StoreError(CatalogueError):
    """The record store cannot do what was asked."""


class StoreTooNew(StoreError):
    """The data folder was written by a newer version of the software."""

    status = 409


class StoreDamaged(StoreError):
    """SQLite reports a damaged file."""


class StoreReadOnly(StoreError):
    """The data folder cannot be written."""

    status = 503


class StoreFull(StoreError):
    """No space is left where the data folder is."""

    status = 503


class StoreBusy(StoreError):
    """Another process kept the write lock for longer than the busy timeout."""

    status = 503


class StoreReplaced(StoreError):
    """Another file is in the store's place since this process opened it: a backup was put back.
    What is written to the former one is gone with it."""

    status = 503


class StoreGone(StoreReplaced):
    """There is no file in its place at all: it was removed, or its disk was taken away."""


class ImportUnfinished(StoreError):
    """Only part of an export came in: a harvest from its sources' last dates on would never ask
    for the rest."""

    status = 409


class MixedData(StoreError):
    """Demo and real sources were about to meet in one data folder."""

    status = 409


class LeaseHeld(StoreError):
    """Another process works on this source; ``holder`` says which."""

    status = 409

    def __init__(self, message: str, *, holder: str, run: int | None) -> None:
        super().__init__(message)
        self.holder = holder
        self.run = run


class LeaseLost(StoreError):
    """Our lease ran out and was taken over: whatever we hold must not be written."""

    status = 409


class EngineError(CatalogueError):
    """The search engine cannot do what was asked."""


class EngineUnavailable(EngineError):
    """The search engine does not answer."""

    status = 503


class IndexEmpty(EngineUnavailable):
    """There are records, and none of them is in the index: that is not "nothing found"."""

    def __init__(self, newest: int) -> None:
        super().__init__(
            f"The search index is missing or empty, and the record store at change {newest:,}. A "
            "harvest or daemon that is at work brings it in; else run: pan-commons index rebuild"
        )


class ViewLost(EngineUnavailable):
    """The view of the index that a question was reading is gone: expired, or its node or index
    is. Asked again, the question is answered from a new one."""


class EngineDamaged(EngineError):
    """The index cannot be read; it can be rebuilt from the store."""

    status = 503


class IndexBusy(EngineError):
    """Another process is writing the embedded index; it brings in our changes, too."""

    status = 409


class IndexReplaced(EngineError):
    """The index that was being written was let go, as a rule because another took its place: go on
    from the position of the one in use."""

    status = 409


class ForeignIndex(EngineError):
    """The index was made with another mapping, analysis, PaNET or parameter coding."""

    status = 409


class ForeignStore(EngineError):
    """The indices hold the records of another store, which writes them."""

    status = 409


class QueryError(CatalogueError):
    """The query cannot be meant as it stands; ``field`` names the place."""

    status = 400
    exit_code = 2

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class QueryTooCostly(QueryError):
    """The query is over a bound, which the message names."""


class CursorExpired(CatalogueError):
    """The cursor is older than it is kept; the message says how to start again."""

    status = 410


class NothingKept(CatalogueError):
    """Nothing was ever stored in the data folder."""

    status = 404


class NotFound(CatalogueError):
    """There is no such thing; whoever named it meant another."""

    status = 404
    exit_code = 2


@contextmanager
def first_of_group() -> Iterator[None]:
    """Of what tasks raised together the first error alone, which callers know."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
