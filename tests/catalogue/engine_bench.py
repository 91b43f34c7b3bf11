"""An engine, filled, with a question-and-answer interface for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from search_world import NOW, Entities

from catalogue.answers import Answer
from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.engines.base import Engine
from catalogue.facets import facet_of
from catalogue.oracle import Oracle, facet_counts
from catalogue.query import Everything, Facet, Node, Search, Text, all_of, conditions
from catalogue.records import EntityClass
from catalogue.scoring import normalised
from catalogue.text_query import plan_text

Result = TypeVar("Result")
FACETS = ("facility", "technique", "instrument", "year", "access", "kind", "sample")


class Bench:
    """A catalogue over a world in memory, on an event loop of its own."""

    def __init__(
        self, world: Entities, engine: Engine, folder: Any, runner: asyncio.Runner
    ) -> None:
        self.runner = runner
        self.world = world
        self.catalogue = Catalogue(world, engine, SnapshotFile(folder))  # type: ignore[arg-type]
        self.index()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(coroutine)

    def index(self) -> None:
        self.run(self.catalogue.indexer.index_once())

    def ask(self, entity_class: EntityClass = "Document", **question: Any) -> Answer:
        question.setdefault("limit", 1_000)
        return self.run(self.catalogue.search(Search(entity_class, NOW, **question)))

    def names(self, entity_class: EntityClass = "Document", **question: Any) -> list[str]:
        """The last parts of the keys found, in order."""
        hits = self.ask(entity_class, **question).hits
        return [hit.entity.key.rpartition("/")[2] for hit in hits]

    def close(self) -> None:
        remove = getattr(self.catalogue.engine, "remove_all", None)
        if remove is not None:
            self.run(remove())
        self.run(self.catalogue.close())


def agree(bench: Bench, oracle: Oracle, entity_class: EntityClass, where: Node) -> None:
    """The engine finds exactly the oracle's set, in order, and counts it so."""
    expected = [e.stored.key for e in oracle.matching(entity_class, where, NOW)]
    answer = bench.ask(entity_class, where=where)
    assert [hit.entity.key for hit in answer.hits] == expected
    assert answer.total.value == len(expected)


def agree_on_facets(bench: Bench, oracle: Oracle, entity_class: EntityClass, where: Node) -> None:
    """Every facet counts as the oracle does, without its own filter."""
    facets = tuple(Facet(name, 1_000) for name in FACETS)  # type: ignore[arg-type]
    answer = bench.ask(entity_class, where=where, facets=facets, limit=0)
    for name in FACETS:
        rest = [node for node in conditions(where) if facet_of(node) != name]
        found = oracle.matching(entity_class, all_of(*rest), NOW)
        expected = facet_counts(found, name, NOW)
        assert [(f.id, f.count) for f in answer.facets[name]] == [(f.id, f.count) for f in expected]


def agree_on_scores(bench: Bench, oracle: Oracle, text: Text, *, relative: float = 1e-3) -> None:
    """Set, scores and order of a text query are the oracle's (on a freshly built index)."""
    plan = plan_text(text)
    expected = oracle.matching("Document", Everything(), NOW, text, plan)
    answer = bench.ask(text=text)
    if answer.relaxed:
        assert not expected
        return
    assert {hit.entity.key for hit in answer.hits} == {e.stored.key for e in expected}
    best = oracle.best_possible(plan.scores, "Document")
    scores = {
        e.stored.key: normalised(oracle.raw_score(plan.scores, e, "Document"), best)
        for e in expected
    }
    for hit in answer.hits:
        assert abs(hit.score - scores[hit.entity.key]) <= relative * max(
            scores[hit.entity.key], 1e-6
        )
    _assert_order([scores[hit.entity.key] for hit in answer.hits], relative)
    assert all(0 <= hit.score < 1 for hit in answer.hits)


def _assert_order(scores: Sequence[float], relative: float) -> None:
    for earlier, later in itertools.pairwise(scores):
        assert later <= earlier * (1 + relative)


__all__ = ["Bench", "agree", "agree_on_facets", "agree_on_scores"]
