"""Several sources at once: one failing never stops another (fault H03).

A run that another process already carries out is followed to its end instead; so a person's
``harvest`` and a daemon never get in each other's way (fault H02).
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Sequence

import anyio
import anyio.to_thread

from catalogue.errors import LeaseHeld, StoreError
from catalogue.facilities import Facility, Source
from catalogue.processes import lacks_files
from catalogue.records import RunRecord
from facility_http.errors import FacilityHttpError
from harvester.errors import HarvestError
from harvester.place import Order
from harvester.run import Harvesting, harvest_source

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Sources harvested at the same time; each host's own limit is the fetcher's."""
FILES, FILES_OF_ONE = 80, 12
"""Files that a harvest has open whatever it harvests, a growing index included, and those of each
source: 46 were seen with one source, 101 with four, and 163 with twelve."""
FOLLOW_POLL_S = 0.3


async def harvest_many(
    shared: Harvesting,
    pairs: Sequence[tuple[Facility, Source]],
    order: Order | None = None,
    *,
    at_once: int | None = None,
) -> dict[str, RunRecord | Exception]:
    """Harvest sources at the same time.

    Returns:
        By source name, in the order given: its run, or what kept it from even beginning.
    """
    results: dict[str, RunRecord | Exception] = {}
    if at_once is None:
        at_once = within_files(max(1, min(AT_ONCE, len(pairs))))
    slots = anyio.CapacityLimiter(at_once)

    async def one(facility: Facility, source: Source) -> None:
        async with slots:
            try:
                results[source.name] = await harvest_or_follow(shared, facility, source, order)
            except (StoreError, FacilityHttpError) as problem:
                log.error("%s: %s", source.name, problem)
                results[source.name] = problem
            except Exception as mistake:
                if lacks_files(mistake):
                    results[source.name] = NoFiles()
                    log.error("%s: %s", source.name, results[source.name])
                    return
                # A mistake of ours costs this source and no other.
                log.exception("%s: unexpected", source.name)
                results[source.name] = mistake

    async with anyio.create_task_group() as tasks:
        for facility, source in pairs:
            tasks.start_soon(one, facility, source)
    return {source.name: results[source.name] for _, source in pairs}


class NoFiles(HarvestError):
    """No more files may be open in this process."""

    def __init__(self) -> None:
        super().__init__(
            f"this process may have no more than {most_files():,} files open; allow it more "
            "(ulimit -n, or LimitNOFILE= of its unit)"
        )


def most_files() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def within_files(at_once: int) -> int:
    """So many sources at the same time, or as many as there may be files open for; says so."""
    most = most_files()
    possible = at_once if most < 0 else max(1, min(at_once, (most - FILES) // FILES_OF_ONE))
    if possible < at_once:
        log.warning(
            "this process may have no more than %d files open: of %d sources that could be "
            "harvested at a time it is %d (ulimit -n, or LimitNOFILE= of its unit, allows more)",
            most, at_once, possible,
        )  # fmt: skip
    return possible


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
