"""The oracle: what a query means, evaluated plainly over records in memory.

Slow and obviously right. The engines are compared with it, undecided conditions are settled by
it, and what live facilities cannot filter is filtered by it. It shares with the engines only the
reading of a record into words (``analysis``, ``documents.text_lines``) and the score's formula.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

from catalogue import statistics, technique_scoring
from catalogue.access import STATES, public_at, state_at
from catalogue.answers import FacetCount
from catalogue.documents import Texts, engine_document, facet_values, texts_of
from catalogue.errors import QueryError
from catalogue.fields import (
    Kind,
    Value,
    comparable,
    elements,
    kind_of,
    relation_of,
    values_of,
)
from catalogue.parameter_terms import overlaps
from catalogue.patterns import compile_pattern
from catalogue.plan import (
    All,
    AllOf,
    AnyOf,
    Empty,
    NoneOf,
    Phrase,
    Plan,
    Prefix,
    Score,
    TermRange,
    Terms,
)
from catalogue.query import (
    AccessIs,
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    HasWords,
    InYears,
    Join,
    Node,
    Not,
    Nothing,
    OneOf,
    OpenAt,
    Or,
    ParameterRange,
    Pattern,
    TechniqueIn,
    Text,
)
from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.statistics import CollectionStatistics
from catalogue.text_query import TextPlan, filter_plan, plan_text


@dataclass(frozen=True, slots=True)
class Thing:
    """A record or a part of one, with its class, as conditions see it."""

    class_name: str
    record: Mapping[str, Any]
    entity: Entity | None = None


def spaced_out(terms: Collection[str]) -> str:
    """Terms in one text, each between two blanks of its own."""
    return f" {'  '.join(terms)} "


class Entity:
    """An entity with what it contains, and its texts read into words once."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.stored: StoredEntity = change.entity
        self.children = [child for child in change.children if not child.deleted]

    @property
    def key(self) -> str:
        return self.stored.key

    @property
    def entity_class(self) -> EntityClass:
        return self.stored.entity_class

    @property
    def facilities(self) -> Sequence[str]:
        """Who holds it."""
        return tuple(str(name) for name in self.stored.record.get("facilities") or ())

    @property
    def thing(self) -> Thing:
        return Thing(self.stored.entity_class, self.stored.record, self)

    @cached_property
    def texts(self) -> Texts:
        """Its texts, read into words."""
        return texts_of(self.change)

    @cached_property
    def lines(self) -> dict[str, list[list[str]]]:
        """Stems by line, for ``text`` and ``title``."""
        return {"title": self.texts.title, "text": self.texts.text}

    @property
    def words(self) -> set[str]:
        return self.texts.words

    @property
    def wholes(self) -> set[str]:
        return self.texts.wholes

    @cached_property
    def bags(self) -> Mapping[str, Sequence[str]]:
        """The terms of each scored field, each as often as it stands there; wholes once."""
        return {
            "text": list(chain.from_iterable(self.texts.text)),
            "title": list(chain.from_iterable(self.texts.title)),
            "wholes": list(self.texts.wholes),
        }

    @property
    def kind(self) -> str | None:
        """What kind of thing it is (semantics 1.7)."""
        kind = self.stored.record.get("kind")
        return kind if isinstance(kind, str) else None

    def occurrences(self, name: str, term: str) -> int:
        """How often a term stands in a scored field. Of a question's few terms it costs less to
        count each than to count all there are."""
        return self.bags[name].count(term)

    def size(self, name: str) -> int:
        """Terms in a scored field."""
        return len(self.bags[name])

    def spaced(self, name: str) -> str:
        """``spaced_out`` of the terms of a scored field."""
        return spaced_out(self.bags[name])

    @property
    def signs(self) -> tuple[str, str]:
        """What shows which terms may be in ``wholes``, for ``signs.Signs``: some of them, and
        the identifiers that have the others."""
        return self.spaced("wholes"), ""

    def has_any(self, name: str, terms: frozenset[str]) -> bool:
        """Whether one of the terms stands in a scored field."""
        return not terms.isdisjoint(self.bags[name])

    def has_phrase(self, name: str, words: Sequence[str]) -> bool:
        """Whether the words stand side by side in one line of a field."""
        return any(_in_line(words, line) for line in self.lines[name])

    def has_prefix(self, prefix: str) -> bool:
        """Whether one of the unstemmed words begins so."""
        return any(word.startswith(prefix) for word in self.words)

    @cached_property
    def facets(self) -> dict[str, tuple[str, ...]]:
        """The values it is counted under, for the facets that do not depend on today."""
        return facet_values(self.stored, self.children)

    @cached_property
    def parameter_terms(self) -> dict[str, set[str]]:
        document = engine_document(self.change)
        return {"params": document.params, "all_params": document.all_params}

    @cached_property
    def tags(self) -> frozenset[str]:
        return frozenset(
            tag
            for dataset in self.datasets
            for tag in technique_scoring.tags_of(elements(dataset, "techniques"))
        )

    @property
    def datasets(self) -> list[Mapping[str, Any]]:
        if self.stored.entity_class == "Document":
            return [child.record for child in self.children]
        return [self.stored.record] if self.stored.entity_class == "Dataset" else []


class Evaluator:
    """Decides conditions for one question.

    Args:
        now: decides what ``isPublic`` shows.
        related: entities by key, for joins between entities; without it such joins are refused.
    """

    def __init__(self, now: datetime, related: Mapping[str, Entity] | None = None) -> None:
        self.now = now
        self.related = related
        self._lists: dict[tuple[int, Kind], frozenset[Value]] = {}

    def holds(self, node: Node, thing: Thing) -> bool:
        """Whether the thing satisfies the condition."""
        match node:
            case Everything():
                return True
            case Nothing():
                return False
            case And(clauses):
                return all(self.holds(clause, thing) for clause in clauses)
            case Or(clauses):
                return any(self.holds(clause, thing) for clause in clauses)
            case Not(clause):
                return not self.holds(clause, thing)
            case Compare():
                return self._compare(node, thing)
            case OneOf():
                return self._one_of(node, thing)
            case Exists(field):
                kind_of(thing.class_name, field)
                return thing.record.get(field) is not None
            case Pattern():
                return matches(node, thing)
            case Join(relation, where):
                return any(self.holds(where, one) for one in self._related(thing, relation))
            case _:
                return self._of_entity(node, thing)

    def _of_entity(self, node: Node, thing: Thing) -> bool:
        record = thing.record
        match node:
            case ParameterRange():
                return _in_range(node, thing)
            case TechniqueIn(ids):
                return _tagged(ids, thing)
            case OpenAt(instant):
                return _has_access(thing) and state_at(record, instant) == "open"
            case AccessIs(states, instant):
                return _has_access(thing) and state_at(record, instant) in states
            case InYears(first, last):
                years = record.get("years")
                if not years:
                    return False
                starts_in_time = last is None or int(years["first"]) <= last
                ends_in_time = first is None or int(years["last"]) >= first
                return starts_in_time and ends_in_time
            case AtFacility(names):
                held = record.get("facilities") or [record.get("facility", "")]
                wanted = {name.casefold() for name in names}
                return any(str(name).casefold() in wanted for name in held)
            case HasWords(text):
                if thing.entity is None:
                    raise QueryError(f"{thing.class_name} has no text to search.")
                return meets(filter_plan(text), thing.entity)
        raise QueryError(f"{type(node).__name__} is no condition.")

    def _compare(self, node: Compare, thing: Thing) -> bool:
        field, op, value = node.field, node.op, node.value
        if op == "neq":
            return not self._compare(Compare(field, "eq", value), thing)
        kind = kind_of(thing.class_name, field)
        if value is None:
            return op == "eq" and thing.record.get(field) is None
        wanted = comparable(kind, value, field)
        if kind == "public":
            held: Sequence[Value] = [int(public_at(thing.record, self.now))]
        else:
            held = values_of(thing.record, field, kind)
        if op == "between":
            high = comparable(kind, node.high, field)
            return any(
                _compares(one, "gte", wanted) and _compares(one, "lte", high) for one in held
            )
        return any(_compares(one, op, wanted) for one in held)

    def _one_of(self, node: OneOf, thing: Thing) -> bool:
        field = node.field
        kind = kind_of(thing.class_name, field)
        if kind == "public" or None in node.values:
            return any(self._compare(Compare(field, "eq", v), thing) for v in node.values)
        wanted = self._lists.get((id(node), kind))
        if wanted is None:
            # A portal asks for a thousand pids at once, of each of a thousand records.
            wanted = frozenset(comparable(kind, value, field) for value in node.values)
            self._lists[id(node), kind] = wanted
        return not wanted.isdisjoint(values_of(thing.record, field, kind))

    def _related(self, thing: Thing, relation: str) -> list[Thing]:
        found = relation_of(thing.class_name, relation)
        if not found.linked:
            return [Thing(found.target, part) for part in elements(thing.record, relation)]
        if thing.class_name == "Document" and thing.entity is not None:
            held = self.related or {}
            return [
                (held.get(child.key) or Entity(Change(child))).thing
                for child in thing.entity.children
            ]
        if self.related is None:
            raise QueryError(f"{relation} cannot be followed here.", field=relation)
        key = thing.record["key"]
        return [
            entity.thing
            for entity in self.related.values()
            if entity.entity_class == found.target
            and not entity.stored.deleted
            and _refers_to(entity, key)
        ]


def _refers_to(entity: Entity, key: str) -> bool:
    if entity.entity_class == "Document":
        return any(child.key == key for child in entity.children)
    return entity.stored.record.get("instrumentKey") == key


def _compares(held: Value, op: str, wanted: Value) -> bool:
    if isinstance(held, str) != isinstance(wanted, str):
        return False
    match op:
        case "eq":
            return held == wanted
        case "gt":
            return held > wanted  # type: ignore[operator]
        case "gte":
            return held >= wanted  # type: ignore[operator]
        case "lt":
            return held < wanted  # type: ignore[operator]
        case "lte":
            return held <= wanted  # type: ignore[operator]
    raise QueryError(f"There is no comparison {op!r}.")


def matches(node: Pattern, thing: Thing) -> bool:
    """Whether one of the fields holds the pattern."""
    pattern = compile_pattern(node.pattern, node.kind, node.ignore_case)
    for field in node.fields:
        kind_of(thing.class_name, field)
        value = thing.record.get(field)
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and pattern.search(text) is not None:
                return True
    return False


def _has_access(thing: Thing) -> bool:
    return thing.class_name in ("Document", "Dataset")


def _in_range(node: ParameterRange, thing: Thing) -> bool:
    if thing.class_name == "Parameter":
        return overlaps([thing.record], node)
    held = elements(thing.record, "parameters")
    if thing.entity is not None:
        for child in thing.entity.children:
            held = held + elements(child.record, "parameters")
    return overlaps(held, node)


def _tagged(ids: Iterable[str], thing: Thing) -> bool:
    if thing.entity is not None:
        tags = thing.entity.tags
    elif thing.class_name == "Technique":
        tags = technique_scoring.tags_of([thing.record])
    elif thing.class_name == "Dataset":
        tags = technique_scoring.tags_of(elements(thing.record, "techniques"))
    else:
        tags = frozenset()
    wanted = {known for one in ids if (known := technique_scoring.known(one))}
    return bool(technique_scoring.with_ancestors(tags) & wanted)


def meets(plan: Plan, entity: Entity) -> bool:
    """Whether the entity's texts and tags meet the membership plan of a text."""
    match plan:
        case All():
            return True
        case Empty():
            return False
        case AllOf(parts):
            return all(meets(part, entity) for part in parts)
        case AnyOf(parts):
            return any(meets(part, entity) for part in parts)
        case NoneOf(part):
            return not meets(part, entity)
        case Terms("panet", terms):
            return bool(technique_scoring.with_ancestors(entity.tags) & terms)
        case Terms("tags", terms):
            return bool(entity.tags & terms)
        case Terms("params" | "all_params" as field, terms):
            return bool(entity.parameter_terms[field] & terms)
        case TermRange(field, low, high):
            return any(low <= term <= high for term in entity.parameter_terms[field])
        case Terms("title" | "text" | "wholes" as field, terms):
            return entity.has_any(field, terms)
        case Phrase(field, words):
            return entity.has_phrase(field, words)
        case Prefix("words", prefix):
            return entity.has_prefix(prefix)
    raise QueryError(f"{type(plan).__name__} is no part of a text query.")


def _in_line(words: Sequence[str], line: Sequence[str]) -> bool:
    wanted = list(words)
    return any(
        list(line[at : at + len(wanted)]) == wanted for at in range(len(line) - len(wanted) + 1)
    )


class Oracle:
    """All entities in memory; answers with sets, counts, facets and scores."""

    def __init__(self, changes: Iterable[Change]) -> None:
        newest: dict[str, Change] = {}
        for change in changes:
            held = newest.get(change.entity.key)
            if held is None or held.entity.change <= change.entity.change:
                newest[change.entity.key] = change
        self.entities = {
            key: Entity(change) for key, change in newest.items() if not change.entity.deleted
        }
        self._statistics: dict[str, CollectionStatistics] = {}

    def of_class(self, entity_class: str) -> list[Entity]:
        """The entities of a class in the order of their ordinals."""
        found = [e for e in self.entities.values() if e.stored.entity_class == entity_class]
        return sorted(found, key=lambda entity: entity.stored.ordinal)

    def matching(
        self,
        entity_class: str,
        where: Node,
        now: datetime,
        text: Text | None = None,
        plan: TextPlan | None = None,
    ) -> list[Entity]:
        """The entities that satisfy filter and text (``text.match`` as it stands, not relaxed)."""
        evaluator = Evaluator(now, self.entities)
        found = [e for e in self.of_class(entity_class) if evaluator.holds(where, e.thing)]
        if text is None:
            return found
        plan = plan or plan_text(text)
        membership = plan.all_of if text.match == "all" else plan.any_of
        return [entity for entity in found if meets(membership, entity)]

    def statistics(self, entity_class: str) -> CollectionStatistics:
        """What BM25 needs of a class, counted once: the entities stay as they are."""
        if entity_class not in self._statistics:
            held = self.of_class(entity_class)
            self._statistics[entity_class] = statistics.statistics_of(held)
        return self._statistics[entity_class]

    def raw_score(self, scores: Sequence[Score], entity: Entity, entity_class: str) -> float:
        """The sum of §8.1 and §8.3 before it is normalised."""
        return statistics.scoring_by(scores, self.statistics(entity_class), meets)(entity)

    def best_possible(self, scores: Sequence[Score], entity_class: str) -> float:
        """More than any entity can score, by which raw scores are divided."""
        return statistics.best_possible(scores, self.statistics(entity_class))


def facet_counts(entities: Iterable[Entity], facet: str, now: datetime) -> list[FacetCount]:
    """Counts of a facet over entities, most frequent first, ties by id."""
    counts: dict[str, int] = {}
    # Many have the same values.
    for values, times in Counter([_facet_ids(entity, facet, now) for entity in entities]).items():
        for value in set(values):
            counts[value] = counts.get(value, 0) + times
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    name = technique_scoring.label if facet == "technique" else str
    return [FacetCount(value, name(value), count) for value, count in ordered]


def _facet_ids(entity: Entity, facet: str, now: datetime) -> tuple[str, ...] | frozenset[str]:
    if facet == "technique":
        return technique_scoring.with_ancestors(entity.tags)
    if facet == "access":
        state = state_at(entity.stored.record, now)
        return (state,) if _has_access(entity.thing) and state in STATES else ()
    return entity.facets[facet]
