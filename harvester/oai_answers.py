"""What an OAI-PMH client is told, asks for and gives: options, windows, answers as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from lxml import etree

from harvester.oai_records import OaiRecord
from harvester.oai_repairs import REPAIRS
from harvester.oai_xml import Bounds, Envelope

DAY, SECOND = "YYYY-MM-DD", "YYYY-MM-DDThh:mm:ssZ"

Instant = datetime | date | str


@dataclass(frozen=True, slots=True)
class OaiOptions:
    """Switches for one endpoint; every default is what the protocol says.

    ``repairs``: see ``oai_repairs.REPAIRS``. ``token_encoding``: ``raw`` for servers that refuse
    percent-encoding in tokens (fault B07). ``send_prefix_with_token``: for servers that insist
    (fault B08). ``list_size_is_wrong``: completeListSize is not believed (fault B20).
    ``check_payloads``: parse each payload here too; without it the crosswalk finds what is not
    well-formed.
    """

    repairs: frozenset[str] = frozenset()
    token_encoding: str = "escaped"  # noqa: S105, no password
    send_prefix_with_token: bool = False
    check_payloads: bool = True
    list_size_is_wrong: bool = False
    max_pages: int = 1_000_000
    max_records: int = 1_000_000_000
    bounds: Bounds = field(default_factory=Bounds)


def read_options(options: Mapping[str, Any]) -> OaiOptions:
    """Read a source's options: ``repair`` (true, or a list of names), ``token_encoding`` …

    For a source ``check_payloads`` is off unless asked for or repairs are allowed: its crosswalk
    parses every payload, and one that is not well-formed goes to quarantine from there.
    """
    repair = options.get("repair", False)
    names = REPAIRS if repair is True else (repair or ())
    standard = OaiOptions()
    return OaiOptions(
        repairs=frozenset(names),
        token_encoding=str(options.get("token_encoding", standard.token_encoding)),
        send_prefix_with_token=bool(options.get("send_prefix_with_token", False)),
        list_size_is_wrong=bool(options.get("list_size_is_wrong", False)),
        check_payloads=bool(options.get("check_payloads", bool(repair))),
        max_pages=int(options.get("max_pages", standard.max_pages)),
        max_records=int(options.get("max_records", standard.max_records)),
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Identify (4.2), texts as sent; ``granularity`` is ``DAY`` or ``SECOND``, also when unsaid.

    ``deleted_record`` is ``no``, ``transient`` or ``persistent``; what is not said counts as
    ``no``.
    """

    repository_name: str
    base_url: str
    protocol_version: str
    admin_emails: tuple[str, ...]
    earliest_datestamp: str | None
    deleted_record: str
    granularity: str
    compressions: tuple[str, ...]
    response_date: str | None


@dataclass(frozen=True, slots=True)
class MetadataFormat:
    """One line of ListMetadataFormats (4.4)."""

    prefix: str
    schema: str
    namespace: str


@dataclass(frozen=True, slots=True)
class OaiSet:
    """One line of ListSets (4.6)."""

    spec: str
    name: str


@dataclass(frozen=True, slots=True)
class OaiPage:
    """One answer of a list, or a part of a large one.

    ``token`` is what asks for the next page, ``None`` at the end; ``stop`` names why there is no
    next page (``None``: there is one, or this is a part). ``part``: more of the same answer
    follows. ``checkpoint`` goes to ``pages(resume=…)`` and continues behind this page (for a part:
    at the beginning of its answer). ``seen`` counts the walk's records so far; ``notes`` what was
    mended, dropped or odd on this page; ``first_response_date`` is the responseDate of the first
    answer of the walk, the only sound beginning for the next window (fault B16).
    """

    records: tuple[OaiRecord, ...]
    token: str | None
    complete_list_size: int | None = None
    expiration: str | None = None
    response_date: str | None = None
    first_response_date: str | None = None
    stop: str | None = None
    part: bool = False
    seen: int = 0
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OaiWindow:
    """What a list is asked for, before any token."""

    prefix: str
    set_: str | None
    from_: Instant | None
    until: Instant | None
    granularity: str

    def arguments(self) -> dict[str, str | None]:
        return {
            "metadataPrefix": self.prefix,
            "set": self.set_,
            "from": format_instant(self.from_, self.granularity),
            "until": format_instant(self.until, self.granularity),
        }

    def other_granularity(self) -> OaiWindow | None:
        """The same window in the other granularity, if it has instants at all (fault B13)."""
        if not any(isinstance(end, date) for end in (self.from_, self.until)):
            return None
        return replace(self, granularity=DAY if self.granularity == SECOND else SECOND)


def format_instant(value: Instant | None, granularity: str) -> str | None:
    """Write a ``from`` or ``until`` (2.7.1 UTCdatetime); texts are sent as they are.

    A date becomes the beginning of its day where seconds are wanted.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
        return value.strftime("%Y-%m-%d" if granularity == DAY else "%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() + ("" if granularity == DAY else "T00:00:00Z")


def in_set(sets: Sequence[str], wanted: str | None) -> bool:
    """Whether a header belongs to the set asked for, or does not say (2.7.2; fault B09)."""
    if not wanted or not sets:
        return True
    return any(spec == wanted or spec.startswith(f"{wanted}:") for spec in sets)


def read_identity(envelope: Envelope) -> Identity:
    """What the answer to Identify (4.2) says."""

    def first(name: str) -> str | None:
        return next(iter(_texts(envelope, name)), None)

    deleted = (first("deletedRecord") or "no").lower()
    return Identity(
        repository_name=first("repositoryName") or "",
        base_url=first("baseURL") or "",
        protocol_version=first("protocolVersion") or "",
        admin_emails=_texts(envelope, "adminEmail"),
        earliest_datestamp=first("earliestDatestamp"),
        deleted_record=deleted if deleted in ("transient", "persistent") else "no",
        granularity=DAY if first("granularity") == DAY else SECOND,
        compressions=_texts(envelope, "compression"),
        response_date=envelope.response_date,
    )


def children_of(envelope: Envelope, name: str) -> Sequence[etree._Element]:
    """The children of that name of the verb's element."""
    if envelope.element is None:
        return ()
    return envelope.element.findall(_qualified(envelope, name))


def _texts(envelope: Envelope, name: str) -> tuple[str, ...]:
    found = ((child.text or "").strip() for child in children_of(envelope, name))
    return tuple(text for text in found if text)


def text_of(element: etree._Element, envelope: Envelope, name: str) -> str:
    """The text of an element's child of that name, in the envelope's namespace."""
    return (element.findtext(_qualified(envelope, name)) or "").strip()


def _qualified(envelope: Envelope, name: str) -> str:
    return f"{{{envelope.namespace}}}{name}" if envelope.namespace else name
