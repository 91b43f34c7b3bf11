"""One harvest run of one source: a state machine whose every step is in the record store.

A run holds the source's lease, fetches pages, maps them, and commits each page together with the
checkpoint that follows it; then it reconciles deletions and says how it went, from counts. Killed
at any instant, the next run of the source goes on from the last committed page.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from catalogue.ahead import Ahead
from catalogue.errors import LeaseLost, StoreBusy, StoreError, StoreFull
from catalogue.facilities import Facility, Source, mapping_context
from catalogue.records import PageCommit, PageReport, ReadyRecord, Run, RunRecord, RunState
from catalogue.store import Store
from catalogue.store.payloads import Dictionary
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher
from harvester.deviations import known_deviations
from harvester.flow import Flow, cut_off
from harvester.guard import Guard
from harvester.holders import is_dead, this_process
from harvester.ledger import Ledger, ledger_path
from harvester.outcomes import CANCELLED, REQUESTED, SHUTDOWN, Account, Tally, judge
from harvester.pages import Journal, RawPage, RawRecord, Sweep
from harvester.place import CONFIGURED, Order, source_key
from harvester.progress import Silent, Watcher
from harvester.pulse import Clock, Pulse
from harvester.quiet import look
from harvester.reconcile import Ground, Reconciliation, reconcile
from harvester.space import Room
from harvester.sweeps import Situation, open_sweep
from harvester.workers import PreparePage, prepare_in_threads

log = logging.getLogger(__name__)

LEASE_S = 60.0
GRACE_S = 30.0
"""How long an answer is waited for once a run is to end. Service managers wait 60 to 90 s."""
DICTIONARY_EVERY = 10
BUSY_ATTEMPTS = 5
CERTIFICATE_WARNING = timedelta(days=21)
"""How long before a facility's certificate ends it is said (fault A12)."""

INTERNAL_ERROR = "internal_error"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Harvesting:
    """What all runs of one process share.

    ``now`` is UTC wall-clock time; durations never come from it (fault H10). ``stopping`` is set
    when the process was asked to end: runs finish the page in hand. So does the run of a source in
    ``withdrawn``, which holds why. What a facility is asked then may take ``grace_s``. ``room``
    says whether the data folder may grow (fault H09). ``ahead`` takes engine documents that are
    made along the way.
    """

    store: Store
    http: Fetcher
    now: Clock
    watcher: Watcher = field(default_factory=Silent)
    stopping: anyio.Event = field(default_factory=anyio.Event)
    withdrawn: dict[str, str] = field(default_factory=dict)
    prepare_page: PreparePage = prepare_in_threads
    room: Room | None = None
    lease_s: float = LEASE_S
    grace_s: float = GRACE_S
    holder: str = field(default_factory=this_process)
    ahead: Ahead = field(default_factory=Ahead)


async def harvest_source(
    shared: Harvesting, facility: Facility, source: Source, order: Order | None = None
) -> RunRecord:
    """Harvest one source to the end, a stop, or a failure; never raises for what a facility does.

    Returns:
        The run as the store has it: ``ok``, ``partial``, ``failed``, ``held`` or ``stopped``.

    Raises:
        LeaseHeld: another process works on this source.
        NoRoom: the data folder is full; nothing was begun.
        StoreError: the store could not even note the failure.
    """
    order = order or Order()
    if shared.room is not None:
        await anyio.to_thread.run_sync(shared.room.require)
    run = await anyio.to_thread.run_sync(
        partial(
            shared.store.begin_run,
            source.name,
            kind=order.kind,
            holder=shared.holder,
            now=shared.now(),
            lease_s=shared.lease_s,
            is_dead=is_dead,
        )
    )
    shared.watcher.started(source.name, run.number)
    harvest = SourceRun(shared, facility, source, order, run)
    try:
        await harvest.carry_out()
    except Exception as mistake:
        harvest.details["error"] = f"a mistake of ours: {mistake!r}"
        await harvest.finish("failed", INTERNAL_ERROR)
        raise
    except BaseException:
        # Cancelled: the run must not look as if it were still going on.
        with anyio.CancelScope(shield=True):
            await harvest.finish("stopped", CANCELLED)
        raise
    record = await anyio.to_thread.run_sync(shared.store.run, run.number)
    shared.watcher.ended(source.name, record)
    return record


class SourceRun:
    """The state of one run while it is going on."""

    def __init__(
        self, shared: Harvesting, facility: Facility, source: Source, order: Order, run: Run
    ) -> None:
        self.shared = shared
        self.facility = facility
        self.source = source
        self.order = order
        self.run = run
        self.context = mapping_context(facility, source)
        self.journal = Journal(
            on_event=partial(shared.watcher.event, source.name),
            on_retry=partial(shared.watcher.retry, source.name),
        )
        self.tally = Tally()
        self.pulse = Pulse(shared.store, run, shared.now, shared.lease_s)
        self._ends_as: str | None = None
        self.failure: Exception | None = None
        self.stop = "end_of_list"
        self.sweep: Sweep | None = None
        self._prepared = 0
        self._dictionary: Dictionary | None = None
        self.reconciliation: Reconciliation | None = None
        self.memory: dict[str, Any] = {}
        self.remembered: Mapping[str, Any] = {}
        self.details: dict[str, Any] = {CONFIGURED: source_key(source)}

    async def carry_out(self) -> None:
        """From the first request to the finished run."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.pulse.beat, tasks.cancel_scope)
            try:
                await self._harvest()
            except (FacilityHttpError, StoreError) as problem:
                self._fail(problem)
            tasks.cancel_scope.cancel()
        if self.pulse.lost:
            log.warning("%s: another process took over run %d", self.source.name, self.run.number)
            return
        await self.finish(*await self._outcome())

    def _should_stop(self) -> bool:
        """Whether somebody wants the run to end. Once so, it stays so: a page was left out."""
        if self._ends_as is None:
            if self.pulse.stop_requested:
                self._ends_as = REQUESTED
            elif self.source.name in self.shared.withdrawn:
                self._ends_as = self.shared.withdrawn[self.source.name]
            elif self.shared.stopping.is_set():
                self._ends_as = SHUTDOWN
        return self._ends_as is not None

    def _end_as_asked(self) -> None:
        self.stop = self._ends_as or SHUTDOWN

    async def _cut_off(self, work: Callable[[], Awaitable[T]]) -> T | None:
        return await cut_off(work, self._should_stop, self.shared.grace_s)

    async def _harvest(self) -> None:
        store, name = self.shared.store, self.source.name
        status = await anyio.to_thread.run_sync(store.source_status, name)
        self.remembered = status.memory
        self.journal.known = known_deviations(status.memory)
        self._keep_interrupted(status.memory)
        situation = Situation(
            source=self.source,
            order=self.order,
            memory=status.memory,
            checkpoint=self.run.checkpoint,
            records=status.records,
            now=self.shared.now,
        )
        sweep = await self._cut_off(partial(open_sweep, self.shared.http, situation, self.journal))
        if sweep is None:
            self._end_as_asked()
            return
        self.sweep = sweep
        self.details["harvest"] = sweep.place.kind
        ledger = await anyio.to_thread.run_sync(
            Ledger, ledger_path(store.folder, name), sweep.place.harvest
        )
        try:
            if sweep.place.resumed and not ledger.resumed:
                # Deletions told to an earlier run may be lost: ask again (fault H08).
                sweep.begin_again()
                await anyio.to_thread.run_sync(ledger.rename, sweep.place.harvest)
            await self._carry(sweep, ledger, before=status.records)
            if self._should_stop() and not sweep.complete:
                self._end_as_asked()
            elif self.failure is None and not self.pulse.lost:
                await self._conclude(sweep, ledger, status.records)
        finally:
            await anyio.to_thread.run_sync(ledger.close)

    def _keep_interrupted(self, memory: Mapping[str, Any]) -> None:
        """A run for a part of the source must not lose the place of an unfinished whole one."""
        checkpoint = self.run.checkpoint
        if self.order.selective and checkpoint and checkpoint.get("kind") != "selective":
            self.memory["interrupted"] = dict(checkpoint)

    # --- fetch → map → commit ---------------------------------------------------------------------

    async def _carry(self, sweep: Sweep, ledger: Ledger, *, before: int) -> None:
        """Bring every page of the sweep into the store.

        Args:
            before: live records of the source in the store. Without any, deletions are taken at
                once: there is nothing that they could take away.
        """

        async def commit(page: RawPage, records: list[ReadyRecord]) -> None:
            await self._commit(page, records, ledger, before=before)

        shared = self.shared
        flow = Flow(sweep, self._prepare, commit, self._fail, self._should_stop, shared.grace_s)
        await flow.run()

    async def _prepare(self, records: Sequence[RawRecord]) -> list[ReadyRecord]:
        if not records:
            return []
        if self._prepared % DICTIONARY_EVERY == 0:
            # The store trains one once it has samples; until then it gives none.
            self._dictionary = await anyio.to_thread.run_sync(
                self.shared.store.dictionary, self.source.name, records[0].format
            )
        self._prepared += 1
        foresight = self.shared.ahead.foresight(self.facility.provider)
        return await self.shared.prepare_page(self.context, records, self._dictionary, foresight)

    async def _commit(
        self, raw: RawPage, records: list[ReadyRecord], ledger: Ledger, *, before: int
    ) -> None:
        """Make a page durable; the ledger first, so that no checkpoint runs ahead of it (H08)."""
        # A record that was asked for by name is believed, too: the operator wants to know of it.
        believe = before == 0 or self.order.record is not None
        told = [] if believe else [r.header.identifier for r in records if r.deleted]
        alive = [r.header.identifier for r in records if not r.deleted]
        kept = records if believe else [record for record in records if not record.deleted]
        checkpoint = {
            **raw.checkpoint,
            "totals": self._totals(before),
        }
        page = PageCommit(kept, checkpoint, self.shared.now(), provider=self.facility.provider)

        def write() -> PageReport:
            if told:
                ledger.tell_deleted(told)
            if ledger.count_told():
                ledger.untell(alive)
            if raw.listed:
                ledger.list_(raw.listed)
            return self.shared.store.commit_page(self.run, page)

        report = await self._patiently(write)
        self.shared.ahead.put(report)
        self.tally.add(replace(report, received=report.received + len(told)))
        await self._note(self.journal.drain())
        self.shared.watcher.page(self.source.name, report)
        if self.shared.room is not None:
            await anyio.to_thread.run_sync(self.shared.room.require)

    def _totals(self, before: int) -> dict[str, int]:
        """Counts of the whole harvest so far, over all its runs."""
        earlier: Mapping[str, int] = {} if self.sweep is None else self.sweep.place.totals
        return {
            "received": self.tally.received + earlier.get("received", 0),
            "new": self.tally.new + earlier.get("new", 0),
            "live_before": earlier.get("live_before", before),
        }

    async def _commit_changes(self, page: PageCommit) -> PageReport:
        """Commit what reconciliation found."""
        report = await self._patiently(partial(self.shared.store.commit_page, self.run, page))
        self.tally.add(report)
        self.shared.watcher.page(self.source.name, report)
        return report

    async def _patiently(self, write: Callable[[], PageReport]) -> PageReport:
        """Try again when another process keeps the write lock for long."""
        for attempt in range(1, BUSY_ATTEMPTS + 1):
            try:
                return await anyio.to_thread.run_sync(write)
            except StoreBusy:
                if attempt == BUSY_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _note(self, problems: Mapping[str, list[str]]) -> None:
        for reason, identifiers in problems.items():
            await anyio.to_thread.run_sync(
                self.shared.store.add_problems, self.run, reason, identifiers
            )

    # --- the end ----------------------------------------------------------------------------------

    async def _conclude(self, sweep: Sweep, ledger: Ledger, records_before: int) -> None:
        self.stop = sweep.stop
        if not sweep.complete or self.order.selective:
            return
        status = await anyio.to_thread.run_sync(self.shared.store.source_status, self.source.name)
        ground = Ground(
            store=self.shared.store,
            source=self.source.name,
            guard=Guard.from_options(self.source.options),
            approved=self.order.approved,
            live=max(records_before, status.records),
            live_before=(
                sweep.place.totals.get("live_before", records_before)
                if "key" in self.remembered
                else 0
            ),
            new=self.tally.new + sweep.place.totals.get("new", 0),
            received=self.tally.received + sweep.place.totals.get("received", 0),
            doubted=self.remembered.get("doubted"),
            now=self.shared.now,
            should_stop=self._should_stop,
            commit=self._commit_changes,
            prepare=self._prepare,
            checkpoint=sweep.place.as_json,
        )
        self.reconciliation = await self._cut_off(partial(reconcile, sweep, ledger, ground))
        if self.reconciliation is None or self._should_stop():
            self._end_as_asked()
            return
        if self.reconciliation.held is None:
            self.memory.update(sweep.memory())
            self._listen_for_silence()
        self.memory["doubted"] = self.reconciliation.doubt
        approved = self.order.approved is not None and self.reconciliation.held is None
        before = None if approved else self.remembered.get("waiting")
        self.memory["waiting"] = self.reconciliation.waiting(self.run.number, before)
        await anyio.to_thread.run_sync(ledger.discard)

    def _listen_for_silence(self) -> None:
        """Fault B11."""
        quiet = look(self.remembered, changed=bool(self.tally.changes), now=self.shared.now())
        self.memory |= quiet.memory
        if quiet.unusual is not None:
            self.details["quiet_days"] = quiet.unusual.days
            reason = "nothing new for much longer than ever before"
            self.journal.problem(reason, self.source.name, incomplete=False)

    def _fail(self, problem: Exception) -> None:
        if isinstance(problem, LeaseLost):
            self.pulse.lost = True
        if self.failure is None:
            self.failure = problem
            log.warning("%s: %s", self.source.name, problem)

    async def _outcome(self) -> tuple[RunState, str]:
        """State and stop name; what belongs to them goes into details and memory."""
        found = judge(
            Account(
                failure=self.failure,
                stop=self.stop,
                received=self.tally.received,
                quarantined=self.tally.quarantined,
                reconciliation=self.reconciliation,
                deviations=await self._deviations(),
                known=self.journal.known,
            )
        )
        self.details |= found.details
        self.memory |= found.memory
        return found.state, found.stop

    async def _deviations(self) -> dict[str, int]:
        """What did not come as it should, quarantined records included, by reason."""
        found = dict(self.journal.deviations)
        if self.tally.quarantined:
            record = await anyio.to_thread.run_sync(self.shared.store.run, self.run.number)
            named = {
                reason: count
                for reason, (count, _) in record.problems.items()
                if reason.startswith("quarantined: ")
            }
            if not named:
                # A run's reasons are bounded; these came after too many others.
                named = {"quarantined": self.tally.quarantined}
            found |= named
        return found

    async def finish(self, state: RunState, stop: str) -> None:
        """Write the end of the run; a store that cannot take it leaves it to the lease."""
        store = self.shared.store
        self.details |= self.journal.notes
        ends = self.shared.http.certificates.get(urlsplit(self.source.url).hostname or "")
        if ends is not None and ends - self.shared.now() < CERTIFICATE_WARNING:
            self.details["certificate_ends"] = ends.isoformat()
        if self.journal.retries:
            self.details["retries"] = self.journal.retries
        over = state == "held" or (state == "partial" and self.failure is None)
        if state in ("ok", "partial") and self.failure is None:
            self.memory.setdefault("not_before", None)
        try:
            await self._note(self.journal.drain())
            if over:
                # The lists were read to their end: there is no place to go on from.
                nothing = PageCommit((), None, self.shared.now())
                await anyio.to_thread.run_sync(store.commit_page, self.run, nothing)
            await anyio.to_thread.run_sync(
                partial(
                    store.finish_run,
                    self.run,
                    state,
                    stop,
                    self.shared.now(),
                    self.memory or None,
                    self.details,
                )
            )
        except LeaseLost:
            self.pulse.lost = True
        except (StoreFull, StoreBusy) as problem:
            log.error(
                "%s: the end of run %d was not noted: %s",
                self.source.name,
                self.run.number,
                problem,
            )
