"""SciCat's own JSON: PublishedData (v3 and v4) and Dataset, as the catalogue's back end sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.context import Context, Entity, Header, Mapped
from mappings.drafts import Draft, Notes, entities, interval_fields, policies, year_evidence
from mappings.errors import MappingError
from mappings.formats.json import (
    date_text,
    keep_unused,
    mapping_of,
    moment_in,
    objects_in,
    text_in,
    truth,
)
from mappings.formats.rules import Rules
from mappings.identifiers import doi, doi_inside, entity_key, handle, identify, web_link
from mappings.kinds import data_level, format_of_name, kind_of
from mappings.people import is_institute, member, person_name
from mappings.rights import decide, evidence, licence
from mappings.tags import keyword_tags, technique_tags, without_repeats
from mappings.text import clip, is_no_sample, is_only_url, known, split_keywords
from mappings.values import RawParameter, measured, scalar, size_in_bytes

PUBLISHED_DATA = Rules(
    "scicat-publisheddata",
    "SciCat PublishedData",
    (
        "Version 3 has the fields at the top, version 4 most of them under `metadata`; both are read.",
    ),
)
DATASET = Rules(
    "scicat-dataset",
    "SciCat Dataset",
    ("A Dataset without its Document: people named in it are kept as unused evidence.",),
)

# --- PublishedData ---------------------------------------------------------------------------


def crosswalk_published_data(
    payload: Any, context: Context, header: Header, notes: Notes
) -> Mapped:
    """Map one PublishedData to a Document.

    Raises:
        MappingError: no object, or no identifier anywhere.
    """
    record = mapping_of(payload, "$")
    draft = Draft(context, header, notes)
    _read_published(record, "$", draft)
    metadata = record.get("metadata")
    if isinstance(metadata, Mapping):
        _read_published(metadata, "$.metadata", draft)
    draft.type = context.document_type or draft.type or "publication"
    if draft.year is not None:
        draft.evidence.append(year_evidence("$.publicationYear", draft.year, None))
    return entities(draft)


def _read_published(record: Mapping[str, Any], path: str, draft: Draft) -> None:
    for name, value in record.items():
        if value is None or value == "" or value == []:
            continue
        reader = PUBLISHED_DATA.readers.get(name)
        if reader is None:
            keep_unused(value, f"{path}.{clip(name, 80)}", draft.notes)
        else:
            reader(value, draft, f"{path}.{name}")


@PUBLISHED_DATA.reads("doi", ("doi, else _id, id", "Document.pid, doi"))
def _doi(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is not None and (spare := draft.identifier(text)) is not None:
        draft.alternate.append(spare)


@PUBLISHED_DATA.reads("_id id")
def _other_id(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is not None and doi(text) is not None and draft.doi is None:
        draft.identifier(text)


@PUBLISHED_DATA.reads("title", ("title", "Document.title"))
def _title(value: Any, draft: Draft, path: str) -> None:
    draft.title = draft.title or known(value)


@PUBLISHED_DATA.reads("abstract", ("abstract", "Document.summary"))
def _abstract(value: Any, draft: Draft, path: str) -> None:
    draft.summary = known(value) or draft.summary


@PUBLISHED_DATA.reads(
    "dataDescription",
    ("dataDescription", "Document.links; summary if it is text and there is no abstract"),
)
def _description(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        return
    if not is_only_url(text):
        draft.summary = draft.summary or text
    elif (url := web_link(text)) is not None:
        draft.links.append({"rel": "description", "url": url})


@PUBLISHED_DATA.reads(
    "creator creators",
    ("creator[], metadata.creators[]", "Document.members (role creator)", "“al.” is nobody"),
)
def _creators(value: Any, draft: Draft, path: str) -> None:
    _people(value, "creator", draft, path)


@PUBLISHED_DATA.reads(
    "authors contributors",
    ("authors[], metadata.contributors[]", "Document.members", "the same person only once"),
)
def _authors(value: Any, draft: Draft, path: str) -> None:
    _people(value, "author" if path.endswith("authors") else "contributor", draft, path)


def _people(value: Any, role: str, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        record: Mapping[str, Any] = item if isinstance(item, Mapping) else {"name": item}
        text = text_in(record, "name", "creatorName", "fullName")
        kind = text_in(record, "contributorType") or role
        name = person_name(text) if text is not None else None
        if text is None or name is None:
            draft.notes.dropped(path, text or item, "no name of a person")
        elif is_institute(text) or record.get("nameType") == "Organizational":
            draft.members.append({"role": kind, "affiliation": {"name": text}})
        else:
            code = next(
                (
                    text_in(found, "nameIdentifier")
                    for found in objects_in(record, "nameIdentifiers")
                ),
                None,
            )
            made = member(name, role_name=kind, orcid_text=code, affiliation=_affiliation(record))
            draft.members.append(made)


def _affiliation(record: Mapping[str, Any]) -> dict[str, Any] | None:
    for item in objects_in(record, "affiliation", "affiliations"):
        if (text := text_in(item, "name")) is not None:
            return {"name": text}
    value = record.get("affiliation")
    first = value[0] if isinstance(value, list) and value else value
    text = known(first)
    return {"name": text} if text is not None else None


@PUBLISHED_DATA.reads(
    "affiliation", ("affiliation", "member.affiliation.name", "of all creators together: unused")
)
def _common_affiliation(value: Any, draft: Draft, path: str) -> None:
    keep_unused(value, path, draft.notes)


@PUBLISHED_DATA.reads(
    "registeredTime", ("registeredTime", "Document.releaseDate, access.openSince")
)
def _registered(value: Any, draft: Draft, path: str) -> None:
    text = date_text(value)
    if text is not None and (found := draft.certain(path, text)) is not None:
        draft.release = found
        draft.evidence.append(evidence("opened", path, text, found.opens))


@PUBLISHED_DATA.reads(
    "publicationYear",
    ("publicationYear", "Document.releaseDate", "precision year, without registeredTime"),
)
def _year(value: Any, draft: Draft, path: str) -> None:
    text = text_in({"year": value}, "year")
    if text is not None:
        draft.year = draft.certain(path, text)


@PUBLISHED_DATA.reads(
    "pidArray datasetPids",
    ("pidArray[], datasetPids[]", "Document.datasets", "doubled prefixes are taken off"),
)
def _datasets(value: Any, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        if text is None:
            draft.notes.dropped(path, item, "no pid of a Dataset")
            continue
        key = entity_key("Dataset", undoubled(text), draft.context.facility)
        if key not in draft.datasets:
            draft.datasets.append(key)


def undoubled(pid: str) -> str:
    """``20.500.12269/A/B1`` from ``20.500.12269/20.500.12269/A/B1``, as SciCat once wrote pids."""
    prefix, slash, rest = pid.partition("/")
    while slash and prefix and rest.startswith(f"{prefix}/") and rest != f"{prefix}/":
        pid, rest = rest, rest[len(prefix) + 1 :]
    return pid


@PUBLISHED_DATA.reads("sizeOfArchive", ("sizeOfArchive", "Dataset.size (derived Dataset)"))
def _size(value: Any, draft: Draft, path: str) -> None:
    draft.size = size_in_bytes(value)


@PUBLISHED_DATA.reads(
    "relatedPublications",
    ("relatedPublications[]", "Document.related", "the DOI inside a citation, else unused"),
)
def _publications(value: Any, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        found = doi_inside(text) if text is not None else None
        if found is not None:
            draft.related.append(
                {"relation": "relatedPublication", "identifier": found, "type": "DOI"}
            )
        else:
            keep_unused(item, f"{path}[]", draft.notes)


@PUBLISHED_DATA.reads(
    "relatedIdentifiers", ("metadata.relatedIdentifiers[]", "Document.related", "as in DataCite")
)
def _related(value: Any, draft: Draft, path: str) -> None:
    for item in objects_in({"related": value}, "related"):
        text = text_in(item, "relatedIdentifier")
        if text is None:
            keep_unused(item, f"{path}[]", draft.notes)
            continue
        made = {
            "relation": text_in(item, "relationType") or "References",
            "identifier": identify(text).display,
        }
        if (kind := text_in(item, "relatedIdentifierType")) is not None:
            made["type"] = kind
        draft.related.append(made)


_STATUS = {
    "registered": "open", "amended": "open", "public": "open",
    "pending_registration": "restricted", "private": "restricted",
}  # fmt: skip


@PUBLISHED_DATA.reads(
    "status",
    ("status", "Document.isPublic, access.evidence", "registered, amended, public are public"),
)
def _status(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    says = _STATUS.get(text.lower()) if text is not None else None
    if text is None or says is None:
        keep_unused(value, path, draft.notes)
        return
    draft.is_public = says == "open"
    draft.evidence.append(evidence(says, path, text))


@PUBLISHED_DATA.reads(
    "url downloadLink landingPage", ("url, downloadLink, landingPage", "Document.links")
)
def _link(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    url = web_link(text) if text is not None else None
    if url is None:
        keep_unused(value, path, draft.notes)
        return
    rel = "download" if path.endswith("downloadLink") else "landing"
    draft.links.append({"rel": rel, "url": url})


@PUBLISHED_DATA.reads("license rights", ("license, metadata.license", "Document.license"))
def _published_license(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        keep_unused(value, path, draft.notes)
        return
    draft.license = licence(text)
    draft.evidence.append(evidence("licence", path, text))


@PUBLISHED_DATA.reads(
    "resourceType", ("resourceType", "Dataset.dataLevel (raw, derived), Document.kind")
)
def _resource_type(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        keep_unused(value, path, draft.notes)
        return
    draft.data_level = data_level(text)
    kind = kind_of(text)
    draft.kind = "data" if kind == "other" else kind


@PUBLISHED_DATA.reads("keywords subjects", ("keywords", "Document.keywords; Dataset.techniques"))
def _published_keywords(value: Any, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = text_in(item, "subject") if isinstance(item, Mapping) else known(item)
        for word in split_keywords(text) if text is not None else []:
            draft.keywords.append(word)
            draft.techniques += keyword_tags(word, draft.context.probes)


PUBLISHED_DATA.ignores("publisher", "the facility is known from its configuration")
PUBLISHED_DATA.ignores("metadata", "version 4: its members are read like those at the top")
PUBLISHED_DATA.ignores(
    "__v createdAt updatedAt createdBy updatedBy numberOfFiles thumbnail scicatUser language "
    "resourceTypeGeneral",
    "of SciCat's own bookkeeping",
)

# --- Dataset ---------------------------------------------------------------------------------


def crosswalk_dataset(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Map one SciCat Dataset.

    Raises:
        MappingError: no object, or no identifier anywhere.
    """
    record = mapping_of(payload, "$")
    pid = text_in(record, "pid", "_id", "id") or known(header.identifier.rpartition(":")[2])
    if pid is None:
        raise MappingError("$.pid", clip(record.get("pid")), "a pid")
    pid = undoubled(pid)
    entity: Entity = {
        "class": "Dataset",
        "key": entity_key("Dataset", pid, context.facility),
        "pid": identify(pid).display,
        "facility": context.facility,
        "kind": "data",
    }
    if (found := doi(pid)) is not None:
        entity["doi"] = found
    reading = _DatasetReading(record, context, notes, entity)
    for name, value in record.items():
        if value is None or value == "" or value == []:
            continue
        reader = DATASET.readers.get(name)
        if reader is None:
            keep_unused(value, f"$.{clip(name, 80)}", notes)
        else:
            reader(value, reading)
    return reading.mapped()


class _DatasetReading:
    """A SciCat Dataset being read into ``entity``."""

    def __init__(
        self, record: Mapping[str, Any], context: Context, notes: Notes, entity: Entity
    ) -> None:
        self.record, self.context, self.notes, self.entity = record, context, notes, entity
        self.evidence: list[dict[str, str]] = []
        self.samples: dict[str, dict[str, str]] = {}
        self.parameters: list[RawParameter] = []
        self.files: list[dict[str, Any]] = []
        self.instrument: dict[str, str] = {}

    def mapped(self) -> Mapped:
        entity, context = self.entity, self.context
        self._settle_dates()
        if self.samples:
            entity["samples"] = list(self.samples.values())
        if self.parameters:
            entity["parameters"] = self.notes.parameters(
                self.parameters, entity.get("techniques", ()), context.probes
            )
        if self.files:
            entity["files"] = self.files
            formats = [name for file in self.files for name in format_of_name(file["name"])]
            if formats:
                entity["formats"] = list(dict.fromkeys(formats))
        made = [entity]
        if self.instrument:
            made.append(self._instrument_entity())
        entity["access"] = decide(self.evidence + policies(context))
        return self.notes.mapped(made)

    def _settle_dates(self) -> None:
        dates = {}
        for name, field in (
            ("creationTime", "creationDate"),
            ("startTime", "startDate"),
            ("endTime", "endDate"),
        ):
            found = moment_in(self.record, name, self.context.time_zone, self.notes)
            if found is not None:
                dates[field] = found[0]
                self.entity[field] = found[0].text
        if self.entity.get("dataLevel", "raw") == "raw":
            # A raw Dataset is one run: made when the experiment took place.
            start = dates.get("startDate") or dates.get("creationDate")
            self.entity.update(interval_fields(start, dates.get("endDate")))

    def _instrument_entity(self) -> Entity:
        facility = self.context.facility
        name = self.instrument.get("name") or self.instrument["pid"]
        pid = self.instrument.get("pid") or name
        key = entity_key("Instrument", pid, facility)
        self.entity["instrument"] = {"pid": pid, "name": name, "facility": facility, "key": key}
        self.entity["instrumentKey"] = key
        return {"class": "Instrument", "key": key, "pid": pid, "name": name, "facility": facility}


DATASET.ignores("pid _id id", "Dataset.pid, key")
DATASET.ignores("creationTime", "Dataset.creationDate; years of raw data")
DATASET.ignores("startTime endTime", "Dataset.startDate, endDate, years")
DATASET.ignores("packedSize numberOfFiles numberOfFilesArchived version", "not of the data")
DATASET.ignores(
    "createdAt updatedAt createdBy updatedBy ownerGroup accessGroups history sourceFolder "
    "sourceFolderHost datasetlifecycle sharedWith instrumentGroup __v classification",
    "of SciCat's own bookkeeping",
)


@DATASET.reads("datasetName", ("datasetName", "Dataset.title"))
def _name(value: Any, reading: _DatasetReading) -> None:
    if (text := known(value)) is not None:
        reading.entity["title"] = text


@DATASET.reads("size", ("size", "Dataset.size", "0 is unknown"))
def _dataset_size(value: Any, reading: _DatasetReading) -> None:
    if (size := size_in_bytes(value)) is not None:
        reading.entity["size"] = size


@DATASET.reads("isPublished", ("isPublished", "Dataset.isPublic, access.evidence"))
def _published(value: Any, reading: _DatasetReading) -> None:
    found = truth(value)
    if found is None:
        keep_unused(value, "$.isPublished", reading.notes)
        return
    reading.entity["isPublic"] = found
    says = "open" if found else "restricted"
    if found and reading.context.is_public_is_constant:
        says = "constant"
    reading.evidence.append(evidence(says, "$.isPublished", str(found).lower()))


@DATASET.reads("type", ("type", "Dataset.dataLevel", "raw, derived → processed"))
def _level(value: Any, reading: _DatasetReading) -> None:
    text = known(value)
    level = data_level(text) if text is not None else None
    if level is not None:
        reading.entity["dataLevel"] = level
    else:
        keep_unused(value, "$.type", reading.notes)


@DATASET.reads("techniques", ("techniques[].pid, name", "Dataset.techniques"))
def _techniques(value: Any, reading: _DatasetReading) -> None:
    tags = []
    for item in objects_in({"techniques": value}, "techniques"):
        tags += technique_tags(text_in(item, "name"), text_in(item, "pid"), reading.context.probes)
    for tag in tags:
        if tag.get("rule") == "label-against-id":
            reading.notes.dropped(
                "$.techniques", f"{tag['name']} ≠ {tag['evidence']}", "label against id"
            )
    if tags:
        reading.entity["techniques"] = without_repeats(tags)


@DATASET.reads(
    "instrumentId instrumentIds", ("instrumentId, instrumentIds[0]", "Dataset.instrument.pid")
)
def _instrument_id(value: Any, reading: _DatasetReading) -> None:
    items = value if isinstance(value, list) else [value]
    texts = [text for item in items if (text := known(item)) is not None]
    if texts:
        reading.instrument.setdefault("pid", identify(texts[0]).display)
    for text in texts[1:]:
        reading.notes.unused("$.instrumentIds[]", text)


@DATASET.reads(
    "creationLocation",
    ("creationLocation", "Dataset.instrument", "the last step of a path names the instrument"),
)
def _location(value: Any, reading: _DatasetReading) -> None:
    text = known(value)
    if text is None:
        return
    if text.startswith("/") and (step := text.rstrip("/").rpartition("/")[2]):
        # /DESY/petra3/p08 and /desy/petra3/p08 are the same place.
        reading.instrument.setdefault("pid", text.rstrip("/").lower())
        reading.instrument.setdefault("name", step)
    else:
        reading.instrument.setdefault("name", text)


@DATASET.reads("sampleId sampleIds", ("sampleId, sampleIds[]", "Dataset.samples.pid, name"))
def _sample_ids(value: Any, reading: _DatasetReading) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        if text is not None and not is_no_sample(text):
            reading.samples.setdefault(text, {"name": text, "pid": text})


@DATASET.reads("samples sample", ("samples[].description", "Dataset.samples.name, description"))
def _samples(value: Any, reading: _DatasetReading) -> None:
    for item in objects_in({"samples": value}, "samples"):
        pid = text_in(item, "sampleId", "pid", "id")
        description = text_in(item, "description", "name")
        name = description or pid
        if name is None or is_no_sample(name):
            continue
        made = {"name": name}
        if pid is not None:
            made["pid"] = pid
        reading.samples[pid or name] = made


@DATASET.reads(
    "scientificMetadata",
    (
        "scientificMetadata.a.b",
        "Dataset.parameters a.b",
        "{value, unit}, {v, u} or a bare value; its valueSI is not trusted",
    ),
)
def _scientific_metadata(value: Any, reading: _DatasetReading) -> None:
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        name, item = stack.pop()
        if isinstance(item, Mapping):
            read = measured(item)
            if read is None:
                inner = [(_joined(name, key), child) for key, child in item.items()]
                stack += reversed(inner)
                continue
            sent, unit = scalar(read[0]), read[1]
        else:
            sent, unit = scalar(item), None
        if sent is None:
            if (isinstance(item, list) and item) or isinstance(item, float):
                reading.notes.dropped(
                    f"$.scientificMetadata.{name}", item, "a list or no finite number"
                )
        elif name:
            reading.parameters.append((name, sent, unit))


def _joined(name: str, step: object) -> str:
    """``a.b``; names stop growing at some length, so that time stays linear in depth."""
    text = known(str(step)) or "_"
    return f"{name}.{clip(text, 80)}" if name and len(name) < 200 else name or clip(text, 80)


@DATASET.reads(
    "origdatablocks",
    ("origdatablocks[].dataFileList[].path, size", "Dataset.files, formats", "own numbers as ids"),
)
def _files(value: Any, reading: _DatasetReading) -> None:
    for block in objects_in({"blocks": value}, "blocks"):
        for item in objects_in(block, "dataFileList"):
            path = text_in(item, "path")
            name = path.rstrip("/").rpartition("/")[2] if path is not None else None
            if not path or not name:
                reading.notes.dropped("$.origdatablocks[].dataFileList[]", path, "no path")
                continue
            made: dict[str, Any] = {"id": str(len(reading.files) + 1), "name": name, "path": path}
            if (size := size_in_bytes(item.get("size"))) is not None:
                made["size"] = size
            reading.files.append(made)


@DATASET.reads("keywords", ("keywords", "Dataset.keywords; techniques are not guessed from them"))
def _keywords(value: Any, reading: _DatasetReading) -> None:
    words = []
    for item in value if isinstance(value, list) else [value]:
        if (text := known(item)) is not None:
            words += split_keywords(text)
    if words:
        reading.entity["keywords"] = list(dict.fromkeys(words))


@DATASET.reads("license", ("license", "Dataset.license", "SPDX identifier; “ESS” is none"))
def _license(value: Any, reading: _DatasetReading) -> None:
    text = known(value)
    if text is None:
        return
    found = licence(text)
    if found is not None:
        reading.entity["license"] = found
        reading.evidence.append(evidence("licence", "$.license", text))
    else:
        reading.notes.dropped("$.license", text, "no licence with an SPDX identifier")


@DATASET.reads("proposalId proposalIds", ("proposalId, proposalIds[0]", "Dataset.proposal"))
def _proposal(value: Any, reading: _DatasetReading) -> None:
    items = value if isinstance(value, list) else [value]
    text = next((found for item in items if (found := known(item)) is not None), None)
    if text is not None:
        reading.entity.setdefault("proposal", handle(text) or text)


_PEOPLE = (
    "principalInvestigator principalInvestigators owner investigator orcidOfOwner ownerEmail "
    "contactEmail"
)


@DATASET.reads(
    _PEOPLE,
    ("principalInvestigator, owner, contactEmail …", "—", "unused here; e-mails are not kept"),
)
def _people_of_dataset(value: Any, reading: _DatasetReading) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        if text is not None:
            shown = "(an e-mail address, not kept)" if "@" in text else text
            reading.notes.unused("$.owner", shown)


@DATASET.reads("description", ("description", "—"))
def _dataset_description(value: Any, reading: _DatasetReading) -> None:
    keep_unused(value, "$.description", reading.notes)
