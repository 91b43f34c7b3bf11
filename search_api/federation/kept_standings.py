"""How facilities asked live stand, as the servers of a data folder last shared it: for ``status``,
where no server may be running."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search_api.federation.breaker import CLOSED, paused_until, state_of
from search_api.federation.pausing import CLASSES, class_name
from search_api.federation.questions import SEVERITY
from search_api.federation.serving_store import FILE_NAME, Contact, ServingStore


def kept_standings(data: Path, now: datetime) -> dict[str, dict[str, Any]]:
    """Source → ``breaker`` (closed, open, half_open; the worst of the source and its classes),
    ``paused_until``, ``because``, ``last_contact``, ``last_failure``, ``last_reason``; instants as
    text. Empty where no server has shared anything."""
    if not (data / FILE_NAME).exists():
        return {}
    store = ServingStore(data)
    try:
        breakers, contacts = store.breakers(), store.contacts()
    finally:
        store.close()
    found = {}
    names = {name.rpartition("/")[0] or name for name in breakers} | contacts.keys()
    for source in sorted(names):
        at = now.timestamp()
        own = [breakers.get(source, CLOSED)]
        own += [breakers.get(class_name(source, one), CLOSED) for one in CLASSES]
        worst = max(own, key=lambda one: SEVERITY[state_of(one, at)])
        state = state_of(worst, at)
        contact = contacts.get(source, Contact())
        found[source] = {
            "breaker": state,
            "paused_until": _text(paused_until(worst, at)) if state == "open" else None,
            "because": worst.reason if state != "closed" else None,
            "last_contact": _text(contact.answered_at),
            "last_failure": _text(contact.failed_at),
            "last_reason": contact.reason,
        }
    return found


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
