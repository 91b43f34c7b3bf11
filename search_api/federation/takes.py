"""How much of a facility a question needs, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from catalogue.query import Node
from catalogue.readings import Reading


@dataclass(frozen=True, slots=True)
class Need:
    """How much of a facility a question needs.

    ``candidates``: records to look at for the page. ``most``: records to look at in any case no
    more. ``few``: a facility with at most so many records is looked at whole. ``words``: of the
    text, for services that search substrings. ``meant``: conditions of which each lets through what
    some of the words mean, whatever the words; ``beside``: words that the others must stand beside
    in any case. ``files``: whether files are wanted.
    """

    candidates: int
    most: int
    few: int
    words: tuple[str, ...] = ()
    meant: tuple[Node, ...] = ()
    beside: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """What came. ``complete``: every record that could match was looked at. ``number``: the
    facility's own count of all that match, where it can be believed. ``missing`` and ``unseen``:
    see ``relations.Wanted``. ``going_on``: the lists that may bring more where they are read
    further, so far as they were, by key. ``lacks`` and ``without``: see
    ``questions.FacilityAnswer``. ``digest``: of all that was read, empty where something has none.
    """

    reading: Reading
    complete: bool
    number: int | None = None
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    going_on: tuple[tuple[str, ...], ...] = ()
    age_s: float = 0.0
    stale: bool = False
    lacks: str = ""
    without: tuple[str, ...] = ()
    digest: bytes = b""
