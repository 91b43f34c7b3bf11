"""What a harvest would bring, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from catalogue.facilities import Facility, Source, mapping_context
from harvester.pages import Journal
from harvester.place import Order
from harvester.run import Harvesting
from harvester.sweeps import Situation, open_sweep
from harvester.workers import map_records
from mappings.errors import MappingError

SAMPLES = 5


@dataclass(slots=True)
class Forecast:
    """Counts of what came and what the crosswalk would make of it."""

    source: str
    kind: str = ""
    windows: list[Mapping[str, Any]] = field(default_factory=list)
    received: int = 0
    deleted: int = 0
    mapped: int = 0
    entities: dict[str, int] = field(default_factory=dict)
    quarantine: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    stop: str = ""


async def forecast(
    shared: Harvesting, facility: Facility, source: Source, order: Order
) -> Forecast:
    """Read and map what a run would, up to a stop request.

    Raises:
        FacilityHttpError: the endpoint cannot be read.
    """
    shared.watcher.started(source.name, None)
    status = await anyio.to_thread.run_sync(shared.store.source_status, source.name)
    journal = Journal()
    situation = Situation(source, order, status.memory, None, status.records, shared.now)
    sweep = await open_sweep(shared.http, situation, journal)
    result = Forecast(source.name, sweep.place.kind)
    result.windows = [window.as_json() for window in sweep.place.todo]
    context = mapping_context(facility, source)
    async for page in sweep.pages():
        for record in await anyio.to_thread.run_sync(map_records, context, page.records):
            result.received += 1
            if record.deleted:
                result.deleted += 1
            elif isinstance(record.mapped, MappingError):
                reason = f"{record.mapped.path}: expected {record.mapped.expected}"
                result.quarantine.setdefault(reason, []).append(record.header.identifier)
            elif record.mapped is not None:
                result.mapped += 1
                for entity in record.mapped.entities:
                    name = entity["class"]
                    result.entities[name] = result.entities.get(name, 0) + 1
                if len(result.samples) < SAMPLES:
                    result.samples.append(record.header.identifier)
        if shared.stopping.is_set():
            break
    result.stop = sweep.stop
    result.problems = journal.drain()
    return result
