"""The schema of a Tantivy index, and documents in the form that the library reads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
import tantivy

from catalogue import technique_scoring
from catalogue.analysis import SENTINEL
from catalogue.documents import EngineDocument
from catalogue.engine_fields import (
    COUNTED_FIELDS,
    FACET_FIELDS,
    RAW_FIELDS,
    TEXT_FIELDS,
    number_fields,
)
from catalogue.engines.base import Rendered
from catalogue.records import Foreseen

ORDINAL = "ordinal"
CHANGE = "change"
LINKS = "links"


SPACED = "spaced"
"""The field of those terms that have white space in them."""

TECHNIQUES = "panet"
TECHNIQUE_SET = "technique_set"
"""The column of a record's techniques as one value, beside ``TECHNIQUES`` with the ten or twenty
that a technique and all above it are: to count a record takes 2 ns by the one and 200 by the other,
where sets are few."""

_IN_ONE_STRING = ("terms", "params", "all_params", "tags", "words")
"""Fields whose terms come as one string: a value for each would cost as much as indexing it."""


def build_schema(class_name: str) -> tantivy.Schema:
    """The schema of a class; its parts are in the fingerprint."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("key", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(ORDINAL, indexed=True, fast=True)
    builder.add_unsigned_field(CHANGE, fast=True)
    builder.add_unsigned_field(LINKS, indexed=True, fast=True)
    for name in RAW_FIELDS:
        tokenizer = "whitespace" if name in _IN_ONE_STRING else "raw"
        builder.add_text_field(name, tokenizer_name=tokenizer, index_option="basic")
    builder.add_text_field(SPACED, tokenizer_name="raw", index_option="basic")
    for name in (*COUNTED_FIELDS, TECHNIQUE_SET):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name, option in (*TEXT_FIELDS.items(), ("wholes", "basic")):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option=option)
    for name in number_fields(class_name):
        # In columns only: ranges are looked for there, and a dictionary of dates is not small.
        builder.add_integer_field(name, fast=True)
    return builder.build()


def rendered(document: EngineDocument) -> Rendered:
    """The document as the library reads it: one object of JSON costs it half of what a document
    made value by value does, and can be made in another process."""
    fields = {} if document.deleted else _fields(document)
    if fields:
        fields |= {ORDINAL: document.ordinal, CHANGE: document.change}
        if document.links:
            fields[LINKS] = document.links
    return Rendered(
        document.key,
        document.entity_class,
        document.ordinal,
        document.change,
        document.deleted,
        orjson.dumps(fields) if fields else b"",
    )


def unnumbered(document: EngineDocument) -> bytes:
    """As ``rendered``, for a document that has no numbers yet."""
    return orjson.dumps(_fields(document))


def numbered(foreseen: Foreseen) -> Rendered:
    """What ``rendered`` would have given, had the numbers been known."""
    key, entity_class, ordinal, change, links, rest = foreseen
    linked = b'"%b":%b,' % (LINKS.encode(), orjson.dumps(links)) if links else b""
    body = b'{"%b":%d,"%b":%d,%b%b' % (
        *(ORDINAL.encode(), ordinal, CHANGE.encode(), change),
        *(linked, rest.removeprefix(b"{")),
    )
    return Rendered(key, entity_class, ordinal, change, False, body)


def _fields(document: EngineDocument) -> dict[str, Any]:
    """All but the numbers that the store gives."""
    lines, spaced = document.exact
    fields: dict[str, Any] = {
        "key": document.key,
        "tags": " ".join(document.tags),
        "text": [SENTINEL, *document.text],
        "title": [SENTINEL, *document.title],
        "title_words": document.title_words,
        "words": " ".join(document.words),
        "wholes": " ".join((SENTINEL, *document.wholes)),
        "terms": " ".join(lines),
        **document.numbers,
    }
    if spaced:
        fields[SPACED] = list(spaced)
    if document.tags:
        fields[TECHNIQUES] = _listed(document.panet)
        fields[TECHNIQUE_SET] = technique_scoring.set_name(document.tags)
    if document.params:
        fields["params"] = " ".join(document.params)
    if document.all_params:
        fields["all_params"] = " ".join(document.all_params)
    if document.suggestions:
        fields["suggestions"] = list(document.suggestions)
    for name, values in document.facets.items():
        if values:
            fields[_FACETS[name]] = values
    return fields


_FACETS = {name: f"f_{name}" for name in FACET_FIELDS}
_listed = lru_cache(maxsize=4_096)(tuple[str, ...])
"""The library reads lists. Sets of techniques come again and again."""
