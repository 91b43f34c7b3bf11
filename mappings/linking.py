"""Technique names, as facilities and people write them, to PaNET terms (semantics 4.3)."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from mappings.techniques import find_id, is_technique_id, load_panet

MAX_TEXT_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Link:
    """A PaNET term that a text names. ``id`` is short (``PaNET01188``), ``confidence`` in (0, 1],
    ``rule`` says in words how it was found, ``matched`` which part of the text was taken."""

    id: str
    label: str
    confidence: float
    rule: str
    matched: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """A technique named inside a sentence; ``text`` is ``sentence[start:end]``."""

    start: int
    end: int
    text: str
    links: tuple[Link, ...]


@functools.lru_cache(maxsize=65536)
def _link(text: str, probes: tuple[str, ...]) -> tuple[Link, ...]:
    names = _names()
    identifier = find_id(text)
    panet = load_panet()
    if identifier is not None:
        if not is_technique_id(identifier) or identifier not in panet.terms:
            return ()
        return (Link(identifier, panet.term(identifier).label, 1.0, "id", text.strip()),)
    links: dict[str, Link] = {}
    for part in re.split(r"[,;/|\n]", re.sub(r"\(([^()]*)\)", r",\1", text)):
        found = names.get(_fold(part))
        if found and found not in links:
            links[found] = Link(found, panet.term(found).label, 0.95, "label", part.strip())
    return tuple(links.values())


def link(text: str, probes: tuple[str, ...] = ()) -> tuple[Link, ...]:
    """Link a technique string to PaNET terms; see the module. Never raises."""
    return _link(text[:MAX_TEXT_LENGTH], tuple(probes))


def recognise(sentence: str) -> tuple[Recognition, ...]:
    """Techniques named inside a sentence, with the words they took."""
    found = []
    for word in re.finditer(r"[\w-]+", sentence[:MAX_TEXT_LENGTH]):
        links = link(word.group())
        if links:
            found.append(Recognition(word.start(), word.end(), word.group(), links))
    return tuple(found)


@functools.cache
def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    terms = [term for term in load_panet().terms.values() if term.is_technique]
    for spellings in (_labels(terms), _synonyms(terms)):
        for spelling, identifier in spellings:
            names.setdefault(_fold(spelling), identifier)
    names.pop("", None)
    return names


def _labels(terms: Iterable[object]) -> list[tuple[str, str]]:
    return [(t.label, t.id) for t in terms]  # type: ignore[attr-defined]


def _synonyms(terms: Iterable[object]) -> list[tuple[str, str]]:
    return [(s, t.id) for t in terms for s in t.synonyms]  # type: ignore[attr-defined]


def _fold(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text)).casefold()
