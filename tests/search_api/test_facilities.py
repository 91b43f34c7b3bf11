"""What is known of facilities is read from time to time, and what follows from it once."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalogue.answers import Answer, FacetCount, Total
from catalogue.facilities import Facility, Source
from catalogue.query import Search
from catalogue.records import RunRecord, RunState, SourceStatus
from search_api.facilities import MOST_REMEMBERED, FacilityState, FacilityStates, source_json
from search_api.federation.accounting import Ledger
from search_api.federation.participants import Asked
from search_api.whole import index_lines

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def run_of(state: RunState, number: int = 7) -> RunRecord:
    return RunRecord(number, "a", "harvest", state, NOW, NOW, NOW, "end_of_list")


@pytest.mark.parametrize(
    ("last", "memory", "held"),
    [
        (None, {}, None),
        ("ok", {}, None),
        ("held", {}, 7),
        ("ok", {"waiting": {"run": 5, "reason": "would take away all 50 records"}}, 5),
        ("ok", {"waiting": None}, None),
    ],
)
def test_a_held_run_is_told_until_it_is_settled(
    last: RunState | None, memory: dict[str, Any], held: int | None
) -> None:
    """Fault H05: also when later runs, which saw only what was new, went well."""
    status = SourceStatus("a", 50, 0, run_of(last) if last else None, NOW, None, memory)
    source = Source("a", "A", "oai-pmh", "https://a.example/oai", "oai_datacite")
    assert source_json(source, status)["held"] == held


@pytest.mark.parametrize(
    ("records", "success", "shown"),
    [(0, None, "unharvested"), (0, NOW, "stale"), (12, None, "stale")],
)
def test_what_never_came_in_does_not_stand_in_for_a_silent_facility(
    records: int, success: datetime | None, shown: str
) -> None:
    """Its first harvest had failed, and "what it told us some time ago" was said to stand in."""
    source = Source("a", "A", "oai-pmh", "https://a.example/oai", "oai_datacite")
    status = SourceStatus("a", records, 0, run_of("failed"), success, NOW)
    state = FacilityState(Facility("A", "A", "https://a.example"), ((source, status),))
    (line,) = Ledger((state,), Asked(), (), NOW).lines((), {})
    assert (state.state, line.state, line.silent_since) == ("silent", shown, NOW)


def test_lines_that_are_kept_tell_their_age_and_totals_anew() -> None:
    states = FacilityStates(NoSources(), 60)
    facilities = [Facility(name, name, f"https://{name}.example") for name in ("well", "silent")]
    read = []
    for facility in facilities:
        silent = NOW if facility.name == "silent" else None
        source = Source(facility.name, facility.name, "oai-pmh", facility.provider, "oai_datacite")
        status = SourceStatus(source.name, 5, 0, run_of("ok"), NOW, silent)
        read.append(FacilityState(facility, ((source, status),)))
    states.read_now(tuple(read))
    for later_s, total in ((10, 3), (70, 0)):
        search = Search("Document", NOW + timedelta(seconds=later_s))
        answer = Answer((), Total(total), {"facility": (FacetCount("well", "well", total),)})
        well, silent_one = index_lines(states, Asked(), search, answer, 2.0)
        assert (well.state, well.age_s, well.total, well.elapsed_ms) == (
            "answered",
            None,
            total,
            2.0,
        )
        assert (silent_one.state, silent_one.age_s) == ("stale", later_s)


class NoSources:
    """A store without any."""

    def facilities(self) -> tuple[Facility, ...]:
        return ()

    def sources(self) -> tuple[Source, ...]:
        return ()

    def source_status(self, source: str) -> SourceStatus:
        raise LookupError(source)


class SlowSources(NoSources):
    """A store that answers when the test says so; the first time, perhaps, not at all."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.name = "ess"
        self.fails = False

    def facilities(self) -> tuple[Facility, ...]:
        assert self.open.wait(30)
        if self.fails:
            raise OSError("the disk is away")
        return (Facility(self.name, self.name, "https://f.example"),)


def names(states: FacilityStates) -> list[str]:
    return [state.facility.name for state in states.all]


async def test_the_first_requests_all_wait_until_something_is_known() -> None:
    """Nobody is told that there are no facilities while they are read for the first time."""
    store = SlowSources()
    states = FacilityStates(store, 2)
    asked = [asyncio.ensure_future(states.refresh(NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in asked)
    store.open.set()
    await asyncio.gather(*asked)
    assert names(states) == ["ess"]


async def test_later_ones_have_what_was_known_while_it_is_read_again() -> None:
    store = SlowSources()
    store.open.set()
    states = FacilityStates(store, 2)
    await states.refresh(NOW)
    store.open.clear()
    store.name = "ill"
    again = asyncio.ensure_future(states.refresh(NOW + timedelta(seconds=3)))
    await asyncio.sleep(0)
    await states.refresh(NOW + timedelta(seconds=3))
    assert names(states) == ["ess"]
    store.open.set()
    await again
    assert names(states) == ["ill"]


async def test_what_could_not_be_read_at_first_is_read_by_the_next() -> None:
    store = SlowSources()
    store.open.set()
    store.fails = True
    states = FacilityStates(store, 2)
    with pytest.raises(OSError, match="disk"):
        await states.refresh(NOW)
    store.fails = False
    await states.refresh(NOW)
    assert names(states) == ["ess"]


def states_of(*names: str) -> tuple[FacilityState, ...]:
    return tuple(
        FacilityState(Facility(name, name, f"https://{name}.example"), ()) for name in names
    )


def test_what_follows_from_the_states_is_worked_out_anew_when_they_change() -> None:
    states = FacilityStates(NoSources(), 2)
    worked_out: list[int] = []

    def count() -> int:
        worked_out.append(len(states.all))
        return len(states.all)

    states.read_now(states_of("ess"))
    assert [states.remembered("count", count) for _ in range(3)] == [1, 1, 1]
    states.read_now(states_of("ess"))
    assert states.remembered("count", count) == 1
    states.read_now(states_of("ess", "ill"))
    assert states.remembered("count", count) == 2
    assert worked_out == [1, 2]


def test_only_so_much_of_it_is_remembered() -> None:
    states = FacilityStates(NoSources(), 2)
    for number in range(3 * MOST_REMEMBERED):
        assert states.remembered(number, lambda number=number: number) == number  # type: ignore[misc]
        assert len(states._remembered) <= MOST_REMEMBERED
