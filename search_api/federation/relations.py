"""Which related things to ask for with a list, in one request or in two (crosswalks 2.2).

What scoring and the oracle need of a Document lies in its Datasets and members. Services that take
includes inside includes, and lose no parents by it, give all at once; from the others the details
come by a second request that names the things. What cannot be had at all is told as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalogue.query import (
    AccessIs,
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    HasWords,
    Join,
    Node,
    Not,
    Nothing,
    OneOf,
    OpenAt,
    Or,
    Pattern,
    Search,
    conditions,
    parts_of,
)
from facility_http.panosc_client import MEMBERS_IN_FULL
from facility_http.rest_json import identifier_of
from search_api.federation.profiles import ClassProfile

Item = dict[str, Any]

OF_DATASETS = ("techniques", "samples", "instrument", "parameters")
DETAILS = {"Dataset": "details of datasets", "Document": "details of members"}
"""What a second request brings, by the class that it asks."""
ALL = "all relations"
_RELATED_FIELDS = frozenset({"instrumentNames", "instrumentKey", "startSeconds", "endSeconds"})
"""Fields that say what stands in related things."""
CHUNK = 50
"""Things named in one request: so many DOIs fit into an address."""
MAX_DETAILED = 400
"""Datasets whose details are asked for by a second request, for one question."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to include: ``include`` goes into the list's own filter. ``datasets`` and ``members``:
    their details have to come by a second request. ``missing``: relations that the service does not
    give. ``unseen``: what it has and we cannot get, so that conditions on it cannot be decided."""

    include: tuple[Mapping[str, Any], ...] = ()
    datasets: bool = False
    members: bool = False
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


NO_RELATIONS = Wanted(unseen=(ALL,))
"""Of a service that refuses whatever is to be included."""


def wanted_relations(
    profile: ClassProfile,
    datasets: ClassProfile,
    *,
    files: bool = False,
) -> Wanted:
    """What to ask for with a list of a class.

    Args:
        datasets: the profile of Datasets at the same service.
        files: whether the files of Datasets are wanted.
    """
    known: tuple[ClassProfile, Wanted] | None = profile.remembered.get(("wanted", files))
    if known is None or known[0] is not datasets:
        known = (datasets, _wanted_relations(profile, datasets, files))
        profile.remembered["wanted", files] = known
    return known[1]


def _wanted_relations(profile: ClassProfile, datasets: ClassProfile, files: bool) -> Wanted:
    names = (*OF_DATASETS, "files") if files else OF_DATASETS
    entry = _Entries(profile)
    if profile.entity_class == "Dataset":
        for name in (*names, "documents"):
            entry.add(name)
        return Wanted(tuple(entry.include), missing=tuple(entry.missing))
    if profile.entity_class != "Document":
        return Wanted()
    below = [{"relation": datasets.relations[name]} for name in names if name in datasets.relations]
    has_datasets, has_members = (name in profile.relations for name in ("datasets", "members"))
    if has_datasets:
        entry.missing += [f"datasets.{name}" for name in names if name not in datasets.relations]
    in_two = has_datasets and "datasets" not in profile.nested and bool(below)
    can_name = datasets.served and datasets.can("inq")
    entry.add("datasets", () if in_two else below)
    people = has_members and "members" not in profile.nested
    entry.add("members", () if people else MEMBERS_IN_FULL["scope"]["include"])
    entry.add("parameters")
    unseen = [DETAILS["Dataset"]] if in_two and not can_name else []
    unseen += [DETAILS["Document"]] if people and not profile.can("inq") else []
    return Wanted(
        tuple(entry.include),
        datasets=in_two and can_name,
        members=people and profile.can("inq"),
        missing=tuple(entry.missing),
        unseen=tuple(unseen),
    )


def depends_on(search: Search, unseen: Iterable[str]) -> bool:
    """Whether membership may depend on any of what could not be had."""
    looked_at = {"datasets", "members"} if search.text is not None else set()
    for node in conditions(search.where):
        looked_at |= _looked_at(node)
    return _are_among(looked_at, unseen)


def beyond(search: Search, profile: ClassProfile) -> tuple[str, ...]:
    """What a filter looks at that no list brings: of Datasets' Documents, which are included as
    they stand, what these have in turn; of Instruments, their Datasets."""
    if profile.entity_class == "Document":
        return ()
    nodes = conditions(search.where)
    if profile.entity_class == "Instrument":
        return ("datasets",) if any(isinstance(part, Join) for part in _parts(search.where)) else ()
    if "documents" not in profile.relations:
        return ()
    looked_at = set[str]().union(*map(_looked_at, nodes))
    return tuple(sorted(name for name in looked_at if name.startswith("documents.")))


def looks_at_files(node: Node) -> bool:
    """Whether a condition looks at the files of Datasets, or at what their names tell."""
    return any(map(_is_of_files, _parts(node)))


def _is_of_files(part: Node) -> bool:
    match part:
        case Join(relation):
            return relation == "files"
        case Compare(name) | OneOf(name) | Exists(name):
            return name == "formats"
        case _:
            return False


def _parts(node: Node) -> Iterator[Node]:
    return (part for part, _ in parts_of(node))


def excludes_by(search: Search, unseen: Iterable[str]) -> bool:
    """Whether the filter excludes by what could not be had: then nobody can say who is left."""
    looked_at = set().union(*(_excluded_by(node) for node in conditions(search.where)))
    return _are_among(looked_at, unseen)


def _are_among(relations: set[str], unseen: Iterable[str]) -> bool:
    """Whether any of the relations could not be had, by what is said of it."""
    return bool(relations) and any(one == ALL or one.split()[-1] in relations for one in unseen)


def _excluded_by(node: Node) -> set[str]:
    match node:
        case And(clauses) | Or(clauses):
            return set().union(*map(_excluded_by, clauses))
        case Not(clause):
            return _looked_at(clause)
        case Compare(op="neq"):
            return _looked_at(node)
        case _:
            return set()


def are_left_out(items: Sequence[Item], wanted: Wanted, profile: ClassProfile) -> bool:
    """Whether nothing of what was to be included came, although each object had some at the check:
    the service drops includes silently (fault E12)."""
    expected = [
        name
        for one in wanted.include
        if (name := one["relation"]) in map(profile.relations.get, profile.always)
    ]
    return bool(expected and items) and not any(
        item.get(name) for item in items for name in expected
    )


def _looked_at(node: Node) -> set[str]:
    """Which of a Document's relations a condition looks at; of a Dataset's, any."""
    match node:
        case And(clauses) | Or(clauses):
            return set().union(*map(_looked_at, clauses))
        case Not(clause):
            return _looked_at(clause)
        case Compare(name) | OneOf(name) | Exists(name):
            return {"datasets"} if name in _RELATED_FIELDS else set()
        case Pattern(names):
            return set() if _RELATED_FIELDS.isdisjoint(names) else {"datasets"}
        case Everything() | Nothing() | AtFacility():
            return set()
        case Join("documents", where):
            return {"documents", *(f"documents.{name}" for name in _looked_at(where))}
        case Join("members"):
            return {"members"}
        case HasWords():
            return {"datasets", "members"}
        case OpenAt() | AccessIs():
            # An embargo of a Document holds for the Datasets in it.
            return {"datasets", "documents"}
        case _:
            return {"datasets"}


def wanted_by(joins: Mapping[str, Any], profile: ClassProfile) -> Wanted:
    """Conditions inside includes, by relation: they choose among the objects, and cut what comes
    with them."""
    return Wanted(
        tuple(
            {"relation": profile.relations[name], "scope": scope} for name, scope in joins.items()
        )
    )


@dataclass(slots=True)
class _Entries:
    profile: ClassProfile
    include: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, below: Sequence[Mapping[str, Any]] = ()) -> None:
        """Include a relation with what is below it."""
        spelling = self.profile.relations.get(name)
        if spelling is None:
            self.missing.append(name)
            return
        scope = {"include": list(below)} if below else {}
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
