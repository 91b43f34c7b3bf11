"""Values of conditions, with the looseness that portals need: numbers and dates as text.

Text stays text, whatever it looks like (fault E09); what a field cannot hold is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from catalogue.query import Scalar
from search_api.errors import BadRequest
from search_api.model import FieldType

_YEAR = re.compile(r"^\d{4}$")
_YEAR_MONTH = re.compile(r"^\d{4}-\d{2}$")
_DAY = re.compile(r"^(\d{4})([-/])(\d{1,2})\2(\d{1,2})$")
_GMT = re.compile(r"^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4} [\d:]{8}) GMT$")
_LOCAL = re.compile(
    r"^[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{2}) (\d{4} [\d:]{8}) GMT([+-]\d{4})(?: \(.{1,60}\))?$"
)
"""How JavaScript writes a date: as HTTP does, and on its own clock."""
_LARGEST = 2**63 - 1
BEYOND = 2**60


def typed_value(kind: FieldType, value: object, path: str) -> Scalar:
    """``value`` as the field's type, portals' looseness allowed; ``None`` stays ``None``."""
    if value is None:
        return None
    if isinstance(value, (Mapping, list)):
        raise BadRequest("A single value is needed here.", field=path)
    if kind in ("text", "texts"):
        return _text_value(value)
    if kind in ("number", "integer"):
        number = number_of(value)
        if number is None:
            raise BadRequest(f"{_shown(value)} is not a number.", field=path)
        return within_bounds(number)
    if kind == "boolean":
        return _boolean_value(value, path)
    if kind == "instant":
        return instant_text(instant_of(value, path))
    if isinstance(value, bool):
        raise BadRequest(f"{_shown(value)} is neither text nor a number.", field=path)
    number = number_of(value) if isinstance(value, (int, float)) else None
    return str(value) if number is None else number


def _text_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _boolean_value(value: object, path: str) -> bool:
    folded = str(value).casefold()
    if folded in ("true", "1", "1.0"):
        return True
    if folded in ("false", "0", "0.0"):
        return False
    raise BadRequest(
        f"{_shown(value)} is not true or false.", field=path, allowed=("true", "false")
    )


def number_of(value: object) -> int | float | None:
    """A finite number, also from numeric text; ``None`` when it is none. Integers beyond 64 bits
    become floats, since no engine holds them exactly."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})([eE][+-]?\d{1,4})?", text):
            return None
        try:
            value = int(text)
        except ValueError:
            value = float(text)
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        try:
            value = float(value)
        except OverflowError:
            return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else None


def within_bounds(number: float) -> int | float:
    """``number``, at most ``BEYOND`` either way: more than any size, and within what engines hold
    (an index of 64-bit numbers refuses larger ones)."""
    return max(-BEYOND, min(BEYOND, number))


def instant_of(value: object, path: str) -> datetime:
    """An instant from ISO 8601 (a bare date or year is its beginning in UTC, as in JavaScript), in
    JavaScript's own words, or from milliseconds since 1970."""
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value / 1000, UTC)
        text = str(value).strip()
        if _YEAR.match(text):
            text += "-01-01"
        elif _YEAR_MONTH.match(text):
            text += "-01"
        elif day := _DAY.match(text):
            text = f"{day[1]}-{day[3]:0>2}-{day[4]:0>2}"
        elif _GMT.match(text) or _LOCAL.match(text):
            text = _LOCAL.sub(r"\2 \1 \3 \4", _GMT.sub(r"\1 \2 \3 +0000", text))
            return _in_utc(parsedate_to_datetime(text))
        parsed = datetime.fromisoformat(text)
        return _in_utc(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"{_shown(value)} is not a date; write 2018-01-31 or 2018-01-31T12:00:00Z.", field=path
        ) from None


def _in_utc(aware: datetime) -> datetime:
    """The instant in UTC; at the ends of the calendar, where UTC has none, its own clock's."""
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        return aware.replace(tzinfo=UTC)


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC with ``Z``; milliseconds only where there are any."""
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return (text[:-4] if text.endswith(".000") else text) + "Z"


def _shown(value: object) -> str:
    return repr(value)[:100]
