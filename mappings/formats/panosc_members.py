"""Members of a Document in PaNOSC REST: role, person, affiliation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.context import Entity
from mappings.formats.json import Again, objects_in, text_in
from mappings.formats.panosc_fields import Reading
from mappings.identifiers import orcid, ror
from mappings.people import person_name, role


def read_members(value: Any, entity: Entity, reading: Reading, path: str) -> None:
    """The people of a Document with role and affiliation, one by one."""

    def read(item: Mapping[str, Any]) -> dict[str, Any] | None:
        return _member(item, reading, path)

    members = []
    for item in objects_in({"members": value}, "members"):
        made = _MET.read(item, read, reading.notes)
        if made is not None:
            members.append(made)
    if members:
        entity["members"] = members


_MET = Again()


def _member(item: Mapping[str, Any], reading: Reading, path: str) -> dict[str, Any] | None:
    made: dict[str, Any] = {}
    if (identifier := text_in(item, "id")) is not None:
        made["id"] = identifier
    if (part := text_in(item, "role")) is not None:
        made["role"] = role(part)
    person = next(objects_in(item, "person"), None)
    if person is not None and (read := _person(person, reading, f"{path}[].person")):
        made["person"] = read
    affiliation = next(objects_in(item, "affiliation", "affiliations"), None)
    if affiliation is not None and (where := _affiliation(affiliation)):
        made["affiliation"] = where
    return made if "person" in made or "affiliation" in made else None


def _person(record: Mapping[str, Any], reading: Reading, path: str) -> dict[str, Any] | None:
    first, last = text_in(record, "firstName"), text_in(record, "lastName")
    full = text_in(record, "fullName", "name")
    name = person_name(full) if full is not None else None
    if name is None and (first or last):
        name = person_name(" ".join(part for part in (first, last) if part))
    if name is None:
        reading.notes.dropped(path, full, "no name of a person")
        return None
    made: dict[str, Any] = {"fullName": name.full}
    for key, sent, read in (("firstName", first, name.first), ("lastName", last, name.last)):
        if sent or read:
            made[key] = sent or read
    for key in ("id", "researcherId"):
        if (text := text_in(record, key)) is not None:
            made[key] = text
    if (code := text_in(record, "orcid")) is not None:
        if (found := orcid(code)) is not None:
            made["orcid"] = found
        else:
            reading.notes.dropped(f"{path}.orcid", code, "no valid ORCID")
    return made


def _affiliation(record: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key in ("name", "address", "city", "country"):
        if (text := text_in(record, key)) is not None:
            made[key] = text
    if (identifier := text_in(record, "id", "pid")) is not None:
        made["id"] = identifier
        if (code := ror(identifier)) is not None:
            made["ror"] = code
    return made
