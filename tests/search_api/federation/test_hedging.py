"""A race of two attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from facility_http.errors import BadStatus, ConnectionFailed, FacilityHttpError
from search_api.federation.background import Background
from search_api.federation.hedging import Hedged


class Track:
    """Attempts that end as they are told to: with an answer, a failure, or not at all."""

    def __init__(self, *ends: str | FacilityHttpError | None, room: bool = True) -> None:
        self.ends = list(ends)
        self.started = 0
        self.cancelled = 0
        self.seconds = 0
        self.room = room

    async def attempt(self) -> str:
        end = self.ends[self.started]
        self.started += 1
        if end is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if isinstance(end, FacilityHttpError):
            raise end
        assert end is not None
        return end

    @contextmanager
    def spare_place(self) -> Iterator[bool]:
        yield self.room

    def second(self) -> None:
        self.seconds += 1

    async def run(self) -> str:
        return await race(self.attempt, self)


async def race(attempt: Callable[[], Awaitable[str]], track: Track) -> str:
    """Race with a background that must be quiet when it is over."""
    background = Background()
    await background.open()
    try:
        hedged = Hedged(attempt, background.start, track.spare_place, track.second)
        return await hedged.run(0.1, 0.01)
    finally:
        await background.close()


REFUSED = ConnectionFailed("no connection")


async def test_a_fast_answer_needs_no_second_attempt() -> None:
    track = Track("first")
    assert await track.run() == "first"
    assert (track.started, track.seconds) == (1, 0)


async def test_the_second_attempt_wins_and_the_first_is_let_go() -> None:
    track = Track(None, "second")
    assert await track.run() == "second"
    assert (track.started, track.cancelled, track.seconds) == (2, 1, 1)


async def test_a_failure_is_told_at_once() -> None:
    track = Track(REFUSED)
    with pytest.raises(ConnectionFailed):
        await track.run()
    assert track.started == 1


async def test_a_second_attempt_that_fails_leaves_the_first_its_chance() -> None:
    track = Track(None, REFUSED)
    with pytest.raises(TimeoutError):
        await track.run()
    assert track.cancelled == 1


async def test_without_room_there_is_none() -> None:
    track = Track(None, room=False)
    with pytest.raises(TimeoutError):
        await track.run()
    assert (track.started, track.seconds) == (1, 0)


async def test_of_two_failures_that_of_the_first_attempt_is_told() -> None:
    late = asyncio.Event()
    ends = [BadStatus("HTTP 502", url="", status=502), REFUSED]
    started = 0

    async def attempt() -> str:
        nonlocal started
        number, started = started, started + 1
        if number == 0:
            await late.wait()
        else:
            late.set()
        raise ends[number]

    track = Track()
    with pytest.raises(FacilityHttpError) as failure:
        await race(attempt, track)
    assert failure.value is ends[0]
