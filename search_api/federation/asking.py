"""Facilities asked while somebody waits: patient with each, and dependent on none.

A question goes: cache, then a request that all who ask the same share, then breaker, then a place
among the requests to this facility, then the network. Whatever ends it badly takes one path: the
breaker hears of it if the facility is to blame, and a kept answer stands in, marked with its age.
"""

from __future__ import annotations

import logging
import os
import random as random_module
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import aiohttp
import anyio

from catalogue.facilities import Source
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher
from facility_http.rest_json import Objects, identifier_of
from search_api.federation.background import Background
from search_api.federation.errors import FacilitySilent, FederationError, QuestionRefused
from search_api.federation.facility_cache import FacilityCache, Kept, key_of
from search_api.federation.figures import Window, percentile
from search_api.federation.hedging import Hedged
from search_api.federation.lines import ONCE, Line, line_to
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
from search_api.federation.requests import Request
from search_api.federation.serving_store import Contact, ServingStore
from search_api.federation.single_flight import Flight
from search_api.federation.verdicts import Verdict, judge
from search_api.federation.via import HEADER, write_via
from search_api.settings import ServerSettings

log = logging.getLogger("pan_commons.search_api.federation")

# Hosts are not paced here: the bulkhead is the limit, and a person waits.
_NO_GATE = 1_000_000
# A probe's lease ends a little after its limit, so that nobody else probes beside it.
_LEASE_MARGIN_S = 1.0
_SHARED_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Heard:
    """A good answer as it was received; ``elapsed_s`` on the network, without our queue."""

    parsed: Parsed
    body: bytes
    elapsed_s: float


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
            at_once=_NO_GATE,
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
        self._parser = Parser(settings.facility_cache_bytes // 8)
        self._background = Background()
        self._lines: dict[str, Line] = {}
        self._flights: dict[bytes, Flight[Heard]] = {}

    async def __aenter__(self) -> Self:
        await self._background.open()
        await self._pausing.look()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._background.close()
        await self._http.close()
        await self._share()

    async def ask(
        self,
        live: LiveSource,
        question: Question,
        *,
        deadline: float,
        via: Sequence[str] = (),
    ) -> FacilityAnswer:
        """Ask one facility one question.

        Args:
            deadline: on ``monotonic``; the answer or the failure is there by then, give or take.
            via: the nodes that the question has passed, ours not among them.

        Raises:
            FacilitySilent: it gave no answer, and none is kept.
            QuestionRefused: it is well and does not take this question.
        """
        if question.pid is not None:
            return await self._ask_for_one(live, question, deadline, via)
        return await self._ask(live, question, deadline, via)

    async def look(self) -> None:
        """Take over now what other workers have found; happens by itself about once a second."""
        await self._pausing.look()

    def figures(self, source: str) -> FacilityFigures:
        """How a source has answered lately."""
        state, until, because = self._pausing.standing(source)
        line = self._lines.get(source)
        window = line.window if line is not None else Window(self.monotonic)
        requests = window.requests()
        latencies_s = window.latencies_s()
        failed = len(requests) - len(latencies_s)
        shared = self._pausing.contacts.get(source, Contact())
        last_contact = _later(window.last_contact, shared.answered_at)
        last_failure = _later(window.last_failure, shared.failed_at)
        is_ours = window.last_failure is not None and last_failure == window.last_failure
        return FacilityFigures(
            source,
            requests=len(requests),
            error_rate=failed / len(requests) if requests else 0.0,
            p50_s=percentile(latencies_s, 0.50),
            p90_s=percentile(latencies_s, 0.90),
            p99_s=percentile(latencies_s, 0.99),
            last_contact=last_contact,
            last_failure=last_failure,
            last_reason=window.last_reason if is_ours else shared.reason,
            breaker=state,
            paused_until=until,
            paused_because=because,
            in_flight=line.bulkhead.in_flight if line is not None else 0,
            waiting=line.bulkhead.waiting if line is not None else 0,
            classes=self._pausing.standing_by_class(source),
        )

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
        self, live: LiveSource, question: Question, deadline: float, via: Sequence[str]
    ) -> FacilityAnswer:
        """One object by path, else by condition: services fail on pids in paths (fault E13)."""
        if live.of_class(question.entity_class).get("by_path") is not False:
            try:
                found = await self._ask(live, question, deadline, via)
                if found.objects is not None and found.objects.items:
                    return found
            except QuestionRefused:
                pass
            except FacilitySilent as silent:
                if silent.state != "unsupported":
                    raise
        where = {"where": {"pid": question.pid}, "limit": 2}
        listed = replace(question, pid=None, filter={**question.filter, **where})
        found = await self._ask(live, listed, deadline, via)
        objects = found.objects
        assert objects is not None
        items = [one for one in objects.items if identifier_of(one) == question.pid][:1]
        return replace(found, objects=Objects(items, len(items), objects.odd, objects.mended))

    async def _ask(
        self, live: LiveSource, question: Question, deadline: float, via: Sequence[str]
    ) -> FacilityAnswer:
        began = self.monotonic()
        line = self._line(live.source)
        self._look_around()
        key = key_of(live, question, via)
        kept = self._cache.fresh(key, self._now())
        if kept is not None:
            self._count(live.source.name, "kept")
            return await self._from_kept(question, kept, began)
        try:
            heard = await self._heard(line, live, question, via, key, began, deadline)
        except FacilitySilent as silent:
            silent.elapsed_s = self.monotonic() - began
            stale = None if silent.state == "unsupported" else await self._stale(key)
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
        return FacilityAnswer(parsed.objects, parsed.number, elapsed_s, digest=parsed.digest)

    async def _heard(
        self,
        line: Line,
        live: LiveSource,
        question: Question,
        via: Sequence[str],
        key: bytes,
        began: float,
        deadline: float,
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
            flight = Flight()
            if shares:
                self._flights[key] = flight
            self._background.start(self._fly, flight, line, live, question, via, key)
        elif self._measured is not None:
            self._measured.shared.labels(name).inc()
        if not await flight.wait(max(deadline - self.monotonic(), 0.0)):
            waited_s = self.monotonic() - began
            where = "" if flight.sent else "; it waited in our own queue"
            reason = f"no answer within our {waited_s:.1f} s{where}"
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
        """Make the request of a flight; whatever happens, those who wait hear of it."""
        try:
            with flight.scope:
                heard = await self._request(flight, line, live, question, via)
                parsed = heard.parsed
                self._cache.put(
                    key,
                    live.source.name,
                    heard.body,
                    self._now(),
                    brief=parsed.is_brief,
                    digest=parsed.digest,
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
        async with line.bulkhead.places:
            lease_s = line.limit_s + _LEASE_MARGIN_S
            leave = await self._pausing.enter(name, entity_class, lease_s)
            flight.sent = True
            try:
                outcome = await self._outcome(line, live, question, via, leave)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._pausing.leave(leave)
                raise
        if isinstance(outcome, Heard):
            line.window.answered(outcome.elapsed_s, self._now())
            if self._measured is not None:
                self._measured.seconds.labels(name).observe(outcome.elapsed_s)
            await self._pausing.went_well(leave)
            return outcome
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
    ) -> Heard | Verdict:
        """A good answer, or what is to be made of a bad one."""
        began = self.monotonic()
        headers = {HEADER: write_via(via, self._node)}
        request = Request(self._http, self._parser, live, line, headers)
        try:
            parsed, body = await self._attempts(line, request, question, leave)
            return Heard(parsed, body, self.monotonic() - began)
        except TimeoutError:
            verdict = Verdict("timed_out", f"no answer within {line.limit_s:g} s", "timed_out")
        except FacilityHttpError as error:
            verdict = judge(error, line.limit_s, self._http.redactor.clean)
        if verdict.contact:
            line.window.last_contact = self._now()
        if verdict.trouble is not None:
            line.window.failed(self.monotonic() - began, self._now(), verdict.reason)
        return verdict

    async def _attempts(
        self, line: Line, request: Request, question: Question, leave: Pass
    ) -> tuple[Parsed, bytes]:
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
        )
        return await race.run(line.limit_s, delay_s)

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
        )

    async def _stale(self, key: bytes) -> Kept | None:
        """A kept answer that may stand in for a failure, from here or from other workers."""
        now = self._now()
        kept = self._cache.stale(key, now)
        if kept is not None or not self._cache.is_on:
            return kept
        with anyio.move_on_after(_SHARED_LOOK_S):
            found = await self._serving.run(self._serving.kept_answer, key, now)
            return None if found is None else self._cache.put_back(found)
        return None

    def _look_around(self) -> None:
        """About once a second: see what others found, and show them what we did."""
        if self._pausing.is_old:
            self._pausing.will_look()
            self._background.start(self._exchange)

    async def _exchange(self) -> None:
        await self._pausing.look()
        await self._share()

    async def _share(self) -> None:
        """Write what is new here to the shared memory."""
        answers = self._cache.take_new()
        contacts = [
            (
                name,
                Contact(
                    _seconds(line.window.last_contact),
                    _seconds(line.window.last_failure),
                    line.window.last_reason,
                ),
            )
            for name, line in self._lines.items()
        ]
        if answers:
            await self._serving.run(self._serving.keep_answers, answers, self._now())
        if contacts:
            await self._serving.run(self._serving.note_contacts, contacts)

    def _line(self, source: Source) -> Line:
        line = self._lines.get(source.name)
        if line is not None and line.source == source:
            return line
        self._lines[source.name] = line_to(
            source, self._settings, self._environment, self.monotonic, line
        )
        return self._lines[source.name]

    def _count(self, source: str, outcome: str) -> None:
        if self._measured is not None:
            self._measured.questions.labels(source, outcome).inc()


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


def _later(here: datetime | None, shared: float | None) -> datetime | None:
    """The later of what this process and the others saw."""
    there = None if shared is None else datetime.fromtimestamp(shared, UTC)
    known = [one for one in (here, there) if one is not None]
    return max(known, default=None)
