"""How many records have each value of a facet, in a Tantivy index (see ``engines.base``).

The library counts a value in 2 ns where a record has one, and in 13 where it may have several; a
technique and all above it are ten to thirty. So techniques are counted by sets, one value for a
record, where records are many and their sets few; by themselves otherwise, since each different
value of an answer costs some 7 µs, in each segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from catalogue.engines.base import FacetRequest
from catalogue.engines.tantivy_documents import TECHNIQUE_SET, TECHNIQUES
from catalogue.plan import Empty, Plan
from catalogue.technique_scoring import of_set

MOST_BUCKETS = 60_000
"""Below Tantivy's own limit of 65,000 buckets in one aggregation."""

MOST_SETS = 3_000
"""More are not worth it, however many the records."""

RECORDS_FOR_A_SET = 35
"""That are counted, each with all its techniques, in the time that one more set takes."""

FIRST_GUESS = 20

Counts = list[tuple[str, int]]


class View(Protocol):
    """What is needed of ``tantivy_index.ClassView``."""

    searcher: Any

    def shortened(self, plan: Plan) -> Plan:
        """The plan without what no record has."""

    def query(self, plan: Plan) -> Any:
        """The library's query."""


class FacetCounter:
    """Counts for one class, whatever the view, and remembers how many sets there were at most."""

    def __init__(self) -> None:
        self._sets = FIRST_GUESS

    def count(
        self, view: View, requests: Sequence[FacetRequest], totals: Mapping[Plan, int]
    ) -> list[Counts]:
        """The most frequent values of each, ties by value; what has one plan is counted in one
        pass over its records.

        Args:
            totals: how many records plans have that were counted already.
        """
        columns = [self._column(view, one, totals) for one in requests]
        counted = _counted(view, requests, columns)
        found = []
        for one, column, (pairs, others) in zip(requests, columns, counted, strict=True):
            if column == TECHNIQUE_SET:
                pairs = self._of_each(view, one, pairs, others)
            found.append(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[: one.size])
        return found

    def _column(self, view: View, one: FacetRequest, totals: Mapping[Plan, int]) -> str:
        if one.field != TECHNIQUES:
            return one.field
        least = RECORDS_FOR_A_SET * self._sets
        if least >= view.searcher.num_docs or isinstance(view.shortened(one.plan), Empty):
            return TECHNIQUES
        total = totals.get(one.plan)
        if total is None:
            total = view.searcher.search(view.query(one.plan), limit=1).count
        return TECHNIQUE_SET if total > least else TECHNIQUES

    def _of_each(self, view: View, one: FacetRequest, sets: Counts, others: int) -> Counts:
        """How many records have each technique, of how many have each set; ``others`` have sets
        beyond those."""
        if others:
            self._sets = max(self._sets, view.searcher.num_docs)
            return _counted(view, (one,), (TECHNIQUES,))[0][0]
        self._sets = max(self._sets, len(sets))
        counts: dict[str, int] = {}
        for name, count in sets:
            for technique in of_set(name):
                counts[technique] = counts.get(technique, 0) + count
        return list(counts.items())


def _counted(
    view: View, requests: Sequence[FacetRequest], columns: Iterable[str]
) -> list[tuple[Counts, int]]:
    """Of each request the values in its column, and how many records have others besides."""
    passes: dict[Plan, dict[str, Any]] = {}
    for number, (one, column) in enumerate(zip(requests, columns, strict=True)):
        size = MOST_SETS if column == TECHNIQUE_SET else min(MOST_BUCKETS, max(1_000, 4 * one.size))
        wanted = passes.setdefault(one.plan, {})
        wanted[str(number)] = {"terms": {"field": column, "size": size}}
    answers: dict[str, Any] = {}
    for plan, wanted in passes.items():
        if isinstance(view.shortened(plan), Empty):
            answers |= {number: {"buckets": []} for number in wanted}
        else:
            answers |= view.searcher.aggregate(view.query(plan), wanted)
    return [_pairs(answers[str(number)]) for number in range(len(requests))]


def _pairs(answer: Mapping[str, Any]) -> tuple[Counts, int]:
    pairs = [(str(bucket["key"]), int(bucket["doc_count"])) for bucket in answer["buckets"]]
    return pairs, int(answer.get("sum_other_doc_count") or 0)
