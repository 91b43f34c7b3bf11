"""LoopBack 3 conditions on rows, as the reference provider (panosc-eu/search-api) evaluates them.

Taken from recorded answers of that provider; what other implementations do differently is a
``Dialect``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from simulator.models import Model, Row

Test = Callable[[Any, Any], bool]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _equal(value: Any, operand: Any) -> bool:
    if value is None or operand is None:
        return value is operand
    return _text(value) == _text(operand)


def _comparable(value: Any, operand: Any) -> tuple[Any, Any] | None:
    """Both sides as JavaScript would compare them: two texts as text, else as numbers."""
    if value is None or operand is None:
        return None
    if isinstance(value, str) and isinstance(operand, str):
        return value, operand
    if isinstance(value, datetime) and isinstance(operand, datetime):
        return value, operand
    try:
        return float(value), float(operand)
    except (TypeError, ValueError):
        return None


def _compare(test: Callable[[Any, Any], bool]) -> Test:
    def compare(value: Any, operand: Any) -> bool:
        pair = _comparable(value, operand)
        return pair is not None and test(*pair)

    return compare


def _between(value: Any, operand: Any) -> bool:
    if not isinstance(operand, list) or len(operand) != 2:
        return False
    return OPERATORS["gte"](value, operand[0]) and OPERATORS["lte"](value, operand[1])


def _wildcards(pattern: str) -> str:
    return re.escape(pattern).replace("%", ".*").replace("_", ".")


class Anchored(str):
    """A pattern for SQL LIKE: it must meet the whole value, not a part of it."""

    __slots__ = ()


def _like(flags: int) -> Test:
    def like(value: Any, operand: Any) -> bool:
        if value is None:
            return False
        search = re.fullmatch if isinstance(operand, Anchored) else re.search
        return bool(search(_wildcards(_text(operand)), _text(value), flags))

    return like


def _regexp(value: Any, operand: Any) -> bool:
    pattern, flags = str(operand), 0
    literal = re.fullmatch(r"/(.*)/([a-z]*)", pattern, re.S)
    if literal:
        pattern, flags = literal[1], re.IGNORECASE if "i" in literal[2] else 0
    return value is not None and bool(re.search(pattern, _text(value), flags))


def _one_of(value: Any, operand: Any) -> bool:
    return isinstance(operand, list) and any(_equal(value, each) for each in operand)


OPERATORS: dict[str, Test] = {
    "eq": _equal,
    "neq": lambda value, operand: not _equal(value, operand),
    "gt": _compare(lambda a, b: a > b),
    "gte": _compare(lambda a, b: a >= b),
    "lt": _compare(lambda a, b: a < b),
    "lte": _compare(lambda a, b: a <= b),
    "between": _between,
    "inq": _one_of,
    "nin": lambda value, operand: not _one_of(value, operand),
    "like": _like(0),
    "nlike": lambda value, operand: not _like(0)(value, operand),
    "ilike": _like(re.IGNORECASE),
    "nilike": lambda value, operand: not _like(re.IGNORECASE)(value, operand),
    "regexp": _regexp,
}
LOGICAL = ("and", "or", "nor")


def read_date(value: Any) -> Any:
    """ISO text as an aware instant, else as it is."""
    if not isinstance(value, str):
        return value
    try:
        instant = datetime.fromisoformat(value.strip())
    except ValueError:
        return value
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _coerced(model: Model, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_coerced(model, name, each) for each in value]
    if name in model.booleans and isinstance(value, str):
        return value.lower() not in ("false", "0", "")
    if name in model.dates:
        return read_date(value)
    return value


def matches_condition(model: Model, row: Row, name: str, condition: Any) -> bool:
    """One property against a value or an object of operators; unknown operators match nothing."""
    value = _coerced(model, name, row.get(name))
    if isinstance(value, list) and not (isinstance(condition, dict) and "neq" in condition):
        return any(matches_condition(model, {name: each}, name, condition) for each in value)
    if not isinstance(condition, dict):
        return _equal(value, _coerced(model, name, condition))
    for operator, operand in condition.items():
        if operator == "options":
            continue
        test = OPERATORS.get(operator)
        if test is None or not test(value, _coerced(model, name, operand)):
            return False
    return True


def matches(model: Model, row: Row, where: Mapping[str, Any]) -> bool:
    """Whether a row meets a ``where``; ``text`` is a substring, case ignored, of any text field."""
    for name, condition in where.items():
        if name == "and":
            met = all(matches(model, row, part) for part in condition)
        elif name == "or":
            met = any(matches(model, row, part) for part in condition)
        elif name == "nor":
            met = not any(matches(model, row, part) for part in condition)
        elif name == "text":
            wanted = str(condition).lower()
            met = any(wanted in str(row.get(field_name) or "").lower() for field_name in model.text)
        else:
            met = matches_condition(model, row, name, condition)
        if not met:
            return False
    return True


def fields_named(where: Any) -> Iterator[str]:
    """The properties a ``where`` speaks of."""
    if not isinstance(where, dict):
        return
    for name, condition in where.items():
        if name in LOGICAL:
            for part in condition if isinstance(condition, list) else ():
                yield from fields_named(part)
        else:
            yield name
