"""Every engine answers exactly as the oracle does (semantics 7, 8, 9; property tests).

Set, count and facets always; order and scores on a freshly built index, within a thousandth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from engine_bench import Bench, agree, agree_on_facets, agree_on_scores
from engine_servers import ENGINES, open_engine
from generated_world import dataset_nodes, document_nodes, generated, replace_half, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.oracle import Oracle
from catalogue.query import Node, Text

DRAWN = settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[tuple[Bench, Oracle]]:  # fmt: skip
    """A freshly built index of forty Documents, and the oracle over the same changes."""
    folder = tmp_path_factory.mktemp("agree")
    with asyncio.Runner() as runner:
        engine = runner.run(open_engine(request.param, folder))
        world = generated(7)
        bench = Bench(world, engine, folder, runner)
        yield bench, Oracle(world.changes())
        bench.close()


@DRAWN
@given(node=document_nodes)
def test_documents_are_filtered_as_the_oracle_does(
    filled: tuple[Bench, Oracle], node: Node
) -> None:
    agree(*filled, "Document", node)


@DRAWN
@given(node=dataset_nodes)
def test_datasets_are_filtered_as_the_oracle_does(filled: tuple[Bench, Oracle], node: Node) -> None:
    agree(*filled, "Dataset", node)


@settings(DRAWN, max_examples=40)
@given(node=st.one_of(document_nodes))
def test_facets_count_as_the_oracle_does(filled: tuple[Bench, Oracle], node: Node) -> None:
    agree_on_facets(*filled, "Document", node)


@DRAWN
@given(text=texts)
def test_texts_score_as_the_oracle_does(filled: tuple[Bench, Oracle], text: Text) -> None:
    agree_on_scores(*filled, text)


@settings(DRAWN, max_examples=30)
@given(seed=st.integers(0, 10_000), node=document_nodes)
def test_after_changes_and_deletions_the_set_is_still_exact(
    seed: int, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Semantics 8.2: after updates scores may move, sets may not. Fault F15: no duplicates."""
    folder = tmp_path_factory.mktemp("changed")
    world = generated(seed, documents=10)
    with asyncio.Runner() as runner:
        bench = Bench(world, runner.run(open_engine("tantivy", folder)), folder, runner)
        try:
            replace_half(world, generated(seed + 1, documents=10))
            world.delete("document:doi:10.5072/doc1")
            bench.index()
            agree(bench, Oracle(world.changes()), "Document", node)
        finally:
            bench.close()
