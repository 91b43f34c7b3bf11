"""``oai_dc``: Dublin Core as every repository must offer it, and as little as it says.

Repeated elements in any order, everything optional. Dates carry their meaning as a word in front
(``Created: a/b``, ``Available: a``, as icat.oaipmh writes them) or none at all.
"""

from __future__ import annotations

from functools import lru_cache

from mappings.context import Context, Header
from mappings.dates import Moment, moment, span
from mappings.drafts import Draft, year_evidence
from mappings.formats.rules import Rules
from mappings.formats.xml import (
    NAMES,
    Element,
    Readers,
    keep_unused,
    local_name,
    root_named,
    text_of,
)
from mappings.identifiers import doi_inside, identify, web_link
from mappings.kinds import document_type, kind_of
from mappings.people import agent_name, is_institute, person
from mappings.rights import Evidence, access_statement, evidence, is_licence_like, licence
from mappings.text import is_only_url

RULES = Rules(
    "oai_dc",
    "Dublin Core (oai_dc)",
    (
        "Root `dc`, in any namespace.",
        (
            "A Dataset is derived only where the record says what only a Dataset can hold: a "
            "technique among the subjects, a file format."
        ),
    ),
)


def read(element: Element, context: Context, header: Header) -> Draft:
    """Read one ``oai_dc:dc`` element.

    Raises:
        MappingError: another root element.
    """
    root = element
    if NAMES[element.tag] != "dc":
        root = root_named(element, ("dc",), "an element oai_dc:dc")
    draft = Draft(context, header)
    readers = _READERS
    for child in root:
        reader = readers[child.tag]
        if reader is None:
            continue
        if reader is _unused:
            _unused(child, draft)
        elif (text := text_of(child)) is not None:
            reader(text, draft)
    _settle_type(draft)
    if draft.year is not None:
        latest = draft.end or draft.start
        draft.evidence.append(year_evidence("dc/date", draft.year, latest.year if latest else None))
    return draft


def _unused(element: Element, draft: Draft) -> None:
    keep_unused(element, f"dc/{local_name(element)}", draft.notes)


_READERS = Readers(RULES, _unused)


def _settle_type(draft: Draft) -> None:
    draft.kind, told = _kind_and_type(draft.types)
    # icat.oaipmh calls each investigation a Collection: with experiment dates it is data.
    if draft.kind == "collection" and draft.start is not None:
        draft.kind = "data"
    draft.type = draft.context.document_type or told


@lru_cache(maxsize=1024)
def _kind_and_type(types: tuple[str, ...]) -> tuple[str, str | None]:
    """What the types of a record say together; few combinations in a harvest."""
    kinds = [kind_of(text) for text in types] or ["data"]
    kind = next((kind for kind in kinds if kind != "other"), "other")
    told = next((found for text in types if (found := document_type(text)) is not None), None)
    return kind, told or next(iter(types), None)


@RULES.reads("title", ("title", "Document.title", "the first; others are kept as unused"))
def _title(text: str, draft: Draft) -> None:
    if draft.title is None:
        draft.title = text
    elif text != draft.title:
        draft.notes.unused("dc/title", text)


@RULES.reads("description", ("description", "Document.summary", "a lone URL becomes a link"))
def _description(text: str, draft: Draft) -> None:
    if is_only_url(text):
        _link(text, "description", draft)
    else:
        draft.summaries.append(text)


@RULES.reads(
    "identifier",
    ("identifier", "Document.pid, doi", "the first DOI, else Handle, else the OAI identifier"),
    ("identifier (URL)", "Document.links (landing page)"),
    ("identifier (others)", "Document.alternateIds"),
)
def _identifier(text: str, draft: Draft) -> None:
    found = identify(text)
    if found.scheme == "url":
        _link(text, "landing", draft)
    elif found.scheme in ("doi", "hdl"):
        draft.identifier(found)
    else:
        draft.alternate.append(found.display)


@RULES.reads("creator", ("creator", "Document.members (role creator)"))
def _creator(text: str, draft: Draft) -> None:
    name = agent_name(text)
    if name is not None:
        draft.members.append({"person": person(name), "role": "creator"})
    else:
        _no_person(text, draft, "creator")


@RULES.reads("contributor", ("contributor", "Document.members (role contributor)"))
def _contributor(text: str, draft: Draft) -> None:
    name = agent_name(text)
    if name is not None:
        draft.members.append({"person": person(name), "role": "contributor"})
    else:
        _no_person(text, draft, "contributor")


def _no_person(text: str, draft: Draft, role: str) -> None:
    if is_institute(text):
        draft.members.append({"role": role, "affiliation": {"name": text}})
    else:
        draft.notes.dropped(f"dc/{role}", text, "no name of a person")


_DATE_WORDS = {
    "created": "experiment",
    "collected": "experiment",
    "available": "available",
    "issued": "published",
    "date": "published",
    "published": "published",
    "updated": "changed",
    "modified": "changed",
    "accepted": "changed",
    "submitted": "changed",
}
_DATE_WORDS |= {word.capitalize(): meaning for word, meaning in _DATE_WORDS.items()}


@RULES.reads(
    "date",
    ("date (Created: a/b, Collected: a/b)", "Document.startDate, endDate, years"),
    ("date (Available: a)", "Document.releaseDate, access.embargoUntil"),
    ("date (a range without a word)", "Document.startDate, endDate, years"),
    (
        "date (others)",
        "Document.releaseDate",
        "publication; never a date of the experiment; a bare year keeps its precision",
    ),
)
def _date(text: str, draft: Draft) -> None:
    word, colon, rest = text.partition(":")
    meaning = None
    if colon:
        meaning = _DATE_WORDS.get(word) or _DATE_WORDS.get(word.strip().lower())
    if meaning is not None:
        value = rest.strip()
    else:
        value = text
        if "/" in value:
            meaning = "experiment"
    if meaning == "experiment":
        when = span(value, draft.context.time_zone)
        if when is None:
            draft.notes.dropped("dc/date", value, "no date")
        else:
            draft.start = when.start
            draft.end = when.end if "/" in value else None
    elif (found := moment(value, draft.context.time_zone)) is None:
        draft.notes.dropped("dc/date", value, "no date")
    elif meaning == "available" and found.certain:
        draft.release = found
        draft.embargo("dc/date", value, found)
    elif meaning == "changed":
        draft.notes.unused("dc/date", text)
    else:
        _published(found, draft)


def _published(found: Moment, draft: Draft) -> None:
    if draft.year is None or found.first_second < draft.year.first_second:
        draft.year = found


@RULES.reads("subject", ("subject", "Document.keywords; Dataset.techniques", "linked to PaNET"))
def _subject(text: str, draft: Draft) -> None:
    draft.subjects.append(text)


@RULES.reads("type", ("type", "Document.kind, type", "the type by the facility's rule first"))
def _type(text: str, draft: Draft) -> None:
    draft.types += (text,)


@RULES.reads("format", ("format", "Dataset.formats", "HDF5, NeXus …; others are unused"))
def _format(text: str, draft: Draft) -> None:
    draft.file_formats("dc/format", text)


@RULES.reads(
    "rights",
    ("rights (info:eu-repo, COAR)", "access.evidence"),
    ("rights (licence)", "Document.license", "a licence alone does not prove openness"),
)
def _rights(text: str, draft: Draft) -> None:
    piece, spdx = _rights_of(text, draft.context.is_public_is_constant)
    if piece is None:
        draft.notes.unused("dc/rights", text)
    else:
        draft.evidence.append(piece)
    if spdx is not None and draft.license is None:
        draft.license = spdx


@lru_cache(maxsize=4096)
def _rights_of(text: str, constant: bool) -> tuple[Evidence | None, str | None]:
    """The evidence and the licence in a text of rights; few in a harvest."""
    statement = access_statement(text)
    if statement is not None:
        says = "constant" if statement == "open" and constant else statement
        return evidence(says, "dc/rights", text), None
    if is_licence_like(text):
        return evidence("licence", "dc/rights", text), licence(text)
    return None, None


@RULES.reads("relation", ("relation", "Document.related", "DOI, Handle or URL inside the text"))
def _relation(text: str, draft: Draft) -> None:
    _related(text, "relation", draft)


@RULES.reads("source", ("source", "Document.related", "an identifier; a facility name is unused"))
def _source(text: str, draft: Draft) -> None:
    _related(text, "source", draft)


def _related(text: str, relation: str, draft: Draft) -> None:
    found = identify(text)
    if found.scheme in ("doi", "hdl", "igsn", "url"):
        kind = {"doi": "DOI", "hdl": "Handle", "igsn": "IGSN", "url": "URL"}[found.scheme]
        draft.related.append({"relation": relation, "identifier": found.display, "type": kind})
    elif (inside := doi_inside(text)) is not None:
        draft.related.append({"relation": relation, "identifier": inside, "type": "DOI"})
    else:
        draft.notes.unused(f"dc/{relation}", text)


def _link(text: str, rel: str, draft: Draft) -> None:
    url = web_link(text)
    if url is None:
        draft.notes.dropped("dc/identifier", text, "no web address")
    else:
        draft.links.append({"rel": rel, "url": url})


RULES.ignores("publisher", "the facility is known from its configuration")
RULES.ignores("language", "of the metadata")
