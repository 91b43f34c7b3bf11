"""Harvest runs, their checkpoints and what a source's past says (faults H01, H02, H04, H08)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from catalogue.errors import NotFound
from catalogue.records import PageReport, Run, RunRecord, RunState, SourceStatus
from catalogue.store import leases
from catalogue.store.configuration import SourceRow, source_row
from catalogue.store.database import dump, instant, instant_or_none, micros, rows

INTERRUPTED = "interrupted"
COUNTS = (
    "received",
    "new",
    "changed",
    "unchanged",
    "deleted",
    "quarantined",
    "forgotten",
    "entities",
)

# Enough to show an operator what is wrong, without a run's row growing with its records.
MAX_REASONS = 100
MAX_SAMPLES = 10


def lease_name(source: str) -> str:
    """The lease that guards a source."""
    return f"source:{source}"


def begin(
    connection: sqlite3.Connection,
    source: SourceRow,
    *,
    kind: str,
    holder: str,
    now: datetime,
    lease_s: float,
    is_dead: Callable[[str], bool] | None = None,
) -> Run:
    """Start a run: take the lease, mark a dead run interrupted, hand on its checkpoint.

    Raises:
        LeaseHeld: another run of this source is alive.
    """
    lease = leases.acquire(connection, lease_name(source.name), holder, now, lease_s, is_dead)
    connection.execute(
        "UPDATE runs SET state = 'stopped', stop = ?, ended_at = ?"
        " WHERE source = ? AND state = 'running'",
        (INTERRUPTED, micros(now), source.id),
    )
    cursor = connection.execute(
        "INSERT INTO runs (source, kind, holder, fence, state, started_at, heartbeat_at)"
        " VALUES (?, ?, ?, ?, 'running', ?, ?)",
        (source.id, kind, holder, lease.fence, micros(now), micros(now)),
    )
    number = int(cursor.lastrowid or 0)
    connection.execute("UPDATE leases SET run = ? WHERE name = ?", (number, lease.name))
    return Run(
        number=number,
        source=source.name,
        kind=kind,
        holder=holder,
        fence=lease.fence,
        started_at=now,
        checkpoint=checkpoint(connection, source.id),
    )


def require(connection: sqlite3.Connection, run: Run) -> None:
    """Raises ``LeaseLost`` when another run took over."""
    leases.require(connection, lease_name(run.source), run.fence)


def heartbeat(connection: sqlite3.Connection, run: Run, now: datetime, lease_s: float) -> None:
    """Say that the run is alive; raises ``LeaseLost`` when another took over."""
    leases.renew(connection, lease_name(run.source), run.fence, now, lease_s)
    connection.execute(
        "UPDATE runs SET heartbeat_at = ? WHERE number = ?", (micros(now), run.number)
    )


def checkpoint(connection: sqlite3.Connection, source: int) -> Mapping[str, Any] | None:
    """Where the source's last unfinished run stopped."""
    row = connection.execute("SELECT checkpoint FROM sources WHERE id = ?", (source,)).fetchone()
    return None if row[0] is None else dict(orjson.loads(row[0]))


def save_checkpoint(
    connection: sqlite3.Connection, source: int, run: int, value: Mapping[str, Any] | None
) -> None:
    """Keep the place, inside the transaction of the records that led to it (fault H08)."""
    text = None if value is None else dump(dict(value))
    connection.execute(
        "UPDATE sources SET checkpoint = ?, checkpoint_run = ? WHERE id = ?", (text, run, source)
    )


def add_counts(connection: sqlite3.Connection, run: int, report: PageReport) -> None:
    """Add a page's counts to its run's."""
    sums = ", ".join(f"{name} = {name} + ?" for name in COUNTS)
    connection.execute(
        f"UPDATE runs SET {sums} WHERE number = ?",  # noqa: S608 - the names are constants
        (*(getattr(report, name) for name in COUNTS), run),
    )


def add_problems(
    connection: sqlite3.Connection, run: int, problems: Mapping[str, Sequence[str]]
) -> None:
    """Group problems by reason: a count and the first few identifiers of each (fault H04)."""
    if not problems:
        return
    row = connection.execute("SELECT problems FROM runs WHERE number = ?", (run,)).fetchone()
    held: dict[str, list[Any]] = orjson.loads(row[0])
    for reason, identifiers in problems.items():
        known = reason in held or len(held) < MAX_REASONS
        entry = held.setdefault(reason if known else "further reasons", [0, []])
        entry[0] += len(identifiers)
        room = MAX_SAMPLES - len(entry[1])
        entry[1].extend(dict.fromkeys(i for i in identifiers[:MAX_SAMPLES] if i not in entry[1]))
        del entry[1][len(entry[1]) + min(room, 0) :]
        del entry[1][MAX_SAMPLES:]
    connection.execute("UPDATE runs SET problems = ? WHERE number = ?", (dump(held), run))


def finish(
    connection: sqlite3.Connection,
    run: Run,
    *,
    state: RunState,
    stop: str | None,
    now: datetime,
    memory: Mapping[str, Any] | None,
    details: Mapping[str, Any] | None,
) -> None:
    """End a run and its lease. The checkpoint goes when all is done, and stays otherwise.

    Raises:
        LeaseLost: another run took over; its state stays as that one set it.
    """
    require(connection, run)
    connection.execute(
        "UPDATE runs SET state = ?, stop = ?, ended_at = ? WHERE number = ?",
        (state, stop, micros(now), run.number),
    )
    annotate(connection, run.number, details or {})
    if state == "ok":
        connection.execute(
            "UPDATE sources SET checkpoint = NULL, checkpoint_run = NULL WHERE name = ?",
            (run.source,),
        )
    if memory is not None:
        remember(connection, run.source, memory)
    leases.release(connection, lease_name(run.source), run.fence)


def annotate(
    connection: sqlite3.Connection,
    number: int,
    details: Mapping[str, Any],
    state: RunState | None = None,
) -> None:
    """Add details to a run, ended or not, and change its state where one is given."""
    row = connection.execute("SELECT details FROM runs WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no run {number}")
    held = {**orjson.loads(row[0]), **details}
    connection.execute(
        "UPDATE runs SET details = ?, state = coalesce(?, state) WHERE number = ?",
        (dump(held), state, number),
    )


def remember(connection: sqlite3.Connection, source: str, memory: Mapping[str, Any]) -> None:
    """Change the harvester's memory of a source key by key; a ``None`` takes a key away."""
    row = connection.execute("SELECT memory FROM sources WHERE name = ?", (source,)).fetchone()
    if row is None:
        raise NotFound(f"there is no source {source!r}")
    held = {**orjson.loads(row[0]), **memory}
    kept = {name: value for name, value in held.items() if value is not None}
    connection.execute("UPDATE sources SET memory = ? WHERE name = ?", (dump(kept), source))


def request_stop(connection: sqlite3.Connection, number: int) -> None:
    """Ask a run to end after the page in hand. Asking an ended run does nothing."""
    cursor = connection.execute("UPDATE runs SET stop_requested = 1 WHERE number = ?", (number,))
    if not cursor.rowcount:
        raise NotFound(f"there is no run {number}")


def stop_requested(connection: sqlite3.Connection, number: int) -> bool:
    """Whether somebody asked the run to end."""
    row = connection.execute(
        "SELECT stop_requested FROM runs WHERE number = ?", (number,)
    ).fetchone()
    return row is not None and bool(row[0])


# The last eight are COUNTS, in their order.
_RUN = (
    "SELECT r.number, s.name, r.kind, r.state, r.started_at, r.ended_at, r.heartbeat_at, r.stop,"
    " r.problems, r.details, r.holder, r.received, r.new, r.changed, r.unchanged, r.deleted,"
    " r.quarantined, r.forgotten, r.entities FROM runs r JOIN sources s ON s.id = r.source"
)


def _record(row: tuple[Any, ...]) -> RunRecord:
    problems = orjson.loads(row[8])
    return RunRecord(
        number=row[0],
        source=row[1],
        kind=row[2],
        state=row[3],
        started_at=instant(row[4]),
        ended_at=instant_or_none(row[5]),
        heartbeat_at=instant_or_none(row[6]),
        stop=row[7],
        counts=dict(zip(COUNTS, row[11:], strict=True)),
        problems={reason: (count, tuple(ids)) for reason, (count, ids) in problems.items()},
        details=orjson.loads(row[9]),
        holder=row[10],
    )


def run(connection: sqlite3.Connection, number: int) -> RunRecord:
    """A run by number; raises ``NotFound``."""
    row = connection.execute(_RUN + " WHERE r.number = ?", (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no run {number}")
    return _record(row)


def runs(connection: sqlite3.Connection, source: str | None, limit: int) -> tuple[RunRecord, ...]:
    """The newest runs, of one source or of all, newest first."""
    if source is None:
        found = rows(connection, _RUN + " ORDER BY r.number DESC LIMIT ?", (limit,))
    else:
        number = source_row(connection, source).id
        found = rows(
            connection, _RUN + " WHERE r.source = ? ORDER BY r.number DESC LIMIT ?", (number, limit)
        )
    return tuple(_record(row) for row in found)


def status(connection: sqlite3.Connection, source: str) -> SourceStatus:
    """What the store knows of a source.

    A run that ended ``ok``, ``partial`` or ``held`` reached the facility; the source is silent
    since the end of the first run that failed after the last of those.
    """
    number = source_row(connection, source).id
    live, quarantined, memory = connection.execute(
        "SELECT live, quarantined, memory FROM sources WHERE id = ?", (number,)
    ).fetchone()
    last = connection.execute(
        _RUN + " WHERE r.source = ? ORDER BY r.number DESC LIMIT 1", (number,)
    ).fetchone()
    success = connection.execute(
        "SELECT max(ended_at) FROM runs WHERE source = ? AND state = 'ok'", (number,)
    ).fetchone()
    silent = connection.execute(
        "SELECT ended_at FROM runs WHERE source = ? AND state = 'failed' AND number >"
        " coalesce((SELECT max(number) FROM runs WHERE source = ?"
        " AND state IN ('ok', 'partial', 'held')), 0) ORDER BY number LIMIT 1",
        (number, number),
    ).fetchone()
    return SourceStatus(
        source=source,
        records=live,
        quarantined=quarantined,
        last_run=None if last is None else _record(last),
        last_success_at=instant_or_none(success[0]),
        silent_since=None if silent is None else instant_or_none(silent[0]),
        memory=_remembered(memory),
    )


@lru_cache(maxsize=256)
def _remembered(memory: bytes | str) -> Mapping[str, Any]:
    """Servers ask every two seconds, and a live source's sample is a megabyte: read when it has
    changed. Shared by all who ask, so never to be changed."""
    held: dict[str, Any] = orjson.loads(memory)
    return held
