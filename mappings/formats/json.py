"""Reading JSON payloads: parsing, and values of any shape without surprises.

NaN and infinity are no JSON but are sent (aiohttp's and Python's default); they are read as null
with a note (fault D11).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from mappings.dates import Moment, moment
from mappings.drafts import MOST_NOTES, Notes
from mappings.errors import MappingError
from mappings.text import clip, known


def parse(payload: bytes, notes: Notes) -> Any:
    """The JSON value of a payload.

    Raises:
        MappingError: it is no JSON, even with NaN and infinity allowed for.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        pass

    def no_number(word: str) -> None:
        notes.dropped("$", word, "no JSON: read as null")

    try:
        return json.loads(payload, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise MappingError("$", payload[:80], f"JSON ({error})") from error


OBJECTS = (dict, Mapping)
"""Asking whether something is a dict costs a tenth of asking whether it is a Mapping."""


def mapping_of(value: Any, path: str) -> Mapping[str, Any]:
    """The object at ``path``.

    Raises:
        MappingError: it is none.
    """
    if not isinstance(value, OBJECTS):
        raise MappingError(path, clip(value), "a JSON object")
    return value


def text_in(record: Mapping[str, Any], *names: str) -> str | None:
    """The first of ``names`` that holds a text or a whole number, cleaned."""
    for name in names:
        value = record.get(name)
        if value is None:
            continue  # as most are that are asked for
        if type(value) is not str and isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if abs(value) < 10**30 else None
        found = known(value)
        if found is not None:
            return found
    return None


def objects_in(record: Mapping[str, Any], *names: str) -> Iterator[Mapping[str, Any]]:
    """The objects under any of ``names``, whether sent as a list or alone.

    Nulls and ghosts with nothing but a score (``{"score": 0}``) are passed over.
    """
    for name in names:
        value = record.get(name)
        if value is None:
            continue  # to ask whether it is a Mapping costs more than all of this
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, OBJECTS) and not _is_ghost(item):
                yield item


def _is_ghost(item: Mapping[str, Any]) -> bool:
    for name, value in item.items():  # mostly the first is enough
        if value is not None and name not in ("score", "provider"):
            return False
    return True


class Again(dict[bytes, Any]):
    """What was read of JSON objects, by how they are written: a facility's people and techniques
    come again and again, and looking one up takes a tenth of reading it. Whoever gets it must not
    change it. Bounded."""

    def read(
        self, item: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Any], notes: Notes
    ) -> Any:
        """What ``read`` makes of the object. Where that is ``None``, or something was to be noted,
        it is read anew each time."""
        try:
            written = orjson.dumps(item)
        except TypeError:  # no plain JSON
            return read(item)
        found = self.get(written)
        if found is None:
            noted = len(notes.problems)
            found = read(item)
            is_noted = len(notes.problems) > noted or noted >= MOST_NOTES
            if found is not None and not is_noted and len(written) <= LONGEST_AGAIN:
                if len(self) >= MOST_AGAIN:
                    self.clear()
                self[written] = found
        return found


MOST_AGAIN = 4_096
LONGEST_AGAIN = 2_000


def truth(value: object) -> bool | None:
    """A JSON boolean, or one of the ways in which it is also sent."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return None


def date_text(value: object) -> str | None:
    """The text of a date; Mongo's ``{"$date": …}`` is unwrapped."""
    if not isinstance(value, str) and isinstance(value, Mapping):
        value = value.get("$date")
    return known(value)


def keep_unused(value: object, path: str, notes: Notes) -> None:
    """Every scalar below a value that no field takes, as evidence with its path."""
    stack: list[tuple[object, str]] = [(value, path)]
    while stack:
        item, where = stack.pop()
        if item is None or item == "":
            continue
        if isinstance(item, Mapping):
            stack += [(inner, _deeper(where, f".{name}")) for name, inner in item.items()]
        elif isinstance(item, list):
            stack += [(inner, _deeper(where, "[]")) for inner in reversed(item)]
        else:
            notes.unused(where, item)


def _deeper(path: str, step: str) -> str:
    """A path one step deeper; very long ones stop growing, so that time stays linear."""
    return path + clip(step, 80) if len(path) < 300 else path


def moment_in(
    record: Mapping[str, Any], name: str, time_zone: str, notes: Notes
) -> tuple[Moment, str] | None:
    """The date under ``name`` with its text as sent; what is no date is noted."""
    return moment_of(record.get(name), name, time_zone, notes)


def moment_of(value: object, name: str, time_zone: str, notes: Notes) -> tuple[Moment, str] | None:
    """The same of the value that stands there."""
    text = known(value) if type(value) is str else date_text(value)
    if text is None:
        return None
    found = moment(text, time_zone)
    if found is None or not found.certain:
        notes.dropped(f"$.{name}", text, "no date")
        return None
    return found, text
