"""``openaire``: the OpenAIRE guidelines for data archives, a profile of DataCite 3.1.

Read as DataCite, with what the profile and its providers do differently: rights outside a list,
an embargo as Accepted (start) and Available (end), and SciCat's provider, which sends the constant
date 2020-01-01 and ``openAccess`` for every record.
"""

from __future__ import annotations

from mappings.context import Context, Header
from mappings.drafts import Draft
from mappings.formats import datacite
from mappings.formats.datacite_people import read_person
from mappings.formats.datacite_rights import read_right
from mappings.formats.rules import Rules
from mappings.formats.xml import NAMES, Element, Readers, raw_text, text_of
from mappings.rights import evidence

RULES = Rules(
    "openaire",
    "OpenAIRE for data archives",
    (
        "As DataCite, and `resource` may be in the namespaces of datacite, oaire or none.",
        (
            "Dates of 2020-01-01 that contradict the year or come with the same datestamp are "
            "SciCat's constant and dropped."
        ),
    ),
)
RULES.readers.update(datacite.RULES.readers)
RULES.rows += datacite.RULES.rows
_READERS = Readers(RULES, datacite.keep)

_CONSTANT = "2020-01-01"


def read(element: Element, context: Context, header: Header) -> Draft:
    """Read one OpenAIRE ``resource``.

    Raises:
        MappingError: no ``resource``.
    """
    draft = datacite.draft_of(element, context, header, _READERS)
    if draft.release is not None and _is_constant(draft.release.text, draft):
        draft.notes.dropped("resource/dates/date", draft.release.text, "a constant of the source")
        draft.release = None
        draft.evidence = [
            piece
            for piece in draft.evidence
            if piece["says"] != "embargo_until" or piece["value"] != _CONSTANT
        ]
    _constant_access(draft)
    return draft


def _is_constant(text: str, draft: Draft) -> bool:
    if text != _CONSTANT:
        return False
    same_stamp = (draft.header.datestamp or "").startswith(_CONSTANT)
    return same_stamp or (draft.year is not None and draft.year.year != 2020)


def _constant_access(draft: Draft) -> None:
    """SciCat's provider says openAccess of every record: with its constant datestamp, no evidence.

    The constant datestamp is how its records are known (they carry no other sign).
    """
    if not (draft.header.datestamp or "").startswith(_CONSTANT):
        return
    draft.evidence = [
        evidence("constant", piece["path"], piece["value"]) if piece["says"] == "open" else piece
        for piece in draft.evidence
    ]


@RULES.reads("rights licensecondition accessrights", ("rights", "access.evidence, license"))
def _rights(element: Element, draft: Draft) -> None:
    read_right(element, draft)


@RULES.reads("creator", ("creator", "Document.members (role creator)", "outside creators"))
def _creator(element: Element, draft: Draft) -> None:
    read_person(element, "creator", draft)


@RULES.reads("description", ("description", "Document.summary", "outside descriptions"))
def _description(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.summaries.append(text)


@RULES.reads("subject", ("subject", "Document.keywords; Dataset.techniques", "outside subjects"))
def _subject(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        datacite.read_subject(element, text, draft)


@RULES.reads("date", ("date", "as dates/date", "outside dates"))
def _date(element: Element, draft: Draft) -> None:
    if raw_text(element) and NAMES[element.tag]:
        datacite.read_dates([element], draft)
