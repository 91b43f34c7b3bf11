"""A filter as it arrives: JSON, bracket form, and what is neither."""

from __future__ import annotations

import contextlib
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_api.errors import BadRequest
from search_api.filter_text import read_parameter, untangle
from search_api.replies import MOST_PAIRS, read_pairs


def test_json_and_brackets_say_the_same() -> None:
    json = read_parameter("filter", [("filter", '{"where":{"pid":"x"},"limit":"3"}')])
    brackets = read_parameter("filter", [("filter[where][pid]", "x"), ("filter[limit]", "3")])
    assert json == brackets == {"where": {"pid": "x"}, "limit": "3"}


def test_brackets_make_lists_of_any_length() -> None:
    """fault E11: the twenty-first value is no different from the twentieth"""
    pairs = [(f"filter[where][pid][inq][{number}]", str(number)) for number in range(1000)]
    found = read_parameter("filter", pairs)
    assert untangle(found) == {"where": {"pid": {"inq": [str(n) for n in range(1000)]}}}


def test_empty_brackets_append() -> None:
    pairs = [("filter[fields][]", "pid"), ("filter[fields][]", "title")]
    assert untangle(read_parameter("filter", pairs)) == {"fields": ["pid", "title"]}


def test_a_name_that_comes_again_makes_a_list() -> None:
    """fault E11: as browsers and LoopBack's own parser write and read it"""
    pairs = [("filter[where][pid][inq]", str(number)) for number in range(30)]
    found = read_parameter("filter", pairs)
    assert untangle(found) == {"where": {"pid": {"inq": [str(n) for n in range(30)]}}}


def test_only_ascii_digits_are_places_in_a_list() -> None:
    """found by drawn bodies: ``²`` is a digit to Python, and no number"""
    for name in ("²", "٣", "9" * 5000):
        assert untangle({name: "x"}) == {name: "x"}


def test_an_absent_or_empty_parameter_is_none() -> None:
    assert read_parameter("filter", []) is None
    assert read_parameter("filter", [("filter", " ")]) is None
    assert read_parameter("filter", [("filter", "null")]) is None
    assert read_parameter("filter", [("filters", "{}")]) is None


@pytest.mark.parametrize(
    "pairs",
    [
        [("filter", "{oops")],
        [("filter", '{"a":1,}')],
        [("filter", "[]")],
        [("filter", "1")],
        [("filter", "{}"), ("filter", "{}")],
        [("filter", "{}"), ("filter[limit]", "1")],
        [("filter[limit", "1")],
        [("filter[limit]x", "1")],
        [("filter[limit]", "1"), ("filter[limit][x]", "2")],
        [("filter" + "[a]" * 30, "1")],
        [("filter[where][and][99999999999999999999]", "1")],
    ],
)
def test_what_cannot_be_meant_is_refused(pairs: list[tuple[str, str]]) -> None:
    """fault E10"""
    with pytest.raises(BadRequest):
        read_parameter("filter", pairs)


def test_the_message_names_the_place_of_the_mistake() -> None:
    with pytest.raises(BadRequest, match=r"filter is not JSON.*character 10"):
        read_parameter("filter", [("filter", '{"limit":}')])


@given(st.text(max_size=200))
def test_any_query_string_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(read_parameter("filter", read_pairs("filter=" + text)), dict | None)


@given(
    st.lists(
        st.sampled_from(
            ["filter", "a+b", "%7B", "%C3%A4", "%ff", "%", "%zz", "=", "&", "é", ";", ""]
        )
        | st.text(max_size=4),
        max_size=8,
    ).map("".join)
)
def test_a_query_string_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        with pytest.raises(BadRequest):
            read_pairs(text)
    else:
        assert read_pairs(text) == expected


def test_a_query_string_of_too_many_parameters_is_refused() -> None:
    assert len(read_pairs("&".join(["a=1"] * MOST_PAIRS))) == MOST_PAIRS
    with pytest.raises(BadRequest):
        read_pairs("&".join(["a=1"] * (MOST_PAIRS + 1)))
