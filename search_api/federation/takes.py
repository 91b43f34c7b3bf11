"""How much of a facility a question needs, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from catalogue.readings import Reading


@dataclass(frozen=True, slots=True)
class Need:
    """How much of a facility a question needs.

    ``candidates``: records to look at for the page. ``most``: records to look at in any case no
    more. ``few``: a facility with at most so many records is looked at whole. ``words``: of the
    text, for services that search substrings. ``files``: whether files are wanted.
    """

    candidates: int
    most: int
    few: int
    words: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """What came. ``complete``: every record that could match was looked at. ``number``: the
    facility's own count of all that match, where it can be believed. ``missing`` and ``unseen``:
    see ``relations.Wanted``. ``more``: asking deeper may bring more. ``lacks`` and
    ``without``: see ``questions.FacilityAnswer``."""

    reading: Reading
    complete: bool
    number: int | None = None
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    more: bool = False
    age_s: float = 0.0
    stale: bool = False
    lacks: str = ""
    without: tuple[str, ...] = ()
