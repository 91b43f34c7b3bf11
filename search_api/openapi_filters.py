"""JSON Schemas of LoopBack filters, class by class, from the model table.

They say as much as JSON Schema can: which fields, operators, relations and types there are. That a
unit is known, or a pattern is one that RE2 runs, only the server can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_api.model import MODEL, FieldType, PanoscClass

Json = dict[str, Any]

_NUMERIC = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,15})?$"
_COUNT: Json = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": "^[0-9]{1,9}$"},
        {"type": "null"},
    ]
}
VALUES: Mapping[FieldType, Json] = {
    "text": {"type": ["string", "number", "boolean"]},
    "texts": {"type": ["string", "number", "boolean"]},
    "number": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _NUMERIC}]},
    "integer": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _NUMERIC}]},
    "boolean": {"enum": [True, False, "true", "false"]},
    "instant": {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": "^[0-9]{4}(-[0-9]{2})?$"},
            {"type": "integer", "description": "Milliseconds since 1970."},
        ]
    },
    "scalar": {"type": ["string", "number"]},
}


def filter_schemas() -> dict[str, Json]:
    """``DocumentFilter``, ``DocumentWhere`` … for every class of the model."""
    schemas: dict[str, Json] = {}
    for panosc_class in MODEL.values():
        schemas[panosc_class.name + "Where"] = _where(panosc_class)
        whole = _filter(panosc_class)
        schemas[panosc_class.name + "Filter"] = whole
        of_scope = {name: one for name, one in whole["properties"].items() if name != "query"}
        schemas[panosc_class.name + "Scope"] = {**whole, "properties": of_scope}
        if panosc_class.relations:
            schemas[panosc_class.name + "Include"] = _include(panosc_class)
    return schemas


def reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _where(panosc_class: PanoscClass) -> Json:
    own = reference(panosc_class.name + "Where")
    properties: dict[str, Json] = {
        name: _condition(kind) for name, kind in panosc_class.all_fields.items()
    }
    properties["and"] = properties["or"] = {"type": "array", "items": own}
    if panosc_class.text_fields:
        properties["text"] = {"type": "string", "maxLength": 256}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _condition(kind: FieldType) -> Json:
    value = VALUES[kind]
    present_or_null: Json = {"anyOf": [value, {"type": "null"}]}
    operators: dict[str, Json] = {
        "eq": present_or_null,
        "neq": present_or_null,
        "inq": {"type": "array", "items": present_or_null},
        "nin": {"type": "array", "items": present_or_null},
    }
    if kind != "boolean":
        operators |= dict.fromkeys(("gt", "gte", "lt", "lte"), value)
        operators["between"] = {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
    if kind in ("text", "texts", "scalar"):
        pattern: Json = {"type": "string", "maxLength": 256}
        operators |= dict.fromkeys(("like", "nlike", "ilike", "nilike"), pattern)
        operators["regexp"] = {**pattern, "format": "regex"}
    whole: Json = {
        "type": "object",
        "properties": operators,
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [value, {"type": "null"}, whole]}


def _filter(panosc_class: PanoscClass) -> Json:
    fields = [*panosc_class.all_fields, "score"]
    names: Json = {"enum": fields}
    properties: dict[str, Json] = {
        "where": reference(panosc_class.name + "Where"),
        "limit": _COUNT,
        "skip": _COUNT,
        "order": {"anyOf": [_order(fields), {"type": "array", "items": _order(fields)}]},
        "fields": {
            "anyOf": [
                {"type": "array", "items": names},
                {
                    "type": "object",
                    "properties": {name: {"type": "boolean"} for name in fields},
                    "additionalProperties": False,
                },
            ]
        },
    }
    if panosc_class.relations:
        include = reference(panosc_class.name + "Include")
        properties["include"] = {"anyOf": [include, {"type": "array", "items": include}]}
    if panosc_class.name in ("Document", "Dataset", "Instrument"):
        properties["query"] = {"type": "string", "maxLength": 2000}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _order(fields: list[str]) -> Json:
    return {"type": "string", "pattern": f"^({'|'.join(fields)})( (ASC|DESC))?$"}


def _include(panosc_class: PanoscClass) -> Json:
    """A relation's name, or the relation with a scope that is a filter of its class."""
    return {
        "anyOf": [
            {"enum": list(panosc_class.relations)},
            *(
                {
                    "type": "object",
                    "required": ["relation"],
                    "properties": {
                        "relation": {"const": relation.name},
                        "scope": reference(relation.target + "Scope"),
                    },
                    "additionalProperties": False,
                }
                for relation in panosc_class.relations.values()
            ),
        ]
    }
