"""The table of formats and the one door to all crosswalks."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

from mappings.context import Context, Header, Mapped
from mappings.dates import zone
from mappings.drafts import Notes
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

XmlCrosswalk = Callable[[Any, Context, Header], Mapped]
JsonCrosswalk = Callable[[Any, Context, Header, Notes], Mapped]

XML_FORMATS: Mapping[str, tuple[XmlCrosswalk, Rules]] = {
    "panosc": (panosc_xml.crosswalk, panosc_xml.RULES),
    "oai_dc": (dublin_core.crosswalk, dublin_core.RULES),
    "oai_datacite": (datacite.crosswalk, datacite.RULES),
    "datacite": (datacite.crosswalk, datacite.RULES),
    "openaire": (openaire.crosswalk, openaire.RULES),
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
    try:
        zone(context.time_zone)
    except (KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # The process has too many files open, which says nothing of the record.
        raise MappingError("context.time_zone", context.time_zone, "an IANA time zone") from error
    if format in XML_FORMATS:
        read, _ = XML_FORMATS[format]
        if isinstance(payload, (bytes, bytearray)):
            payload = xml.parse(bytes(payload))
        elif not isinstance(payload, xml.ElementBase) and not hasattr(payload, "tag"):
            raise MappingError("payload", type(payload).__name__, "bytes or an XML element")
        return read(payload, context, header)
    if format in JSON_FORMATS:
        read_json, _ = JSON_FORMATS[format]
        notes = Notes()
        if isinstance(payload, (bytes, bytearray)):
            payload = json.parse(bytes(payload), notes)
        return read_json(payload, context, header, notes)
    raise UnknownFormat(f"no crosswalk for {format!r}; known: {', '.join(FORMATS)}")
