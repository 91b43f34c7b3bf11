"""Openness over time: the states of a record as a few intervals (semantics 2.1, 2.4).

The state at an instant is decided by ``mappings.rights``. Between the dates that the record names
it does not change, so the engines index from when until when each state holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from catalogue.fields import microseconds, stored_value
from mappings.rights import STATES, access_at

FOREVER = 2**62
"""Beyond every instant, in microseconds, either way."""

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_CLOSED = frozenset({"embargoed", "restricted", "metadata_only"})

__all__ = ["FOREVER", "STATES", "access_spans", "is_open_at", "public_at", "state_at"]


def state_at(record: Mapping[str, Any], instant: datetime) -> str:
    """One of the five states."""
    return access_at(record.get("access") or {}, instant).state


def is_open_at(record: Mapping[str, Any], instant: datetime) -> bool:
    return state_at(record, instant) == "open"


def public_at(record: Mapping[str, Any], instant: datetime) -> bool:
    """``isPublic`` as answers show it: as sent, but false while an embargo or a restriction is
    known; when not sent, true only for ``open``."""
    span = access_spans(record).get("public")
    return span is not None and span[0] <= _microseconds(instant) < span[1]


@lru_cache(maxsize=256)
def _microseconds(instant: datetime) -> int:
    """The present instant of a request is asked about for each record of its answer."""
    return microseconds(instant, "access")


def _is_public(sent: object, state: str) -> bool:
    if sent is None:
        return state == "open"
    return bool(sent) and state not in _CLOSED


def access_spans(record: Mapping[str, Any]) -> Mapping[str, tuple[int, int]]:
    """From when (included) until when (not included) each state holds, and ``public``.

    In microseconds since 1970, ±``FOREVER`` where there is no end. States that never hold are
    left out. Each state holds during one span: openness once gained is not lost by mere time.
    """
    return spans_of(*deciding(record))


Deciding = tuple[str | None, str | None, str | None, bool | None]


def deciding(record: Mapping[str, Any]) -> Deciding:
    """All that a record's states depend on; the evidence only gives the reason its words."""
    access = record.get("access") or {}
    sent = record.get("isPublic")
    return (
        access.get("restriction"),
        access.get("openFrom"),
        access.get("embargoUntil"),
        None if sent is None else bool(sent),
    )


@lru_cache(maxsize=16_384)
def spans_of(
    restriction: str | None, open_from: str | None, embargo_until: str | None, sent: bool | None
) -> dict[str, tuple[int, int]]:
    """``access_spans`` by what ``deciding`` gives."""
    given = {"restriction": restriction, "openFrom": open_from, "embargoUntil": embargo_until}
    access = {name: value for name, value in given.items() if value is not None}
    moments = [_BEGINNING]
    for name in ("openFrom", "embargoUntil"):
        if stored_value("instant", access.get(name)) is not None:
            moment = datetime.fromisoformat(str(access[name]))
            moments += [moment, moment + timedelta(microseconds=1)]
    moments.sort()
    spans: dict[str, tuple[int, int]] = {}
    for place, moment in enumerate(moments):
        start = -FOREVER if place == 0 else microseconds(moment, "access")
        last = place + 1 == len(moments)
        end = FOREVER if last else microseconds(moments[place + 1], "access")
        state = access_at(access, moment).state
        names = [state, "public"] if _is_public(sent, state) else [state]
        for name in names:
            spans[name] = (spans[name][0] if name in spans else start, end)
    return spans
