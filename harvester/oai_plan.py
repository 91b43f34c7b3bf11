"""What an OAI-PMH harvest asks for, and what the next one has to know.

Everything but ``identify`` is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harvester.oai_pmh import OaiClient
from harvester.pages import Journal
from harvester.place import Place, new_place, read_place, remembered_instant
from harvester.sweeps import Situation
from harvester.windows import (
    Granularity,
    Window,
    floor,
    next_window,
    plausible_start,
    read_granularity,
    read_instant,
    split,
)

MOST_UNFETCHED = 1_000
"""Records remembered one by one because they could not be had."""
FULL_DAYS = 30.0
"""Datestamps lie (fault B18), so everything is looked at again from time to time."""
A_DAY = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=1)
"""Differences between two clocks that mean nothing."""
LONGEST_ELAPSED = timedelta(days=36_500)
RECONCILE_EVERY_RUN = 20_000
"""Sources up to this size are compared with their list in every run, larger ones once a day."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What Identify said, made usable; ``asked_at`` is our own clock's time of asking."""

    granularity: Granularity
    deleted_record: str
    earliest: datetime
    response_date: datetime
    asked_at: datetime

    @property
    def keeps_deletions(self) -> bool:
        """Whether deletions are told for ever; else lists have to be compared (fault B21)."""
        return self.deleted_record == "persistent"


async def identify(client: OaiClient, situation: Situation) -> Repository:
    """Ask, and make what it says usable.

    Raises:
        FacilityHttpError: Identify cannot be had.
    """
    now = situation.now()
    said = await client.identify()
    response = read_instant(said.response_date) or now
    return Repository(
        granularity=read_granularity(said.granularity),
        deleted_record=said.deleted_record,
        earliest=plausible_start(read_instant(said.earliest_datestamp), response),
        response_date=response,
        asked_at=now,
    )


def recall(situation: Situation, key: str) -> Place | None:
    """Where an earlier run of the same harvest stopped, if one did."""
    order = situation.order
    place = read_place(situation.checkpoint, key, order)
    stashed = situation.memory.get("interrupted")
    if place is None and not order.selective and isinstance(stashed, Mapping):
        place = read_place(stashed, key, order)
    return place


def forget_stale_token(
    place: Place, options: Mapping[str, Any], repository: Repository, journal: Journal
) -> None:
    """A token that the server said, or the operator knows, to be over is not sent (fault B02): its
    window begins again."""
    client = place.client
    if not client or not client.get("token"):
        return
    now = repository.response_date
    ends = read_instant(str(client.get("expiration") or ""))
    got = read_instant(str(client.get("at") or ""))
    ttl_s = options.get("token_ttl_s")
    too_old = ttl_s is not None and (got is None or now - got > timedelta(seconds=float(ttl_s)))
    if too_old or (ends is not None and ends <= now):
        place.client = None
        journal.note("stale_token", True)


def decide(situation: Situation, repository: Repository, key: str, journal: Journal) -> Place:
    """The windows of a new harvest: what the order selects, everything, or what is new."""
    order, memory, options = situation.order, situation.memory, situation.source.options
    if order.selective:
        place = new_place(key, "selective")
        start = None if order.start is None else floor(order.start, repository.granularity)
        place.todo = [Window(start, order.end)]
        return place
    last = remembered_instant(memory, "response_date")
    if order.full or memory.get("key") != key or full_is_due(situation, repository):
        last = None
    if last is not None:
        last = _by_todays_clock(last, memory, repository, journal)
    window = next_window(
        last,
        overlap=timedelta(seconds=float(options.get("overlap_s", 0.0))),
        granularity=repository.granularity,
        server_now=repository.response_date,
    )
    place = new_place(key, "full" if last is None else "incremental")
    place.todo = list(_cut(window, float(options.get("window_days", 0.0)), repository))
    if place.kind == "incremental":
        place.todo = [Window.from_json(gap) for gap in memory.get("gaps") or []] + place.todo
        place.unfetched = [str(one) for one in memory.get("unfetched") or []]
    return place


def _by_todays_clock(
    last: datetime, memory: Mapping[str, Any], repository: Repository, journal: Journal
) -> datetime:
    """The server's time at the last harvest, as its clock would give it today.

    A server whose clock was ahead and was set back stamps what changed since with times before
    ``last``, and nothing in its answers shows it (fault H10). Our own clock does: it knows how long
    ago the last harvest was. It is believed only where that asks for more, so a jump of ours costs
    a larger answer and nothing else.
    """
    asked_at = remembered_instant(memory, "asked_at")
    if asked_at is None:
        return last
    elapsed = max(repository.asked_at - asked_at, timedelta(0))
    todays = repository.response_date - min(elapsed, LONGEST_ELAPSED)
    if todays >= last - CLOCK_SKEW:
        return last
    journal.note("server_clock_set_back", (last - todays).total_seconds())
    return todays - CLOCK_SKEW


def _cut(window: Window, days: float, repository: Repository) -> tuple[Window, ...]:
    if not days:
        return (window,)
    return split(
        window,
        timedelta(days=days),
        granularity=repository.granularity,
        earliest=repository.earliest,
        server_now=repository.response_date,
    )


def full_is_due(situation: Situation, repository: Repository) -> bool:
    """Whether the last harvest of everything is too long ago."""
    days = float(situation.source.options.get("full_days", FULL_DAYS))
    return _is_past(situation.memory, "full_at", days, repository)


def reconcile_is_due(situation: Situation, repository: Repository, place: Place) -> bool:
    """Whether the list of identifiers is to be compared (fault B21).

    After a full harvest always, also under ``persistent``: it shows what slipped between pages
    (fault B19).
    """
    if situation.order.approved is not None or place.kind == "full":
        return True
    if repository.keeps_deletions:
        return False
    default = 0.0 if situation.records <= RECONCILE_EVERY_RUN else 1.0
    days = float(situation.source.options.get("reconcile_days", default))
    return _is_past(situation.memory, "reconciled_at", days, repository)


def _is_past(memory: Mapping[str, Any], name: str, days: float, repository: Repository) -> bool:
    last = remembered_instant(memory, name)
    if last is None or last > repository.response_date + A_DAY:
        # The server's clock was ahead and was set right (fault H10): nobody knows how long ago.
        return True
    return repository.response_date - last >= timedelta(days=days)


def next_memory(
    place: Place, repository: Repository, *, sure: bool, reconciled: bool
) -> dict[str, Any]:
    """What the next harvest has to know, once this one is complete.

    Args:
        sure: every list was read to its end; else the same windows are asked again.
    """
    if place.kind == "selective":
        return {}
    first = place.first_response or repository.response_date
    memory: dict[str, Any] = {
        "deleted_record": repository.deleted_record,
        "granularity": repository.granularity,
        "interrupted": None,
    }
    if not sure or len(place.unfetched) > MOST_UNFETCHED:
        return memory
    memory |= {
        "response_date": first.isoformat(),
        "asked_at": (place.first_asked or repository.asked_at).isoformat(),
        "key": place.key,
        "unfetched": place.unfetched or None,
        "gaps": [gap.as_json() for gap in place.gaps] or None,
    }
    if place.kind == "full":
        memory["full_at"] = first.isoformat()
    if reconciled:
        memory["reconciled_at"] = first.isoformat()
    return memory
