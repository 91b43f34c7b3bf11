"""Cutting an answer into its envelope and its records' metadata, as the bytes arrive.

``Cutter`` takes out what stands inside ``<metadata>`` and leaves a number in its place, by which
``take`` finds it again when lxml has read the envelope's record. A record in the plainest form
(``<record><header>…</header><metadata>…</metadata></record>`` without attributes, entities or
anything besides) is read whole, header and all, by one exact pattern, and never reaches lxml: that
is most records of most servers, and a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from facility_http.errors import MalformedResponse
from harvester.oai_prolog import REST_OF_TAG, SPECIALS
from harvester.oai_records import OaiRecord
from mappings.context import Header

_NAME = rb"[A-Za-z_\x80-\xff][\w.\-\x80-\xff]*"
# Longer than any tag name we look for: so much is held back at the end of a chunk.
_LONGEST_NAME = 256
_MOST_LEFT_OVER = 10_000
_MOST_TAGS = 1_000
_ELEMENT = re.compile(rb"<" + _NAME)
_SET_SPEC = re.compile(rb">([^<]*)</")

Scope = Mapping[str | None, str]
ScopeKey = tuple[tuple[str | None, str], ...]


Piece = bytes | OaiRecord


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
        self._plain = _PlainForm(None, "")
        self._rest = b""
        self._cut: dict[str, tuple[bytes | None, str | None]] = {}
        self._number = 0
        self._name = b""
        self._token = re.compile(b"")
        self._depth = 0
        self._scan = 0
        self._special: bytes | None = None
        self._too_large = False
        self._tags: dict[tuple[bytes, ScopeKey], bytes] = {}

    def begin(self, root: etree._Element) -> None:
        """Look at the root element: by its namespaces the plainest records are recognised."""
        self._plain = _PlainForm(root, etree.QName(root).namespace or "")

    @property
    def inside(self) -> bool:
        """Whether the stream stands inside a metadata element."""
        return self._depth > 0

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes, give in order: plain records, and the envelope of all else with numbers in
        place of metadata."""
        text = self._rest + data if self._rest else data
        pieces: list[Piece] = []
        position = 0
        while True:
            if self._depth:
                end = self._find_end(text)
                if end < 0:
                    self._keep_inside(text, position)
                    return pieces
                large = self._too_large or end - position > self._max_record
                content = None if large else text[position:end]
                self._cut[str(self._number)] = (content, "too_large" if content is None else None)
                self._depth = 0
                position = end
            plain_from = self._plain.resume(text, position)
            if plain_from is not None:
                if plain_from > position:
                    pieces.append(text[position:plain_from])
                position = self._take_plain(text, plain_from, pieces)
            start, content_at = self._find_start(text, position)
            if start > position:
                pieces.append(text[position:start])
            if not self._depth:
                self._rest = text[start:]
                if len(self._rest) > self._max_envelope:
                    raise MalformedResponse("a tag or comment that does not end")
                return pieces
            self._number += 1
            pieces.append(text[start:content_at] + b"%d" % self._number)
            position = self._scan = content_at

    def _take_plain(self, text: bytes, position: int, pieces: list[Piece]) -> int:
        """Read records of the plainest form as long as they come; gives where they end."""
        form = self._plain
        while True:
            head = form.head.match(text, position)
            if head is None:
                return position
            start = head.end()
            end = text.find(form.closing, start)
            tail = form.tail.match(text, end) if end >= 0 else None
            if tail is None or form.special.search(text, start, end) is not None:
                return position
            header = form.header(head)
            if header is None:
                return position
            if end - start > self._max_record:
                pieces.append(OaiRecord(header, False, None, "too_large"))
            else:
                content = text[start:end]
                payload = form.standing_alone(content)
                problem = None
                if payload is None:
                    payload, problem = self._standing_alone(content, form.scope, form.key)
                pieces.append(OaiRecord(header, False, payload, problem))
            position = tail.end()

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
                ending = SPECIALS[found[1]]
                end = text.find(ending, found.end())
                if end < 0:
                    return found.start(), 0
                scan = end + len(ending)
                continue
            tag = REST_OF_TAG.match(text, found.end())
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

    def _find_end(self, text: bytes) -> int:
        """Where the open content ends, or -1 when that has not arrived."""
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
                self._special = SPECIALS[found[1]]
                self._scan = found.end()
            elif found[2]:
                self._depth -= 1
                if self._depth == 0:
                    return found.start()
                self._scan = found.end()
            else:
                tag = REST_OF_TAG.match(text, found.end())
                if tag is None:
                    self._scan = found.start()
                    return -1
                self._depth += text[tag.end() - 2 : tag.end()] != b"/>"
                self._scan = tag.end()

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
        # Whatever else is left was cut from outside records (an about container).
        if len(self._cut) > _MOST_LEFT_OVER:
            self._cut.clear()
        scope = metadata.nsmap
        return self._standing_alone(content, scope, tuple(scope.items()))

    def _standing_alone(
        self, content: bytes, scope: Scope, key: ScopeKey
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
        tag = REST_OF_TAG.match(content, 1)
        if tag is None or not _ELEMENT.match(content):
            # An XML declaration, a closing tag …: said in words where payloads are checked.
            return content, None
        start = content[: tag.end()]
        complete = self._tags.get((start, key))
        if complete is None:
            if len(self._tags) > _MOST_TAGS:
                self._tags.clear()
            complete = self._tags[start, key] = _with_namespaces(start, scope)
        return (content if complete == start else complete + content[tag.end() :]), None


def _with_namespaces(tag: bytes, scope: Scope) -> bytes:
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


class _PlainForm:
    """The exact patterns of the plainest record, for the prefix that an answer uses.

    They are used only where the namespaces in scope are known: those of the root, inside a list
    element without attributes.
    """

    def __init__(self, root: etree._Element | None, namespace: str) -> None:
        self.scope: Scope = {} if root is None else root.nsmap
        self.key: ScopeKey = tuple(self.scope.items())
        prefix = next((p for p, uri in self.scope.items() if uri == namespace), None)
        p = re.escape(prefix.encode() + b":") if prefix else b""
        # Text without markup, entities or characters that XML forbids.
        text = rb"([^<&\x00-\x08\x0b\x0c\x0e-\x1f]*)"
        self.head = re.compile(
            rb"\s*<P:record>\s*<P:header>\s*<P:identifier>T</P:identifier>\s*"
            rb"<P:datestamp>T</P:datestamp>\s*((?:<P:setSpec>[^<&]*</P:setSpec>\s*)*)"
            rb"</P:header>\s*<P:metadata>\s*".replace(b"P:", p).replace(b"T<", text + b"<")
        )
        self.closing = (b"</P:metadata").replace(b"P:", p.replace(b"\\", b""))
        self.tail = re.compile(rb"</P:metadata\s*>\s*</P:record>\s*".replace(b"P:", p))
        # Whatever makes it less than plain where the content ends.
        self.special = re.compile(rb"<(?:[!?]|P:metadata(?=[\s/>]))".replace(b"P:", p))
        self._list = re.compile(rb"<P:(?:ListRecords|GetRecord)\s*>\s*".replace(b"P:", p))
        self._next = re.compile(rb"</P:metadata\s*>\s*</P:record>\s*".replace(b"P:", p))
        self._inside_list = False
        self._known = root is not None
        self._sets: dict[bytes, tuple[str, ...]] = {b"": ()}
        self._tags: dict[bytes, bytes] = {}

    def resume(self, text: bytes, position: int) -> int | None:
        """From where plain records may follow ``position``, or ``None``."""
        if not self._known:
            return None
        if self._inside_list:
            after = self._next.match(text, position)
            return after.end() if after is not None else position
        found = self._list.search(text, position)
        if found is None or b"<!" in text[position : found.start()]:
            return None
        self._inside_list = True
        return found.end()

    def header(self, head: re.Match[bytes]) -> Header | None:
        """The header that the pattern found, or ``None`` when lxml had better look at it."""
        identifier_bytes, datestamp_bytes, sets_bytes = head.groups()
        try:
            identifier = identifier_bytes.decode().strip()
            datestamp = datestamp_bytes.decode().strip()
            sets = self._sets.get(sets_bytes)
            if sets is None:
                sets = tuple(one.decode().strip() for one in _SET_SPEC.findall(sets_bytes))
                if len(self._sets) < _MOST_TAGS:
                    self._sets[sets_bytes] = sets
        except UnicodeDecodeError:
            return None
        if not identifier or not datestamp:
            return None
        return Header(identifier, datestamp, sets)

    def standing_alone(self, content: bytes) -> bytes | None:
        """The content with the namespaces in scope, or ``None`` when it takes a closer look.

        Start tags repeat from record to record: each is completed once.
        """
        end = content.find(b">") + 1
        start = content[:end]
        complete = self._tags.get(start)
        if complete is None:
            tag = REST_OF_TAG.match(start, 1)
            if tag is None or not _ELEMENT.match(start):
                return None
            complete = _with_namespaces(start, self.scope)
            if len(self._tags) < _MOST_TAGS:
                self._tags[start] = complete
        return complete + content[end:].rstrip(b" \t\r\n")
