"""The part of a question that a facility can answer itself, as one LoopBack condition.

Pure. Whatever a facility cannot do, or does in its own way, stays with the oracle, which looks at
every record that comes back: so a condition sent only has to let through all that we would let
through. Two grades tell how sure that is:

- *sure*: every record that satisfies our condition satisfies the one sent;
- *likely*: most do (their titles have blanks that ours have lost, a technique is named in words).

Where a facility's records are few they are all asked for, and the answer is exact. Of many, likely
conditions choose among them, too, and the answer says "at least".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from catalogue.fields import microseconds
from catalogue.query import (
    And,
    AtFacility,
    Compare,
    Everything,
    InYears,
    Join,
    Node,
    OneOf,
    Or,
    ParameterRange,
    Pattern,
    TechniqueIn,
)
from search_api.federation.parameter_conditions import ranges_of, rows_where
from search_api.federation.profiles import ClassProfile
from search_api.federation.technique_conditions import tagged_where

Where = Mapping[str, Any]

DATE_MARGIN = timedelta(days=2)
"""Services compare dates as instants or as text, with or without offset: at most a day apart."""

DATES = frozenset({"startDate", "endDate", "releaseDate", "creationDate"})
_ONE_WORD = re.compile(r"[A-Za-z0-9]{3,}")
_SAFE_LIKE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]*")
MAX_VALUES = 200
MOST_REMEMBERED = 32
"""Filters of which a profile remembers what is sent: most questions have the same one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A condition to send, whether it is sure, and the operators it needs."""

    where: Where
    sure: bool
    operators: frozenset[str]


@dataclass(frozen=True, slots=True)
class Split:
    """What is sent of a filter. ``where`` and ``joins`` (relation → condition inside the include)
    may be empty. ``operators``: those it uses, to be blamed when the service refuses.
    ``whole``: nothing is left to the oracle, so the service's own count counts.
    """

    where: Where
    joins: Mapping[str, Any]
    sure: bool
    whole: bool
    operators: frozenset[str]


def split_filter(
    node: Node, profile: ClassProfile, *, likely: bool, datasets: ClassProfile | None = None
) -> Split:
    """What of a filter to send.

    Args:
        datasets: the profile of Datasets at the same service.
        likely: send likely conditions, too; else sure ones only.
    """
    remembered = profile.splits
    known: tuple[ClassProfile | None, Split] | None = remembered.get((node, likely))
    if known is not None and known[0] is datasets:
        return known[1]
    found = _split(node, profile, likely, datasets)
    if len(remembered) >= MOST_REMEMBERED:
        remembered.clear()
    remembered[node, likely] = (datasets, found)
    return found


def _split(node: Node, profile: ClassProfile, likely: bool, datasets: ClassProfile | None) -> Split:
    clauses = node.clauses if isinstance(node, And) else (node,)
    pieces: list[Piece] = []
    joins: dict[str, Any] = {}
    operators: set[str] = set()
    whole = True
    for clause in clauses:
        if isinstance(clause, Everything | AtFacility):
            continue
        piece = _piece(clause, profile)
        if piece is not None and (piece.sure or likely):
            pieces.append(piece)
            whole = whole and isinstance(clause, Compare) and clause.op == "eq" and piece.sure
            continue
        whole = False
        if likely:
            _add_join(clause, profile, datasets, joins)
    kept = _together(pieces, profile)
    where = _conjunction(kept)
    for piece in kept:
        operators |= piece.operators
    if "and" in where:
        operators.add("and")
    sure = all(piece.sure for piece in kept) and not joins
    return Split(where, joins, sure, whole and len(kept) == len(pieces), frozenset(operators))


def split_meant(
    meant: Node, node: Node, profile: ClassProfile, datasets: ClassProfile
) -> Split | None:
    """What to send to have what some words mean, whatever the words, of what satisfies a filter;
    ``None`` where the service cannot choose by that. It goes before likely conditions of the filter
    on the same relation: of these the oracle sees to."""
    joins: dict[str, Any] = {}
    _add_join(meant, profile, datasets, joins)
    if not joins:
        return None
    split = split_filter(node, profile, likely=True, datasets=datasets)
    return replace(split, joins={**split.joins, **joins}, sure=False, whole=False)


def likely_words(
    words: Sequence[str], profile: ClassProfile, fields: Sequence[str]
) -> Piece | None:
    """Any of the words in any of the fields, for services that search by substring only."""
    if not (profile.can("ilike") or profile.can("like")) or not profile.can("or"):
        return None
    operator = "ilike" if profile.can("ilike") else "like"
    found = [
        {name: {operator: _operand(word, profile)}}
        for word in dict.fromkeys(words)
        if _SAFE_LIKE.fullmatch(word)
        for name in fields
        if name not in profile.ignored
    ]
    if not found:
        return None
    return Piece({"or": found}, False, frozenset({"or", operator}))


def conjunction_of(split: Split, piece: Piece | None, profile: ClassProfile) -> Split:
    """The split narrowed by one more condition, where the service can do both."""
    if piece is None:
        return split
    if not split.where:
        where: Where = piece.where
        needed = piece.operators
    elif profile.can("and"):
        where = {"and": [split.where, piece.where]}
        needed = split.operators | piece.operators | {"and"}
    elif not set(split.where) & set(piece.where):
        where = {**split.where, **piece.where}
        needed = split.operators | piece.operators
    else:
        return split
    return Split(where, split.joins, split.sure and piece.sure, False, needed)


def _together(pieces: Sequence[Piece], profile: ClassProfile) -> list[Piece]:
    """The pieces that can stand in one filter: without ``and`` one for each field."""
    if profile.can("and"):
        return list(pieces)
    kept: list[Piece] = []
    taken: set[str] = set()
    for piece in sorted(pieces, key=lambda piece: not piece.sure):
        if not taken & set(piece.where):
            taken |= set(piece.where)
            kept.append(piece)
    return kept


def _conjunction(pieces: Sequence[Piece]) -> Where:
    if len(pieces) < 2:
        return pieces[0].where if pieces else {}
    names = [name for piece in pieces for name in piece.where]
    if len(set(names)) == len(names):
        # Several fields in one object are a conjunction for every service, with or without "and".
        return {name: value for piece in pieces for name, value in piece.where.items()}
    return {"and": [piece.where for piece in pieces]}


def _piece(node: Node, profile: ClassProfile) -> Piece | None:
    """The condition to send for one clause; ``None`` where nothing can be sent."""
    reader = _READERS.get(type(node))
    piece = reader(node, profile) if reader else None
    if piece is None or not piece.operators <= profile.operators:
        return None
    return piece


def _compare(node: Compare, profile: ClassProfile) -> Piece | None:
    name, op, value = node.field, node.op, node.value
    if name in profile.ignored or value is None or op == "neq":
        return None
    if name in DATES:
        return _date(name, op, value)
    if name == "pid" and op == "eq":
        return _identifiers([str(value)], profile)
    if name in ("type", "title", "name") and op == "eq":
        return Piece({name: value}, False, frozenset({"eq"}))
    if name == "size" and op in ("gt", "gte", "lt", "lte"):
        return Piece({name: {op: value}}, False, frozenset({op}))
    return None


def _date(name: str, op: str, value: Any) -> Piece | None:
    """An interval wide enough for every way of comparing dates."""
    at = datetime.fromtimestamp(microseconds(value, name) / 1_000_000, UTC)
    try:
        if op in ("gt", "gte"):
            return Piece({name: {"gte": _iso(at - DATE_MARGIN)}}, True, frozenset({"gte"}))
        if op in ("lt", "lte"):
            return Piece({name: {"lte": _iso(at + DATE_MARGIN)}}, True, frozenset({"lte"}))
    except OverflowError:
        return None
    return None


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _one_of(node: OneOf, profile: ClassProfile) -> Piece | None:
    if node.field in profile.ignored or not node.values or len(node.values) > MAX_VALUES:
        return None
    if node.field == "pid":
        return _identifiers([str(value) for value in node.values], profile)
    if node.field == "type":
        return Piece({node.field: {"inq": list(node.values)}}, False, frozenset({"inq"}))
    return None


def _identifiers(values: Sequence[str], profile: ClassProfile) -> Piece:
    """DOIs in the spellings they come in: services compare them letter by letter."""
    spellings = list(
        dict.fromkeys(form for v in values for form in (v, v.upper(), v.lower()) if is_doi(v))
    ) or list(values)
    if not all(map(is_doi, values)):
        spellings = list(dict.fromkeys((*values, *spellings)))
    if len(spellings) == 1:
        return Piece({"pid": spellings[0]}, True, frozenset({"eq"}))
    return Piece({"pid": {"inq": spellings}}, True, frozenset({"inq"}))


def is_doi(value: str) -> bool:
    """Whether an identifier is a DOI."""
    return value.startswith("10.") and "/" in value


def _pattern(node: Pattern, profile: ClassProfile) -> Piece | None:
    """A word that the text must hold. Blanks and mark-up may differ from ours, a word does not."""
    if node.kind != "substring":
        return None
    words = _ONE_WORD.findall(node.pattern)
    fields = [name for name in node.fields if name not in profile.ignored]
    if not words or len(fields) < len(node.fields) or "facility" in fields:
        # A facility may call itself otherwise than it is configured here.
        return None
    operator = "ilike" if profile.can("ilike") else "like"
    if operator == "like" and node.ignore_case:
        return None
    word = max(words, key=len)
    conditions = [{name: {operator: _operand(word, profile)}} for name in fields]
    if len(conditions) == 1:
        return Piece(conditions[0], True, frozenset({operator}))
    return Piece({"or": conditions}, True, frozenset({operator, "or"}))


def _operand(word: str, profile: ClassProfile) -> str:
    return f"%{word}%" if profile.like == "sql" else word


def _either(node: Or, profile: ClassProfile) -> Piece | None:
    pieces = [_piece(clause, profile) for clause in node.clauses]
    found = [piece for piece in pieces if piece is not None]
    if not found or len(found) < len(pieces):
        return None
    operators = frozenset({"or"}).union(*(piece.operators for piece in found))
    return Piece(
        {"or": [piece.where for piece in found]}, all(piece.sure for piece in found), operators
    )


def _both(node: And, profile: ClassProfile) -> Piece | None:
    found = [piece for clause in node.clauses if (piece := _piece(clause, profile))]
    kept = _together(found, profile)
    if not kept:
        return None
    where = _conjunction(kept)
    operators = frozenset({"and"} if "and" in where else ()).union(*(p.operators for p in kept))
    return Piece(where, all(piece.sure for piece in kept), operators)


def _years(node: InYears, profile: ClassProfile) -> Piece | None:
    """Experiments that began before the end of the years; undated ones are in no year."""
    if profile.entity_class != "Document" or node.last is None or not 1 <= node.last < 9999:
        return None
    if "startDate" in profile.ignored:
        return None
    piece = _date("startDate", "lt", datetime(node.last + 1, 1, 1, tzinfo=UTC))
    # An experiment of which only the end is known has a year and no startDate.
    return None if piece is None else replace(piece, sure=False)


_READERS: Mapping[type, Callable[[Any, ClassProfile], Piece | None]] = {
    Compare: _compare,
    OneOf: _one_of,
    Pattern: _pattern,
    Or: _either,
    And: _both,
    InYears: _years,
}


def _rows(
    node: Node, profile: ClassProfile, datasets: ClassProfile | None
) -> tuple[Where, set[str], tuple[str, ...]] | None:
    """A range of parameters as a condition on rows, and where those are."""
    path: tuple[str, ...] = ("parameters",)
    holder = profile
    if profile.entity_class == "Document":
        if isinstance(node, Join) and node.relation == "datasets":
            node = node.where
        elif not isinstance(node, ParameterRange) or profile.parameters:
            # Its own parameters or any of its Datasets': that is no condition on one include.
            return None
        if datasets is None:
            return None
        path, holder = ("datasets", "parameters"), datasets
    where = rows_where(ranges_of(node), holder)
    return None if where is None else (where, set(), path)


def _add_join(
    node: Node, profile: ClassProfile, datasets: ClassProfile | None, joins: dict[str, Any]
) -> None:
    """A likely condition inside an include: techniques by id and name, what a join names by name,
    ranges of parameters."""
    if not profile.joins:
        return
    condition: Where
    rows = _rows(node, profile, datasets)
    if rows is not None:
        condition, needed, path = rows
    elif isinstance(node, TechniqueIn):
        others = () if datasets is None or datasets is profile else (datasets,)
        condition, needed = tagged_where(node.ids, profile, *others)
        path = ("datasets", "techniques") if profile.entity_class == "Document" else ("techniques",)
    elif isinstance(node, Join) and isinstance(node.where, Compare) and node.where.op == "eq":
        condition, needed, path = {node.where.field: node.where.value}, {"eq"}, (node.relation,)
    else:
        return
    if path[0] in joins or path[0] not in profile.relations or not needed <= profile.operators:
        return
    if len(path) > 1 and path[0] not in profile.deep:
        return
    scope: Where = {"where": condition}
    for name in reversed(path[1:]):
        scope = {"include": [{"relation": name, "scope": scope}]}
    joins[path[0]] = scope


__all__ = [
    "Piece",
    "Split",
    "conjunction_of",
    "is_doi",
    "likely_words",
    "split_filter",
    "split_meant",
]
