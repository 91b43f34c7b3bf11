"""Where facilities' objects become entities: here where they are few, else in a process of their
own, and in a thread as long as none is there."""

from __future__ import annotations

from collections.abc import Sequence

from catalogue.readings import Reading, Rows, as_reading, read_objects
from catalogue.records import EntityClass
from mappings.context import Context
from search_api.federation.reading_processes import NobodyReads, ReadingProcesses
from search_api.federation.relations import Item
from search_api.federation.workshop import Workshop
from search_api.garbage import left_alone

FEW = 20
"""So many objects are read in three milliseconds: on a busy machine sooner than they come back."""
MANY = 300
"""So many entities take a millisecond or two to take over: more are taken over in a thread."""


class Readers:
    """Reads for one server process."""

    def __init__(self, workshop: Workshop, processes: ReadingProcesses | None = None) -> None:
        self._workshop = workshop
        self._processes = processes

    async def read(
        self,
        entity_class: EntityClass,
        items: Sequence[Item],
        context: Context,
        *,
        counted: bool,
    ) -> Reading:
        """See ``catalogue.readings.read_objects``."""
        processes = self._processes
        if processes is not None and processes.warm and len(items) > FEW:

            async def read_aside() -> tuple[float, Rows]:
                return await processes.read(entity_class, items, context, counted=counted)

            try:
                rows = await self._workshop.aside(len(items), "read aside", read_aside)
                if len(rows.rows) <= MANY:
                    with left_alone():
                        return as_reading(rows)
                return await self._workshop.run(len(rows.rows), as_reading, rows)
            except NobodyReads:
                pass

        def read() -> Reading:
            return read_objects(entity_class, items, context, counted=counted)

        reading = await self._workshop.run(len(items), read)
        if processes is not None and len(items) > FEW:  # fewer they would not be asked for
            processes.note(len(items))
        return reading
