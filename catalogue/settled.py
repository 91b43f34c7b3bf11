"""A question, settled on one view of the index.

The filter's conditions are settled one by one, so that a facet can leave out its own. Scores and
membership stay apart (semantics 7.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from catalogue.engines.base import Reader
from catalogue.facets import facet_of
from catalogue.plan import NoneOf, Numbers, Plan, Score, both
from catalogue.planning import plan_filter
from catalogue.query import (
    Everything,
    Node,
    Search,
    TechniqueIn,
    check_bounds,
    conditions,
    data_only,
)
from catalogue.records import EntityClass
from catalogue.settling import Hydrate, Settler, Stated
from catalogue.text_query import TextPlan, plan_text

DATA_ONLY = data_only()
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """A top-level condition with its settled plan."""

    node: Node
    plan: Plan
    facet: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A question settled on one view of the index. ``membership`` is of the text alone."""

    search: Search
    reader: Reader
    conditions: tuple[Condition, ...]
    text: TextPlan | None
    membership: Plan

    def plan(self, *, without: str | None = None) -> Plan:
        """The plan of the whole question, without the conditions of one facet."""
        kept = (c.plan for c in self.conditions if without is None or c.facet != without)
        return both(*kept, self.membership)

    @property
    def scores(self) -> tuple[Score, ...]:
        return self.text.scores if self.text and not self.search.sort else ()


async def settle(
    search: Search, reader: Reader, hydrate: Hydrate, stated: Stated | None = None
) -> Settled:
    """Settle filter and text of a question.

    Raises:
        QueryError, QueryTooCostly: the question cannot be meant, or costs too much.
    """
    check_bounds(search.where)
    listed = conditions(search.where)
    techniques = [one for node in listed for one in techniques_named(node)]
    text = plan_text(search.text, techniques) if search.text and search.text.words.strip() else None
    membership = both()
    widest = both()
    if text is not None and search.text is not None:
        membership = text.all_of if search.text.match == "all" else text.any_of
        # Near techniques are counted among records that this text does not match, too.
        widest = both() if search.related and text.recognised else text.any_of
    fixed: list[Condition] = []
    if listed:
        fixed = await _fixed(search, listed, widest, Settler(reader, hydrate, search.now, stated))
    if search.without:
        fixed.append(Condition(Everything(), NoneOf(Numbers("ordinal", search.without)), None))
    return Settled(search, reader, tuple(fixed), text, membership)


async def _fixed(
    search: Search, listed: Sequence[Node], widest: Plan, settler: Settler
) -> list[Condition]:
    """The conditions of the filter, settled one by one among records that meet ``widest``."""
    # Conditions that some count leaves out must not narrow what the others are looked at among.
    movable = {facet.field for facet in search.facets if facet.exclude_own_filter}
    movable |= {"kind", "access", "technique"}
    fixed: list[Condition] = []
    for node in sorted(listed, key=lambda node: facet_of(node) in movable):
        facet = facet_of(node)
        if node == DATA_ONLY:
            fixed.append(Condition(node, kind_plan(DATA_ONLY, search.entity_class), facet))
            continue
        context = both(widest, *(c.plan for c in fixed if c.facet not in movable))
        plan = await settler.filter_plan(node, search.entity_class, context)
        fixed.append(Condition(node, plan, facet))
    return fixed


def relaxed(settled: Settled) -> Settled:
    """The same question where any of the words will do (semantics 7.1)."""
    text, plan = settled.search.text, settled.text
    if text is None or plan is None:
        return settled
    search = replace(settled.search, text=replace(text, match="any"))
    return replace(settled, search=search, membership=plan.any_of)


@lru_cache(maxsize=64)
def kind_plan(node: Node, entity_class: EntityClass) -> Plan:
    """The plan of a condition on kinds, which nearly every question has; it is the same at any
    time."""
    return plan_filter(node, entity_class, _ANY_TIME)


def techniques_named(node: Node) -> tuple[str, ...]:
    """The techniques that a condition is about."""
    return node.ids if isinstance(node, TechniqueIn) else ()
