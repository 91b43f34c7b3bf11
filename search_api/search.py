"""``/api/search``: one question in plain parameters, for people and scripts.

Every parameter is in one table, from which the reader, the OpenAPI description and the messages
about unknown parameters are made. Repeated values of one parameter mean "any of these"; different
parameters all hold. Filters never score (semantics 7.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from catalogue.query import Facet, Search, Sort, Text, all_of
from catalogue.records import EntityClass
from search_api.conditions import Reading
from search_api.errors import BadRequest
from search_api.loopback import read_count
from search_api.search_filters import filters
from search_api.search_parameters import (
    BY_NAME,
    CLASSES,
    PARAMETERS,
    SORTS,
    choice,
    choices,
    flag,
    one_value,
    pairs_of_body,
    text_value,
    values_by_name,
)
from search_api.search_words import split_words

MAX_CHILDREN = 200
"""Datasets of a Document that its hit is made from; all of them are behind its own page."""
FACET_SIZES = {"facility": 1_000, "technique": 100}
"""Values counted; techniques come with all the terms above them."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A read question: the search and in which form the answer is wanted. ``limit_was_cut``: more
    hits were asked for than a page may hold."""

    search: Search
    format: str
    facets: tuple[str, ...]
    query: str
    limit_was_cut: bool = False


def read_search(
    reading: Reading, pairs: Sequence[tuple[str, str]], default_limit: int
) -> SearchRequest:
    """Read the parameters of ``/api/search``.

    Raises:
        BadRequest: names the parameter, what is allowed and the nearest right word.
    """
    values = values_by_name(pairs)
    entity_class = CLASSES[choice(values, "type", "documents")]
    words = text_value(values, "q", reading)
    bare, named = split_words(words)
    nodes = filters(values, entity_class, reading, named)
    facets = _facets(values)
    limit = read_count(one_value(values, "limit"), "limit")
    wanted = default_limit if limit is None else limit
    skip = read_count(one_value(values, "skip"), "skip") or 0
    cursor = one_value(values, "cursor")
    text = Text(
        bare,
        match=cast(Any, choice(values, "match", "all")),
        recognise=flag(values, "recognise", True),
        literal=tuple(dict.fromkeys(values.get("literal", ()))),
    )
    search = Search(
        entity_class,
        reading.now,
        where=all_of(*nodes),
        text=text if bare.strip() else None,
        sort=_sort(values, entity_class),
        skip=0 if cursor else skip,
        limit=min(wanted, reading.settings.max_limit),
        # How many hits each facility has is part of every answer.
        facets=tuple(
            Facet(cast(Any, name), size=FACET_SIZES.get(name, 20))
            for name in dict.fromkeys((*facets, "facility"))
        ),
        cursor=cursor,
        explain=flag(values, "explain", False),
        related=flag(values, "related", True),
        bare=True,
        contained=MAX_CHILDREN,
    )
    cut = wanted > search.limit
    return SearchRequest(search, choice(values, "format", "json"), facets, words, cut)


def _facets(values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    names = [name.strip() for text in values.get("facets", ()) for name in text.split(",")]
    return choices("facets", [name for name in names if name])


def _sort(values: Mapping[str, Sequence[str]], entity_class: EntityClass) -> tuple[Sort, ...]:
    text = one_value(values, "sort")
    if text is None:
        return ()
    descending = text.startswith("-")
    name = text.removeprefix("-")
    if name not in SORTS:
        raise BadRequest(
            f"There is no order {name[:50]!r}.", field="sort", allowed=SORTS, given=name
        )
    pair = SORTS[name]
    if not pair:
        return ()
    field = pair[0] if entity_class == "Document" else pair[1]
    if field is None:
        others = [one for one in SORTS if one != name and (not SORTS[one] or all(SORTS[one]))]
        raise BadRequest(
            f"{entity_class}s cannot be sorted by {name}.", field="sort", allowed=others
        )
    return (Sort(field, descending),)


__all__ = ["BY_NAME", "PARAMETERS", "SORTS", "SearchRequest", "pairs_of_body", "read_search"]
