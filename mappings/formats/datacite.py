"""DataCite metadata, kernels 3 and 4, alone or in ``oai_datacite``'s wrapper.

Wrappers met: ``oai_datacite`` (namespaces oai-1.0 and oai-1.1) with ``payload/resource``, or
``resource`` directly; namespaces ``kernel-3``, ``kernel-4``, ``kernel-4.2``, none, or that of
another vocabulary on the children. All are read by local name.
"""

from __future__ import annotations

from functools import lru_cache

from mappings.context import Context, Header
from mappings.drafts import Draft, year_evidence
from mappings.formats.datacite_dates import first_moment, read_available, read_collected
from mappings.formats.datacite_people import read_person
from mappings.formats.datacite_rights import read_right
from mappings.formats.rules import Rules
from mappings.formats.xml import (
    NAMES,
    Element,
    Readers,
    attribute,
    keep_unused,
    known_value,
    local_name,
    root_named,
    text_of,
)
from mappings.identifiers import identify, web_link
from mappings.kinds import data_level, document_type, kind_of
from mappings.tags import technique_tags
from mappings.techniques import find_id
from mappings.text import is_only_url, known, split_keywords
from mappings.values import size_in_bytes

RULES = Rules(
    "oai_datacite",
    "DataCite (oai_datacite, kernels 3 and 4)",
    (
        "`resource` directly or inside `oai_datacite/payload`, in any namespace.",
        (
            "A Dataset is derived where the record is data and says what only a Dataset can hold: "
            "technique, instrument, size, format."
        ),
    ),
)

ROOTS = ("resource",)
_WRAPPED = ("resource", "oai_datacite", "payload")


def read(element: Element, context: Context, header: Header) -> Draft:
    """Read one ``resource`` (DataCite), inside its wrapper or not.

    Raises:
        MappingError: no ``resource``.
    """
    return draft_of(element, context, header, _READERS)


def keep(element: Element, draft: Draft) -> None:
    """The reader of children that no row names."""
    keep_unused(element, f"resource/{local_name(element)}", draft.notes)


_READERS = Readers(RULES, keep)


def draft_of(element: Element, context: Context, header: Header, readers: Readers) -> Draft:
    """Everything that the children of ``resource`` say, before entities are made of it."""
    resource = element
    if NAMES[element.tag] != "resource":
        resource = _unwrapped(element)
    draft = Draft(context, header)
    for child in resource:
        reader = readers[child.tag]
        if reader is not None:
            reader(child, draft)
    _settle(draft)
    return draft


def _unwrapped(element: Element) -> Element:
    current = element
    if NAMES[current.tag] not in _WRAPPED:
        current = root_named(element, _WRAPPED, "an element resource or oai_datacite")
    for _ in range(3):
        for child in current:
            name = NAMES[child.tag]
            if name == "resource":
                return child
            if name == "payload":
                current = child
                break
        else:
            break
    return root_named(current, ROOTS, "an element resource inside oai_datacite/payload")


def _settle(draft: Draft) -> None:
    """What needs several properties at once: fallbacks, year of publication, type."""
    if draft.pid is None and draft.alternate:
        # CERIC's records have the DOI among the alternate identifiers only.
        for index, text in enumerate(draft.alternate):
            found = identify(text)
            if found.scheme in ("doi", "hdl"):
                del draft.alternate[index]
                draft.identifier(found)
                break
    if draft.year is not None:
        latest = draft.end or draft.start
        draft.evidence.append(
            year_evidence("resource/publicationYear", draft.year, latest.year if latest else None)
        )
    if draft.context.document_type is not None:
        draft.type = draft.context.document_type
    if draft.type == "proposal" and draft.kind == "other":
        draft.kind = "data"


@RULES.reads(
    "identifier",
    ("identifier", "Document.pid, doi; Dataset.pid, doi", "DOI, Handle, or a URL of either"),
)
def read_identifier(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is None:
        return
    found = identify(text)
    if found.scheme == "url":
        if (url := web_link(text)) is not None:
            draft.links.append({"rel": "landing", "url": url})
        else:
            draft.notes.dropped("resource/identifier", text, "no web address")
    else:
        draft.identifier(found)


@RULES.reads(
    "alternateidentifiers",
    ("alternateIdentifiers/alternateIdentifier", "Document.alternateIds", "pid when none else"),
)
def read_alternates(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] == "alternateidentifier" and (text := text_of(child)) is not None:
            draft.alternate.append(identify(text).display)


@RULES.reads(
    "titles",
    ("titles/title", "Document.title, Dataset.title", "the first without titleType"),
)
def read_titles(element: Element, draft: Draft) -> None:
    others = []
    for child in element:
        if NAMES[child.tag] != "title" or (text := text_of(child)) is None:
            continue
        if draft.title is None and child.get("titleType") is None:
            draft.title = text
        else:
            others.append(text)
    if draft.title is None and others:
        draft.title = others.pop(0)
    for text in others:
        draft.notes.unused("resource/titles/title", text)


@RULES.reads("title", ("title", "Document.title", "outside titles, as some write it"))
def read_title(element: Element, draft: Draft) -> None:
    draft.title = draft.title or text_of(element)


@RULES.reads(
    "descriptions",
    ("descriptions/description (Abstract)", "Document.summary", "a lone URL becomes a link"),
    ("descriptions/description (others)", "Document.summary", "only when there is no abstract"),
)
def read_descriptions(element: Element, draft: Draft) -> None:
    others = []
    for child in element:
        if NAMES[child.tag] != "description" or (text := text_of(child)) is None:
            continue
        if is_only_url(text):
            if (url := web_link(text)) is not None:
                draft.links.append({"rel": "description", "url": url})
        elif (child.get("descriptionType") or "Abstract").lower() == "abstract":
            draft.summaries.append(text)
        else:
            others.append((child.get("descriptionType"), text))
    for kind, text in others:
        if not draft.summaries:
            draft.summaries.append(text)
        else:
            draft.notes.unused(f"resource/descriptions/description[{known(kind) or ''}]", text)


@RULES.reads(
    "creators",
    ("creators/creator/creatorName", "Document.members (role creator)", "givenName, familyName"),
    ("creators/creator/nameIdentifier (ORCID)", "person.orcid", "checksum verified"),
    ("creators/creator/affiliation", "member.affiliation.name, ror"),
)
def read_creators(element: Element, draft: Draft) -> None:
    for child in element:
        name = NAMES[child.tag]
        if name == "creator":
            read_person(child, "creator", draft)
        elif name:
            keep_unused(child, f"resource/creators/{local_name(child)}", draft.notes)


@RULES.reads(
    "contributors",
    (
        "contributors/contributor",
        "Document.members",
        (
            "ProjectLeader, ProjectManager → principal investigator; DataCollector → local "
            "contact; ContactPerson → contact; others as sent; Funder and institutes are no persons"
        ),
    ),
)
def read_contributors(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] != "contributor":
            continue
        kind = attribute(child, "contributorType") or "contributor"
        if kind.lower() in ("funder", "hostinginstitution", "sponsor", "distributor"):
            keep_unused(child, f"resource/contributors/contributor[{kind}]", draft.notes)
        else:
            read_person(child, kind, draft)


@RULES.reads(
    "publicationyear",
    (
        "publicationYear",
        "Document.releaseDate",
        "precision year, when there is no better date; later than the experiment: embargo",
    ),
)
def read_year(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.year = draft.moment("resource/publicationYear", text)


@RULES.reads(
    "dates",
    ("dates/date (Collected)", "Document.startDate, endDate, years; Dataset.creationDate"),
    ("dates/date (Available)", "Document.releaseDate, access.embargoUntil"),
    ("dates/date (Created)", "Dataset.creationDate"),
    ("dates/date (Issued)", "Document.releaseDate", "when there is no Available"),
)
def read_dates(element: Element, draft: Draft) -> None:
    issued = None
    for child in element:
        if NAMES[child.tag] != "date" or (text := text_of(child)) is None:
            continue
        kind = (child.get("dateType") or "").lower()
        if kind == "collected":
            read_collected(text, draft)
        elif kind == "available":
            read_available(text, draft)
        elif kind == "created":
            draft.creation = first_moment(text, draft)
        elif kind == "issued":
            issued = draft.moment("resource/dates/date[Issued]", text)
        else:
            draft.notes.unused(f"resource/dates/date[{child.get('dateType') or ''}]", text)
    if draft.release is None:
        draft.release = issued


@RULES.reads(
    "subjects",
    ("subjects/subject", "Document.keywords; Dataset.techniques", "linked to PaNET when certain"),
    ("subjects/subject[valueURI PaNET]", "Dataset.techniques"),
    ("subjects/subject[Instrument]", "Dataset.instrument, Document.instrumentNames"),
    ("subjects/subject[Proposal]", "Document.proposal, keywords", "comma list"),
)
def read_subjects(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] == "subject" and (text := text_of(child)) is not None:
            read_subject(child, text, draft)


def read_subject(element: Element, text: str, draft: Draft) -> None:
    attributes = element.items()
    if not attributes:
        draft.subjects.append(text)
        return
    scheme = uri = None
    for name, value in attributes:
        if NAMES[name] == "subjectscheme":
            scheme = known_value(value)
        elif NAMES[name] == "valueuri":
            uri = known_value(value)
    if uri is not None and find_id(uri) is not None:
        draft.techniques += technique_tags(text, uri, draft.context.probes)
        draft.keywords.append(text)
        return
    scheme = (scheme or "").lower()
    if scheme == "instrument":
        draft.instruments.append({"name": text})
        return
    if scheme == "proposal":
        numbers = split_keywords(text)
        draft.keywords += numbers
        if draft.proposal is None and numbers:
            draft.proposal = numbers[0]
        return
    if "panet" in scheme or scheme in ("technique", "techniques"):
        draft.techniques += technique_tags(text, None, draft.context.probes)
        draft.keywords.append(text)
        return
    draft.subjects.append(text)


@RULES.reads(
    "resourcetype",
    ("resourceType", "Document.type, Dataset.dataLevel", "by the facility's rule first"),
    ("resourceType[resourceTypeGeneral]", "Document.kind"),
)
def read_resource_type(element: Element, draft: Draft) -> None:
    draft.kind, draft.data_level, draft.type = _types_of(
        element.get("resourceTypeGeneral"), text_of(element)
    )


@lru_cache(maxsize=1024)
def _types_of(general: str | None, text: str | None) -> tuple[str, str | None, str | None]:
    """Kind, data level and type from the general and the free type; few pairs in a harvest."""
    general = known(general)
    level = data_level(text) if text is not None else None
    return (
        kind_of(general, text),
        level,
        document_type(text) or (general if level else text) or general,
    )


@RULES.reads(
    "relatedidentifiers",
    ("relatedIdentifiers/relatedIdentifier", "Document.related", "with its relationType"),
    ("… (IsCollectedBy, Instrument)", "Dataset.instrument"),
)
def read_related(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] != "relatedidentifier" or (text := text_of(child)) is None:
            continue
        # harvest-api writes the attributes on the plural element.
        source = child if len(child.attrib) else element
        relation = attribute(source, "relationType") or "References"
        kind = attribute(source, "relatedIdentifierType")
        general = attribute(source, "resourceTypeGeneral")
        _relate(relation, kind, text, general, draft)


@RULES.reads(
    "relateditems",
    ("relatedItems/relatedItem (IsCollectedBy, Instrument)", "Dataset.instrument; Instrument"),
    ("relatedItems/relatedItem (others)", "Document.related"),
)
def read_related_items(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] != "relateditem":
            continue
        text = kind = title = None
        for part in child:
            name = NAMES[part.tag]
            if name == "relateditemidentifier":
                text, kind = text_of(part), attribute(part, "relatedItemIdentifierType")
            elif name == "titles":
                title = next((text_of(t) for t in part if NAMES[t.tag] == "title"), None)
        relation = attribute(child, "relationType") or "References"
        general = attribute(child, "relatedItemType")
        if (general or "").lower() == "instrument" and title is not None:
            _instrument(title, text, draft)
        elif text is not None:
            _relate(relation, kind, text, general, draft)
        elif title is not None:
            draft.notes.unused(f"resource/relatedItems/relatedItem[{relation}]", title)


def _instrument(title: str, pid: str | None, draft: Draft) -> None:
    made = {"name": title}
    if pid is not None:
        made["pid"] = identify(pid).display
    draft.instruments.append(made)


def _relate(relation: str, kind: str | None, text: str, general: str | None, draft: Draft) -> None:
    shown = identify(text).display
    if relation.lower() == "iscollectedby" and (general or "").lower() == "instrument":
        _instrument(shown, text, draft)
    made = {"relation": relation, "identifier": shown}
    if kind is not None:
        made["type"] = kind
    draft.related.append(made)


@RULES.reads("sizes", ("sizes/size", "Dataset.size", "the first in bytes, kB, KiB …"))
def read_sizes(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] != "size" or (text := text_of(child)) is None:
            continue
        size = size_in_bytes(text)
        if size is None:
            draft.notes.unused("resource/sizes/size", text)
        elif draft.size is None:
            draft.size = size


@RULES.reads("formats", ("formats/format", "Dataset.formats", "HDF5, NeXus …"))
def read_formats(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] != "format" or (text := text_of(child)) is None:
            continue
        draft.file_formats("resource/formats/format", text)


@RULES.reads(
    "rightslist",
    ("rightsList/rights (info:eu-repo, COAR)", "access.evidence"),
    (
        "rightsList/rights (licence)",
        "Document.license",
        "from rightsIdentifier, rightsURI or the text; no evidence of openness alone",
    ),
)
def read_rights(element: Element, draft: Draft) -> None:
    for child in element:
        if NAMES[child.tag] == "rights":
            read_right(child, draft)


RULES.ignores("publisher", "the facility is known from its configuration")
RULES.ignores("language", "of the metadata")
