"""The writers of all classes, what waits in them, and what they cannot hold yet."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from catalogue.engines.base import Rendered
from catalogue.engines.tantivy_errors import guarded
from catalogue.engines.tantivy_index import ClassIndex
from catalogue.errors import EngineError

HEAP_BYTES = ((400_000, 400_000_000), (40_000, 160_000_000), (0, 32_000_000))
"""Memory that the writer of one class may use before it flushes a segment (fault F15: no upper
bound), by how many changes are on their way; there are three classes. Each segment has dictionaries
of its own: five of 30,000 Documents took a fifth more room than one. And eight of a size are
merged, which takes half as long again as to write them: a million Documents and Datasets stay below
that with the most of these."""


def heap_bytes(changes: int) -> int:
    """The memory for so many changes on their way."""
    return next(size for least, size in HEAP_BYTES if changes >= least)


class Writer:
    """The library's writer of one class, and which entities it cannot have yet: to delete what is
    not there costs a look-up in each segment."""

    def __init__(self, index: ClassIndex, heap_bytes: int) -> None:
        self.library = index.writer(heap_bytes)
        self._highest = index.highest_ordinal()
        self._written = bytearray()  # by ordinal, beyond the highest of the last commit then

    def abandon(self) -> None:
        """Let the library's writer go, and with it its lock on the files. Whoever still holds this
        object (the trace of an error does) must not keep the next writer from them."""
        self.library = None

    def may_hold(self, ordinal: int) -> bool:
        place = ordinal - self._highest - 1
        return place < 0 or (place < len(self._written) and bool(self._written[place]))

    def wrote(self, ordinal: int) -> None:
        place = ordinal - self._highest - 1
        if place >= len(self._written):
            self._written.extend(bytes(max(place + 1 - len(self._written), 4_096)))
        if place >= 0:
            self._written[place] = 1


class Writers:
    """The writers of all classes.

    Attributes:
        waiting: the version of each entity that was written since the last commit.
        lost: whether something that waited was let go of.
    """

    def __init__(self) -> None:
        self._by_class: dict[str, Writer] = {}
        self._heap_bytes = heap_bytes(0)
        self.waiting: dict[str, int] = {}
        self.lost = False

    @property
    def open(self) -> bool:
        return bool(self._by_class)

    def expect(self, changes: int) -> None:
        """Be told how many changes are about to come."""
        heap = heap_bytes(max(0, changes))
        if changes > 0 and heap != self._heap_bytes:
            # Nothing waits in them that does not come again: it is behind the position.
            self.close()
            self._heap_bytes = heap

    def begin(self, indices: Mapping[str, ClassIndex]) -> None:
        """Open them.

        Raises:
            EngineError: not all can be had; then none is open.
        """
        try:
            for name, index in indices.items():
                self._by_class[name] = Writer(index, self._heap_bytes)
        except EngineError:
            self.abandon()
            raise

    def write(self, document: Rendered) -> None:
        """Put a document in the place of the former one, if there may be one."""
        writer = self._by_class[document.entity_class]
        if writer.may_hold(document.ordinal):
            # By the raw key: deleting by a number finds nothing, as Python's integers
            # become signed terms (seen with tantivy 0.27; fault F15).
            writer.library.delete_documents_by_term("key", document.key)
        if not document.deleted:
            writer.library.add_json(document.body.decode())
            writer.wrote(document.ordinal)
        self.waiting[document.key] = document.change

    def commit(self) -> None:
        """Make durable and visible what waits: all classes at once, as each ends its segments on
        one core and without the interpreter."""
        if self._by_class:
            with ThreadPoolExecutor(len(self._by_class)) as threads:
                done = [threads.submit(one.library.commit) for one in self._by_class.values()]
            for one in done:
                one.result()
        self.waiting.clear()

    def clear(self) -> None:
        """Take out everything."""
        for writer in self._by_class.values():
            writer.library.delete_all_documents()
        self.commit()

    def close(self) -> None:
        """Give up what waits, and end merges at hand."""
        for writer in self._by_class.values():
            with guarded("closing its writer"):
                writer.library.rollback()
                writer.library.wait_merging_threads()
        self._forget()

    def abandon(self) -> None:
        """Let them go as they are; what they held is in the outbox."""
        for writer in self._by_class.values():
            writer.abandon()
        self._forget()

    def _forget(self) -> None:
        self._by_class = {}
        self.lost |= bool(self.waiting)
        self.waiting.clear()
