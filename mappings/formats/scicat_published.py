"""SciCat's PublishedData JSON, versions 3 and 4, as the catalogue's back end sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.context import Context, Header, Mapped
from mappings.drafts import Draft, Notes, entities, year_evidence
from mappings.formats.json import (
    date_text,
    keep_unused,
    mapping_of,
    objects_in,
    text_in,
)
from mappings.formats.rules import Rules
from mappings.identifiers import doi, doi_inside, entity_key, identify, undoubled, web_link
from mappings.kinds import data_level, kind_of
from mappings.people import is_institute, member, person_name
from mappings.rights import evidence, licence
from mappings.text import clip, is_only_url, known
from mappings.values import size_in_bytes

RULES = Rules(
    "scicat-publisheddata",
    "SciCat PublishedData",
    ("Version 3 has the fields at the top, version 4 most under `metadata`; both are read.",),
)


def crosswalk(payload: Any, context: Context, header: Header, notes: Notes) -> Mapped:
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
    draft.type = context.document_type or "publication"
    if not draft.summaries:
        draft.summaries = draft.descriptions
    if draft.year is not None:
        draft.evidence.append(year_evidence("$.publicationYear", draft.year, None))
    return entities(draft)


def _read_published(record: Mapping[str, Any], path: str, draft: Draft) -> None:
    for name, value in record.items():
        if value is None or value == "" or value == []:
            continue
        reader = RULES.readers.get(name)
        if reader is None:
            keep_unused(value, f"{path}.{clip(name, 80)}", draft.notes)
        else:
            reader(value, draft, f"{path}.{name}")


@RULES.reads("doi", ("doi, else _id, id", "Document.pid, doi"))
def _doi(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is not None:
        draft.identifier(identify(text))


@RULES.reads("_id id")
def _other_id(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is not None and doi(text) is not None and draft.doi is None:
        draft.identifier(identify(text))


@RULES.reads("title", ("title", "Document.title"))
def _title(value: Any, draft: Draft, path: str) -> None:
    draft.title = draft.title or known(value)


@RULES.reads("abstract", ("abstract", "Document.summary"))
def _abstract(value: Any, draft: Draft, path: str) -> None:
    if (text := known(value)) is not None:
        draft.summaries.insert(0, text)


@RULES.reads(
    "dataDescription",
    ("dataDescription", "Document.links; summary if it is text and there is no abstract"),
)
def _description(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        return
    if not is_only_url(text):
        draft.descriptions.append(text)
    elif (url := web_link(text)) is not None:
        draft.links.append({"rel": "description", "url": url})


@RULES.reads(
    "creator creators",
    ("creator[], metadata.creators[]", "Document.members (role creator)", "“al.” is nobody"),
)
def _creators(value: Any, draft: Draft, path: str) -> None:
    _people(value, "creator", draft, path)


@RULES.reads(
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


@RULES.reads(
    "affiliation", ("affiliation", "member.affiliation.name", "of all creators together: unused")
)
def _common_affiliation(value: Any, draft: Draft, path: str) -> None:
    keep_unused(value, path, draft.notes)


@RULES.reads("registeredTime", ("registeredTime", "Document.releaseDate, access.openSince"))
def _registered(value: Any, draft: Draft, path: str) -> None:
    text = date_text(value)
    if text is not None and (found := draft.certain(path, text)) is not None:
        draft.release = found
        draft.evidence.append(evidence("opened", path, text, found.opens))


@RULES.reads(
    "publicationYear",
    ("publicationYear", "Document.releaseDate", "precision year, without registeredTime"),
)
def _year(value: Any, draft: Draft, path: str) -> None:
    text = text_in({"year": value}, "year")
    if text is not None:
        draft.year = draft.certain(path, text)


@RULES.reads(
    "pidArray datasetPids",
    ("pidArray[], datasetPids[]", "Document.datasets", "doubled prefixes are taken off"),
)
def _datasets(value: Any, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = known(item)
        if text is None:
            draft.notes.dropped(path, item, "no pid of a Dataset")
            continue
        draft.datasets.append(entity_key("Dataset", undoubled(text), draft.context.facility))
        draft.has_datasets = True


@RULES.reads("sizeOfArchive", ("sizeOfArchive", "Dataset.size (derived Dataset)"))
def _size(value: Any, draft: Draft, path: str) -> None:
    draft.size = size_in_bytes(value)


@RULES.reads(
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


@RULES.reads(
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


@RULES.reads(
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


@RULES.reads("url downloadLink landingPage", ("url, downloadLink, landingPage", "Document.links"))
def _link(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    url = web_link(text) if text is not None else None
    if url is None:
        keep_unused(value, path, draft.notes)
        return
    rel = "download" if path.endswith("downloadLink") else "landing"
    draft.links.append({"rel": rel, "url": url})


@RULES.reads("license rights", ("license, metadata.license", "Document.license"))
def _published_license(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        keep_unused(value, path, draft.notes)
        return
    draft.license = licence(text)
    draft.evidence.append(evidence("licence", path, text))


@RULES.reads("resourceType", ("resourceType", "Dataset.dataLevel (raw, derived), Document.kind"))
def _resource_type(value: Any, draft: Draft, path: str) -> None:
    text = known(value)
    if text is None:
        keep_unused(value, path, draft.notes)
        return
    draft.data_level = data_level(text)
    kind = kind_of(text)
    draft.kind = "data" if kind == "other" else kind


@RULES.reads("keywords subjects", ("keywords", "Document.keywords; Dataset.techniques"))
def _published_keywords(value: Any, draft: Draft, path: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        text = text_in(item, "subject") if isinstance(item, Mapping) else known(item)
        if text is not None:
            draft.subjects.append(text)


RULES.ignores("publisher", "the facility is known from its configuration")
RULES.ignores("metadata", "version 4: its members are read like those at the top")
RULES.ignores(
    "__v createdAt updatedAt createdBy updatedBy numberOfFiles thumbnail scicatUser language "
    "resourceTypeGeneral",
    "of SciCat's own bookkeeping",
)
