"""``isPublic`` of answers is what the state of access says at that instant (semantics 2.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catalogue.access import public_at, state_at

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = st.integers(-60, 60).map(lambda hours: NOW + timedelta(hours=hours))
INSTANTS = st.none() | HOURS.map(lambda instant: instant.strftime("%Y-%m-%dT%H:%M:%SZ"))


@given(
    st.sampled_from([None, "restricted", "metadata_only"]),
    INSTANTS,
    INSTANTS,
    st.sampled_from([None, True, False]),
    HOURS,
    st.sampled_from([0, 1, -1]),
)
def test_public_is_as_sent_but_for_what_is_known_to_be_closed(
    restriction: str | None,
    open_from: str | None,
    until: str | None,
    sent: bool | None,
    now: datetime,
    microseconds: int,
) -> None:
    now += timedelta(microseconds=microseconds)
    given_access = {"restriction": restriction, "openFrom": open_from, "embargoUntil": until}
    record: dict[str, Any] = {"access": {k: v for k, v in given_access.items() if v is not None}}
    if sent is not None:
        record["isPublic"] = sent
    state = state_at(record, now)
    closed = state in ("embargoed", "restricted", "metadata_only")
    assert public_at(record, now) == (state == "open" if sent is None else sent and not closed)
