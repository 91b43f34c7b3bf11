"""A LoopBack filter becomes one search of the catalogue and a plan for the answer.

``where`` and every condition inside ``include`` … ``scope`` become one query tree, so that joins
come before ``limit`` and ``count`` counts what ``find`` returns (semantics 9.4, fault E12). What is
included, with which conditions, order and fields, is kept as a tree of ``Include``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalogue.query import MAX_DEPTH, Everything, Join, Node, Sort
from search_api.conditions import Reading, all_of, expect_list, expect_object, read_where
from search_api.errors import BadRequest
from search_api.filter_text import untangle
from search_api.model import MODEL, PanoscClass, Relation
from search_api.parameter_conditions import AskedUnit, read_parameter_where
from search_api.technique_conditions import read_technique_where
from search_api.values import number_of

FILTER_KEYS = ("where", "include", "limit", "skip", "offset", "order", "fields", "query")
SCOPE_KEYS = FILTER_KEYS[:-1]
"""Those of a scope, and of a filter on files: only a whole question has a text."""
_ORDER = re.compile(r"^\s*(\w{1,60})(?:\s+(asc|desc))?\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Projection:
    """Which fields an object shows: ``only`` these, or all but ``without``; relations always."""

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def shows(self, name: str) -> bool:
        return name not in self.without if self.only is None else name in self.only


EVERYTHING = Projection()


@dataclass(frozen=True, slots=True)
class Include:
    """One relation to include.

    ``rows`` selects the related things to show (about the thing itself, or for techniques and
    parameters about a parent with just that row). ``inner``: a parent without one is dropped.
    ``join`` is what that asks of the parent. ``asked`` are units that answers are shown in.
    """

    relation: Relation
    rows: Node
    join: Node
    inner: bool
    includes: tuple[Include, ...] = ()
    limit: int | None = None
    skip: int = 0
    order: tuple[Sort, ...] = ()
    projection: Projection = Projection()
    asked: tuple[AskedUnit, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A whole filter: what to search for, and how to show what is found.

    ``limit`` is within the maximum; ``limit_was_cut`` says that more was asked for (or no limit).
    """

    panosc_class: PanoscClass
    where: Node
    includes: tuple[Include, ...] = ()
    query: str | None = None
    limit: int = 0
    skip: int = 0
    order: tuple[Sort, ...] = ()
    projection: Projection = Projection()
    limit_was_cut: bool = False


def read_filter(
    panosc_class: PanoscClass,
    given: Mapping[str, Any] | None,
    reading: Reading,
    *,
    by_id: bool = False,
    path: str = "filter",
) -> Question:
    """Read a filter for ``panosc_class``.

    ``by_id``: for one thing looked up by pid, where ``limit``, ``skip`` and ``order`` are accepted
    and ignored (portals send them).

    Raises:
        BadRequest: names the place, what is allowed and the nearest right word.
    """
    given = given or {}
    refuse_unknown_keys(given, path)
    given_where = given.get("where")
    if by_id and given_where:
        raise BadRequest(
            "One thing is asked for by its pid: where has no place here.", field="where"
        )
    where = read_where(panosc_class, {} if given_where is None else given_where, reading)
    includes = read_includes(panosc_class, given.get("include"), reading, "include", 0)
    joined = all_of([where, *(include.join for include in includes if include.inner)])
    settings = reading.settings
    if by_id:
        return Question(panosc_class, joined, includes, projection=_projection(panosc_class, given))
    asked = read_count(given.get("limit"), "limit")
    limit = asked or settings.default_limit
    return Question(
        panosc_class,
        joined,
        includes,
        query=_query(given.get("query"), reading),
        limit=min(limit, settings.max_limit),
        skip=read_count(_either(given, "skip", "offset"), "skip") or 0,
        order=_order_of_list(panosc_class, given.get("order")),
        projection=_projection(panosc_class, given),
        limit_was_cut=not asked or asked > settings.max_limit,
    )


def refuse_unknown_keys(
    given: Mapping[str, Any], path: str, allowed: Sequence[str] = FILTER_KEYS, what: str = "filter"
) -> None:
    """Raise ``BadRequest`` for the first key of ``given`` that is not ``allowed`` (fault E08)."""
    for key in given:
        if key not in allowed:
            raise BadRequest(
                f"A {what} has no {key[:100]!r}.",
                field=f"{path}.{key[:100]}",
                allowed=allowed,
                given=key,
            )


def _either(given: Mapping[str, Any], first: str, second: str) -> object:
    return given[first] if first in given else given.get(second)


def read_count(value: object, name: str) -> int | None:
    """A whole number from 0, also as text; absent and null are ``None``."""
    if value is None or value == "":
        return None
    number = number_of(value)
    if number is None or number != int(number) or number < 0:
        raise BadRequest(
            f"The {name} parameter {value!r:.100} is not valid: a whole number from 0 is needed.",
            field=name,
        )
    return min(int(number), 2**31)


def _query(value: object, reading: Reading) -> str | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadRequest("query must be text.", field="query")
    if len(value) > reading.settings.max_text_chars:
        raise BadRequest(
            f"query is longer than {reading.settings.max_text_chars} characters.", field="query"
        )
    return value if value.strip() else None


def read_order(panosc_class: PanoscClass, value: object, path: str) -> tuple[Sort, ...]:
    """``"title DESC"`` or a list of such; ``score`` is the order anyway and is left out."""
    if value is None:
        return ()
    value = untangle(value)
    if value in (None, "", []):
        return ()
    entries = value if isinstance(value, list) else [str(value)]
    parts = [
        part
        for entry in entries
        for part in (entry.split(",") if isinstance(entry, str) else [entry])
    ]
    sorts = []
    for entry in parts:
        if isinstance(entry, str) and not entry.strip():
            continue
        found = _ORDER.match(entry) if isinstance(entry, str) else None
        if found is None:
            raise BadRequest(
                f"{entry!r:.100} is no order; write a field and ASC or DESC.", field=path
            )
        name, direction = found.group(1), (found.group(2) or "asc").lower()
        if name == "score":
            continue
        _check_field(panosc_class, name, path, relations=False)
        sorts.append(Sort(name, direction == "desc"))
    return tuple(sorts)


def _order_of_list(panosc_class: PanoscClass, value: object) -> tuple[Sort, ...]:
    """An order that the index has, too: it knows nothing that depends on the day."""
    order = read_order(panosc_class, value, "order")
    kinds = panosc_class.all_fields
    for sort in order:
        if kinds[sort.field] == "boolean":
            raise BadRequest(
                f"{panosc_class.name}s cannot be put in order by {sort.field}.",
                field="order",
                allowed=[name for name, kind in kinds.items() if kind != "boolean"],
            )
    return order


def _projection(panosc_class: PanoscClass, given: Mapping[str, Any]) -> Projection:
    return read_fields(panosc_class, given.get("fields"), "fields")


def read_fields(panosc_class: PanoscClass, value: object, path: str) -> Projection:
    """``["pid"]``, ``"pid"``, ``{"pid": true}`` or ``{"summary": false}``."""
    value = None if value is None else untangle(value)
    if value is None or value in ("", []) or value == {}:
        return EVERYTHING
    if isinstance(value, Mapping):
        chosen: dict[str, bool] = {}
        for name, flag in value.items():
            _check_field(panosc_class, name, f"{path}.{name}")
            if str(flag).casefold() not in ("true", "false", "1", "0"):
                raise BadRequest("A field is switched by true or false.", field=f"{path}.{name}")
            chosen[name] = str(flag).casefold() in ("true", "1")
        if any(chosen.values()):
            return Projection(only=frozenset(name for name, flag in chosen.items() if flag))
        return Projection(without=frozenset(chosen))
    names = value if isinstance(value, list) else str(value).split(",")
    for name in names:
        if not isinstance(name, str):
            raise BadRequest("fields lists names.", field=path)
        _check_field(panosc_class, name, path)
    return Projection(only=frozenset(names))


def _check_field(
    panosc_class: PanoscClass, name: str, path: str, *, relations: bool = True
) -> None:
    allowed = (*panosc_class.all_fields, "score")
    if name not in allowed and not (relations and name in panosc_class.relations):
        raise BadRequest(
            f"{panosc_class.name} has no field {name[:100]!r}.",
            field=path,
            allowed=allowed,
            given=name,
        )


def read_includes(
    panosc_class: PanoscClass, value: object, reading: Reading, path: str, depth: int
) -> tuple[Include, ...]:
    """``include`` in all its forms: text, list, ``{relation, scope}``, ``{relation: nested}``."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"Includes are nested deeper than {MAX_DEPTH} levels.", field=path)
    if value is None:
        return ()
    value = untangle(value)
    if value in (None, "", []) or value == {}:
        return ()
    entries = value if isinstance(value, list) else [value]
    found: list[Include] = []
    for number, entry in enumerate(entries):
        place = f"{path}[{number}]"
        for name, scope in _entries(entry, place):
            reading.count_clause(place)
            found.append(_read_include(panosc_class, name, scope, reading, place, depth))
    return tuple(found)


def _entries(entry: object, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    if isinstance(entry, str):
        return [(entry, {})]
    given = expect_object(entry, path)
    if "relation" in given:
        for key in given:
            if key not in ("relation", "scope"):
                raise BadRequest(
                    f"An include has no {key[:100]!r}.",
                    field=f"{path}.{key[:100]}",
                    allowed=("relation", "scope"),
                    given=key,
                )
        name = given["relation"]
        if not isinstance(name, str):
            raise BadRequest("The name of a relation is text.", field=f"{path}.relation")
        scope = given.get("scope")
        is_empty = scope in (None, "", [])
        return [(name, {} if is_empty else expect_object(scope, f"{path}.scope"))]
    if not given:
        raise BadRequest("An include names a relation.", field=path)
    return [(name, {} if nested is True else {"include": nested}) for name, nested in given.items()]


def _read_include(
    panosc_class: PanoscClass,
    name: str,
    scope: Mapping[str, Any],
    reading: Reading,
    path: str,
    depth: int,
) -> Include:
    relation = panosc_class.relations.get(name)
    if relation is None:
        raise BadRequest(
            f"{panosc_class.name} has no relation {name[:100]!r}.",
            field=f"{path}.relation",
            allowed=tuple(panosc_class.relations),
            given=name,
        )
    refuse_unknown_keys(scope, f"{path}.scope", SCOPE_KEYS, "scope")
    target = MODEL[relation.target]
    below = read_includes(target, scope.get("include"), reading, f"{path}.scope.include", depth + 1)
    where = scope.get("where")
    has_where = where is not None and where != {}
    asked: tuple[AskedUnit, ...] = ()
    rows: Node = Everything()
    join: Node = Everything()
    if has_where:
        rows, join, asked = _read_rows(relation, target, where, reading, f"{path}.scope.where")
    inner_below = [include.join for include in below if include.inner]
    if relation.target not in ("Technique", "Parameter"):
        join = Join(relation.attribute, all_of([rows, *inner_below]))
    return Include(
        relation=relation,
        rows=rows,
        join=join,
        inner=has_where or bool(inner_below),
        includes=below,
        limit=read_count(scope.get("limit"), f"{path}.scope.limit") or None,
        skip=read_count(_either(scope, "skip", "offset"), f"{path}.scope.skip") or 0,
        order=read_order(target, scope.get("order"), f"{path}.scope.order"),
        projection=read_fields(target, scope.get("fields"), f"{path}.scope.fields"),
        asked=asked,
    )


def _read_rows(
    relation: Relation, target: PanoscClass, where: object, reading: Reading, path: str
) -> tuple[Node, Node, tuple[AskedUnit, ...]]:
    """What a row must be, what that asks of the parent, and the units to answer in."""
    if relation.target == "Technique":
        technique = read_technique_where(where, reading, path)
        return technique.rows, technique.node, ()
    if relation.target == "Parameter":
        parameter = read_parameter_where(where, reading, path)
        return parameter.node, parameter.node, parameter.asked
    return read_where(target, where, reading, path), Everything(), ()


def read_count_where(
    panosc_class: PanoscClass,
    where: Mapping[str, Any] | None,
    whole: Mapping[str, Any] | None,
    reading: Reading,
) -> Question:
    """What ``/count`` counts: ``where`` alone, or a whole filter in ``filter`` or in ``where``."""
    if where is not None and whole is not None:
        raise BadRequest("Give either where or filter.", field="where")
    if whole is None and where is not None and is_whole_filter(where):
        whole = where
    given = whole if whole is not None else {"where": where or {}}
    return read_filter(panosc_class, given, reading)


def is_whole_filter(where: Mapping[str, Any]) -> bool:
    """Whether what came as ``where`` is a filter with a where, an include or a query inside."""
    return any(key in where for key in ("where", "include", "query")) and all(
        key in FILTER_KEYS for key in where
    )


def lists_of(order: Sequence[Sort]) -> list[str]:
    """An order in LoopBack's words, for messages and links."""
    return [f"{sort.field} {'DESC' if sort.descending else 'ASC'}" for sort in order]


__all__ = [
    "Include",
    "Projection",
    "Question",
    "expect_list",
    "is_whole_filter",
    "read_count_where",
    "read_filter",
    "refuse_unknown_keys",
]
