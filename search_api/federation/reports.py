"""What an answer says of each facility: silence is data, never an empty list (fault G01)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from search_api.facilities import header_text
from search_api.federation.questions import State

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FacilityLine:
    """One facility in one answer.

    ``state``: ``answered``; ``stale`` (what it told us before, ``age_s`` seconds old, stands in);
    ``timed_out``, ``failed``, ``paused`` (until ``until``) or ``unsupported`` (it is missing from
    the answer); ``waiting`` (in a stream: it may still answer). ``why`` in words. ``live``: asked
    now. ``hits``: on this page. ``total``: all its matches that are known, ``total_relation``
    whether those are all. ``missing``: relations that the service does not give; ``unseen``: what
    could not be had although it has it; ``passed_on``: what a node like ours says it could not have
    of some of its own. Its hits are scored in part then, and empty relations prove
    nothing.
    """

    name: str
    state: State | Literal["waiting", "disabled", "unharvested"]
    live: bool = False
    elapsed_ms: float = 0.0
    hits: int = 0
    total: int = 0
    total_relation: Literal["eq", "gte"] = "eq"
    why: str | None = None
    until: datetime | None = None
    age_s: float | None = None
    silent_since: datetime | None = None
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    passed_on: tuple[str, ...] = ()

    @property
    def without(self) -> tuple[str, ...]:
        """All that is not to be found in what the answer has of it."""
        return tuple(dict.fromkeys((*self.missing, *self.unseen, *self.passed_on)))

    @property
    def is_missing(self) -> bool:
        """Whether the answer lacks what the facility has."""
        return self.state in ("timed_out", "failed", "paused", "unsupported")

    def json(self, hits: int | None = None) -> Json:
        """The line as answers show it; what is not known is left out.

        Args:
            hits: in place of its own.
        """
        shown: Json = {
            "name": self.name,
            "state": self.state,
            "live": self.live,
            "elapsed_ms": round(self.elapsed_ms, 3),
            "hits": self.hits if hits is None else hits,
            "total": self.total,
            "total_relation": self.total_relation,
            "silent_since": self.silent_since,
        }
        if self.why is not None:
            shown["why"] = self.why
        if self.until is not None:
            shown["until"] = self.until
        if self.age_s is not None:
            shown["age_s"] = round(self.age_s, 3)
        if without := self.without:
            shown["missing"] = list(without)
        return shown


def is_silence(lines: Sequence[FacilityLine]) -> bool:
    """Whether all that a question is about are missing, and there is somebody it is about."""
    return bool(lines) and all(line.is_missing for line in lines)


def line_headers(lines: Sequence[FacilityLine]) -> dict[str, str]:
    """``X-Facilities-*`` for answers whose body has no room for lines."""
    by_state: dict[str, list[str]] = {}
    for line in lines:
        by_state.setdefault(line.state, []).append(line.name)
    missing = [line.name for line in lines if line.is_missing]
    return {
        "X-Facilities-Total": str(len(lines)),
        "X-Facilities-Ok": str(len(by_state.get("answered", ()))),
        "X-Facilities-Silent": header_text(", ".join(by_state.get("stale", ()))),
        "X-Facilities-Missing": header_text(", ".join(missing)),
        "X-Facilities-States": header_text(
            ", ".join(f"{line.name}={line.state}" for line in lines)
        ),
        "X-Facilities-Without": header_text(
            ", ".join(f"{line.name}={what}" for line in lines for what in line.without)
        ),
    }
