"""The table of formats and the one door to all crosswalks."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

from mappings.context import Context, Header, Mapped
from mappings.dates import zone
from mappings.drafts import Draft, Notes, entities
from mappings.errors import MappingError, UnknownFormat
from mappings.formats import (
    datacite,
    dublin_core,
    json,
    openaire,
    panosc_json,
    panosc_xml,
    scicat_dataset,
    scicat_published,
    xml,
)
from mappings.formats.rules import Rules

XmlReader = Callable[[Any, Context, Header], Draft]
JsonCrosswalk = Callable[[Any, Context, Header, Notes], Mapped]

XML_FORMATS: Mapping[str, tuple[XmlReader, Rules]] = {
    "panosc": (panosc_xml.read, panosc_xml.RULES),
    "oai_dc": (dublin_core.read, dublin_core.RULES),
    "oai_datacite": (datacite.read, datacite.RULES),
    "datacite": (datacite.read, datacite.RULES),
    "openaire": (openaire.read, openaire.RULES),
}
JSON_FORMATS: Mapping[str, tuple[JsonCrosswalk, Rules]] = {
    "panosc-document": (panosc_json.crosswalk_document, panosc_json.DOCUMENT),
    "panosc-dataset": (panosc_json.crosswalk_dataset, panosc_json.DATASET),
    "panosc-instrument": (panosc_json.crosswalk_instrument, panosc_json.INSTRUMENT),
    "panosc-technique": (panosc_json.crosswalk_technique, panosc_json.TECHNIQUE),
    "scicat-publisheddata": (scicat_published.crosswalk, scicat_published.RULES),
    "scicat-dataset": (scicat_dataset.crosswalk, scicat_dataset.RULES),
}
FORMATS: tuple[str, ...] = (*XML_FORMATS, *JSON_FORMATS)


Step = Callable[[Any, Context, Header], Any]
"""Takes what the step before gave, of a record with this header; the first takes the payload."""


def crosswalk(format: str, payload: Any, context: Context, header: Header) -> Mapped:  # noqa: A002
    """Turn one raw record into entities of the schema.

    Args:
        format: one of ``FORMATS``.
        payload: the record's metadata: ``bytes`` of one XML element or one JSON value, or already
            an lxml element or a JSON object. It is not changed.
        context: of the source.
        header: the protocol's envelope.

    Returns:
        Entities, parents before children, with what was not used and what could not be read.

    Raises:
        MappingError: the record cannot be mapped (quarantine).
        UnknownFormat: nobody maps ``format``.
    """
    made = payload
    for step in steps(format, context):
        made = step(made, context, header)
    mapped: Mapped = made
    return mapped


def steps(format: str, context: Context) -> tuple[Step, ...]:  # noqa: A002
    """The steps of ``crosswalk``, one after the other, for whoever has many records: a step for all
    of some fifty, and then the next, takes four fifths of the time, as the code of one fits into a
    processor's caches.

    Raises:
        MappingError: no record of this context can be mapped.
        UnknownFormat: nobody maps ``format``.
    """
    try:
        zone(context.time_zone)
    except (KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # The process has too many files open, which says nothing of the record.
        raise MappingError("context.time_zone", context.time_zone, "an IANA time zone") from error
    if format not in _STEPS:
        raise UnknownFormat(f"no crosswalk for {format!r}; known: {', '.join(FORMATS)}")
    return _STEPS[format]


def _element(payload: Any, context: Context, header: Header) -> xml.Element:
    if isinstance(payload, (bytes, bytearray)):
        return xml.parse(bytes(payload))
    if not isinstance(payload, xml.ElementBase) and not hasattr(payload, "tag"):
        raise MappingError("payload", type(payload).__name__, "bytes or an XML element")
    return payload


def _entities(draft: Draft, context: Context, header: Header) -> Mapped:
    return entities(draft)


def _json_step(read: JsonCrosswalk) -> Step:
    def step(payload: Any, context: Context, header: Header) -> Mapped:
        notes = Notes()
        if isinstance(payload, (bytes, bytearray)):
            payload = json.parse(bytes(payload), notes)
        return read(payload, context, header, notes)

    return step


_STEPS: Mapping[str, tuple[Step, ...]] = {
    **{name: (_element, read, _entities) for name, (read, _) in XML_FORMATS.items()},
    **{name: (_json_step(read),) for name, (read, _) in JSON_FORMATS.items()},
}
