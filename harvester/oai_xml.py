"""OAI-PMH answers read while they arrive: memory is that of one record, not of one page.

The *envelope* (everything outside ``<metadata>``) goes to lxml's pull parser, strictly and without
entities or DOCTYPE; what stands inside ``<metadata>`` is cut out as the bytes that were received,
with the namespaces in scope added to its first tag (fault C05). So the payload is the facility's
own bytes (fault C02), a fault inside one record stays with that record, named, while the page goes
on (faults C01, C09, B22), and the costly part of XML is parsed once, by the crosswalk: lxml's
pull parser needs 27 µs for a record of 1.3 kB, this reader 21 µs with payloads checked and 8 µs
without.

Cutting is exact for well-formed XML, since ``<`` stands only in tags outside comments, CDATA and
processing instructions, which ``Cutter`` knows. Elements are matched by namespace URI (fault C06).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from facility_http.errors import CutOff, MalformedResponse
from harvester.oai_cutting import Cutter
from harvester.oai_prolog import OAI, Prolog
from harvester.oai_records import OaiRecord
from harvester.oai_repairs import Mender, all_sound, check_payload, fault_in
from mappings.context import Header

__all__ = ["AnswerReader", "Bounds", "Envelope", "OaiRecord", "Token", "read_answer"]

_TAIL_BYTES = 64
_VERBS_WITH_METADATA = ("ListRecords", "GetRecord")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may hold.

    A record whose metadata is above ``max_record_bytes`` is refused by name and the page goes on
    (fault C07); ``max_envelope_bytes`` bounds what stands between two records, and an answer of a
    verb without records.
    """

    max_record_bytes: int = 8 << 20
    max_envelope_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A resumptionToken element, protocol 3.5: ``text`` exactly as sent, never interpreted."""

    text: str
    complete_list_size: int | None = None
    cursor: int | None = None
    expiration: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an answer said besides its records.

    ``errors`` are (code, text); ``element`` the verb's element, without records; ``records`` how
    many there were.
    """

    response_date: str | None
    errors: tuple[tuple[str, str], ...]
    token: Token | None
    element: etree._Element | None = field(repr=False)
    namespace: str = OAI
    records: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)


class AnswerReader:
    """Push parser of one OAI-PMH answer: ``feed`` bytes, take records; ``close`` for the rest.

    Args:
        verb: the verb asked; payloads are cut only from ListRecords and GetRecord.
        charset: of the Content-Type header, if any (fault C03).
        bounds: see ``Bounds``.
        repairs: names of repairs that are allowed (see ``oai_repairs``); none by default.
        check_payloads: parse each payload, to say here whether it is well-formed; without it the
            crosswalk finds out.
    """

    def __init__(
        self,
        verb: str,
        *,
        charset: str | None = None,
        bounds: Bounds | None = None,
        repairs: frozenset[str] = frozenset(),
        check_payloads: bool = True,
    ) -> None:
        self._verb = verb
        self._bounds = bounds or Bounds()
        self._mender = Mender(repairs)
        self._check = check_payloads or bool(repairs)
        self._prolog = Prolog(charset, self._mender)
        self._cutter = (
            Cutter(self._bounds.max_record_bytes, self._bounds.max_envelope_bytes)
            if verb in _VERBS_WITH_METADATA
            else None
        )
        self._parser: etree.XMLPullParser | None = None
        self._names: _Names | None = None
        self._root: etree._Element | None = None
        self._last: str | None = None
        self._count = 0
        self._quiet_bytes = 0
        self._tail = b""

    def feed(self, data: bytes) -> list[OaiRecord]:
        """Take bytes, give the records they completed.

        Raises:
            MalformedResponse, NotTheProtocol: see ``close``.
        """
        data = self._prolog.feed(data)
        if not data:
            return []
        if self._parser is None:
            self._begin()
        return self._feed_envelope(data)

    def _begin(self) -> None:
        root = self._prolog.root
        assert root is not None
        self._names = _Names(root)
        if self._cutter is not None:
            self._cutter.begin(root)
        if self._verb == "ListIdentifiers":
            tag = self._names.header
        elif self._cutter is not None:
            tag = self._names.record
        else:
            tag = self._names.error
        self._parser = etree.XMLPullParser(
            events=("end",),
            tag=tag,
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
        )

    def _feed_envelope(self, data: bytes) -> list[OaiRecord]:
        assert self._parser is not None
        self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        records: list[OaiRecord] = []
        quiet = 0
        try:
            for piece in (data,) if self._cutter is None else self._cutter.feed(data):
                if isinstance(piece, OaiRecord):
                    records.append(piece)
                    self._last = piece.header.identifier
                    self._count += 1
                else:
                    quiet += len(piece)
                    self._parser.feed(piece)
                    records.extend(self._take())
        except etree.XMLSyntaxError as error:
            raise self._malformed(error) from error
        self._quiet_bytes = 0 if records else self._quiet_bytes + quiet
        if self._quiet_bytes > self._bounds.max_envelope_bytes:
            raise MalformedResponse(
                f"more than {self._bounds.max_envelope_bytes} bytes without a record",
                identifier=self._last,
            )
        return self._checked(records) if self._check else records

    def _unchecked(self, header: Header, payload: bytes | None, problem: str | None) -> OaiRecord:
        if payload is None:
            problem = problem or "no_metadata"
        elif problem is None and not self._check and payload.startswith(b"<?xml"):
            problem = fault_in(payload)
        return OaiRecord(header, False, payload, problem)

    def _checked(self, records: list[OaiRecord]) -> list[OaiRecord]:
        """Records with what is wrong with their payloads, mended where that is allowed."""
        doubtful = [one for one in records if one.problem is None and one.payload is not None]
        if not doubtful or all_sound([one.payload or b"" for one in doubtful]):
            return records
        return [self._check_one(one) for one in records]

    def _check_one(self, record: OaiRecord) -> OaiRecord:
        if record.problem is not None or record.payload is None:
            return record
        payload, problem, repairs = check_payload(record.payload, self._mender)
        return OaiRecord(record.header, False, payload, problem, repairs)

    def _take(self) -> Iterator[OaiRecord]:
        """Turn finished elements into records and let go of them."""
        assert self._parser is not None
        assert self._names is not None
        wrapped = self._verb == "ListIdentifiers"
        for _, element in self._parser.read_events():
            assert isinstance(element, etree._Element)
            if self._cutter is None and not wrapped:
                continue
            record = self._read_header_only(element) if wrapped else self._read_record(element)
            self._last = record.header.identifier or self._last
            self._count += 1
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)
            yield record

    def _read_header_only(self, element: etree._Element) -> OaiRecord:
        header, deleted = _read_header(element, self._names)
        return OaiRecord(header, deleted, None, None if header.identifier else "no_identifier")

    def _read_record(self, element: etree._Element) -> OaiRecord:
        names = self._names
        assert names is not None
        assert self._cutter is not None
        header, deleted, metadata = None, False, None
        for child in element:
            tag = child.tag
            if tag == names.header:
                header, deleted = _read_header(child, names)
            elif tag == names.metadata and metadata is None:
                metadata = child
        payload, problem = None, None
        if metadata is not None:
            payload, problem = self._cutter.take(metadata)
        if header is None:
            return OaiRecord(Header(""), False, payload, "no_header")
        if not header.identifier:
            problem = "no_identifier"
        if deleted:
            return OaiRecord(header, True, None, problem if not header.identifier else None)
        return self._unchecked(header, payload, problem)

    def close(self) -> Envelope:
        """Finish the answer.

        Raises:
            CutOff: it ends before its closing tag.
            NotTheProtocol: the document is no OAI-PMH answer.
            MalformedResponse: it is none of what the verb may answer (fault C06).
        """
        rest = self._prolog.close()
        if self._parser is None:
            self._begin()
        if rest:
            self._feed_envelope(rest)
        assert self._parser is not None
        assert self._names is not None
        try:
            if self._cutter is not None:
                if self._cutter.inside:
                    raise CutOff("the answer ends inside a record", identifier=self._last)
                self._parser.feed(self._cutter.close())
            root = self._parser.close()
        except etree.XMLSyntaxError as error:
            raise self._malformed(error, ended=True) from error
        return self._read_envelope(root)

    def _malformed(self, error: etree.XMLSyntaxError, *, ended: bool = False) -> MalformedResponse:
        if ended and not self._tail.rstrip().endswith(b"OAI-PMH>"):
            return CutOff(f"the answer ends early ({error.msg})", identifier=self._last)
        near = f", after record {self._last}" if self._last else ""
        return MalformedResponse(f"no well-formed XML ({error.msg}{near})", identifier=self._last)

    def _read_envelope(self, root: etree._Element) -> Envelope:
        names = self._names
        assert names is not None
        errors: list[tuple[str, str]] = []
        response_date, element = None, None
        for child in root:
            tag = child.tag
            if tag == names.response_date:
                response_date = (child.text or "").strip() or None
            elif tag == names.error:
                errors.append(((child.get("code") or "").strip(), (child.text or "").strip()))
            elif tag == names.of(self._verb):
                element = child
        if element is None and not errors and not self._count:
            raise MalformedResponse(f"an OAI-PMH answer without {self._verb} and without error")
        token = None if element is None else _read_token(element, names)
        if element is not None and self._count == 0 and token is None and not errors:
            self._refuse_foreign_children(element)
        return Envelope(
            response_date=response_date,
            errors=tuple(errors),
            token=token,
            element=element,
            namespace=names.namespace,
            records=self._count,
            notes=self._mender.counts,
        )

    def _refuse_foreign_children(self, element: etree._Element) -> None:
        """A list full of elements of another vocabulary is no empty list (fault C06)."""
        if self._verb not in ("ListRecords", "ListIdentifiers", "GetRecord"):
            return
        foreign = next((child for child in element if isinstance(child.tag, str)), None)
        if foreign is not None:
            raise MalformedResponse(f"{self._verb} holds {foreign.tag} in place of records")


class _Names:
    """The envelope's element names in the namespace that this answer uses."""

    def __init__(self, root: etree._Element) -> None:
        self.namespace = etree.QName(root).namespace or ""
        self.header = self.of("header")
        self.record = self.of("record")
        self.metadata = self.of("metadata")
        self.identifier = self.of("identifier")
        self.datestamp = self.of("datestamp")
        self.set_spec = self.of("setSpec")
        self.response_date = self.of("responseDate")
        self.error = self.of("error")
        self.token = self.of("resumptionToken")

    def of(self, local: str) -> str:
        return f"{{{self.namespace}}}{local}" if self.namespace else local


def _read_header(element: etree._Element, names: _Names | None) -> tuple[Header, bool]:
    """Read a header, its children in any order (SciCat sends setSpec before datestamp)."""
    assert names is not None
    identifier, datestamp = "", None
    sets: tuple[str, ...] = ()
    for child in element:
        tag, text = child.tag, child.text
        if tag == names.identifier:
            identifier = text.strip() if text else ""
        elif tag == names.datestamp:
            datestamp = text.strip() if text else None
        elif tag == names.set_spec and text:
            sets = (*sets, text.strip())
    return Header(identifier, datestamp or None, sets), element.get("status") == "deleted"


def _read_token(element: etree._Element, names: _Names) -> Token | None:
    """The last resumptionToken of a list; missing, empty and blank all mean the end (B05)."""
    found = element.findall(names.token)
    if not found:
        return None
    token = found[-1]
    # Tokens are opaque: only surrounding line breaks of pretty-printers are taken off (fault B07).
    text = (token.text or "").strip("\r\n\t ")
    return Token(
        text=text,
        complete_list_size=_whole(token.get("completeListSize")),
        cursor=_whole(token.get("cursor")),
        expiration=(token.get("expirationDate") or "").strip() or None,
    )


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_answer(
    body: bytes,
    verb: str,
    *,
    charset: str | None = None,
    bounds: Bounds | None = None,
    repairs: frozenset[str] = frozenset(),
    check_payloads: bool = True,
) -> tuple[Sequence[OaiRecord], Envelope]:
    """Read one whole answer that is at hand already; arguments as ``AnswerReader``.

    Raises:
        MalformedResponse: with its subclasses ``CutOff`` and ``NotTheProtocol``.
    """
    reader = AnswerReader(
        verb, charset=charset, bounds=bounds, repairs=repairs, check_payloads=check_payloads
    )
    records = reader.feed(body)
    return records, reader.close()
