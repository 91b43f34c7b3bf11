"""Several sources' records of one thing → one entity, field by field (semantics 1.1, 1.2).

Sources are believed in a configured order of trust; every field remembers whose it is. Evidence of
openness is joined and decided anew, so that contradictions end on the cautious side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from mappings.context import Entity
from mappings.rights import decide


@dataclass(frozen=True, slots=True)
class SourceEntity:
    """What one source says of an entity.

    ``trust``: lower is believed first. ``harvested_at`` (ISO UTC) breaks ties, newer first.
    """

    source: str
    facility: str
    trust: int
    harvested_at: str
    entity: Mapping[str, Any]


_JOINED = ("datasets", "documents", "keywords", "alternateIds", "related", "links", "techniques",
           "instrumentNames", "formats")  # fmt: skip
_TOGETHER = (
    ("startDate", "endDate", "years", "startSeconds", "endSeconds"),
    ("instrument", "instrumentKey"),
)
"""Fields that mean something only together come from one source."""

_OWN = frozenset({"class", "key", "facility", "access", "derived", "kind"})
_GROUPED = {name: group for group in _TOGETHER for name in group}


def merge_entities(parts: Sequence[SourceEntity]) -> Entity:
    """One entity of what several sources say of the same key.

    Args:
        parts: at least one, all with the same ``key``, in any order.

    Returns:
        The merged entity with ``facility`` (the most trusted), ``facilities`` and ``provenance``
        (field → source, or sources where lists were joined). A field that the most trusted source
        lacks comes from the next. Real Datasets come before derived ones (1.3); the result is
        ``derived`` only if all are.

    Raises:
        ValueError: no parts, or of different keys.
    """
    if not parts or len({part.entity["key"] for part in parts}) != 1:
        raise ValueError("merge_entities needs at least one entity, all of one key")
    ordered = sorted(parts, key=lambda part: part.source)
    ordered.sort(key=lambda part: part.harvested_at, reverse=True)
    ordered.sort(key=lambda part: (bool(part.entity.get("derived")), part.trust))
    first = ordered[0].entity
    merged: Entity = {"class": first["class"], "key": first["key"]}
    provenance: dict[str, str] = {}
    for part in ordered:
        _take_fields(part, merged, provenance)
    for name in _JOINED:
        _join(name, ordered, merged, provenance)
    _settle_kind(ordered, merged, provenance)
    if "access" in first:
        pieces = [piece for part in ordered for piece in part.entity["access"].get("evidence", ())]
        merged["access"] = decide(pieces)
        provenance["access"] = _sources(ordered)
    if all(part.entity.get("derived") for part in ordered):
        merged["derived"] = True
    merged["facility"] = first.get("facility", ordered[0].facility)
    merged["facilities"] = list(dict.fromkeys(part.facility for part in ordered))
    merged["provenance"] = provenance
    return merged


def _take_fields(part: SourceEntity, merged: Entity, provenance: dict[str, str]) -> None:
    taken: set[tuple[str, ...]] = set()
    for name, value in part.entity.items():
        if name in _OWN or name in _JOINED or name in merged:
            continue
        group = _GROUPED.get(name)
        if group is not None:
            if group not in taken and any(other in merged for other in group):
                continue
            taken.add(group)
        merged[name] = value
        provenance[name] = part.source


def _join(
    name: str, ordered: Sequence[SourceEntity], merged: Entity, provenance: dict[str, str]
) -> None:
    """Lists in which each source may know some: all of them, each once, most trusted first."""
    kept: dict[Any, Any] = {}
    used = []
    for part in ordered:
        before = len(kept)
        for item in part.entity.get(name, ()):
            kept.setdefault(_identity(item), item)
        if len(kept) > before:
            used.append(part)
    if kept:
        merged[name] = list(kept.values())
        provenance[name] = _sources(used)


def _identity(item: Any) -> Any:
    if isinstance(item, str):
        return item.casefold()
    if "panet" in item:
        return item["panet"]
    if "name" in item:
        return str(item["name"]).casefold()
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


def _settle_kind(
    ordered: Sequence[SourceEntity], merged: Entity, provenance: dict[str, str]
) -> None:
    """The most trusted kind that says something; ``other`` only when all say so."""
    telling = [part for part in ordered if part.entity.get("kind", "other") != "other"]
    for part in (*telling, *ordered):
        if "kind" in part.entity:
            merged["kind"] = part.entity["kind"]
            provenance["kind"] = part.source
            return


def _sources(parts: Sequence[SourceEntity]) -> str:
    return ", ".join(dict.fromkeys(part.source for part in parts))


_NOT_CONTENT = ("provenance", "facilities")
_SORTED = orjson.OPT_SORT_KEYS


def content_hash(entity: Mapping[str, Any]) -> str:
    """A hash of what an entity says, without provenance (semantics 1.6): 32 hex digits.

    Two entities have the same hash when they are equal as JSON, whatever the order of names.
    """
    if "provenance" in entity:
        entity = {name: value for name, value in entity.items() if name not in _NOT_CONTENT}
    # Processors have instructions for SHA-256; the first half of it is as good as a shorter hash.
    return sha256(orjson.dumps(entity, option=_SORTED)).hexdigest()[:32]
