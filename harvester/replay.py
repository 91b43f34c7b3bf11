"""Quarantined records once more through the present crosswalks, without asking a facility."""

from __future__ import annotations

from typing import Any

from catalogue.clock import utc_now
from catalogue.store import Store
from mappings import crosswalk


def replay(store: Store, source: str | None, *, dry_run: bool = False) -> dict[str, Any]:
    """Map what is in quarantine again; what still cannot be mapped stays.

    Returns:
        ``tried``, ``mapped`` (or would be) and ``kept``.

    Raises:
        NotFound: there is no such source.
    """
    report = store.replay(crosswalk, now=utc_now(), source=source, dry_run=dry_run)
    return {
        "tried": report.examined,
        "mapped": report.released,
        "kept": report.examined - report.released,
        "dry_run": dry_run,
    }
