"""The schema compiled to plain functions: the same verdict as pydantic, several times quicker.

``compiled(model)`` reads a pydantic model's fields and returns a function that says whether a
dictionary surely fits. It may only err on the side of "no": ``schema.validated`` then asks
pydantic itself, which also finds the words for what is wrong. A test holds the two together.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Check = Callable[[Any], bool]


@lru_cache(maxsize=64)
def compiled(model: type[BaseModel]) -> Check:
    """A function that is true only of dictionaries which ``model`` takes in strict mode."""
    table: dict[str, Check] = {}
    required: list[str] = []
    for name, field in model.model_fields.items():
        alias = field.alias or name
        annotation: Any = field.annotation
        if field.metadata:
            annotation = Annotated[(annotation, *field.metadata)]
        table[alias] = _check_of(annotation)
        if field.is_required():
            required.append(alias)
    look_up, needed = table.get, tuple(required)

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in needed:
            if name not in value:
                return False
        for name, item in value.items():
            check = look_up(name)
            if check is _is_filled:  # the commonest, without a call
                if type(item) is not str or not item or not (item.isascii() or _utf8(item)):
                    return False
            elif check is None or not check(item):
                return False
        return True

    return fits


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation


def _constraints(annotation: Any) -> list[Any]:
    found = []
    for one in get_args(annotation)[1:]:
        found += one.metadata if isinstance(one, FieldInfo) else [one]
    return found


def _check_of(annotation: Any) -> Check:
    """A function that is true only of values that the annotation takes."""
    annotation = _without_none(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        base = _without_none(get_args(annotation)[0])
        return _constrained(base, _constraints(annotation))
    if origin is list:
        return _list_of(_check_of(get_args(annotation)[0]))
    if origin is Literal:
        options = frozenset(get_args(annotation))
        return lambda value: type(value) is str and value in options
    if origin in (Union, types.UnionType):
        checks = [_check_of(one) for one in get_args(annotation)]
        return lambda value: any(check(value) for check in checks)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return compiled(annotation)
    simple: dict[Any, Check] = {str: _is_text, bool: _is_truth}
    return simple.get(annotation, _fails)


def _constrained(base: Any, constraints: list[Any]) -> Check:
    pattern = next((p for one in constraints if (p := getattr(one, "pattern", None))), None)
    if base is str:
        if pattern is None:
            return _is_filled if constraints == [MinLen(1)] else _fails
        # "$" of Rust's patterns is the very end, Python's also stands before a last newline.
        match = re.compile(re.sub(r"\$\Z", r"\\Z", pattern), re.ASCII).match
        return lambda value: (
            type(value) is str and match(value) is not None and (value.isascii() or _utf8(value))
        )
    if base is int or base is float:
        low, high = _bounds(constraints)
        if base is int:
            return lambda value: type(value) is int and low <= value <= high
        return lambda value: type(value) is float and isfinite(value) and low <= value <= high
    return _fails


def _bounds(constraints: list[Any]) -> tuple[float, float]:
    """Bounds that are at least as narrow as those asked (whole numbers: exactly)."""
    low, high = float("-inf"), float("inf")
    for one in constraints:
        if isinstance(one, Ge):
            low = one.ge  # type: ignore[assignment]
        elif isinstance(one, Gt):
            low = one.gt + 1  # type: ignore[operator]
        elif isinstance(one, Le):
            high = one.le  # type: ignore[assignment]
        elif isinstance(one, Lt):
            high = one.lt - 1  # type: ignore[operator]
    return low, high


def _list_of(check: Check) -> Check:
    def fits(value: Any) -> bool:
        if type(value) is not list:
            return False
        for one in value:  # noqa: SIM110 - quicker than all() with a generator
            if not check(one):
                return False
        return True

    return fits


def _is_filled(value: Any) -> bool:
    return type(value) is str and bool(value) and (value.isascii() or _utf8(value))


def _is_text(value: Any) -> bool:
    return type(value) is str and (value.isascii() or _utf8(value))


def _is_truth(value: Any) -> bool:
    return value is True or value is False


def _fails(value: Any) -> bool:
    """For what nobody compiled: pydantic decides."""
    return False


def _utf8(text: str) -> bool:
    """Whether a text has no lone surrogates, which neither pydantic nor JSON take."""
    if text.isascii() or text.isprintable():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
