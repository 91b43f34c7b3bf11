"""Strict mappings and settings of our indices, and documents in that form.

Nothing is dynamic: no parameter name becomes a field (fault F06), no first value decides a type
(fault F07). Terms arrive already made, so the only analyzer is ``whitespace``.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from catalogue.analysis import SENTINEL
from catalogue.documents import EngineDocument
from catalogue.engine_fields import COUNTED_FIELDS, RAW_FIELDS, TEXT_FIELDS, number_fields
from catalogue.engines.base import Rendered
from catalogue.scoring import K1, B

RESULT_WINDOW = 50_000
"""``skip + limit`` of scored results goes to 10,000; equal scores at the end need a little more."""

MAX_ID_BYTES = 500
"""Elasticsearch refuses identifiers over 512 bytes."""

_LISTED = ("words", "suggestions")
"""Raw fields whose terms are listed by prefix, which needs their values in columns."""


_KEPT = ("key", "ordinal", "change", "deleted", "record", "changed_at")
"""What comes back with a document: it is rebuilt from the store, never from its source."""


def mapping(class_name: str) -> dict[str, Any]:
    """The mapping of a class."""
    raw = {"type": "keyword", "doc_values": False, "norms": False}
    counted = {"type": "keyword", "norms": False}
    properties: dict[str, Any] = {
        "key": {"type": "keyword"},
        "ordinal": {"type": "long"},
        "change": {"type": "long"},
        "deleted": {"type": "boolean"},
        "links": {"type": "long"},
        "record": {"type": "object", "enabled": False},
        "changed_at": {"type": "keyword", "index": False, "doc_values": False},
        "wholes": _text("freq"),
    }
    properties |= {name: counted if name in _LISTED else raw for name in RAW_FIELDS}
    properties |= dict.fromkeys(COUNTED_FIELDS, counted)
    properties |= {name: _text(option) for name, option in TEXT_FIELDS.items()}
    properties |= {name: {"type": "long"} for name in number_fields(class_name)}
    return {
        "dynamic": "strict",
        "_source": {"includes": list(_KEPT)},
        "properties": properties,
    }


_OPTIONS = {"position": "positions", "freq": "freqs"}


def _text(option: str) -> dict[str, Any]:
    return {"type": "text", "analyzer": "whitespace", "index_options": _OPTIONS[option]}


def settings(shards: int, replicas: int) -> dict[str, Any]:
    return {
        "number_of_shards": shards,
        "number_of_replicas": replicas,
        "max_result_window": RESULT_WINDOW,
        # Visible when a batch ends, by an explicit refresh, not document by document (fault F11).
        "refresh_interval": "-1",
        "similarity": {"default": {"type": "BM25", "k1": K1, "b": B}},
    }


def document_id(key: str) -> str:
    """The identifier of an entity's document."""
    encoded = key.encode(errors="replace")
    if len(encoded) <= MAX_ID_BYTES:
        return key
    return "#" + blake2b(encoded, digest_size=16).hexdigest()


def rendered(document: EngineDocument) -> Rendered:
    """The document as it is sent; of a deleted entity a tombstone."""
    return Rendered(
        document.key,
        document.entity_class,
        document.ordinal,
        document.change,
        document.deleted,
        orjson.dumps(to_source(document)),
    )


def to_source(document: EngineDocument) -> Mapping[str, Any]:
    """The body to be indexed; of a deleted entity a tombstone, so that a delayed older item cannot
    bring it back (semantics 1.4, fault F12)."""
    body: dict[str, Any] = {
        "key": document.key,
        "ordinal": document.ordinal,
        "change": document.change,
        "deleted": document.deleted,
        "changed_at": document.changed_at.isoformat() if document.changed_at else None,
    }
    if document.deleted:
        return body
    for name in (*RAW_FIELDS, "panet"):
        body[name] = sorted(getattr(document, name))
    body |= {f"f_{name}": list(values) for name, values in document.facets.items()}
    body |= document.numbers
    body["links"] = list(document.links)
    body["text"] = [SENTINEL, *document.text]
    body["title"] = [SENTINEL, *document.title]
    body["title_words"] = document.title_words
    body["wholes"] = [SENTINEL, *sorted(document.wholes)]
    body["record"] = document.record
    return body
