"""Alarms that share a timer: none early, none lost, none after it was cancelled."""

from __future__ import annotations

import asyncio
from math import inf

from search_api.federation.alarms import GRAIN_S, Alarms
from simulator.simulated_time import SimulatedLoop, run_simulated


class Bell:
    """Notes who rang, and when by the loop's clock; ``rung`` is set by the last one."""

    def __init__(self) -> None:
        self.rang: list[tuple[str, float]] = []
        self.rung = asyncio.Event()

    def ring(self, name: str) -> None:
        self.rang.append((name, asyncio.get_running_loop().time()))
        if name == "last":
            self.rung.set()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.rang]


async def test_alarms_ring_in_their_order_and_none_too_early() -> None:
    alarms, bell = Alarms(), Bell()
    begun = asyncio.get_running_loop().time()
    wanted = {"last": 6 * GRAIN_S, "first": GRAIN_S, "second": 3 * GRAIN_S, "now": -1.0}
    for name, after_s in wanted.items():
        alarms.at(begun + after_s, bell.ring, name)
    await bell.rung.wait()
    assert bell.names == ["now", "first", "second", "last"]
    assert all(at >= begun + wanted[name] for name, at in bell.rang)


async def test_one_that_is_cancelled_keeps_no_other_from_ringing() -> None:
    alarms, bell = Alarms(), Bell()
    cancelled = [alarms.after(after_s, bell.ring, "cancelled") for after_s in (0.0, 2 * GRAIN_S)]
    alarms.after(2 * GRAIN_S, bell.ring, "last")
    for alarm in cancelled:
        alarm.cancel()
        alarm.cancel()
    await bell.rung.wait()
    assert bell.names == ["last"]


async def test_one_that_cancels_another_of_the_same_moment_is_heeded() -> None:
    alarms, bell = Alarms(), Bell()
    second = None

    def ring() -> None:
        assert second is not None
        second.cancel()
        alarms.after(0.0, bell.ring, "last")

    alarms.after(0.0, ring)
    second = alarms.after(0.0, bell.ring, "cancelled")
    await bell.rung.wait()
    assert bell.names == ["last"]


async def test_what_goes_wrong_in_one_is_told_and_keeps_no_other_from_ringing() -> None:
    alarms, bell = Alarms(), Bell()
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def fail() -> None:
        raise ValueError

    alarms.after(0.0, fail)
    alarms.after(0.0, bell.ring, "last")
    await bell.rung.wait()
    assert [type(one["exception"]) for one in told] == [ValueError]


async def test_after_closing_none_rings() -> None:
    alarms, bell = Alarms(), Bell()
    alarms.after(0.0, bell.ring, "closed")
    alarms.close()
    alarms.after(2 * GRAIN_S, bell.ring, "last")
    await bell.rung.wait()
    assert bell.names == ["last"]


async def test_one_at_infinity_never_rings_and_can_be_cancelled_all_the_same() -> None:
    alarms, bell = Alarms(), Bell()
    never = alarms.after(inf, bell.ring, "never")
    alarms.after(0.0, bell.ring, "last")
    await bell.rung.wait()
    never.cancel()
    assert bell.names == ["last"]


def test_none_is_waited_for_twice_by_a_clock_that_jumps_from_timer_to_timer() -> None:
    async def ring_all(loop: SimulatedLoop) -> int:
        alarms, bell = Alarms(), Bell()
        for number in range(2_000):
            alarms.after(number * 0.0137, bell.ring, str(number))
        alarms.after(28.0, bell.ring, "last")
        await bell.rung.wait()
        return len(bell.rang)

    assert run_simulated(ring_all) == 2_001
