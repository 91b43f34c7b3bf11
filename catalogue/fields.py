"""The fields and relations that a query may name, class by class, and how their values compare.

Names are those of the PaNOSC schema plus ours. The engines, the oracle and the API all read this
one table: a field that is not here is a ``QueryError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from catalogue.errors import QueryError

Kind = Literal["text", "identifier", "instant", "number", "boolean", "public", "any"]
Value = str | int | float
"""What two values are compared as: text, a number, or microseconds since 1970."""

FIELDS: Mapping[str, Mapping[str, Kind]] = {
    "Document": {
        "key": "text", "pid": "identifier", "doi": "identifier", "type": "text", "kind": "text",
        "title": "text", "summary": "text", "isPublic": "public", "startDate": "instant",
        "endDate": "instant", "releaseDate": "instant", "startSeconds": "number",
        "endSeconds": "number", "license": "text", "keywords": "text", "alternateIds": "text",
        "proposal": "text", "instrumentNames": "text", "facility": "text", "facilities": "text",
        "provider": "text", "derived": "boolean",
    },
    "Dataset": {
        "key": "text", "pid": "identifier", "doi": "identifier", "title": "text", "kind": "text",
        "isPublic": "public", "creationDate": "instant", "size": "number", "dataLevel": "text",
        "formats": "text", "startSeconds": "number", "endSeconds": "number", "facility": "text",
        "facilities": "text", "provider": "text", "derived": "boolean", "instrumentKey": "text",
    },
    "Instrument": {
        "key": "text", "pid": "identifier", "name": "text", "facility": "text",
        "facilities": "text", "provider": "text",
    },
    "Member": {"id": "text", "role": "text"},
    "Person": {
        "id": "text", "fullName": "text", "firstName": "text", "lastName": "text",
        "orcid": "text", "researcherId": "text",
    },
    "Affiliation": {
        "id": "text", "name": "text", "address": "text", "city": "text", "country": "text",
        "ror": "text",
    },
    "Technique": {"pid": "text", "name": "text", "panet": "text", "panetId": "text"},
    "Sample": {"pid": "text", "name": "text", "description": "text"},
    "Parameter": {"name": "text", "value": "any", "unit": "text"},
    "File": {"id": "text", "name": "text", "path": "text", "size": "number"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a relation leads. ``linked`` ones lead to entities of their own (another index);
    the others to parts of the same record, found under the relation's name."""

    name: str
    target: str
    linked: bool = False


RELATIONS: Mapping[str, Mapping[str, Relation]] = {
    "Document": {
        "datasets": Relation("datasets", "Dataset", linked=True),
        "members": Relation("members", "Member"),
        "parameters": Relation("parameters", "Parameter"),
    },
    "Dataset": {
        "documents": Relation("documents", "Document", linked=True),
        "techniques": Relation("techniques", "Technique"),
        "instrument": Relation("instrument", "Instrument"),
        "samples": Relation("samples", "Sample"),
        "parameters": Relation("parameters", "Parameter"),
        "files": Relation("files", "File"),
    },
    "Instrument": {"datasets": Relation("datasets", "Dataset", linked=True)},
    "Member": {
        "person": Relation("person", "Person"),
        "affiliation": Relation("affiliation", "Affiliation"),
    },
}

ENTITY_CLASSES = ("Document", "Dataset", "Instrument")


def kind_of(class_name: str, field: str) -> Kind:
    """How values of the field compare.

    Raises:
        QueryError: the class has no such field.
    """
    known = FIELDS[class_name]
    if field not in known:
        raise QueryError(
            f"{class_name} has no field {field!r}; it has {', '.join(known)}.", field=field
        )
    return known[field]


def relation_of(class_name: str, name: str) -> Relation:
    """The relation of that name.

    Raises:
        QueryError: the class has no such relation.
    """
    known = RELATIONS.get(class_name, {})
    if name not in known:
        offered = ", ".join(known) or "none"
        raise QueryError(f"{class_name} has no relation {name!r}; it has {offered}.", field=name)
    return known[name]


def elements(record: Mapping[str, Any], relation: str) -> list[Mapping[str, Any]]:
    """The parts of a record under a relation's name, be it one or a list."""
    value = record.get(relation)
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        # Asking whether something is a dict costs a tenth of asking whether it is a Mapping.
        return [part for part in value if isinstance(part, (dict, Mapping))]
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [part for part in value if isinstance(part, Mapping)]
    return []


def strings(record: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of some fields, in their order."""
    found: list[str] = []
    for name in names:
        if name not in record:
            continue
        value = record[name]
        if type(value) is str:
            if value:
                found.append(value)
        elif value is not None:
            listed = value if isinstance(value, (list, tuple)) else (value,)
            found.extend(str(one) for one in listed if one not in (None, ""))
    return found


def values_of(record: Mapping[str, Any], field: str, kind: Kind) -> list[Value]:
    """The record's values of a field, ready to compare; none when absent or unreadable."""
    value = record.get(field)
    if value is None:
        return []
    listed = value if isinstance(value, (list, tuple)) else [value]
    found = [stored_value(kind, one) for one in listed]
    return [one for one in found if one is not None]


def stored_value(kind: Kind, value: object) -> Value | None:
    """A value of a record as it is compared; ``None`` when it cannot be read as its kind."""
    try:
        return comparable(kind, value, "")
    except QueryError:
        return None


def comparable(kind: Kind, value: object, field: str) -> Value:
    """A value as it is compared: text as it stands, instants as microseconds since 1970.

    Raises:
        QueryError: it cannot be read as ``kind``.
    """
    if kind == "text":
        return _text(value)
    if kind == "identifier":
        return canonical_identifier(_text(value))
    if kind in ("boolean", "public"):
        return _boolean(value, field)
    if kind == "instant":
        return microseconds(value, field)
    if kind == "number":
        return _number(value, field)
    return _anything(value)


_DOI = re.compile(r"10\.\d{4,9}/")
_DOI_PREFIXES = (
    "https://doi.org/", "http://doi.org/", "https://dx.doi.org/", "http://dx.doi.org/", "doi:",
)  # fmt: skip


@lru_cache(maxsize=65_536)
def canonical_identifier(text: str) -> str:
    """DOIs compare without case, resolver or ``doi:``; everything else as it stands."""
    lowered = text.strip().lower()
    if lowered.startswith(_DOI_PREFIXES):
        prefix = next(prefix for prefix in _DOI_PREFIXES if lowered.startswith(prefix))
        lowered = lowered[len(prefix) :]
    return lowered if _DOI.match(lowered) else text


def microseconds(value: object, field: str) -> int:
    """An ISO 8601 instant or ``datetime`` as microseconds since 1970 UTC; a bare date begins at
    midnight UTC.

    Raises:
        QueryError: it is neither.
    """
    moment: datetime
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif isinstance(value, str):
        return _parse_microseconds(value, field)
    else:
        raise QueryError(f"{field}: {value!r} is no date; write it as 2017-11-07.", field=field)
    return _since_1970(moment)


@lru_cache(maxsize=65_536)
def _parse_microseconds(text: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise QueryError(
            f"{field}: {text[:60]!r} is no date; write it as 2017-11-07 or 2017-11-07T23:00:00Z.",
            field=field,
        ) from error
    return _since_1970(moment)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _since_1970(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _boolean(value: object, field: str) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return int(value.lower() == "true")
    raise QueryError(f"{field}: {value!r} is neither true nor false.", field=field)


def _number(value: object, field: str) -> int | float:
    if isinstance(value, (int, float)) and value == value:
        return int(value) if isinstance(value, bool) else value
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if number != number:
        raise QueryError(f"{field}: {str(value)[:60]!r} is no number.", field=field)
    return number


def _anything(value: object) -> Value:
    """A parameter's value: a number where it can be read as one, text otherwise."""
    if isinstance(value, bool):
        return _text(value)
    if isinstance(value, (int, float)):
        return value
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number == number and abs(number) != float("inf") else text
