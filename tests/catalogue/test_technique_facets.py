"""Techniques are counted by sets where sets are few, and one by one otherwise: the same counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from engine_bench import Bench
from engine_servers import open_engine
from hypothesis import given
from hypothesis import strategies as st
from search_world import NOW, Entities, technique

from catalogue.engines import tantivy_facets
from catalogue.oracle import Oracle, facet_counts
from catalogue.query import Compare, Everything, Facet, Node
from catalogue.technique_scoring import of_set, set_name, with_ancestors
from mappings.techniques import load_panet

TAGS = sorted(one for one, term in load_panet().terms.items() if term.is_technique)
RECORDS = 120


def world_with(sets: int) -> Entities:
    """Records with so many different sets of one to three techniques."""
    random = Random(5)
    choices = [random.sample(TAGS, random.randint(1, 3)) for _ in range(sets)]
    world = Entities()
    for number in range(RECORDS):
        tags = [technique(one) for one in choices[number % sets]] if number % 7 else []
        key = world.dataset(f"s{number}", techniques=tags, size=number)
        world.document(f"d{number}", title="even" if number % 2 else "odd", datasets=[key])
    return world


@pytest.fixture(params=[3, 80], ids=["few sets", "many sets"])
def world(request: pytest.FixtureRequest) -> Entities:
    return world_with(request.param)


@pytest.fixture(params=[(20, 3_000), (0, 3_000), (0, 10)],
                ids=["one by one", "by sets", "by sets, if at most ten"])  # fmt: skip
def bench(
    world: Entities,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    guess, most = request.param
    monkeypatch.setattr(tantivy_facets, "FIRST_GUESS", guess)
    monkeypatch.setattr(tantivy_facets, "MOST_SETS", most)
    with asyncio.Runner() as runner:
        made = Bench(world, runner.run(open_engine("tantivy", tmp_path)), tmp_path, runner)
        yield made
        made.close()


@pytest.mark.parametrize("where", [Everything(), Compare("title", "eq", "even")])
def test_all_ways_count_as_the_oracle_does(bench: Bench, world: Entities, where: Node) -> None:
    found = Oracle(world.changes()).matching("Document", where, NOW)
    expected = facet_counts(found, "technique", NOW)
    for _ in range(2):  # What the first answer taught must not change the second.
        answer = bench.ask(where=where, facets=(Facet("technique", 1_000),), limit=0)
        assert [(one.id, one.count) for one in answer.facets["technique"]] == [
            (one.id, one.count) for one in expected
        ]


def test_only_the_most_frequent_are_shown(bench: Bench) -> None:
    whole = bench.ask(facets=(Facet("technique", 1_000),), limit=0).facets["technique"]
    assert bench.ask(facets=(Facet("technique", 4),), limit=0).facets["technique"] == whole[:4]


@given(st.frozensets(st.sampled_from(TAGS), max_size=6))
def test_a_set_goes_by_a_name_that_tells_what_is_above_it(tags: frozenset[str]) -> None:
    assert of_set(set_name(tags)) == with_ancestors(tags)
