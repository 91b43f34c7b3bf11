"""Writes a nested PaNOSC document in the XML formats that facilities send over OAI-PMH.

Every writer gives one element as text, with its namespaces declared on it. The dialects of
``panosc`` are those met in the field: European XFEL's (root ``panoscType``, empty wavelength) and
SciCat's (root ``panosctype`` in the namespace of oai_dc, empty elements, only the last creator).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

Document = Mapping[str, Any]

PANOSC = "http://scicat.esss.se/panosc"
OAI_DC = "http://www.openarchives.org/OAI/2.0/oai_dc/"
DC = "http://purl.org/dc/elements/1.1/"
OAI_DATACITE = "http://schema.datacite.org/oai/oai-1.1/"
KERNEL_4 = "http://datacite.org/schema/kernel-4"
XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True, slots=True)
class Format:
    """A metadataPrefix as ListMetadataFormats shows it, and who writes it."""

    prefix: str
    schema: str
    namespace: str
    write: Callable[[Document], str]


def _element(name: str, text: object, attributes: str = "") -> str:
    if text is None or text == "":
        return f"<{name}{attributes}/>"
    return f"<{name}{attributes}>{escape(str(text))}</{name}>"


def _all(document: Document, relation: str) -> Iterator[Mapping[str, Any]]:
    for dataset in document.get("datasets", ()):
        yield from dataset.get(relation, ())


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(value for value in values if value))


def people(document: Document, *roles: str) -> list[str]:
    """Full names of the members with one of these roles, or of all."""
    return _distinct(
        member.get("person", {}).get("fullName")
        for member in document.get("members", ())
        if not roles or member.get("role") in roles
    )


def technique_names(document: Document) -> list[str]:
    return _distinct(technique.get("name") for technique in _all(document, "techniques"))


def sample_names(document: Document) -> list[str]:
    return _distinct(sample.get("name") for sample in _all(document, "samples"))


def total_size(document: Document) -> int:
    return sum(int(dataset.get("size") or 0) for dataset in document.get("datasets", ()))


def landing_page(document: Document) -> str:
    base = str(document.get("landingPageBase", "https://example.org/doi/"))
    return base + quote(str(document["pid"]), safe="")


def write_panosc(document: Document) -> str:
    """European XFEL's dialect (crosswalks 3.1, column XFEL)."""
    owners = people(document, "owner", "principal investigator") or people(document)
    contributors = [name for name in people(document) if name not in owners[:1]]
    values = (
        ("id", document["pid"]),
        ("name", document.get("title")),
        ("description", document.get("summary")),
        ("owner", owners[0] if owners else None),
        ("contributor", contributors[0] if contributors else None),
        ("embargoEndDate", document.get("releaseDate")),
        ("startDate", document.get("startDate")),
        ("path", landing_page(document)),
        ("technique", ", ".join(technique_names(document))),
        ("sampleName", ", ".join(sample_names(document))),
        ("size", total_size(document)),
        ("wavelength", None),
    )
    inner = "".join(_element(f"panosc:{name}", value) for name, value in values)
    return f'<panosc:panoscType xmlns:panosc="{PANOSC}">{inner}</panosc:panoscType>'


def write_panosc_scicat(document: Document) -> str:
    """SciCat's dialect: wrong namespace, lower-case root, most elements empty, last creator."""
    names = people(document)
    values = (
        ("id", document["pid"]),
        ("name", document.get("title")),
        ("description", document.get("summary")),
        ("owner", names[-1] if names else None),
        ("contactEmail", None),
        ("orcidOfOwner", None),
        ("license", None),
        ("embargoEndDate", None),
        ("startDate", None),
        ("technique", None),
        ("sampleName", None),
        ("size", total_size(document)),
        ("wavelength", None),
    )
    inner = "".join(
        f"<panosc:{name}></panosc:{name}>" if value is None else _element(f"panosc:{name}", value)
        for name, value in values
    )
    return f'<panosc:panosctype xmlns:panosc="{OAI_DC}">{inner}</panosc:panosctype>'


def write_oai_dc(document: Document) -> str:
    """Dublin Core as ICAT's template writes it (crosswalks 3.2)."""
    parts = [_element("dc:title", document.get("title"))]
    parts.append(_element("dc:identifier", f"doi:{document['pid']}"))
    parts += (_element("dc:creator", name) for name in people(document))
    parts += (_element("dc:subject", word) for word in document.get("keywords", ()))
    parts += (_element("dc:subject", name) for name in technique_names(document))
    if document.get("summary"):
        parts.append(_element("dc:description", document["summary"]))
    if document.get("publisher"):
        parts.append(_element("dc:publisher", document["publisher"]))
    if document.get("startDate"):
        end = document.get("endDate") or document["startDate"]
        parts.append(_element("dc:date", f"Created: {document['startDate']}/{end}"))
    if document.get("releaseDate"):
        parts.append(_element("dc:date", f"Available: {document['releaseDate']}"))
    parts.append(_element("dc:type", "Collection"))
    if document.get("license"):
        parts.append(_element("dc:rights", document["license"]))
    if document.get("accessRights"):
        parts.append(_element("dc:rights", document["accessRights"]))
    return (
        f'<oai_dc:dc xmlns:oai_dc="{OAI_DC}" xmlns:dc="{DC}" xmlns:xsi="{XSI}" '
        f'xsi:schemaLocation="{OAI_DC} http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
        f"{''.join(parts)}</oai_dc:dc>"
    )


LICENCES = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}


def _creator(tag: str, member: Mapping[str, Any], kind: str = "") -> str:
    person = member.get("person", {})
    last, first = person.get("lastName"), person.get("firstName")
    name = f"{last}, {first}" if last and first else person.get("fullName")
    parts = [_element(f"{tag}Name", name, ' nameType="Personal"')]
    if person.get("orcid"):
        parts.append(_element("nameIdentifier", person["orcid"], ' nameIdentifierScheme="ORCID"'))
    affiliation = member.get("affiliation") or {}
    if affiliation.get("name"):
        place = (affiliation.get(key) for key in ("name", "address", "city", "country"))
        parts.append(_element("affiliation", ", ".join(text for text in place if text)))
    return f"<{tag}{kind}>{''.join(parts)}</{tag}>"


_CONTRIBUTOR_TYPES = {
    "local contact": "DataCollector",
    "contact": "ContactPerson",
    "principal investigator": "ProjectLeader",
}


def _members(document: Document) -> str:
    members = [m for m in document.get("members", ()) if m.get("person", {}).get("fullName")]
    leading = [m for m in members if m.get("role") in ("principal investigator", "owner")]
    creators = leading or members[:1]
    others = [member for member in members if member not in creators]
    text = f"<creators>{''.join(_creator('creator', m) for m in creators)}</creators>"
    if others:
        kinds = (_CONTRIBUTOR_TYPES.get(m.get("role", ""), "Other") for m in others)
        inner = "".join(
            _creator("contributor", member, f' contributorType="{kind}"')
            for member, kind in zip(others, kinds, strict=True)
        )
        text += f"<contributors>{inner}</contributors>"
    return text


def _subjects(document: Document) -> str:
    parts = []
    if document.get("proposal"):
        parts.append(_element("subject", document["proposal"], ' subjectScheme="Proposal"'))
    instruments = (d.get("instrument", {}).get("name") for d in document.get("datasets", ()))
    parts += (
        _element("subject", name, ' subjectScheme="Instrument"') for name in _distinct(instruments)
    )
    techniques = {
        t["name"]: t.get("panetId") for t in _all(document, "techniques") if t.get("name")
    }
    for name, iri in techniques.items():
        attributes = ' subjectScheme="PaNET"' + (f" valueURI={quoteattr(iri)}" if iri else "")
        parts.append(_element("subject", name, attributes))
    parts += (_element("subject", word) for word in document.get("keywords", ()))
    return f"<subjects>{''.join(parts)}</subjects>" if parts else ""


def _dates(document: Document) -> str:
    parts = []
    if document.get("startDate"):
        end = document.get("endDate") or document["startDate"]
        collected = f"{document['startDate']}/{end}"
        parts.append(_element("date", collected, ' dateType="Collected"'))
    if document.get("releaseDate"):
        released = str(document["releaseDate"])[:10]
        parts.append(_element("date", released, ' dateType="Available"'))
    return f"<dates>{''.join(parts)}</dates>" if parts else ""


def _rights(document: Document) -> str:
    parts = []
    licence = document.get("license")
    if licence:
        uri = LICENCES.get(licence)
        attributes = f" rightsIdentifier={quoteattr(licence)}"
        attributes += f" rightsURI={quoteattr(uri)}" if uri else ""
        parts.append(_element("rights", licence.replace("-", " "), attributes))
    access = document.get("accessRights")
    if access:
        uri = f"info:eu-repo/semantics/{access}"
        parts.append(_element("rights", access, f" rightsURI={quoteattr(uri)}"))
    return f"<rightsList>{''.join(parts)}</rightsList>" if parts else ""


def _instruments(document: Document) -> str:
    parts = []
    for pid, name in dict.fromkeys(
        (d["instrument"]["pid"], d["instrument"]["name"])
        for d in document.get("datasets", ())
        if d.get("instrument")
    ):
        kind = "DOI" if str(pid).startswith("10.") else "Handle"
        identifier = _element("relatedItemIdentifier", pid, f' relatedItemIdentifierType="{kind}"')
        parts.append(
            '<relatedItem relationType="IsCollectedBy" relatedItemType="Instrument">'
            f"{identifier}<titles>{_element('title', name)}</titles></relatedItem>"
        )
    return f"<relatedItems>{''.join(parts)}</relatedItems>" if parts else ""


def write_resource(document: Document) -> str:
    """A DataCite kernel-4 ``resource`` (crosswalks 3.3, ESRF's manner)."""
    year = document.get("publicationYear") or str(document.get("releaseDate") or "")[:4]
    kind = document.get("resourceType", "Experiment Session")
    general = document.get("resourceTypeGeneral", "Dataset")
    size = total_size(document)
    parts = [
        _element("identifier", document["pid"], ' identifierType="DOI"'),
        _members(document),
        f"<titles>{_element('title', document.get('title'))}</titles>",
        _element("publisher", document.get("publisher")),
        _element("publicationYear", year) if year else "",
        _element("resourceType", kind, f' resourceTypeGeneral="{general}"'),
        _subjects(document),
        _dates(document),
        f"<sizes>{_element('size', f'{size / 2**20:.2f} MiB')}</sizes>" if size else "",
        _rights(document),
    ]
    if document.get("summary"):
        abstract = _element("description", document["summary"], ' descriptionType="Abstract"')
        parts.append(f"<descriptions>{abstract}</descriptions>")
    parts.append(_instruments(document))
    return f'<resource xmlns="{KERNEL_4}">{"".join(parts)}</resource>'


def write_oai_datacite(document: Document) -> str:
    """DataCite in the envelope of DataCite's own OAI-PMH server."""
    return (
        f'<oai_datacite xmlns="{OAI_DATACITE}"><schemaVersion>4.4</schemaVersion>'
        f"<datacentreSymbol>SIMULATOR</datacentreSymbol>"
        f"<payload>{write_resource(document)}</payload></oai_datacite>"
    )


FORMATS: Mapping[str, Format] = {
    form.prefix: form
    for form in (
        Format("panosc", "https://scicat.esss.se/panosc.xsd", PANOSC, write_panosc),
        Format("oai_dc", "http://www.openarchives.org/OAI/2.0/oai_dc.xsd", OAI_DC, write_oai_dc),
        Format(
            "oai_datacite",
            "http://schema.datacite.org/oai/oai-1.1/oai.xsd",
            OAI_DATACITE,
            write_oai_datacite,
        ),
        Format(
            "datacite",
            "http://schema.datacite.org/meta/kernel-4.4/metadata.xsd",
            KERNEL_4,
            write_resource,
        ),
        Format("panosc-scicat", "https://scicat.esss.se/panosc.xsd", PANOSC, write_panosc_scicat),
    )
}
