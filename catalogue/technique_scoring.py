"""Techniques in queries: recognition, membership, kinship (semantics 4, 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from catalogue.scoring import MIN_SIMILARITY
from mappings.techniques import Panet, find_id, load_panet

if TYPE_CHECKING:
    from mappings.linking import Recognition


@dataclass(frozen=True, slots=True)
class RecognisedTechnique:
    """A technique found in a sentence, at offsets ``start`` to ``end`` of it."""

    start: int
    end: int
    text: str
    ids: tuple[str, ...]


def recognised_techniques(sentence: str) -> tuple[RecognisedTechnique, ...]:
    """Techniques that the linker finds in free text; overlapping finds are the linker's matter."""
    named = _linker()(sentence)
    # Most sentences have none, and no two questions have the same one.
    return _recognised(named) if named else ()


@cache
def _linker() -> Callable[[str], tuple[Recognition, ...]]:
    from mappings.linking import recognise

    return recognise


def _recognised(named: Iterable[Recognition]) -> tuple[RecognisedTechnique, ...]:
    found = []
    for one in named:
        ids = tuple(dict.fromkeys(link.id for link in one.links))
        if ids:
            found.append(RecognisedTechnique(one.start, one.end, one.text, ids))
    return tuple(found)


@lru_cache(maxsize=4_096)
def known(panet_id: str) -> str | None:
    """The short id of a PaNET term that exists, from any spelling of it."""
    found = find_id(panet_id)
    return found if found and load_panet().find(found) else None


def tags_of(techniques: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The PaNET ids that a Dataset's techniques were linked to."""
    named = [known(str(one.get("panet") or one.get("panetId") or "")) for one in techniques]
    return frozenset([one for one in named if one])


def with_ancestors(tags: Iterable[str]) -> frozenset[str]:
    """The tags and everything above them in the cut graph: what filters and facets look up."""
    return _all_ancestors(frozenset(tags))


@lru_cache(maxsize=4_096)
def _all_ancestors(tags: frozenset[str]) -> frozenset[str]:
    return frozenset(above for tag in tags for above in _ancestors(tag))


@lru_cache(maxsize=4_096)
def set_name(tags: frozenset[str]) -> str:
    """One name for all sets of tags that have the same terms above them; the tags that are above
    no other, in order. Sets are few where records are many."""
    above_others = {above for tag in tags for above in _ancestors(tag) if above != tag}
    return " ".join(sorted(tags - above_others))


@lru_cache(maxsize=16_384)
def of_set(name: str) -> frozenset[str]:
    """``with_ancestors`` of the sets that have this name."""
    return with_ancestors(name.split())


@lru_cache(maxsize=4_096)
def _ancestors(tag: str) -> frozenset[str]:
    return load_panet().ancestors(tag)


@lru_cache(maxsize=1_024)
def kin_levels(asked: tuple[str, ...]) -> tuple[tuple[float, frozenset[str]], ...]:
    """Terms by similarity to the nearest of the asked ids, most similar first, two decimals."""
    panet = load_panet()
    levels: dict[float, set[str]] = {}
    for other, term in panet.terms.items():
        if not term.is_technique:
            continue
        similarity = _nearness(panet, other, asked)
        if similarity >= MIN_SIMILARITY:
            levels.setdefault(similarity, set()).add(other)
    return tuple((level, frozenset(levels[level])) for level in sorted(levels, reverse=True))


def _nearness(panet: Panet, tag: str, asked: Sequence[str]) -> float:
    return round(max(panet.similarity(tag, one) for one in asked), 2)


@lru_cache(maxsize=4_096)
def label(panet_id: str) -> str:
    """The label of a term, or the id itself when PaNET does not have it."""
    term = load_panet().find(panet_id)
    return term.label if term else panet_id


@lru_cache(maxsize=4_096)
def names(panet_id: str) -> tuple[str, ...]:
    """Label and synonyms of a term, for the text of a record that is tagged with it."""
    term = load_panet().find(panet_id)
    return (term.label, *term.synonyms) if term else ()


NEAR = 0.5
"""Techniques from this similarity on are offered as near ones."""


@lru_cache(maxsize=1_024)
def near_techniques(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Techniques of the same probe near to the asked ones, nearest first.

    Those below an asked one are in its hits already; those above would mean a wider question.
    """
    panet = load_panet()
    inside = {below for one in asked for below in panet.descendants(one)}
    inside |= {above for one in asked for above in panet.ancestors(one)}
    nearness: dict[str, float] = {}
    for one in asked:
        for other, similarity in panet.similar(one, at_least=NEAR):
            if other not in inside:
                nearness[other] = max(similarity, nearness.get(other, 0.0))
    return tuple(sorted(nearness, key=lambda other: (-nearness[other], other)))
