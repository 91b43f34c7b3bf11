"""What a facility's Search API can do, as ``sources check`` found it out (crosswalks 2.3).

Nothing is taken for granted: of a service that was never checked only plain lists are asked. What
turns out unknown afterwards is learnt and taken away from the profile (``without``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from catalogue.records import EntityClass
from catalogue.statistics import CollectionStatistics, from_json, scaled

Like = Literal["contains", "sql"]


@dataclass(frozen=True)
class ClassProfile:
    """One class at one service.

    ``operators``: those that work. ``ignored``: fields whose conditions are silently dropped.
    ``relations``: our name → the service's, of those that can be included. ``nested``: those that
    may have includes of their own, since no parents are lost by it; ``keeps_parents``: surely, not
    only because each had children at the check; ``deep``: those that may have some, whoever is
    lost. ``joins``: a condition inside
    an include drops parents. ``counts``: ``/count`` gives a number, and honours conditions;
    ``tells_total``: it gives one.
    ``remembered``: what was worked out of it once, by whoever did; ``splits``: what of filters is
    sent, see ``splitting``.
    ``scored``: ``query`` ranks. ``largest_limit``: what a page is cut to. ``total``: how many there
    were at the check. ``sample``: statistics of a sample of them, less the records that others
    count; ``share``: of all ``sampled``, those that it counts. ``parameters``: names in the sample
    with their units, and whether their values are numbers; ``parameter_ranges``: ranges of values
    work inside the include. ``techniques``: PaNET id → how the sample spells ids and names of it.
    """

    entity_class: EntityClass
    served: bool = True
    checked: bool = False
    total: int | None = None
    operators: frozenset[str] = frozenset()
    like: Like = "contains"
    ignored: frozenset[str] = frozenset()
    order: bool = False
    skip: bool = True
    largest_limit: int | None = None
    relations: Mapping[str, str] = field(default_factory=dict)
    nested: frozenset[str] = frozenset()
    deep: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    keeps_parents: bool = False
    joins: bool = False
    counts: bool = False
    tells_total: bool = False
    scored: bool = False
    sample: Mapping[str, Any] = field(default_factory=dict, repr=False)
    share: float = 1.0
    sampled: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parameter_ranges: bool = False
    techniques: Mapping[str, Any] = field(default_factory=dict, repr=False)
    remembered: dict[object, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    splits: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def can(self, operator: str) -> bool:
        return operator in self.operators

    def without(self, operators: Iterable[str]) -> ClassProfile:
        """The profile less what the service refused."""
        refused = self.operators & frozenset(operators)
        return replace(self, operators=self.operators - refused) if refused else self

    @cached_property
    def statistics(self) -> CollectionStatistics:
        """Of all its records that nobody else counts, as its sample tells."""
        found = from_json(self.sample)
        return scaled(found, self.total * self.share) if self.total else found


_NEVER_CHECKED = {
    "Document": ("datasets", "members", "parameters"),
    "Dataset": ("techniques", "instrument", "samples", "parameters"),
    "Instrument": (),
}


def read_profile(capabilities: Mapping[str, Any], entity_class: EntityClass) -> ClassProfile:
    """The profile of a class from a source's remembered or configured capabilities."""
    found = (capabilities.get("classes") or {}).get(entity_class)
    if not isinstance(found, Mapping):
        relations = {name: name for name in _NEVER_CHECKED[entity_class]}
        return ClassProfile(entity_class, relations=relations)
    operators = found.get("operators") or {}
    return ClassProfile(
        entity_class,
        served=found.get("state", "served") == "served",
        checked=True,
        total=_whole(found.get("total")),
        operators=frozenset(name for name, how in operators.items() if how == "yes"),
        like="sql" if found.get("like") == "sql" else "contains",
        ignored=frozenset(found.get("conditions_ignored") or ()),
        order=bool(found.get("order")),
        skip=bool(found.get("skip", True)),
        largest_limit=_whole(found.get("largest_limit")),
        relations=dict(found.get("relations") or {}),
        nested=_nested(found),
        deep=_deep(found),
        always=frozenset(found.get("always") or ()),
        keeps_parents=found.get("nested_drops") is False,
        joins=found.get("joins") is True,
        counts=found.get("count") in ("object", "number") and bool(found.get("counts_conditions")),
        tells_total=found.get("count") in ("object", "number"),
        scored=found.get("scores") == "scored",
        sample=found.get("statistics") or {},
        share=_share(found.get("share")),
        parameters=dict(found.get("parameters") or {}),
        parameter_ranges=found.get("parameter_ranges") is True,
        techniques=dict(found.get("techniques") or {}),
        sampled=int(found.get("sampled") or (found.get("statistics") or {}).get("records") or 0),
    )


def _deep(found: Mapping[str, Any]) -> frozenset[str]:
    """Relations under which includes are taken."""
    if int(found.get("include_depth") or 0) < 2:
        return frozenset()
    relations = frozenset(found.get("relations") or {})
    # Some services take them and drop them silently.
    return relations & frozenset(found["nested_seen"]) if "nested_seen" in found else relations


def _nested(found: Mapping[str, Any]) -> frozenset[str]:
    """Relations under which includes are taken and lose no parents: those of a service that keeps
    parents without children, or of which each sampled object has some."""
    if found.get("nested_drops") is False:
        return _deep(found)
    return _deep(found) & frozenset(found.get("always") or ())


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _share(value: object) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 1.0
