"""Open or not: licences, access statements, embargoes (semantics 2).

A record carries *evidence*; ``decide`` turns it into an access block, and ``access_at`` turns the
block and an instant into one of five states with the reason in words. Nothing that depends on
today is kept. Contradictions are answered on the cautious side.

Evidence is a list of ``{"says", "path", "value", "at"?, "until"?}``, where ``says`` is one of:

========================  ====================================================================
``open``                  the record itself says that its data are open
``embargoed``             it says that there is an embargo
``restricted``            it says restricted, closed or not public
``metadata_only``         only the metadata are open
``embargo_until``         the date to which an embargo runs (``at``, an instant)
``opened``                the date on which the data were opened (``at``)
``published``             a year of publication (``at`` its first instant, ``until`` its end)
``published_later``       the same, later than the experiment: as ESRF marks its embargoes
``licence``               a licence: proves nothing alone (ESRF's embargoed records carry one)
``constant``              the source says the same of every record: no evidence
``lists_only_open``       policy: what this source lists is open
``releases_automatically``  policy: a passed embargo date does open the data
========================  ====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from mappings.dates import instant

State = Literal["open", "embargoed", "restricted", "metadata_only", "unknown"]
STATES: tuple[State, ...] = ("open", "embargoed", "restricted", "metadata_only", "unknown")

ALWAYS = "1970-01-01T00:00:00Z"
"""``openFrom`` of what is open without a date: before every instant that anybody asks about."""

Evidence = dict[str, str]


@dataclass(frozen=True, slots=True)
class AccessState:
    """The answer at one instant.

    ``open_from`` is the instant from which the record is or will be open, if known; ``until`` the
    end of an embargo that still runs. Both ISO UTC.
    """

    state: State
    reason: str
    open_from: str | None = None
    until: str | None = None


# --- reading ---------------------------------------------------------------------------------

_STATEMENTS: dict[str, str] = {
    "openaccess": "open", "c_abf2": "open", "open access": "open", "open": "open",
    "public": "open",
    # SciCat's Dublin Core says this of every record (oai-provider-service): no evidence.
    "available to the public": "constant",
    "embargoedaccess": "embargoed", "c_f1cf": "embargoed", "embargoed access": "embargoed",
    "embargoed": "embargoed", "under embargo": "embargoed",
    "restrictedaccess": "restricted", "c_16ec": "restricted", "restricted access": "restricted",
    "restricted": "restricted", "closedaccess": "restricted", "closed access": "restricted",
    "closed": "restricted", "not public": "restricted", "private": "restricted",
    "metadataonlyaccess": "metadata_only", "metadata only access": "metadata_only",
    "c_14cb": "metadata_only", "metadata only": "metadata_only",
}  # fmt: skip
_ACCESS_PREFIXES = (
    "info:eu-repo/semantics/", "http://purl.org/coar/access_right/",
    "https://purl.org/coar/access_right/", "coar:", "eu-repo/semantics/",
)  # fmt: skip


@lru_cache(maxsize=4096)
def access_statement(text: str) -> str | None:
    """``open``, ``embargoed``, ``restricted`` or ``metadata_only`` from a rights text or URI.

    Known: ``info:eu-repo/semantics/…Access``, the COAR codes, and the same in words.
    """
    word = text.strip().lower().rstrip(".")
    for prefix in _ACCESS_PREFIXES:
        word = word.removeprefix(prefix)
    return _STATEMENTS.get(word.replace("-", " "))


_CC = re.compile(
    r"cc[ -]?by((?:[ -](?:nc|nd|sa)){0,3})(?:[ -]?v?([1-4]\.[0-9]))?(?: ?international| ?unported)?"
)
_CC_URL = re.compile(r"creativecommons\.org/licenses/([a-z-]{2,20})/([1-4]\.[0-9])")
_CC_ZERO_URL = re.compile(r"creativecommons\.org/publicdomain/zero/1\.0")
_SPDX_IN_BRACKETS = re.compile(r"\(([A-Za-z0-9.+-]{3,40})\)")
_SPDX_NAMES = {
    name.lower(): name
    for name in (
        "CC0-1.0", "CC-BY-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0",
        "CC-BY-SA-4.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-SA-4.0",
        "CC-BY-NC-ND-4.0", "ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "Apache-2.0", "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
        "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0", "EUPL-1.2", "AGPL-3.0-only", "ISC",
        "AGPL-3.0-or-later", "CERN-OHL-S-2.0", "CERN-OHL-W-2.0", "CERN-OHL-P-2.0",
    )
}  # fmt: skip
_LICENCE_WORDS = {
    "cc0": "CC0-1.0", "cc zero": "CC0-1.0", "cc-zero": "CC0-1.0", "cc0 1.0": "CC0-1.0",
    "cc0 public domain dedication": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0",
    "apache license 2.0": "Apache-2.0", "apache 2.0": "Apache-2.0", "mit license": "MIT",
    "creative commons attribution 4.0 international": "CC-BY-4.0",
    "creative commons attribution 4.0": "CC-BY-4.0",
    "creative commons attribution share alike 4.0 international": "CC-BY-SA-4.0",
    "creative commons attribution non commercial 4.0 international": "CC-BY-NC-4.0",
    "creative commons zero v1.0 universal": "CC0-1.0",
}  # fmt: skip


@lru_cache(maxsize=4096)
def licence(text: str) -> str | None:
    """The SPDX identifier of a licence, from its id, name, abbreviation or URL, else ``None``.

    A licence without version (``CC-BY``) has no SPDX id. ``ESS``, on 451 of 455 ESS datasets, is
    no licence.
    """
    word = " ".join(text.strip().lower().rstrip("./").split())
    if len(word) > 300:
        return None
    if (exact := _SPDX_NAMES.get(word) or _LICENCE_WORDS.get(word)) is not None:
        return exact
    if found := _CC_URL.search(word):
        return _SPDX_NAMES.get(f"cc-{found.group(1)}-{found.group(2)}")
    if _CC_ZERO_URL.search(word):
        return "CC0-1.0"
    if (found := _CC.fullmatch(word)) and found.group(2):
        parts = ["cc-by", *re.split("[ -]", found.group(1).strip(" -")), found.group(2)]
        return _SPDX_NAMES.get("-".join(part for part in parts if part))
    if "spdx.org/licenses/" in word:
        return _SPDX_NAMES.get(word.rsplit("/", 1)[1].removesuffix(".html").removesuffix(".json"))
    if found := _SPDX_IN_BRACKETS.search(word):
        return _SPDX_NAMES.get(found.group(1))
    return None


@lru_cache(maxsize=4096)
def is_licence_like(text: str) -> bool:
    """Whether a rights text names a licence, with or without an SPDX identifier."""
    word = text.strip().lower()
    return licence(text) is not None or bool(
        re.match(r"cc[ -]?(by|0)|creative commons|https?://creativecommons\.org/", word)
    )


def evidence(
    says: str, path: str, value: str, at: str | None = None, until: str | None = None
) -> Evidence:
    """One piece of evidence in JSON form."""
    piece = {"says": says, "path": path, "value": value}
    if at is not None:
        piece["at"] = at
    if until is not None:
        piece["until"] = until
    return piece


# --- deciding --------------------------------------------------------------------------------


def decide(pieces: Sequence[Evidence]) -> dict[str, Any]:
    """The access block of a record from its evidence (semantics 2.1–2.3).

    Returns:
        ``openFrom``? the earliest instant from which the record is open (absent: never, or
        unknown); ``embargoUntil``?; ``restriction``?; ``openSince``? only where a source gives
        the opening date; ``evidence``, each piece once, in a fixed order.
    """
    said = {piece["says"]: piece for piece in pieces}
    # Mostly no two say the same: then their first words put them in order.
    distinct = len(said) == len(pieces)
    pieces = [said[says] for says in sorted(said)] if distinct else _once(pieces)
    block: dict[str, Any] = {"evidence": pieces}
    says = said.keys()
    if "metadata_only" in says:
        block["restriction"] = "metadata_only"
    embargo = None
    if "embargo_until" in says:
        embargo = said["embargo_until"].get("at") if distinct else _latest(pieces, _EMBARGO, "at")
    dated = "published" in says or "published_later" in says
    year = _latest(pieces, _YEARS, "at") if dated else None
    if embargo is None:
        if "restricted" in says:
            block.setdefault("restriction", "restricted")
        elif not dated:
            pass
        elif "embargoed" in says:
            embargo = _latest(pieces, _YEARS, "until")
        elif "open" not in says and "lists_only_open" not in says:
            # A year later than the experiment is the end of an embargo (ESRF's records of 2028).
            # Any year says at least that nothing was out before it began; of this year one cannot
            # tell.
            embargo = _latest(pieces, _LATER_YEAR, "until") or year
    if embargo is not None:
        block["embargoUntil"] = embargo
    # Without one of these, nothing that is said opens a record.
    if "restriction" not in block and (
        "open" in says or "lists_only_open" in says or "releases_automatically" in says
    ):
        opened = _latest(pieces, _OPENED, "at") if "opened" in says else None
        opens = _opening(says, embargo, opened or year)
        if opens is not None:
            block["openFrom"] = opens
            if opened is not None and opened[:-1] <= opens[:-1]:
                block["openSince"] = opened
    return block


_EMBARGO = frozenset({"embargo_until"})
_YEARS = frozenset({"published", "published_later"})
_LATER_YEAR = frozenset({"published_later"})
_OPENED = frozenset({"opened"})


def _opening(says: Set[str], embargo: str | None, otherwise: str | None) -> str | None:
    """The earliest instant from which the record is open, if the evidence allows one."""
    if embargo is not None:
        if "releases_automatically" in says:
            return embargo
        if "restricted" in says:
            return None  # "not public" and an end of embargo: the end is expected, not confirmed
        if "lists_only_open" in says or ("open" in says and "embargoed" not in says):
            return embargo
        return None
    if "embargoed" in says:
        return None
    if "open" in says or "lists_only_open" in says:
        return otherwise or ALWAYS
    return None


def _latest(pieces: Iterable[Evidence], says: frozenset[str], name: str) -> str | None:
    """The latest instant among pieces; without their "Z", ISO texts sort as instants do."""
    latest = None
    for piece in pieces:
        if piece["says"] in says and name in piece:
            found = piece[name]
            if latest is None or found[:-1] > latest[:-1]:
                latest = found
    return latest


def _once(pieces: Sequence[Evidence]) -> list[Evidence]:
    seen: dict[tuple[str, str, str], Evidence] = {}
    for piece in pieces:
        seen.setdefault((piece["says"], piece["path"], piece["value"]), piece)
    return [seen[identity] for identity in sorted(seen)]


# --- answering -------------------------------------------------------------------------------


def access_at(access: Mapping[str, Any], when: datetime) -> AccessState:
    """The state of a record at an instant, with the reason in words (semantics 2.1).

    Between ``openFrom`` and ``embargoUntil`` the answer does not change.

    Args:
        access: an access block as ``decide`` makes it.
        when: aware.
    """
    restriction = access.get("restriction")
    if restriction == "metadata_only":
        return AccessState("metadata_only", "the facility offers the metadata only")
    if restriction == "restricted":
        return AccessState("restricted", "the facility says that access is restricted")
    says = {piece["says"] for piece in access.get("evidence", ())}
    opens, until = access.get("openFrom"), access.get("embargoUntil")
    if opens is not None and instant(opens) <= when:
        return AccessState(
            "open", _open_reason(access, says), _instant_claimed(access, says, opens)
        )
    if until is not None and instant(until) > when:
        return AccessState("embargoed", _embargo_reason(access, says, until), opens, until)
    if opens is not None:
        return AccessState("embargoed", f"opens on {_day(opens)}", opens, opens)
    return AccessState("unknown", _unknown_reason(access, says))


def _instant_claimed(access: Mapping[str, Any], says: set[str], opens: str) -> str | None:
    """The instant of opening that may be claimed of an open record (semantics 2.3): one that a
    source gives, or the embargo's end where release is automatic. That a record is listed as open
    says nothing about since when: proposal 700000 opened years after its embargo."""
    if "openSince" in access:
        return str(access["openSince"])
    confirmed_otherwise = says & {"open", "lists_only_open"}
    return None if confirmed_otherwise or opens == ALWAYS else opens


def _open_reason(access: Mapping[str, Any], says: set[str]) -> str:
    until = access.get("embargoUntil")
    if "open" in says:
        reason = "the record says that access is open"
    elif "lists_only_open" in says:
        reason = "this facility lists only open proposals"
    else:
        reason = "this facility releases data when the embargo ends"
    if until is not None:
        reason += f"; the embargo ended on {_as_sent(access, until)}"
    if "openSince" in access:
        reason += f"; open since {_day(access['openSince'])}"
    return reason


def _embargo_reason(access: Mapping[str, Any], says: set[str], until: str) -> str:
    if "embargo_until" in says:
        return f"embargo until {_as_sent(access, until)}"
    return f"embargo until {_day(until)}, by the year of publication"


def _unknown_reason(access: Mapping[str, Any], says: set[str]) -> str:
    until = access.get("embargoUntil")
    if until is not None and says & {"embargo_until", "embargoed", "published_later"}:
        ended = _as_sent(access, until)
        return f"the embargo ended on {ended}, but nobody confirmed that the data are open"
    if "embargoed" in says:
        return "an embargo without a date"
    if "licence" in says:
        return "a licence is given, which alone does not prove that the data are open"
    if "constant" in says:
        return "the facility says the same of every record, which proves nothing"
    return "the facility says nothing about access"


def _as_sent(access: Mapping[str, Any], until: str) -> str:
    """The end of an embargo as the facility wrote it: its own day, not that of UTC."""
    for piece in access.get("evidence", ()):
        if piece.get("at") == until and piece["says"] == "embargo_until":
            sent = str(piece["value"])
            if len(sent) == 10:
                return f"{sent} (end of the day)"
            if sent[10:11] in ("T", " ") and not sent.endswith(("Z", "z")):
                return f"{sent[:10]} (local time)"
    return _day(until)


def _day(text: str) -> str:
    """An instant in words: its day when it is midnight of UTC."""
    return text[:10] if text.endswith("T00:00:00Z") else text
