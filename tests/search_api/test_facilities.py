"""What is known of facilities is read from time to time, and what follows from it once."""

from __future__ import annotations

from catalogue.facilities import Facility, Source
from catalogue.records import SourceStatus
from search_api.facilities import MOST_REMEMBERED, FacilityState, FacilityStates


class NoSources:
    """A store without any."""

    def facilities(self) -> tuple[Facility, ...]:
        return ()

    def sources(self) -> tuple[Source, ...]:
        return ()

    def source_status(self, source: str) -> SourceStatus:
        raise LookupError(source)


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
