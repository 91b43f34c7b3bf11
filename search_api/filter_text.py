"""A filter as it arrives: JSON in a parameter, LoopBack's bracket form, or the body of a POST.

``filter[where][pid]=x`` and ``filter={"where":{"pid":"x"}}`` are one thing. Values of the bracket
form stay text: the field's type decides later what they are (fault E09), and lists may have any
number of values (fault E11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from search_api.errors import BadRequest

MAX_BRACKETS = 24
MAX_INDEX = 100_000
LISTS = ("inq", "nin")
_BRACKETS = re.compile(r"\[([^\[\]]{0,200})\]")


def read_json(text: str | bytes, name: str) -> Any:
    """Parse JSON; 400 names the parameter and the place of the mistake (fault E10)."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"{name} is not JSON: {error.msg} at character {error.pos + 1}.", field=name
        ) from None


def read_parameter(name: str, pairs: Iterable[tuple[str, str]]) -> Mapping[str, Any] | None:
    """The object in parameter ``name`` of the query string, in either form; ``None`` if absent.

    Raises:
        BadRequest: no JSON, no object, given twice, or brackets that do not close.
    """
    plain: list[str] = []
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key == name:
            plain.append(value)
        elif key.startswith(name + "["):
            _insert(tree, _path_of(key, name), value, key)
    if len(plain) > 1 or (plain and tree):
        raise BadRequest(f"{name} is given more than once.", field=name)
    if tree:
        return tree
    if not plain or not plain[0].strip():
        return None
    found = read_json(plain[0], name)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise BadRequest(f"{name} must be a JSON object.", field=name)
    return found


def _path_of(key: str, name: str) -> list[str]:
    rest = key[len(name) :]
    parts = _BRACKETS.findall(rest)
    if "".join(f"[{part}]" for part in parts) != rest:
        raise BadRequest("The brackets of the parameter do not pair up.", field=key[:200])
    if len(parts) > MAX_BRACKETS:
        raise BadRequest(f"More than {MAX_BRACKETS} brackets in one parameter.", field=key[:200])
    return parts


def _insert(tree: dict[str, Any], path: list[str], value: str, key: str) -> None:
    """Put ``value`` at ``path``; ``[]`` and a name that comes again append. Lists are objects with
    numbers as names, which ``conditions.expect_list`` reads as lists."""
    here = tree
    for position, part in enumerate(path):
        name = str(len(here)) if part == "" else part
        if name.isascii() and name.isdigit() and not is_index(name):
            raise BadRequest("The number in the brackets is too large.", field=key[:200])
        if position == len(path) - 1:
            _put(here, name, value, key)
            return
        below = here.setdefault(name, {})
        if not isinstance(below, dict):
            raise BadRequest("The parameter is both a value and an object.", field=key[:200])
        here = below


def _put(here: dict[str, Any], name: str, value: str, key: str) -> None:
    if name not in here:
        # A list of one comes without a number; a second value makes it one anyway.
        here[name] = {"0": value} if name in LISTS else value
    elif is_index(name):
        here[_next_place(here)] = value
    elif not isinstance(held := here[name], dict):
        here[name] = {"0": held, "1": value}
    elif all(map(is_index, held)):
        held[_next_place(held)] = value
    else:
        raise BadRequest("The parameter is both a value and an object.", field=key[:200])


def _next_place(items: Mapping[str, Any]) -> str:
    place = str(len(items))
    if place not in items:
        return place
    return str(max(int(name) for name in items if is_index(name)) + 1)


def is_index(name: str) -> bool:
    """Whether a name in brackets is a place in a list: a few ASCII digits (``²`` is a digit to
    Python, and no number)."""
    return name.isascii() and name.isdigit() and len(name) <= len(str(MAX_INDEX))


def untangle(value: Any) -> Any:
    """Objects whose names are 0, 1, 2 … as lists: what the bracket form means by them."""
    if isinstance(value, dict):
        if value and all(is_index(name) for name in value):
            return [untangle(value[name]) for name in sorted(value, key=int)]
        return {name: untangle(below) for name, below in value.items()}
    return value
