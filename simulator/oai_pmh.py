"""The OAI-PMH 2.0 side of a simulated facility: all verbs, tokens, sets, errors.

Specification: http://www.openarchives.org/OAI/openarchivesprotocol.html (section numbers below).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from simulator.faults import Faults
from simulator.formats import FORMATS
from simulator.protocol import (
    Answer,
    Exchange,
    Item,
    OaiError,
    Page,
    ServerFault,
    Token,
    utc_seconds,
)
from simulator.records import Holdings, Record

CONTENT_TYPE = "text/xml; charset=utf-8"
PAGE_CACHE_SIZE = 512
"""Written pages kept; the endpoint of a benchmark keeps all (``OaiOptions.cached_pages``)."""


@dataclass(frozen=True, slots=True)
class OaiOptions:
    """How an OAI-PMH endpoint presents itself.

    ``base_url``: what Identify and ``request`` say; ``None`` for the URL really asked.
    ``prefixes``: metadataPrefix to the format (of ``formats.FORMATS``) that writes it.
    ``sets``: setSpec to setName; ``None`` for a repository without sets.
    ``token_lifetime_s``: sends expirationDate and refuses older tokens.
    ``ends_with_token``: whether the last page of several ends with an empty token, as the protocol
    wants (3.5), or with no element. ``ruby_request``: arguments in ``request`` as the dump of a
    Ruby hash (European XFEL). ``earliest``: overrides earliestDatestamp, also with nonsense.
    """

    path: str = "/oai"
    repository_name: str = "Simulated repository"
    base_url: str | None = None
    admin_emails: tuple[str, ...] = ("admin@example.org",)
    granularity: Literal["seconds", "days"] = "seconds"
    deleted_record: Literal["no", "transient", "persistent"] = "no"
    prefixes: Mapping[str, str] = field(
        default_factory=lambda: {"oai_dc": "oai_dc", "oai_datacite": "oai_datacite"}
    )
    sets: Mapping[str, str] | None = None
    page_size: int = 100
    complete_list_size: bool = True
    token_lifetime_s: float | None = None
    ends_with_token: bool = True
    gzip: bool = True
    ruby_request: bool = False
    earliest: str | None = None
    cached_pages: int = PAGE_CACHE_SIZE


PREAMBLE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"'
    b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    b' xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/'
    b' http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">'
)
ARGUMENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # verb: required arguments, optional arguments (section 4)
    "Identify": (frozenset(), frozenset()),
    "ListMetadataFormats": (frozenset(), frozenset({"identifier"})),
    "ListSets": (frozenset(), frozenset()),
    "GetRecord": (frozenset({"identifier", "metadataPrefix"}), frozenset()),
    "ListIdentifiers": (frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"})),
    "ListRecords": (frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"})),
}
RESUMABLE = frozenset({"ListSets", "ListIdentifiers", "ListRecords"})

_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
_SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list request asks for, as instants; ``from_text`` and ``until_text`` as sent."""

    prefix: str
    set: str | None
    from_text: str | None
    until_text: str | None
    from_: datetime | None
    until: datetime | None


class OaiEndpoint:
    """Answers OAI-PMH requests over some holdings. No I/O: exchanges in, answers out."""

    def __init__(self, options: OaiOptions, holdings: Holdings, faults: Faults) -> None:
        self.options = options
        self._holdings = holdings
        self._faults = faults
        self._pages: dict[tuple[object, ...], bytes] = {}

    def answer(self, exchange: Exchange) -> Answer:
        """The whole OAI-PMH document for one request; errors of the protocol included."""
        attributes = dict(exchange.params)
        try:
            self._faults.alter(exchange)
            check_arguments(exchange)
            content = self._content(exchange)
        except OaiError as error:
            if error.code in ("badVerb", "badArgument"):
                attributes = {}  # section 3.6: then request has no attributes
            content = (
                f"<error code={quoteattr(error.code)}>{escape(error.message)}</error>".encode()
            )
        except ServerFault as fault:
            return Answer(f"Internal Server Error: {fault}".encode(), "text/plain", 500)
        answer = Answer(self._envelope(exchange, attributes, content), CONTENT_TYPE)
        self._faults.spoil(exchange, answer)
        return answer

    def _envelope(self, exchange: Exchange, attributes: dict[str, str], content: bytes) -> bytes:
        base = escape(self.options.base_url or exchange.url)
        if self.options.ruby_request:
            dump = ", ".join(f'"{name}"=>"{value}"' for name, value in sorted(attributes.items()))
            request = f"<request>{base}{escape('{' + dump + '}')}</request>"
        else:
            named = "".join(f" {k}={quoteattr(v)}" for k, v in attributes.items())
            request = f"<request{named}>{base}</request>"
        response_date = f"<responseDate>{utc_seconds(exchange.now)}</responseDate>"
        return b"".join(
            (PREAMBLE, response_date.encode(), request.encode(), content, b"</OAI-PMH>")
        )

    def _content(self, exchange: Exchange) -> bytes:
        verb = exchange.verb
        if verb == "Identify":
            return self._identify(exchange)
        if verb == "ListMetadataFormats":
            return self._list_formats(exchange.params.get("identifier"))
        if verb == "ListSets":
            return self._list_sets(exchange)
        if verb == "GetRecord":
            return self._get_record(exchange)
        return self._list(exchange)

    def _identify(self, exchange: Exchange) -> bytes:
        options = self.options
        earliest = options.earliest
        if earliest is None:
            first = self._holdings.earliest() or datetime(1970, 1, 1, tzinfo=UTC)
            earliest = self._stamp(first)
        mails = "".join(f"<adminEmail>{escape(mail)}</adminEmail>" for mail in options.admin_emails)
        form = "YYYY-MM-DDThh:mm:ssZ" if options.granularity == "seconds" else "YYYY-MM-DD"
        compression = "<compression>gzip</compression>" if options.gzip else ""
        return (
            f"<Identify><repositoryName>{escape(options.repository_name)}</repositoryName>"
            f"<baseURL>{escape(options.base_url or exchange.url)}</baseURL>"
            f"<protocolVersion>2.0</protocolVersion>{mails}"
            f"<earliestDatestamp>{escape(earliest)}</earliestDatestamp>"
            f"<deletedRecord>{options.deleted_record}</deletedRecord>"
            f"<granularity>{form}</granularity>{compression}</Identify>"
        ).encode()

    def _list_formats(self, identifier: str | None) -> bytes:
        prefixes = list(self.options.prefixes)
        if identifier is not None:
            record = self._known(identifier)
            prefixes = [p for p in prefixes if record.offers(self.options.prefixes[p])]
            if not prefixes or record.deleted:
                raise OaiError("noMetadataFormats", f"{identifier} is in no format.")
        parts = []
        for prefix in prefixes:
            form = FORMATS.get(self.options.prefixes[prefix])
            schema = form.schema if form else "https://example.org/schema.xsd"
            namespace = form.namespace if form else "https://example.org/schema/"
            parts.append(
                f"<metadataFormat><metadataPrefix>{escape(prefix)}</metadataPrefix>"
                f"<schema>{schema}</schema>"
                f"<metadataNamespace>{namespace}</metadataNamespace></metadataFormat>"
            )
        return f"<ListMetadataFormats>{''.join(parts)}</ListMetadataFormats>".encode()

    def _list_sets(self, exchange: Exchange) -> bytes:
        if self.options.sets is None:
            raise OaiError("noSetHierarchy", "This repository has no sets.")
        size = self.options.page_size
        token, start, page = None, 0, 1
        if "resumptionToken" in exchange.params:
            resumed = self._resumed(exchange)
            start, page = resumed.cursor, resumed.page
        specs = list(self.options.sets)
        if start + size < len(specs):
            after = (exchange.now.isoformat(), specs[start + size - 1])
            issued = int(exchange.now.timestamp())
            token = Token(
                "ListSets", "", None, None, None, after, start + size, page + 1, issued
            ).encode()
        listed = "".join(
            f"<set><setSpec>{escape(spec)}</setSpec>"
            f"<setName>{escape(self.options.sets[spec])}</setName></set>"
            for spec in specs[start : start + size]
        )
        text = f"<ListSets>{listed}{f'<resumptionToken>{token}</resumptionToken>' if token else ''}"
        return f"{text}</ListSets>".encode()

    def _known(self, identifier: str) -> Record:
        record = self._holdings.get(identifier)
        if record is None:
            raise OaiError("idDoesNotExist", f"There is no {identifier}.")
        return record

    def _written_by(self, prefix: str) -> str:
        form = self.options.prefixes.get(prefix)
        if form is None:
            known = ", ".join(self.options.prefixes)
            raise OaiError(
                "cannotDisseminateFormat", f"{prefix} is none of the formats here: {known}."
            )
        return form

    def _get_record(self, exchange: Exchange) -> bytes:
        form = self._written_by(exchange.params["metadataPrefix"])
        record = self._known(exchange.params["identifier"])
        if not record.offers(form):
            raise OaiError("cannotDisseminateFormat", f"{record.identifier} is not in this format.")
        page = Page("GetRecord", [self._item(record, form)], None, 0, None, None)
        self._faults.distort(exchange, page)
        return write_items(page)

    def _resumed(self, exchange: Exchange) -> Token:
        token = Token.decode(exchange.params["resumptionToken"])
        if token.verb != exchange.verb:
            raise OaiError("badResumptionToken", "This token belongs to another verb.")
        lifetime_s = self.options.token_lifetime_s
        if lifetime_s is not None and exchange.now.timestamp() > token.issued + lifetime_s:
            raise OaiError("badResumptionToken", "This token has expired.")
        return token

    def _list(self, exchange: Exchange) -> bytes:
        resumed: Token | None = None
        if "resumptionToken" in exchange.params:
            resumed = self._resumed(exchange)
            asked = (resumed.prefix, resumed.set, resumed.from_, resumed.until)
        else:
            p = exchange.params
            asked = (p["metadataPrefix"], p.get("set"), p.get("from"), p.get("until"))
        selection = select(*asked, options=self.options)
        form = self._written_by(selection.prefix)
        if selection.set is not None and self.options.sets is None:
            raise OaiError("noSetHierarchy", "This repository has no sets.")
        if self._faults.touch_pages or self.options.token_lifetime_s is not None:
            page = self._page(exchange, selection, form, resumed)
            self._faults.distort(exchange, page)
            return write_items(page)
        key = (self._holdings.version, exchange.verb, asked, resumed and (resumed.after))
        kept = self._pages.get(key)
        if kept is None:
            kept = write_items(self._page(exchange, selection, form, resumed))
            if len(self._pages) >= self.options.cached_pages:
                self._pages.pop(next(iter(self._pages)))
            self._pages[key] = kept
        return kept

    def _page(
        self, exchange: Exchange, selection: Selection, form: str, resumed: Token | None
    ) -> Page:
        after = None
        if resumed is not None:
            after = (datetime.fromisoformat(resumed.after[0]), resumed.after[1])
        records, total, more = self._holdings.slice(
            form,
            selection.set,
            selection.from_,
            selection.until,
            after,
            self.options.page_size,
        )
        if not records:
            if resumed is None:
                raise OaiError("noRecordsMatch", "No record matches.")
            raise OaiError("badResumptionToken", "Nothing follows this token any more.")
        cursor = resumed.cursor if resumed else 0
        number = resumed.page if resumed else 1
        token: str | None = None
        issued = exchange.now
        if more:
            last = records[-1]
            token = Token(
                exchange.verb,
                selection.prefix,
                selection.set,
                selection.from_text,
                selection.until_text,
                (last.datestamp.isoformat(), last.identifier),
                cursor + len(records),
                number + 1,
                int(issued.timestamp()) if self.options.token_lifetime_s is not None else 0,
            ).encode()
        elif resumed is not None and self.options.ends_with_token:
            token = ""
        lifetime_s = self.options.token_lifetime_s
        with_metadata = exchange.verb == "ListRecords"
        return Page(
            exchange.verb,
            [self._item(record, form, with_metadata=with_metadata) for record in records],
            token,
            cursor,
            total if self.options.complete_list_size else None,
            issued + timedelta(seconds=lifetime_s) if lifetime_s is not None else None,
        )

    def _stamp(self, instant: datetime) -> str:
        text = utc_seconds(instant)
        return text if self.options.granularity == "seconds" else text[:10]

    def _item(self, record: Record, form: str, *, with_metadata: bool = True) -> Item:
        sets = record.sets if self.options.sets is not None else ()
        payload = record.payload(form) if with_metadata and not record.deleted else None
        return Item(record.identifier, self._stamp(record.datestamp), sets, record.deleted, payload)


def check_arguments(exchange: Exchange) -> None:
    """Raises OaiError badVerb or badArgument (section 3.6)."""
    names = [name for name, _ in exchange.pairs]
    if names.count("verb") > 1:
        raise OaiError("badVerb", "The verb is repeated.")
    if exchange.verb not in ARGUMENTS:
        raise OaiError("badVerb", f"{exchange.verb!r} is none of {', '.join(ARGUMENTS)}.")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise OaiError("badArgument", f"Repeated: {', '.join(sorted(repeated))}.")
    required, optional = ARGUMENTS[exchange.verb]
    given = set(exchange.params) - {"verb"}
    if "resumptionToken" in given and exchange.verb in RESUMABLE:
        if given != {"resumptionToken"}:
            raise OaiError("badArgument", "resumptionToken is an exclusive argument.")
        return
    illegal = given - required - optional
    if illegal:
        raise OaiError("badArgument", f"Not an argument here: {', '.join(sorted(illegal))}.")
    missing = required - given
    if missing:
        raise OaiError("badArgument", f"Missing: {', '.join(sorted(missing))}.")


def select(
    prefix: str, set_: str | None, from_: str | None, until: str | None, *, options: OaiOptions
) -> Selection:
    """Read the arguments of a list request; OaiError badArgument for dates it must refuse."""
    if from_ is not None and until is not None and len(from_) != len(until):
        raise OaiError("badArgument", "from and until differ in granularity.")
    start = None if from_ is None else read_datestamp("from", from_, options.granularity)
    end = None if until is None else read_datestamp("until", until, options.granularity)
    if end is not None and until is not None and len(until) == 10:
        end += timedelta(days=1) - timedelta(microseconds=1)
    elif end is not None:
        end += timedelta(seconds=1) - timedelta(microseconds=1)
    if start is not None and end is not None and start > end:
        raise OaiError("badArgument", "from is later than until.")
    return Selection(prefix, set_, from_, until, start, end)


def read_datestamp(name: str, text: str, granularity: str) -> datetime:
    """A day or, where the repository knows seconds, a second (section 2.5.1)."""
    if _SECOND.match(text) and granularity == "days":
        raise OaiError("badArgument", f"{name}: this repository's granularity is days.")
    if not (_SECOND.match(text) or _DAY.match(text)):
        raise OaiError("badArgument", f"{name}: {text!r} is no UTCdatetime.")
    try:
        return datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=UTC)
    except ValueError as error:
        raise OaiError("badArgument", f"{name}: {text!r} is no date.") from error


def write_header(item: Item) -> bytes:
    """The header element; left out is what is ``None``."""
    parts = ['<header status="deleted">' if item.deleted else "<header>"]
    if item.identifier is not None:
        parts.append(f"<identifier>{escape(item.identifier)}</identifier>")
    if item.datestamp is not None:
        parts.append(f"<datestamp>{escape(item.datestamp)}</datestamp>")
    parts += (f"<setSpec>{escape(spec)}</setSpec>" for spec in item.sets)
    parts.append("</header>")
    return "".join(parts).encode()


def write_items(page: Page) -> bytes:
    """The verb's element with its records or headers and the resumption token (section 3.5)."""
    parts: list[bytes] = [f"<{page.verb}>".encode()]
    for item in page.items:
        header = write_header(item)
        if page.verb == "ListIdentifiers":
            parts.append(header)
        elif item.payload is None:
            parts += (b"<record>", header, b"</record>")
        else:
            parts += (b"<record>", header, b"<metadata>", item.payload, b"</metadata></record>")
    if page.token is not None:
        parts.append(write_token(page))
    parts.append(f"</{page.verb}>".encode())
    return b"".join(parts)


def write_token(page: Page) -> bytes:
    attributes = ""
    if page.expires is not None and page.token:
        attributes += f' expirationDate="{utc_seconds(page.expires)}"'
    if page.complete_list_size is not None:
        attributes += f' completeListSize="{page.complete_list_size}" cursor="{page.cursor}"'
    return f"<resumptionToken{attributes}>{escape(page.token or '')}</resumptionToken>".encode()


def page_of(params: Mapping[str, str]) -> int:
    """Which page of a list is asked for, for the faults' conditions; 1 when unreadable."""
    text = params.get("resumptionToken")
    if not text:
        return 1
    try:
        return Token.decode(text.split(" ")[0]).page
    except OaiError:
        return 1
