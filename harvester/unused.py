"""What a facility sends that we do not use yet, counted over its stored records.

Nothing is kept for this: the stored payloads go through the present crosswalks, so the answer is
that of today's version.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from catalogue.store import Store
from mappings import crosswalk
from mappings.errors import MappingError

NO_PLACE = "no field takes it"
MOST_SHOWN = 500
_PLACE_IN_LIST = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Unused:
    """A path with the number of records that have it unused, why, and one value of it."""

    path: str
    records: int
    reason: str
    example: str


def count_unused(store: Store, source: str) -> tuple[Unused, ...]:
    """What the crosswalks leave over of a source's stored records, most frequent first.

    Raises:
        NotFound: there is no such source in the store.
    """
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for mapped in store.mapped_now(crosswalk, source):
        if isinstance(mapped, MappingError):
            found = {(mapped.path, f"quarantined: expected {mapped.expected}"): mapped.value or ""}
        else:
            found = {(_shape(one.path), NO_PLACE): one.value for one in mapped.unmapped}
            found |= {(_shape(one.path), one.reason): one.value for one in mapped.problems}
        counts.update(found.keys())
        for path, value in found.items():
            examples.setdefault(path, value)
    return tuple(
        Unused(path, records, reason, examples[path, reason])
        for (path, reason), records in counts.most_common(MOST_SHOWN)
    )


def _shape(path: str) -> str:
    """A path without places in lists: the third creator's affiliation is any creator's."""
    return _PLACE_IN_LIST.sub("[]", path)
