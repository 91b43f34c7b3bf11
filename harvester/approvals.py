"""Held runs: what an approval lets go, and whether it still can (fault H05)."""

from __future__ import annotations

from collections.abc import Sequence

from catalogue.records import RunRecord
from harvester.reconcile import settles

RUNS_LOOKED_AT = 1_000


def deletions_to_approve(held: RunRecord) -> int:
    """How many records may go when a held run is approved: those it found gone; where identifiers
    are thought to have changed (fault H07), all the old ones."""
    found = held.details.get("reconciliation", {})
    gone = int(found.get("told", 0)) + int(found.get("missing", 0))
    return max(gone, int(found.get("old", 0))) if found.get("doubted") else gone


def settled_by(held: RunRecord, runs: Sequence[RunRecord]) -> RunRecord | None:
    """The later run of the source that settled what this one showed, if there is one: what would
    go by now is not what the operator saw (fault H05)."""
    shown_of_list = held.details.get("reconciliation", {}).get("listed") is not None
    for run in runs:
        found = run.details.get("reconciliation")
        if run.number <= held.number or run.state not in ("ok", "partial") or not found:
            continue
        if settles(listed=found.get("listed") is not None, shown_of_list=shown_of_list):
            return run
    return None
