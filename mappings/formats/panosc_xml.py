"""``panosc`` over OAI-PMH: one flat record → a Document and one derived Dataset.

Two dialects: European XFEL's (namespace ``http://scicat.esss.se/panosc``, root ``panoscType``) and
that of SciCat's oai-provider-service (in the Dublin Core namespace, most elements empty). The
schema shipped with harvest-api has ``size`` and ``wavelength`` with children value and units.
"""

from __future__ import annotations

import re

from mappings.context import Context, Header
from mappings.drafts import Draft
from mappings.formats.rules import Rules
from mappings.formats.xml import (
    NAMES,
    Element,
    Readers,
    keep_unused,
    local_name,
    raw_text,
    root_named,
    text_of,
)
from mappings.identifiers import identify, orcid, web_link
from mappings.people import member, person_name
from mappings.rights import evidence, licence
from mappings.tags import techniques_in_list
from mappings.text import is_only_url, split_samples
from mappings.values import scalar, size_in_bytes

RULES = Rules(
    "panosc",
    "PaNOSC XML over OAI-PMH",
    (
        "Root `panosc`, `panoscType` or `panosctype`, in any namespace.",
        "Each record gives a Document and one Dataset with the same identifier, marked derived.",
        (
            "The type is the facility's configured one; else `proposal` for European XFEL's "
            "dialect and `publication` for SciCat's."
        ),
    ),
)
_ROOTS = ("panosc", "panosctype")
_XFEL_NAMESPACE = "http://scicat.esss.se/panosc"
_XFEL_PROPOSAL = re.compile(r"10\.22003/XFEL\.EU-DATA-([0-9]{6})-[0-9]{2}", re.IGNORECASE)


def read(element: Element, context: Context, header: Header) -> Draft:
    """Read one ``panosc`` element.

    Raises:
        MappingError: another root element.
    """
    root = root_named(element, _ROOTS, "an element panosc or panoscType")
    draft = Draft(context, header)
    draft.always_dataset = True
    for child in root:
        reader = _READERS[child.tag]
        if reader is not None:
            reader(child, draft)
    xfel = _XFEL_NAMESPACE in str(root.tag) or local_name(root) == "panoscType"
    draft.type = context.document_type or ("proposal" if xfel else "publication")
    if draft.doi is not None and (found := _XFEL_PROPOSAL.fullmatch(draft.doi)):
        draft.proposal = found.group(1)
    return draft


def _unused(element: Element, draft: Draft) -> None:
    keep_unused(element, f"panosc/{local_name(element)}", draft.notes)


_READERS = Readers(RULES, _unused)


@RULES.reads("id pid", ("id", "Document.pid, doi; Dataset.pid, doi", "the same identifier"))
def _identifier(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.identifier(identify(text))


@RULES.reads("name title", ("name", "Document.title, Dataset.title"))
def _title(element: Element, draft: Draft) -> None:
    draft.title = draft.title or text_of(element)


@RULES.reads("description", ("description", "Document.summary", "a lone URL becomes a link"))
def _description(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is None:
        return
    if is_only_url(text):
        if (url := web_link(text)) is not None:
            draft.links.append({"rel": "description", "url": url})
    else:
        draft.summaries.append(text)


@RULES.reads("owner", ("owner", "Document.members (role owner)"))
def _owner(element: Element, draft: Draft) -> None:
    _person(element, draft, "owner")


@RULES.reads("contributor", ("contributor", "Document.members (role contributor)"))
def _contributor(element: Element, draft: Draft) -> None:
    _person(element, draft, "contributor")


def _person(element: Element, draft: Draft, role: str) -> None:
    text = text_of(element)
    if text is None:
        return
    name = person_name(text)
    if name is None:
        draft.notes.dropped(f"panosc/{role}", text, "no name of a person")
    else:
        draft.members.append(member(name, role_name=role))


@RULES.reads("orcidofowner", ("orcidOfOwner", "person.orcid of the owner", "checksum verified"))
def _orcid(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is None:
        return
    code = orcid(text)
    owner = draft.members[-1] if draft.members else {}
    if code is None:
        draft.notes.dropped("panosc/orcidOfOwner", text, "no valid ORCID")
    elif owner.get("role") == "owner":
        owner["person"].setdefault("orcid", code)
    else:
        draft.notes.unused("panosc/orcidOfOwner", text)


@RULES.reads("license", ("license", "Document.license", "SPDX identifier"))
def _license(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is None:
        return
    draft.license = licence(text)
    draft.evidence.append(evidence("licence", "panosc/license", text))
    if draft.license is None:
        draft.notes.dropped("panosc/license", text, "no licence with an SPDX identifier")


@RULES.reads("chemicalformula", ("chemicalFormula", "Dataset.parameters sample_chemical_formula"))
def _formula(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.parameters.append(("sample_chemical_formula", text, None))


@RULES.reads(
    "embargoenddate",
    (
        "embargoEndDate",
        "Document.releaseDate, access.embargoUntil",
        "a passed date alone does not say that the data were opened",
    ),
)
def _embargo(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None and (found := draft.certain("panosc/embargoEndDate", text)):
        draft.release = found
        draft.embargo("panosc/embargoEndDate", text, found)


@RULES.reads("startdate", ("startDate", "Document.startDate, years; Dataset.creationDate"))
def _start(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.start = draft.certain("panosc/startDate", text)


@RULES.reads("enddate", ("endDate", "Document.endDate, years"))
def _end(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.end = draft.certain("panosc/endDate", text)


@RULES.reads("path", ("path", "Document.links (landing page)", "a web address, not a file"))
def _path(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is None:
        return
    if (url := web_link(text)) is not None:
        draft.links.append({"rel": "landing", "url": url})
    else:
        draft.notes.unused("panosc/path", text)


@RULES.reads("technique", ("technique", "Dataset.techniques", "comma list of labels"))
def _technique(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.techniques += techniques_in_list(text, draft.context.probes)


@RULES.reads(
    "samplename",
    ("sampleName", "Dataset.samples", "comma list; “No Sample” dropped, chemical names kept whole"),
)
def _sample(element: Element, draft: Draft) -> None:
    text = text_of(element)
    if text is not None:
        draft.samples += [{"name": name} for name in split_samples(text)]


@RULES.reads("size", ("size", "Dataset.size", "bytes; or children value and units"))
def _size(element: Element, draft: Draft) -> None:
    value, unit = _value_and_unit(element)
    if value is None or value == "0":
        return
    draft.size = size_in_bytes(value, unit)
    if draft.size is None:
        draft.notes.dropped("panosc/size", f"{value} {unit or ''}".strip(), "no size in bytes")


@RULES.reads(
    "wavelength",
    ("wavelength", "Dataset.parameters incident_wavelength", "or children value and units"),
)
def _wavelength(element: Element, draft: Draft) -> None:
    value, unit = _value_and_unit(element)
    if (sent := scalar(value)) is not None:
        draft.parameters.append(("incident_wavelength", sent, unit))


def _value_and_unit(element: Element) -> tuple[str | None, str | None]:
    """Text of ``<size>1</size>`` or of ``<size><value>1</value><units>B</units></size>``."""
    if not len(element):
        return text_of(element), None
    value = unit = None
    for child in element:
        name = NAMES[child.tag]
        if name == "value":
            value = text_of(child)
        elif name in ("unit", "units"):
            unit = text_of(child)
    return value, unit


@RULES.reads("contactemail", ("contactEmail", "—", "an address of a person, not kept"))
def _email(element: Element, draft: Draft) -> None:
    text = raw_text(element)
    if text:
        draft.notes.unused("panosc/contactEmail", text)
