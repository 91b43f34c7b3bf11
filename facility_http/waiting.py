"""How long to wait: Retry-After in its forms, growing pauses with jitter, pace for each host."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import anyio

from facility_http.errors import BadStatus, FacilityHttpError, Parked

Sleep = Callable[[float], Awaitable[None]]

LONGEST_PARKING_S = 7 * 86_400.0
"""What an absurd Retry-After is clamped to (fault A03)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried and how long the pauses are.

    ``attempts`` counts the first one. Pauses double from ``first_pause_s`` to ``longest_pause_s``,
    each shortened at random by up to half, so that many workers do not return together. A
    Retry-After up to ``longest_wait_s`` is waited for; above it the source is parked.
    """

    attempts: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    longest_wait_s: float = 300.0

    def pause_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds before try number ``attempt + 1``; ``random`` gives [0, 1)."""
        full = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(attempt - 1, 30))
        return full * (1.0 - 0.5 * random())


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, RFC 9110 10.2.3; ``None`` if it says nothing.

    A number may be absurdly long or have a fraction; a date may be past (0 then). Negative and
    unreadable values say nothing.
    """
    if text is None:
        return None
    text = text.strip()
    if text[:1].isdigit() or text[:1] in ("+", "-", "."):
        try:
            seconds = float(text)
        except (ValueError, OverflowError):
            return None
        if math.isnan(seconds) or seconds < 0:
            return None
        return min(seconds, LONGEST_PARKING_S)
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return min(max((instant - now).total_seconds(), 0.0), LONGEST_PARKING_S)


class Retrying:
    """The decision, for one request, whether and when to try again.

    Args:
        patience: limits.
        url: redacted, for messages.
        gate: of the host; told to hold everybody back while Retry-After lasts.
    """

    def __init__(
        self,
        patience: Patience,
        *,
        url: str,
        gate: HostGate | None,
        sleep: Sleep,
        random: Callable[[], float],
        now: Callable[[], datetime],
        on_retry: Callable[[FacilityHttpError], None] | None = None,
    ) -> None:
        self._patience = patience
        self._url = url
        self._gate = gate
        self._sleep = sleep
        self._random = random
        self._now = now
        self._on_retry = on_retry
        self.attempt = 1

    async def pause(self, error: FacilityHttpError) -> None:
        """Wait as long as ``error`` and the limits say, or raise.

        Raises:
            Parked: the server asks for more than ``longest_wait_s``.
            FacilityHttpError: ``error`` itself, when another try is not worth it.
        """
        wanted = error.retry_after_s
        if wanted is not None and wanted > self._patience.longest_wait_s:
            not_before = self._now() + timedelta(seconds=wanted)
            raise Parked(
                f"asks to come back in {wanted:.0f} s, not before {not_before:%Y-%m-%dT%H:%M:%SZ}",
                url=self._url,
                status=error.status or 503 if isinstance(error, BadStatus) else 503,
                not_before=not_before,
            ) from error
        most = self._patience.attempts - 1
        if error.retries is not None:
            most = min(most, error.retries)
        if self.attempt > most:
            if hasattr(error, "attempts"):
                error.attempts = self.attempt
            raise error
        pause = self._patience.pause_s(self.attempt, self._random)
        if wanted is not None:
            pause = wanted + pause * 0.5
            if self._gate is not None:
                self._gate.hold(wanted)
        self.attempt += 1
        if self._on_retry is not None:
            self._on_retry(error)
        await self._sleep(pause)


class HostGate:
    """Politeness towards one host: few requests at once, a pace, and a common pause.

    Waiting here happens before any network timer starts, so that queueing is never taken for a
    slow server (fault A05).
    """

    def __init__(
        self, at_once: int, pace_s: float, *, sleep: Sleep, monotonic: Callable[[], float]
    ) -> None:
        self._slots = anyio.Semaphore(at_once, fast_acquire=True)
        self._pace_s = pace_s
        self._sleep = sleep
        self._monotonic = monotonic
        self._next_start = -math.inf

    def hold(self, seconds: float) -> None:
        """Let nobody start for ``seconds``: the host asked for a pause."""
        self._next_start = max(self._next_start, self._monotonic() + seconds)

    async def enter(self, pace_s: float | None = None) -> float:
        """Wait for a slot and for the pace; gives the seconds that this took. ``leave`` follows."""
        began = self._monotonic()
        await self._slots.acquire()
        try:
            now = self._monotonic()
            start = max(now, self._next_start)
            self._next_start = start + (self._pace_s if pace_s is None else pace_s)
            if start > now:
                await self._sleep(start - now)
        except BaseException:
            self._slots.release()
            raise
        return self._monotonic() - began

    def leave(self) -> None:
        """Give the slot back."""
        self._slots.release()
