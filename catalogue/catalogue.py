"""The catalogue: record store, search engine and indexer under one roof.

Everything that blocks runs in worker threads. Several processes may have the same catalogue open;
whoever indexes holds the engine's lease, all others only read and hydrate (semantics 10).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from catalogue import search as searching
from catalogue.answers import Answer, Hit, Total
from catalogue.cursors import (
    KEPT,
    Continuation,
    Snapshots,
    expired,
    moved,
    question_digest,
    read_cursor,
    write_cursor,
)
from catalogue.engines.base import Engine, EngineHit, Reader
from catalogue.errors import EngineDamaged, IndexEmpty, QueryError, ViewLost
from catalogue.explaining import explain_hits
from catalogue.highlighting import highlights
from catalogue.indexer import Indexer
from catalogue.oracle import Entity, Evaluator, meets
from catalogue.paging import Cursors, Page, sort_of_cursor
from catalogue.plan import Numbers, Plan
from catalogue.query import Node, Search
from catalogue.ranking import MAX_SCORED
from catalogue.records import EntityClass, StoredEntity
from catalogue.settled import Settled, relaxed, settle
from catalogue.store import Store
from catalogue.suggesting import Suggestion, did_you_mean, suggestions
from catalogue.threads import Driver, in_thread, is_driven

if TYPE_CHECKING:
    from catalogue.opening import CatalogueOpening

Result = TypeVar("Result")


class Catalogue:
    """What is kept and how it is found. Open it with ``Catalogue.open``."""

    def __init__(
        self, store: Store, engine: Engine, snapshots: Snapshots, *, read_only: bool = False
    ) -> None:
        self.store = store
        self.engine = engine
        self.indexer = Indexer(
            store, engine, folder=store.folder if isinstance(store, Store) else None
        )
        self.read_only = read_only
        self._cursors = Cursors(snapshots)
        self._driver = Driver()

    @classmethod
    def open(
        cls,
        folder: Path,
        engine: str = "tantivy",
        elasticsearch_url: str | None = None,
        *,
        read_only: bool = False,
        demo: bool | None = None,
        taking_over: bool = False,
    ) -> CatalogueOpening:
        """Open the catalogue of a data folder: ``async with Catalogue.open(folder) as catalogue``,
        or ``catalogue = await Catalogue.open(folder)`` and ``await catalogue.close()``.

        A missing index is made, a damaged one rebuilt from the store, unless ``read_only``. With
        ``taking_over`` a rebuild makes Elasticsearch's indices this store's, whoever's they were.

        Raises:
            StoreError, EngineError: see ``catalogue.errors``.
        """
        from catalogue.opening import CatalogueOpening

        return CatalogueOpening(folder, engine, elasticsearch_url, read_only, demo, taking_over)

    async def settle_snapshots(self) -> None:
        """Wait until the rankings of the last answers are kept for their cursors."""
        await self._cursors.settle()

    async def close(self) -> None:
        await self._cursors.settle()
        await self.indexer.close()
        await self.engine.close()
        await self._cursors.close()
        self._driver.close()
        await in_thread(self.store.close)

    async def __aenter__(self) -> Catalogue:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # --- asking -------------------------------------------------------------------------------

    async def search(self, search: Search) -> Answer:
        """Answer a question.

        Raises:
            QueryError, QueryTooCostly, CursorExpired: the question's fault.
            EngineError: the engine's.
        """
        return await self._ask(partial(self._answer, search))

    async def _answer(self, search: Search) -> Answer:
        # A list without cursors is not named by one.
        digest = "" if search.plain and search.cursor is None else question_digest(search)
        continuation = None
        if search.cursor is not None:
            continuation = read_cursor(search.cursor, digest, sort_of_cursor(search))
            if continuation.kind == "skip":
                search = replace(search, skip=continuation.at)
            if continuation.expires and search.now.timestamp() > continuation.expires:
                raise expired()
            if continuation.kind == "view":
                return await self._continued_view(search, continuation, digest)
        reader = await self._reader()
        if continuation is not None and continuation.kind == "ranked":
            return await self._continued(search, reader, continuation, digest)
        page = await self._page(search, reader, continuation)
        settled, found = page.settled, page.found
        hits = await self._hydrated(settled, found.hits)
        if search.explain and settled.scores:
            hits = await explain_hits(settled, hits)
        cursor = await self._cursors.next_after(page, digest)
        text = settled.text
        suggestion = None
        if text is not None and not found.total.value and continuation is None and not search.plain:
            suggestion = await did_you_mean(settled)
        return Answer(
            hits,
            found.total,
            found.facets,
            await searching.related_techniques(settled) if search.related else (),
            text.recognised if text else (),
            cursor,
            page.relaxed,
            await searching.unknown_access(settled),
            found.not_data,
            suggestion,
        )

    async def count(self, search: Search) -> Total:
        """How many records match; with a text as ``search.text.match`` says, never relaxed."""
        return await self._ask(partial(self._count, search))

    async def _count(self, search: Search) -> Total:
        settled = await self._settled(search, await self._reader())
        return Total(await settled.reader.count(search.entity_class, settled.plan()))

    async def get(self, key: str) -> StoredEntity | None:
        """One entity by key, deleted or not."""
        return await in_thread(partial(self.store.entity, key))

    async def find(self, entity_class: EntityClass, pid: str) -> tuple[StoredEntity, ...]:
        """Live entities of a class that have the pid, DOI or alternate identifier."""
        return await in_thread(partial(self.store.find, entity_class, pid))

    async def suggest(self, typed: str, limit: int = 10) -> list[Suggestion]:
        """Titles, samples, instruments and people that begin so, most frequent first."""

        async def work() -> list[Suggestion]:
            return await suggestions(await self._reader(), typed, limit)

        return await self._ask(work)

    async def other_words(self, search: Search) -> str | None:
        """The question's text with each word that the index does not know replaced by the nearest
        that it does; ``None`` when there is nothing better to offer."""

        async def work() -> str | None:
            settled = await self._settled(search, await self._reader())
            return None if settled.text is None else await did_you_mean(settled)

        return await self._ask(work)

    # --- inside -------------------------------------------------------------------------------

    async def _ask(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Answer a question, in one thread where the engine allows it; a damaged index is made
        anew first, unless somebody is at that."""
        try:
            return await self._ask_once(work)
        except EngineDamaged as damaged:
            if self.read_only:
                raise
            if self.indexer.making_anew:
                raise EngineDamaged(
                    f"{damaged} It is being made anew; ask again soon."
                ) from damaged
        async with self.indexer.alone():
            with suppress(EngineDamaged):
                return await self._ask_once(work)  # whoever was at the index has mended it
            await self.indexer.restart()
            return await self._ask_once(work)

    async def _ask_once(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        if not self.engine.in_process:
            try:
                return await work()
            except ViewLost:
                return await work()
        self._cursors.on_loop()
        return await self._driver.in_one_thread(work)

    async def _reader(self) -> Reader:
        reader = await self.engine.reader()
        if not reader.filled:
            await self.require_filled()
        self._cursors.reads(reader)
        return reader

    async def require_filled(self) -> None:
        """Raise ``IndexEmpty`` where there are records, and none of them is in the index."""
        if await self.engine.position():
            return
        newest = await in_thread(self.store.last_change)
        if newest:
            raise IndexEmpty(newest)

    async def _settled(self, search: Search, reader: Reader) -> Settled:
        # A store in memory, or one in Elasticsearch, has its records whole.
        stated = self.store.stated if isinstance(self.store, Store) else None
        return await settle(search, reader, self._hydrate, stated)

    def _hydrate(self, keys: Sequence[str]) -> Mapping[str, StoredEntity]:
        return self.store.entities(keys)

    async def _page(
        self, search: Search, reader: Reader, continuation: Continuation | None
    ) -> Page:
        settled = await self._settled(search, reader)
        by_key = not self._by_ordinal
        text = search.text
        if (
            text is None
            or settled.text is None
            or text.match != "all"
            or not settled.text.can_relax
            or continuation is not None
        ):
            return Page(
                await searching.find_page(settled, self._hydrate, continuation, keyed=by_key),
                settled,
            )
        again = loose = None
        if reader.foresees_nothing(search.entity_class, settled.membership):
            again = relaxed(settled)
            found, loose = await searching.find_either(settled, again, self._hydrate, keyed=by_key)
        else:
            found = await searching.find_page(settled, self._hydrate, keyed=by_key)
        met = bool(found.hits or found.total.value)
        if not met and found.total.relation == "gte":
            met = bool(await reader.count(search.entity_class, settled.plan()))
        if met:
            return Page(found, settled)
        if again is None or loose is None:
            again = relaxed(settled)
            loose = await searching.find_page(again, self._hydrate, keyed=by_key)
        if not loose.total.value:
            return Page(found, settled)
        return Page(loose, again, relaxed=True)

    async def _hydrated(self, settled: Settled, hits: Sequence[EngineHit]) -> list[Hit]:
        """Records of the version that was found; newer ones only if they still match (10.3)."""
        if not hits:
            return []

        def load() -> list[Hit]:
            found = self._of_hits(settled.search, hits)
            known = settled.reader.complete_until
            newer = [
                entity.key
                for hit, entity in found
                if entity.change != hit.change and (hit.change is not None or entity.change > known)
            ]
            gone = self._no_longer_matching(settled, newer) if newer else frozenset()
            marked = settled.text is not None and not settled.search.plain
            shown = [
                Hit(entity, hit.score, _highlights(settled, entity) if marked else {})
                for hit, entity in found
                if not entity.deleted and entity.key not in gone
            ]
            return self._with_contained(settled.search, shown)

        if not self._by_ordinal or is_driven():
            return await in_thread(load)

        async def loaded() -> list[Hit]:
            return load()

        # A file in memory answers at once, so one thread will do, to which the way is shorter.
        return await self._driver.in_one_thread(loaded)

    @property
    def _by_ordinal(self) -> bool:
        """Whether records are read by ordinal. A store kept in Elasticsearch has them by key."""
        return isinstance(self.store, Store)

    def _of_hits(
        self, search: Search, hits: Sequence[EngineHit]
    ) -> list[tuple[EngineHit, StoredEntity]]:
        if self._by_ordinal:
            # A Dataset is shown with what its Instrument says.
            plain = search.bare and search.entity_class == "Document"
            at = self.store.entities_at([hit.ordinal for hit in hits], plain=plain)
            return [(hit, at[hit.ordinal]) for hit in hits if hit.ordinal in at]
        named = self.store.entities([hit.key for hit in hits if hit.key is not None])
        return [(hit, named[hit.key]) for hit in hits if hit.key in named]

    def _with_contained(self, search: Search, hits: list[Hit]) -> list[Hit]:
        if not (search.contained and self._by_ordinal and search.entity_class == "Document"):
            return hits
        ordinals = [hit.entity.ordinal for hit in hits]
        inside = self.store.contained(ordinals, search.contained)
        return [
            Hit(
                hit.entity,
                hit.score,
                hit.highlights,
                contained=inside.get(hit.entity.ordinal, (0, ())),
            )
            for hit in hits
        ]

    def _no_longer_matching(self, settled: Settled, keys: Sequence[str]) -> frozenset[str]:
        changes = self.store.changes_of(keys)
        gone = set()
        for key in keys:
            change = changes.get(key)
            if change is None or change.entity.deleted:
                gone.add(key)
                continue
            entity = Entity(change)
            documents = entity.stored.record.get("documents") or ()
            related = {k: Entity(c) for k, c in self.store.changes_of(documents).items()}
            evaluator = Evaluator(settled.search.now, related)
            membership = settled.membership
            if not meets(membership, entity) or not _holds(evaluator, settled.search.where, entity):
                gone.add(key)
        return frozenset(gone)

    # --- cursors ------------------------------------------------------------------------------

    async def _continued(
        self, search: Search, reader: Reader, continuation: Continuation, digest: str
    ) -> Answer:
        """A further page of a snapshot."""
        snapshot = await self._cursors.snapshot(
            search, reader, continuation, lambda first: self._page(first, reader, None)
        )
        end = continuation.at + search.limit
        ordinals = list(snapshot.ordinals[continuation.at : end])
        scores = dict(zip(ordinals, snapshot.scores[continuation.at : end], strict=True))
        settled = await self._settled(replace(search, cursor=None), reader)
        plan: Plan = Numbers("ordinal", frozenset(ordinals))
        held = await reader.versions(search.entity_class, plan) if ordinals else {}
        by_ordinal = {ordinal: (key, change) for key, (ordinal, change) in held.items()}
        hits = [
            EngineHit(by_ordinal[o][0], o, by_ordinal[o][1], scores[o])
            for o in ordinals
            if o in by_ordinal
        ]
        shown = await self._hydrated(settled, hits)
        more = end < len(snapshot.ordinals) and bool(search.limit)
        return Answer(
            shown,
            Total(snapshot.total),
            recognised=settled.text.recognised if settled.text else (),
            cursor=write_cursor(moved(continuation, search.limit), digest) if more else None,
        )

    async def _continued_view(
        self, search: Search, continuation: Continuation, digest: str
    ) -> Answer:
        """A further page of a view that the engine keeps.

        Raises:
            CursorExpired: it keeps it no longer, or the cursor is another engine's.
        """
        reader_of = getattr(self.engine, "reader_of", None)
        if reader_of is None:
            raise expired()
        reader = await reader_of(continuation.view, continuation.best)
        asked = replace(
            search,
            cursor=None,
            skip=continuation.at,
            limit=max(0, min(search.limit, MAX_SCORED - continuation.at)),
            facets=(),
            # What was open when the first page was asked for is what its cursor goes through.
            now=datetime.fromtimestamp(continuation.expires, UTC) - KEPT,
        )
        try:
            page = await self._page(asked, reader, None)
            cursor = await self._cursors.next_after(page, digest, continuation)
        except ViewLost as error:
            raise expired() from error
        shown = await self._hydrated(page.settled, page.found.hits)
        text = page.settled.text
        recognised = text.recognised if text else ()
        return Answer(
            shown, page.found.total, recognised=recognised, cursor=cursor, relaxed=page.relaxed
        )


def _holds(evaluator: Evaluator, where: Node, entity: Entity) -> bool:
    try:
        return evaluator.holds(where, entity.thing)
    except QueryError:
        # An Instrument's Datasets cannot be looked through here; the index said yes a moment ago.
        return True


def _highlights(settled: Settled, entity: StoredEntity) -> Mapping[str, Sequence[tuple[int, int]]]:
    if settled.text is None:
        return {}
    return highlights(entity.record, settled.text.stems)


__all__ = ["Catalogue"]
