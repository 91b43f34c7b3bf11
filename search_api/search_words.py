"""``field:value`` inside the text of ``/api/search``: ``lysozyme technique:SAXS -facility:ILL``.

Such a part is a filter and no word: it neither scores nor is recognised. A name that is no field
leaves its part a word, so that ``Fe:Ni``, addresses and DOIs are looked for as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from search_api.errors import BadRequest

FIELDS: Mapping[str, str] = {
    "technique": "technique",
    "facility": "facility",
    "instrument": "instrument",
    "sample": "sample",
    "person": "person",
    "author": "person",
    "year": "year",
    "access": "access",
    "kind": "kind",
    "level": "level",
    "format": "file_format",
    "title": "title",
    "pid": "pid",
}
"""What may stand before the colon, and the filter that it means."""

MOST = 32
_PART = re.compile(
    r'[-+]?"[^"]*"'
    r'|(?P<sign>[-+]?)(?P<name>[A-Za-z_]{2,20}):(?P<value>"[^"]*"|[^\s"]+)(?!\S)'
    r"|\S+"
)


@dataclass(frozen=True, slots=True)
class Named:
    """One ``field:value``; ``denied`` with a ``-`` in front."""

    field: str
    value: str
    denied: bool


def split_words(text: str) -> tuple[str, tuple[Named, ...]]:
    """The words without, and the fields with their values.

    Raises:
        BadRequest: more than ``MOST`` fields; each may have to be looked for in every record.
    """
    if ":" not in text:
        return text, ()
    rest: list[str] = []
    found: list[Named] = []
    for part in _PART.finditer(text):
        field = FIELDS.get((part["name"] or "").casefold())
        value = (part["value"] or "").strip('"').strip()
        if field is None or not value:
            rest.append(part.group())
        else:
            found.append(Named(field, value, part["sign"] == "-"))
    if len(found) > MOST:
        raise BadRequest(f"More than {MOST} parts of the form field:value.", field="q")
    if not found:
        return text, ()
    return " ".join(rest), tuple(found)
