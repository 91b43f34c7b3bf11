"""Several sources at once: one failing never stops another (fault H03).

A run that another process already carries out is followed to its end instead; so a person's
``harvest`` and a daemon never get in each other's way (fault H02).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
import anyio.to_thread

from catalogue.errors import LeaseHeld, StoreError
from catalogue.facilities import Facility, Source
from catalogue.records import RunRecord
from facility_http.errors import FacilityHttpError
from harvester.place import Order
from harvester.run import Harvesting, harvest_source

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Sources harvested at the same time; each host's own limit is the fetcher's."""
FOLLOW_POLL_S = 0.3


async def harvest_many(
    shared: Harvesting,
    pairs: Sequence[tuple[Facility, Source]],
    order: Order | None = None,
    *,
    at_once: int = AT_ONCE,
) -> dict[str, RunRecord | Exception]:
    """Harvest sources at the same time.

    Returns:
        By source name, in the order given: its run, or what kept it from even beginning.
    """
    results: dict[str, RunRecord | Exception] = {}
    slots = anyio.CapacityLimiter(at_once)

    async def one(facility: Facility, source: Source) -> None:
        async with slots:
            try:
                results[source.name] = await harvest_or_follow(shared, facility, source, order)
            except (StoreError, FacilityHttpError) as problem:
                log.error("%s: %s", source.name, problem)
                results[source.name] = problem
            except Exception as mistake:
                # A mistake of ours costs this source and no other.
                log.exception("%s: unexpected", source.name)
                results[source.name] = mistake

    async with anyio.create_task_group() as tasks:
        for facility, source in pairs:
            tasks.start_soon(one, facility, source)
    return {source.name: results[source.name] for _, source in pairs}


async def harvest_or_follow(
    shared: Harvesting, facility: Facility, source: Source, order: Order | None = None
) -> RunRecord:
    """Harvest; or, where another process is at it, wait for its run to end.

    An ordinary order is met by that run. Any other is carried out after it.

    Raises:
        StoreError: the store cannot be used.
    """
    while True:
        try:
            return await harvest_source(shared, facility, source, order)
        except LeaseHeld as held:
            if held.run is None:
                raise
            shared.watcher.event(source.name, f"following run {held.run} of {held.holder}")
            record = await follow(shared, held.run)
            if record.state != "running" and (order is None or order == Order()):
                return record
            if shared.stopping.is_set():
                return record


async def follow(shared: Harvesting, number: int) -> RunRecord:
    """Wait until a run of another process is over, or its process is dead (then still
    ``running``), or ours is asked to stop."""
    last = None
    while True:
        record = await anyio.to_thread.run_sync(shared.store.run, number)
        if record.state != "running" or shared.stopping.is_set():
            shared.watcher.ended(record.source, record)
            return record
        heard = record.heartbeat_at or record.started_at
        if heard != last:
            last, silent_since = heard, anyio.current_time()
        elif anyio.current_time() - silent_since > 1.5 * shared.lease_s:
            return record
        await anyio.sleep(FOLLOW_POLL_S)


def exit_code(results: Sequence[RunRecord | Exception]) -> int:
    """0 when all went well, 1 when nothing did, 3 for anything between."""
    states = {"failed" if isinstance(one, Exception) else one.state for one in results}
    if states <= {"ok"}:
        return 0
    return 1 if states == {"failed"} else 3
