"""What the classes of PaNOSC REST JSON share: identity, and readers of common fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mappings.context import Context, Entity, Header, Mapped
from mappings.drafts import Notes
from mappings.errors import MappingError
from mappings.formats.json import keep_unused, moment_of, objects_in, text_in, truth
from mappings.formats.rules import Rules, nothing
from mappings.identifiers import doi, entity_key, global_key, identify
from mappings.rights import evidence, licence
from mappings.text import clip, known, split_keywords
from mappings.values import RawParameter, measured, scalar

NOISE = (
    "score provider documentId instrumentId datasetId personId affiliationId _id createdAt "
    "updatedAt createdBy updatedBy __v"
)


@dataclass(slots=True)
class Reading:
    """One payload being read: notes, and the entities found in it by key, in order."""

    context: Context
    header: Header
    notes: Notes = field(default_factory=Notes)
    entities: dict[str, Entity] = field(default_factory=dict)

    def add(self, entity: Entity) -> None:
        """Keep an entity; a second one of the same key adds what the first lacks."""
        earlier = self.entities.setdefault(entity["key"], entity)
        if earlier is not entity:
            for name, value in entity.items():
                earlier.setdefault(name, value)

    def mapped(self) -> Mapped:
        found = sorted(self.entities.values(), key=_rank)
        return self.notes.mapped(found)


_RANKS = {"Document": 0, "Dataset": 1, "Instrument": 2}


def _rank(entity: Entity) -> int:
    return _RANKS[entity["class"]]


# --- identity --------------------------------------------------------------------------------


def pid_of(record: Mapping[str, Any]) -> str | None:
    return text_in(record, "pid", "id", "doi")


def base(
    record: Mapping[str, Any], name: str, reading: Reading, path: str, pid: str | None = None
) -> Entity:
    """``class``, ``key``, ``pid``, ``doi``, ``facility`` of an object.

    A Document's DOI is its key even when the pid is a number (ESRF); a Dataset's is not, because
    Datasets were seen with the DOI of what contains them.

    Args:
        pid: ``pid_of(record)``, where the caller has it.

    Raises:
        MappingError: it has no identifier.
    """
    pid = pid_of(record) if pid is None else pid
    if pid is None:
        raise MappingError(f"{path}.pid", clip(record.get("pid")), "a pid, id or doi")
    identified = identify(pid)
    # As most are: a pid that is nothing but a DOI.
    in_pid = pid if identified.scheme == "doi" and identified.display == pid else doi(pid)
    sent = text_in(record, "doi")
    own = None
    if sent is not None:
        own = in_pid if sent == pid else doi(sent)
        if own is None:
            reading.notes.dropped(f"{path}.doi", sent, "no DOI")
    found = own or in_pid
    by_doi = name == "Document" and found is not None
    entity: Entity = {
        "class": name,
        "key": global_key(name, "doi", found.lower())
        if by_doi and found
        else entity_key(name, pid, reading.context.facility, identified),
        "pid": identified.display,
        "facility": reading.context.facility,
    }
    # A provider that sends no DOI at all gets none: portals are answered as they were told.
    if own is not None or (found is not None and "doi" in record):
        entity["doi"] = found
    return entity


_Shared = Any
"""The reader of a field: (value, entity, reading, path) → nothing."""


def read_fields(
    record: Mapping[str, Any], rules: Rules, entity: Entity, reading: Reading, path: str
) -> None:
    readers = rules.readers
    for name, value in record.items():
        if not value and (value is None or value == "" or value == []):
            continue
        reader = readers.get(name)
        if reader is nothing:
            continue
        if reader is None:
            keep_unused(value, f"{path}.{clip(name, 80)}", reading.notes)
        else:
            reader(value, entity, reading, f"{path}.{name}")


def keep_unknown(record: Mapping[str, Any], rules: Rules, notes: Notes) -> None:
    for name, value in record.items():
        if name not in rules.readers:
            keep_unused(value, f"$.{clip(name, 80)}", notes)


def text_field(name: str) -> _Shared:
    """A reader that keeps a text under ``name``."""

    def read(value: Any, entity: Entity, reading: Reading, path: str) -> None:
        text = known(value)
        if text is not None:
            entity[name] = text
        elif not isinstance(value, str):
            reading.notes.dropped(path, value, "no text")

    return read


def date_field(name: str) -> _Shared:
    """A reader that keeps a date under ``name``, for the caller to turn into text."""

    def read(value: Any, entity: Entity, reading: Reading, path: str) -> None:
        found = moment_of(value, name, reading.context.time_zone, reading.notes)
        if found is not None:
            entity[name] = found

    return read


def read_is_public(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    found = truth(value)
    if found is None:
        reading.notes.dropped(path, value, "neither true nor false")
        return
    entity["isPublic"] = found
    says = "open" if found else "restricted"
    if found and reading.context.is_public_is_constant:
        says = "constant"
    entity.setdefault("access", []).append(evidence(says, path, str(value).lower()))


def read_license(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    text = known(value)
    if text is None:
        return
    found = licence(text)
    if found is not None:
        entity["license"] = found
    else:
        reading.notes.dropped(path, text, "no licence with an SPDX identifier")
    entity.setdefault("access", []).append(evidence("licence", path, text))


def read_keywords(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    separator = reading.context.options.get("keyword_separator")
    words: list[str] = []
    if isinstance(value, list):
        words = [word for item in value if (word := known(item)) is not None and len(word) >= 2]
    elif (text := known(value)) is not None:
        words = split_keywords(text, separator if isinstance(separator, str) else None)
    if words:
        entity["keywords"] = list(dict.fromkeys(words))


def read_parameters(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    """Leaves pairs of (parameter as sent, its id) for ``settle_parameters``."""
    raw: list[tuple[RawParameter, str | None]] = []
    for item in objects_in({"parameters": value}, "parameters"):
        name = text_in(item, "name")
        read = measured(
            {key: item[key] for key in ("value", "unit", "units", "v", "u") if key in item}
        )
        sent = scalar(read[0]) if read is not None else None
        if name is None or read is None or sent is None:
            reading.notes.dropped(path, item.get("name"), "a parameter without name or value")
        else:
            raw.append(((name, sent, read[1]), text_in(item, "id")))
    if raw:
        entity["parameters"] = raw


def settle_parameters(entity: Entity, reading: Reading) -> None:
    """Parameters in JSON form once the techniques are known, which tell the particle."""
    raw = entity.get("parameters")
    if raw:
        made = reading.notes.parameters(
            [sent for sent, _ in raw], entity.get("techniques", ()), reading.context.probes
        )
        for one, (_, identifier) in zip(made, raw, strict=True):
            if identifier is not None:
                one["id"] = identifier
        entity["parameters"] = made
