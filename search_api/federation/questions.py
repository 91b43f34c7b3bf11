"""What is asked of a facility, and what comes back: the words between meaning and transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from catalogue.facilities import Facility, Source
from catalogue.records import EntityClass
from facility_http.rest_json import Objects

State = Literal["answered", "timed_out", "failed", "paused", "stale", "unsupported"]
"""What an answer's line says of a facility."""

BreakerState = Literal["closed", "open", "half_open"]
SEVERITY: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}
Standing = tuple[BreakerState, datetime | None, str | None]
"""State of a breaker, end of its pause, and why."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A source asked live: what configuration and its last check know of it.

    ``source`` has mode ``live`` or ``both``. ``capabilities`` is the profile that ``sources check``
    keeps (see ``harvester.capabilities.probe_service`` for its shape), empty when it was never
    checked, at ``checked_at``.
    """

    source: Source
    facility: Facility
    capabilities: Mapping[str, Any]
    checked_at: datetime | None

    def of_class(self, entity_class: EntityClass) -> Mapping[str, Any]:
        """The profile of one class; empty when nothing is known."""
        found = self.capabilities.get("classes", {}).get(entity_class)
        # A dict first: to ask for a Mapping takes ten times as long.
        return found if isinstance(found, (dict, Mapping)) else {}


@dataclass(frozen=True, slots=True)
class Question:
    """One request: ``GET /{Class}s?filter=``.

    ``count``: ``GET /{Class}s/count?where=`` of the filter's ``where``. ``pid``:
    ``GET /{Class}s/{pid}?filter=``, and where that gives nothing the list with that pid as
    condition (fault E13). ``cheap``: a second attempt may be made beside a slow first one.
    """

    entity_class: EntityClass
    filter: Mapping[str, Any]
    count: bool = False
    pid: str | None = None
    cheap: bool = True


@dataclass(frozen=True, slots=True)
class FacilityAnswer:
    """What one facility said to one question.

    ``objects``: for lists and for ``pid`` (none or one item there); ``None`` for ``count``. They
    are shared with whoever asks the same: never change them. Its ``odd`` counts ghosts, nulls and
    refusals among the objects (fault G11), its ``mended`` what had to be read leniently.
    ``number``: for ``count``; ``None`` where the service does not say. ``elapsed_s``: from the call
    to the answer, our own queue included. ``age_s`` above 0: from this facility's cache, that old.
    ``stale``: a kept answer in place of a failure, which ``reason`` tells. ``digest``: hash of the
    body, so that what is made of it can be kept. ``lacks``: in words, what the service says itself
    that its answer lacks, as nodes like ours do (fault G01); empty: nothing. ``without``: relations
    that such a node could not get of all that it has.
    """

    objects: Objects | None
    number: int | None
    elapsed_s: float
    age_s: float = 0.0
    stale: bool = False
    reason: str | None = None
    digest: bytes = b""
    lacks: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FacilityFigures:
    """How one source has answered lately, as this process saw it.

    Latencies are of answers within the window of ``figures.Window``, in seconds, ``None`` without
    any. ``error_rate``: share of its requests in the window that failed by the facility's fault.
    ``breaker`` and what follows it are shared by all workers; ``classes`` are those with a pause of
    their own. ``waiting``: requests in our own queue.
    """

    source: str
    requests: int
    error_rate: float
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    last_contact: datetime | None
    last_failure: datetime | None
    last_reason: str | None
    breaker: BreakerState
    paused_until: datetime | None
    paused_because: str | None
    in_flight: int
    waiting: int
    classes: Mapping[str, Standing] = field(default_factory=dict)
