"""PaNOSC REST JSON: Document, Dataset, Instrument and Technique of every dialect.

One object as a Search API answers it, with the relations it was asked to include. Known dialects:
the reference provider, SciCat (ESS, MAX IV, PSI, HZDR), ILL, ICAT's DataGateway, European XFEL,
ESRF. What differs is listed in ``docs/crosswalks.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from mappings.context import Context, Entity, Header, Mapped
from mappings.dates import Moment
from mappings.drafts import Notes, interval_fields, policies
from mappings.errors import MappingError
from mappings.formats.json import (
    OBJECTS,
    Again,
    mapping_of,
    objects_in,
    text_in,
)
from mappings.formats.panosc_fields import (
    NOISE,
    Reading,
    base,
    date_field,
    keep_unknown,
    pid_of,
    read_fields,
    read_is_public,
    read_keywords,
    read_license,
    read_parameters,
    settle_parameters,
    text_field,
)
from mappings.formats.panosc_members import read_members
from mappings.formats.rules import Rules
from mappings.identifiers import entity_key, identify, web_link
from mappings.kinds import format_of_name, kind_of
from mappings.rights import decide, evidence
from mappings.tags import technique_tags, without_repeats
from mappings.text import clip, is_no_sample, is_only_url, known
from mappings.values import size_in_bytes

DOCUMENT = Rules(
    "panosc-document",
    "PaNOSC REST: Document",
    (
        (
            '`null`, `""` and blanks are absent; included Datasets and Instruments become entities '
            "of their own; objects with nothing but a score are passed over."
        ),
        (
            "`isPublic` is kept as sent; it is evidence only where the source does not send the "
            "same for every record."
        ),
    ),
)
DATASET = Rules("panosc-dataset", "PaNOSC REST: Dataset", ("Relations as for Document.",))
INSTRUMENT = Rules("panosc-instrument", "PaNOSC REST: Instrument")
TECHNIQUE = Rules(
    "panosc-technique",
    "PaNOSC REST: Technique",
    ("Techniques are no entities: the terms of PaNET stand for them. Read to be checked only.",),
)


def crosswalk_document(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Map one Document with the relations included in it.

    Raises:
        MappingError: no object, or one without pid, id and doi.
    """
    reading = Reading(context, header, notes)
    _read_document(mapping_of(payload, "$"), reading)
    return reading.mapped()


def crosswalk_dataset(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Map one Dataset with the relations included in it; raises as ``crosswalk_document``."""
    reading = Reading(context, header, notes)
    _read_dataset(mapping_of(payload, "$"), reading, None)
    return reading.mapped()


def crosswalk_instrument(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Map one Instrument; raises as ``crosswalk_document``."""
    reading = Reading(context, header, notes)
    record = mapping_of(payload, "$")
    if _read_instrument(record, reading) is None:
        raise MappingError("$.name", record.get("name"), "an instrument's name or pid")
    keep_unknown(record, INSTRUMENT, notes)
    for dataset in objects_in(record, "datasets"):
        if pid_of(dataset) is not None:
            _read_dataset(dataset, reading, None, path="$.datasets[]")
    return reading.mapped()


def crosswalk_technique(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Check one Technique. It makes no entity: PaNET itself is the list of techniques.

    Raises:
        MappingError: neither a pid nor a name.
    """
    record = mapping_of(payload, "$")
    identifier, name = text_in(record, "panetId", "pid"), text_in(record, "name", "prefLabel")
    tags = technique_tags(name, identifier, context.probes)
    if not tags:
        raise MappingError("$.pid", clip(record.get("pid")), "a technique's pid or name")
    for tag in tags:
        if "panet" not in tag:
            notes.dropped("$.name", name or identifier, "no PaNET term found for this technique")
    keep_unknown(record, TECHNIQUE, notes)
    return Mapped((), tuple(notes.unmapped), tuple(notes.problems))


# --- Document --------------------------------------------------------------------------------


def _read_document(record: Mapping[str, Any], reading: Reading, path: str = "$") -> Entity:
    entity = base(record, "Document", reading, path)
    read_fields(record, DOCUMENT, entity, reading, path)
    context = reading.context
    if context.document_type is not None:
        entity["type"] = context.document_type
    kind = kind_of(entity.get("type"))
    # PaNOSC calls a published data set a "publication" (SciCat: every Document).
    entity["kind"] = "data" if kind in ("publication", "other") else kind
    _settle_dates(entity)
    entity["access"] = decide(entity.get("access", []) + policies(context))
    settle_parameters(entity, reading)
    reading.add(entity)
    keys = []
    embargoes = _embargoes(entity)
    below = f"{path}.datasets[]"
    for dataset in objects_in(record, "datasets"):
        pid = pid_of(dataset)
        if pid is None:
            reading.notes.dropped(below, dataset.get("title"), "no pid")
            continue
        child = _read_dataset(dataset, reading, entity["key"], below, embargoes, pid)
        keys.append(child["key"])
    if keys:
        _tie(reading.entities[entity["key"]], keys)
    return entity


def _embargoes(document: Entity) -> list[dict[str, str]]:
    """The evidence of a Document that holds for the Datasets in it, too."""
    return [piece for piece in document["access"]["evidence"] if piece["says"] == "embargo_until"]


def _tie(document: Entity, datasets: list[str]) -> None:
    document["datasets"] = list(dict.fromkeys([*document.get("datasets", ()), *datasets]))


def _settle_dates(entity: Entity) -> None:
    """Dates as text, the experiment's interval, and the release as evidence (semantics 2)."""
    start, end = _settled(entity, "startDate"), _settled(entity, "endDate")
    release = _settled(entity, "releaseDate")
    if start is not None or end is not None:
        entity.update(interval_fields(start and start[0], end and end[0]))
    if release is not None:
        found, text = release
        # A release before the experiment (ESRF) is no embargo; it says nothing.
        if start is None or found.last_second >= start[0].first_second:
            pieces = entity.setdefault("access", [])
            pieces.append(evidence("embargo_until", "$.releaseDate", text, found.opens))


def _settled(entity: Entity, name: str) -> tuple[Moment, str] | None:
    """A date as it was read, its text now in the entity."""
    read: tuple[Moment, str] | None = entity.pop(name, None)
    if read is not None:
        entity[name] = read[0].text
    return read


DOCUMENT.settles("pid id", "Document.pid, key", "pid, else id, else doi; `pid:7` is local 7")
DOCUMENT.settles("doi", "Document.doi, key", "a blank one is the pid when that is a DOI")
DOCUMENT.ignores(NOISE, "numbers of the provider's own database, its score and name")
DOCUMENT.settles("datasets", "Document.datasets; Datasets", "tied both ways")
for _rules in (DOCUMENT, DATASET):
    _rules.reads("title", ("title", "title"))(text_field("title"))
    _rules.reads("isPublic", ("isPublic", "isPublic, access.evidence", "as sent"))(read_is_public)
    _rules.reads("keywords", ("keywords", "keywords", "a list or a comma string"))(read_keywords)
    _rules.reads("license", ("license", "license", "SPDX identifier"))(read_license)
    _rules.reads(
        "parameters",
        (
            "parameters[].id, name, value, unit",
            "parameters",
            "with a quantity in SI where it is one",
        ),
    )(read_parameters)
DOCUMENT.reads("type", ("type", "type", "as sent; the facility's configured one first"))(
    text_field("type")
)
for _name in ("startDate", "endDate"):
    DOCUMENT.reads(_name, (_name, f"{_name}, years"))(date_field(_name))
DOCUMENT.reads("releaseDate", ("releaseDate", "releaseDate, access.embargoUntil"))(
    date_field("releaseDate")
)


@DOCUMENT.reads("summary", ("summary", "summary", "a lone URL becomes a link"))
def _summary(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    text = known(value)
    if text is None:
        return
    if not is_only_url(text):
        entity["summary"] = text
    elif (url := web_link(text)) is not None:
        entity.setdefault("links", []).append({"rel": "description", "url": url})


DOCUMENT.reads(
    "members",
    ("members[].role, id", "members[].role, id", "one spelling for principal investigator"),
    ("members[].person", "members[].person", "ORCID by checksum; fullName from parts if missing"),
    ("members[].affiliation", "members[].affiliation", "name, address, city, country, ror"),
)(read_members)


# --- Dataset ---------------------------------------------------------------------------------


def _read_dataset(
    record: Mapping[str, Any],
    reading: Reading,
    parent: str | None,
    path: str = "$",
    embargoes: Sequence[dict[str, str]] = (),
    pid: str | None = None,
) -> Entity:
    entity = base(record, "Dataset", reading, path, pid)
    read_fields(record, DATASET, entity, reading, path)
    entity["kind"] = "data"
    _settled(entity, "creationDate")
    settle_parameters(entity, reading)
    if "files" in entity:
        formats = [name for file in entity["files"] for name in format_of_name(file["name"])]
        if formats:
            entity["formats"] = list(dict.fromkeys(formats))
    keys = [] if parent is None else [parent]
    for document in objects_in(record, "documents", "document"):
        if pid_of(document) is None:
            reading.notes.dropped(f"{path}.documents[]", document.get("title"), "no pid")
        else:
            keys.append(_document_of(document, entity["key"], reading, path))
    if keys:
        entity["documents"] = list(dict.fromkeys(keys))
    for key in keys:
        if key != parent and key in reading.entities:
            embargoes = [*embargoes, *_embargoes(reading.entities[key])]
    entity["access"] = decide([*entity.get("access", ()), *embargoes, *policies(reading.context)])
    reading.add(entity)
    return entity


def _document_of(record: Mapping[str, Any], dataset: str, reading: Reading, path: str) -> str:
    """The key of a Document included in a Dataset; it becomes an entity when it says something."""
    shown = {name: value for name, value in record.items() if name != "datasets"}
    key = str(base(shown, "Document", reading, path)["key"])
    if any(shown.get(name) for name in ("title", "type", "summary")):
        _read_document(shown, reading, f"{path}.documents[]")
        _tie(reading.entities[key], [dataset])
    return key


DATASET.settles("pid id doi", "Dataset.pid, doi, key", "the key is made of pid, else id")
DATASET.ignores(NOISE, "numbers of the provider's own database, its score and name")
DATASET.settles("documents document", "Dataset.documents; Documents")
DATASET.reads("creationDate", ("creationDate", "creationDate"))(date_field("creationDate"))


@DATASET.reads("size", ("size", "size", "bytes; 0 is unknown"))
def _size(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    size = size_in_bytes(value)
    if size is not None:
        entity["size"] = size
    elif value != 0:
        reading.notes.dropped(path, value, "no size in bytes")


@DATASET.reads(
    "techniques technique",
    (
        "techniques[].panetId, pid, name",
        "techniques",
        "panetId, else a PaNET IRI in pid, else name",
    ),
)
def _techniques(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    tags: list[dict[str, Any]] = []
    probes = reading.context.probes
    read = partial(_technique, probes=probes)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, OBJECTS):
            tags += _techniques_met(probes).read(item, read, reading.notes)
        elif isinstance(item, str):
            tags += technique_tags(item, None, probes)
    for tag in tags:
        if tag.get("rule") == "label against id":
            reading.notes.dropped(path, f"{tag['name']} ≠ {tag['evidence']}", "label against id")
    if tags:
        entity["techniques"] = without_repeats(tags)


@lru_cache(maxsize=64)
def _techniques_met(probes: tuple[str, ...]) -> Again:
    """Techniques by how they were sent, where beams are of these probes."""
    return Again()


def _technique(item: Mapping[str, Any], probes: tuple[str, ...]) -> list[dict[str, Any]]:
    """A technique linked by its panetId, else its pid; the pid stays as it was sent."""
    pid = text_in(item, "pid", "id")
    tags = technique_tags(text_in(item, "name"), text_in(item, "panetId") or pid, probes)
    if pid is not None:
        for tag in tags:
            tag["pid"] = pid
    return tags


@DATASET.reads(
    "samples sample", ("samples[].pid, name, description", "samples", "“No Sample” is dropped")
)
def _samples(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    samples = []
    for item in objects_in({"samples": value}, "samples"):
        name = text_in(item, "name", "pid")
        if name is None or is_no_sample(name):
            continue
        made = {"name": name}
        for key in ("pid", "description"):
            if (text := text_in(item, key)) is not None:
                made[key] = text
        samples.append(made)
    if samples:
        entity["samples"] = samples


@DATASET.reads(
    "files", ("files[].id, name, path, size", "files; formats", "formats from the endings of names")
)
def _files(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    files = []
    for item in objects_in({"files": value}, "files"):
        where = text_in(item, "path")
        name = text_in(item, "name") or (where.rstrip("/").rsplit("/", 1)[-1] if where else None)
        if not name:
            reading.notes.dropped(path, item.get("id"), "a file without a name")
            continue
        made: dict[str, Any] = {"name": name}
        if (identifier := text_in(item, "id")) is not None:
            made["id"] = identifier
        if where is not None:
            made["path"] = where
        if (size := size_in_bytes(item.get("size"))) is not None:
            made["size"] = size
        files.append(made)
    if files:
        entity["files"] = files


@DATASET.reads(
    "instrument instruments", ("instrument.pid, name, facility", "instrument; Instrument")
)
def _dataset_instrument(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    record = next(objects_in({"instrument": value}, "instrument"), None)
    if record is None:
        if (name := known(value)) is not None:
            entity["instrument"] = {"name": name, "facility": reading.context.facility}
        return
    instrument = _read_instrument(record, reading)
    if instrument is None:
        reading.notes.dropped(path, record.get("pid"), "an instrument without name")
        return
    entity["instrument"] = {
        "pid": instrument["pid"],
        "name": instrument["name"],
        "facility": reading.context.facility,
        "key": instrument["key"],
    }
    entity["instrumentKey"] = instrument["key"]


# --- Instrument and Technique ----------------------------------------------------------------


def _read_instrument(record: Mapping[str, Any], reading: Reading) -> Entity | None:
    pid, name = text_in(record, "pid", "id"), text_in(record, "name")
    if pid is None and name is None:
        return None
    identifier = pid or name
    assert identifier is not None
    entity: Entity = {
        "class": "Instrument",
        "key": entity_key("Instrument", identifier, reading.context.facility),
        "pid": identify(identifier).display,
        "name": name or identifier,
        "facility": text_in(record, "facility") or reading.context.facility,
    }
    reading.add(entity)
    return entity


INSTRUMENT.settles("pid id", "Instrument.pid, key", "the name where there is neither")
INSTRUMENT.settles("name", "Instrument.name")
INSTRUMENT.settles("facility", "Instrument.facility", "else the configured one")
INSTRUMENT.settles("datasets", "Datasets")
INSTRUMENT.ignores(NOISE, "numbers of the provider's own database, its score and name")
TECHNIQUE.ignores("pid id panetId name prefLabel", "compared with PaNET")
TECHNIQUE.ignores(
    "synonym synonyms relatives children parents datasets", "the graph of PaNET stands for these"
)
TECHNIQUE.ignores(NOISE, "numbers of the provider's own database, its score and name")
