"""JSON answers of Search APIs: read strictly, with the faults that real ones have named.

An array with ghosts, nulls and refusals among its objects is still a page (crosswalks 2.3, 3.6);
an error object is an error whatever its HTTP status; an empty body is never an empty page (E09).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from facility_http.answers import Response
from facility_http.errors import (
    AccessRefused,
    CutOff,
    FacilityHttpError,
    MalformedResponse,
    NotAccepted,
    NotOffered,
    NotTheProtocol,
)
from mappings.context import Header

FORMATS = {
    "Document": "panosc-document",
    "Dataset": "panosc-dataset",
    "Instrument": "panosc-instrument",
    "Technique": "panosc-technique",
}
"""The crosswalk's format for each class; the endpoint is the plural."""

# Statuses by which services say that they do not take a filter; 500 is judged by who asks.
_NOT_ACCEPTED = frozenset({400, 413, 414, 422})
_NOT_OFFERED = frozenset({404, 405, 410, 501})
_IDENTIFYING = ("pid", "id", "doi")


@dataclass(frozen=True, slots=True)
class RestRecord:
    """One object as received: its payload is JSON, UTF-8.

    ``problem`` is the reason why it cannot be used as it is.
    """

    header: Header
    format: str
    payload: bytes | None
    problem: str | None = None


@dataclass(slots=True)
class Objects:
    """The objects of one array, and how many entries were none.

    ``odd`` counts ``ghost`` (only a score), ``null``, ``refused`` (a 403 object in place of a
    record), ``no_object``; ``mended`` what had to be read leniently.
    """

    items: list[dict[str, Any]]
    length: int
    odd: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)


async def read_json(response: Response) -> tuple[Any, Counter[str]]:
    """Read one JSON answer and judge error objects.

    Returns:
        The value, and what was read leniently: ``nan`` (NaN and infinities became null; fault
        D11), ``bad_unicode`` (halves of surrogate pairs were replaced).

    Raises:
        NotAccepted, NotOffered, AccessRefused: an error object, by its status.
        NotTheProtocol: no JSON at all; ``CutOff``: it ends early.
    """
    body = await response.body()
    value, mended = parse_json(body)
    error = error_in(value, response.status)
    if error is not None:
        raise error
    return value, mended


def parse_json(body: bytes) -> tuple[Any, Counter[str]]:
    """Parse strictly, and only where that fails with the two leniencies of ``read_json``."""
    mended: Counter[str] = Counter()
    stripped = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not stripped:
        raise NotTheProtocol("an empty body in place of JSON")
    try:
        return orjson.loads(stripped), mended
    except orjson.JSONDecodeError as strict:
        if stripped[:1] not in b'[{0123456789-"ntf':
            raise NotTheProtocol("no JSON") from strict

    def not_a_number(_: str) -> None:
        mended["nan"] += 1

    try:
        value = json.loads(stripped, parse_constant=not_a_number)
    except (ValueError, RecursionError) as error:
        ended = stripped[:1] in b"[{" and stripped[-1:] not in b"]}"
        at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc) - 1
        if ended or at_end:
            raise CutOff(f"the JSON ends early: {error}") from error
        raise MalformedResponse(f"no valid JSON: {error}") from error
    return _writable(value, mended), mended


_BLANKS = re.compile(r"[ \t\n\r]*")
_STEP_CHARS = 32_768


def parse_json_in_steps(
    body: bytes, between: Callable[[], object] = lambda: None
) -> tuple[Any, Counter[str]]:
    """As ``parse_json``, entry by entry of an array, for large bodies in a worker thread.

    No parser gives way to other threads before it has done, so a body of some megabytes would hold
    up the event loop even from a thread.

    Args:
        between: called about once in 32 kB; should let other threads run.
    """
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        return parse_json(body)
    mended: Counter[str] = Counter()

    place = _skip_blanks(text, 0)
    if text[place : place + 1] != "[":
        return parse_json(body)
    decode = _mending_decoder(mended).raw_decode
    # A search by pattern would be as long a hold-up as a parser.
    mends = "\\ud" in text or "\\uD" in text
    found: list[Any] = []
    step_ends = _STEP_CHARS
    try:
        place = _skip_blanks(text, place + 1)
        while text[place] != "]":
            value, place = decode(text, place)
            found.append(_writable(value, mended) if mends else value)
            place = _skip_blanks(text, place)
            if text[place] == ",":
                place = _skip_blanks(text, place + 1)
                if text[place] == "]":
                    raise ValueError("a comma too many")
            elif text[place] != "]":
                raise ValueError("no comma")
            if place > step_ends:
                step_ends = place + _STEP_CHARS
                between()
        if _skip_blanks(text, place + 1) < len(text):
            raise ValueError("more than one value")
    except (ValueError, IndexError, RecursionError):
        # Read once more as a whole: it says exactly what is wrong, or forgives what it forgives.
        return parse_json(body)
    return found, mended


def _mending_decoder(mended: Counter[str]) -> json.JSONDecoder:
    """A decoder whose numbers can all be written again, as ``_writable`` has them."""

    def not_a_number(_: str) -> None:
        mended["nan"] += 1

    return json.JSONDecoder(
        parse_constant=not_a_number,
        parse_int=lambda text: _writable(int(text), mended),
        parse_float=lambda text: _writable(float(text), mended),
    )


def _skip_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found else place


def _writable(value: Any, mended: Counter[str]) -> Any:
    """The value with halves of surrogate pairs replaced, so that it can be written as UTF-8."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            mended["bad_unicode"] += 1
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, list):
        return [_writable(one, mended) for one in value]
    if isinstance(value, dict):
        return {_writable(key, mended): _writable(one, mended) for key, one in value.items()}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        mended["nan"] += 1
        return None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        # As the strict reading has it; nothing that writes JSON takes more.
        return float(value)
    return value


def error_in(value: Any, http_status: int) -> FacilityHttpError | None:
    """The error that an answer is: LoopBack's, DataGateway's or NestJS's object, or a bare status.

    500 and its like give ``NotTheProtocol``, so that the HTTP status decides about trying again.
    """
    said = _error_object(value)
    if said is None:
        if 200 <= http_status < 300:
            return None
        said = (http_status, "")
    status, message = said
    if status in _NOT_ACCEPTED:
        return NotAccepted(message or f"HTTP {status}", status=status)
    if status in _NOT_OFFERED:
        return NotOffered(message or f"HTTP {status}", status=status)
    if status in (401, 403):
        return AccessRefused(f"access refused: {message[:200]}", status=status)
    return NotTheProtocol(f"an error in place of an answer: {status} {message[:200]}".rstrip())


def _error_object(value: Any) -> tuple[int, str] | None:
    """(status, message) of an error object; crosswalks 2.3."""
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict):
        status = inner.get("statusCode", inner.get("status", 500))
        return _status(status), str(inner.get("message") or inner.get("name") or "")
    if "statusCode" in value and ("message" in value or "error" in value):
        return _status(value["statusCode"]), str(value.get("message") or inner or "")
    return None


def _status(value: Any) -> int:
    return value if isinstance(value, int) else 500


def objects_in(value: Any, mended: Counter[str]) -> Objects:
    """Sort the entries of an array into objects and oddities.

    Raises:
        MalformedResponse: the answer is no array.
    """
    if not isinstance(value, list):
        raise MalformedResponse(f"a list was asked for and {type(value).__name__} came")
    found = Objects([], len(value), mended=mended)
    for one in value:
        oddity = _oddity_of(one)
        if oddity is None:
            found.items.append(one)
        else:
            found.odd[oddity] += 1
    return found


def _oddity_of(entry: Any) -> str | None:
    """Why an entry of an array is no object to use; ``None`` for a good one."""
    if isinstance(entry, dict):
        if ("error" in entry or "statusCode" in entry) and _error_object(entry) is not None:
            return "refused"
        # Nearly all have a pid: it saves looking at every value.
        return "ghost" if not entry.get("pid") and is_ghost(entry) else None
    return "null" if entry is None else "no_object"


def is_ghost(item: Mapping[str, Any]) -> bool:
    """Whether nothing is said but a score or a provider (SciCat's unresolvable datasets)."""
    return not any(
        value not in (None, "", []) for key, value in item.items() if key not in _ENVELOPE
    )


_ENVELOPE = frozenset({"score", "provider"})


def identifier_of(item: Mapping[str, Any]) -> str:
    """The object's own identifier as text: pid, else id, else doi; empty when it has none."""
    for name in _IDENTIFYING:
        value = item.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def record_of(entity_class: str, item: Mapping[str, Any], problem: str | None = None) -> RestRecord:
    """Wrap an object; its header's identifier is ``Class/pid`` and its datestamp what it says."""
    identifier = identifier_of(item)
    changed = item.get("updatedAt")
    return RestRecord(
        header=Header(
            f"{entity_class}/{identifier}" if identifier else "",
            changed if isinstance(changed, str) and changed.strip() else None,
        ),
        format=FORMATS[entity_class],
        payload=orjson.dumps(item),
        problem=problem or (None if identifier else "no_identifier"),
    )


def count_in(value: Any) -> int | None:
    """The number in an answer of ``/count``: an object, a bare number (ILL), text, or nothing."""
    if isinstance(value, Mapping):
        value = value.get("count")
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
