"""Federations of federations end: nodes, hops, and what a header may say."""

from __future__ import annotations

import pytest

from search_api.federation.via import new_node, read_via, why_index_only, write_via


def test_a_first_question_may_be_asked_live() -> None:
    assert why_index_only((), "here") is None
    assert why_index_only(("there",), "here") is None


def test_a_node_that_finds_itself_answers_from_its_index() -> None:
    assert "by way of another" in str(why_index_only(("here",), "here"))


@pytest.mark.parametrize("hops", [2, 3, 16])
def test_two_hops_are_enough(hops: int) -> None:
    passed = tuple(f"node{number}" for number in range(hops))
    assert str(hops) in str(why_index_only(passed, "here"))


def test_each_node_adds_itself_so_that_a_chain_ends() -> None:
    header = None
    for node in ("a", "b", "c"):
        passed = read_via(header)
        if why_index_only(passed, node) is not None:
            assert node == "c"
            return
        header = write_via(passed, node)
    raise AssertionError("the chain went on")


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        (None, ()),
        ("", ()),
        (" , ,", ()),
        ("a,b", ("a", "b")),
        ("a , b ,", ("a", "b")),
        ("a\tb", ("?",)),
        ("x" * 65, ("?",)),
        ("ü, a", ("?", "a")),
    ],
)
def test_headers_as_they_come(text: str | None, passed: tuple[str, ...]) -> None:
    assert read_via(text) == passed


def test_a_header_of_any_length_is_short_when_read() -> None:
    assert len(read_via("a," * 100_000)) == 16


def test_identities_differ_and_can_be_read_back() -> None:
    first, second = new_node(), new_node()
    assert first != second
    assert read_via(write_via((first,), second)) == (first, second)
