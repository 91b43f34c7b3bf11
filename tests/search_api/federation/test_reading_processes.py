"""Processes read what facilities say as the server itself does, and may fail."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from catalogue.readings import Reading, as_reading, read_objects
from mappings.context import Context
from search_api.federation.background import Background
from search_api.federation.readers import FEW, Readers
from search_api.federation.reading_process import frame, serve, work
from search_api.federation.reading_processes import (
    BEHIND,
    MOST_FAILURES,
    WORTH_IT,
    NobodyReads,
    ReadingProcesses,
)
from search_api.federation.workshop import Workshop

CONTEXT = Context("ESS", "ess-live", time_zone="Europe/Stockholm")


def document(number: int) -> dict[str, Any]:
    return {
        "pid": f"10.5072/{number}",
        "title": f"X-ray study {number} of ice",
        "summary": "Neutrons and x rays: 10²¹ of them.",
        "type": "proposal",
        "isPublic": True,
        "score": 1 / number,
        "members": [{"role": "owner", "person": {"id": "1", "fullName": "Ada Müller"}}],
        "datasets": [
            {
                "pid": f"10.5072/{number}/run",
                "title": "Run",
                "isPublic": True,
                "creationDate": "2019-04-02T00:00:00.000Z",
                "techniques": [{"pid": "PaNET01188", "name": "small angle x-ray scattering"}],
            }
        ],
    }


ITEMS = [document(number) for number in range(1, 40)]


def shown(reading: Reading) -> dict[str, Any]:
    """All that anybody asks of a reading's entities."""
    return {
        key: (
            one.stored,
            one.children,
            one.texts,
            {name: sorted(bag) for name, bag in one.bags.items()},
            {name: sorted(values) for name, values in one.facets.items()},
            one.tags,
        )
        for key, one in reading.said.items()
    }


@pytest.fixture
async def processes() -> AsyncIterator[ReadingProcesses]:
    background = Background()
    await background.open()
    made = ReadingProcesses(1, background)
    yield made
    await background.close()
    await made.close()


async def test_what_a_process_reads_is_what_is_read_here(processes: ReadingProcesses) -> None:
    await processes.start()
    _, rows = await processes.read("Document", ITEMS, CONTEXT, counted=True)
    there, here = as_reading(rows), read_objects("Document", ITEMS, CONTEXT)
    assert shown(there) == shown(here)
    assert (there.listed, there.own_scores, there.dropped) == (
        here.listed,
        here.own_scores,
        here.dropped,
    )


def test_what_is_counted_where_it_is_read_is_what_would_be_counted_later() -> None:
    before = read_objects("Document", ITEMS, CONTEXT, counted=True)
    assert shown(before) == shown(read_objects("Document", ITEMS, CONTEXT))


async def test_a_process_that_is_killed_costs_no_answer(processes: ReadingProcesses) -> None:
    """And after it has happened often enough nobody starts another."""
    readers = Readers(Workshop(), processes)
    for _ in range(MOST_FAILURES):
        await processes.start()
        (process,) = processes.warm
        os.kill(process, signal.SIGKILL)
        reading = await readers.read("Document", ITEMS, CONTEXT, counted=True)
        assert len(reading.listed) == len(ITEMS)
        assert not processes.warm
    processes.note(WORTH_IT)
    assert not processes.is_starting


async def test_a_process_gives_way_to_the_server_and_shares_its_session(
    processes: ReadingProcesses,
) -> None:
    """In a session of its own Linux would count it as much as the whole server, whatever its
    priority. Ctrl-C at the terminal is still not for it."""
    await processes.start()
    (process,) = processes.warm
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process) == min(own + BEHIND, 19)
    assert os.getsid(process) == os.getsid(0)
    assert os.getpgid(process) != os.getpgid(0)


async def test_few_records_do_not_make_anybody_start_processes(
    processes: ReadingProcesses,
) -> None:
    """They would not be asked for few: many questions with few answers are read here in any case,
    and starting processes took a second of each processor from those that waited."""
    readers = Readers(Workshop(), processes)
    for _ in range(WORTH_IT // FEW + 1):
        await readers.read("Document", ITEMS[:FEW], CONTEXT, counted=True)
    assert not processes.is_starting
    processes.note(WORTH_IT)
    assert processes.is_starting


async def test_without_processes_nobody_waits_for_them(processes: ReadingProcesses) -> None:
    with pytest.raises(NobodyReads):
        await processes.read("Document", ITEMS, CONTEXT, counted=False)


async def test_whoever_is_called_off_leaves_the_process_in_order(
    processes: ReadingProcesses,
) -> None:
    await processes.start()
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            await processes.read("Document", ITEMS, CONTEXT, counted=True)

        tasks.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    _, rows = await processes.read("Document", ITEMS[:1], CONTEXT, counted=True)
    assert rows.listed == ("document:doi:10.5072/1",)


async def test_whoever_waits_for_a_process_in_vain_reads_by_himself(
    processes: ReadingProcesses,
) -> None:
    await processes.start()
    (process,) = processes.warm
    os.kill(process, signal.SIGSTOP)
    readers = Readers(Workshop(), processes)
    found: list[Reading] = []

    async def read() -> None:
        found.append(await readers.read("Document", ITEMS, CONTEXT, counted=True))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(read)
        await anyio.lowlevel.checkpoint()
        os.kill(process, signal.SIGKILL)
    assert [len(one.listed) for one in found] == [len(ITEMS)] * 3


async def test_a_process_that_was_ended_with_its_question_is_replaced(
    processes: ReadingProcesses,
) -> None:
    """A deadline of the whole answer comes as asyncio's own cancellation, which nothing stops."""
    await processes.start()
    processes.note(WORTH_IT)
    (process,) = processes.warm
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.0):
            await processes.read("Document", ITEMS, CONTEXT, counted=True)
    assert not processes.warm
    assert not processes.is_starting
    with pytest.raises(NobodyReads):
        await processes.read("Document", ITEMS, CONTEXT, counted=True)
    assert processes.is_starting


def test_a_process_goes_on_after_a_message_that_it_cannot_read() -> None:
    import pickle

    broken = pickle.dumps(("Nothing", False, CONTEXT, b"[{}]"))
    took_s, said = pickle.loads(work(broken))
    assert took_s == 0.0
    assert "Nothing" in said


def test_a_process_ends_when_there_is_nothing_more_to_read(tmp_path: Any) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(frame(b"")[:5])
    with source.open("rb") as reading, target.open("wb") as writing:
        serve(reading, writing)
    assert target.read_bytes() == b""
