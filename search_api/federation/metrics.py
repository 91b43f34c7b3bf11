"""Measurements of live federation, for each source, in the server's registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from search_api.federation.questions import SEVERITY, BreakerState


class FederationMeasurements:
    """What one process counts of the facilities that it asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.questions = Counter(
            "pan_commons_live_questions",
            "Questions to a live source, by what its line says, kept for answers from the cache.",
            ("source", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            "pan_commons_live_request_seconds",
            "Time of a request to a live source that it answered, without our queue.",
            ("source",),
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self.hedges = Counter(
            "pan_commons_live_second_attempts",
            "Second attempts made beside a slow first one.",
            ("source",),
            registry=registry,
        )
        self.shared = Counter(
            "pan_commons_live_shared_questions",
            "Questions that were answered by another one's request.",
            ("source",),
            registry=registry,
        )
        self.breaker = Gauge(
            "pan_commons_live_breaker",
            "0 asked as usual, 1 probed after a pause, 2 paused, at least one of its classes.",
            ("source",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.in_flight = Gauge(
            "pan_commons_live_requests_in_flight",
            "Requests to a live source under way.",
            ("source",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            "pan_commons_live_requests_waiting",
            "Requests waiting in our own queue to a live source.",
            ("source",),
            registry=registry,
            multiprocess_mode="livesum",
        )

    def show(self, source: str, state: BreakerState, in_flight: int, waiting: int) -> None:
        """Set the gauges of a source; before they are read."""
        self.breaker.labels(source).set(SEVERITY[state])
        self.in_flight.labels(source).set(in_flight)
        self.waiting.labels(source).set(waiting)
