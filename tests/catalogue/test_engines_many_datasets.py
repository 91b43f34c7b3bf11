"""A Document with 20,000 Datasets, and a Dataset in two Documents, on both engines (§9.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from engine_bench import Bench
from engine_servers import ENGINES, open_engine
from search_world import SAXS, Entities, technique

from catalogue.query import And, Compare, Join, Node, Not, TechniqueIn

MANY = 20_000
SHARED = "s19999"


def crowded() -> Entities:
    """One proposal of 20,000 Datasets, of which the last belongs to a second proposal, too."""
    world = Entities()
    keys = [
        world.dataset(
            f"s{n}", title=f"run {n}", size=n, samples=[{"name": "glass" if n else "ice"}]
        )
        for n in range(MANY - 1)
    ]
    keys.append(
        world.dataset(
            SHARED,
            title="the last run",
            size=MANY - 1,
            samples=[{"name": "ice"}],
            techniques=[technique(SAXS)],
        )
    )
    world.document("crowd", title="crowd", datasets=keys)
    world.document("pair", title="pair", datasets=[keys[-1]])
    world.document("alone", title="alone")
    return world


@pytest.fixture(scope="module", params=ENGINES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
          ) -> Iterator[Bench]:  # fmt: skip
    folder = tmp_path_factory.mktemp("many")
    with asyncio.Runner() as runner:
        made = Bench(crowded(), runner.run(open_engine(request.param, folder)), folder, runner)
        yield made
        made.close()


def datasets(*clauses: Node) -> Node:
    return Join("datasets", And(clauses))


ICE = Join("samples", Compare("name", "eq", "ice"))
GLASS = Join("samples", Compare("name", "eq", "glass"))


def test_all_of_its_datasets_are_found_through_it(bench: Bench) -> None:
    answer = bench.ask("Dataset", where=Join("documents", Compare("title", "eq", "crowd")), limit=3)
    assert answer.total.value == MANY


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (datasets(ICE, Compare("size", "gte", MANY - 1)), ["crowd", "pair"]),
        (datasets(ICE, Compare("size", "lt", 1)), ["crowd"]),
        # One has ice, others that size: not the same one.
        (datasets(ICE, Compare("size", "eq", 10_000)), []),
        (datasets(GLASS, Compare("size", "eq", 10_000)), ["crowd"]),
        (datasets(TechniqueIn((SAXS,)), GLASS), []),
        (datasets(TechniqueIn((SAXS,)), ICE), ["crowd", "pair"]),
        (Join("datasets", TechniqueIn((SAXS,))), ["crowd", "pair"]),
        (Not(datasets(ICE, Compare("size", "lt", 1))), ["pair", "alone"]),
    ],
)
def test_conditions_hold_for_the_same_one_of_them(
    bench: Bench, where: Node, expected: list[str]
) -> None:
    assert bench.names(where=where) == expected
    assert bench.ask(where=where, limit=0).total.value == len(expected)


def test_a_change_of_the_shared_dataset_reaches_both_documents(bench: Bench) -> None:
    where = datasets(ICE, Compare("size", "eq", 77_777))
    assert bench.names(where=where) == []
    bench.world.dataset(SHARED, title="the last run", size=77_777, samples=[{"name": "ice"}])
    bench.index()
    assert bench.names(where=where) == ["crowd", "pair"]
    assert bench.names(where=Join("datasets", TechniqueIn((SAXS,)))) == []
