"""The writer of one class, and what it cannot hold yet."""

from __future__ import annotations

from catalogue.engines.tantivy_index import ClassIndex

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
