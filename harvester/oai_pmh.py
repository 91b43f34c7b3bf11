"""An asynchronous OAI-PMH 2.0 client: all six verbs, usable by itself.

Follows http://www.openarchives.org/OAI/openarchivesprotocol.html; section numbers below are its::

    async with Fetcher(contact="you@example.org") as fetcher:
        client = OaiClient(fetcher, "https://example.org/oai")
        identity = await client.identify()
        async for record in client.list_records("oai_dc"):
            print(record.header.identifier, record.deleted, record.payload)

Answers are believed before their HTTP status (fault A09); each list is walked with the guards of
``oai_walk``; whatever is odd about a single record stays with that record.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from lxml import etree

from harvester.errors import BadArgument, HarvestError, protocol_error
from harvester.http import Access, Fetcher
from harvester.oai_repairs import REPAIRS
from harvester.oai_walk import Fingerprint, Walk, resumed
from harvester.oai_xml import AnswerReader, Bounds, Envelope, OaiRecord, Token
from mappings.context import Header

DAY, SECOND = "YYYY-MM-DD", "YYYY-MM-DDThh:mm:ssZ"

_ACCEPT = "text/xml, application/xml;q=0.9, */*;q=0.1"
# Left as they are for servers that reject escapes: all but what would end or split a query.
_RAW_SAFE = "!$'()*+,-./:;=?@_~|%[]{}^`\"<>\\"

Instant = datetime | date | str


@dataclass(frozen=True, slots=True)
class OaiOptions:
    """Switches for one endpoint; every default is what the protocol says.

    ``repairs``: see ``oai_repairs.REPAIRS``. ``token_encoding``: ``raw`` for servers that refuse
    percent-encoding in tokens (fault B07). ``send_prefix_with_token``: for servers that insist
    (fault B08). ``check_payloads``: parse each payload here too; without it the crosswalk finds
    what is not well-formed.
    """

    repairs: frozenset[str] = frozenset()
    token_encoding: str = "escaped"  # noqa: S105, no password
    send_prefix_with_token: bool = False
    check_payloads: bool = True
    max_pages: int = 1_000_000
    max_records: int = 1_000_000_000
    bounds: Bounds = field(default_factory=Bounds)


def read_options(options: Mapping[str, Any]) -> OaiOptions:
    """Read a source's options: ``repair`` (true, or a list of names), ``token_encoding`` …"""
    repair = options.get("repair", False)
    names = REPAIRS if repair is True else (repair or ())
    standard = OaiOptions()
    return OaiOptions(
        repairs=frozenset(names),
        token_encoding=str(options.get("token_encoding", standard.token_encoding)),
        send_prefix_with_token=bool(options.get("send_prefix_with_token", False)),
        check_payloads=bool(options.get("check_payloads", True)),
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


class OaiClient:
    """One OAI-PMH endpoint.

    Args:
        fetcher: shared by all sources; its limits and patience apply.
        base_url: the address that is asked, which need not be the one in Identify.
        access: credentials, internal addresses, pace.
        options: switches for this endpoint.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        base_url: str,
        *,
        access: Access | None = None,
        options: OaiOptions | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._base_url = base_url
        self._access = access or Access()
        self.options = options or OaiOptions()
        self.granularity = SECOND
        self.moved_to: str | None = None

    async def identify(self) -> Identity:
        """Ask what the repository says of itself (4.2) and take on its granularity (fault B13).

        Raises:
            HarvestError: see ``harvester.errors``.
        """
        envelope, _ = await self._ask("Identify", {})

        def texts(name: str) -> tuple[str, ...]:
            return _texts(envelope, name)

        granularity = DAY if (texts("granularity") or (SECOND,))[0] == DAY else SECOND
        self.granularity = granularity
        deleted = (texts("deletedRecord") or ("no",))[0].lower()
        return Identity(
            repository_name=(texts("repositoryName") or ("",))[0],
            base_url=(texts("baseURL") or ("",))[0],
            protocol_version=(texts("protocolVersion") or ("",))[0],
            admin_emails=texts("adminEmail"),
            earliest_datestamp=(texts("earliestDatestamp") or (None,))[0],
            deleted_record=deleted if deleted in ("transient", "persistent") else "no",
            granularity=granularity,
            compressions=texts("compression"),
            response_date=envelope.response_date,
        )

    async def list_metadata_formats(
        self, identifier: str | None = None
    ) -> tuple[MetadataFormat, ...]:
        """List the formats of the repository or of one item (4.4).

        Raises:
            IdDoesNotExist, NoMetadataFormats: as the protocol says.
        """
        envelope, _ = await self._ask("ListMetadataFormats", {"identifier": identifier})
        return tuple(
            MetadataFormat(
                prefix=_text(entry, envelope, "metadataPrefix"),
                schema=_text(entry, envelope, "schema"),
                namespace=_text(entry, envelope, "metadataNamespace"),
            )
            for entry in _children(envelope, "metadataFormat")
        )

    async def list_sets(self) -> AsyncGenerator[OaiSet, None]:
        """Yield all sets (4.6), over all pages.

        Raises:
            NoSetHierarchy: the repository has no sets.
        """
        walk = Walk(max_pages=self.options.max_pages)
        arguments: dict[str, str | None] = {}
        while True:
            envelope, _ = await self._ask("ListSets", arguments)
            found = [
                OaiSet(_text(entry, envelope, "setSpec"), _text(entry, envelope, "setName"))
                for entry in _children(envelope, "set")
            ]
            for one in found:
                yield one
            marks = Fingerprint()
            marks.add([OaiRecord(Header(one.spec), False, None) for one in found])
            if walk.step(marks.digest(), len(found), envelope.token) is not None:
                return
            assert envelope.token is not None
            walk.sent = envelope.token.text
            arguments = {"resumptionToken": envelope.token.text}

    async def get_record(self, identifier: str, prefix: str) -> OaiRecord:
        """Get one record (4.1), also where ``record`` stands without its wrapper (SciCat).

        Raises:
            IdDoesNotExist, CannotDisseminateFormat: as the protocol says.
        """
        _, records = await self._ask(
            "GetRecord", {"identifier": identifier, "metadataPrefix": prefix}
        )
        if not records:
            raise protocol_error(
                [("idDoesNotExist", "an answer without a record")], verb="GetRecord"
            )
        return next((one for one in records if one.header.identifier == identifier), records[0])

    async def list_records(
        self,
        prefix: str,
        *,
        set_: str | None = None,
        from_: Instant | None = None,
        until: Instant | None = None,
        token: str | None = None,
    ) -> AsyncGenerator[OaiRecord, None]:
        """Yield records (4.5) as they arrive, over all pages.

        A page that breaks is asked for again; what it had given before is not given twice. How the
        walk ended can only be seen with ``pages``.
        """
        async with aclosing(
            self._flat("ListRecords", prefix, set_, from_, until, token)
        ) as records:
            async for record in records:
                yield record

    async def list_identifiers(
        self,
        prefix: str,
        *,
        set_: str | None = None,
        from_: Instant | None = None,
        until: Instant | None = None,
        token: str | None = None,
    ) -> AsyncGenerator[OaiRecord, None]:
        """Yield headers (4.3) as records without payload; see ``list_records``."""
        async with aclosing(
            self._flat("ListIdentifiers", prefix, set_, from_, until, token)
        ) as records:
            async for record in records:
                yield record

    async def _flat(
        self,
        verb: str,
        prefix: str,
        set_: str | None,
        from_: Instant | None,
        until: Instant | None,
        token: str | None,
    ) -> AsyncGenerator[OaiRecord, None]:
        walk = self.pages(
            verb, prefix, set_=set_, from_=from_, until=until, token=token, part_records=1
        )
        async with aclosing(walk) as pages:
            async for page in pages:
                for record in page.records:
                    if in_set(record.header.sets, set_):
                        yield record

    async def pages(
        self,
        verb: str,
        prefix: str,
        *,
        set_: str | None = None,
        from_: Instant | None = None,
        until: Instant | None = None,
        token: str | None = None,
        resume: Mapping[str, Any] | None = None,
        part_records: int | None = None,
    ) -> AsyncGenerator[OaiPage, None]:
        """Walk a list page by page (3.5); the last page has a ``stop``.

        Args:
            verb: ``ListRecords`` or ``ListIdentifiers``.
            prefix: metadataPrefix.
            from_, until: instants (formatted to the granularity of ``identify``) or texts.
            token: begin with this token.
            resume: the ``checkpoint`` of an earlier page, in place of ``token``.
            part_records: give an answer with more records in parts (``OaiPage.part``), so that
                it never has to fit into memory as a whole.

        Raises:
            BadResumptionToken: restart the window (fault B01).
            BadArgument, CannotDisseminateFormat, NoSetHierarchy: as the protocol says.
            HarvestError: see ``harvester.errors``.
        """
        options = self.options
        walk = resumed(resume or {}, max_pages=options.max_pages, max_records=options.max_records)
        walk.sent = token or walk.sent
        window = _Window(prefix, set_, from_, until, self.granularity)
        fallback = walk.sent is None
        while True:
            arguments = self._arguments(walk.sent, window)
            last: OaiPage | None = None
            try:
                async with aclosing(self._page(verb, arguments, walk, set_, part_records)) as parts:
                    async for last in parts:
                        yield last
            except BadArgument as error:
                other = window.other_granularity() if fallback else None
                if other is None:
                    stop = walk.ended_by_error(error.code)
                    if stop is None:
                        raise
                    yield self._ended(walk, stop)
                    return
                fallback, window = False, other
                walk.note("granularity_fallback")
                continue
            except HarvestError as error:
                stop = walk.ended_by_error(getattr(error, "code", ""))
                if stop is None:
                    raise
                yield self._ended(walk, stop)
                return
            if last is None or last.stop is not None:
                return
            fallback = False
            walk.sent = last.token

    def _ended(self, walk: Walk, stop: str) -> OaiPage:
        return OaiPage(
            records=(),
            token=None,
            complete_list_size=walk.complete_list_size,
            response_date=walk.first_response_date,
            first_response_date=walk.first_response_date,
            stop=stop,
            seen=walk.seen,
            checkpoint=walk.checkpoint(None),
            notes=dict(walk.notes),
        )

    async def _page(
        self,
        verb: str,
        arguments: Mapping[str, str | None],
        walk: Walk,
        set_: str | None,
        part_records: int | None,
    ) -> AsyncGenerator[OaiPage, None]:
        """One answer as its parts and, last, the page that ends it."""
        before = walk.checkpoint(None if walk.sent is None else Token(walk.sent))
        kept: list[OaiRecord] = []
        given: set[tuple[str, str | None]] = set()
        marks, count, outside = Fingerprint(), 0, 0
        async with aclosing(self._stream(verb, arguments)) as stream:
            async for piece in stream:
                if piece is None:
                    kept, marks, count, outside = [], Fingerprint(), 0, 0
                elif isinstance(piece, Envelope):
                    if not walk.first_response_date:
                        walk.first_response_date = piece.response_date
                    stop = walk.step(marks.digest(), count, piece.token)
                    walk.note("outside_set", outside)
                    notes = {**walk.notes, **piece.notes}
                    walk.notes.clear()
                    yield _finished(walk, piece, kept, stop, notes)
                else:
                    marks.add(piece)
                    count += len(piece)
                    if set_:
                        outside += sum(not in_set(one.header.sets, set_) for one in piece)
                    kept += [one for one in piece if _mark(one) not in given] if given else piece
                    if part_records is not None and len(kept) >= part_records:
                        given.update(_mark(one) for one in kept)
                        yield OaiPage(
                            tuple(kept),
                            token=walk.sent,
                            part=True,
                            seen=walk.seen + count,
                            checkpoint=before,
                            first_response_date=walk.first_response_date,
                        )
                        kept = []

    async def _stream(
        self, verb: str, arguments: Mapping[str, str | None]
    ) -> AsyncGenerator[Sequence[OaiRecord] | Envelope | None, None]:
        """Records as they are cut, then the envelope; ``None`` when the answer begins again.

        Raises:
            ProtocolError: the answer is an error and holds no record.
        """
        url = self._url(verb, arguments)
        retrying = self._fetcher.retrying(url, self._access)
        while True:
            try:
                async with self._fetcher.open(url, access=self._access, accept=_ACCEPT) as answer:
                    reader = AnswerReader(
                        verb,
                        charset=answer.charset,
                        bounds=self.options.bounds,
                        repairs=self.options.repairs,
                        check_payloads=self.options.check_payloads,
                    )
                    async for chunk in answer.chunks():
                        records = reader.feed(chunk)
                        if records:
                            yield records
                    envelope = reader.close()
                    self.moved_to = answer.moved_to or self.moved_to
                    if envelope.errors and not envelope.records:
                        raise protocol_error(
                            envelope.errors, verb=verb, url=self._fetcher.redactor.clean(url)
                        )
                yield envelope
                return
            except HarvestError as error:
                await retrying.pause(error)
                yield None

    async def _ask(
        self, verb: str, arguments: Mapping[str, str | None]
    ) -> tuple[Envelope, Sequence[OaiRecord]]:
        """One answer as a whole."""
        records: list[OaiRecord] = []
        envelope: Envelope | None = None
        async with aclosing(self._stream(verb, arguments)) as stream:
            async for piece in stream:
                if piece is None:
                    records = []
                elif isinstance(piece, Envelope):
                    envelope = piece
                else:
                    records += piece
        assert envelope is not None
        return envelope, records

    def _arguments(self, token: str | None, window: _Window) -> dict[str, str | None]:
        if token is None:
            return window.arguments()
        # The token is an exclusive argument (3.5; fault B08).
        extra = {"metadataPrefix": window.prefix} if self.options.send_prefix_with_token else {}
        return {**extra, "resumptionToken": token}

    def _url(self, verb: str, arguments: Mapping[str, str | None]) -> str:
        """The request, each value percent-encoded once; empty arguments are never sent (B12)."""
        pairs = [f"verb={verb}"]
        for name, value in arguments.items():
            if value:
                raw = name == "resumptionToken" and self.options.token_encoding == "raw"  # noqa: S105
                pairs.append(f"{name}={quote(value, safe=_RAW_SAFE if raw else '')}")
        base = self._base_url.split("#", 1)[0]
        joint = "&" if "?" in base else "?"
        return base.rstrip("?&") + joint + "&".join(pairs)


@dataclass(frozen=True, slots=True)
class _Window:
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

    def other_granularity(self) -> _Window | None:
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


def _finished(
    walk: Walk,
    envelope: Envelope,
    records: Sequence[OaiRecord],
    stop: str | None,
    notes: Mapping[str, int],
) -> OaiPage:
    token = envelope.token if stop is None else None
    return OaiPage(
        records=tuple(records),
        token=None if token is None else token.text,
        complete_list_size=walk.complete_list_size,
        expiration=None if token is None else token.expiration,
        response_date=envelope.response_date,
        first_response_date=walk.first_response_date,
        stop=stop,
        seen=walk.seen,
        checkpoint=walk.checkpoint(token),
        notes=notes,
    )


def in_set(sets: Sequence[str], wanted: str | None) -> bool:
    """Whether a header belongs to the set asked for, or does not say (2.7.2; fault B09)."""
    if not wanted or not sets:
        return True
    return any(spec == wanted or spec.startswith(f"{wanted}:") for spec in sets)


def _mark(record: OaiRecord) -> tuple[str, str | None]:
    return (record.header.identifier, record.header.datestamp)


def _children(envelope: Envelope, name: str) -> Sequence[etree._Element]:
    if envelope.element is None:
        return ()
    return envelope.element.findall(_qualified(envelope, name))


def _texts(envelope: Envelope, name: str) -> tuple[str, ...]:
    found = ((child.text or "").strip() for child in _children(envelope, name))
    return tuple(text for text in found if text)


def _text(element: etree._Element, envelope: Envelope, name: str) -> str:
    return (element.findtext(_qualified(envelope, name)) or "").strip()


def _qualified(envelope: Envelope, name: str) -> str:
    return f"{{{envelope.namespace}}}{name}" if envelope.namespace else name
