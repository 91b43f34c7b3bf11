"""When a facility is left alone, for how long, and how it comes back (faults G12 and G13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_api.federation.breaker import (
    CLOSED,
    LONGEST_ASKED_S,
    PAUSES,
    SUCCESSES_TO_CLOSE,
    Breaker,
    Trouble,
    opened,
    paused_until,
    probed,
    probing,
    released,
    state_of,
)

NOW = 1_800_000_000.0
TROUBLES: tuple[Trouble, ...] = tuple(PAUSES)


def never() -> float:
    """Randomness that shortens nothing."""
    return 0.0


def open_(trouble: Trouble = "unreachable", now: float = NOW) -> Breaker:
    return opened(CLOSED, trouble, "no connection", now, never)


def test_each_kind_of_trouble_has_a_pause_of_its_own() -> None:
    pauses = {trouble: open_(trouble).until - NOW for trouble in TROUBLES}
    assert pauses == {
        "unreachable": 5.0,
        "timed_out": 10.0,
        "too_many": 30.0,
        "access": 300.0,
        "broken": 10.0,
    }


@pytest.mark.parametrize("trouble", TROUBLES)
def test_pauses_grow_up_to_a_limit(trouble: Trouble) -> None:
    breaker, now, pauses = CLOSED, NOW, []
    for _ in range(14):
        breaker = opened(breaker, trouble, "", now, never)
        pauses.append(breaker.until - now)
        now = breaker.until
    assert pauses == sorted(pauses)
    assert pauses[1] == min(2 * pauses[0], PAUSES[trouble].longest_s)
    assert pauses[-1] == PAUSES[trouble].longest_s


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(TROUBLES))
def test_jitter_shortens_by_half_at_most(chance: float, trouble: Trouble) -> None:
    full = PAUSES[trouble].first_s
    pause = opened(CLOSED, trouble, "", NOW, lambda: chance).until - NOW
    assert full / 2 - 1e-3 <= pause <= full + 1e-3


@given(st.floats(0, 10 * LONGEST_ASKED_S), st.floats(0, 1, exclude_max=True))
def test_a_retry_after_is_honoured_and_capped(asked_s: float, chance: float) -> None:
    pause = opened(CLOSED, "too_many", "", NOW, lambda: chance, asked_s).until - NOW
    assert pause >= min(asked_s, LONGEST_ASKED_S) - 1e-3
    assert pause <= max(1.1 * min(asked_s, LONGEST_ASKED_S), PAUSES["too_many"].first_s) + 1e-3


def test_one_probe_at_a_time() -> None:
    breaker = open_()
    assert probing(breaker, NOW + 4.9, 3.0) is None
    assert state_of(breaker, NOW + 5) == "half_open"
    first = probing(breaker, NOW + 5, 3.0)
    assert first is not None
    assert probing(first, NOW + 6, 3.0) is None
    # A prober that vanished holds nobody up for longer than its lease.
    assert probing(first, NOW + 8, 3.0) is not None
    assert probing(released(first), NOW + 6, 3.0) is not None


def test_one_lucky_success_is_not_enough() -> None:
    breaker, now = open_(), NOW + 5
    for number in range(SUCCESSES_TO_CLOSE):
        assert state_of(breaker, now) == "half_open", number
        taken = probing(breaker, now, 3.0)
        assert taken is not None
        breaker = probed(taken, now)
    assert state_of(breaker, now) == "closed"


def test_a_probe_that_fails_begins_a_longer_pause_and_forgets_successes() -> None:
    breaker = probed(open_(), NOW + 5)
    assert breaker.successes == 1
    again = opened(breaker, "unreachable", "no connection", NOW + 6, never)
    assert again.until == NOW + 6 + 10
    assert again.successes == 0


def test_a_relapse_counts_on_and_a_good_spell_begins_anew() -> None:
    breaker = open_()
    for _ in range(SUCCESSES_TO_CLOSE):
        breaker = probed(breaker, NOW + 5)
    soon = opened(breaker, "unreachable", "", NOW + 60, never)
    later = opened(breaker, "unreachable", "", NOW + 5000, never)
    assert (soon.openings, later.openings) == (2, 1)


def test_a_clock_set_back_keeps_nobody_out_for_years() -> None:
    """Fault H10."""
    breaker = open_()
    long_before = NOW - 10 * 365 * 86_400
    assert paused_until(breaker, long_before) <= long_before + 1.1 * LONGEST_ASKED_S
    stuck = Breaker(True, until=NOW, probe_until=NOW + 10 * 365 * 86_400)
    assert probing(stuck, NOW, 3.0) is not None
