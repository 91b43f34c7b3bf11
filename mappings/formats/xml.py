"""Reading XML payloads: parsing without surprises, elements by local name.

Fields and facilities vary namespaces and case (one provider puts ``panosc`` elements into the
Dublin Core namespace), so elements are matched by their local name in lower case. Documents with a
DOCTYPE are refused, entities are never resolved, nothing is fetched (fault I03).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from unicodedata import is_normalized

from lxml import etree

from mappings.context import Header
from mappings.drafts import Notes
from mappings.errors import MappingError
from mappings.formats.rules import Rules, nothing
from mappings.text import ABSENT_WORDS, LONGEST_ABSENT, known

Element = Any
"""An lxml element; its type stubs lack the subclasses for comments and entities."""
ElementBase = etree._Element
"""The class of them all."""


class _Names(dict[Any, str]):
    """Tag → local name in lower case; comments and instructions → ``""``. Bounded."""

    def __missing__(self, tag: Any) -> str:
        if not isinstance(tag, str):
            return ""
        name = tag.rpartition("}")[2].lower()
        if len(self) >= 4096:
            self.clear()
        self[tag] = name
        return name


NAMES = _Names()
known_value = lru_cache(maxsize=4096)(known)
"""``known`` of attributes, which are few words again and again."""


class Readers(dict[Any, Any]):
    """Tag of a record's child → its reader by the format's table, in one look-up. Bounded.

    ``None`` for comments and for what feeds nothing; ``otherwise`` for what no row names.
    """

    def __init__(self, rules: Rules, otherwise: Callable[..., None]) -> None:
        super().__init__()
        self._rules = rules
        self._otherwise = otherwise

    def __missing__(self, tag: Any) -> Callable[..., None] | None:
        name = NAMES[tag]
        reader = self._rules.readers.get(name, self._otherwise) if name else None
        if len(self) >= 4096:
            self.clear()
        self[tag] = found = None if reader is nothing else reader
        return found


_WRAPPERS = ("metadata", "record")
SHORT = 80
"""Up to so many letters, looking at each is quicker than looking for what must not be there."""


class _Here(threading.local):
    """A thread's own parser: making one takes a third of the time that it needs for a record."""

    def __init__(self) -> None:
        self.parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )


_HERE = _Here()


def parse(payload: bytes) -> Element:
    """The root element of a payload.

    Raises:
        MappingError: not well-formed, or with a DOCTYPE.
    """
    if _has_doctype(payload):
        raise MappingError("payload", "<!DOCTYPE", "XML without a document type declaration")
    try:
        root = etree.fromstring(payload, _HERE.parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        fault, place = split_position(str(error))
        raise MappingError(
            "payload", f"{place} of {payload[:80]!r}", f"well-formed XML ({fault})"
        ) from error
    info: Any = root.getroottree().docinfo if root is not None else None
    if info is None or info.doctype:
        raise MappingError("payload", "<!DOCTYPE", "XML without a document type declaration")
    return root


def split_position(message: str) -> tuple[str, str]:
    """What libxml2 says is wrong, which is the same for all payloads with that fault, and where."""
    place = _POSITION.search(message)
    fault = _LINES.sub("", message)
    return fault, "somewhere" if place is None else place.group(1)


_POSITION = re.compile(r", (line \d+, column \d+)", re.ASCII)
_LINES = re.compile(r" \(<string>, line \d+\)|,? line \d+(, column \d+)?", re.ASCII)


def _has_doctype(payload: bytes) -> bool:
    """Whether a DOCTYPE stands before the root element; looked for before libxml2 sees it."""
    position = 0
    while (position := payload.find(b"<", position)) >= 0:
        following = payload[position + 1 : position + 3]
        if following[:1] == b"?":
            position = payload.find(b"?>", position)
        elif following == b"!-":
            position = payload.find(b"-->", position)
        else:
            return payload[position : position + 9].upper() == b"<!DOCTYPE"
        if position < 0:
            break
    return False


def root_named(element: Element, names: tuple[str, ...], expected: str) -> Element:
    """The record's own element: ``element`` itself or the first such one inside wrappers.

    Raises:
        MappingError: there is none.
    """
    current = element
    for _ in range(6):
        name = NAMES[current.tag]
        if name in names:
            return current
        inner = [child for child in current if NAMES[child.tag]]
        found = [child for child in inner if NAMES[child.tag] in (*names, *_WRAPPERS)]
        if not found:
            break
        current = found[0]
    raise MappingError(NAMES[element.tag] or "payload", NAMES[element.tag], expected)


def header_of(record: Element) -> Header | None:
    """The header of a whole OAI-PMH ``record``; ``None`` where there is none."""
    if NAMES[record.tag] != "record":
        return None
    for child in record:
        if NAMES[child.tag] == "header":
            said = [(NAMES[part.tag], text_of(part)) for part in child]
            texts = {name: text for name, text in reversed(said) if text is not None}
            sets = tuple(text for name, text in said if name == "setspec" and text is not None)
            return Header(texts.get("identifier", ""), texts.get("datestamp"), sets)
    return None


def text_of(element: Element) -> str | None:
    """The element's text, cleaned, or ``None`` when absent (an unknown-value word counts as that).

    Markup that was not escaped (``<title>H<sub>2</sub>O</title>``) is read through.
    """
    if len(element):
        return known("".join(element.itertext()))
    text = element.text
    if (
        text
        # Plain text that `known` would give back as it is.
        and "<" not in text
        and "&" not in text
        and text.strip() is text
        and (_tidy(text) if len(text) > SHORT or not text.isascii() else text.isprintable())
        and "  " not in text
        and (len(text) > LONGEST_ABSENT or text.lower() not in ABSENT_WORDS)
    ):
        found: str = text
        return found
    return known(text)


def _tidy(text: str) -> bool:
    """Whether text is printable and in NFC."""
    if text.isascii():  # XML has no other control characters
        return "\n" not in text and "\t" not in text and "\r" not in text and "\x7f" not in text
    return text.isprintable() and is_normalized("NFC", text)


def raw_text(element: Element) -> str:
    """The element's text with blanks trimmed, otherwise as sent; ``""`` when there is none."""
    if len(element):
        return "".join(element.itertext()).strip()
    return (element.text or "").strip()


def attribute(element: Element, name: str) -> str | None:
    """An attribute by local name and without regard to case; ``None`` when absent."""
    value = element.get(name)
    if value is None:
        for key in element.keys():  # noqa: SIM118 - lxml: quicker than its attrib
            if NAMES[key] == name.lower():
                value = element.get(key)
                break
        else:
            return None
    return known_value(value)


def keep_unused(element: Element, path: str, notes: Notes) -> None:
    """Every text below an element that no field takes, as evidence with its path."""
    stack = [(element, path)]
    while stack:
        node, where = stack.pop()
        text = (node.text or "").strip() if NAMES[node.tag] else ""
        if text:
            notes.unused(where, text)
        # Paths stop growing at some depth, so that time stays linear in it.
        stack += [
            (child, f"{where}/{local_name(child)[:80]}" if len(where) < 300 else where)
            for child in reversed(node)
            if NAMES[child.tag]
        ]


def local_name(element: Element) -> str:
    """The element's local name as spelt."""
    return str(element.tag).rpartition("}")[2]
