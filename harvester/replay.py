"""Quarantined records once more through the present crosswalks, without asking a facility."""

from __future__ import annotations

from typing import Any

from catalogue.clock import utc_now
from catalogue.store import Store
from catalogue.store.remap import Configured
from mappings import crosswalk


def replay(
    store: Store,
    source: str | None,
    configured: Configured | None = None,
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Map what is in quarantine again; what still cannot be mapped stays.

    Args:
        configured: how sources are configured now, where the store does not know it.

    Returns:
        ``tried``, ``mapped`` (or would be) and ``kept``.

    Raises:
        NotFound: there is no such source.
    """
    report = store.replay(
        crosswalk, now=utc_now(), source=source, dry_run=dry_run, configured=configured
    )
    return {
        "tried": report.examined,
        "mapped": report.released,
        "kept": report.examined - report.released,
        "dry_run": dry_run,
    }
