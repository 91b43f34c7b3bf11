"""How a run went, from what it counted (fault H04). Pure."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalogue.records import PageReport, RunRecord, RunState
from catalogue.store.runs import INTERRUPTED
from facility_http.errors import Parked
from harvester.deviations import unknown
from harvester.holders import is_abandoned
from harvester.ledger import LedgerFault
from harvester.reconcile import Reconciliation

REQUESTED = "requested"
"""Stop of a run that an operator ended: the source waits for its schedule."""
SHUTDOWN = "shutdown"
"""Stop of a run whose process was asked to end: the next one goes on at once."""
CANCELLED = "cancelled"
SOURCE_REMOVED = "source_removed"
SOURCE_DISABLED = "source_disabled"
SOURCE_CHANGED = "source_changed"
"""Stops of runs whose source was taken out of the configuration, or is another one there now."""
WITHDRAWN = frozenset({SOURCE_REMOVED, SOURCE_DISABLED, SOURCE_CHANGED})
RESUME_AT_ONCE = WITHDRAWN | {INTERRUPTED, SHUTDOWN, CANCELLED}
ASKED_TO_STOP = WITHDRAWN | {REQUESTED, SHUTDOWN}


def goes_on_at_once(record: RunRecord) -> bool:
    """Whether a daemon goes on with the run without waiting for the schedule."""
    return is_abandoned(record) or (record.state == "stopped" and record.stop in RESUME_AT_ONCE)


@dataclass(slots=True)
class Tally:
    """What the run has done so far."""

    received: int = 0
    new: int = 0
    changes: int = 0
    quarantined: int = 0
    deleted: int = 0

    def add(self, report: PageReport) -> None:
        """Count a page."""
        self.received += report.received
        self.new += report.new
        self.changes += report.new + report.changed + report.deleted
        self.quarantined += report.quarantined
        self.deleted += report.deleted


@dataclass(frozen=True, slots=True)
class Account:
    """What a run did. ``failure`` ended it early; ``stop`` is the name of its end otherwise.

    ``deviations``: what did not come as it should, by reason; ``known``: those acknowledged.
    """

    failure: Exception | None
    stop: str
    received: int
    quarantined: int
    reconciliation: Reconciliation | None
    deviations: Mapping[str, int] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """State and stop of the run, what it shows, and what its source remembers."""

    state: RunState
    stop: str
    details: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)


def judge(run: Account) -> Outcome:
    """The state that the counts give."""
    if run.failure is not None:
        return _failed(run, run.failure)
    if run.stop in ASKED_TO_STOP:
        return Outcome("stopped", run.stop)
    details: dict[str, Any] = {}
    if run.deviations:
        details["deviations"] = dict(run.deviations)
    if run.reconciliation is not None:
        details["reconciliation"] = run.reconciliation.as_json()
        if run.reconciliation.held is not None:
            return Outcome("held", "held", details | {"held": run.reconciliation.held})
    if run.received and run.quarantined >= run.received:
        return Outcome("failed", "all_quarantined", details)
    state: RunState = "partial" if unknown(run.deviations, run.known) else "ok"
    return Outcome(state, run.stop, details)


def _failed(run: Account, problem: Exception) -> Outcome:
    details = {"error": str(problem), "error_kind": type(problem).__name__}
    memory = {}
    if isinstance(problem, Parked):
        memory["not_before"] = problem.not_before.isoformat()
    state: RunState = "partial" if run.received else "failed"
    return Outcome(state, stop_name(problem), details, memory)


def stop_name(problem: Exception) -> str:
    """A short name for why a run ended early: ``TimedOut`` → ``timed_out``."""
    if isinstance(problem, LedgerFault):
        cause = getattr(problem.__cause__, "sqlite_errorcode", sqlite3.SQLITE_FULL)
        # Which a process that may open no more files has, too.
        return "ledger_fault" if cause & 0xFF == sqlite3.SQLITE_CANTOPEN else "disk_full"
    name = type(problem).__name__
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
