"""Who and what must not come back (semantics 11.1): salted digests, never the names themselves."""

from __future__ import annotations

import html
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

from catalogue.store.configuration import meta
from catalogue.store.database import rows
from mappings.identifiers import orcid

RECORD, ENTITY, PERSON = "record", "entity", "person"
SALT = "forget_salt"
# Longer names are recognised where they are a person's name, but not in running text.
MAX_NAME_WORDS = 6


class Kept(NamedTuple):
    """Entities without what was forgotten, and whether anything had to be taken out."""

    entities: tuple[Mapping[str, Any], ...]
    erased: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Digests of records, entities and persons that were erased; false when there are none."""

    salt: bytes
    records: frozenset[bytes]
    entities: frozenset[bytes]
    persons: frozenset[bytes]
    hints: frozenset[int]

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Forgotten:
        """Read all digests: they are few."""
        found = rows(connection, "SELECT kind, digest, hint FROM blocked")
        if not found:
            return NOTHING
        salt = bytes.fromhex(meta(connection, SALT) or "")

        def of(wanted: str) -> frozenset[bytes]:
            return frozenset(digest for kind, digest, _ in found if kind == wanted)

        hints = frozenset(hint for _, _, hint in found if hint is not None)
        return cls(salt, of(RECORD), of(ENTITY), of(PERSON), hints)

    def __bool__(self) -> bool:
        return bool(self.records or self.entities or self.persons)

    def has_record(self, source: str, identifier: str) -> bool:
        """Whether this source's record is not to be taken in."""
        return bool(self.records) and self.digest(f"{source}\0{identifier}") in self.records

    def has_entity(self, key: str) -> bool:
        """Whether nothing is to be kept under this key."""
        return bool(self.entities) and self.digest(key) in self.entities

    def has_person(self, person: Mapping[str, Any]) -> bool:
        """Whether a person (PaNOSC form) is one who asked to be forgotten."""
        return any(self.digest(name) in self.persons for name in person_names(person))

    def without(self, entities: Iterable[Mapping[str, Any]]) -> Kept:
        """Entities that may be kept, persons taken out of their members."""
        kept: list[Mapping[str, Any]] = []
        erased = False
        for entity in entities:
            if self.has_entity(entity["key"]):
                erased = True
                continue
            members = entity.get("members")
            if members and self.persons:
                stay = [m for m in members if not self.has_person(m.get("person") or {})]
                if len(stay) != len(members):
                    erased = True
                    kept.append({**entity, "members": stay})
                    continue
            kept.append(entity)
        return Kept(tuple(kept), erased)

    def mentioned(self, payload: bytes) -> bool:
        """Whether a payload names a person who asked to be forgotten, wherever in it."""
        if not self.persons:
            return False
        text = plain_text(payload)
        if any(self.digest(person_form(code)) in self.persons for code in _ORCID.findall(text)):
            return True
        words = words_of(text)
        return any(
            self.hint(word) in self.hints and self._named_around(words, place)
            for place, word in enumerate(words)
        )

    def _named_around(self, words: Sequence[str], place: int) -> bool:
        """Whether some run of words with the one at ``place`` in it is a forgotten name."""
        for length in range(1, MAX_NAME_WORDS + 1):
            for start in range(max(0, place - length + 1), place + 1):
                run = words[start : start + length]
                if len(run) == length and self.digest(_name_form(run)) in self.persons:
                    return True
        return False

    def digest(self, text: str) -> bytes:
        """The salted digest under which a name is blocked."""
        return blake2b(text.encode(), key=self.salt, digest_size=16).digest()

    def hint(self, word: str) -> int:
        """A cheap salted number of a word."""
        return crc32(word.encode(), crc32(self.salt))


NOTHING = Forgotten(b"", frozenset(), frozenset(), frozenset(), frozenset())

_ORCID = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9Xx]")
_TAG = re.compile(r"<[^>]*>")
_JSON_NAME = re.compile(r'"[^"\\]*"\s*:')
_JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def plain_text(payload: bytes) -> str:
    """A payload's words without XML tags and JSON names; attributes go with their tags."""
    text = payload.decode("utf-8", "replace")
    text = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return html.unescape(_JSON_NAME.sub(" ", _TAG.sub(" ", text)))


def words_of(text: str) -> list[str]:
    """Words without case, accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _NOT_WORD.sub(" ", plain.casefold()).split()


_NOT_WORD = re.compile(r"[\W_]+")


def person_names(person: Mapping[str, Any]) -> tuple[str, ...]:
    """The forms by which a person is recognised: ORCID, and the full name in any writing."""
    names = []
    code = person.get("orcid")
    if code:
        names.append(person_form(code))
    full = person.get("fullName") or " ".join(
        part for part in (person.get("firstName"), person.get("lastName")) if part
    )
    if full:
        names.append(person_form(full))
    return tuple(names)


def may_be_person(text: str) -> bool:
    """Whether a text can be a person's ORCID or full name: two words at least, and no identifier.

    One word alone might be anything; taken for a name it would cost every payload that has it.
    """
    words = words_of(text)
    return orcid(text) is not None or (len(words) > 1 and not _OF_IDENTIFIERS.search(text))


_OF_IDENTIFIERS = re.compile(r"[\d/:_@]")


def person_form(text: str) -> str:
    """``Müller, Anna`` and ``anna muller`` are the same; an ORCID is itself in any writing."""
    code = orcid(text)
    return f"orcid:{code}" if code is not None else _name_form(words_of(text))


def _name_form(words: Sequence[str]) -> str:
    return "name:" + " ".join(sorted(words))
