"""Creators and contributors of DataCite and OpenAIRE records → Members."""

from __future__ import annotations

from typing import Any

from mappings.drafts import Draft
from mappings.formats.xml import NAMES, Element, attribute, text_of
from mappings.identifiers import orcid, ror
from mappings.people import agent_name, is_institute, member

_NAME_ELEMENTS = frozenset({"creatorname", "contributorname", "name"})


def read_person(element: Element, role: str, draft: Draft) -> None:
    text = given = family = code = affiliation = None
    organisation = False
    for child in element:
        name = NAMES[child.tag]
        if name in _NAME_ELEMENTS:
            text = text_of(child)
            organisation = child.get("nameType") == "Organizational"
        elif name == "affiliation":
            affiliation = affiliation or _affiliation(child)
        elif name == "nameidentifier":
            code = _name_identifier(child, draft) or code
        elif name == "givenname":
            given = text_of(child)
        elif name == "familyname":
            family = text_of(child)
    if text is None and family is not None:
        text = f"{family}, {given}" if given else family
    if text is None:
        return
    name_read = None if organisation else agent_name(text)
    if name_read is None:
        if organisation or is_institute(text):
            draft.members.append({"role": role, "affiliation": {"name": text}})
        else:
            draft.notes.dropped(f"resource/{role}", text, "no name of a person")
        return
    made = member(name_read, role_name=role, orcid_text=code, affiliation=affiliation)
    if given and family:
        made["person"].update(firstName=given, lastName=family, fullName=f"{given} {family}")
    draft.members.append(made)


def _name_identifier(element: Element, draft: Draft) -> str | None:
    text = text_of(element)
    if text is None:
        return None
    found = orcid(text)
    if found is None:
        scheme = attribute(element, "nameIdentifierScheme") or ""
        if scheme.upper() == "ORCID":
            draft.notes.dropped("resource/nameIdentifier", text, "no valid ORCID")
        else:
            draft.notes.unused(f"resource/nameIdentifier[{scheme}]", text)
    return found


def _affiliation(element: Element) -> dict[str, Any] | None:
    text = text_of(element)
    if text is None:
        return None
    made: dict[str, Any] = {"name": text}
    if element.keys():
        code = attribute(element, "affiliationIdentifier")
        if code is not None and (found := ror(code)) is not None:
            made["ror"] = found
    return made
