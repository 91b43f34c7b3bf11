"""Named repairs of metadata that is no well-formed XML; off unless a source's options name them.

Each is narrow, runs only where a strict parse has failed, and counts what it mended. None of them
recovers by guessing structure: recovery mode loses records without a word (fault C07).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from html.entities import html5

from lxml import etree

REPAIRS = {
    "control_characters": "drop characters that XML 1.0 forbids, join split surrogates (C01, C02)",
    "declarations": "drop XML declarations and byte order marks inside the answer (C04)",
    "encoding": "read bytes that are no UTF-8 as Windows-1252 (C03)",
    "ampersands": "escape bare ampersands, resolve HTML's named characters (C09)",
    "envelope_namespace": "accept an envelope in another namespace than OAI-PMH 2.0's (C06)",
}

_FORBIDDEN = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D})
_NONCHARACTER = re.compile(rb"\xef\xbf[\xbe\xbf]")
_SPLIT_PAIR = re.compile(rb"\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf])")
_LONE_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_REFERENCE_PAIR = re.compile(
    rb"&#(?:[xX]([dD][89abAB][0-9a-fA-F]{2})|(5[5-6]\d{3}));"
    rb"&#(?:[xX]([dD][c-fC-F][0-9a-fA-F]{2})|(5[6-7]\d{3}));"
)
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]{1,8})|(\d{1,10}));")
_DECLARATION = re.compile(rb"<\?xml\s[^>]*?\?>|\xef\xbb\xbf")
_AMPERSAND = re.compile(rb"&(?:(#\d+|#[xX][0-9a-fA-F]+|amp|lt|gt|quot|apos);|([A-Za-z]\w*;)?)")
_CDATA = re.compile(rb"(<!\[CDATA\[.*?\]\]>)", re.DOTALL)

_STRICT = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
)


class Mender:
    """The repairs that a source allows, and how much each has mended.

    Args:
        allowed: names out of ``REPAIRS``.
    """

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self.allowed = allowed
        self.counts: Counter[str] = Counter()

    def mend(self, payload: bytes) -> tuple[bytes, tuple[str, ...], Counter[str]]:
        """Apply every allowed repair; gives the result, the names that changed it, and counts."""
        counts: Counter[str] = Counter()
        for name, repair in _STEPS:
            if name in self.allowed:
                payload, mended = repair(payload)
                if mended:
                    counts[name] += mended
        return payload, tuple(counts), counts


def check_payload(payload: bytes, mender: Mender) -> tuple[bytes, str | None, tuple[str, ...]]:
    """Parse strictly; when that fails, mend what is allowed and parse again (fault C01).

    Returns:
        The payload as it is or mended, the problem that is left or ``None``, and the names of the
        repairs made. What could not be healed comes back untouched.
    """
    problem = fault_in(payload)
    if problem is None or not mender.allowed:
        return payload, problem, ()
    mended, names, counts = mender.mend(payload)
    if not names or fault_in(mended) is not None:
        return payload, problem, ()
    mender.counts.update(counts)
    return mended, None, names


def fault_in(payload: bytes) -> str | None:
    """Say why ``payload`` is no well-formed XML element, or ``None``."""
    if payload.startswith(b"<?xml"):
        # Well-formed by itself; inside an answer it is not (fault C04).
        return "no well-formed XML: an XML declaration inside the answer"
    try:
        root = etree.fromstring(payload, _STRICT)
    except etree.XMLSyntaxError as error:
        return f"no well-formed XML: {error.msg}"
    if root.getroottree().docinfo.internalDTD is not None:
        return "a DOCTYPE is refused"
    return None


_BETWEEN = "pan-commons-between"


def all_sound(payloads: Sequence[bytes]) -> bool:
    """Whether each payload is one well-formed element, told by a single parse.

    Parsing them one by one costs half as much again. What separates them has to come out where it
    was put in, so two faulty payloads cannot make up for each other.
    """
    between = f"<{_BETWEEN}/>".encode()
    joined = b"<all>" + between.join(payloads) + b"</all>"
    try:
        root = etree.fromstring(joined, _STRICT)
    except etree.XMLSyntaxError:
        return False
    names = [child.tag for child in root]
    expected = len(payloads) * 2 - 1
    return (
        len(names) == expected
        and all(name == _BETWEEN for name in names[1::2])
        and all(isinstance(name, str) and name != _BETWEEN for name in names[::2])
    )


def _drop_forbidden(payload: bytes) -> tuple[bytes, int]:
    counts = Counter[str]()

    def joined(match: re.Match[bytes]) -> bytes:
        counts["pairs"] += 1
        a, b, c, d = (part[0] & 0x3F for part in match.groups())
        high, low = 0xD000 | a << 6 | b, 0xD000 | c << 6 | d
        return _join(high, low)

    def joined_references(match: re.Match[bytes]) -> bytes:
        high, low = (
            int(hexadecimal, 16) if hexadecimal else int(decimal)
            for hexadecimal, decimal in (match.groups()[:2], match.groups()[2:])
        )
        if not (0xD800 <= high < 0xDC00 <= low < 0xE000):
            return match.group()
        counts["pairs"] += 1
        return _join(high, low)

    def allowed_reference(match: re.Match[bytes]) -> bytes:
        number = int(match[1], 16) if match[1] else int(match[2])
        if _is_allowed(number):
            return match.group()
        counts["references"] += 1
        return b""

    kept = payload.translate(None, _FORBIDDEN)
    dropped = len(payload) - len(kept)
    kept = _SPLIT_PAIR.sub(joined, kept)
    for pattern in (_LONE_SURROGATE, _NONCHARACTER):
        kept, found = pattern.subn(b"", kept)
        dropped += found
    kept = _REFERENCE_PAIR.sub(joined_references, kept)
    kept = _REFERENCE.sub(allowed_reference, kept)
    return kept, dropped + counts.total()


def _join(high: int, low: int) -> bytes:
    return chr(0x10000 + ((high & 0x3FF) << 10 | (low & 0x3FF))).encode()


def _is_allowed(number: int) -> bool:
    """XML 1.0, production 2 (Char)."""
    return (
        number in (0x9, 0xA, 0xD)
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or 0x10000 <= number <= 0x10FFFF
    )


def _drop_declarations(payload: bytes) -> tuple[bytes, int]:
    kept, dropped = _DECLARATION.subn(b"", payload)
    return kept.strip(), dropped


def _decode_leniently(payload: bytes) -> tuple[bytes, int]:
    mended = 0
    pieces: list[bytes] = []
    while payload:
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError as error:
            pieces.append(payload[: error.start])
            wrong = payload[error.start : error.end]
            pieces.append(wrong.decode("windows-1252", "replace").encode())
            mended += len(wrong)
            payload = payload[error.end :]
        else:
            break
    pieces.append(payload)
    return b"".join(pieces), mended


def _escape_ampersands(payload: bytes) -> tuple[bytes, int]:
    mended = 0

    def escaped(match: re.Match[bytes]) -> bytes:
        nonlocal mended
        if match[1]:
            return match.group()
        mended += 1
        character = html5.get(match[2].decode()) if match[2] else None
        if character is not None and character not in "&<>\"'":
            return character.encode()
        return b"&amp;" + match.group()[1:]

    # Text in CDATA is literal: an ampersand there is right as it is.
    parts = _CDATA.split(payload)
    parts[::2] = [_AMPERSAND.sub(escaped, part) for part in parts[::2]]
    return b"".join(parts), mended


_STEPS: tuple[tuple[str, Callable[[bytes], tuple[bytes, int]]], ...] = (
    ("control_characters", _drop_forbidden),
    ("declarations", _drop_declarations),
    ("encoding", _decode_leniently),
    ("ampersands", _escape_ampersands),
)
