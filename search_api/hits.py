"""Hits of our own API: entities with what a person wants to see at once.

A Document shows what its Datasets say of technique, sample and instrument; ``access`` says whether
it is open, and why; ``services`` are the links its facility offers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import anyio.to_thread
import orjson

from catalogue.answers import Hit
from catalogue.facilities import Facility
from catalogue.fields import elements
from catalogue.records import StoredEntity
from mappings.rights import access_at
from mappings.techniques import Term, load_panet
from search_api.cache import FOREVER, next_opening
from search_api.facilities import FacilityStates
from search_api.federation.overlay import Overlay
from search_api.includes import Records
from search_api.search import MAX_CHILDREN

Json = dict[str, Any]
Record = Mapping[str, Any]

MAX_ROWS = 50
LINK_NAMES = {"landing": "landing page", "None": "link"}


async def load_children(
    records: Records, entities: Sequence[StoredEntity]
) -> dict[str, tuple[int, Sequence[Record]]]:
    """For each Document how many Datasets it has, and the first of them."""
    linked: dict[str, Sequence[str]] = {
        entity.key: entity.record.get("datasets") or ()
        for entity in entities
        if entity.entity_class == "Document"
    }
    first = {key: sorted(keys)[:MAX_CHILDREN] for key, keys in linked.items()}
    if not linked:
        return {}

    def look_up() -> dict[str, tuple[int, Sequence[Record]]]:
        found = records.entities(sorted({child for keys in first.values() for child in keys}))
        return {
            key: (
                len(linked[key]),
                [
                    found[child].record
                    for child in children
                    if child in found and not found[child].deleted
                ],
            )
            for key, children in first.items()
        }

    if isinstance(records, Overlay) and records.has_all(chain.from_iterable(first.values())):
        return look_up()
    return await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True)


class LiveRecords:
    """Records as they are shown at ``now``. Of those that came live and come again with other
    questions it is made once, for as long as neither the facilities nor the access change."""

    def __init__(self, records: Records, states: FacilityStates, now: datetime) -> None:
        self._records = records if isinstance(records, Overlay) else None
        self._remembered: dict[str, Any] = {} if self._records is None else self._records.remembered
        self._at_hand: dict[str, _Remembered] = {}
        self._states = states
        self._now = now

    def has(self, entity: StoredEntity) -> bool:
        """Whether it is at hand already; then it stays so."""
        known: _Remembered = self._remembered.get(entity.key, _NEVER)
        if known.version != self._states.version or not known.since <= self._now < known.until:
            return False
        self._at_hand[entity.key] = known
        return True

    def of(self, entity: StoredEntity, children: tuple[int, Sequence[Record]] | None) -> Json:
        """The record, for the caller to add to."""
        return dict(self._made(entity, children).shown)

    def written(
        self, entity: StoredEntity, children: tuple[int, Sequence[Record]] | None
    ) -> tuple[Json, bytes]:
        """The record, which must not be changed, and how it begins as JSON: all but the brace at
        its end, for the caller to add to."""
        made = self._made(entity, children)
        if not made.begins:
            made.begins.append(orjson.dumps(made.shown, option=orjson.OPT_UTC_Z)[:-1])
        return made.shown, made.begins[0]

    def _made(
        self, entity: StoredEntity, children: tuple[int, Sequence[Record]] | None
    ) -> _Remembered:
        found = self._at_hand.get(entity.key)
        if found is not None:
            return found
        shown, live = record_json(entity, children, self._states, self._now), self._records
        made = _Remembered(self._states.version, self._now, FOREVER, shown, [])
        if live is not None and live.has_all([entity.key, *(entity.record.get("datasets") or ())]):
            made = made._replace(until=next_opening(entity.record, self._now))
            live.remember(entity.key, made)
        return made


class _Remembered(NamedTuple):
    """A record as it is shown, and how it begins as JSON, once that was wanted: good for one
    version of the facilities' states, from one instant to another."""

    version: int
    since: datetime
    until: datetime
    shown: Json
    begins: list[bytes]


_NEVER = _Remembered(-1, FOREVER, FOREVER, {}, [])


def hit_json(hit: Hit, shown: Json, *, partly: bool = False) -> Json:
    """A hit with score, access, techniques and services; absent fields are left out.

    Args:
        shown: its record, see ``record_json``; changed.
        partly: not all the fields that are scored could be had of its facility.
    """
    shown |= _of_the_hit(hit, partly)
    return shown


def written_hit(hit: Hit, begins: bytes, *, partly: bool = False) -> orjson.Fragment:
    """The same as JSON, of a record that was put into JSON before.

    Args:
        begins: see ``LiveRecords.written``.
    """
    rest = orjson.dumps(_of_the_hit(hit, partly))
    return orjson.Fragment(b"%b,%b" % (begins, rest[1:]))


def _of_the_hit(hit: Hit, partly: bool) -> Json:
    """What a question adds to a record."""
    added: Json = {"score": hit.score}
    if partly:
        added["partly_scored"] = True
    if hit.highlights:
        added["highlights"] = hit.highlights
    if hit.explanation is not None:
        added["explanation"] = {
            "text": hit.explanation.text,
            "technique": hit.explanation.technique,
            "best_possible": hit.explanation.best_possible,
            "parts": list(hit.explanation.parts),
        }
    return added


def record_json(
    entity: StoredEntity,
    children: tuple[int, Sequence[Record]] | None,
    states: FacilityStates,
    now: datetime,
) -> Json:
    """An entity as our own API shows it."""
    record = entity.record
    count, datasets = children or (0, [])
    own = [record] if entity.entity_class == "Dataset" else datasets
    facility = states.named(str(record.get("facility", "")))
    shown: Json = {
        "key": entity.key,
        "type": entity.entity_class,
        "pid": record.get("pid"),
        "doi": doi_of(record),
        "title": record.get("title") or record.get("name"),
        "facility": record.get("facility"),
        "facilities": list(record.get("facilities") or [record.get("facility")]),
        "provider": states.provider_of(str(record.get("facility", ""))),
        "access": access_json(record, now),
        "techniques": techniques_json(own),
        "samples": _rows(own, "samples", ("name", "description", "pid")),
        "instruments": _names(own, "instrument") or list(record.get("instrumentNames") or ()),
        "services": services_json(record, facility),
    }
    for name, source in _PLAIN.items():
        if record.get(source) is not None:
            shown[name] = record[source]
    if entity.entity_class == "Document":
        shown["datasets"] = count
        shown["people"] = people_json(record)
    return shown


_PLAIN = {
    "documentType": "type",
    "kind": "kind",
    "summary": "summary",
    "startDate": "startDate",
    "endDate": "endDate",
    "releaseDate": "releaseDate",
    "creationDate": "creationDate",
    "years": "years",
    "license": "license",
    "keywords": "keywords",
    "proposal": "proposal",
    "size": "size",
    "dataLevel": "dataLevel",
    "formats": "formats",
    "derived": "derived",
    "related": "related",
}


def doi_of(record: Record) -> str | None:
    """The DOI, from the pid where that is one."""
    doi = record.get("doi") or record.get("pid")
    return str(doi) if isinstance(doi, str) and doi.startswith("10.") and "/" in doi else None


def access_json(record: Record, now: datetime) -> Json:
    """The state at ``now`` with the reason in words (semantics 2)."""
    access = record.get("access") or {}
    found = access_at(access, now)
    shown: Json = {
        "state": found.state,
        "reason": found.reason,
        "open_from": found.open_from,
        "until": found.until,
    }
    if "openSince" in access:
        shown["open_since"] = access["openSince"]
    return shown


def techniques_json(records: Iterable[Record]) -> list[Json]:
    """Distinct techniques, each with the PaNET term it was linked to and the name as sent."""
    found: dict[str, Json] = {}
    for record in records:
        for row in elements(record, "techniques"):
            identifier = row.get("panet")
            term = _term(str(identifier)) if identifier else None
            name = row.get("name")
            key = term.id if term else str(name or row.get("pid"))
            if key in found:
                continue
            found[key] = {
                "id": term.id if term else None,
                "panetId": term.iri if term else row.get("panetId"),
                "label": term.label if term else name,
                "name": name,
                "pid": row.get("pid"),
            }
            if row.get("confidence") is not None:
                found[key]["confidence"] = row["confidence"]
    return list(found.values())


@lru_cache(maxsize=4_096)
def _term(identifier: str) -> Term | None:
    return load_panet().find(identifier)


def _rows(records: Iterable[Record], relation: str, names: Sequence[str]) -> list[Json]:
    found: dict[str, Json] = {}
    for record in records:
        for row in elements(record, relation):
            shown = {name: row[name] for name in names if row.get(name)}
            found.setdefault(str(shown.get("name") or shown), shown)
            if len(found) >= MAX_ROWS:
                return list(found.values())
    return list(found.values())


def _names(records: Iterable[Record], relation: str) -> list[str]:
    return [str(row["name"]) for row in _rows(records, relation, ("name",)) if "name" in row]


def people_json(record: Record) -> list[Json]:
    """Members with role, name, ORCID and affiliation."""
    people = []
    for member in elements(record, "members")[:MAX_ROWS]:
        person: Record = member.get("person") or {}
        affiliation: Record = member.get("affiliation") or {}
        shown = {
            "name": person.get("fullName"),
            "role": member.get("role"),
            "orcid": person.get("orcid"),
            "affiliation": affiliation.get("name"),
        }
        people.append({name: value for name, value in shown.items() if value})
    return people


def services_json(record: Record, facility: Facility | None) -> list[Json]:
    """Links to landing page, download and the services of the facility; http(s) only (I06)."""
    links: list[Json] = []
    for link in elements(record, "links"):
        name = LINK_NAMES.get(str(link.get("rel")), str(link.get("rel") or "link"))
        _add_link(links, name, str(link.get("url") or ""), False)
    doi = doi_of(record)
    values = {"doi": doi, "pid": record.get("pid"), "proposal": record.get("proposal")}
    for service in facility.services if facility else ():
        url = filled(service.template, values)
        if url is not None:
            _add_link(links, service.name, url, service.login)
    if doi is not None:
        _add_link(links, "DOI", f"https://doi.org/{quote(doi, safe='/()')}", False, is_ours=True)
    return links


def filled(template: str, values: Mapping[str, Any]) -> str | None:
    """A service link with its places filled in, percent-encoded; ``None`` when one is unknown."""
    url = template
    for name, value in values.items():
        place = "{" + name + "}"
        if place in url:
            if not value:
                return None
            url = url.replace(place, quote(str(value), safe=""))
    return url


def _add_link(
    links: list[Json], name: str, url: str, login: bool, *, is_ours: bool = False
) -> None:
    if (is_ours or is_safe_link(url)) and url not in [link["url"] for link in links]:
        links.append({"name": name, "url": url, "login": login})


@lru_cache(maxsize=8_192)
def is_safe_link(url: str) -> bool:
    """Whether a harvested address may become a link: http or https, a host, no blanks."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(host)
        and not any(character.isspace() or not character.isprintable() for character in url)
    )
