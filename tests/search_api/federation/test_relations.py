"""Related things come in one request where a service nests includes, in two where it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from catalogue.query import (
    AtFacility,
    Compare,
    Everything,
    HasWords,
    InYears,
    Join,
    Node,
    Not,
    Or,
    Pattern,
    Search,
    TechniqueIn,
    Text,
    all_of,
)
from search_api.federation.profiles import ClassProfile, read_profile
from search_api.federation.relations import (
    CHUNK,
    chunks,
    dataset_pids,
    depends_on,
    wanted_by,
    wanted_relations,
    with_datasets,
    with_members,
)

DATASETS = ClassProfile(
    "Dataset",
    operators=frozenset({"inq"}),
    relations={"techniques": "techniques", "files": "files", "documents": "document"},
)
RELATIONS = {"datasets": "datasets", "members": "members"}


def profile(**found: Any) -> ClassProfile:
    return ClassProfile("Document", operators=frozenset({"inq"}), relations=RELATIONS, **found)


def test_a_service_that_nests_is_asked_once() -> None:
    wanted = wanted_relations(profile(nested=frozenset(RELATIONS)), DATASETS)
    (datasets, members) = wanted.include
    assert datasets["scope"]["include"] == [{"relation": "techniques"}]
    assert {one["relation"] for one in members["scope"]["include"]} == {"person", "affiliation"}
    assert not wanted.datasets
    assert not wanted.members
    lacking = ("datasets.samples", "datasets.instrument", "datasets.parameters", "parameters")
    assert wanted.missing == lacking
    assert wanted.unseen == ()


def test_a_service_that_loses_parents_by_nesting_is_asked_again_by_pid() -> None:
    wanted = wanted_relations(profile(), DATASETS, files=True)
    assert [dict(one) for one in wanted.include] == [
        {"relation": "datasets"},
        {"relation": "members"},
    ]
    assert wanted.datasets
    assert wanted.members


def test_what_cannot_be_had_is_said() -> None:
    """Never stored as "none": the hit is scored in part (issue: 'partly scored')."""
    bare = ClassProfile("Dataset", relations={"techniques": "techniques"})
    assert wanted_relations(profile(), bare).unseen == ("details of datasets",)
    unnamed = replace(profile(nested=frozenset({"datasets"})), operators=frozenset())
    assert wanted_relations(unnamed, bare).unseen == ("details of members",)
    assert "datasets.files" in wanted_relations(profile(), bare, files=True).missing
    assert wanted_relations(ClassProfile("Document"), bare).missing == (
        "datasets",
        "members",
        "parameters",
    )


def test_a_dataset_names_its_document_by_the_services_own_word() -> None:
    wanted = wanted_relations(DATASETS, DATASETS)
    assert {"relation": "document"} in wanted.include


def test_conditions_inside_includes_are_sent_without_what_else_is_wanted() -> None:
    """Fault E12: they cut what comes with a record, which is asked for again, whole."""
    joins = {"documents": {"where": {"pid": 1}}}
    wanted = wanted_by(joins, DATASETS)
    assert wanted.include == ({"relation": "document", "scope": {"where": {"pid": 1}}},)


def test_which_nested_includes_lose_nothing_is_read_from_the_check() -> None:
    found = {"state": "served", "include_depth": 3, "relations": RELATIONS}
    nested = {
        drops: read_profile({"classes": {"Document": {**found, "nested_drops": drops}}}, "Document")
        for drops in (True, False, None)
    }
    assert nested[False].nested == frozenset(RELATIONS)
    assert nested[True].nested == nested[None].nested == frozenset()
    always = {**found, "nested_drops": True, "always": ["datasets"]}
    profile = read_profile({"classes": {"Document": always}}, "Document")
    assert profile.nested == {"datasets"}


def test_details_are_filled_in_and_nothing_that_came_is_changed() -> None:
    items = [
        {"pid": "a", "datasets": [{"pid": "r", "title": "R"}, None], "members": [{"id": 1}]},
        {"pid": "b"},
    ]
    assert dataset_pids(items) == ["r"]
    filled = with_datasets(items, [{"pid": "r", "techniques": [1]}])
    assert filled[0]["datasets"][0] == {"pid": "r", "title": "R", "techniques": [1]}
    assert items[0]["datasets"][0] == {"pid": "r", "title": "R"}  # type: ignore[index]
    people = with_members(items, [{"pid": "a", "members": [{"id": 1, "person": {}}]}])
    assert people[0]["members"] == [{"id": 1, "person": {}}]
    assert people[1] is items[1]


def test_many_pids_go_in_portions_that_fit_into_an_address() -> None:
    pids = [f"10.5072/{n}" for n in range(2 * CHUNK + 1)]
    assert [len(one) for one in chunks(pids)] == [CHUNK, CHUNK, 1]


NOTHING: set[str] = set()
TITLE = Compare("title", "eq", "a")
PERSON = Join("members", Compare("role", "eq", "PI"))


@pytest.mark.parametrize(
    ("node", "looked_at"),
    [
        (Everything(), NOTHING),
        (TITLE, NOTHING),
        (Pattern(("title", "summary"), "a"), NOTHING),
        (AtFacility(("A",)), NOTHING),
        (Compare("instrumentNames", "eq", "SPB"), {"datasets"}),
        (Pattern(("title", "instrumentNames"), "SPB"), {"datasets"}),
        (TechniqueIn(("PaNET01188",)), {"datasets"}),
        (InYears(2018, 2019), {"datasets"}),
        (Join("datasets", TITLE), {"datasets"}),
        (PERSON, {"members"}),
        (HasWords("ice"), {"datasets", "members"}),
        (all_of(TITLE, Not(Or((TITLE, PERSON)))), {"members"}),
    ],
)
def test_who_matches_depends_on_what_a_condition_looks_at(node: Node, looked_at: set[str]) -> None:
    search = Search("Document", datetime(2026, 1, 1, tzinfo=UTC), node)
    for name in ("datasets", "members"):
        assert depends_on(search, [f"details of {name}"]) is (name in looked_at)
    assert depends_on(search, ["all relations"]) is bool(looked_at)
    assert not depends_on(search, [])
    assert depends_on(replace(search, text=Text("ice")), ["details of members"])
