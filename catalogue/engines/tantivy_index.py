"""One class of entities in one Tantivy index, and views of it.

Synchronous; ``tantivy.py`` calls it from worker threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tantivy
from tantivy import Query

from catalogue.engine_fields import COUNTED_FIELDS
from catalogue.engines.base import FacetRequest
from catalogue.engines.tantivy_documents import CHANGE, LINKS, ORDINAL, build_schema
from catalogue.engines.tantivy_errors import guarded
from catalogue.engines.tantivy_facets import MOST_BUCKETS, FacetCounter
from catalogue.engines.tantivy_files import Stamp, stamp_of
from catalogue.engines.tantivy_links import LinkedFolder, linked_where_needed
from catalogue.engines.tantivy_queries import PlanQueries
from catalogue.errors import EngineDamaged
from catalogue.plan import All, AllOf, Like, LikePhrase, NumberRange, Plan, leaves

_FIRST_CANDIDATES = 5_000
"""Candidates that are remembered with their count."""


class ClassIndex:
    """The index of one class in one folder; readers are made for each view."""

    def __init__(self, class_name: str, folder: Path, *, create: bool) -> None:
        self.class_name = class_name
        self.folder = folder
        self._links: LinkedFolder | None = None
        with guarded(f"opening {folder.name}"):
            if create:
                folder.mkdir(parents=True, exist_ok=True)
                self.index = tantivy.Index(build_schema(class_name), str(folder), reuse=True)
            else:
                self._links = linked_where_needed(folder)
                readable = folder if self._links is None else self._links.path
                self.index = tantivy.Index.open(str(readable))
            analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
            self.index.register_tokenizer("whitespace", analyzer)
            self.index.config_reader("manual", 0)
            self.schema = self.index.schema
            self.index.reload()
        self._seen = self._stamp()
        self._view: ClassView | None = None
        self._facet_counter = FacetCounter()

    def _stamp(self) -> Stamp:
        try:
            return stamp_of(f"{self.folder}/meta.json")
        except OSError as error:
            raise EngineDamaged(f"The search index lost {self.folder}/meta.json.") from error

    @property
    def stamp(self) -> Stamp:
        """Names the commit that the last view shows."""
        return self._seen

    def view(self) -> ClassView:
        """A view of the last commit, by whichever process."""
        stamp = self._stamp()
        if stamp != self._seen:
            with guarded("reloading"):
                if self._links is not None:
                    self._links.follow()
                self.index.reload()
            self._seen = stamp
            self._view = None
        if self._view is None:
            with guarded("reading"):
                self._view = ClassView(
                    self.class_name, self.index, self.index.searcher(), self._facet_counter
                )
        return self._view

    def highest_ordinal(self) -> int:
        """That of the newest entity in the last commit; -1 without any."""
        view = self.view()
        with guarded("reading"):
            hits = view.searcher.search(
                Query.all_query(), limit=1, count=False, order_by_field=ORDINAL,
            ).hits  # fmt: skip
            found = view.searcher.fast_field_values(ORDINAL, [address for _, address in hits])
        return int(found[0]) if found else -1

    def writer(self, heap_bytes: int) -> Any:
        """The one writer of this index; ``EngineError`` while another process has it."""
        with guarded("opening its writer"):
            writer = self.index.writer(heap_bytes, 1)
            # A process that was killed between writing its deletions and the commit leaves their
            # file, and the next commit would begin with one of the same name (fault F15).
            try:
                writer.garbage_collect_files()
            except BaseException:
                del writer  # its lock goes with it; the error's trace would keep both
                raise
            return writer


class ClassView(PlanQueries):
    """A consistent view of one class."""

    def __init__(
        self, class_name: str, index: Any, searcher: Any, facet_counter: FacetCounter
    ) -> None:
        super().__init__(index, searcher)
        self.class_name = class_name
        self.searcher = searcher
        self._facet_counter = facet_counter
        self._candidates: tuple[Plan, int, list[Any]] | None = None

    def count(self, plan: Plan) -> int:
        if isinstance(plan, All):
            return int(self.searcher.num_docs)
        if any(isinstance(leaf, Like | LikePhrase) for leaf in leaves(plan)):
            return self._looked_up(plan)[0]
        return int(self.searcher.search(self.query(plan), limit=1).count)

    def _looked_up(self, plan: Plan) -> tuple[int, list[Any]]:
        """How many candidates there are, and the first of them. Words like others are looked for
        in a whole dictionary: once for the count and the versions that are asked for after it."""
        held = self._candidates
        if held is None or held[0] != plan:
            phrases = [leaf for leaf in leaves(plan) if isinstance(leaf, LikePhrase)]
            self._too_many.update(dict.fromkeys(phrases, False))
            try:
                answer = self._first_candidates(plan)
            except ValueError:
                # Only a search tells that there are more such words than the library expands to.
                self._too_many.update(dict.fromkeys(phrases, True))
                answer = self._first_candidates(plan)
            held = self._candidates = (plan, int(answer.count), list(answer.hits))
        return held[1], held[2]

    def _first_candidates(self, plan: Plan) -> Any:
        query = Query.const_score_query(self.query(plan), 0.0)
        return self.searcher.search(query, limit=_FIRST_CANDIDATES, count=True)

    def ordinals(self, plan: Plan, most: int | None) -> list[int]:
        """Ordinals of all matching records, in no order; of ``most + 1`` when there are more."""
        query = Query.const_score_query(self.query(plan), 0.0)
        limit = _FIRST_CANDIDATES if most is None else most + 1
        # Most have few: then they are found and counted at once.
        found = self.searcher.search(query, limit=min(limit, _FIRST_CANDIDATES), count=True)
        hits = found.hits
        total = found.count if most is None else min(found.count, limit)
        if total > len(hits):
            hits = self.searcher.search(query, limit=total, count=False).hits
        return list(self.searcher.fast_field_values(ORDINAL, [address for _, address in hits]))

    def versions(self, plan: Plan) -> dict[str, tuple[int, int]]:
        """Key → (ordinal, change)."""
        total = self.count(plan)
        if total == 0:
            return {}
        held = self._candidates
        if held is not None and held[0] == plan and total == len(held[2]):
            hits = held[2]
        else:
            hits = self.searcher.search(self.query(plan), limit=total, count=False).hits
        addresses = [address for _, address in hits]
        ordinals = self.searcher.fast_field_values(ORDINAL, addresses)
        changes = self.searcher.fast_field_values(CHANGE, addresses)
        keys = [self.searcher.doc(address).get_first("key") for address in addresses]
        return {
            key: (ordinal, change)
            for key, ordinal, change in zip(keys, ordinals, changes, strict=True)
        }

    def values(self, plan: Plan, field: str) -> set[str]:
        """All distinct values, by ever narrower ranges of ordinals while there are too many."""
        if field not in (LINKS, *COUNTED_FIELDS):
            hits = self.searcher.search(self.query(plan), limit=max(1, self.count(plan))).hits
            held = self.searcher.fast_field_values(field, [address for _, address in hits])
            return {str(value) for value in held if value is not None}
        found: set[str] = set()
        pending: list[tuple[int, int]] = [(0, 2**40)]
        while pending:
            low, high = pending.pop()
            part: Plan = AllOf((plan, NumberRange(ORDINAL, low, high)))
            buckets = self._buckets(self.query(part), field, MOST_BUCKETS)
            if buckets is None and low < high:
                middle = self._middle(part, low, high)
                pending += [(low, middle), (middle + 1, high)]
            else:
                found.update(value for value, _ in buckets or ())
        return found

    def _middle(self, plan: Plan, low: int, high: int) -> int:
        held = sorted(self.ordinals(plan, None))
        return held[(len(held) - 1) // 2] if len(held) > 1 else (low + high) // 2

    def facets(
        self, requests: Sequence[FacetRequest], totals: Mapping[Plan, int]
    ) -> list[list[tuple[str, int]]]:
        """See ``FacetCounter.count``."""
        return self._facet_counter.count(self, requests, totals)

    def _buckets(self, query: Any, field: str, most: int) -> list[tuple[str, int]] | None:
        try:
            answer = self.searcher.aggregate(
                query, {"f": {"terms": {"field": field, "size": most}}}
            )
        except ValueError as error:
            if "bucket limit" in str(error):
                return None
            raise
        if answer["f"].get("sum_other_doc_count"):
            return None
        return [(_bucket_name(b["key"]), int(b["doc_count"])) for b in answer["f"]["buckets"]]


def _bucket_name(key: object) -> str:
    return str(int(key)) if isinstance(key, float) else str(key)
