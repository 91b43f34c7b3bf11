"""Where crosswalks run: in worker threads, or in a process of their own for large harvests.

Mapping is the dearest step of a harvest and pure, so it is what the second core is for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.from_thread
import anyio.to_thread

from catalogue.ahead import Foresight, foresee
from catalogue.processes import WorkProcesses, collect_rarely, end_with_parent, result_of
from catalogue.records import ReadyRecord, SourceRecord
from catalogue.store import ready
from catalogue.store.parts import KeyLink, Part
from catalogue.store.payloads import Dictionary
from harvester.pages import RawRecord
from mappings.context import Context, Header, Mapped
from mappings.crosswalks import Step, steps
from mappings.errors import MappingError
from mappings.formats.xml import split_position

WARM_AFTER = 2_000
SMALL_PAGE = 20
MAPPING_AT_ONCE = 2
"""Processes that map, each a page."""

TOGETHER = 50
TOGETHER_BYTES = 256 * 1024
"""Records, and bytes of their payloads, that are worked on step by step: so many fit into a
processor's caches with the code of a step. One by one, and five hundred at once, took an eighth
more."""

NO_XML = "no well-formed XML: "
"""How the client begins to say so of a payload."""


class PreparePage(Protocol):
    """Maps the records of a page and renders them for the store, in their order."""

    def __call__(
        self,
        context: Context,
        records: Sequence[RawRecord],
        dictionary: Dictionary | None = None,
        foresight: Foresight | None = None,
    ) -> Awaitable[list[ReadyRecord]]:
        """One ``ReadyRecord`` for each raw record; ``dictionary`` compresses their payloads, with
        ``foresight`` they bring their engine documents along."""


def map_records(context: Context, records: Sequence[RawRecord]) -> list[SourceRecord]:
    """Map each record by itself: one that cannot be mapped goes to quarantine (fault B22)."""
    return [made for some in portions(records) for made in _map_some(context, some)]


def portions(records: Sequence[RawRecord]) -> Iterator[Sequence[RawRecord]]:
    """The records in parts that are worked on together: parsed, a record is many times as large as
    its payload."""
    begin = size = 0
    for place, record in enumerate(records):
        size += len(record.payload or b"")
        if place > begin and (place - begin >= TOGETHER or size > TOGETHER_BYTES):
            yield records[begin:place]
            begin, size = place, len(record.payload or b"")
    if records:
        yield records[begin:]


def _map_some(context: Context, records: Sequence[RawRecord]) -> list[SourceRecord]:
    """Step by step, each for all records: see ``steps``."""
    made: list[Any] = list(map(_begun, records))
    by_format: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        if type(made[place]) is bytes:
            by_format.setdefault(record.format, []).append(place)
    for form, places in by_format.items():
        try:
            all_steps = steps(form, context)
        except MappingError as problem:
            for place in places:
                made[place] = problem
            continue
        for step in all_steps:
            for place in places:
                if type(made[place]) is not MappingError:
                    made[place] = _stepped(step, made[place], context, records[place].header)
    return [
        # A payload of None would say that the record is deleted.
        SourceRecord(
            record.header,
            record.format,
            record.payload if record.fault is None else record.payload or b"",
            mapped,
            record.deleted,
        )
        for record, mapped in zip(records, made, strict=True)
    ]


def _begun(record: RawRecord) -> bytes | MappingError | None:
    """What is to be mapped of a record, or why it cannot be; ``None`` where it is deleted."""
    if record.fault is not None:
        return rejection_of(record.fault)
    assert record.deleted or record.payload is not None
    return None if record.deleted else record.payload


def _stepped(step: Step, value: Any, context: Context, header: Header) -> Any:
    try:
        return step(value, context, header)
    except MappingError as problem:
        return problem
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as bug:
        # A crosswalk that stumbles over a record nobody thought of must cost that record only;
        # the payload is kept, so it can be replayed once the crosswalk is mended.
        return MappingError("crosswalk", f"{type(bug).__name__}: {bug}", "no such surprise")


def rejection_of(fault: str) -> MappingError:
    """Why a record that exists could not be had as a whole; equal faults have equal expectations,
    so that a run's problems stay few."""
    if fault == "no_metadata":
        return MappingError("record", None, "metadata")
    if fault.startswith(NO_XML):
        found, place = split_position(fault.removeprefix(NO_XML))
        return MappingError("record", place, f"well-formed XML ({found})")
    return MappingError("record", fault, "a whole record")


def prepare_records(
    context: Context,
    records: Sequence[RawRecord],
    dictionary: Dictionary | None = None,
    foresight: Foresight | None = None,
) -> list[ReadyRecord]:
    """Map, render as the store wants it, compress, and make engine documents: all that is pure
    about keeping a record and finding it."""
    prepared: list[ReadyRecord] = []
    for some in portions(records):
        mapped = _map_some(context, some)
        made = ready(mapped, context.facility, dictionary)
        if foresight is not None:
            said = [
                (raw.mapped.entities if isinstance(raw.mapped, Mapped) else (), one.parts)
                for raw, one in zip(mapped, made, strict=True)
            ]
            bodies = foresee(said, context.facility, foresight)
            made = [one._replace(foreseen=body) for one, body in zip(made, bodies, strict=True)]
        prepared += made
    return prepared


async def prepare_in_threads(
    context: Context,
    records: Sequence[RawRecord],
    dictionary: Dictionary | None = None,
    foresight: Foresight | None = None,
) -> list[ReadyRecord]:
    """Prepare in a worker thread of this process."""
    return await anyio.to_thread.run_sync(prepare_records, context, records, dictionary, foresight)


# Between processes go plain tuples, and nothing that this side has anyway: pickling the records
# took more than the read of them did.


def _packed(records: Sequence[RawRecord]) -> list[tuple[Any, ...]]:
    return [
        (
            *(one.header.identifier, one.header.datestamp, one.header.sets),
            *(one.format, one.payload, one.deleted, one.fault),
        )
        for one in records
    ]


def _prepare_packed(
    context: Context,
    packed: Sequence[tuple[Any, ...]],
    dictionary: Dictionary | None,
    foresight: Foresight | None,
) -> list[tuple[Any, ...]]:
    """In a process: ``prepare_records`` without headers and payloads, which are known there."""
    records = [RawRecord(Header(*one[:3]), *one[3:]) for one in packed]
    return [
        (
            *(one.deleted, one.payload_hash, one.packed),
            [(*part[:6], [tuple(link) for link in part.links], part.aliases) for part in one.parts],
            *(one.rejection, one.problems, one.foreseen),
        )
        for one in prepare_records(context, records, dictionary, foresight)
    ]


def _unpacked(raw: RawRecord, made: tuple[Any, ...]) -> ReadyRecord:
    deleted, payload_hash, packed, parts, rejection, problems, foreseen = made
    return ReadyRecord(
        *(raw.header, raw.format, deleted, None if deleted else raw.payload or b""),
        *(payload_hash, packed),
        tuple([_part(part) for part in parts]),
        *(rejection, problems, foreseen),
    )


def _part(part: tuple[Any, ...]) -> Part:
    return Part._make((*part[:6], tuple([KeyLink(*link) for link in part[6]]), part[7]))


class MappingProcesses:
    """Map in worker processes; an async context manager, and a ``PreparePage``.

    Small harvests never start one: only after ``WARM_AFTER`` records is a process brought up, and
    until it is ready mapping goes on in threads.

    A worker that dies (out of memory) is replaced and the page mapped again, record by record in
    this process, so that only the deadly record could do harm.
    """

    def __init__(self, processes: int = MAPPING_AT_ONCE) -> None:
        self.processes = WorkProcesses(processes, _load)
        self._mapped = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.processes.close()

    async def __call__(
        self,
        context: Context,
        records: Sequence[RawRecord],
        dictionary: Dictionary | None = None,
        foresight: Foresight | None = None,
    ) -> list[ReadyRecord]:
        """Map a page in one of the processes."""
        self._mapped += len(records)
        if len(records) < SMALL_PAGE or not self._warm():
            return await prepare_in_threads(context, records, dictionary, foresight)
        try:
            made = await result_of(
                self.processes.submit(
                    _prepare_packed, context, _packed(records), dictionary, foresight
                )
            )
        except BrokenProcessPool:
            self.processes.forget()
            return await prepare_in_threads(context, records, dictionary, foresight)
        return [_unpacked(raw, one) for raw, one in zip(records, made, strict=True)]

    def _warm(self) -> bool:
        """Whether a process is ready; begins to make one when it is worth it."""
        if self._mapped < WARM_AFTER and not self.processes.are_started:
            return False
        try:
            return self.processes.warm()
        except OSError:  # No more files, or no more processes: it is done here.
            return False


def _load() -> None:
    """Import in the worker what mapping needs, and settle down to it."""
    import mappings.crosswalks  # noqa: F401

    end_with_parent()
    collect_rarely()
