"""What the parameters of ``/api/search`` ask of a record, as nodes of the catalogue's tree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from catalogue.query import (
    AccessIs,
    AtFacility,
    Compare,
    InYears,
    Join,
    Node,
    Not,
    OneOf,
    OpenAt,
    ParameterRange,
    Pattern,
    TechniqueIn,
    data_only,
)
from catalogue.records import EntityClass
from mappings.kinds import format_named
from mappings.quantities import interval_for_query
from search_api.conditions import Reading, all_of, any_of
from search_api.errors import BadRequest
from search_api.facilities import expect_facilities
from search_api.search_parameters import choices, flag, one_value
from search_api.search_words import Named
from search_api.technique_conditions import technique_ids
from search_api.values import instant_of, number_of, within_bounds

_YEARS = re.compile(r"^(\d{1,4})?(-)?(\d{1,4})?$")
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(
    rf"^\s*(?P<name>[\w .\-]{{1,80}}?)\s*:\s*(?:(?P<op>>=|<=|>|<)\s*(?P<one>{_NUMBER})"
    rf"|(?P<low>{_NUMBER})?\s*\.\.\s*(?P<high>{_NUMBER})?|(?P<eq>{_NUMBER}))\s*(?P<unit>\S.{{0,30}})$"
)
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


NO_FILTERS = frozenset(
    {"q", "match", "recognise", "literal", "type", "sort", "facets", "limit", "skip", "cursor"}
    | {"explain", "related", "format", "facilities", "mode", "deadline_ms"}
)
"""Parameters that state no condition."""


def filters(
    values: Mapping[str, Sequence[str]],
    entity_class: EntityClass,
    reading: Reading,
    named: Sequence[Named] = (),
) -> list[Node]:
    """The conditions that the parameters state, and the ``named`` values of the text: one top-level
    node for each."""
    if not named and values.keys() <= NO_FILTERS:
        return [data_only()]
    asked = _Asked(entity_class == "Document", reading)
    expect_facilities(values.get("facility", ()), reading.facilities, "facility")
    nodes = [asked.node(name, found) for name in asked.PLAIN if (found := values.get(name))]
    if found := values.get("instrument"):
        names = in_any_case(found)
        nodes.append(asked.instrument(OneOf("name", names), names))
    if sizes := _sizes(values):
        nodes.append(asked.of_dataset(all_of(sizes)))
    nodes += _access(values, reading)
    nodes += [years_node(text) for text in values.get("year", ())]
    nodes += [_quantity(text) for text in values.get("quantity", ())]
    nodes += _named_nodes(asked, named)
    if not any(one.field == "kind" and not one.denied for one in named):
        nodes += _kinds(values)
    return nodes


def _named_nodes(asked: _Asked, named: Sequence[Named]) -> list[Node]:
    """``field:value``: of one field any value will do; of denied ones none."""
    texts: dict[tuple[str, bool], list[str]] = {}
    for one in named:
        texts.setdefault((one.field, one.denied), []).append(one.value)
    nodes = []
    for (field, denied), found in texts.items():
        node = asked.node(field, found)
        nodes.append(Not(node) if denied else node)
    return nodes


@dataclass(frozen=True, slots=True)
class _Asked:
    """Makes the node of one filter, for Documents or for Datasets."""

    document: bool
    reading: Reading

    PLAIN: ClassVar = ("technique", "facility", "sample", "person", "level", "file_format")

    def of_dataset(self, node: Node) -> Node:
        return Join("datasets", node) if self.document else node

    def of_document(self, node: Node) -> Node:
        return node if self.document else Join("documents", node)

    def instrument(self, row: Node, listed: tuple[str, ...] = ()) -> Node:
        """By its own name, or by one that a record merely lists."""
        nodes = [self.of_dataset(Join("instrument", row))]
        if self.document and listed:
            nodes.append(OneOf("instrumentNames", listed))
        return any_of(nodes)

    def node(self, name: str, found: Sequence[str]) -> Node:
        match name:
            case "technique":
                return _techniques(found, self.of_dataset)
            case "facility":
                return AtFacility(tuple(found))
            case "instrument":
                return self.instrument(self.containing("name", found), tuple(found))
            case "sample":
                return self.of_dataset(Join("samples", self.containing("name", found)))
            case "person":
                person = Join("person", self.containing("fullName", found))
                return self.of_document(Join("members", person))
            case "level":
                return self.of_dataset(OneOf("dataLevel", choices("level", found)))
            case "file_format":
                forms = in_any_case([*found, *map(format_named, found)])
                return self.of_dataset(OneOf("formats", forms))
            case "year":
                return any_of([years_node(text) for text in found])
            case "access":
                return AccessIs(cast(Any, choices("access", found)), self.reading.now)
            case "kind":
                kinds = choices("kind", found)
                return all_of([]) if "all" in kinds else OneOf("kind", kinds)
            case "pid":
                return any_of([OneOf(field, tuple(found)) for field in ("pid", "doi")])
        return self.containing(name, found)

    def containing(self, field: str, texts: Sequence[str]) -> Node:
        most = self.reading.settings.max_pattern_chars
        for text in texts:
            if len(text) > most:
                raise BadRequest(f"The text is longer than {most} characters.", field=field)
        return any_of([Pattern((field,), text, "substring", True) for text in texts])


def in_any_case(texts: Sequence[str]) -> tuple[str, ...]:
    """Names as given and as they are usually written: ``loki`` is LOKI, and Loki."""
    forms = {form for t in texts for form in (t, t.upper(), t.lower(), t.capitalize(), t.title())}
    return tuple(sorted(forms))


def _techniques(names: Sequence[str], of_dataset: Any) -> Node:
    ids = tuple(dict.fromkeys(found for name in names for found in technique_ids(name)))
    unknown = tuple(name for name in names if not technique_ids(name))
    nodes: list[Node] = [TechniqueIn(ids)] if ids else []
    if unknown:
        # PaNET does not know it: compare with the names that facilities sent.
        nodes.append(of_dataset(Join("techniques", OneOf("name", unknown))))
    return any_of(nodes)


def _sizes(values: Mapping[str, Sequence[str]]) -> list[Node]:
    nodes: list[Node] = []
    for name, op in (("size_min", "gte"), ("size_max", "lte")):
        text = one_value(values, name)
        if text is not None:
            number = number_of(text)
            if number is None:
                raise BadRequest(f"{text[:50]!r} is not a number of bytes.", field=name)
            nodes.append(Compare("size", cast(Any, op), within_bounds(number)))
    return nodes


def _access(values: Mapping[str, Sequence[str]], reading: Reading) -> list[Node]:
    nodes: list[Node] = []
    if flag(values, "open", False):
        nodes.append(OpenAt(reading.now))
    moment = one_value(values, "open_at")
    if moment is not None:
        nodes.append(OpenAt(instant_of(moment, "open_at")))
    if states := values.get("access"):
        nodes.append(AccessIs(cast(Any, choices("access", states)), reading.now))
    return nodes


def years_node(text: str) -> Node:
    """A year of the experiment, or years: ``2018``, ``2017-2019``, ``2017-`` (semantics 3.1)."""
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
    if first and last and int(first) > int(last):
        raise BadRequest(f"{text[:50]!r} ends before it begins.", field="year")
    return InYears(int(first) if first else None, int(last) if last else None)


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
    kinds = choices("kind", values.get("kind", ()))
    if not kinds:
        return [data_only()]
    return [] if "all" in kinds else [OneOf("kind", kinds)]
