"""Identifiers: what kind a string is, its form for comparing, its form for display.

DOI (ISO 26324), Handle (RFC 3650), ORCID (ISO 7064 MOD 11-2), ROR (Crockford base32 with
ISO 7064 MOD 97-10), IGSN, URL. The canonical form is the key under which records of several
sources become one entity (semantics 1.2); the display form is what the facility wrote.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import unquote

Scheme = Literal["doi", "hdl", "igsn", "orcid", "ror", "url", "local"]
GLOBAL_SCHEMES = frozenset({"doi", "hdl", "igsn"})
"""Schemes that name a record the same for everybody; all others are scoped by facility."""


class Identifier(NamedTuple):
    """An identifier read from a record.

    ``canonical`` is without scheme (``10.22003/xfel.eu-data-700000-00``), ``display`` without
    resolver and prefix but in the facility's own case.
    """

    scheme: Scheme
    canonical: str
    display: str


_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""
_DOI = re.compile(r"10\.[0-9]{2,9}(?:\.[0-9]{1,9}){0,8}/\S+")
_PLAIN_DOI = re.compile(r"10\.[0-9]{4,9}/[A-Za-z0-9._/-]*[A-Za-z0-9]")
_DOI_PREFIXES = (
    "https://doi.org/", "http://doi.org/", "https://dx.doi.org/", "http://dx.doi.org/",
    "https://www.doi.org/", "http://www.doi.org/", "doi.org/", "dx.doi.org/", "www.doi.org/",
    "info:doi/", "urn:doi:", "doi:", "doi ",
)  # fmt: skip
_HANDLE_PREFIXES = (
    "https://hdl.handle.net/", "http://hdl.handle.net/", "hdl.handle.net/", "info:hdl/",
    "urn:hdl:", "hdl:", "handle:",
)  # fmt: skip
# Handles met: 20.500.12269/BRIGHTNESS/MB0033, 21.11151/…, 11023101/XRR_…. Prefixes are numbers;
# PID.SAMPLE.PREFIX/ds1 is SciCat's default and says nothing about who made it: local.
_HANDLE = re.compile(r"(?:[0-9]{2,9}(?:\.[0-9]{1,9}){1,8}|[0-9]{5,9})/\S+")
_ANY_HANDLE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]{0,60}/\S+")
_IGSN_PREFIXES = (
    "https://igsn.org/", "http://igsn.org/", "igsn.org/", "https://doi.org/igsn:", "igsn:", "igsn ",
    "https://hdl.handle.net/10273/", "http://hdl.handle.net/10273/", "hdl:10273/", "10273/",
)  # fmt: skip
_IGSN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-/]{2,60}")
PREFIXES = (*_DOI_PREFIXES, *_HANDLE_PREFIXES, *_IGSN_PREFIXES)
"""What an identifier that is the same for everybody may be written behind."""
_ORCID = re.compile(r"(\d{4})-?(\d{4})-?(\d{4})-?(\d{3}[\dXx])", re.ASCII)
_ROR = re.compile(r"(?:https?://)?(?:www\.)?(?:ror\.org/)?(0[0-9a-hj-km-np-tv-z]{6}[0-9]{2})/?")
_CROCKFORD = {letter: number for number, letter in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}
_TRAILING = ".,;:'\"<>|\\"
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))


@lru_cache(maxsize=16384)
def doi(text: str) -> str | None:
    """The DOI in ``text`` in display case, or ``None`` when it is none (faults D04, D05).

    Resolver, ``doi:`` and percent-encoding are taken off; so are blanks and trailing punctuation.
    """
    if _PLAIN_DOI.fullmatch(text):
        return text
    if len(text) > LONGEST:
        return None
    rest = text.strip()
    encoded = False
    while (stripped := _without_prefix(rest, _DOI_PREFIXES)) is not None:
        encoded = encoded or "/" in rest[: len(rest) - len(stripped)]
        rest = stripped
    if not rest.startswith("10."):
        return None
    if "%" in rest and (encoded or "/" not in rest):
        rest = unquote(rest)
    rest = _without_trailing(rest)
    return rest if _DOI.fullmatch(rest) else None


@lru_cache(maxsize=16384)
def handle(text: str) -> str | None:
    """The Handle in ``text`` in display case; a DOI is none (prefix ``10.`` decides)."""
    if len(text) > LONGEST:
        return None
    rest, marked = text.strip(), False
    while (stripped := _without_prefix(rest, _HANDLE_PREFIXES)) is not None:
        rest, marked = stripped, True
    if marked and "%" in rest and "/" not in rest:
        rest = unquote(rest)
    rest = _without_trailing(rest)
    if rest.startswith("10."):
        return None
    return rest if (_ANY_HANDLE if marked else _HANDLE).fullmatch(rest) else None


def igsn(text: str) -> str | None:
    """The IGSN in ``text``, upper case as registered; only where it says that it is one."""
    if len(text) > LONGEST:
        return None
    rest = _without_prefix(text.strip(), _IGSN_PREFIXES)
    if rest is None:
        return None
    rest = _without_trailing(rest)
    return rest.upper() if _IGSN.fullmatch(rest) else None


@lru_cache(maxsize=16384)
def orcid(text: str) -> str | None:
    """``0000-0002-1825-0097`` from any writing; ``None`` for placeholders and wrong checksums.

    The placeholder 0000-0000-0000-0000 is on 30 of 455 ESS records; its checksum is wrong too.
    """
    rest = text.strip()
    for prefix in ("https://", "http://"):
        rest = rest.removeprefix(prefix)
    rest = rest.removeprefix("www.").removeprefix("orcid.org/").rstrip("/")
    if rest[:6].lower() == "orcid:":
        rest = rest[6:].strip()
    found = _ORCID.fullmatch(rest)
    if not found:
        return None
    digits = "".join(found.groups()).upper()
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if digits[-1] != ("X" if check == 10 else str(check)) or not digits.strip("0"):
        return None
    return "-".join(digits[start : start + 4] for start in (0, 4, 8, 12))


@lru_cache(maxsize=4096)
def ror(text: str) -> str | None:
    """The nine characters of a ROR id whose checksum is right, else ``None``."""
    found = _ROR.fullmatch(text.strip().lower())
    if not found:
        return None
    code = found.group(1)
    number = 0
    for letter in code[:-2]:
        number = number * 32 + _CROCKFORD[letter]
    return code if 98 - number * 100 % 97 == int(code[-2:]) else None


def web_link(text: str) -> str | None:
    """An http(s) address fit for a link, or ``None`` (fault I06: no ``javascript:``)."""
    rest = text.strip()
    if not rest.lower().startswith(("http://", "https://")) or len(rest) > 2000:
        return None
    if not rest.isprintable() or any(letter in ' "<>\\^`{|}' for letter in rest):
        return None
    return rest if len(rest.split("/", 3)[2]) > 0 else None


LONGEST = 2000
"""No identifier is longer; longer texts are not looked at."""


def identify(text: str) -> Identifier:
    """What kind of identifier a text is, with the form for comparing and the one to show.

    Canonical forms are idempotent: ``identify(i.canonical)`` has the same canonical form for
    DOIs and Handles.
    """
    if len(text) > LONGEST:
        return Identifier("local", text.strip(), text.strip())
    plain = text[4:] if text[:4] == "doi:" else text
    if _PLAIN_DOI.fullmatch(plain):  # as most are; each is met once, so it is not remembered
        return _tuple(Identifier, ("doi", plain.lower(), plain))
    return _identify(text)


@lru_cache(maxsize=16384)
def _identify(text: str) -> Identifier:
    trimmed = text.strip()
    if (found := doi(trimmed)) is not None:
        return Identifier("doi", found.lower(), found)
    if (found := igsn(trimmed)) is not None:
        return Identifier("igsn", found.lower(), found)
    if (found := handle(trimmed)) is not None:
        return Identifier("hdl", found.lower(), found)
    if (found := orcid(trimmed)) is not None:
        return Identifier("orcid", found, found)
    if trimmed.lower().startswith(("http://", "https://")):
        return Identifier("url", trimmed, trimmed)
    return Identifier("local", _local(trimmed), trimmed)


def entity_key(
    entity_class: str, identifier: str, facility: str, identified: Identifier | None = None
) -> str:
    """The key of the entity that ``identifier`` names: ``document:doi:10.5072/demo-1``.

    DOI, Handle and IGSN are the same for everybody; all others are scoped by facility, because
    ESRF 1000001 and ALBA 1000001 are two things (semantics 1.2). Classes never share a key.

    Args:
        identified: ``identify(identifier)``, where the caller has it.
    """
    found = identify(identifier) if identified is None else identified
    if found.scheme in GLOBAL_SCHEMES:
        return global_key(entity_class, found.scheme, found.canonical)
    return f"{entity_class.lower()}:local:{facility}:{_local(identifier.strip())}"


def global_key(entity_class: str, scheme: Scheme, canonical: str) -> str:
    """The key of what an identifier that is the same for everybody names."""
    return f"{entity_class.lower()}:{scheme}:{canonical}"


def _local(text: str) -> str:
    # ICAT's DataGateway writes pid:1000001 where it has no pid, others the bare number.
    number = text[4:].strip() if text[:4].lower() == "pid:" else ""
    return number if number.isdigit() else text


def _without_prefix(text: str, prefixes: tuple[str, ...]) -> str | None:
    """``text`` after the first of ``prefixes`` it begins with, trimmed; ``None`` without one."""
    start = text[:32].lower()
    if not start.startswith(prefixes):
        return None
    length = next(len(prefix) for prefix in prefixes if start.startswith(prefix))
    return text[length:].strip()


def _without_trailing(text: str) -> str:
    """Take off what follows an identifier in running text; balanced brackets belong to it."""
    while text:
        shorter = text.rstrip(_TRAILING).rstrip()
        for opening, closing in _BRACKETS:
            if shorter.endswith(closing) and shorter.count(opening) < shorter.count(closing):
                shorter = shorter[:-1]
        if shorter == text:
            break
        text = shorter
    return text


_DOI_IN_TEXT = re.compile(r"\b10\.[0-9]{4,9}(?:\.[0-9]{1,9}){0,4}/[^\s\"<>]+")


def doi_inside(text: str) -> str | None:
    """The first DOI inside a citation or sentence, in display case."""
    found = _DOI_IN_TEXT.search(text)
    return doi(found.group(0)) if found else None


def undoubled(pid: str) -> str:
    """``20.500.12269/A/B1`` from ``20.500.12269/20.500.12269/A/B1``, as SciCat once wrote pids."""
    prefix, slash, rest = pid.partition("/")
    while slash and prefix and rest.startswith(f"{prefix}/") and rest != f"{prefix}/":
        pid, rest = rest, rest[len(prefix) + 1 :]
    return pid
