"""A crosswalk's table: which path of the payload is read by which function and feeds which field.

The same table drives the mapping and ``docs/crosswalks.md``, so the page cannot disagree with the
code: an element that no row names goes to ``unmapped``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Reader = TypeVar("Reader", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the documentation: a path, the fields it feeds, and what to know about it."""

    path: str
    feeds: str
    note: str = ""


@dataclass(slots=True)
class Rules:
    """The table of one format.

    ``readers`` is keyed by the name of the record's direct children, lower case and without
    namespace for XML, as spelt for JSON.
    """

    format: str
    title: str
    notes: tuple[str, ...] = ()
    readers: dict[str, Callable[..., None]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def reads(self, names: str, *rows: tuple[str, ...]) -> Callable[[Reader], Reader]:
        """Register a reader for the children ``names`` (blank-separated) with its rows.

        Each row is ``(path, feeds)`` or ``(path, feeds, note)``.
        """

        def register(reader: Reader) -> Reader:
            for name in names.split():
                self.readers[name] = reader
            self.rows += [Row(*row) for row in rows]
            return reader

        return register

    def settles(self, names: str, feeds: str, note: str = "") -> None:
        """Children that the crosswalk itself looks at, before or after all others."""
        for name in names.split():
            self.readers[name] = nothing
        self.rows.append(Row(", ".join(names.split()), feeds, note))

    def ignores(self, names: str, reason: str) -> None:
        """Children that are known and feed nothing."""
        self.settles(names, "—", reason)


def nothing(*_: object) -> None:
    """The reader of what feeds nothing by itself."""
    return
