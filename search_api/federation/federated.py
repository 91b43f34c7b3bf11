"""The federation: the catalogue and the facilities themselves, asked at once and merged.

Every question has one deadline. What came until then is one ranking, with a line for each facility
(issue: never lie about silence). Where no source is configured to be asked live, nothing here is
used and the catalogue answers alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from math import inf
from typing import Protocol

from catalogue.catalogue import Catalogue
from catalogue.query import AtFacility, Everything, Search, conditions
from catalogue.records import EntityClass, StoredEntity
from catalogue.statistics import CollectionStatistics
from search_api.facilities import FacilityStates
from search_api.federation.accounting import Outcome
from search_api.federation.collecting import Collector, ReadingCache
from search_api.federation.continuing import Pages
from search_api.federation.errors import FacilitySilent, TooDeep
from search_api.federation.index_side import IndexStatistics
from search_api.federation.matching import wanted_meanings, wanted_words
from search_api.federation.overlay import Overlay
from search_api.federation.participants import Asked, Participants, choose, with_copies
from search_api.federation.pools import PoolCache
from search_api.federation.profiles import ClassProfile, read_profile
from search_api.federation.progress import Arrived, ask_telling
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.readers import Readers
from search_api.federation.reading_processes import ReadingProcesses
from search_api.federation.relations import looks_at_files
from search_api.federation.reports import FacilityLine
from search_api.federation.resuming import resume, snapshot_of
from search_api.federation.session import FederatedAnswer, Session
from search_api.federation.takes import Need, Take
from search_api.federation.workshop import Workshop
from search_api.settings import ServerSettings

LATE = 0.66
"""A page whose last hit of a facility stood so far down its list may lack others behind it."""
LARGEST_FACTOR = 16.0
LARGEST_RESERVE = 0.6
"""Of an answer's time, for putting it together: what would take longer is shed instead."""


class Asks(Protocol):
    """The transport: ``asking.Asker``."""

    async def ask(
        self,
        live: LiveSource,
        question: Question,
        *,
        deadline: float,
        via: Sequence[str] = (),
        is_patient: bool = False,
    ) -> FacilityAnswer: ...


class Lessons(Protocol):
    """What services turned out not to know: (source, class) → operators."""

    async def learned(self, source: str) -> frozenset[tuple[str, str]]: ...

    async def learn(self, source: str, entity_class: str, what: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """The things of a pid, over the whole federation."""

    entities: tuple[StoredEntity, ...]
    records: Overlay
    lines: tuple[FacilityLine, ...]


@dataclass(slots=True)
class Federation:
    """All facilities behind one question.

    Args:
        now: aware UTC. monotonic: seconds, the clock of deadlines, the asker's own.
    """

    catalogue: Catalogue
    states: FacilityStates
    asker: Asks
    lessons: Lessons
    settings: ServerSettings
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    pages: Pages
    has_contact: bool = True
    readings: ReadingCache = field(default_factory=ReadingCache)
    pools: PoolCache = field(default_factory=PoolCache)
    processes: ReadingProcesses | None = None
    workshop: Workshop = field(init=False)
    statistics: IndexStatistics = field(init=False)
    readers: Readers = field(init=False)
    _profiles: dict[str, tuple[Mapping[str, object], dict[str, ClassProfile]]] = field(
        default_factory=dict
    )
    _factors: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.statistics = IndexStatistics(self.catalogue)
        self.workshop = Workshop(monotonic=self.monotonic)
        self.readers = Readers(self.workshop, self.processes)

    def participants(self, search: Search, asked: Asked) -> Participants:
        """Who takes part; raises ``BadRequest`` for a facility that there is none of."""
        narrowed = tuple(
            node.names for node in conditions(search.where) if isinstance(node, AtFacility)
        )
        return self.states.remembered(
            ("participants", asked.facilities, asked.mode, narrowed),
            lambda: choose(self.states.all, asked, search.where),
        )

    # --- questions ----------------------------------------------------------------------------

    async def search(
        self,
        search: Search,
        asked: Asked,
        arrived: Arrived | None = None,
    ) -> FederatedAnswer:
        """Answer a question.

        Args:
            arrived: told of what is known while facilities are still waited for, with their names:
                the index's answer at once, and another one when a facility has answered.

        Raises:
            NobodyAnswered: no facility answered, and no copy stands in.
            TooDeep: ``skip`` + ``limit`` is beyond what facilities are asked for.
            QueryError, QueryTooCostly, CursorExpired: the question's fault.
            Overloaded: so much is being worked out already that it would be late.
        """
        session = self._session(search, asked)
        if search.cursor is not None:
            return await self._continued(session)
        self._check_depth(search, session.participants)
        began = self._began(asked)
        if not session.participants.live:
            return await self._answered(session, arrived, began)
        whole_s = self._whole_s(asked)
        # A fifth of the reserve is for what this server does besides.
        spare_s = 0.8 * self._least_reserve_s(whole_s)
        most_s = LARGEST_RESERVE * whole_s
        with self.workshop.question(spare_s, self.settings.retry_after_s, most_s):
            return await self._answered(session, arrived, began)

    async def _answered(
        self,
        session: Session,
        arrived: Callable[[FederatedAnswer, Sequence[str]], Awaitable[None]] | None,
        began: float,
    ) -> FederatedAnswer:
        """The first page: everybody asked, what came put together."""
        search, asked = session.search, session.asked
        deadline = self._deadline(asked, began)
        need = self._need(search, asked)
        session.ask_one = partial(self._ask_one, search=search, asked=asked, deadline=deadline)
        if arrived is None:
            last = await session.ask(need)
            ends_at = began + self._whole_s(asked)
        else:
            last = await ask_telling(session, need, arrived)
            ends_at = inf  # It has been answered already, as far as it could be.
        retry_after_s, is_firm = self.settings.retry_after_s, asked.deadline_s is not None
        with self.workshop.finishing(ends_at, retry_after_s, is_firm=is_firm):
            answer = await session.assemble(last)
        answer = await self._deepened(session, need, last, answer, deadline, arrived)
        return await self._with_cursor(session, answer)

    async def _continued(self, session: Session) -> FederatedAnswer:
        """A further page, dealt from what its cursor pinned."""
        search = session.search
        snapshot = await self.pages.get(search.cursor or "", search, session.asked)
        return await self._with_cursor(session, await resume(session, snapshot))

    async def _with_cursor(self, session: Session, answer: FederatedAnswer) -> FederatedAnswer:
        """The answer with the way to its next page, where there is one."""
        search = session.search
        if search.plain or not search.limit or answer.deck.is_empty:
            return answer
        snapshot = await self.workshop.run(len(answer.deck.live), snapshot_of, answer)
        cursor = self.pages.put(snapshot, search, session.asked)
        return replace(answer, answer=replace(answer.answer, cursor=cursor))

    async def find(self, entity_class: EntityClass, pid: str, asked: Asked) -> Found:
        """The things that a pid means, at all facilities (semantics 1.2).

        Raises:
            NobodyAnswered: see ``search``.
        """
        search = Search(entity_class, self.now(), Everything(), limit=0)
        session = self._session(search, asked)
        deadline = self._deadline(asked, self._began(asked))
        need = self._need(search, asked)

        async def one(live: LiveSource, need: Need) -> Outcome:
            collect = partial(self._collector(live, entity_class, asked, deadline).one, pid, need)
            return await self._outcome(live, collect)

        session.ask_one = one
        outcomes = await session.ask(need)
        ledger, made, side = await session.gathered(outcomes)
        kept = await self.catalogue.find(entity_class, pid) if side.facilities else ()
        speaking = set(side.facilities)
        listed = [key for o in outcomes if o.take for key in o.take.reading.listed]
        live = [made.pool.entities[key].stored for key in dict.fromkeys(listed)]
        known = {entity.key for entity in live}
        others = [
            entity
            for entity in kept
            if entity.key not in known
            and not entity.deleted
            and speaking & {str(n) for n in entity.record.get("facilities") or ()}
        ]
        totals = Counter(str(name) for one in live for name in one.record.get("facilities") or ())
        records = Overlay(made.pool, self.catalogue.store)
        return Found((*live, *others), records, ledger.lines(outcomes, totals))

    # --- one facility -------------------------------------------------------------------------

    async def _ask_one(
        self, live: LiveSource, need: Need, *, search: Search, asked: Asked, deadline: float
    ) -> Outcome:
        factor = self._factors.get(live.source.name, 1.0)
        candidates = min(need.most, int(need.candidates * factor))
        wanted = need if candidates == need.candidates else replace(need, candidates=candidates)
        collector = self._collector(live, search.entity_class, asked, deadline)
        await self._unlearned(collector)
        return await self._outcome(live, partial(collector.collect, search, wanted))

    async def _outcome(self, live: LiveSource, collect: Callable[[], Awaitable[Take]]) -> Outcome:
        if not (self.has_contact or live.source.internal or live.source.demo):
            # As for a harvest: real facilities are told who asks (semantics 10.5).
            silence = FacilitySilent(
                live.source.name, "unsupported", "no contact address is configured here"
            )
            return Outcome(live, 0.0, silence=silence)
        began = self.monotonic()
        try:
            take = await collect()
        except FacilitySilent as silence:
            return Outcome(live, self.monotonic() - began, silence=silence)
        return Outcome(live, self.monotonic() - began, take)

    def _collector(
        self, live: LiveSource, entity_class: EntityClass, asked: Asked, deadline: float
    ) -> Collector:
        async def ask(question: Question) -> FacilityAnswer:
            # Who names a deadline means to wait until then.
            is_patient = asked.deadline_s is not None
            return await self.asker.ask(
                live, question, deadline=deadline, via=asked.via, is_patient=is_patient
            )

        async def learn(entity_class: EntityClass, operators: frozenset[str]) -> None:
            for operator in sorted(operators):
                await self.lessons.learn(live.source.name, entity_class, operator)

        datasets, shared = self.profile(live, "Dataset"), (ask, learn, self.readings, self.readers)
        collector = Collector(live, self.profile(live, entity_class), datasets, *shared)
        if entity_class == "Dataset":
            collector.documents = Collector(live, self.profile(live, "Document"), datasets, *shared)
        return collector

    async def _unlearned(self, collector: Collector) -> None:
        """Take away what the service turned out not to know since it was checked."""
        learned = await self.lessons.learned(collector.live.source.name)
        if learned:
            profile = collector.profile
            refused = frozenset(op for of, op in learned if of == profile.entity_class)
            known: ClassProfile | None = profile.remembered.get(refused)
            if known is None:
                known = profile.remembered[refused] = profile.without(refused)
            collector.profile = known

    def profile(self, live: LiveSource, entity_class: EntityClass) -> ClassProfile:
        """What a source can do with a class, read once for each check of it."""
        held, profiles = self._profiles.get(live.source.name, ({}, {}))
        if held is not live.capabilities and held != live.capabilities:
            profiles = {}
        self._profiles[live.source.name] = (live.capabilities, profiles)
        if entity_class not in profiles:
            profiles[entity_class] = read_profile(live.capabilities, entity_class)
        return profiles[entity_class]

    # --- inside -------------------------------------------------------------------------------

    def _session(self, search: Search, asked: Asked) -> Session:
        async def nobody(live: LiveSource, need: Need) -> Outcome:
            raise AssertionError("ask_one is set before anybody is asked")

        copies = with_copies(self.states)
        return Session(
            self.catalogue,
            self.states.all,
            self.statistics,
            search,
            asked,
            self.participants(search, asked),
            nobody,
            lambda live: self._sampled(live, search.entity_class, copies),
            copies,
            self.pools,
            self.workshop,
            self.settings.live_depth,
        )

    def _sampled(
        self, live: LiveSource, entity_class: EntityClass, copies: frozenset[str]
    ) -> CollectionStatistics:
        """What a live facility adds to the collection; nothing where the index counts it."""
        if live.facility.name in copies:
            return CollectionStatistics()
        return self.profile(live, entity_class).statistics

    def _began(self, asked: Asked) -> float:
        """When the question came; so long as the event loop is late it was not seen."""
        seen_at = self.monotonic() if asked.arrived_at is None else asked.arrived_at
        return seen_at - self.workshop.lag_s

    def _deadline(self, asked: Asked, began: float) -> float:
        """Until when facilities are waited for: the whole answer's time less what it takes to put
        it together, as long as that takes at present."""
        whole_s = self._whole_s(asked)
        learnt_s = self.workshop.finishing_s + 2 * self.workshop.lag_s
        reserve_s = max(self._least_reserve_s(whole_s), min(learnt_s, LARGEST_RESERVE * whole_s))
        return began + whole_s - reserve_s

    def _whole_s(self, asked: Asked) -> float:
        wanted = self.settings.live_deadline_s if asked.deadline_s is None else asked.deadline_s
        return min(wanted, self.settings.deadline_s)

    def _least_reserve_s(self, whole_s: float) -> float:
        return min(self.settings.live_reserve_s, whole_s / 4)

    def _need(self, search: Search, asked: Asked) -> Need:
        depth = search.skip + search.limit
        meant, beside = wanted_meanings(search)
        return Need(
            candidates=max(self.settings.live_candidates, 3 * depth),
            most=self.settings.live_depth,
            few=self.settings.live_whole,
            words=wanted_words(search),
            meant=meant,
            beside=beside,
            files=asked.files or looks_at_files(search.where),
        )

    def _check_depth(self, search: Search, participants: Participants) -> None:
        ordered = search.text is not None or search.sort
        deep = search.skip + search.limit > self.settings.live_depth
        if participants.live and ordered and deep:
            raise TooDeep(self.settings.live_depth)

    async def _deepened(
        self,
        session: Session,
        need: Need,
        outcomes: Sequence[Outcome],
        answer: FederatedAnswer,
        deadline: float,
        arrived: Arrived | None,
    ) -> FederatedAnswer:
        """Ask those again, for more, whose hits on the page stood far down their own lists; and
        ask them for more from the start the next time. Others are asked for less again. Where the
        page is not full although lists go on, they are read as far as they may be; also where it
        shows what comes last, as what has no date does, wherever a facility puts it."""
        for outcome in outcomes:
            name = outcome.live.source.name
            lateness = answer.late.get(name)
            if lateness is None:
                continue
            factor = self._factors.get(name, 1.0)
            grown = factor * 3 if lateness > LATE else max(1.0, factor * 0.9)
            self._factors[name] = min(grown, LARGEST_FACTOR)
        search = session.search
        short = search.text is None and _is_short(session, answer)
        late = {name for name, lateness in answer.late.items() if lateness > LATE or short}
        left_s = deadline - self.monotonic()
        slowest_s = max((o.elapsed_s for o in outcomes if o.live.source.name in late), default=0.0)
        if not late or not (search.text or short) or left_s < 2 * slowest_s:
            return answer
        if short:
            need = replace(need, candidates=need.most)
        again = {one.live.source.name: one for one in outcomes}
        if arrived is not None:
            names = {o.live.facility.name for o in outcomes if o.live.source.name in late}
            await arrived(answer, sorted(names))
        more = replace(
            session,
            participants=replace(
                session.participants,
                live=tuple(o.live for o in outcomes if o.live.source.name in late),
            ),
        )
        for outcome in await more.ask(need):
            if outcome.take is not None:
                again[outcome.live.source.name] = outcome
        return await session.assemble(list(again.values()))


def _is_short(session: Session, answer: FederatedAnswer) -> bool:
    """Whether a page shows less than what comes first, or what has no value to be sorted by."""
    hits = answer.answer.hits
    if len(hits) < session.search.limit:
        return True
    return bool(session.search.sort) and any(session.sort_order(one.entity)[0] for one in hits)


__all__ = ["Asks", "Federation", "Found", "Lessons"]
