"""SciCat's Dataset JSON, versions 3 and 4, as the catalogue's back end sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.context import Context, Entity, Header, Mapped
from mappings.drafts import Notes, interval_fields, policies
from mappings.errors import MappingError
from mappings.formats.json import (
    keep_unused,
    mapping_of,
    moment_in,
    objects_in,
    text_in,
    truth,
)
from mappings.formats.rules import Rules
from mappings.identifiers import doi, entity_key, handle, identify, undoubled
from mappings.kinds import data_level, format_of_name
from mappings.rights import decide, evidence, licence
from mappings.tags import technique_tags, without_repeats
from mappings.text import clip, is_no_sample, known, split_keywords
from mappings.values import RawParameter, measured, scalar, size_in_bytes

RULES = Rules(
    "scicat-dataset",
    "SciCat Dataset",
    ("A Dataset without its Document: people named in it are kept as unused evidence.",),
)


def crosswalk(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
    """Map one SciCat Dataset.

    Raises:
        MappingError: no object, or no identifier anywhere.
    """
    record = mapping_of(payload, "$")
    pid = text_in(record, "pid", "_id", "id")
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
        reader = RULES.readers.get(name)
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


RULES.settles("pid _id id", "Dataset.pid, key")
RULES.settles("creationTime", "Dataset.creationDate, years", "years only of raw data")
RULES.settles("startTime endTime", "Dataset.startDate, endDate, years")
RULES.ignores("packedSize numberOfFiles numberOfFilesArchived version", "not of the data")
RULES.ignores(
    "createdAt updatedAt createdBy updatedBy ownerGroup accessGroups history sourceFolder "
    "sourceFolderHost datasetlifecycle sharedWith instrumentGroup __v classification",
    "of SciCat's own bookkeeping",
)


@RULES.reads("datasetName", ("datasetName", "Dataset.title"))
def _dataset_name(value: Any, reading: _DatasetReading) -> None:
    if (text := known(value)) is not None:
        reading.entity["title"] = text


@RULES.reads("size", ("size", "Dataset.size", "0 is unknown"))
def _dataset_size(value: Any, reading: _DatasetReading) -> None:
    if (size := size_in_bytes(value)) is not None:
        reading.entity["size"] = size


@RULES.reads("isPublished", ("isPublished", "Dataset.isPublic, access.evidence"))
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


@RULES.reads("type", ("type", "Dataset.dataLevel", "raw, derived → processed"))
def _level(value: Any, reading: _DatasetReading) -> None:
    text = known(value)
    level = data_level(text) if text is not None else None
    if level is not None:
        reading.entity["dataLevel"] = level
    else:
        keep_unused(value, "$.type", reading.notes)


@RULES.reads("techniques", ("techniques[].pid, name", "Dataset.techniques"))
def _techniques(value: Any, reading: _DatasetReading) -> None:
    tags = []
    for item in objects_in({"techniques": value}, "techniques"):
        tags += technique_tags(text_in(item, "name"), text_in(item, "pid"), reading.context.probes)
    for tag in tags:
        if tag.get("rule") == "label against id":
            reading.notes.dropped(
                "$.techniques", f"{tag['name']} ≠ {tag['evidence']}", "label against id"
            )
    if tags:
        reading.entity["techniques"] = without_repeats(tags)


@RULES.reads(
    "instrumentId instrumentIds", ("instrumentId, instrumentIds[0]", "Dataset.instrument.pid")
)
def _instrument_id(value: Any, reading: _DatasetReading) -> None:
    items = value if isinstance(value, list) else [value]
    texts = [text for item in items if (text := known(item)) is not None]
    if texts:
        reading.instrument.setdefault("pid", identify(texts[0]).display)
    for text in texts[1:]:
        reading.notes.unused("$.instrumentIds[]", text)


@RULES.reads(
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


@RULES.reads("sampleId sampleIds", ("sampleId, sampleIds[]", "Dataset.samples.pid, name"))
def _sample_ids(value: Any, reading: _DatasetReading) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        if text is not None and not is_no_sample(text):
            reading.samples.setdefault(text, {"name": text, "pid": text})


@RULES.reads("samples sample", ("samples[].description", "Dataset.samples.name, description"))
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


@RULES.reads(
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


@RULES.reads(
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


@RULES.reads("keywords", ("keywords", "Dataset.keywords; techniques are not guessed from them"))
def _keywords(value: Any, reading: _DatasetReading) -> None:
    words = []
    for item in value if isinstance(value, list) else [value]:
        if (text := known(item)) is not None:
            words += split_keywords(text)
    if words:
        reading.entity["keywords"] = list(dict.fromkeys(words))


@RULES.reads("license", ("license", "Dataset.license", "SPDX identifier; “ESS” is none"))
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


@RULES.reads("proposalId proposalIds", ("proposalId, proposalIds[0]", "Dataset.proposal"))
def _proposal(value: Any, reading: _DatasetReading) -> None:
    items = value if isinstance(value, list) else [value]
    text = next((found for item in items if (found := known(item)) is not None), None)
    if text is not None:
        reading.entity.setdefault("proposal", handle(text) or text)


def _person_field(name: str) -> None:
    """A field that names a person: kept as unused evidence, without e-mail addresses."""

    @RULES.reads(name, (name, "—", "unused: a Dataset has no members; e-mails are not kept"))
    def read(value: Any, reading: _DatasetReading) -> None:
        for item in value if isinstance(value, list) else [value]:
            text = known(item)
            if text is not None:
                reading.notes.unused(f"$.{name}", text)


for _name in (
    "principalInvestigator", "principalInvestigators", "investigator", "owner", "orcidOfOwner",
    "ownerEmail", "contactEmail",
):  # fmt: skip
    _person_field(_name)


@RULES.reads("description", ("description", "—"))
def _dataset_description(value: Any, reading: _DatasetReading) -> None:
    keep_unused(value, "$.description", reading.notes)
