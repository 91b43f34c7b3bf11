"""Answering what terms alone cannot: joins between classes, and conditions to be looked at.

A ``Linked`` leaf is answered on the linked class's own index. An ``Undecided`` leaf is answered by
looking at its candidates with the oracle's evaluator. Afterwards the plan holds exactly, and the
engine alone counts, facets, sorts and pages (semantics 9.1, 9.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from catalogue.engines.base import Reader
from catalogue.errors import QueryTooCostly
from catalogue.oracle import Evaluator, Thing, matches
from catalogue.plan import (
    AllOf,
    AnyOf,
    Empty,
    Linked,
    Numbers,
    Plan,
    Terms,
    Undecided,
    both,
    leaves,
    rewrite,
    upper,
)
from catalogue.planning import plan_filter
from catalogue.query import Node, Pattern
from catalogue.records import EntityClass, StoredEntity
from catalogue.threads import in_thread

MAX_LOOKED_AT = 300_000
"""Records that one condition may look at one by one; beyond it the question is refused."""

MAX_TOGETHER = 2 * MAX_LOOKED_AT
"""Looks at records that all conditions of one question may take together."""

MAX_SCANS = 4
"""How many times its bound the patterns that have one may look at together."""

CHUNK = 2_000


class Hydrate(Protocol):
    """Entities by key: the record store's ``entities``."""

    def __call__(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]: ...


class Stated(Protocol):
    """What entities state of themselves, by key: the record store's ``stated``."""

    def __call__(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]: ...


_TOLD_BY_OTHERS = frozenset({"facility", "facilities", "provider", "instrumentKey"})
"""Fields of a record that it does not state itself."""


class _Beside:
    """What a whole plan says beside one of its leaves. An alternative that the leaf is one of says
    nothing more, and to look it up for each leaf costs the square of their number."""

    def __init__(self, widest: Plan) -> None:
        parts = widest.parts if isinstance(widest, AllOf) else (widest,)
        self._parts = [(part, frozenset(_alternatives(part))) for part in parts]

    def narrowing(self, own: Plan) -> Plan:
        """What narrows the candidates of a leaf, ``own``, down."""
        mine = _alternatives(own)
        return both(*(part for part, others in self._parts if not others.issuperset(mine)))


def _alternatives(plan: Plan) -> tuple[Plan, ...]:
    return plan.parts if isinstance(plan, AnyOf) else (plan,)


class Settler:
    """Settles the plans of one question on one view of the index.

    Args:
        stated: a quicker way to the fields that most patterns look at.
    """

    def __init__(
        self, reader: Reader, hydrate: Hydrate, now: datetime, stated: Stated | None = None
    ) -> None:
        self.reader = reader
        self.hydrate = hydrate
        self.stated = stated
        self.now = now
        self._looks = 0
        self._scans = 0

    async def filter_plan(self, node: Node, entity_class: EntityClass, context: Plan) -> Plan:
        """The exact plan of a filter.

        Args:
            context: what else every record of the answer satisfies; must be settled itself. The
                plan holds exactly for records within it.

        Raises:
            QueryError, QueryTooCostly: see ``planning.plan_filter``.
        """
        plan = plan_filter(node, entity_class, self.now)
        plan = await self._settle_links(plan, entity_class)
        beside = _Beside(upper(plan))
        answers: dict[Plan, Plan] = {}
        for leaf in leaves(plan):
            if isinstance(leaf, Undecided) and leaf not in answers:
                own = upper(leaf.among)
                among = both(context, beside.narrowing(own), own)
                answers[leaf] = await self._look_at(leaf, entity_class, among)
        if not answers:
            return plan
        # What was found is among the candidates, so nothing outside these satisfies this.
        return rewrite(plan, lambda leaf: answers.get(leaf, leaf))

    async def _settle_links(self, plan: Plan, entity_class: EntityClass) -> Plan:
        answers: dict[Plan, Plan] = {}
        for leaf in leaves(plan):
            if isinstance(leaf, Linked) and leaf not in answers:
                answers[leaf] = await self._follow(leaf, entity_class)
        return rewrite(plan, lambda leaf: answers.get(leaf, leaf)) if answers else plan

    async def _follow(self, leaf: Linked, entity_class: EntityClass) -> Plan:
        """Entities of ``entity_class`` that are linked to one that satisfies the condition."""
        target: EntityClass = "Document" if leaf.target == "Document" else "Dataset"
        plan = await self.filter_plan(leaf.where, target, both())
        if entity_class == "Document":
            children = await self.reader.ordinals(target, plan)
            return Numbers("links", frozenset(children)) if children else Empty()
        if entity_class == "Dataset":
            links = await self.reader.values(target, plan, "links")
            return Numbers("ordinal", frozenset(map(int, links))) if links else Empty()
        keys = await self.reader.values(target, plan, "f_instrument_key")
        return Terms("key", frozenset(keys)) if keys else Empty()

    async def _look_at(self, leaf: Undecided, entity_class: EntityClass, among: Plan) -> Plan:
        count = await self.reader.count(entity_class, among)
        if leaf.bound is not None and count > leaf.bound:
            raise QueryTooCostly(
                f"The pattern has no three literal characters in a row, so every record has to be "
                f"looked at, and the other conditions leave {count:,}; at most {leaf.bound:,} are. "
                "Lengthen the pattern or add conditions."
            )
        if count > MAX_LOOKED_AT:
            raise QueryTooCostly(
                f"A condition has to be looked at record by record, and the other conditions leave "
                f"{count:,}; at most {MAX_LOOKED_AT:,} are. Add conditions."
            )
        if count == 0:
            return Empty()
        self._charge(count, leaf.bound)
        held = await self.reader.versions(entity_class, among)
        found = await in_thread(partial(self._evaluate, leaf.node, entity_class, held))
        return Numbers("ordinal", frozenset(found)) if found else Empty()

    def _charge(self, count: int, bound: int | None) -> None:
        """Count what a question looks at: a thousand cheap conditions are a dear one."""
        self._looks += count
        if bound is not None:
            self._scans += count
            if self._scans > MAX_SCANS * bound:
                raise QueryTooCostly(
                    "Patterns without three literal characters in a row look at every record that "
                    f"the other conditions leave; all of them together at {MAX_SCANS * bound:,} at "
                    "most. Lengthen them, ask for fewer, or add conditions."
                )
        if self._looks > MAX_TOGETHER:
            raise QueryTooCostly(
                "Several conditions have to be looked at record by record, together at "
                f"{MAX_TOGETHER:,} at most. Ask for fewer, or add other conditions."
            )

    def _evaluate(
        self, node: Node, entity_class: EntityClass, held: Mapping[str, tuple[int, int]]
    ) -> list[int]:
        evaluator = Evaluator(self.now)
        keys = list(held)
        found = []
        if self.stated and isinstance(node, Pattern) and not _TOLD_BY_OTHERS & set(node.fields):
            for start in range(0, len(keys), CHUNK):
                for key, record in self.stated(keys[start : start + CHUNK]).items():
                    if matches(node, Thing(entity_class, record)):
                        found.append(held[key][0])
            return found
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            for key, entity in self.hydrate(chunk).items():
                thing = Thing(entity_class, entity.record)
                if not entity.deleted and evaluator.holds(node, thing):
                    found.append(held[key][0])
        return found
