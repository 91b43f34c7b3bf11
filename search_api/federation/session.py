"""One question to the whole federation: who is asked, what came, and the answer put together.

``ask`` lets every facility be asked at the same time under one deadline; ``assemble`` makes an
answer of whatever has come so far, so that a stream can be answered again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TypeVar

from catalogue import technique_scoring
from catalogue.answers import Answer, FacetCount, Hit, Total
from catalogue.catalogue import Catalogue
from catalogue.crowd import Crowd
from catalogue.highlighting import highlights
from catalogue.oracle import Entity
from catalogue.query import Search
from catalogue.readings import Pool, Reading, make_pool
from catalogue.records import StoredEntity
from catalogue.search import RELATED
from catalogue.statistics import CollectionStatistics, terms_asked
from catalogue.text_query import TextPlan
from search_api.facilities import FacilityState
from search_api.federation.accounting import (
    Ledger,
    Outcome,
    believed,
    facility_totals,
    lateness,
    partly_scored,
    sure_of,
    total_of,
)
from search_api.federation.errors import NobodyAnswered, NobodyAsked, TooDeep
from search_api.federation.index_side import (
    EMPTY,
    IndexSide,
    IndexStatistics,
    as_entities,
    held_by_others,
)
from search_api.federation.matching import Matcher, Ranking, added, near
from search_api.federation.overlay import Overlay
from search_api.federation.participants import Asked, Participants
from search_api.federation.pools import Made, PoolCache
from search_api.federation.questions import LiveSource
from search_api.federation.ranking import Deck, Ranked, Scorer, score_order
from search_api.federation.ranking import sort_order as sort_key
from search_api.federation.reports import FacilityLine, is_silence
from search_api.federation.takes import Need
from search_api.federation.workshop import Workshop

Result = TypeVar("Result")

CHUNK = 50
"""Index hits fetched beyond what a page needs: rescored, they may come in another order."""
INDEX_DEPTH = 10_000
"""Index hits that one ranking goes through at most (semantics 9.2)."""
NO_END = 1 << 60
_NO_MARKS: Mapping[str, Sequence[tuple[int, int]]] = {}


@dataclass(frozen=True, slots=True)
class FederatedAnswer:
    """An answer with a line for each facility, and the records that it speaks of.

    ``partly``: keys of hits whose scored fields could not all be had. Further pages are dealt from
    ``deck`` and ``pool``; ``side`` is the index's part. ``late``: see ``accounting.lateness``.
    """

    answer: Answer
    records: Overlay
    lines: tuple[FacilityLine, ...]
    pool: Pool
    deck: Deck
    side: IndexSide
    scorer: Scorer | None
    partly: frozenset[str] = frozenset()
    late: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What matches: ``crowd`` of the pool, and the index's first page."""

    side: IndexSide
    matcher: Matcher
    crowd: Crowd
    first: Answer
    relaxed: bool = False

    @property
    def matching(self) -> Sequence[Entity]:
        return self.crowd.entities


@dataclass(slots=True)
class Session:
    """One question. ``ask_one`` asks a source; ``states`` are all facilities as last seen,
    ``copies`` those of which the index has what they told before."""

    catalogue: Catalogue
    states: Sequence[FacilityState]
    statistics: IndexStatistics
    search: Search
    asked: Asked
    participants: Participants
    ask_one: Callable[[LiveSource, Need], Awaitable[Outcome]]
    live_statistics: Callable[[LiveSource], CollectionStatistics]
    copies: frozenset[str]
    pools: PoolCache
    workshop: Workshop
    most_live: int = 1_000

    # --- asking -------------------------------------------------------------------------------

    async def ask(
        self, need: Need, arrived: Callable[[Outcome], Awaitable[None]] | None = None
    ) -> list[Outcome]:
        """Ask all live sources at once; ``arrived`` is told of each as it comes."""
        outcomes: dict[str, Outcome] = {}

        async def one(live: LiveSource) -> None:
            outcome = await self.ask_one(live, need)
            outcomes[live.source.name] = outcome
            if arrived is not None:
                await arrived(outcome)

        # asyncio's own group: tasks of anyio's cost several times as much. One is asked from here.
        *others, last = self.participants.live or (None,)
        async with asyncio.TaskGroup() as group:
            for live in others:
                group.create_task(one(live))
            if last is not None:
                await one(last)
        return [outcomes[live.source.name] for live in self.participants.live]

    def can_speak(self, outcomes: Sequence[Outcome], waiting: Sequence[str]) -> bool:
        """Whether there is something to tell before everybody has answered."""
        silent = [one for one in outcomes if one.take is None]
        return len(silent) < len(outcomes) or bool(self._speaking(silent, waiting))

    # --- putting together ---------------------------------------------------------------------

    async def assemble(
        self, outcomes: Sequence[Outcome], *, waiting: Sequence[str] = ()
    ) -> FederatedAnswer:
        """The answer of the index and of what has come.

        Args:
            waiting: facilities that have not answered yet, for a stream's first answers.

        Raises:
            NobodyAnswered: no facility answered and nobody speaks through the index.
            NobodyAsked: the chosen mode leaves nobody.
        """
        takes = [one for one in outcomes if one.take is not None]
        ledger, made, side = await self.gathered(outcomes, waiting=waiting)
        pool = made.pool
        start, asked = self._first_stretch()
        first = await side.page(start, asked, first=True)
        found = await self._found(side, made, first)
        scorer = await self._scorer(found)
        live = await self.workshop.run(len(found.matching), self._ranked, found, scorer, takes)
        deck = Deck(live, index_at=start)
        hits: dict[str, Hit] = {}
        await self._add(deck, found.side, scorer, found.first.hits, asked, hits)
        skip = self.search.skip
        if self._is_unordered:
            # The index comes first, and was asked from there on.
            skip = max(0, skip - found.first.total.value)
            self._check_depth(skip + self.search.limit, takes)
        dealt = await self.deal(deck, found.side, scorer, skip, self.search.limit, hits)
        outcomes = believed(outcomes, found.matching)
        total = total_of(found.first, found.matching, outcomes, waiting=bool(waiting))
        lines = ledger.lines(outcomes, facility_totals(found.first, found.matching))
        shown = await self.hits_of(dealt, pool, hits, scorer, found.matcher.text)
        total = sure_of(total, lines)
        offered = None if total.value or waiting else await self._other_words(side)
        return FederatedAnswer(
            await self.workshop.run(len(pool.entities), self._answer, found, shown, total, offered),
            Overlay(pool, self.catalogue.store),
            lines,
            pool,
            deck,
            found.side,
            scorer,
            partly_scored(found.matching, outcomes),
            lateness(dealt, takes),
        )

    async def gathered(
        self, outcomes: Sequence[Outcome], *, waiting: Sequence[str] = ()
    ) -> tuple[Ledger, Made, IndexSide]:
        """What has come, in one pool, and who speaks through the index; see ``assemble``."""
        takes = [one.take for one in outcomes if one.take is not None]
        silent = [one for one in outcomes if one.take is None]
        ledger = Ledger(self.states, self.asked, self.participants.named, self.search.now, waiting)
        speaking = self._speaking(silent, waiting)
        if not takes and not speaking and not waiting:
            lines = ledger.lines(outcomes, {})
            if outcomes:
                raise NobodyAnswered([line.json() for line in lines])
            if is_silence(lines) and self.asked.index_only is None:
                raise NobodyAsked([line.json() for line in lines])
        made = await self._pool([take.reading for take in takes], speaking)
        # What is only related to one that came is the index's own to answer with.
        came = made.pool.entities
        without = frozenset(entity.ordinal for key, entity in made.held.items() if key in came)
        return ledger, made, IndexSide(self.catalogue, self.search, speaking, without)

    @property
    def _is_unordered(self) -> bool:
        return self.search.text is None and not self.search.sort

    def _first_stretch(self) -> tuple[int, int]:
        """From where, and how many hits, the index is asked for at first."""
        search = self.search
        if not search.limit:
            return 0, 0
        if self._is_unordered:
            return search.skip, search.limit
        return 0, search.skip + search.limit + CHUNK

    def _check_depth(self, depth: int, takes: Sequence[Outcome]) -> None:
        if depth > self.most_live and any(one.take and one.take.going_on for one in takes):
            raise TooDeep(self.most_live)

    def _speaking(self, silent: Sequence[Outcome], waiting: Sequence[str]) -> tuple[str, ...]:
        """Who speaks through the index: the indexed ones, and silent ones that left a copy."""
        if not self.copies or self.asked.mode == "live" or not (silent or waiting):
            return self.participants.indexed
        quiet = {one.live.facility.name for one in silent} | set(waiting)
        names = (state.facility.name for state in self.states)
        copies = [name for name in names if name in quiet and name in self.copies]
        return (*self.participants.indexed, *copies)

    async def _pool(self, readings: Sequence[Reading], speaking: tuple[str, ...]) -> Made:
        if not readings:
            return Made((), Pool(), {})
        stamp = (await self.catalogue.engine.reader()).stamp if speaking else None
        kept = self.pools.get(readings, speaking, stamp)
        if kept is not None:
            return kept
        keys = list(dict.fromkeys(key for reading in readings for key in reading.said))
        held = await held_by_others(self.catalogue, keys, speaking, self.search.entity_class)
        providers = {state.facility.name: state.facility.provider for state in self.states}
        trust = {source.name: source.trust for state in self.states for source, _ in state.sources}
        now = self.search.now

        def merge() -> Pool:
            return make_pool(readings, now=now, held=held, trust=trust, providers=providers)

        pool = await self.workshop.run(len(keys), merge)
        made = Made(readings, pool, held)
        self.pools.put(made, speaking, stamp)
        return made

    async def _found(self, side: IndexSide, made: Made, first: Answer) -> _Found:
        """What matches on both sides; any word where nobody has a record with all of them
        (semantics 7.1). That is decided for the whole federation: the index alone must not relax
        where a facility has a full match."""
        matcher = made.matcher(self.search)
        size = len(made.pool.entities)
        crowd = await self.workshop.run(size, matcher.crowd)
        can_relax = matcher.match == "all" and matcher.text is not None and matcher.text.can_relax
        if not can_relax:
            return _Found(side, matcher, crowd, first)
        if crowd.entities and first.relaxed:
            return _Found(replace(side, facilities=()), matcher, crowd, EMPTY)
        if crowd.entities or (first.total.value and not first.relaxed):
            return _Found(side, matcher, crowd, first)
        loose = made.matcher(self.search, "any")
        some = await self.workshop.run(size, loose.crowd)
        if not some.entities and not first.relaxed:
            return _Found(side, matcher, crowd, first)
        return _Found(replace(side, match="any"), loose, some, first, relaxed=True)

    async def _scorer(self, found: _Found) -> Scorer | None:
        text = found.matcher.text
        if text is None or self.search.sort:
            return None
        scores = text.scores
        terms = terms_asked(scores)
        parts = [self.live_statistics(live) for live in self.participants.live]
        if self.copies:
            parts.append(await self.statistics.of(self.search.entity_class, terms))
        return await self.workshop.run(len(found.matching), Scorer.of, scores, parts, found.crowd)

    def _ranked(
        self, found: _Found, scorer: Scorer | None, takes: Sequence[Outcome]
    ) -> list[Ranked]:
        """The live hits in the merged order."""
        matching = found.matching
        if scorer is not None:
            return self._scored(found, scorer)
        if self.search.sort:
            ranked = [Ranked(self.sort_order(one.stored), one.key) for one in matching]
        else:
            # Behind the index's own, by the place where facilities have them: that stays the same
            # however deep a page goes.
            places: dict[str, int] = {}
            for outcome in takes:
                for place, key in enumerate(outcome.take.reading.listed if outcome.take else ()):
                    places[key] = min(place, places.get(key, place))
            ranked = [Ranked((1, places.get(one.key, 0), one.key), one.key) for one in matching]
        return sorted(ranked, key=lambda one: one.order)

    def _scored(self, found: _Found, scorer: Scorer) -> list[Ranked]:
        """The live hits, best first; as before where the same was asked with the same numbers."""
        rankings = found.matcher.rankings
        for one in rankings:
            if one.collection == scorer.collection:
                return list(one.hits)
        keys = [one.key for one in found.matching]
        scored = list(zip(scorer.scores(found.crowd), keys, strict=True))
        # They are in the order of their keys, and stay so where scores are equal: to sort tuples
        # of thousands would be one long step that keeps the event loop from the interpreter.
        scored.sort(key=itemgetter(0), reverse=True)
        ranked = [Ranked(score_order(score, key), key, score) for score, key in scored]
        rankings[:] = [Ranking(scorer.collection, tuple(ranked))]
        return ranked

    def sort_order(self, entity: StoredEntity) -> tuple[object, ...]:
        """Where an entity stands in the asked order."""
        return sort_key(entity.record, self.search.entity_class, self.search.sort, entity.key)

    async def _add(
        self,
        deck: Deck,
        side: IndexSide,
        scorer: Scorer | None,
        hits: Sequence[Hit],
        asked: int,
        found: dict[str, Hit],
    ) -> None:
        """Put index hits into the deck, on the federation's scale."""
        if not hits:
            deck.add((), asked, got=0, most=INDEX_DEPTH if scorer else NO_END)
            return
        found.update({hit.entity.key: hit for hit in hits})
        if scorer is not None and (deck.live or self.participants.live):
            entities = await as_entities(self.catalogue, hits)
            crowd = Crowd(list(entities.values()))
            scored = await self.workshop.run(len(entities), scorer.scores, crowd)
            scores = dict(zip(entities, scored, strict=True))
        else:
            scores = {hit.entity.key: hit.score for hit in hits}
        ranked = []
        for place, hit in enumerate(hits):
            key = hit.entity.key
            if key not in scores:
                continue
            score = scores[key]
            if scorer is not None:
                order: tuple[object, ...] = score_order(score, key)
            elif self.search.sort:
                order = self.sort_order(hit.entity)
            else:
                order = (0, deck.index_at + place, key)
            ranked.append(Ranked(order, key, score, live=False))
        deck.add(ranked, asked, got=len(hits), most=INDEX_DEPTH if scorer else NO_END)

    async def deal(
        self,
        deck: Deck,
        side: IndexSide,
        scorer: Scorer | None,
        skip: int,
        limit: int,
        found: dict[str, Hit],
    ) -> list[Ranked]:
        """The next ``limit`` hits behind ``skip`` others, fetching of the index what it takes."""
        wanted = skip + limit
        while deck.ready() < wanted and not deck.index_done:
            chunk = max(CHUNK, min(1_000, wanted - deck.ready() + CHUNK))
            page = await side.page(deck.index_at, chunk, first=False)
            await self._add(deck, side, scorer, page.hits, chunk, found)
        deck.deal(skip)
        return deck.deal(limit)

    async def hits_of(
        self,
        dealt: Sequence[Ranked],
        pool: Pool,
        found: Mapping[str, Hit],
        scorer: Scorer | None,
        text: TextPlan | None,
    ) -> list[Hit]:
        """The hits of a page as they are shown: with places to mark, and explained if asked."""
        entities: Mapping[str, Entity] = pool.entities
        if self.search.explain and scorer is not None:
            theirs = [found[one.key] for one in dealt if one.key not in pool.entities]
            entities = {**entities, **await as_entities(self.catalogue, theirs)}
        return await self.workshop.run(
            len(dealt), self._shown, dealt, pool, found, scorer, entities, text
        )

    def _shown(
        self,
        dealt: Sequence[Ranked],
        pool: Pool,
        found: Mapping[str, Hit],
        scorer: Scorer | None,
        entities: Mapping[str, Entity],
        text: TextPlan | None,
    ) -> list[Hit]:
        stems = None if text is None or self.search.plain else text.stems
        explains = self.search.explain and scorer is not None
        shown = []
        for one in dealt:
            live = pool.entities.get(one.key)
            stored = live.stored if live is not None else found[one.key].entity
            explanation = None
            if explains and scorer is not None and one.key in entities:
                own = pool.own_scores(one.key)
                explanation = scorer.explain(entities[one.key], own)
            marks: Mapping[str, Sequence[tuple[int, int]]] = _NO_MARKS
            if stems:
                marks = highlights(stored.record, stems, is_kept=live is not None)
            shown.append(Hit(stored, one.score, marks, explanation))
        return shown

    async def _other_words(self, side: IndexSide) -> str | None:
        """What the index knows in place of words that found nothing anywhere (semantics 7.2)."""
        search = self.search
        if search.text is None or search.plain or not side.facilities:
            return None
        return await self.catalogue.other_words(replace(search, cursor=None))

    def _answer(
        self, found: _Found, hits: Sequence[Hit], total: Total, other_words: str | None
    ) -> Answer:
        """The answer with everything beside hits and total counted on both sides."""
        matcher, first = found.matcher, found.first
        ours = matcher.facets()
        return Answer(
            hits,
            total,
            {
                facet.field: added(
                    [first.facets.get(facet.field, ()), ours.get(facet.field, ())], facet.size
                )
                for facet in self.search.facets
            },
            self._related(matcher, first),
            matcher.text.recognised if matcher.text else first.recognised,
            None,
            found.relaxed,
            _sum(first.unknown_access, matcher.unknown_access()),
            _added(first.not_data, matcher.not_data()),
            other_words,
        )

    def _related(self, matcher: Matcher, first: Answer) -> list[FacetCount]:
        ours = matcher.related()
        known = {one.id: one.count for one in first.related}
        counts = {
            one: ours.get(one, 0) + known.get(one, 0) for one in near(self.search, matcher.text)
        }
        return [
            FacetCount(one, technique_scoring.label(one), count)
            for one, count in counts.items()
            if count
        ][:RELATED]


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {k: one.get(k, 0) + other.get(k, 0) for k in dict.fromkeys((*one, *other))}
