"""``/api/search``: one question in plain parameters, for people and scripts.

Every parameter is in one table, from which the reader, the OpenAPI description and the messages
about unknown parameters are made. Repeated values of one parameter mean "any of these"; different
parameters all hold. Filters never score (semantics 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from catalogue.query import (
    AccessIs,
    AtFacility,
    Compare,
    Facet,
    InYears,
    Join,
    Node,
    OneOf,
    OpenAt,
    ParameterRange,
    Pattern,
    Search,
    Sort,
    TechniqueIn,
    Text,
    all_of,
    data_only,
)
from catalogue.records import EntityClass
from mappings.quantities import interval_for_query
from mappings.rights import STATES
from search_api.conditions import Reading, any_of
from search_api.errors import BadRequest
from search_api.loopback import read_count
from search_api.technique_conditions import technique_ids
from search_api.values import instant_of, number_of, within_bounds

CLASSES: Mapping[str, EntityClass] = {"documents": "Document", "datasets": "Dataset"}
FACETS = ("facility", "technique", "instrument", "year", "access", "kind", "sample")
FACET_SIZES = {"facility": 1_000, "technique": 100}
"""Values counted; techniques come with all the terms above them."""
KINDS = ("data", "publication", "poster", "software", "collection", "other", "all")
LEVELS = ("raw", "reduced", "processed")
FORMATS = ("json", "html", "csv", "jsonl", "bibtex", "ris", "datacite")
MODES = ("indexed", "live", "both")
SORTS = {
    "relevance": (),
    "date": ("startDate", "creationDate"),
    "title": ("title", "title"),
    "release": ("releaseDate", None),
    "size": (None, "size"),
}
_YEARS = re.compile(r"^(\d{1,4})?(-)?(\d{1,4})?$")
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(
    rf"^\s*(?P<name>[\w .\-]{{1,80}}?)\s*:\s*(?:(?P<op>>=|<=|>|<)\s*(?P<one>{_NUMBER})"
    rf"|(?P<low>{_NUMBER})?\s*\.\.\s*(?P<high>{_NUMBER})?|(?P<eq>{_NUMBER}))\s*(?P<unit>\S.{{0,30}})$"
)
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of ``/api/search``: its JSON type, and what it means."""

    name: str
    kind: str
    help: str
    allowed: tuple[str, ...] = ()
    many: bool = False


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("q", "string", 'Words, "phrases", -without, +must, prefix*; techniques are found.'),
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
    Parameter("facets", "string", "Counts to give, divided by commas.", FACETS),
    Parameter("limit", "integer", "Hits on a page, 0 for none."),
    Parameter("skip", "integer", "Hits to leave out before the page."),
    Parameter("cursor", "string", "Where the page before ended."),
    Parameter("explain", "boolean", "Say how each score came about."),
    Parameter("related", "boolean", "Near techniques with their counts (default true)."),
    Parameter("format", "string", "Form of the answer.", FORMATS),
    Parameter("facilities", "string", "Ask only these facilities (short names).", (), True),
    Parameter("mode", "string", "Ask the index, facilities live, or both as configured.", MODES),
    Parameter("deadline_ms", "number", "Milliseconds that live facilities are waited for."),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
IGNORED = frozenset({"access_token"})


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A read question: the search and in which form the answer is wanted."""

    search: Search
    format: str
    facets: tuple[str, ...]
    query: str


def read_search(
    reading: Reading, pairs: Sequence[tuple[str, str]], default_limit: int
) -> SearchRequest:
    """Read the parameters of ``/api/search``.

    Raises:
        BadRequest: names the parameter, what is allowed and the nearest right word.
    """
    values = _by_name(pairs)
    entity_class = CLASSES[_choice(values, "type", "documents")]
    words = _text(values, "q", reading)
    nodes = filters(values, entity_class, reading)
    facets = _facets(values)
    limit = read_count(_one(values, "limit"), "limit")
    wanted = default_limit if limit is None else limit
    skip = read_count(_one(values, "skip"), "skip") or 0
    cursor = _one(values, "cursor")
    text = Text(
        words,
        match=cast(Any, _choice(values, "match", "all")),
        recognise=_flag(values, "recognise", True),
        literal=tuple(dict.fromkeys(values.get("literal", ()))),
    )
    search = Search(
        entity_class,
        reading.now,
        where=all_of(*nodes),
        text=text if words.strip() else None,
        sort=_sort(values, entity_class),
        skip=0 if cursor else skip,
        limit=min(wanted, reading.settings.max_limit),
        # How many hits each facility has is part of every answer.
        facets=tuple(
            Facet(cast(Any, name), size=FACET_SIZES.get(name, 20))
            for name in dict.fromkeys((*facets, "facility"))
        ),
        cursor=cursor,
        explain=_flag(values, "explain", False),
        related=_flag(values, "related", True),
    )
    return SearchRequest(search, _choice(values, "format", "json"), facets, words)


def filters(
    values: Mapping[str, Sequence[str]], entity_class: EntityClass, reading: Reading
) -> list[Node]:
    """The conditions that the parameters state, one top-level node for each."""
    document = entity_class == "Document"
    nodes: list[Node] = []

    def of_dataset(node: Node) -> Node:
        return Join("datasets", node) if document else node

    def of_document(node: Node) -> Node:
        return node if document else Join("documents", node)

    if found := values.get("technique"):
        nodes.append(_techniques(found, of_dataset))
    if found := values.get("facility"):
        nodes.append(AtFacility(tuple(found)))
    if found := values.get("instrument"):
        named: Node = of_dataset(Join("instrument", OneOf("name", tuple(found))))
        nodes.append(
            any_of([named, OneOf("instrumentNames", tuple(found))] if document else [named])
        )
    if found := values.get("sample"):
        nodes.append(of_dataset(Join("samples", _containing("name", found, reading))))
    if found := values.get("person"):
        person = Join("person", _containing("fullName", found, reading))
        nodes.append(of_document(Join("members", person)))
    if found := values.get("level"):
        nodes.append(of_dataset(OneOf("dataLevel", _choices("level", found))))
    if found := values.get("file_format"):
        forms = {form for f in found for form in (f, f.upper(), f.lower(), f.capitalize())}
        nodes.append(of_dataset(OneOf("formats", tuple(sorted(forms)))))
    nodes += [of_dataset(node) for node in _sizes(values)]
    nodes += _access(values, reading)
    nodes += _years(values)
    nodes += [_quantity(text) for text in values.get("quantity", ())]
    nodes += _kinds(values)
    return nodes


def _techniques(names: Sequence[str], of_dataset: Any) -> Node:
    ids = tuple(dict.fromkeys(found for name in names for found in technique_ids(name)))
    unknown = tuple(name for name in names if not technique_ids(name))
    nodes: list[Node] = [TechniqueIn(ids)] if ids else []
    if unknown:
        # PaNET does not know it: compare with the names that facilities sent.
        nodes.append(of_dataset(Join("techniques", OneOf("name", unknown))))
    return any_of(nodes)


def _containing(field: str, texts: Sequence[str], reading: Reading) -> Node:
    for text in texts:
        if len(text) > reading.settings.max_pattern_chars:
            raise BadRequest(
                f"The name is longer than {reading.settings.max_pattern_chars} characters.",
                field=field,
            )
    return any_of([Pattern((field,), text, "substring", True) for text in texts])


def _sizes(values: Mapping[str, Sequence[str]]) -> list[Node]:
    nodes: list[Node] = []
    for name, op in (("size_min", "gte"), ("size_max", "lte")):
        text = _one(values, name)
        if text is not None:
            number = number_of(text)
            if number is None:
                raise BadRequest(f"{text[:50]!r} is not a number of bytes.", field=name)
            nodes.append(Compare("size", cast(Any, op), within_bounds(number)))
    return nodes


def _access(values: Mapping[str, Sequence[str]], reading: Reading) -> list[Node]:
    nodes: list[Node] = []
    if _flag(values, "open", False):
        nodes.append(OpenAt(reading.now))
    moment = _one(values, "open_at")
    if moment is not None:
        nodes.append(OpenAt(instant_of(moment, "open_at")))
    if states := values.get("access"):
        nodes.append(AccessIs(cast(Any, _choices("access", states)), reading.now))
    return nodes


def _years(values: Mapping[str, Sequence[str]]) -> list[Node]:
    text = _one(values, "year")
    if text is None:
        return []
    found = _YEARS.match(text.replace("–", "-").replace(" ", ""))
    if found is None or not (found.group(1) or found.group(3)):
        raise BadRequest(
            f"{text[:50]!r} is not a year; write 2018, 2017-2019, 2017- or -2019.", field="year"
        )
    first, dash, last = found.groups()
    if dash is None:
        if last is not None:  # the pattern let one number fall apart: 20182019
            raise BadRequest(f"{text[:50]!r} is not a year.", field="year")
        last = first
    return [InYears(int(first) if first else None, int(last) if last else None)]


def _quantity(text: str) -> Node:
    found = _QUANTITY.match(text[:200])
    if found is None:
        raise BadRequest(
            f"{text[:80]!r} is not a quantity; write sample_temperature:5..10 K, "
            f"incident_wavelength:1.5 angstrom or incident_photon_energy:>=5 keV.",
            field="quantity",
        )
    name, unit = found["name"].strip(), found["unit"].strip()
    if found["op"]:
        op, value = _OPERATORS[found["op"]], cast(Any, found["one"])
    elif found["eq"]:
        op, value = "eq", found["eq"]
    elif found["low"] and found["high"]:
        op, value = "between", [found["low"], found["high"]]
    elif found["low"] or found["high"]:
        op, value = ("gte", found["low"]) if found["low"] else ("lte", found["high"])
    else:
        raise BadRequest("A range needs at least one end.", field="quantity")
    interval = interval_for_query(name, op, value, unit)
    if interval is None:
        raise BadRequest(f"{unit[:30]!r} is not a unit we know.", field="quantity")
    return ParameterRange(
        interval.names,
        interval.dimension,
        interval.low,
        interval.high,
        interval.open_low,
        interval.open_high,
    )


def _kinds(values: Mapping[str, Sequence[str]]) -> list[Node]:
    kinds = _choices("kind", values.get("kind", ()))
    if not kinds:
        return [data_only()]
    return [] if "all" in kinds else [OneOf("kind", kinds)]


def _facets(values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    names = [name.strip() for text in values.get("facets", ()) for name in text.split(",")]
    return _choices("facets", [name for name in names if name])


def _sort(values: Mapping[str, Sequence[str]], entity_class: EntityClass) -> tuple[Sort, ...]:
    text = _one(values, "sort")
    if text is None:
        return ()
    descending = text.startswith("-")
    name = text.removeprefix("-")
    if name not in SORTS:
        raise BadRequest(
            f"There is no order {name[:50]!r}.", field="sort", allowed=SORTS, given=name
        )
    pair = SORTS[name]
    if not pair:
        return ()
    field = pair[0] if entity_class == "Document" else pair[1]
    if field is None:
        raise BadRequest(f"{entity_class}s cannot be sorted by {name}.", field="sort")
    return (Sort(field, descending),)


def _by_name(pairs: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
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


def _one(values: Mapping[str, Sequence[str]], name: str) -> str | None:
    found = values.get(name)
    return found[0] if found else None


def _text(values: Mapping[str, Sequence[str]], name: str, reading: Reading) -> str:
    text = _one(values, name) or ""
    if len(text) > reading.settings.max_text_chars:
        raise BadRequest(
            f"{name} is longer than {reading.settings.max_text_chars} characters.", field=name
        )
    return text


def _flag(values: Mapping[str, Sequence[str]], name: str, default: bool) -> bool:
    text = _one(values, name)
    if text is None:
        return default
    folded = text.casefold()
    if folded in ("true", "1", "yes", "on"):
        return True
    if folded in ("false", "0", "no", "off"):
        return False
    raise BadRequest(f"{text[:50]!r} is not true or false.", field=name, allowed=("true", "false"))


def _choice(values: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    text = _one(values, name)
    return default if text is None else _choices(name, [text])[0]


def _choices(name: str, texts: Sequence[str]) -> tuple[str, ...]:
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
