"""What conditions are looked at among: as few records as the others leave, found cheaply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from catalogue.plan import Plan, both, leaves
from catalogue.query import And, Compare, Node, Or, Pattern
from catalogue.settling import Settler

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Asked:
    """A view of an index that holds nothing, and what it was asked to count."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    async def count(self, entity_class: str, plan: Plan) -> int:
        self.plans.append(plan)
        return 0


async def counted(node: Node) -> list[Plan]:
    asked = Asked()
    settler = Settler(cast(Any, asked), lambda keys: {}, NOW)
    await settler.filter_plan(node, "Document", both())
    return asked.plans


def patterns(count: int) -> tuple[Pattern, ...]:
    return tuple(Pattern(("license",), f"abcdef{number}") for number in range(count))


async def test_alternatives_are_not_looked_up_for_each_other() -> None:
    """Eighty patterns held a server for nine seconds: each was looked up among all."""
    alone = [len(leaves(plan)) for plan in await counted(patterns(1)[0])]
    many = [len(leaves(plan)) for plan in await counted(Or(patterns(80)))]
    assert many == alone * 80


async def test_what_stands_beside_alternatives_narrows_each_of_them() -> None:
    beside = Compare("type", "eq", "proposal")
    (alone,) = [len(leaves(plan)) for plan in await counted(And((beside, patterns(1)[0])))]
    many = [len(leaves(plan)) for plan in await counted(And((beside, Or(patterns(9)))))]
    assert many == [alone] * 9
    both_of = [len(leaves(plan)) for plan in await counted(And(patterns(2)))]
    (single,) = [len(leaves(plan)) for plan in await counted(patterns(1)[0])]
    assert all(count > single for count in both_of)
