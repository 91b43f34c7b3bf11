"""Reading a Tantivy index: pages in every order, counts, facets, lists (see ``engines.base``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import tantivy

from catalogue.engines.base import EngineHit, EnginePage, PageRequest, SortBy
from catalogue.engines.tantivy_documents import CHANGE, ORDINAL
from catalogue.engines.tantivy_errors import guarded
from catalogue.engines.tantivy_index import ClassView
from catalogue.plan import AllOf, NoneOf, NumberRange, Plan
from catalogue.records import EntityClass
from catalogue.scoring import normalised
from catalogue.threads import in_thread

Result = TypeVar("Result")
SHALLOW = 10_000
"""``skip`` that no memory is too small for."""


class TantivyReader:
    """One consistent view; see ``engines.base.Reader``."""

    def __init__(self, views: Mapping[str, ClassView], stamp: str, complete_until: int) -> None:
        self._views = views
        self.stamp: str | None = stamp
        self.complete_until = complete_until
        self.filled = complete_until > 0

    async def page(self, request: PageRequest) -> EnginePage:
        return await self._run(partial(self._page, request))

    async def pages(self, requests: Sequence[PageRequest]) -> list[EnginePage]:
        return await self._run(lambda: [self._page(request) for request in requests])

    async def rankings(
        self, requests: Sequence[PageRequest]
    ) -> list[tuple[list[tuple[int, float]], float]]:
        return await self._run(lambda: [self._ranking(request) for request in requests])

    def foresees_nothing(self, entity_class: EntityClass, plan: Plan) -> bool:
        """Looking is quick."""
        return False

    async def ranking(self, request: PageRequest) -> tuple[list[tuple[int, float]], float]:
        return await self._run(partial(self._ranking, request))

    def _ranking(self, request: PageRequest) -> tuple[list[tuple[int, float]], float]:
        view = self._views[request.entity_class]
        query = view.scored(request.plan, request.scores)
        hits = view.searcher.search(query, limit=request.limit, count=False).hits
        ordinals = view.searcher.fast_field_values(ORDINAL, [address for _, address in hits])
        pairs = [(int(o), float(score)) for o, (score, _) in zip(ordinals, hits, strict=True)]
        return pairs, view.words.asked(request.scores).highest

    async def count(self, entity_class: EntityClass, plan: Plan) -> int:
        return await self._run(partial(self._views[entity_class].count, plan))

    async def ordinals(
        self, entity_class: EntityClass, plan: Plan, most: int | None = None
    ) -> list[int]:
        return await self._run(partial(self._views[entity_class].ordinals, plan, most))

    async def versions(
        self, entity_class: EntityClass, plan: Plan
    ) -> Mapping[str, tuple[int, int]]:
        return await self._run(partial(self._views[entity_class].versions, plan))

    async def values(self, entity_class: EntityClass, plan: Plan, field: str) -> set[str]:
        return await self._run(partial(self._views[entity_class].values, plan, field))

    async def prefixed(
        self, entity_class: EntityClass, field: str, prefix: str, limit: int
    ) -> list[tuple[str, int]]:
        searcher = self._views[entity_class].searcher
        found = await self._run(partial(searcher.terms_with_prefix, field, prefix, limit=limit))
        return [(str(term), int(count)) for term, count in found]

    async def frequencies(
        self, entity_class: EntityClass, terms: Sequence[tuple[str, str]]
    ) -> tuple[int, list[int]]:
        searcher = self._views[entity_class].searcher
        return int(searcher.num_docs), [int(searcher.doc_freq(f, t)) for f, t in terms]

    @staticmethod
    async def _run(function: Callable[[], Result]) -> Result:
        def guarded_function() -> Result:
            with guarded("searching"):
                return function()

        return await in_thread(guarded_function)

    def _page(self, request: PageRequest) -> EnginePage:
        view = self._views[request.entity_class]
        if request.skip > SHALLOW:
            # The library reserves memory for all that lies before a page, and ends the process
            # where there is not enough.
            request = replace(request, skip=min(request.skip, int(view.searcher.num_docs)))
        total = None
        if request.limit == 0:
            found: Sequence[tuple[float, Any]] = []
            total = view.count(request.plan) if request.count else None
        elif request.scores:
            answer = view.searcher.search(
                view.scored(request.plan, request.scores),
                limit=request.limit, offset=request.skip, count=request.count,
            )  # fmt: skip
            found = answer.hits
            total = answer.count if request.count else None
        elif request.sort:
            found = _sorted(view, request)
            total = view.count(request.plan) if request.count else None
        else:
            answer = view.searcher.search(
                view.query(request.plan),
                limit=request.limit, offset=request.skip, count=request.count,
                order_by_field=ORDINAL, order=_order(descending=False),
            )  # fmt: skip
            found = [(0.0, address) for _, address in answer.hits]
            total = answer.count if request.count else None
        facets: Sequence[Sequence[tuple[str, int]]] = ()
        if request.facets:
            facets = view.facets(request.facets, {} if total is None else {request.plan: total})
        best = view.words.asked(request.scores).highest
        if request.enough is not None:
            found = _as_good(found, request.enough, best)
        return EnginePage(_hits(view, found, request), total, facets, best)


def _as_good(
    found: Sequence[tuple[float, Any]], enough: int, best: float
) -> Sequence[tuple[float, Any]]:
    """Without those behind ``enough`` that are no longer as good as the last of these."""
    if not 0 < enough < len(found):
        return found
    last = normalised(found[enough - 1][0], best)
    for place in range(enough, len(found)):
        if normalised(found[place][0], best) != last:
            return found[:place]
    return found


def _order(*, descending: bool) -> Any:
    return tantivy.Order.Desc if descending else tantivy.Order.Asc


def _hits(
    view: ClassView, found: Sequence[tuple[float, Any]], request: PageRequest
) -> list[EngineHit]:
    addresses = [address for _, address in found]
    if not addresses:
        return []
    ordinals = view.searcher.fast_field_values(ORDINAL, addresses)
    # Each column is opened anew for a page, which takes as long as reading it for ten hits.
    changes: Sequence[int | None] = [None] * len(addresses)
    if request.versioned:
        changes = view.searcher.fast_field_values(CHANGE, addresses)
    numbered = zip(found, ordinals, changes, strict=True)
    if not request.keyed:
        return [EngineHit(None, ordinal, change, hit[0]) for hit, ordinal, change in numbered]
    # Keys are stored, in blocks that have to be decompressed; numbers lie in columns.
    document = view.searcher.doc
    return [
        EngineHit(document(address).get_first("key"), ordinal, change, score)
        for (score, address), ordinal, change in numbered
    ]


def _sorted(view: ClassView, request: PageRequest) -> list[tuple[float, Any]]:
    """A page by number fields, absent values last, ties by ordinal.

    Tantivy sorts by one field and breaks ties by place in the index. For one field the page's last
    value is looked up and its ties are asked for again, in order; for several fields all matches
    are sorted here.
    """
    wanted = request.skip + request.limit
    if len(request.sort) > 1:
        return _sorted_here(view, request)[request.skip : wanted]
    (by,) = request.sort
    present = AllOf((request.plan, NumberRange(by.field, None, None)))
    order = _order(descending=by.descending)
    best = view.searcher.search(
        view.query(present), limit=wanted, count=False, order_by_field=by.field, order=order
    ).hits
    if len(best) == wanted:
        last = best[-1][0]
        ahead = [hit for hit in best if hit[0] != last]
        ties = AllOf((present, NumberRange(by.field, int(last), int(last))))
        tail = _by_ordinal(view, ties, wanted - len(ahead))
    else:
        ahead = list(best)
        absent = AllOf((request.plan, NoneOf(NumberRange(by.field, None, None))))
        tail = _by_ordinal(view, absent, wanted - len(ahead))
    ordinals = view.searcher.fast_field_values(ORDINAL, [address for _, address in ahead])
    sign = -1 if by.descending else 1
    listed = sorted(
        (sign * value, ordinal, place)
        for place, ((value, _), ordinal) in enumerate(zip(ahead, ordinals, strict=True))
    )
    in_order = [(0.0, ahead[place][1]) for _, _, place in listed] + tail
    return in_order[request.skip : wanted]


def _by_ordinal(view: ClassView, plan: Plan, limit: int) -> list[tuple[float, Any]]:
    if limit <= 0:
        return []
    hits = view.searcher.search(
        view.query(plan), limit=limit, count=False, order_by_field=ORDINAL,
        order=_order(descending=False),
    ).hits  # fmt: skip
    return [(0.0, address) for _, address in hits]


def _sorted_here(view: ClassView, request: PageRequest) -> list[tuple[float, Any]]:
    total = view.count(request.plan)
    if total == 0:
        return []
    hits = view.searcher.search(view.query(request.plan), limit=total, count=False).hits
    addresses = [address for _, address in hits]
    columns = [_column(view, by, addresses) for by in request.sort]
    columns.append([(0, n) for n in view.searcher.fast_field_values(ORDINAL, addresses)])
    order = sorted(range(total), key=lambda place: tuple(column[place] for column in columns))
    return [(0.0, addresses[place]) for place in order]


def _column(view: ClassView, by: SortBy, addresses: Sequence[Any]) -> list[tuple[int, int]]:
    sign = -1 if by.descending else 1
    values = view.searcher.fast_field_values(by.field, list(addresses))
    return [(1, 0) if value is None else (0, sign * value) for value in values]
