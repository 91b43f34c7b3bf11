"""Technique strings and ids of a record → Technique objects with their PaNET terms.

A string may give several techniques ("SAXS/WAXS"); each then keeps the string as ``evidence``.
Every link is cached by string, so a harvest pays for each spelling once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mappings.linking import SURE, against_id, link
from mappings.techniques import canonical_iri, find_id, is_technique_id, load_panet
from mappings.text import known, split_outside_brackets

Tag = dict[str, Any]

_LONGEST_LABEL = 300


@lru_cache(maxsize=16384)
def _tags(label: str | None, identifier: str | None, probes: tuple[str, ...]) -> tuple[Tag, ...]:
    panet = load_panet()
    short = find_id(identifier) if identifier else None
    if short is not None and (not is_technique_id(short) or panet.find(short) is None):
        short = None
    if short is None and identifier is None and label is not None:
        short = _bare_id(label)
    if short is not None:
        return (_tag_of_id(label, identifier, short, probes),)
    if label is None:
        return ()
    links = link(label, probes) if len(label) <= _LONGEST_LABEL else ()
    if not links:
        return ({"name": label, **({"pid": identifier} if identifier else {})},)
    several = len(links) > 1
    tags = []
    for found in links:
        tag: Tag = {
            "name": label,
            "pid": identifier or canonical_iri(found.id),
            "panetId": canonical_iri(found.id),
            "panet": found.id,
            "confidence": float(found.confidence),
            "rule": found.rule,
        }
        if several:
            tag["name"] = found.matched or found.label
            tag["evidence"] = label
        tags.append(tag)
    return tuple(tags)


def _bare_id(label: str) -> str | None:
    """The id in a label that is nothing but a PaNET id or IRI."""
    short = find_id(label)
    if short is None or " " in label or not label.endswith(short[5:]):
        return None
    return short if is_technique_id(short) and load_panet().find(short) is not None else None


def _tag_of_id(
    label: str | None, identifier: str | None, short: str, probes: tuple[str, ...]
) -> Tag:
    """A technique given by its PaNET id, unless its label says that it is another one."""
    panet = load_panet()
    term = panet.term(short)
    pid = identifier or canonical_iri(short)
    name = label if label is not None and find_id(label) is None else term.label
    other = None
    if name != term.label and len(name) <= _LONGEST_LABEL:
        other = against_id(short, name, probes)
    if other is not None:
        return {
            "name": name,
            "pid": pid,
            "panetId": canonical_iri(other.id),
            "panet": other.id,
            "confidence": other.confidence,
            "rule": other.rule,
            "evidence": f"{short} ({term.label})",
        }
    return {
        "name": name,
        "pid": pid,
        "panetId": canonical_iri(short),
        "panet": short,
        "confidence": 1.0,
        "rule": "id",
    }


def technique_tags(
    label: object, identifier: object = None, probes: Sequence[str] = ()
) -> list[Tag]:
    """Techniques that one label and/or one identifier of a record stands for."""
    name = known(label)
    pid = known(identifier)
    if name is None and pid is None:
        return []
    if name is None and pid is not None and find_id(pid) is None:
        return []
    return [dict(tag) for tag in _tags(name, pid, tuple(probes))]


def techniques_in_list(text: str, probes: Sequence[str] = ()) -> list[Tag]:
    """Techniques in a comma list, as European XFEL sends them. No PaNET label has a comma."""
    tags: list[Tag] = []
    for piece in split_outside_brackets(text, ",;"):
        tags += technique_tags(piece, None, probes)
    return without_repeats(tags)


@lru_cache(maxsize=16384)
def keyword_tags(keyword: str, probes: tuple[str, ...]) -> tuple[Tag, ...]:
    """Techniques that a keyword certainly names; a keyword need not be a technique at all.

    Only links of high confidence count: precision before recall (a wrong technique misleads).
    """
    if len(keyword) > 120:
        return ()
    tags = _tags(keyword, None, probes)
    if any("panet" not in tag or tag["confidence"] < SURE for tag in tags):
        return ()
    return tags


def without_repeats(tags: list[Tag]) -> list[Tag]:
    """One tag a PaNET term, the surest first seen; unlinked ones by name. Order is kept."""
    if len(tags) < 2:
        return tags
    kept: dict[str, Tag] = {}
    for tag in tags:
        identity = tag.get("panet") or tag["name"].casefold()
        earlier = kept.get(identity)
        if earlier is None or tag.get("confidence", 0) > earlier.get("confidence", 0):
            kept[identity] = tag
    return list(kept.values())
