"""What comes before an answer's root element: encoding, DOCTYPE, and which document it is.

Settled here, before any XML parser sees a byte, and not handed on.
"""

from __future__ import annotations

import codecs
import re

from lxml import etree

from facility_http.errors import CutOff, MalformedResponse, NotTheProtocol
from harvester.oai_repairs import Mender

OAI = "http://www.openarchives.org/OAI/2.0/"
REST_OF_TAG = re.compile(rb"[^>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^>\"']*)*>")
"""From anywhere inside a tag, outside quotes, to its end."""
SPECIALS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}
"""What begins a comment, a CDATA section or a processing instruction, and what ends it."""

_MAX_PROLOG_BYTES = 64 * 1024
_DECLARED_ENCODING = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z][\w.\-]*)[\"']")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_UTF8 = frozenset({"utf-8", "ascii"})


class Prolog:
    """What comes before the root element: settled here, and not handed on.

    Args:
        charset: of the Content-Type header. A byte order mark goes first (RFC 7303); then the
            charset, unless it contradicts an explicit UTF-8 declaration: web servers add a default
            charset without looking, and valid UTF-8 is never something else by chance.
        mender: allowed repairs, and the counts of what was mended.
    """

    def __init__(self, charset: str | None, mender: Mender) -> None:
        self._charset = charset
        self._mender = mender
        self._raw = b""
        self._text = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._settled = False
        self.root: etree._Element | None = None

    def feed(self, data: bytes, final: bool = False) -> bytes:
        """Give UTF-8 bytes from the root element on; nothing while its tag is incomplete.

        Raises:
            NotTheProtocol: the root is not OAI-PMH.
            MalformedResponse: a DOCTYPE, an unknown or false encoding, blanks before the
                XML declaration.
        """
        if not self._settled:
            self._raw += data
            if not final and len(self._raw) < 4:
                return b""
            begun = self._raw.find(b">") >= 0 or len(self._raw) > 1024
            if not final and self._raw.startswith((b"<?xml", codecs.BOM_UTF8)) and not begun:
                return b""
            data, self._raw = self._settle(self._raw), b""
        data = self._recode(data, final)
        if self.root is not None:
            return data
        self._text += data
        return self._find_root(final)

    def _settle(self, start: bytes) -> bytes:
        """Choose the encoding; gives ``start`` without its byte order mark."""
        self._settled = True
        for mark, name in _BOMS:
            if start.startswith(mark):
                if name != "utf-8":
                    self._decoder = codecs.getincrementaldecoder(name)()
                return start if mark in (b"<\0", b"\0<") else start[len(mark) :]
        found = _DECLARED_ENCODING.match(start.lstrip())
        declared = _codec(found[1].decode("ascii")) if found else None
        charset = _codec(self._charset) if self._charset else None
        if charset is not None and declared in _UTF8 and charset not in _UTF8:
            self._mender.counts["charset_disagrees"] += 1
            charset = None
        name = charset or declared or "utf-8"
        if name not in _UTF8:
            self._decoder = codecs.getincrementaldecoder(name)()
        return start

    def _recode(self, data: bytes, final: bool) -> bytes:
        if self._decoder is None:
            return data
        try:
            return self._decoder.decode(data, final).encode("utf-8")
        except UnicodeError as error:
            raise MalformedResponse(f"the encoding is not what was said: {error}") from error

    def _find_root(self, final: bool) -> bytes:
        text, position = self._text, 0
        if self._refused_start(text):
            if "declarations" not in self._mender.allowed:
                raise MalformedResponse("blanks or a second mark before the XML declaration")
            self._mender.counts["declarations"] += 1
            text = self._text = text.lstrip(b"\xef\xbb\xbf \t\r\n")
        while True:
            position = _after_blanks(text, position)
            rest = text[position : position + 16]
            if rest[:9].upper() == b"<!DOCTYPE":
                if rest[9:].lower().strip().startswith(b"htm"):
                    raise NotTheProtocol("an HTML page in place of an OAI-PMH answer")
                raise MalformedResponse("a DOCTYPE is refused")
            special = next((start for start in (b"<?", b"<!--") if rest.startswith(start)), None)
            if special is None:
                break
            end = text.find(SPECIALS[special[1:]], position)
            if end < 0:
                return self._wait(final)
            position = end + len(SPECIALS[special[1:]])
        if rest and not rest.startswith(b"<"):
            raise NotTheProtocol("text in place of an OAI-PMH answer")
        if len(rest) < 9 and not final:
            return self._wait(final)
        tag = REST_OF_TAG.match(text, position + 1)
        if tag is None:
            return self._wait(final)
        self.root = self._accept(text[position : tag.end()])
        self._text = b""
        return text[position:]

    @staticmethod
    def _refused_start(text: bytes) -> bool:
        """Blanks or a second byte order mark stand before an XML declaration (fault C04)."""
        bare = text.lstrip(b"\xef\xbb\xbf \t\r\n")
        mark = text.lstrip(b" \t\r\n").startswith(codecs.BOM_UTF8)
        return mark or (bare.startswith(b"<?xml") and len(bare) < len(text))

    def _wait(self, final: bool) -> bytes:
        if final:
            if self._text.strip():
                raise CutOff("the answer ends before its first element")
            raise NotTheProtocol("an empty body in place of an OAI-PMH answer")
        if len(self._text) > _MAX_PROLOG_BYTES:
            raise NotTheProtocol("no element in the first bytes of the answer")
        return b""

    def _accept(self, tag: bytes) -> etree._Element:
        name = re.match(rb"<([^\s/>]*)", tag)
        shown = name[1].decode("utf-8", "replace")[:60] if name else "?"
        try:
            root = etree.fromstring(tag if tag.endswith(b"/>") else tag[:-1] + b"/>")
            local, namespace = etree.QName(root).localname, etree.QName(root).namespace
        except (etree.XMLSyntaxError, ValueError) as error:
            raise NotTheProtocol(f"the root element is {shown}, not OAI-PMH") from error
        if local != "OAI-PMH":
            raise NotTheProtocol(f"the root element is {shown}, not OAI-PMH")
        if namespace != OAI:
            if "envelope_namespace" not in self._mender.allowed:
                raise NotTheProtocol(
                    f"the root element is OAI-PMH in namespace {namespace!r}, not {OAI!r}"
                )
            self._mender.counts["envelope_namespace"] += 1
        return root

    def close(self) -> bytes:
        """Give what is left at the end of the body."""
        return self.feed(b"", final=True)


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise MalformedResponse(f"the encoding {name[:40]!r} is not known") from None


def _after_blanks(text: bytes, position: int) -> int:
    while text[position : position + 1] in (b" ", b"\t", b"\r", b"\n"):
        position += 1
    return position
