"""Health checks and measurements. They answer under overload, too."""

from __future__ import annotations

import anyio
import anyio.to_thread
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from catalogue.errors import CatalogueError
from search_api.replies import Call, Reply, json_reply

READY_WITHIN_S = 3.0


class Measurements:
    """Counters of one server process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pan_commons_requests",
            "Requests answered, by operation and status.",
            ("operation", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pan_commons_request_seconds",
            "Time from request to answer.",
            ("operation",),
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3, 10),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "pan_commons_requests_in_flight", "Requests under way.", registry=self.registry
        )
        self.shed = Counter(
            "pan_commons_requests_shed",
            "Requests refused because too many were under way.",
            registry=self.registry,
        )
        self.limited = Counter(
            "pan_commons_requests_limited",
            "Requests refused because their client made too many.",
            registry=self.registry,
        )
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.records = Gauge(
            "pan_commons_records",
            "Live records, by facility.",
            ("facility",),
            registry=self.registry,
        )
        self.silent = Gauge(
            "pan_commons_facility_silent",
            "1 while a facility could not be reached lately.",
            ("facility",),
            registry=self.registry,
        )

    def note(self, operation: str, status: int, elapsed_s: float) -> None:
        """Count one answer."""
        found = self._counted.get((operation, status))
        if found is None:
            found = (
                self.requests.labels(operation, str(status)),
                self.seconds.labels(operation),
            )
            self._counted[operation, status] = found
        found[0].inc()
        found[1].observe(elapsed_s)


async def live(call: Call) -> Reply:
    """``GET /health/live``: the process answers."""
    return json_reply({"status": "ok"})


async def ready(call: Call) -> Reply:
    """``GET /health/ready``: store and engine answer; 503 with the reason otherwise."""
    catalogue = call.server.catalogue
    checks: dict[str, str] = {}
    with anyio.move_on_after(READY_WITHIN_S):
        try:
            await anyio.to_thread.run_sync(catalogue.store.last_change, abandon_on_cancel=True)
            checks["store"] = "ok"
        except CatalogueError as error:
            checks["store"] = str(error)
        try:
            await catalogue.engine.position()
            # An index that was made by another version cannot be read (semantics 6.3).
            await catalogue.engine.reader()
            checks["engine"] = "ok"
        except CatalogueError as error:
            checks["engine"] = str(error)
    for name in ("store", "engine"):
        checks.setdefault(name, f"no answer within {READY_WITHIN_S:g} s")
    good = all(state == "ok" for state in checks.values())
    return json_reply(
        {"status": "ok" if good else "unready", "checks": checks}, status=200 if good else 503
    )


async def metrics(call: Call) -> Reply:
    """``GET /metrics`` in Prometheus' text form."""
    measured = call.server.measurements
    measured.in_flight.set(call.server.in_flight - 1)  # this one is under way, too
    for state in call.server.states.all:
        measured.records.labels(state.facility.name).set(state.records)
        measured.silent.labels(state.facility.name).set(state.state == "silent")
    if call.server.live is not None:
        call.server.live.asker.show_measurements()
    return Reply(
        generate_latest(measured.registry), content_type="text/plain; version=0.0.4; charset=utf-8"
    )
