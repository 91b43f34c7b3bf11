"""Health checks and measurements. They answer under overload, too."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import anyio
import anyio.to_thread
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from catalogue.errors import CatalogueError
from search_api.facilities import FacilityState
from search_api.replies import Call, Reply, Server, json_reply

READY_WITHIN_S = 3.0
SHOWN_EVERY_S = 1.0
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Where Prometheus' client, loaded with it set, counts in files that several processes add up."""


class Measurements:
    """Counters of a server, in a registry of their own; with several processes of all of them."""

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
            "pan_commons_requests_in_flight",
            "Requests under way.",
            registry=self.registry,
            multiprocess_mode="livesum",
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
        self._shown: dict[Gauge, set[str]] = {}
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.records = self._latest(
            "pan_commons_records", "Live records, by facility.", ("facility",)
        )
        self.silent = self._latest(
            "pan_commons_facility_silent",
            "1 while a facility could not be reached lately.",
            ("facility",),
        )
        self.last_success = self._latest(
            "pan_commons_source_last_success_timestamp_seconds",
            "When a harvest of a source last came to its end without an error; 0 for never.",
            ("source",),
        )
        self.held = self._latest(
            "pan_commons_source_held",
            "1 while deletions of a source wait for the operator's approval.",
            ("source",),
        )
        self.quarantined = self._latest(
            "pan_commons_source_quarantined",
            "Records of a source that could not be mapped.",
            ("source",),
        )
        self.behind = self._latest(
            "pan_commons_index_behind",
            "Changes that are kept and not yet searchable.",
        )

    def _latest(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge of what is the same for all processes: whichever looked last knows best."""
        return Gauge(
            name, documentation, labels, registry=self.registry, multiprocess_mode="livemostrecent"
        )

    def show_facilities(self, states: Iterable[FacilityState]) -> None:
        """Set the gauges of what was harvested, and how that went; what was taken out goes."""
        every = list(states)
        of_each = [one for state in every for one in state.sources]
        self._renew(self.records, {one.facility.name: one.records for one in every})
        self._renew(self.silent, {one.facility.name: one.state == "silent" for one in every})
        self._renew(
            self.last_success,
            {
                source.name: status.last_success_at.timestamp() if status.last_success_at else 0
                for source, status in of_each
            },
        )
        self._renew(
            self.held, {source.name: status.waiting is not None for source, status in of_each}
        )
        self._renew(self.quarantined, {source.name: one.quarantined for source, one in of_each})

    def _renew(self, gauge: Gauge, values: Mapping[str, float]) -> None:
        """Set a gauge for each name; of one that is gone nothing is known."""
        shown = self._shown.setdefault(gauge, set())
        if SHARED in os.environ:
            # Files that several processes read cannot be taken back from.
            for name in shown - values.keys():
                gauge.labels(name).set(math.nan)
        else:
            gauge.clear()
        shown.update(values)
        for name, value in values.items():
            gauge.labels(name).set(value)

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

    def text(self) -> bytes:
        """All of it in Prometheus' form."""
        folder = os.environ.get(SHARED)
        if folder is None:
            return generate_latest(self.registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all, folder)  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


@contextlib.contextmanager
def shared_measurements() -> Iterator[None]:
    """Processes started meanwhile count together. Where no folder can be made for it, ``/metrics``
    tells of the process that answers."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="pan-commons-", ignore_cleanup_errors=True)
    except OSError:
        yield
        return
    with folder as name:
        os.environ[SHARED] = name
        try:
            yield
        finally:
            del os.environ[SHARED]


def forget_process(number: int | None) -> None:
    """What a process that ended had under way is under way no more."""
    if number is not None and SHARED in os.environ:
        mark_process_dead(number)  # type: ignore[no-untyped-call]


async def keep_shown(server: Server) -> None:
    """Renew what other processes show of the load of this one; until cancelled."""
    while True:
        show_load(server, server.in_flight)
        await asyncio.sleep(SHOWN_EVERY_S)


def show_load(server: Server, in_flight: int) -> None:
    """Set the gauges of what is under way."""
    server.measurements.in_flight.set(in_flight)
    if server.live is not None:
        server.live.asker.show_measurements()


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
            await catalogue.require_filled()
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
    show_load(call.server, call.server.in_flight - 1)  # this one is under way, too
    measured.show_facilities(call.server.states.all)
    with anyio.move_on_after(READY_WITHIN_S), contextlib.suppress(CatalogueError):
        measured.behind.set(await call.server.catalogue.indexer.lag())
    return Reply(measured.text(), content_type="text/plain; version=0.0.4; charset=utf-8")
