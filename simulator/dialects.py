"""How implementations of the PaNOSC Search API differ (crosswalks 2.3).

Each is read from code, documentation or stored answers of the implementation named, not from a
running server. Where a source says only "not implemented", the condition is taken as ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Literal

from simulator.loopback import OPERATORS

ALL_OPERATORS = frozenset(OPERATORS) | {"and", "or", "text"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Switches of one implementation; the defaults are the reference provider's.

    ``unsupported``: what a missing operator or field does: nothing matches, the condition is
    ignored, or 400. ``filter_keys``: keys a filter may have (others: 400), or any.
    ``include_words``: bare-string entries in ``include`` are taken; else 400.
    ``ordering`` and ``projection``: honoured, ignored or answered with 400.
    ``counts``: ``{"count": n}`` or the bare number. ``parent``: the relation by which a Dataset
    names its Documents. ``scored``: classes that a ``query`` scores, by ``scoring``;
    ``unmatched_score`` goes to others' items, ``None`` drops them. ``skips_unscored``: skip counts
    in the list as it was before scoring. ``constants`` are sent whatever the record says, and
    conditions on them are removed. ``left_out``: fields never sent. ``numeric_pids``: Documents
    have numbers for pids, in ``id`` too, and often a blank for a DOI.
    """

    name: str
    operators: frozenset[str] = ALL_OPERATORS
    unsupported: Literal["empty", "ignored", "400"] = "empty"
    unknown_field: Literal["empty", "400"] = "empty"
    filter_keys: frozenset[str] | None = None
    include_words: bool = True
    ordering: Literal["honoured", "ignored", "400"] = "honoured"
    projection: Literal["honoured", "ignored", "400"] = "honoured"
    counts: Literal["object", "number"] = "object"
    files: bool = True
    techniques: bool = False
    any_case: bool = False
    sql_like: bool = False
    broken_operators: frozenset[str] = frozenset()
    falsy_operands_ignored: bool = False
    numbers_are_text: bool = False
    nulls: bool = False
    empty_relations: bool = False
    parent: Literal["", "documents", "document"] = ""
    foreign_keys: bool = True
    scored: frozenset[str] = frozenset()
    scoring: Literal["share", "bm25"] = "share"
    skips_unscored: bool = False
    unscored_score: int | None = 0
    unmatched_score: int | None = 0
    constants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    release_by_year: bool = False
    bare_members: bool = False
    document_parameters: bool = True
    nested_joins: bool = True
    numeric_pids: bool = False


REFERENCE = Dialect("reference")
XFEL = Dialect(
    "xfel",
    operators=ALL_OPERATORS
    - {"gt", "lt", "and", "or", "between", "like", "nlike", "ilike", "nilike"}
    | {"nilike"},
    unsupported="ignored",
    techniques=True,
    foreign_keys=False,
)
SCICAT = Dialect(
    "scicat",
    operators=ALL_OPERATORS - {"text"},
    include_words=False,
    ordering="ignored",
    projection="ignored",
    parent="document",
    foreign_keys=False,
    scored=frozenset({"Document", "Dataset"}),
    unmatched_score=None,
    skips_unscored=True,
    constants={"Document": {"isPublic": True, "type": "publication"}},
    left_out={"Document": frozenset({"keywords", "license", "startDate", "endDate"})},
    release_by_year=True,
    bare_members=True,
    document_parameters=False,
)
ILL = Dialect(
    "ill",
    operators=ALL_OPERATORS - {"regexp"},
    unsupported="400",
    unknown_field="400",
    filter_keys=frozenset({"where", "include", "limit", "skip", "order", "fields", "query"}),
    counts="number",
    files=False,
    any_case=True,
    sql_like=True,
    broken_operators=frozenset({"nlike"}),
    falsy_operands_ignored=True,
    numbers_are_text=True,
    nulls=True,
    parent="document",
    foreign_keys=True,
    scored=frozenset({"Document"}),
    unscored_score=None,
    nested_joins=False,
)
DATAGATEWAY = Dialect(
    "datagateway",
    unsupported="400",
    unknown_field="400",
    filter_keys=frozenset({"where", "include", "limit", "skip", "query"}),
    include_words=False,
    ordering="400",
    projection="400",
    nulls=True,
    empty_relations=True,
    parent="documents",
    foreign_keys=False,
    scored=frozenset({"Document"}),
    unscored_score=None,
    unmatched_score=-1,
    nested_joins=False,
    constants={"Document": {"isPublic": True}, "Dataset": {"isPublic": True}},
)

ESRF = replace(DATAGATEWAY, name="esrf", numeric_pids=True)
"""ICAT+, as the documentation of the federated search tells of it."""

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (REFERENCE, XFEL, SCICAT, ILL, DATAGATEWAY, ESRF)
}

# Three kinds of facility by what they can do with words.
_WORDS = frozenset({"text", "like", "nlike", "ilike", "nilike", "regexp"})
FULL_TEXT = Dialect(
    "full-text",
    scored=frozenset({"Document", "Dataset"}),
    scoring="bm25",
    unmatched_score=None,
)
SUBSTRING = Dialect("substring")
NO_TEXT = Dialect("no-text", operators=ALL_OPERATORS - _WORDS, unsupported="400")
DEAF = Dialect("deaf", operators=ALL_OPERATORS - _WORDS, unsupported="ignored")
"""As ``NO_TEXT``, but what it does not know it ignores silently."""

TEXT_KINDS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (FULL_TEXT, SUBSTRING, NO_TEXT, DEAF)
}


def numbered(document: Mapping[str, Any]) -> dict[str, Any]:
    """A Document as a service with ``numeric_pids`` holds it.

    Its pid is a number, each third DOI a blank, and each fifth release before the start.
    """
    pid = str(document["pid"])
    number = int.from_bytes(blake2b(pid.encode(), digest_size=4).digest())
    doi = document.get("doi") or (pid if pid.startswith("10.") else None)
    changed = {**document, "pid": number, "doi": " " if number % 3 == 0 or not doi else doi}
    start = str(document.get("startDate") or "")
    if number % 5 == 0 and start[:4].isdigit() and document.get("releaseDate"):
        changed["releaseDate"] = f"{int(start[:4]) - 1}{start[4:]}"
    return changed
