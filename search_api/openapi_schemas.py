"""Schemas of the answers and bodies that are not classes of the PaNOSC model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_api.search import PARAMETERS

Json = dict[str, Any]

_STRING: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_COUNTS: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "label", "count"],
        "properties": {"id": _STRING, "label": _STRING, "count": _COUNT},
    },
}


def _object(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


ACCESS = _object(
    {
        "state": {"enum": ["open", "embargoed", "restricted", "metadata_only", "unknown"]},
        "reason": _STRING,
        "open_from": _TEXT_OR_NULL,
    }
)
HIT_FIELDS: Mapping[str, Json] = {
    "key": _STRING,
    "type": {"enum": ["Document", "Dataset", "Instrument"]},
    "pid": _TEXT_OR_NULL,
    "doi": _TEXT_OR_NULL,
    "title": _TEXT_OR_NULL,
    "facility": _TEXT_OR_NULL,
    "facilities": _list(_TEXT_OR_NULL),
    "provider": _STRING,
    "access": ACCESS,
    "techniques": _list(_object({"id": _TEXT_OR_NULL, "label": _TEXT_OR_NULL})),
    "services": _list(_object({"name": _STRING, "url": _STRING, "login": {"type": "boolean"}})),
}
SCORE: Json = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}

RELATION: Json = {
    "enum": ["eq", "gte"],
    "description": "eq: all of them are known; gte: there are at least so many.",
}
FACILITY_LINE = _object(
    {
        "name": _STRING,
        "state": {
            "enum": [
                "answered",
                "stale",
                "timed_out",
                "failed",
                "paused",
                "unsupported",
                "waiting",
                "unharvested",
                "disabled",
            ],
            "description": "answered; stale: what it told us before stands in, age_s old; "
            "timed_out, failed, paused, unsupported: it is missing, see why; "
            "waiting: in a stream, it may still answer.",
        },
        "live": {"type": "boolean", "description": "Whether it was asked now."},
        "elapsed_ms": {"type": "number"},
        "hits": _COUNT,
        "total": _COUNT,
        "total_relation": RELATION,
    },
    {
        "why": _STRING,
        "until": {"type": "string", "description": "When it is asked again, for paused."},
        "age_s": {"type": "number", "description": "Age of what is shown of it, in seconds."},
        "silent_since": _TEXT_OR_NULL,
        "missing": _list(_STRING),
    },
)
TOTAL = _object({"value": _COUNT, "relation": RELATION})
SPAN: Json = {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}
HIT = _object(
    {**HIT_FIELDS, "score": SCORE},
    {
        "partly_scored": {"type": "boolean"},
        "highlights": {
            "type": "object",
            "additionalProperties": _list(SPAN),
            "description": "Where words of the question stand in a field: from and to, counted in "
            "code points of the field's text, which is text and no HTML.",
        },
        "explanation": {"type": "object", "description": "With explain: the parts of the score."},
    },
)
RECOGNISED = _list(
    _object(
        {
            "text": {"type": "string", "description": "As it stands in q; literal= takes it out."},
            "kind": {"enum": ["technique", "quantity"]},
            "id": _STRING,
            "label": _STRING,
        }
    )
)
_POSITION: Json = {**_COUNT, "description": "Place in the list as it is after this message."}


def _message(name: str, required: Mapping[str, Json]) -> Json:
    return _object({"event": {"const": name}, **required})


STREAM_MESSAGE: Json = {
    "description": "One line of application/x-ndjson, or the data of one event of "
    "text/event-stream. To follow the page: take out what is removed or moved, put what is added "
    "or moved at its position, smallest first; changed are whole hits, rescored are scores by key. "
    "The last message is end or error; close an EventSource then.",
    "oneOf": [
        _message(
            "update",
            {
                "added": _list(_object({"position": _POSITION, "hit": HIT})),
                "moved": _list(_object({"position": _POSITION, "key": _STRING})),
                "removed": _list(_STRING),
                "changed": _list(HIT),
                "rescored": {"type": "object", "additionalProperties": SCORE},
                "total": TOTAL,
                "recognised": _list({"type": "object"}),
                "facilities": _list(FACILITY_LINE),
                "waiting": _list(_STRING),
            },
        ),
        _message(
            "end",
            {
                "keys": _list(_STRING),
                "total": TOTAL,
                "facets": {"type": "object", "additionalProperties": _COUNTS},
                "facets_relation": RELATION,
                "related": _COUNTS,
                "facilities": _list(FACILITY_LINE),
                "missing": _list(_STRING),
                "cursor": _TEXT_OR_NULL,
                "relaxed": {"type": "boolean"},
            },
        ),
        _message("error", {"error": {"$ref": "#/components/schemas/ErrorBody"}}),
    ],
}


def _search_body() -> Json:
    properties: dict[str, Json] = {}
    for parameter in PARAMETERS:
        schema: Json = {"type": parameter.kind}
        if parameter.allowed and parameter.name not in ("sort", "facets"):
            schema["enum"] = list(parameter.allowed)
        properties[parameter.name] = (
            {"anyOf": [schema, _list(schema)]} if parameter.many else schema
        )
    return {"type": "object", "properties": properties, "additionalProperties": False}


_NUMBER_OR_NULL: Json = {"type": ["number", "null"]}
LIVE = _object(
    {
        "source": _STRING,
        "mode": {"enum": ["live", "both"]},
        "state": {"enum": ["not_asked", "answering", "failing", "probed", "paused"]},
        "breaker": _object(
            {
                "state": {"enum": ["closed", "half_open", "open"]},
                "until": _TEXT_OR_NULL,
                "why": _TEXT_OR_NULL,
                "classes": {
                    "type": "object",
                    "description": "Classes that have a pause of their own.",
                    "additionalProperties": {"type": "object"},
                },
            }
        ),
        "window_s": {"type": "number", "description": "Seconds that the figures are of."},
        "requests": _COUNT,
        "error_rate": {"type": "number", "minimum": 0, "maximum": 1},
        "latency_ms": _object(
            {"p50": _NUMBER_OR_NULL, "p90": _NUMBER_OR_NULL, "p99": _NUMBER_OR_NULL}
        ),
        "limits": _object(
            {
                "origin": {"enum": ["learnt", "configured"]},
                "give_up_ms": {
                    "type": "number",
                    "description": "What one request may take where little is known.",
                },
                "kinds": {
                    "type": "object",
                    "description": "By kind of question, over all workers: how long answers took, "
                    "how long one is waited for (null: until the deadline), when it is given up.",
                    "additionalProperties": _object(
                        {
                            "answers": _COUNT,
                            "given_up": _COUNT,
                            "p50_ms": _NUMBER_OR_NULL,
                            "p99_ms": _NUMBER_OR_NULL,
                            "wait_ms": _NUMBER_OR_NULL,
                            "give_up_ms": _NUMBER_OR_NULL,
                        }
                    ),
                },
            }
        ),
        "last_contact": _TEXT_OR_NULL,
        "last_failure": _TEXT_OR_NULL,
        "last_reason": _TEXT_OR_NULL,
        "capabilities": _object(
            {
                "origin": {"enum": ["checked", "configured", "never checked"]},
                "checked_at": _TEXT_OR_NULL,
                "age_s": _NUMBER_OR_NULL,
                "aged": {"type": "boolean"},
                "classes": {"type": "object", "additionalProperties": {"type": "object"}},
            }
        ),
    }
)

SCHEMAS: Mapping[str, Json] = {
    "searchRequest": _search_body(),
    "Count": _object({"count": _COUNT}),
    "Error": _object({"error": {"$ref": "#/components/schemas/ErrorBody"}}),
    "ErrorBody": _object(
        {"statusCode": {"type": "integer"}, "name": _STRING, "message": _STRING},
        {
            "field": _STRING,
            "allowed": _list(_STRING),
            "nearest": _STRING,
            "code": _STRING,
            "facilities": _list(FACILITY_LINE),
        },
    ),
    "StreamMessage": STREAM_MESSAGE,
    "PanOntology": {"type": "object"},
    "SearchAnswer": _object(
        {
            "hits": _list(HIT),
            "total": TOTAL,
            "facets": {"type": "object", "additionalProperties": _COUNTS},
            "facets_relation": RELATION,
            "related": _COUNTS,
            "facilities": _list(FACILITY_LINE),
            "cursor": _TEXT_OR_NULL,
            "relaxed": {
                "type": "boolean",
                "description": "Nothing meets all words; these hits meet some.",
            },
            "recognised": RECOGNISED,
        },
        {
            "not_data": {
                "type": "object",
                "additionalProperties": _COUNT,
                "description": "Publications, posters, software: how many match and are left out.",
            },
            "unknown_access": {
                **_COUNT,
                "description": "With open or open_at: of how many nobody can say whether they are.",
            },
            "suggestion": {"type": "string", "description": "Other words, where nothing matches."},
        },
    ),
    "Suggestions": _object(
        {"suggestions": _list(_object({"kind": _STRING, "text": _STRING}))},
    ),
    "FacilityList": _list(
        _object(
            {
                "name": _STRING,
                "title": _STRING,
                "provider": _STRING,
                "state": _STRING,
                "silent_since": _TEXT_OR_NULL,
                "records": _COUNT,
                "live": {"anyOf": [LIVE, {"type": "null"}]},
                "sources": _list(
                    _object(
                        {
                            "name": _STRING,
                            "protocol": _STRING,
                            "url": _STRING,
                            "last_success_at": _TEXT_OR_NULL,
                            "held": {
                                "anyOf": [_COUNT, {"type": "null"}],
                                "description": "The run whose deletions wait for the operator.",
                            },
                        }
                    )
                ),
            }
        )
    ),
    "Record": _object({**HIT_FIELDS, "provenance": {"type": "object"}, "sources": _list({})}),
    "History": _object(
        {
            "key": _STRING,
            "type": _STRING,
            "deleted": {"type": "boolean"},
            "change": _COUNT,
            "records": _list(_object({"source": _STRING, "versions": _list({"type": "object"})})),
        }
    ),
    "SourceHistory": _object(
        {"source": _STRING, "identifier": _STRING, "versions": _list({"type": "object"})}
    ),
    "Status": _object(
        {
            "uptime_seconds": _COUNT,
            "uptime": _STRING,
            "api_version": _STRING,
            "data_providers": _list(_STRING),
            "default_limit": _COUNT,
        }
    ),
    "Health": _object({"status": _STRING}),
    "Object": {"type": "object"},
    "Page": {"type": "string"},
    "Text": {"type": "string"},
}
