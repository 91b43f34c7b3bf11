"""Conditions of a LoopBack ``where``: operators, types, looseness, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalogue.query import (
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    Node,
    Not,
    Nothing,
    OneOf,
    Or,
    Pattern,
)
from search_api.conditions import Reading, read_where
from search_api.errors import BadRequest
from search_api.model import DATASET, DOCUMENT, INSTRUMENT, MEMBER, PARAMETER
from search_api.rows import holds

Make = Callable[[], Reading]


@pytest.mark.parametrize(
    ("where", "node"),
    [
        ({}, Everything()),
        ({"title": "x"}, Compare("title", "eq", "x")),
        ({"title": {"eq": "x"}}, Compare("title", "eq", "x")),
        ({"title": {"neq": "x"}}, Not(Compare("title", "eq", "x"))),
        ({"title": {"gt": "x"}}, Compare("title", "gt", "x")),
        ({"title": {"inq": ["x", "y"]}}, OneOf("title", ("x", "y"))),
        ({"title": {"nin": ["x"]}}, Not(OneOf("title", ("x",)))),
        ({"title": {"inq": []}}, Nothing()),
        ({"title": {"like": "x"}}, Pattern(("title",), "x", "substring", False)),
        ({"title": {"ilike": "x"}}, Pattern(("title",), "x", "substring", True)),
        ({"title": {"nilike": "x"}}, Not(Pattern(("title",), "x", "substring", True))),
        ({"title": {"like": "a%b"}}, Pattern(("title",), "a.*b", "regexp", False)),
        ({"title": {"like": "a_b"}}, Pattern(("title",), "a_b", "substring", False)),
        ({"title": {"regexp": "^x"}}, Pattern(("title",), "^x", "regexp", False)),
        ({"title": {"regexp": "/^x/i"}}, Pattern(("title",), "^x", "regexp", True)),
        (
            {"title": {"between": ["a", "b"]}},
            And((Compare("title", "gte", "a"), Compare("title", "lte", "b"))),
        ),
        ({"title": None}, Not(Exists("title"))),
        ({"title": {"neq": None}}, Not(Not(Exists("title")))),
        (
            {"or": [{"title": "x"}, {"and": [{"type": "y"}]}]},
            Or((Compare("title", "eq", "x"), Compare("type", "eq", "y"))),
        ),
        (
            {"text": "x"},
            Or(
                (
                    Pattern(("title",), "x", "substring", True),
                    Pattern(("summary",), "x", "substring", True),
                )
            ),
        ),
    ],
)
def test_each_operator_becomes_the_node_that_means_it(
    where: dict[str, Any], node: Node, reading: Make
) -> None:
    assert read_where(DOCUMENT, where, reading()) == node


@pytest.mark.parametrize("pid", ["007", "1e5", "2020-01", "a-35266", "true"])
def test_a_pid_that_looks_like_something_else_stays_text(pid: str, reading: Make) -> None:
    """fault E09"""
    assert read_where(DOCUMENT, {"pid": pid}, reading()) == Compare("pid", "eq", pid)


def test_a_numeric_pid_is_asked_for_as_text(reading: Make) -> None:
    assert read_where(DOCUMENT, {"pid": 1000001}, reading()) == Compare("pid", "eq", "1000001")


@pytest.mark.parametrize("count", [20, 21, 1000])
def test_long_lists_keep_every_value(count: int, reading: Make) -> None:
    """fault E11"""
    values = [f"10.5072/{number}" for number in range(count)]
    assert read_where(DOCUMENT, {"pid": {"inq": values}}, reading()) == OneOf("pid", tuple(values))


@pytest.mark.parametrize(
    ("keywords", "expected"), [(["b"], True), (["a", "d"], False), (["a", "c", "d"], True)]
)
def test_one_and_the_same_of_several_values_is_between_the_ends(
    keywords: list[str], expected: bool, reading: Make
) -> None:
    node = read_where(DOCUMENT, {"keywords": {"between": ["b", "c"]}}, reading())
    assert holds("Document", node, {"keywords": keywords}) is expected


def test_lists_of_the_bracket_form_are_objects_with_numbers(reading: Make) -> None:
    where = {"pid": {"inq": {"0": "a", "1": "b", "10": "k", "2": "c"}}}
    assert read_where(DOCUMENT, where, reading()) == OneOf("pid", ("a", "b", "c", "k"))


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2020-05-05T15:01:02.341Z", "2020-05-05T15:01:02.341Z"),
        ("2018-01-01T00:00:00+01:00", "2017-12-31T23:00:00Z"),
        ("2020-01-01", "2020-01-01T00:00:00Z"),
        ("2020", "2020-01-01T00:00:00Z"),
        ("2020-5-5", "2020-05-05T00:00:00Z"),
        ("2020/05/05", "2020-05-05T00:00:00Z"),
        ("Tue, 05 May 2020 15:01:02 GMT", "2020-05-05T15:01:02Z"),
        ("Tue May 05 2020 17:01:02 GMT+0200", "2020-05-05T15:01:02Z"),
        ("Tue May 05 2020 17:01:02 GMT+0200 (CEST)", "2020-05-05T15:01:02Z"),
        (0, "1970-01-01T00:00:00Z"),
    ],
)
def test_dates_are_compared_as_instants(value: object, instant: str, reading: Make) -> None:
    where = {"creationDate": {"gte": value}}
    assert read_where(DATASET, where, reading()) == Compare("creationDate", "gte", instant)


def test_numeric_text_is_a_number_where_the_field_is_one(reading: Make) -> None:
    assert read_where(DATASET, {"size": {"gt": "10"}}, reading()) == Compare("size", "gt", 10)


@pytest.mark.parametrize("value", [1e300, "1e300", 10**40])
def test_numbers_beyond_any_size_stay_within_what_engines_hold(value: Any, reading: Make) -> None:
    node = read_where(DATASET, {"size": {"lt": value}}, reading())
    assert node == Compare("size", "lt", 2**60)


def test_a_value_that_may_be_text_or_number_is_asked_for_as_both(reading: Make) -> None:
    node = read_where(PARAMETER, {"value": "10"}, reading())
    assert node == Or((Compare("value", "eq", "10"), Compare("value", "eq", 10)))


def test_a_provider_stands_for_its_facility(reading: Make) -> None:
    node = read_where(DOCUMENT, {"provider": "https://ill.example.org/api/"}, reading())
    assert node == AtFacility(("ILL",))
    assert read_where(DOCUMENT, {"provider": "https://nobody.example"}, reading()) == Nothing()


def test_the_facility_of_an_instrument_is_as_sent_or_ours(reading: Make) -> None:
    node = read_where(INSTRUMENT, {"facility": "ESS"}, reading())
    assert node == Or((OneOf("facility", ("ESS",)), OneOf("facilities", ("ESS",))))


@pytest.mark.parametrize(
    ("where", "field", "nearest"),
    [
        ({"titel": "x"}, "where.titel", "title"),
        ({"and": [{"or": [{"titel": "x"}]}]}, "where.and[0].or[0].titel", "title"),
        ({"title": {"ilke": "x"}}, "where.title.ilke", "ilike"),
        ({"ispublic": True}, "where.ispublic", "isPublic"),
    ],
)
def test_a_wrong_word_is_refused_with_its_place_and_the_nearest_right_one(
    where: dict[str, Any], field: str, nearest: str, reading: Make
) -> None:
    """fault E08: nothing is silently ignored"""
    with pytest.raises(BadRequest) as refused:
        read_where(DOCUMENT, where, reading())
    assert refused.value.field == field
    assert refused.value.nearest == nearest
    assert nearest in refused.value.allowed


@pytest.mark.parametrize(
    "where",
    [
        [],
        "x",
        {"title": ["a"]},
        {"title": {}},
        {"title": {"gt": None}},
        {"title": {"inq": "x"}},
        {"title": {"between": ["a"]}},
        {"title": {"like": 5}},
        {"title": {"eq": {"eq": "x"}}},
        {"isPublic": "maybe"},
        {"isPublic": {"gt": True}},
        {"isPublic": {"like": "t"}},
        {"releaseDate": "someday"},
        {"releaseDate": {"gt": 1e300}},
        {"and": {"title": "x"}},
        {"and": ["x"]},
        {"text": {"like": "x"}},
    ],
)
def test_impossible_values_are_refused(where: Any, reading: Make) -> None:
    """fault E10"""
    with pytest.raises(BadRequest):
        read_where(DOCUMENT, where, reading())


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "[", "a{1000}{1000}", "(?<!x)y"])
def test_patterns_that_cannot_run_in_linear_time_are_refused(pattern: str, reading: Make) -> None:
    """fault I07"""
    with pytest.raises(BadRequest, match="RE2"):
        read_where(DOCUMENT, {"title": {"regexp": pattern}}, reading())


def test_a_pattern_has_a_largest_length(reading: Make) -> None:
    with pytest.raises(BadRequest, match="256 characters"):
        read_where(DOCUMENT, {"title": {"ilike": "x" * 257}}, reading())


def test_depth_and_number_of_conditions_are_bounded(reading: Make) -> None:
    """fault I08"""
    deep: dict[str, Any] = {"title": "x"}
    for _ in range(40):
        deep = {"and": [deep]}
    with pytest.raises(BadRequest, match="deeper"):
        read_where(DOCUMENT, deep, reading())
    with pytest.raises(BadRequest, match="1024 conditions"):
        read_where(DOCUMENT, {"or": [{"title": "x"}] * 1025}, reading())


def test_a_class_without_text_fields_refuses_text(reading: Make) -> None:
    with pytest.raises(BadRequest, match="no text fields"):
        read_where(PARAMETER, {"text": "x"}, reading())
    assert read_where(MEMBER, {"text": "x"}, reading()) == Pattern(
        ("role",), "x", "substring", True
    )


@pytest.mark.parametrize(
    ("where", "node"),
    [
        (
            {"role": "principal_investigator"},
            OneOf("role", ("principal_investigator", "principal investigator")),
        ),
        (
            {"role": {"neq": "PI"}},
            Not(OneOf("role", ("PI", "principal investigator"))),
        ),
        ({"role": {"inq": ["owner", "owner"]}}, OneOf("role", ("owner",))),
        ({"role": None}, Not(Exists("role"))),
        ({"role": {"like": "prin"}}, Pattern(("role",), "prin", "substring", False)),
    ],
)
def test_a_role_is_met_in_every_spelling(where: Any, node: Node, reading: Make) -> None:
    """Records keep one spelling; clients of ILL ask for "principal_investigator"."""
    assert read_where(MEMBER, where, reading()) == node
