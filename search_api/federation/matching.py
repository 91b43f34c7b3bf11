"""What of a pool answers a question: membership, facets and counts, by the oracle alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from catalogue import technique_scoring
from catalogue.answers import FacetCount
from catalogue.crowd import Crowd
from catalogue.errors import QueryTooCostly
from catalogue.facets import facet_of
from catalogue.oracle import Entity, Evaluator, facet_counts, meets
from catalogue.plan import Plan
from catalogue.query import (
    NOT_DATA,
    AccessIs,
    And,
    Compare,
    Facet,
    Node,
    Not,
    OneOf,
    OpenAt,
    Or,
    Search,
    TechniqueIn,
    conditions,
    count_conditions,
)
from catalogue.query_language import parse_words
from catalogue.readings import Pool
from catalogue.settling import MAX_TOGETHER
from catalogue.statistics import CollectionStatistics
from catalogue.text_query import TextPlan, plan_text
from search_api.federation.ranking import Ranked

Counts = Mapping[str, Sequence[FacetCount]]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Live hits in their order, and the collection that their scores were made with."""

    collection: CollectionStatistics
    hits: tuple[Ranked, ...]


@dataclass(slots=True)
class Looked:
    """What was found out of one pool's entities, and holds for whatever is asked: which kinds
    satisfy a condition, ``None`` for one that is not about the kind alone; and facets, by the
    entities that were counted."""

    kinds: dict[Node, dict[str | None, bool] | None] = field(default_factory=dict)
    facets: dict[tuple[str, tuple[int, ...]], list[FacetCount]] = field(default_factory=dict)


MOST_LOOKED = 64
"""Conditions and sets of entities of which one pool keeps what was found out."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One question over one pool. ``match``: ``all`` words or ``any`` (semantics 7)."""

    search: Search
    pool: Pool
    text: TextPlan | None
    match: str
    looked: Looked = field(default_factory=Looked, repr=False)
    _found: dict[tuple[Node, ...], Crowd] = field(default_factory=dict, repr=False)
    _facets: dict[Facet, list[FacetCount]] = field(default_factory=dict, repr=False)
    _met: list[Crowd] = field(default_factory=list, repr=False)
    rankings: list[Ranking] = field(default_factory=list, repr=False)

    @classmethod
    def of(
        cls, search: Search, pool: Pool, match: str | None = None, looked: Looked | None = None
    ) -> Matcher:
        text = text_plan(search)
        asked = search.text.match if search.text else "all"
        return cls(search, pool, text, match or asked, looked or Looked())

    def matching(self, keep: Callable[[Node], bool] = lambda _: True) -> Sequence[Entity]:
        """Entities of the class that satisfy the text and those top-level conditions that are
        kept, by key."""
        return self.crowd(keep).entities

    def crowd(self, keep: Callable[[Node], bool] = lambda _: True) -> Crowd:
        """The same, with what was found out of them."""
        nodes = tuple(node for node in conditions(self.search.where) if keep(node))
        if nodes not in self._found:
            self._found[nodes] = self._look(nodes)
        return self._found[nodes]

    def _look(self, nodes: Sequence[Node]) -> Crowd:
        found = self._that_meet()
        looks = len(found.entities) * sum(map(count_conditions, nodes))
        if looks > MAX_TOGETHER:
            raise QueryTooCostly(
                f"The conditions have to be looked at {looks:,} times in what the facilities sent, "
                f"and {MAX_TOGETHER:,} is the most. Ask for fewer conditions, or for fewer "
                "facilities."
            )
        evaluator = Evaluator(self.search.now, self.pool.entities)
        for node in nodes:
            right = self._right_kinds(node)
            if right is None:
                found = found.only([evaluator.holds(node, one.thing) for one in found.entities])
                continue
            # Nearly every question has it, and there are few kinds: each is looked at once.
            kinds = [one.kind for one in found.entities]
            if not right.keys() >= set(kinds):
                one_of = dict(zip(kinds, found.entities, strict=True))
                right |= {kind: evaluator.holds(node, one.thing) for kind, one in one_of.items()}
            found = found.only([right[kind] for kind in kinds])
        return found

    def _right_kinds(self, node: Node) -> dict[str | None, bool] | None:
        """What is known of a condition about the kind; ``None`` for another one."""
        known = self.looked.kinds
        if node not in known:
            if len(known) >= MOST_LOOKED:
                known.clear()
            known[node] = {} if _asks_for_kind(node) else None
        return known[node]

    def _that_meet(self) -> Crowd:
        """Entities of the class that satisfy the text, by key; worked out once."""
        if not self._met:
            among = self.pool.crowd(self.search.entity_class)
            if self.membership is not None:
                among = among.only(among.meets(self.membership))
            self._met.append(among)
        return self._met[0]

    @property
    def membership(self) -> Plan | None:
        if self.text is None:
            return None
        return self.text.all_of if self.match == "all" else self.text.any_of

    def facets(self) -> Counts:
        """All asked facets, each without its own filter where that is asked."""
        found: dict[str, Sequence[FacetCount]] = {}
        for facet in self.search.facets:
            own = facet.field if facet.exclude_own_filter else None
            counts = self._facets.get(facet)
            if counts is None:
                among = self.matching(lambda node, own=own: own is None or facet_of(node) != own)  # type: ignore[misc]
                counts = self._facets[facet] = self._counted(among, facet.field)
            found[facet.field] = counts
        return found

    def _counted(self, among: Sequence[Entity], name: str) -> list[FacetCount]:
        """A facet of some entities: other words often find the same ones."""
        if name == "access":
            return facet_counts(among, name, self.search.now)  # The clock has a say in it.
        known, key = self.looked.facets, (name, tuple(map(id, among)))
        counts = known.get(key)
        if counts is None:
            if len(known) >= MOST_LOOKED:
                known.clear()
            counts = known[key] = facet_counts(among, name, self.search.now)
        return counts

    def not_data(self) -> dict[str, int]:
        """How many of each kind the filter on kinds leaves out (semantics 1.7)."""
        if not any(facet_of(node) == "kind" for node in conditions(self.search.where)):
            return {}
        among = self.matching(lambda node: facet_of(node) != "kind")
        if {one.kind for one in among}.isdisjoint(NOT_DATA):
            return {}  # as mostly
        counts = facet_counts(among, "kind", self.search.now)
        return {one.id: one.count for one in counts if one.id in NOT_DATA}

    def unknown_access(self) -> int | None:
        """How many more would match if their openness were known (semantics 2.4)."""
        opened = [node for node in conditions(self.search.where) if isinstance(node, OpenAt)]
        if not opened:
            return None
        unknown = AccessIs(("unknown",), opened[0].instant)
        evaluator = Evaluator(self.search.now, self.pool.entities)
        among = self.matching(lambda node: facet_of(node) != "access")
        return sum(evaluator.holds(unknown, one.thing) for one in among)

    def related(self) -> dict[str, int]:
        """Near techniques with their counts, never added to the hits (semantics 4.1)."""
        asked = near(self.search, self.text)
        if not asked:
            return {}
        rest = self.text.without_techniques if self.text else None
        evaluator = Evaluator(self.search.now, self.pool.entities)
        nodes = [n for n in conditions(self.search.where) if facet_of(n) != "technique"]
        among = [
            one
            for one in self.pool.of_class(self.search.entity_class)
            if all(evaluator.holds(node, one.thing) for node in nodes)
            and (rest is None or meets(rest, one))
        ]
        held = [technique_scoring.with_ancestors(one.tags) for one in among]
        counts = {one: sum(one in tags for tags in held) for one in asked}
        return {one: count for one, count in counts.items() if count}


def _asks_for_kind(node: Node) -> bool:
    """Whether a condition is about the kind of the thing itself, and about nothing else."""
    match node:
        case Compare("kind") | OneOf("kind"):
            return True
        case Not(clause):
            return _asks_for_kind(clause)
        case And(clauses) | Or(clauses):
            return all(map(_asks_for_kind, clauses))
    return False


def text_plan(search: Search) -> TextPlan | None:
    """The plan of the question's text; techniques of the filter raise their kin's order, too."""
    if search.text is None or not search.text.words.strip():
        return None
    return _planned(search.text, tuple(techniques_named(search)))


_planned = lru_cache(maxsize=1_024)(plan_text)


def wanted_words(search: Search) -> tuple[str, ...]:
    """The words of the text that a record may have, as a facility can search for them: without
    quotation marks, signs and what is excluded."""
    if search.text is None:
        return ()
    units = [unit for unit in parse_words(search.text.words) if unit.sign != "-"]
    return tuple(dict.fromkeys(word for unit in units for word in unit.text.split()))


MOST_MEANT = 3
"""Lists that a facility is asked for at most of what words mean."""


def wanted_meanings(search: Search) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Conditions of which each lets through records that have what some of the words mean, and the
    words that all of these must have in any case (semantics 7.1, 7.2)."""
    plan = text_plan(search)
    if plan is None or search.text is None or not plan.meant:
        return (), ()
    ids = [one for node in plan.meant if isinstance(node, TechniqueIn) for one in node.ids]
    tagged = (TechniqueIn(tuple(dict.fromkeys(ids))),) if ids else ()
    others = [node for node in plan.meant if not isinstance(node, TechniqueIn)]
    meant = (*tagged, *dict.fromkeys(others))[:MOST_MEANT]
    return meant, plan.beside if search.text.match == "all" else ()


def techniques_named(search: Search) -> list[str]:
    """Techniques that the filter names at its top level."""
    found = [node for node in conditions(search.where) if isinstance(node, TechniqueIn)]
    return [one for node in found for one in node.ids]


def near(search: Search, text: TextPlan | None) -> tuple[str, ...]:
    """Techniques near to the asked ones, nearest first; none unless they are wanted."""
    if not search.related:
        return ()
    asked = [*(text.techniques if text else ()), *techniques_named(search)]
    return technique_scoring.near_techniques(tuple(dict.fromkeys(asked)))


def added(parts: Iterable[Sequence[FacetCount]], most: int) -> list[FacetCount]:
    """Counts of sets that have nothing in common, added up; most frequent first, ties by id."""
    labels: dict[str, str] = {}
    counts: dict[str, int] = {}
    for part in parts:
        for one in part:
            labels.setdefault(one.id, one.label)
            counts[one.id] = counts.get(one.id, 0) + one.count
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [FacetCount(value, labels[value], count) for value, count in ordered[:most]]


__all__ = [
    "Counts",
    "Matcher",
    "added",
    "near",
    "techniques_named",
    "text_plan",
    "wanted_meanings",
    "wanted_words",
]
