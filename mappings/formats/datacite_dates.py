"""What the ``date`` elements of DataCite mean, by their ``dateType``."""

from __future__ import annotations

from mappings.dates import Moment, span
from mappings.drafts import Draft


def read_collected(text: str, draft: Draft) -> None:
    """When the experiment was: a range, or the day it began."""
    found = span(text, draft.context.time_zone)
    if found is None:
        draft.notes.dropped("resource/dates/date[Collected]", text, "no date or range")
        return
    if found.start is not None and not found.start.certain:
        draft.notes.dropped("resource/dates/date[Collected]", text, "a date in words")
        return
    draft.start = found.start
    draft.end = found.end if "/" in text else None


def read_available(text: str, draft: Draft) -> None:
    """The end of a range is when the data are out: OpenAIRE writes embargoes as ranges too."""
    found = span(text, draft.context.time_zone)
    last = (found.end or found.start) if found is not None else None
    if last is None or not last.certain:
        draft.notes.dropped("resource/dates/date[Available]", text, "no date")
        return
    draft.release = last
    draft.embargo("resource/dates/date[Available]", text, last)


def first_moment(text: str, draft: Draft) -> Moment | None:
    """When the data were made: the beginning of a range."""
    found = span(text, draft.context.time_zone)
    if found is None or found.start is None:
        draft.notes.dropped("resource/dates/date[Created]", text, "no date")
        return None
    return found.start
