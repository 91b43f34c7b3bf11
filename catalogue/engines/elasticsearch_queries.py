"""Plans and scores as Elasticsearch queries. Pure: what is sent can be read in a test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from catalogue.engines.base import SortBy
from catalogue.plan import (
    All,
    AllOf,
    AnyOf,
    Empty,
    Like,
    LikePhrase,
    NoneOf,
    NumberRange,
    Numbers,
    Phrase,
    Plan,
    Prefix,
    Score,
    TermRange,
    Terms,
    WordScore,
)
from catalogue.scoring import TIE_BREAKER

Query = dict[str, Any]

MAX_TERMS = 60_000
"""Terms in one clause; the server's own limit is 65,536."""

SENT_BY_SHARDS = 10_000
"""Values that each shard sends for a facet, at least."""

LIVE: Query = {"term": {"deleted": False}}
"""Tombstones stay in the index for a while and are no hits."""


def query(plan: Plan) -> Query:
    """The query of a plan that holds no undecided and no linked leaf."""
    match plan:
        case All():
            return {"match_all": {}}
        case Empty():
            return {"match_none": {}}
        case Terms(field, terms):
            return _terms(field, sorted(terms))
        case Numbers(field, values):
            return _terms(field, sorted(values))
        case TermRange(field, low, high):
            return {"range": {field: {"gte": low, "lte": high}}}
        case Prefix(field, prefix):
            return {"prefix": {field: {"value": prefix}}}
        case Like():
            return {"regexp": {plan.field: {"value": _expression(plan), "flags": "NONE"}}}
        case LikePhrase(likes):
            # Words in a row that are expressions would be limited to 128 different ones.
            return {"bool": _all_of(likes)}
        case Phrase(field, terms):
            return {"match_phrase": {field: {"query": " ".join(terms), "analyzer": "whitespace"}}}
        case NumberRange(field, low, high):
            ends = {"gte": low, "lte": high}
            given = {name: value for name, value in ends.items() if value is not None}
            return {"range": {field: given}} if given else {"exists": {"field": field}}
        case AllOf(parts):
            return {"bool": _all_of(parts)}
        case AnyOf(parts):
            return {"bool": {"should": [query(p) for p in parts], "minimum_should_match": 1}}
        case NoneOf():
            return {"bool": _all_of((plan,))}
    raise TypeError(f"{type(plan).__name__} must be settled before it reaches an engine")


def live(plan: Plan, scores: Sequence[Score] = ()) -> Query:
    """The query of a search: live members of the plan, scored by the sum of ``scores``."""
    clauses: Query = {"filter": [LIVE]}
    if not isinstance(plan, All):
        clauses["filter"].append(query(plan))
    if scores:
        clauses["should"] = [_score(score) for score in scores]
        clauses["minimum_should_match"] = 0
    return {"bool": clauses}


def sorting(sort: Sequence[SortBy], *, scored: bool) -> list[Any]:
    """Order of a page; ties by ordinal."""
    if scored:
        return [{"_score": "desc"}, {"ordinal": "asc"}]
    by = [{s.field: {"order": "desc" if s.descending else "asc", "missing": "_last"}} for s in sort]
    return [*by, {"ordinal": "asc"}]


def pattern_of_prefix(prefix: str) -> str:
    """A Lucene regular expression for terms that begin so."""
    return re.sub(r"([^\w])", r"\\\1", prefix) + ".*"


def _expression(like: Like) -> str:
    """The whole term as a regular expression of Lucene's."""
    letters = "".join(
        _escaped(one) if len(one) == 1 else f"[{''.join(map(_escaped, one))}]"
        for one in like.letters
    )
    before = ".*" if like.open_start else ""
    after = ".*" if like.open_end else ""
    return "".join(map(_escaped, like.head)) + before + letters + after


def _escaped(letter: str) -> str:
    return letter if letter.isalnum() or not letter.isascii() else f"\\{letter}"


def _all_of(parts: Sequence[Plan]) -> Query:
    clauses: Query = {}
    for part in parts:
        if isinstance(part, NoneOf):
            clauses.setdefault("must_not", []).append(query(part.part))
        else:
            clauses.setdefault("filter", []).append(query(part))
    return clauses


def _terms(field: str, values: Sequence[Any]) -> Query:
    if not values:
        return {"match_none": {}}  # a choice of no clauses would hold for everything
    if len(values) == 1:
        return {"term": {field: values[0]}}
    chunks = [values[at : at + MAX_TERMS] for at in range(0, len(values), MAX_TERMS)]
    clauses = [{"terms": {field: list(chunk)}} for chunk in chunks]
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _score(score: Score) -> Query:
    if isinstance(score, WordScore):
        clauses = [
            {"term": {clause.field: {"value": clause.term, "boost": clause.boost}}}
            for clause in score.clauses
        ]
        return {"dis_max": {"tie_breaker": TIE_BREAKER, "queries": clauses}}
    levels = [
        {"constant_score": {"filter": query(plan), "boost": worth}} for worth, plan in score.levels
    ]
    return {"dis_max": {"tie_breaker": 0.0, "queries": levels or [{"match_none": {}}]}}


def terms_facet(field: str, size: int) -> Mapping[str, Any]:
    # The counts are exact unless a shard has more values than it sends; the answer's error bound
    # tells.
    sent = max(SENT_BY_SHARDS, 4 * size)
    return {"terms": {"field": field, "size": size, "shard_size": sent}}
