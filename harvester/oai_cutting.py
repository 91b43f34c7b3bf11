"""Cutting an answer into its envelope and the bytes of its records' metadata, as they arrive.

``Prolog`` settles the encoding, refuses a DOCTYPE and looks at the root element before any parser
sees the document. ``Cutter`` takes out what stands inside ``<metadata>`` and leaves a number in
its place, by which ``take`` finds it again when the envelope's record is complete.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from lxml import etree

from harvester.errors import CutOff, MalformedResponse, NotTheProtocol
from harvester.oai_repairs import Mender

OAI = "http://www.openarchives.org/OAI/2.0/"

_MAX_PROLOG_BYTES = 64 * 1024
# Longer than any tag name we look for: so much is held back at the end of a chunk.
_LONGEST_NAME = 256
_MOST_LEFT_OVER = 10_000
_NAME = rb"[A-Za-z_\x80-\xff][\w.\-\x80-\xff]*"
_REST_OF_TAG = re.compile(rb"(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
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
_SPECIALS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}


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
        if self._refused_start(text) and "declarations" in self._mender.allowed:
            self._mender.counts["declarations"] += 1
            text = text.lstrip(b"\xef\xbb\xbf \t\r\n")
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
            end = text.find(_SPECIALS[special[1:]], position)
            if end < 0:
                return self._wait(final)
            position = end + len(_SPECIALS[special[1:]])
        if rest and not rest.startswith(b"<"):
            raise NotTheProtocol("text in place of an OAI-PMH answer")
        if len(rest) < 9 and not final:
            return self._wait(final)
        tag = _REST_OF_TAG.match(text, position + 1)
        if tag is None:
            return self._wait(final)
        if self._refused_start(text):
            raise MalformedResponse("blanks or a second mark before the XML declaration")
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


class Cutter:
    """Takes the content of each ``<metadata>`` out of a stream of UTF-8 bytes.

    Args:
        max_record_bytes: content above this is passed over, and its record has the problem
            ``too_large``; the stream goes on.
        max_envelope_bytes: how far one comment or tag outside metadata may reach.
    """

    _OUTSIDE = re.compile(rb"<(?:(!--|!\[CDATA\[|\?)|((?:" + _NAME + rb":)?metadata)(?=[\s/>]))")

    def __init__(self, max_record_bytes: int, max_envelope_bytes: int) -> None:
        self._max_record = max_record_bytes
        self._max_envelope = max_envelope_bytes
        self._rest = b""
        self._cut: dict[str, tuple[bytes | None, str | None]] = {}
        self._number = 0
        self._name = b""
        self._token = re.compile(b"")
        self._depth = 0
        self._scan = 0
        self._special: bytes | None = None
        self._too_large = False
        self._tags: dict[tuple[bytes, tuple[tuple[str | None, str], ...]], bytes] = {}

    @property
    def inside(self) -> bool:
        """Whether the stream stands inside a metadata element."""
        return self._depth > 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give the envelope's share of them, numbers in place of metadata."""
        text = self._rest + data if self._rest else data
        out: list[bytes] = []
        position = 0
        while True:
            if self._depth:
                end = self._find_end(text, position)
                if end < 0:
                    self._keep_inside(text, position)
                    return b"".join(out)
                large = self._too_large or end - position > self._max_record
                content = None if large else text[position:end]
                self._cut[str(self._number)] = (content, "too_large" if content is None else None)
                self._depth = 0
                position = end
            start, content_at = self._find_start(text, position)
            out.append(text[position:start])
            if not self._depth:
                self._rest = text[start:]
                if len(self._rest) > self._max_envelope:
                    raise MalformedResponse("a tag or comment that does not end")
                return b"".join(out)
            self._number += 1
            out.append(text[start:content_at])
            out.append(b"%d" % self._number)
            position = self._scan = content_at

    def close(self) -> bytes:
        """Give what was held back at the end of the answer."""
        rest, self._rest = self._rest, b""
        return rest

    def _find_start(self, text: bytes, position: int) -> tuple[int, int]:
        """Find the next metadata element: where its tag starts and where its content does.

        Without one, the first number says up to where ``text`` can be given on.
        """
        scan = position
        while True:
            found = self._OUTSIDE.search(text, scan)
            if found is None:
                # A tag may just begin here: hold it back, it is decided with the next bytes.
                last = text.rfind(b"<", max(scan, len(text) - _LONGEST_NAME))
                return (last if last >= 0 else len(text)), 0
            if found[1]:
                ending = _SPECIALS[found[1]]
                end = text.find(ending, found.end())
                if end < 0:
                    return found.start(), 0
                scan = end + len(ending)
                continue
            tag = _REST_OF_TAG.match(text, found.end())
            if tag is None:
                return found.start(), 0
            if text[tag.end() - 2 : tag.end()] == b"/>":
                scan = tag.end()
                continue
            self._open(found[2])
            return found.start(), tag.end()

    def _open(self, name: bytes) -> None:
        self._depth = 1
        self._special = None
        self._too_large = False
        if name != self._name:
            if len(name) > _LONGEST_NAME // 2:
                raise MalformedResponse("an element name that does not end")
            self._name = name
            escaped = re.escape(name)
            self._token = re.compile(
                rb"<(?:(!--|!\[CDATA\[|\?)|(/)"
                + escaped
                + rb"(?=[\s>])|"
                + escaped
                + rb"(?=[\s/>]))"
            )

    def _find_end(self, text: bytes, start: int) -> int:
        """Where the content that began at ``start`` ends, or -1 when that has not arrived."""
        if self._scan == start and self._depth == 1 and self._special is None:
            end = self._find_end_fast(text, start)
            if end is not None:
                return end
        while True:
            if self._special is not None:
                end = text.find(self._special, self._scan)
                if end < 0:
                    self._scan = max(self._scan, len(text) - 2)
                    return -1
                self._scan = end + len(self._special)
                self._special = None
            found = self._token.search(text, self._scan)
            if found is None:
                self._scan = max(self._scan, len(text) - _LONGEST_NAME)
                return -1
            if found[1]:
                self._special = _SPECIALS[found[1]]
                self._scan = found.end()
            elif found[2]:
                self._depth -= 1
                if self._depth == 0:
                    return found.start()
                self._scan = found.end()
            else:
                tag = _REST_OF_TAG.match(text, found.end())
                if tag is None:
                    self._scan = found.start()
                    return -1
                self._depth += text[tag.end() - 2 : tag.end()] != b"/>"
                self._scan = tag.end()

    def _find_end_fast(self, text: bytes, start: int) -> int | None:
        """The usual case in three searches; ``None`` when it takes a closer look."""
        end = text.find(b"</" + self._name, start)
        after = text[end + 2 + len(self._name) : end + 3 + len(self._name)]
        if end < 0 or after not in (b">", b" ", b"\n", b"\r", b"\t"):
            return None
        inner = text[start:end]
        if b"<!" in inner or b"<?" in inner or b"<" + self._name in inner:
            return None
        return end

    def _keep_inside(self, text: bytes, position: int) -> None:
        """Hold the content back until it ends, or only its tail once it is too large."""
        if len(text) - position > self._max_record:
            self._too_large = True
        if self._too_large:
            position = max(position, self._scan)
        self._rest = text[position:]
        self._scan -= position

    def take(self, metadata: etree._Element) -> tuple[bytes | None, str | None]:
        """Give the payload of a finished metadata element, with its namespaces, or the problem."""
        content, problem = self._cut.pop(metadata.text or "", (None, "no_metadata"))
        if content is None:
            return None, problem
        try:
            return self._standing_alone(content, metadata)
        finally:
            # Whatever else is left was cut from outside records (an about container).
            if len(self._cut) > _MOST_LEFT_OVER:
                self._cut.clear()

    def _standing_alone(
        self, content: bytes, metadata: etree._Element
    ) -> tuple[bytes | None, str | None]:
        """The one element in ``content``, able to stand without the answer around it (C05)."""
        content = content.strip(b" \t\r\n")
        while content.startswith((b"<!--", b"<?")) and not content.startswith(b"<?xml "):
            ending = b"-->" if content.startswith(b"<!--") else b"?>"
            end = content.find(ending)
            content = content[end + len(ending) :].lstrip(b" \t\r\n")
        if not content:
            return None, "no_metadata"
        if content.startswith(b"<!"):
            return content, "a DOCTYPE is refused"
        if not content.startswith(b"<"):
            return content, "text in place of an element"
        tag = _REST_OF_TAG.match(content, 1)
        if tag is None or content.startswith(b"<?"):
            return content, None
        scope = metadata.nsmap
        start = content[: tag.end()]
        key = (start, tuple(scope.items()))
        complete = self._tags.get(key)
        if complete is None:
            if len(self._tags) > 1000:
                self._tags.clear()
            complete = self._tags[key] = _with_namespaces(start, scope)
        return (content if complete == start else complete + content[tag.end() :]), None


def _with_namespaces(tag: bytes, scope: Mapping[str | None, str]) -> bytes:
    """Add to a start tag the namespaces in scope that it does not declare itself."""
    name_ends = re.match(rb"<[^\s/>]+", tag)
    assert name_ends is not None
    declared = {match[1] or None for match in re.finditer(rb"\sxmlns(?::([^\s=]+))?\s*=", tag)}
    added = b""
    for prefix, uri in sorted(scope.items(), key=lambda item: item[0] or ""):
        name = None if prefix is None else prefix.encode()
        if name not in declared:
            quoted = uri.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").encode()
            added += b" xmlns" + (b":" + name if name else b"") + b'="' + quoted + b'"'
    return tag[: name_ends.end()] + added + tag[name_ends.end() :]
