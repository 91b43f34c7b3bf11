"""Engine documents made ahead of the outbox, where the record was mapped.

What most records of a first harvest say is all that anybody says of their entities. Then the
engine document can be made of what the crosswalk made, in the process that is at it anyway; reading
it back from the store took 50 µs a record, and two more processes. Only the numbers are missing,
which the commit gives. What anything else speaks of by then, or is related to, goes through the
outbox as ever; and so does everything that nobody takes soon enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, cast

from catalogue.documents import EngineDocument, engine_documents
from catalogue.engines.base import Numbering
from catalogue.records import Change, Foreseen, PageReport, StoredEntity
from catalogue.store.entities import fill_instrument
from catalogue.store.parts import CLASS_NAMES, DATASETS, INSTRUMENTS, KeyLink, Part
from mappings.context import Entity

MOST_BYTES = 192 * 2**20
"""Of documents that wait: those of 60,000 changes, more than lie between two steps of a harvest's
indexing. They are some 3 kB each, and two processes that read the outbox are larger than all."""

FEW = 0.5
"""Of a page's changes: below it, all of them are read from the outbox at once."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """What an engine document takes besides a record: its facility's ``provider``, and the form of
    the engine, a function of a module, so that another process can be asked."""

    provider: str
    render: Callable[[EngineDocument], bytes]


def foresee(
    records: Iterable[tuple[Sequence[Entity], Sequence[Part]]], facility: str, foresight: Foresight
) -> list[tuple[bytes, ...]]:
    """The engine documents of the parts of some records, without numbers.

    Args:
        records: of each, what the crosswalk made of it, and the same as the store keeps it.
        facility: short name.

    Returns:
        For each record one for each part; none at all where what others say of them would have to
        be known.
    """
    changes = [_changes(entities, parts, facility, foresight) for entities, parts in records]
    try:
        bodies = iter(_rendered([one for of_record in changes for one in of_record], foresight))
        return [tuple(islice(bodies, len(of_record))) for of_record in changes]
    except _STUMBLES:
        return [_rendered_or_none(of_record, foresight) for of_record in changes]


_STUMBLES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


def _rendered(changes: Sequence[Change], foresight: Foresight) -> list[bytes]:
    return [foresight.render(document) for document in engine_documents(changes)]


def _rendered_or_none(changes: Sequence[Change], foresight: Foresight) -> tuple[bytes, ...]:
    try:
        return tuple(_rendered(changes, foresight))
    except _STUMBLES:
        # The indexer meets the same record, and says so where it belongs.
        return ()


def _changes(
    entities: Sequence[Entity], parts: Sequence[Part], facility: str, foresight: Foresight
) -> list[Change]:
    """What the outbox would say of a record's entities if nothing else was known of them."""
    related = _related(parts)
    if related is None or len(parts) != len(entities):
        return []
    held: dict[str, StoredEntity] = {}
    for part, entity in zip(parts, entities, strict=True):
        record = {
            **entity,
            "facility": facility,
            "facilities": [facility],
            "provider": foresight.provider,
        }
        held[part.key] = StoredEntity(
            part.key, CLASS_NAMES[part.entity_class], 0, 0, deleted=False, record=record
        )
    for dataset, instrument in related.instruments:
        fill_instrument(cast(dict[str, Any], held[dataset].record), held[instrument].record)
    return [
        Change(one, tuple([held[child] for child in related.datasets.get(key, ())]))
        for key, one in held.items()
    ]


class _Related(NamedTuple):
    """The Datasets of each Document as their ordinals will be ordered; Datasets with Instrument."""

    datasets: Mapping[str, Sequence[str]]
    instruments: Sequence[tuple[str, str]]


def _related(parts: Sequence[Part]) -> _Related | None:
    """How the parts of a record are related; ``None`` where one is to anything that is none of
    them, or is there twice."""
    if len(parts) == 2 and len(parts[0].links) == 1 and parts[0].links == parts[1].links:
        # A Document and its one Dataset, which most records of flat formats make.
        ((parent, relation, child),) = parts[0].links
        if relation == DATASETS and {parent, child} == {parts[0].key, parts[1].key}:
            return _Related({parent: [child]}, ())
    named: dict[str, None] = {}
    links: dict[KeyLink, None] = {}
    for part in parts:
        named[part.key] = None
        for link in part.links:
            named[link.parent] = named[link.child] = links[link] = None
    if len(named) != len(parts):
        return None
    order = {key: place for place, key in enumerate(named)}
    datasets: dict[str, list[str]] = {}
    for link in sorted(links, key=lambda link: order[link.child]):
        if link.relation == DATASETS:
            datasets.setdefault(link.parent, []).append(link.child)
    return _Related(
        datasets, [(link.parent, link.child) for link in links if link.relation == INSTRUMENTS]
    )


class Page(NamedTuple):
    """Documents of a page that was committed, and the change numbers that it gave besides."""

    documents: Sequence[Foreseen]
    missing: Sequence[int]
    until: int


class Ahead:
    """Documents on their way from those who commit pages to the indexer of the same process.

    All on one event loop. Nothing depends on what is in here: what is dropped is in the outbox.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._numbering: Numbering | None = None
        self._bytes = 0
        # By the change number before their first; some may have been read from the outbox.
        self._pages: dict[int, Page] = {}

    def open(self, numbering: Numbering | None) -> None:
        """From now on somebody takes documents in the form of an engine; ``None``: nobody does."""
        self._numbering = numbering
        if numbering is None:
            self._pages.clear()
            self._bytes = 0

    def foresight(self, provider: str) -> Foresight | None:
        """What to make documents with; ``None`` when they are not wanted."""
        if self._numbering is None or self._bytes > self._most_bytes:
            return None
        return Foresight(provider, self._numbering.render)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._pages

    def put(self, report: PageReport) -> None:
        """Keep the documents of a page that was committed, if they are most of what it changed."""
        few = len(report.foreseen) < FEW * report.entities or not report.entities
        if self._numbering is None or few or self._bytes > self._most_bytes:
            return
        before, until = report.last_change - report.entities, report.last_change
        missing = set(range(before + 1, until + 1)) - {one.change for one in report.foreseen}
        self._pages[before] = Page(report.foreseen, sorted(missing), until)
        self._bytes += _size(report.foreseen)

    def take(self, after: int) -> Page | None:
        """The page that follows a change number, if it is here; what is before it is let go."""
        for passed in [begin for begin in self._pages if begin < after]:
            self._bytes -= _size(self._pages.pop(passed).documents)
        page = self._pages.pop(after, None)
        if page is not None:
            self._bytes -= _size(page.documents)
        return page

    def next_begin(self, after: int, newest: int) -> int:
        """The change number up to which the outbox has to be read; ``newest`` at most."""
        return min((begin for begin in self._pages if begin > after), default=newest)


def _size(documents: Sequence[Foreseen]) -> int:
    return sum([len(document.body) for document in documents])
