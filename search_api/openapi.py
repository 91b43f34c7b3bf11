"""The description of the API (OpenAPI 3.1), generated from the route table and the model.

Nothing here is written twice: paths come from ``routes``, PaNOSC schemas from ``model``, search
parameters from ``search``. Tests send requests made from it to a running server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from search_api import operator_key
from search_api.federation.participants import MODES
from search_api.model import MODEL, FieldType, PanoscClass
from search_api.openapi_filters import filter_schemas
from search_api.openapi_schemas import SCHEMAS
from search_api.routes import ASKED, PAGE, ROUTES, Query, Route
from search_api.search import PARAMETERS

Json = dict[str, Any]

TYPES: Mapping[FieldType, Json] = {
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "instant": {"type": "string"},
    "scalar": {"type": ["string", "number"]},
}
ERROR_TEXTS = {
    400: "The request cannot be meant; the message names the place and what is allowed.",
    403: "Only for the operator, with the key; closed where the server has none.",
    404: "There is no such thing.",
    409: "Several facilities use this pid (add ?facility=), mode= leaves nobody to answer, or "
    "the index is of another version.",
    410: "The cursor is older than it is kept; start again without it.",
    413: "The body is too large.",
    414: "The address is too long; send the filter as a body.",
    415: "The body is not JSON.",
    429: "This client makes too many requests; see Retry-After.",
    503: "Too many requests, or a part of the service does not answer; see Retry-After.",
}
HEADERS = {
    "X-Total-Count": "How many match.",
    "X-Limit": "Where the default or largest limit cut the page: what it holds at most.",
    "Link": "The next page, as rel=next.",
    "X-Total-Count-Relation": "eq: exactly so many; gte: at least so many.",
    "X-Facilities-Missing": "Facilities that this answer lacks, divided by commas.",
    "X-Facilities-Silent": "Those for whom stands in what they told us before.",
    "X-Facilities-States": "name=state of each, divided by commas.",
    "X-Facilities-Without": "name=relation that could not be had of it: empty ones prove nothing.",
    "X-Facilities-Total": "How many facilities were asked.",
    "X-Facilities-Ok": "How many of them answered.",
}
SCHEMA_OF: Mapping[str, Json] = {
    "string": {"type": "string"},
    "count": {"type": "integer", "minimum": 0},
    "mode": {"type": "string", "enum": list(MODES)},
    "milliseconds": {"type": "number", "exclusiveMinimum": 0},
    "class": {"type": "string", "enum": ["document", "dataset", "instrument"]},
}


def description(version: str) -> Json:
    """The whole description as JSON."""
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths[route.path] = {method.lower(): _operation(route, method) for method in route.methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PaN Commons",
            "version": version,
            "summary": "Searches the metadata of photon and neutron facilities.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "Search", "description": "Our own search, for people and scripts."},
            {"name": "PaNOSC Search API", "description": "What PaNOSC portals ask for."},
            {"name": "Techniques", "description": "The PaNET ontology as a service."},
            {"name": "Service", "description": "State and description of this service."},
            {"name": "Operator", "description": "For whoever operates the server."},
        ],
        "paths": paths,
        "components": {
            "schemas": {**_model_schemas(), **filter_schemas(), **SCHEMAS},
            "securitySchemes": {
                "operator": {"type": "apiKey", "in": "header", "name": operator_key.HEADER}
            },
        },
    }


def _operation(route: Route, method: str) -> Json:
    operation: Json = {
        "operationId": route.operation + ("ByPost" if method == "POST" else ""),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _path_parameters(route.path),
        "responses": _responses(route),
    }
    if route.operator:
        operation["security"] = [{"operator": []}]
    operation["parameters"] += [_query_parameter(query) for query in route.queries]
    if route.search_parameters and method == "GET":
        operation["parameters"] += [_search_parameter(parameter) for parameter in PARAMETERS]
    if method == "POST":
        operation["parameters"] = _path_parameters(route.path)
        operation["requestBody"] = {
            "content": {"application/json": {"schema": _reference(str(route.body))}}
        }
        for status in (413, 415):
            operation["responses"][str(status)] = _error(status)
    return operation


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _shown(name: str, told: str) -> Json:
    # Forms send what nobody filled in: it is as if it were not there.
    return {"name": name, "in": "query", "description": told, "allowEmptyValue": True}


def _query_parameter(query: Query) -> Json:
    shown = _shown(query.name, query.help)
    if query.schema in SCHEMA_OF:
        return {**shown, "schema": SCHEMA_OF[query.schema]}
    return {
        **shown,
        "content": {"application/json": {"schema": _reference(query.schema)}},
    }


def _search_parameter(parameter: Any) -> Json:
    schema: Json = {"type": parameter.kind}
    if parameter.kind == "integer":
        schema["minimum"] = 0
    if parameter.allowed and parameter.name not in ("sort", "facets"):
        schema["enum"] = list(parameter.allowed)
    shown = _shown(parameter.name, parameter.help)
    if parameter.many:
        return {**shown, "schema": {"type": "array", "items": schema}, "explode": True}
    return {**shown, "schema": schema}


def _responses(route: Route) -> Json:
    schema = _reference(route.answer)
    content = {
        media_type: {"schema": schema} if media_type == "application/json" else {}
        for media_type in route.media_types
    }
    responses: Json = {"200": {"description": "The answer.", "content": content}}
    if route.search_parameters or any(query in ASKED for query in route.queries):
        responses["200"]["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in HEADERS.items()
        }
    usual = {400, 409, 414, 503} | (set() if route.always else {429})
    for status in sorted({*route.statuses, *usual}):
        responses[str(status)] = _error(status)
    if PAGE in route.media_types:
        # People are told on a page.
        for told in responses.keys() - {"200"}:
            responses[told]["content"][PAGE] = {}
    if route.answer == "Health":
        responses["503"] = {
            "description": "A part of the service does not answer.",
            "content": {"application/json": {"schema": _reference("Health")}},
        }
    return responses


def _error(status: int) -> Json:
    return {
        "description": ERROR_TEXTS[status],
        "content": {"application/json": {"schema": _reference("Error")}},
    }


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _model_schemas() -> dict[str, Json]:
    schemas: dict[str, Json] = {}
    for panosc_class in MODEL.values():
        schemas[panosc_class.name] = _class_schema(panosc_class)
        item = _reference(panosc_class.name)
        if panosc_class.name in ("Document", "Dataset", "Instrument"):
            item = {"allOf": [item, {"required": ["score"]}]}
        schemas[f"{panosc_class.name}List"] = {"type": "array", "items": item}
    return schemas


def _class_schema(panosc_class: PanoscClass) -> Json:
    properties: dict[str, Json] = {
        name: TYPES[kind] for name, kind in panosc_class.all_fields.items()
    }
    if panosc_class.name in ("Document", "Dataset", "Instrument"):
        properties["score"] = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    for relation in panosc_class.relations.values():
        target = _reference(relation.target)
        properties[relation.name] = {"type": "array", "items": target} if relation.many else target
    return {"type": "object", "properties": properties}
