"""What a process tells the other workers of facilities, and how one fares by what all saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from search_api.federation.facility_cache import FacilityCache
from search_api.federation.figures import Window, percentile
from search_api.federation.latencies import Histories
from search_api.federation.lines import Line
from search_api.federation.pausing import Pausing
from search_api.federation.questions import FacilityFigures
from search_api.federation.serving_store import Contact, ServingStore


@dataclass(frozen=True, slots=True)
class Sharing:
    """Writes what is new here to the shared memory, and takes over how long facilities take."""

    serving: ServingStore
    cache: FacilityCache
    histories: Histories
    now: Callable[[], datetime]

    async def share(self, lines: Mapping[str, Line]) -> None:
        """Tell of answers, contacts and latencies."""
        serving = self.serving
        answers = self.cache.take_new()
        contacts = [(name, _contact(line.window)) for name, line in lines.items()]
        if answers:
            await serving.run(serving.keep_answers, answers, self.now())
        if contacts:
            await serving.run(serving.note_contacts, contacts)
        new = self.histories.take_new()
        self.histories.take_over(await serving.run(serving.add_latencies, new, self.now()))


def figures_of(
    source: str, line: Line | None, pausing: Pausing, monotonic: Callable[[], float]
) -> FacilityFigures:
    """How a source has answered lately; ``line``: ours to it, if there was one."""
    state, until, because = pausing.standing(source)
    window = line.window if line is not None else Window(monotonic)
    requests = window.requests()
    latencies_s = window.latencies_s()
    failed = len(requests) - len(latencies_s)
    shared = pausing.contacts.get(source, Contact())
    last_failure = _later(window.last_failure, shared.failed_at)
    is_ours = window.last_failure is not None and last_failure == window.last_failure
    return FacilityFigures(
        source,
        requests=len(requests),
        error_rate=failed / len(requests) if requests else 0.0,
        p50_s=percentile(latencies_s, 0.50),
        p90_s=percentile(latencies_s, 0.90),
        p99_s=percentile(latencies_s, 0.99),
        last_contact=last_answer(source, line, pausing),
        last_failure=last_failure,
        last_reason=window.last_reason if is_ours else shared.reason,
        breaker=state,
        paused_until=until,
        paused_because=because,
        in_flight=line.bulkhead.in_flight if line is not None else 0,
        waiting=line.bulkhead.waiting if line is not None else 0,
        classes=pausing.standing_by_class(source),
    )


def last_answer(source: str, line: Line | None, pausing: Pausing) -> datetime | None:
    """When a source last answered any worker."""
    shared = pausing.contacts.get(source, Contact()).answered_at
    return _later(line.window.last_contact if line is not None else None, shared)


def seconds(instant: datetime | None) -> float | None:
    """As processes share it: since 1970."""
    return None if instant is None else instant.timestamp()


def _contact(window: Window) -> Contact:
    return Contact(seconds(window.last_contact), seconds(window.last_failure), window.last_reason)


def _later(here: datetime | None, shared: float | None) -> datetime | None:
    """The later of what this process and the others saw."""
    there = None if shared is None else datetime.fromtimestamp(shared, UTC)
    known = [one for one in (here, there) if one is not None]
    return max(known, default=None)
