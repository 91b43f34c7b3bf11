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

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from facility_http.errors import FacilityHttpError
from facility_http.http import Access, Fetcher
from harvester.errors import BadArgument, protocol_error
from harvester.oai_answers import (
    DAY,
    SECOND,
    Identity,
    Instant,
    MetadataFormat,
    OaiOptions,
    OaiPage,
    OaiSet,
    OaiWindow,
    children_of,
    format_instant,
    in_set,
    read_identity,
    read_options,
    text_of,
)
from harvester.oai_walk import Fingerprint, Walk, resumed
from harvester.oai_xml import AnswerReader, Envelope, OaiRecord, Token
from mappings.context import Header

__all__ = [
    "DAY",
    "SECOND",
    "Identity",
    "MetadataFormat",
    "OaiClient",
    "OaiOptions",
    "OaiPage",
    "OaiRecord",
    "OaiSet",
    "format_instant",
    "in_set",
    "read_options",
]

_ACCEPT = "text/xml, application/xml;q=0.9, */*;q=0.1"
# Left as they are for servers that reject escapes: all but what would end or split a query.
_RAW_SAFE = "!$'()*+,-./:;=?@_~|%[]{}^`\"<>\\"


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
        self.on_move: Callable[[str], None] | None = None

    async def identify(self) -> Identity:
        """Ask what the repository says of itself (4.2) and take on its granularity (fault B13).

        Raises:
            FacilityHttpError: see ``facility_http.errors``.
        """
        envelope, _ = await self._ask("Identify", {})
        said = read_identity(envelope)
        self.granularity = said.granularity
        return said

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
                prefix=text_of(entry, envelope, "metadataPrefix"),
                schema=text_of(entry, envelope, "schema"),
                namespace=text_of(entry, envelope, "metadataNamespace"),
            )
            for entry in children_of(envelope, "metadataFormat")
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
                OaiSet(text_of(entry, envelope, "setSpec"), text_of(entry, envelope, "setName"))
                for entry in children_of(envelope, "set")
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
            FacilityHttpError: see ``facility_http.errors``.
        """
        options = self.options
        walk = resumed(
            resume or {},
            max_pages=options.max_pages,
            max_records=options.max_records,
            believe_size=not options.list_size_is_wrong,
        )
        walk.sent = token or walk.sent
        window = OaiWindow(prefix, set_, from_, until, self.granularity)
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
            except FacilityHttpError as error:
                stop = walk.ended_by_error(getattr(error, "code", ""))
                if stop is None:
                    raise
                self.granularity = window.granularity
                yield self._ended(walk, stop)
                return
            # What was taken is used from now on (fault B13).
            self.granularity = window.granularity
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
                    walk.response_date = piece.response_date
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
                    if answer.moved_to is not None:
                        self.moved_to = answer.moved_to
                        if self.on_move is not None:
                            self.on_move(answer.moved_to)
                    if envelope.errors and not envelope.records:
                        raise protocol_error(
                            envelope.errors, verb=verb, url=self._fetcher.redactor.clean(url)
                        )
                yield envelope
                return
            except FacilityHttpError as error:
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

    def _arguments(self, token: str | None, window: OaiWindow) -> dict[str, str | None]:
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


def _mark(record: OaiRecord) -> tuple[str, str | None]:
    return (record.header.identifier, record.header.datestamp)
