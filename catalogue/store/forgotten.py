"""Who and what must not come back (semantics 11.1): salted digests, never the names themselves."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from catalogue.store.configuration import meta
from catalogue.store.database import rows
from mappings.identifiers import orcid

RECORD, ENTITY, PERSON = "record", "entity", "person"
SALT = "forget_salt"


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

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Forgotten:
        """Read all digests: they are few."""
        salt = bytes.fromhex(meta(connection, SALT) or "")
        by_kind: dict[str, set[bytes]] = {RECORD: set(), ENTITY: set(), PERSON: set()}
        for kind, digest in rows(connection, "SELECT kind, digest FROM blocked"):
            by_kind[kind].add(digest)
        return cls(
            salt,
            frozenset(by_kind[RECORD]),
            frozenset(by_kind[ENTITY]),
            frozenset(by_kind[PERSON]),
        )

    def __bool__(self) -> bool:
        return bool(self.records or self.entities or self.persons)

    def is_stale(self, connection: sqlite3.Connection) -> bool:
        """Whether something was forgotten since."""
        found = connection.execute("SELECT count(*) FROM blocked").fetchone()[0]
        return bool(found != len(self.records) + len(self.entities) + len(self.persons))

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

    def digest(self, text: str) -> bytes:
        """The salted digest under which a name is blocked."""
        return blake2b(text.encode(), key=self.salt, digest_size=16).digest()


def person_names(person: Mapping[str, Any]) -> tuple[str, ...]:
    """The forms by which a person is recognised: ORCID, and the full name without its writing."""
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


def person_form(text: str) -> str:
    """``Müller, Anna`` and ``anna muller`` are the same; an ORCID is itself in any writing."""
    code = orcid(text)
    if code is not None:
        return f"orcid:{code}"
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    words = "".join(letter if letter.isalnum() else " " for letter in plain.casefold()).split()
    return "name:" + " ".join(sorted(words))
