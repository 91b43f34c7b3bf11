"""Names and roles of people as facilities write them.

``Pojer, Florence`` and ``GUTFREUND Philipp`` say which part is the family name; ``Fabio
Dall'Antonia`` does not, and is never cut: splitting at the first blank misfiles middle names.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from mappings.identifiers import orcid
from mappings.text import known


class Name(NamedTuple):
    """A person's name: ``full`` in reading order (given name first), parts only where known."""

    full: str
    first: str | None = None
    last: str | None = None


_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""
_NOBODY = frozenset(
    {"al", "al.", "et al", "et al.", "others", "and others", "anonymous", "unknown", "n.n.", "nn",
     "various", "various authors", "not applicable", "test", "admin"}
)  # fmt: skip
_NO_LETTERS = "0123456789 .,;:-_+*/()[]<>?!'\"#&"
_EMAIL = re.compile(r"<?[^\s@<>]{1,64}@[^\s@<>]{1,190}\.[A-Za-z]{2,24}>?")
_INSTITUTE_STEMS = frozenset(
    {"univer", "instit", "labora", "centre", "center", "zentru", "facili", "synchr", "collab",
     "consor", "depart", "facult", "counci", "minist", "founda", "academ", "hochsc", "resear",
     "spalla", "helmho", "forsch", "labor", "gmbh", "ltd", "cnrs", "xfel", "desy", "cern", "e.v."}
)  # fmt: skip
"""First six letters of words that institutes and collaborations have in their names."""
_BETWEEN_WORDS = str.maketrans(";()", "   ")
_PARTICLES = frozenset(
    {
        "de", "da", "di", "van", "von", "der", "den", "del", "della", "la", "le", "du", "dos",
        "das", "ten", "ter", "zu",
    }
)  # fmt: skip


@lru_cache(maxsize=16384)
def person_name(text: str) -> Name | None:
    """Read a person's name; ``None`` when it names nobody ("al.", an unknown-value code).

    Comma → family name first; one all-capitals word beside others → the family name; else only
    the full name is kept.
    """
    name = known(text)
    return None if name is None else _read_name(name)


def _read_name(name: str) -> Name | None:
    """``person_name`` of clean text."""
    if name.lower() in _NOBODY or not name.strip(_NO_LETTERS):
        return None
    if "@" in name:
        name = " ".join(_EMAIL.sub(" ", name).split())
        if not name.strip(_NO_LETTERS):
            return None
    if "," in name:
        last, _, first = name.partition(",")
        last, first = last.strip(), first.strip()
        if last and first and "," not in first:
            return Name(f"{first} {last}", first, last)
        if not first:
            return Name(last)
        return Name(name)
    words = name.split()
    shouted = [word for word in words if len(word) > 1 and word.isupper() and "." not in word]
    if len(words) > 1 and shouted and len(shouted) < len(words):
        start = words.index(shouted[0])
        end = start + len(shouted)
        if words[start:end] != shouted:
            return Name(name)
        while start and words[start - 1].lower() in _PARTICLES:
            start -= 1
        given = words[:start] + words[end:]
        if given and (start == 0 or end == len(words)):
            first, last = " ".join(given), " ".join(words[start:end])
            return Name(f"{first} {last}", first, last)
    return Name(name)


def without_emails(text: str) -> str:
    """The text with ``(e-mail)`` in place of every e-mail address."""
    return _EMAIL.sub("(e-mail)", text) if "@" in text else text


def is_institute(text: str) -> bool:
    """Whether a "person" is an institute or collaboration (HZB lists its institute in the team)."""
    words = text.lower().replace(",", " ")
    if ";" in words or "(" in words:
        words = words.translate(_BETWEEN_WORDS)
    return not _INSTITUTE_STEMS.isdisjoint([word[:6] for word in words.split()])


@lru_cache(maxsize=16384)
def agent_name(text: str) -> Name | None:
    """``person_name`` of clean text that may name an institute; ``None`` for one of these too."""
    # "Doe, Jane" and "Meyer-Roe, J." have nothing in them that the long way would look for.
    last, _, first = text.partition(", ")
    if (
        first.replace(".", "").isalpha()
        and last.replace("-", "").isalnum()
        and last[:6].lower() not in _INSTITUTE_STEMS
        and first[:6].lower() not in _INSTITUTE_STEMS
    ):
        return _tuple(Name, (f"{first} {last}", first, last))
    return None if is_institute(text) else _read_name(text)


_ROLES = {
    "principal investigator": "principal investigator",
    "principal_investigator": "principal investigator",
    "principalinvestigator": "principal investigator",
    "pi": "principal investigator",
    "projectleader": "principal investigator",
    "projectmanager": "principal investigator",
    "project leader": "principal investigator",
    "datacollector": "local contact",
    "local contact": "local contact",
    "local_contact": "local contact",
    "localcontact": "local contact",
    "contactperson": "contact",
    "contact person": "contact",
}


@lru_cache(maxsize=1024)
def role(text: str) -> str:
    """One spelling for the roles that several facilities spell differently; others as sent."""
    return _ROLES.get(text.strip().lower(), text.strip())


def person(name: Name) -> dict[str, Any]:
    """A Person in JSON form."""
    full, first, last = name
    if first is not None and last is not None:
        return {"fullName": full, "firstName": first, "lastName": last}
    return {"fullName": full}


def member(
    name: Name,
    *,
    role_name: str | None = None,
    orcid_text: str | None = None,
    affiliation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A Member with its Person, in JSON form, from a name of a flat record."""
    somebody = person(name)
    if orcid_text is not None and (code := orcid(orcid_text)) is not None:
        somebody["orcid"] = code
    made: dict[str, Any] = {"person": somebody}
    if role_name is not None:
        made["role"] = role(role_name)
    if affiliation:
        made["affiliation"] = affiliation
    return made


def without_repeats(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Members in order, one for each person; a later mention only adds what was missing.

    The same person is who has the same ORCID or, lacking one of them, the same name.
    """
    if len(members) < 2 or _surely_different(members):
        return members
    kept: dict[str, dict[str, Any]] = {}
    for found in members:
        if "person" not in found:
            kept[f"#{len(kept)}"] = found
            continue
        identity = _same_name(found["person"]["fullName"])
        earlier = kept.get(identity)
        if earlier is None:
            kept[identity] = found
            continue
        theirs, ours = found["person"].get("orcid"), earlier["person"].get("orcid")
        if theirs and ours and theirs != ours:
            kept[f"{identity} {theirs}"] = found
        else:
            person = {**found["person"], **earlier["person"]}
            kept[identity] = {**found, **earlier, "person": person}
    return list(kept.values())


def _surely_different(members: list[dict[str, Any]]) -> bool:
    """Whether no two names can be the same words in another order, by their lengths alone."""
    lengths = set()
    for found in members:
        if "person" not in found:
            return False
        name = found["person"]["fullName"]
        if "," in name or "  " in name:
            return False
        lengths.add(len(name) if name.isascii() else len(name.casefold()))
    return len(lengths) == len(members)


def _same_name(name: str) -> str:
    """The same for both orders of a name's words."""
    return " ".join(sorted(name.casefold().replace(",", " ").split()))
