"""Facilities asked while somebody waits: patient with each, and dependent on none.

A question goes: cache, then a request that all who ask the same share, then breaker, then a place
among the requests to this facility, then the network. Whatever ends it badly takes one path: the
breaker hears of it if the facility is to blame, and a kept answer stands in, marked with its age.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random as random_module
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import anyio
from prometheus_client import Counter

from catalogue.facilities import Source
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher
from facility_http.rest_json import Objects, identifier_of
from search_api.federation.alarms import Alarms
from search_api.federation.background import Background
from search_api.federation.errors import FacilitySilent, FederationError, QuestionRefused
from search_api.federation.facility_cache import FacilityCache, Kept, key_of
from search_api.federation.hedging import Hedged
from search_api.federation.latencies import (
    IDLE_S,
    Histories,
    LimitFigures,
    in_words,
    is_idle,
    kind_of,
    limit_figures,
)
from search_api.federation.lines import ONCE, Line, bounds_of, line_to
from search_api.federation.metrics import FederationMeasurements
from search_api.federation.parsing import Parsed, Parser
from search_api.federation.pausing import Pass, Pausing
from search_api.federation.questions import (
    SEVERITY,
    FacilityAnswer,
    FacilityFigures,
    LiveSource,
    Question,
)
from search_api.federation.requests import Request, Said
from search_api.federation.serving_store import ServingStore
from search_api.federation.sharing import Sharing, figures_of, last_answer, seconds
from search_api.federation.single_flight import Flight
from search_api.federation.verdicts import Verdict, judge
from search_api.federation.via import HEADER, write_via
from search_api.settings import ServerSettings

log = logging.getLogger("pan_commons.search_api.federation")

# A probe's lease ends a little after its limit, so that nobody else probes beside it.
_LEASE_MARGIN_S = 1.0
_SHARED_LOOK_S = 0.05


class Heard(NamedTuple):
    """A good answer as it was received; ``elapsed_s`` on the network, without our queue."""

    parsed: Parsed
    body: bytes
    elapsed_s: float
    lacks: str = ""
    without: tuple[str, ...] = ()


class _Terms(NamedTuple):
    """On what terms somebody asks; see ``Asker.ask``."""

    deadline: float
    via: tuple[str, ...]
    is_patient: bool


class Asker:
    """Asks facilities; one for each server process, an async context manager.

    Args:
        serving: memory shared with the other workers; stays the caller's to close.
        settings: the rows that begin with ``facility_``.
        node: our identity in ``X-Pan-Commons-Via``, see ``ServingStore.node``.
        contact: e-mail address for the User-Agent.
        now: wall clock, aware UTC; what is shared with other processes goes by it.
        monotonic: durations and deadlines; must go as fast as the event loop's clock.
        random: gives [0, 1).
        environment: where keys are looked up that sources name.
        resolver: passed to aiohttp; addresses are checked at connect time whatever it says.
        measurements: where to count, if anywhere.
    """

    def __init__(
        self,
        serving: ServingStore,
        settings: ServerSettings,
        *,
        node: str,
        contact: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
        environment: Mapping[str, str] = os.environ,
        resolver: aiohttp.abc.AbstractResolver | None = None,
        measurements: FederationMeasurements | None = None,
    ) -> None:
        self.monotonic = monotonic
        self._serving = serving
        self._settings = settings
        self._node = node
        self._now = now
        self._environment = environment
        self._measured = measurements
        self._http = Fetcher(
            contact,
            patience=ONCE,
            # The bulkhead is the limit, and a person waits: hosts are not paced.
            at_once=None,
            now=now,
            monotonic=monotonic,
            random=random,
            resolver=resolver,
        )
        self._pausing = Pausing(serving, now=now, monotonic=monotonic, random=random)
        self._cache = FacilityCache(
            settings.facility_cache_bytes,
            settings.facility_cache_s,
            settings.facility_cache_brief_s,
            settings.facility_stale_s,
        )
        self._histories = Histories()
        self._parser = Parser(settings.facility_cache_bytes // 8)
        self._sharing = Sharing(serving, self._cache, self._histories, now)
        self._background = Background()
        self._alarms = Alarms()
        self._told: frozenset[str] = frozenset()
        self._lines: dict[str, Line] = {}
        self._flights: dict[bytes, Flight[Heard]] = {}
        self._flying: dict[asyncio.Task[Any], Callable[[], object]] = {}
        self._counters: dict[tuple[str, str], Counter] = {}

    async def __aenter__(self) -> Self:
        await self._background.open()
        await self.look()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        flying = dict(self._flying)
        for end in flying.values():
            end()
        await asyncio.gather(*flying, return_exceptions=True)
        self._alarms.close()
        await self._background.close()
        await self._http.close()
        await self._sharing.share(self._lines)

    async def ask(
        self,
        live: LiveSource,
        question: Question,
        *,
        deadline: float,
        via: Sequence[str] = (),
        is_patient: bool = False,
    ) -> FacilityAnswer:
        """Ask one facility one question.

        Args:
            deadline: on ``monotonic``; the answer or the failure is there by then, give or take.
            via: the nodes that the question has passed, ours not among them.
            is_patient: wait until the deadline also where the facility is usually much quicker.

        Raises:
            FacilitySilent: it gave no answer, and none is kept.
            QuestionRefused: it is well and does not take this question.
        """
        terms = _Terms(deadline, tuple(via), is_patient)
        if question.pid is not None:
            return await self._ask_for_one(live, question, terms)
        return await self._ask(live, question, terms)

    async def look(self) -> None:
        """Take over now what other workers have found, and show them what we have; happens by
        itself about once a second."""
        await self._pausing.look()
        await self._sharing.share(self._lines)
        self._told = await self._serving.run(self._serving.sources_of_answers)

    def figures(self, source: str) -> FacilityFigures:
        """How a source has answered lately."""
        return figures_of(source, self._lines.get(source), self._pausing, self.monotonic)

    def limits(self, source: Source) -> LimitFigures:
        """How long a source's requests may take."""
        bounds = bounds_of(source, self._settings)
        return limit_figures(self._histories.of(source.name), bounds)

    def show_measurements(self) -> None:
        """Bring the gauges up to date; to be called before they are read."""
        if self._measured is None:
            return
        for source, line in self._lines.items():
            classes = self._pausing.standing_by_class(source).values()
            standings = (self._pausing.standing(source), *classes)
            state = max((one[0] for one in standings), key=SEVERITY.__getitem__)
            self._measured.show(source, state, line.bulkhead.in_flight, line.bulkhead.waiting)

    # --- one question ---------------------------------------------------------------------------

    async def _ask_for_one(
        self, live: LiveSource, question: Question, terms: _Terms
    ) -> FacilityAnswer:
        """One object by path, else by condition: services fail on pids in paths (fault E13)."""
        if live.of_class(question.entity_class).get("by_path") is not False:
            try:
                found = await self._ask(live, question, terms)
                if found.objects is not None and found.objects.items:
                    return found
            except QuestionRefused:
                pass
            except FacilitySilent as silent:
                if silent.state != "unsupported":
                    raise
        where = {"where": {"pid": question.pid}, "limit": 2}
        listed = replace(question, pid=None, filter={**question.filter, **where})
        found = await self._ask(live, listed, terms)
        objects = found.objects
        assert objects is not None
        items = [one for one in objects.items if identifier_of(one) == question.pid][:1]
        return replace(found, objects=Objects(items, len(items), objects.odd, objects.mended))

    async def _ask(self, live: LiveSource, question: Question, terms: _Terms) -> FacilityAnswer:
        began = self.monotonic()
        line = self._line(live.source)
        self._look_around()
        # Where nothing is kept or shared there is nothing to be found by it.
        is_found = self._cache.is_on or bool(self._settings.facility_single_flight)
        key = key_of(live, question, terms.via) if is_found else b""
        kept = self._cache.fresh(key, self._now()) if self._cache.is_on else None
        if kept is not None:
            self._count(live.source.name, "kept")
            return await self._from_kept(question, kept, began)
        try:
            heard = await self._heard(line, live, question, key, began, terms)
        except FacilitySilent as silent:
            silent.elapsed_s = self.monotonic() - began
            stale = (
                None if silent.state == "unsupported" else await self._stale(live.source.name, key)
            )
            self._count(live.source.name, silent.state if stale is None else "stale")
            if stale is None:
                raise
            return await self._from_kept(question, stale, began, stale_because=silent.reason)
        except QuestionRefused:
            self._count(live.source.name, "refused")
            raise
        self._count(live.source.name, "answered")
        parsed = heard.parsed
        elapsed_s = self.monotonic() - began
        return FacilityAnswer(
            parsed.objects,
            parsed.number,
            elapsed_s,
            digest=parsed.digest,
            lacks=heard.lacks,
            without=heard.without,
        )

    async def _heard(
        self,
        line: Line,
        live: LiveSource,
        question: Question,
        key: bytes,
        began: float,
        terms: _Terms,
    ) -> Heard:
        """Wait for a request that is under way already, or for one of our own."""
        name = live.source.name
        if live.source.protocol != "panosc":
            raise FacilitySilent(name, "unsupported", "is no PaNOSC Search API")
        if live.of_class(question.entity_class).get("state") == "not_offered":
            raise FacilitySilent(name, "unsupported", f"has no {question.entity_class}s")
        shares = bool(self._settings.facility_single_flight)
        flight = self._flights.get(key) if shares else None
        if flight is None or not flight.is_wanted:
            flight = Flight(self._alarms)
            if shares:
                self._flights[key] = flight
            # A plain task, of which we keep hold: a task group's costs three times as much.
            task = asyncio.create_task(self._fly(flight, line, live, question, terms.via, key))
            flight.end = self._flying[task] = partial(self._end, flight, key, task)
        elif self._measured is not None:
            self._measured.shared.labels(name).inc()
        left_s = max(terms.deadline - self.monotonic(), 0.0)
        if not await flight.wait(left_s, is_patient=terms.is_patient):
            waited_s = self.monotonic() - began
            reason = f"no answer within our {in_words(waited_s)}"
            if not flight.sent:
                reason += "; it waited in our own queue"
            elif flight.is_slow and not terms.is_patient:
                reason = "it takes much longer than it usually does, and is not waited for"
            raise FacilitySilent(name, "timed_out", reason, ours=True)
        if flight.failure is not None:
            raise flight.failure.again()
        if flight.answer is None:
            raise FacilitySilent(name, "failed", "this server is closing", ours=True)
        return flight.answer

    async def _fly(
        self,
        flight: Flight[Heard],
        line: Line,
        live: LiveSource,
        question: Question,
        via: Sequence[str],
        key: bytes,
    ) -> None:
        """Make the request of a flight."""
        flight.has_begun = True
        try:
            heard = await self._request(flight, line, live, question, via)
            parsed = heard.parsed
            if self._cache.is_on:
                self._cache.put(
                    key,
                    live.source.name,
                    heard.body,
                    self._now(),
                    brief=parsed.is_brief or bool(heard.lacks),
                    digest=parsed.digest,
                    lacks=heard.lacks,
                    without=heard.without,
                )
            flight.answer = heard
        except FederationError as failure:
            flight.failure = failure
        except Exception:
            log.exception("asking %s failed", live.source.name)
            flight.failure = FacilitySilent(
                live.source.name, "failed", "something went wrong here", ours=True
            )
        finally:
            self._landed(flight, key, asyncio.current_task())

    def _end(self, flight: Flight[Heard], key: bytes, task: asyncio.Task[None]) -> None:
        """Nobody waits for a flight any longer."""
        task.cancel()
        if not flight.has_begun:
            self._landed(flight, key, task)  # It never will.

    def _landed(self, flight: Flight[Heard], key: bytes, task: asyncio.Task[Any] | None) -> None:
        """A flight is over, however it ended, or if it never began: those who wait hear."""
        if task is not None:
            self._flying.pop(task, None)
        if self._flights.get(key) is flight:
            del self._flights[key]
        flight.land()

    async def _request(
        self,
        flight: Flight[Heard],
        line: Line,
        live: LiveSource,
        question: Question,
        via: Sequence[str],
    ) -> Heard:
        """Wait for leave and a place, ask, and tell the breaker what came of it."""
        name, entity_class = live.source.name, question.entity_class
        if line.cannot is not None:
            raise FacilitySilent(name, "failed", line.cannot, ours=True)
        self._pausing.check(name, entity_class)
        kind = kind_of(question)
        await line.bulkhead.enter()
        try:
            limits = self._histories.limits(name, kind, line.bounds)
            lease_s = limits.give_up_s + _LEASE_MARGIN_S
            leave = await self._pausing.enter(name, entity_class, lease_s)
            flight.send(None if self._may_sleep(line) else limits.wait_s)
            try:
                outcome = await self._outcome(line, live, question, via, leave, limits.give_up_s)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._pausing.leave(leave)
                raise
        finally:
            line.bulkhead.leave()
        if isinstance(outcome, Heard):
            line.window.answered(outcome.elapsed_s, self._now())
            self._histories.answered(name, kind, outcome.elapsed_s)
            if self._measured is not None:
                line.seconds = line.seconds or self._measured.seconds.labels(name)
                line.seconds.observe(outcome.elapsed_s)
            await self._pausing.went_well(leave)
            return outcome
        if outcome.trouble == "timed_out":
            self._histories.given_up(name, kind, limits.give_up_s)
        await self._pausing.failed(leave, outcome)
        if outcome.refused_with is not None:
            raise QuestionRefused(name, outcome.reason, refused_with=outcome.refused_with)
        raise FacilitySilent(name, outcome.state, outcome.reason)

    async def _outcome(
        self,
        line: Line,
        live: LiveSource,
        question: Question,
        via: Sequence[str],
        leave: Pass,
        limit_s: float,
    ) -> Heard | Verdict:
        """A good answer, or what is to be made of a bad one."""
        began = self.monotonic()
        headers = {HEADER: write_via(via, self._node)}
        request = Request(self._http, self._parser, live, line, limit_s, headers)
        try:
            said = await self._attempts(line, request, question, leave)
            elapsed_s = self.monotonic() - began
            return Heard(said.parsed, said.body, elapsed_s, said.lacks, said.without)
        except TimeoutError:
            verdict = Verdict("timed_out", f"no answer within {limit_s:.3g} s", "timed_out")
        except FacilityHttpError as error:
            verdict = judge(error, limit_s, self._http.redactor.clean)
        if verdict.contact:
            line.window.last_contact = self._now()
        if verdict.trouble is not None:
            line.window.failed(self.monotonic() - began, self._now(), verdict.reason)
        return verdict

    async def _attempts(
        self, line: Line, request: Request, question: Question, leave: Pass
    ) -> Said:
        """One attempt; a second one beside it when it is slow and the breaker is closed."""
        delay_s = line.window.hedge_delay_s() if question.cheap and not leave.probes else None

        def note_second() -> None:
            line.window.hedged()
            if self._measured is not None:
                self._measured.hedges.labels(line.source.name).inc()

        race = Hedged(
            lambda: request.make(question),
            self._background.start,
            line.bulkhead.spare_place,
            note_second,
            self._alarms,
        )
        return await race.run(request.limit_s, delay_s)

    # --- what is kept ---------------------------------------------------------------------------

    async def _from_kept(
        self, question: Question, kept: Kept, began: float, *, stale_because: str | None = None
    ) -> FacilityAnswer:
        parsed = await self._parser.parse(question, kept.body, digest=kept.digest)
        return FacilityAnswer(
            parsed.objects,
            parsed.number,
            self.monotonic() - began,
            age_s=kept.age_s(self._now()),
            stale=stale_because is not None,
            reason=stale_because,
            digest=parsed.digest,
            lacks=kept.lacks,
            without=kept.without,
        )

    async def _stale(self, source: str, key: bytes) -> Kept | None:
        """A kept answer that may stand in for a failure, from here or from other workers. One that
        has told nobody anything, as was seen at the last look, is not looked for."""
        now = self._now()
        kept = self._cache.stale(key, now)
        if kept is not None or not self._cache.is_on or source not in self._told:
            return kept
        with anyio.move_on_after(_SHARED_LOOK_S):
            found = await self._serving.run(self._serving.kept_answer, key, now)
            return None if found is None else self._cache.put_back(found)
        return None

    def _look_around(self) -> None:
        """About once a second: see what others found, and show them what we did."""
        if self._pausing.is_old:
            self._pausing.will_look()
            self._background.start(self.look)

    def _may_sleep(self, line: Line) -> bool:
        """Whether the facility was left alone for so long that it may be slow to wake."""
        if line.window.has_just_answered(IDLE_S):
            return False
        here, now = seconds(line.window.last_contact), self._now().timestamp()
        if not is_idle(here, now):
            return False
        return is_idle(seconds(last_answer(line.source.name, line, self._pausing)), now)

    def _line(self, source: Source) -> Line:
        line = self._lines.get(source.name)
        if line is not None and (line.source is source or line.source == source):
            return line
        self._lines[source.name] = line_to(
            source, self._settings, self._environment, self.monotonic, line
        )
        return self._lines[source.name]

    def _count(self, source: str, outcome: str) -> None:
        if self._measured is None:
            return
        counter = self._counters.get((source, outcome))
        if counter is None:
            counter = self._measured.questions.labels(source, outcome)
            self._counters[source, outcome] = counter
        counter.inc()
