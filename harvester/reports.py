"""Runs, sources and quarantine as operators and machines read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from catalogue.facilities import Source
from catalogue.records import Quarantined, RunRecord, SourceStatus
from catalogue.store.store import REMOVAL
from harvester.holders import is_abandoned
from harvester.place import CONFIGURED, remembered_instant, source_key
from harvester.presence import Presence
from harvester.schedule import DEFAULT_SCHEDULE, next_start, parse_schedule

RUN_COLUMNS = (
    "Run", "Source", "Started", "Kind", "State", "Why it ended", "Records", "New", "Changed",
    "Gone", "Quarantined", "Seconds",
)  # fmt: skip


def run_as_json(record: RunRecord) -> dict[str, Any]:
    """One run, all of it."""
    return {
        "run": record.number,
        "source": record.source,
        "kind": record.kind,
        "state": record.state,
        "abandoned": is_abandoned(record),
        "stop": record.stop,
        "started_at": stamp(record.started_at),
        "ended_at": stamp(record.ended_at),
        "heartbeat_at": stamp(record.heartbeat_at),
        "counts": dict(record.counts),
        "problems": {
            reason: {"count": count, "samples": list(samples)}
            for reason, (count, samples) in record.problems.items()
        },
        "details": dict(record.details),
    }


def run_row(record: RunRecord) -> Sequence[object]:
    """One run as a row of ``RUN_COLUMNS``."""
    counts = record.counts
    end = record.ended_at or record.heartbeat_at or record.started_at
    # Two readings of one wall clock; a clock set back in between must not show as negative (H10).
    seconds = max((end - record.started_at).total_seconds(), 0.0)
    return (
        record.number,
        record.source,
        f"{record.started_at.astimezone(UTC):%m-%d %H:%M}",
        "" if record.kind == "harvest" else record.kind,
        "abandoned" if is_abandoned(record) else record.state,
        (record.stop or "").replace("_", " "),
        f"{counts.get('received', 0):,}",
        # What there is none of is not in the way of what there is.
        *(f"{counts[name]:,}" if counts.get(name) else "" for name in _TOLD),
        f"{seconds:.1f}",
    )


_TOLD = ("new", "changed", "deleted", "quarantined")


def run_facts(record: RunRecord) -> dict[str, Any]:
    """What else a run concluded, for people: what was not, and what is said elsewhere, left out."""
    facts: dict[str, Any] = {
        "started": stamp(record.started_at),
        "ended": stamp(record.ended_at),
        "by": record.holder.partition(" [")[0],
        **{name: record.details[name] for name in sorted(record.details.keys() - _SAID_ELSEWHERE)},
    }
    compared = facts.get("reconciliation")
    if isinstance(compared, Mapping):
        facts["reconciliation"] = {name: value for name, value in compared.items() if value}
    return facts


_SAID_ELSEWHERE = {"error", CONFIGURED}


def problem_rows(
    records: Iterable[RunRecord], settled: Mapping[int, int] | None = None
) -> list[Sequence[object]]:
    """Reasons with counts and samples, over several runs; ``settled`` names the run that left
    nothing to approve of a held one."""
    rows: list[Sequence[object]] = []
    for record in records:
        if record.details.get("error"):
            rows.append((record.source, "", record.details["error"], ""))
        if record.details.get("held"):
            advice = f"pan-commons runs approve {record.number}"
            if record.details.get("approved_by_run"):
                advice = f"approved by run {record.details['approved_by_run']}"
            elif record.number in (settled or {}):
                advice = f"run {(settled or {})[record.number]} found nothing to ask about any more"
            rows.append((record.source, "", f"held: {record.details['held']}", advice))
        if record.state == "partial" and record.details.get("deviations"):
            advice = f"if it always is so: pan-commons runs acknowledge {record.number}"
            rows.append((record.source, "", ", ".join(record.details["deviations"]), advice))
        for reason, (count, samples) in record.problems.items():
            rows.append((record.source, count, reason, ", ".join(samples[:3])))
    return rows


OF_THE_SCHEDULE = frozenset({"harvest", "full", "approved"})
"""Kinds of runs that bring a source up to date, and so put its next one off. Fetching a record by
name does not, nor does removing a source that is then added again."""


def failures_in_a_row(records: Iterable[RunRecord]) -> int:
    """Failed runs since the last one that reached the facility; newest first."""
    failures = 0
    for record in records:
        if record.state in ("running", "stopped"):
            continue
        if record.state != "failed":
            break
        failures += 1
    return failures


def due_at(
    source: Source, status: SourceStatus, recent: Iterable[RunRecord], now: datetime
) -> datetime:
    """When the daemon harvests the source next: at once where it is configured otherwise than it
    was at its last run, which may have failed for just that."""
    own, key = _since_removal(recent), source_key(source)
    changed = bool(own) and own[0].details.get(CONFIGURED, key) != key
    return next_start(
        parse_schedule(source.schedule or DEFAULT_SCHEDULE),
        source=source.name,
        last_started_at=own[0].started_at if own and not changed else None,
        failures=failures_in_a_row(own),
        now=now,
        not_before=remembered_instant(status.memory, "not_before"),
    )


def _since_removal(recent: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs of the schedule, newest first, back to a removal of the source."""
    own = []
    for record in recent:
        if record.kind == REMOVAL:
            break
        if record.kind in OF_THE_SCHEDULE:
            own.append(record)
    return own


def status_as_json(
    source: Source, status: SourceStatus | None, due: datetime | None
) -> dict[str, Any]:
    """One source with what the store knows of it; ``None`` before anything was stored."""
    last = None if status is None else status.last_run
    return {
        "source": source.name,
        "facility": source.facility,
        "protocol": source.protocol,
        "url": source.url,
        "format": source.format,
        "set": source.set,
        "mode": source.mode,
        "checked_at": None if status is None else checked_at(status),
        "enabled": source.enabled,
        "schedule": source.schedule or DEFAULT_SCHEDULE,
        "records": 0 if status is None else status.records,
        "quarantined": 0 if status is None else status.quarantined,
        "state": "never" if last is None else last.state,
        "last_run": None if last is None else run_as_json(last),
        "last_success_at": None if status is None else stamp(status.last_success_at),
        "silent_since": None if status is None else stamp(status.silent_since),
        "paused_until": None if status is None else status.memory.get("not_before"),
        "waiting": None if status is None else status.waiting,
        "next_run_at": stamp(due),
    }


def checked_at(status: SourceStatus) -> str | None:
    """When it was last found out what the source can do; ``None`` for never."""
    if "capabilities" not in status.memory:
        return None
    return status.memory.get("capabilities_at") or status.memory.get("checked_at")


def quarantined_as_json(entry: Quarantined) -> dict[str, Any]:
    """One record that could not be mapped."""
    return {
        "source": entry.source,
        "identifier": entry.identifier,
        "format": entry.format,
        "path": entry.path,
        "reason": entry.reason,
        "run": entry.run,
        "since": stamp(entry.since),
    }


def stamp(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    if instant is None:
        return None
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(instant: datetime | None, now: datetime) -> str:
    """``3 h ago``, ``in 5 min``: for tables that people read."""
    if instant is None:
        return "never"
    seconds = (now - instant).total_seconds()
    size = abs(seconds)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if size >= length or unit == "s":
            text = f"{size / length:.0f} {unit}"
            break
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def presence_as_json(found: Presence) -> dict[str, Any]:
    """The daemon of a data folder."""
    return {
        "state": found.state,
        "holder": found.holder,
        "started_at": stamp(found.started_at),
        "seen_at": stamp(found.seen_at),
    }


def presence_in_words(found: Presence, now: datetime) -> str:
    """The same for people."""
    if found.state == "none":
        return "No daemon is at work: nothing is harvested on schedule (`pan-commons daemon`)."
    who = str(found.holder).partition(" [")[0]
    if found.state == "silent":
        return f"The daemon gives no sign any more: {who}, last seen {ago(found.seen_at, now)}."
    return f"A daemon is at work: {who}, started {ago(found.started_at, now)}."


def checked_in_words(one: Mapping[str, Any], now: datetime) -> str:
    """When a source of ``status_as_json`` was checked; empty where it is not asked live."""
    if one["mode"] == "indexed":
        return ""
    found = one["checked_at"]
    return ago(None if found is None else datetime.fromisoformat(found), now)


def flat_problems(problems: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Problems as JSON, with counts and a few samples."""
    return {
        reason: {"count": len(identifiers), "samples": list(identifiers[:10])}
        for reason, identifiers in problems.items()
    }
