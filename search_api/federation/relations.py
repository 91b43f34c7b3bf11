"""Which related things to ask for with a list, in one request or in two (crosswalks 2.2).

What scoring and the oracle need of a Document lies in its Datasets and members. Services that take
includes inside includes, and lose no parents by it, give all at once; from the others the details
come by a second request that names the things. What cannot be had at all is told as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facility_http.panosc_client import MEMBERS_IN_FULL
from facility_http.rest_json import identifier_of
from search_api.federation.profiles import ClassProfile

Item = dict[str, Any]

OF_DATASETS = ("techniques", "samples", "instrument", "parameters")
CHUNK = 50
"""Things named in one request: so many DOIs fit into an address."""
MAX_DETAILED = 400
"""Datasets whose details are asked for by a second request, for one question."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to include: ``include`` goes into the list's own filter. ``datasets`` and ``members``:
    their details have to come by a second request. ``missing``: relations that cannot be had."""

    include: tuple[Mapping[str, Any], ...] = ()
    datasets: bool = False
    members: bool = False
    missing: tuple[str, ...] = ()


def wanted_relations(
    profile: ClassProfile,
    datasets: ClassProfile,
    *,
    files: bool = False,
    joins: Mapping[str, Any] | None = None,
) -> Wanted:
    """What to ask for with a list of a class.

    Args:
        datasets: the profile of Datasets at the same service.
        files: whether the files of Datasets are wanted.
        joins: conditions inside includes, by relation.
    """
    names = (*OF_DATASETS, "files") if files else OF_DATASETS
    entry = _Entries(profile, dict(joins or {}))
    if profile.entity_class == "Dataset":
        for name in (*names, "documents"):
            entry.add(name)
        return Wanted(tuple(entry.include), missing=tuple(entry.missing))
    if profile.entity_class != "Document":
        return Wanted()
    below = [{"relation": datasets.relations[name]} for name in names if name in datasets.relations]
    can_name = datasets.served and datasets.can("inq")
    in_two = "datasets" not in profile.nested and bool(below)
    entry.add("datasets", () if in_two else below)
    if in_two and not can_name and "datasets" in profile.relations:
        entry.missing.append("details of datasets")
    people = "members" not in profile.nested
    entry.add("members", () if people else MEMBERS_IN_FULL["scope"]["include"])
    entry.add("parameters")
    return Wanted(
        tuple(entry.include),
        datasets=in_two and can_name and "datasets" in profile.relations,
        members=people and "members" in profile.relations and profile.can("inq"),
        missing=tuple(entry.missing),
    )


@dataclass(slots=True)
class _Entries:
    profile: ClassProfile
    joins: dict[str, Any]
    include: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, below: Sequence[Mapping[str, Any]] = ()) -> None:
        """Include a relation with what is below it and the condition that joins by it."""
        spelling = self.profile.relations.get(name)
        if spelling is None:
            if name != "files":
                self.missing.append(name)
            return
        scope = dict(self.joins.get(name, {}))
        if below:
            inside = [*scope.get("include", ())]
            named = {one["relation"] for one in inside}
            scope["include"] = [*inside, *(one for one in below if one["relation"] not in named)]
        self.include.append({"relation": spelling, **({"scope": scope} if scope else {})})


def dataset_pids(items: Iterable[Item]) -> list[str]:
    """The pids of Datasets that Documents include, each once, in order."""
    found = (
        identifier_of(dataset)
        for item in items
        for dataset in item.get("datasets") or ()
        if isinstance(dataset, dict)
    )
    return list(dict.fromkeys(pid for pid in found if pid))


def with_datasets(items: Sequence[Item], detailed: Iterable[Item]) -> list[Item]:
    """The Documents with their Datasets' details filled in."""
    known = {identifier_of(one): one for one in detailed}
    return [
        {
            **item,
            "datasets": [
                {**one, **known.get(identifier_of(one), {})} if isinstance(one, dict) else one
                for one in item["datasets"]
            ],
        }
        if isinstance(item.get("datasets"), list)
        else item
        for item in items
    ]


def with_members(items: Sequence[Item], detailed: Iterable[Item]) -> list[Item]:
    """The Documents with the members that a second request brought."""
    known = {identifier_of(one): one.get("members") for one in detailed}
    return [
        {**item, "members": known[pid]} if known.get(pid := identifier_of(item)) else item
        for item in items
    ]


def chunks(values: Sequence[str]) -> list[list[str]]:
    """The values in portions of ``CHUNK``."""
    return [list(values[at : at + CHUNK]) for at in range(0, len(values), CHUNK)]
