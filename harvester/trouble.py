"""What goes wrong again and again, said so that a log can still be read."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S = 60.0
LONGEST_S = 3600.0


class Trouble:
    """Tells when it is worth a line: at once, then at distances that double up to an hour, and at
    its end.

    Args:
        monotonic: seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: set[str] = set()
        self._distance_s = FIRST_S
        self._next_at = 0.0

    def again(self, problem: object) -> bool:
        """It is there (still); whether to say so. Another problem than before is said at once;
        one error is like another of its kind, whose numbers may differ."""
        now = self._monotonic()
        text = type(problem).__name__ if isinstance(problem, Exception) else str(problem)
        if text in self._said and now < self._next_at:
            return False
        if self._said and now >= self._next_at:
            self._distance_s = min(2 * self._distance_s, LONGEST_S)
        self._next_at = now + self._distance_s
        self._said.add(text)
        return True

    def over(self) -> bool:
        """It is not there; whether to say so, which is when it was."""
        was = bool(self._said)
        self._said.clear()
        self._distance_s = FIRST_S
        return was
