"""Readings by what was read, and what was taken of them."""

from __future__ import annotations

from dataclasses import replace

from catalogue.query import Compare, Everything, Node
from catalogue.readings import Reading, read_objects
from mappings.context import Context
from search_api.federation.collecting import TAKES, ReadingCache
from search_api.federation.paging import Shape
from search_api.federation.profiles import ClassProfile
from search_api.federation.relations import Wanted
from search_api.federation.splitting import split_filter
from search_api.federation.takes import Take

CONTEXT = Context("ESS", "ess")
PROFILE = ClassProfile("Document", checked=True, total=10)


def reading(number: int) -> Reading:
    item = {"pid": f"10.5072/kept-{number}", "title": f"Run {number}"}
    return read_objects("Document", [item], CONTEXT)


def shape(where: Node = Everything(), **more: bool | int) -> Shape:  # noqa: B008 (a constant)
    split = split_filter(where, PROFILE, likely=True)
    found = Shape(PROFILE, split, Wanted(), Wanted(), where, ("query", ""), True, True, 50, 50, ())
    return found._replace(**more)


def key(number: int) -> tuple[str, str, bytes]:
    return ("ess", "Document", bytes((number,)))


def test_a_take_is_found_again_by_a_question_of_its_shape_alone() -> None:
    cache, one = ReadingCache(), reading(0)
    cache.put(key(0), one)
    take = Take(one, complete=False)
    cache.put_take(key(0), shape(), take)
    assert cache.take(key(0), shape()) is take
    assert cache.take(key(1), shape()) is None
    for other in (
        shape(Compare("title", "eq", "Run 0")),
        shape(has_text=False),
        shape(is_counted=False),
        shape(limit=20),
        shape(most=20),
        shape()._replace(without=("members",)),
        shape()._replace(profile=replace(PROFILE, total=11)),
    ):
        assert cache.take(key(0), other) is None


def test_a_take_goes_with_what_was_read() -> None:
    cache, one = ReadingCache(most=1), reading(0)
    cache.put_take(key(0), shape(), Take(one, complete=False))
    assert cache.take(key(0), shape()) is None
    cache.put(key(0), one)
    cache.put_take(key(0), shape(), Take(one, complete=False))
    cache.put(key(1), reading(1))
    cache.put(key(0), reading(0))
    assert cache.take(key(0), shape()) is None


def test_takes_of_few_shapes_are_kept() -> None:
    cache, one = ReadingCache(), reading(0)
    cache.put(key(0), one)
    for limit in range(3 * TAKES):
        cache.put_take(key(0), shape(limit=limit), Take(one, complete=False))
    found = [cache.take(key(0), shape(limit=limit)) for limit in range(3 * TAKES)]
    assert found[-1] is not None
    assert len([take for take in found if take is not None]) <= TAKES


def test_what_is_sent_of_a_filter_is_worked_out_once_for_a_profile() -> None:
    where = Compare("title", "eq", "Run 0")
    first = split_filter(where, PROFILE, likely=True)
    assert split_filter(Compare("title", "eq", "Run 0"), PROFILE, likely=True) is first
    able = replace(PROFILE, operators=frozenset({"eq"}))
    assert split_filter(where, able, likely=True) != first
    for number in range(100):
        split_filter(Compare("title", "eq", f"Run {number}"), PROFILE, likely=True)
    assert len(PROFILE.splits) <= 32
