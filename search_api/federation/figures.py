"""How a facility has answered lately: a bounded window of what its requests came to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

WINDOW_S = 300.0
MOST_KEPT = 512
# Fewer answers say nothing about what is unusually slow.
ENOUGH_TO_HEDGE = 20
HEDGE_SHARE = 0.05
_HEDGES_IN_HAND = 3.0
# Below this a second attempt costs more than it can win.
_LEAST_HEDGE_DELAY_S = 0.02


class _Request(NamedTuple):
    at: float
    elapsed_s: float
    well: bool


def percentile(ordered: list[float], share: float) -> float | None:
    """The nearest-rank percentile of sorted values; ``None`` without any."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Window:
    """Requests of the last ``WINDOW_S``, ``MOST_KEPT`` at most.

    Args:
        monotonic: a clock in seconds.
    """

    monotonic: Callable[[], float]
    last_contact: datetime | None = None
    last_failure: datetime | None = None
    last_reason: str | None = None
    _answered_at: float | None = None
    _kept: deque[_Request] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _hedges: float = _HEDGES_IN_HAND
    _delay_s: float | None = None
    _delay_age: int = 0

    def answered(self, elapsed_s: float, now: datetime) -> None:
        """Note an answer."""
        self.last_contact = now
        self._answered_at = at = self.monotonic()
        self._kept.append(_Request(at, elapsed_s, True))
        self._hedges = min(_HEDGES_IN_HAND, self._hedges + HEDGE_SHARE)
        self._delay_age += 1

    def has_just_answered(self, within_s: float) -> bool:
        """Whether this process had an answer so short a time ago."""
        return self._answered_at is not None and self.monotonic() - self._answered_at < within_s

    def failed(self, elapsed_s: float, now: datetime, reason: str) -> None:
        """Note a failure that is the facility's."""
        self.last_failure = now
        self.last_reason = reason
        self._kept.append(_Request(self.monotonic(), elapsed_s, False))

    def requests(self) -> list[_Request]:
        """What lies within the window."""
        begin = self.monotonic() - WINDOW_S
        while self._kept and self._kept[0].at < begin:
            self._kept.popleft()
        return list(self._kept)

    def latencies_s(self) -> list[float]:
        """Of answers, sorted."""
        return sorted([elapsed_s for _, elapsed_s, well in self.requests() if well])

    def hedge_delay_s(self) -> float | None:
        """After how long an answer is unusually slow here: the 95th percentile.

        Returns:
            ``None`` when too little is known, or when second attempts have had their share.
        """
        if self._hedges < 1.0:
            return None
        if self._delay_s is None or self._delay_age >= max(ENOUGH_TO_HEDGE, len(self._kept) // 8):
            latencies_s = self.latencies_s()
            self._delay_age = 0
            if len(latencies_s) < ENOUGH_TO_HEDGE:
                self._delay_s = None
                return None
            slow_s = percentile(latencies_s, 0.95)
            self._delay_s = max(slow_s or 0.0, _LEAST_HEDGE_DELAY_S)
        return self._delay_s

    def hedged(self) -> None:
        """Note a second attempt: at most ``HEDGE_SHARE`` of requests have one."""
        self._hedges -= 1.0
