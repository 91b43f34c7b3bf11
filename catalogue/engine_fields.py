"""The fields of engine documents, whatever the engine: exact terms, numbers, strings of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from catalogue.access import STATES
from catalogue.fields import FIELDS
from catalogue.record_terms import number_name

ACCESS_NAMES = (*STATES, "public")
FACET_FIELDS = ("facility", "instrument", "instrument_key", "year", "kind", "sample")

SPAN_NUMBERS = {name: (f"{name}_from", f"{name}_until") for name in ACCESS_NAMES}
"""The number fields of the ends of each state's span."""

RAW_FIELDS = ("terms", "params", "all_params", "tags", "words", "suggestions")
"""Fields of exact terms that are only looked up."""

CUT_WORDS = "cut:words"
"""The term of a record with a word so long that it may have been cut (semantics 6.1)."""

COUNTED_FIELDS = ("panet", *(f"f_{name}" for name in FACET_FIELDS))
"""Fields of exact terms that are also counted for facets."""

TITLE_WORDS = "title_words"

TEXT_FIELDS: Mapping[str, Literal["freq", "position"]] = {
    "text": "position", "title": "freq", TITLE_WORDS: "position",
}  # fmt: skip
"""Fields that are one string of words to the line, and what they keep of each word. ``wholes`` is
scored, too, but has neither. Phrases are looked up in ``text``, a title's substrings of several
words in ``title_words``."""


def number_fields(class_name: str) -> tuple[str, ...]:
    """All number fields that engine documents of a class may have, besides ``ordinal``."""
    own = [
        number_name(n) for n, kind in FIELDS[class_name].items() if kind in ("instant", "number")
    ]
    if class_name == "Instrument":
        return tuple(own)
    spans = [name for both in SPAN_NUMBERS.values() for name in both]
    return (*own, "first_year", "last_year", *spans)
