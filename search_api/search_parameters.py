"""The parameters of ``/api/search`` in one table, from which the reader, the OpenAPI description
and the messages about unknown parameters are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalogue.records import EntityClass
from mappings.rights import STATES
from search_api.conditions import Reading
from search_api.errors import BadRequest

CLASSES: Mapping[str, EntityClass] = {"documents": "Document", "datasets": "Dataset"}
FACETS = ("facility", "technique", "instrument", "year", "access", "kind", "sample")
KINDS = ("data", "publication", "poster", "software", "collection", "other", "all")
LEVELS = ("raw", "reduced", "processed")
FORMATS = ("json", "csv", "jsonl", "bibtex", "ris", "datacite")
MODES = ("indexed", "live", "both")
SORTS = {
    "relevance": (),
    "date": ("startDate", "creationDate"),
    "title": ("title", "title"),
    "release": ("releaseDate", None),
    "size": (None, "size"),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of ``/api/search``: its JSON type, and what it means."""

    name: str
    kind: str
    help: str
    allowed: tuple[str, ...] = ()
    many: bool = False


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "q",
        "string",
        'Words, "phrases", -without, +must, prefix*, field:value; techniques are found.',
    ),
    Parameter("match", "string", "Whether all words must be met, or any.", ("all", "any")),
    Parameter("recognise", "boolean", "Find techniques and quantities in q (default true)."),
    Parameter("literal", "string", "Words or id of a recognition to leave out.", (), True),
    Parameter("type", "string", "What to find (default documents).", tuple(CLASSES)),
    Parameter("technique", "string", "PaNET id, IRI, label or synonym; with all below.", (), True),
    Parameter("facility", "string", "Short name of a facility.", (), True),
    Parameter("instrument", "string", "Name of an instrument.", (), True),
    Parameter("sample", "string", "Part of a sample's name.", (), True),
    Parameter("person", "string", "Part of a person's name.", (), True),
    Parameter("year", "string", "Experiment year, or years: 2018, 2017-2019, 2017-."),
    Parameter("open", "boolean", "Only what is open now."),
    Parameter("open_at", "string", "Only what is open at this date."),
    Parameter("access", "string", "State of access now.", tuple(STATES), True),
    Parameter("kind", "string", "Kinds of Documents (default: data).", KINDS, True),
    Parameter("level", "string", "Level of the data.", LEVELS, True),
    Parameter("file_format", "string", "Format of the files: HDF5, NeXus …", (), True),
    Parameter("size_min", "number", "Smallest size of a Dataset, in bytes."),
    Parameter("size_max", "number", "Largest size of a Dataset, in bytes."),
    Parameter(
        "quantity", "string", "name:low..high unit, name:>=5 K, name:1.5 angstrom.", (), True
    ),
    Parameter("sort", "string", "Order; with - in front the other way round.", tuple(SORTS)),
    Parameter("facets", "string", "Counts to give; also divided by commas.", FACETS, True),
    Parameter("limit", "integer", "Hits on a page, 0 for none."),
    Parameter("skip", "integer", "Hits to leave out before the page."),
    Parameter("cursor", "string", "Where the page before ended."),
    Parameter("explain", "boolean", "Say how each score came about."),
    Parameter("related", "boolean", "Near techniques with their counts (default true)."),
    Parameter("format", "string", "Form of the answer.", FORMATS),
    Parameter("facilities", "string", "Ask only these facilities (short names).", (), True),
    Parameter("mode", "string", "Ask the index, facilities live, or both as configured.", MODES),
    Parameter("deadline_ms", "number", "Milliseconds for the whole answer of live facilities."),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
IGNORED = frozenset({"access_token"})


def values_by_name(pairs: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in IGNORED or name.startswith("utm_"):
            continue
        parameter = BY_NAME.get(name)
        if parameter is None:
            raise BadRequest(
                f"There is no parameter {name[:100]!r}.",
                field=name[:100],
                allowed=BY_NAME,
                given=name,
            )
        if not value.strip():
            continue
        if name in values and not parameter.many:
            raise BadRequest(f"{name} is given more than once.", field=name)
        values.setdefault(name, []).append(value)
    return values


def one_value(values: Mapping[str, Sequence[str]], name: str) -> str | None:
    found = values.get(name)
    return found[0] if found else None


def text_value(values: Mapping[str, Sequence[str]], name: str, reading: Reading) -> str:
    text = one_value(values, name) or ""
    if len(text) > reading.settings.max_text_chars:
        raise BadRequest(
            f"{name} is longer than {reading.settings.max_text_chars} characters.", field=name
        )
    return text


def flag(values: Mapping[str, Sequence[str]], name: str, default: bool) -> bool:
    text = one_value(values, name)
    if text is None:
        return default
    folded = text.casefold()
    if folded in ("true", "1", "yes", "on"):
        return True
    if folded in ("false", "0", "no", "off"):
        return False
    raise BadRequest(f"{text[:50]!r} is not true or false.", field=name, allowed=("true", "false"))


def choice(values: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    text = one_value(values, name)
    return default if text is None else choices(name, [text])[0]


def choices(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    allowed = BY_NAME[name].allowed
    for text in texts:
        if text not in allowed:
            raise BadRequest(
                f"{name} cannot be {text[:50]!r}.", field=name, allowed=allowed, given=text
            )
    return tuple(dict.fromkeys(texts))


def pairs_of_body(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters of a POST: the same names, with lists for repeated values."""
    pairs: list[tuple[str, str]] = []
    for name, value in body.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                pairs.append((name, "true" if one else "false"))
            elif isinstance(one, (str, int, float)):
                pairs.append((name, str(one)))
            elif one is not None:
                raise BadRequest(f"{name} takes text, numbers or a list of them.", field=name[:100])
    return pairs
