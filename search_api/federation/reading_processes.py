"""Processes that read facilities' objects beside the server, so that neither its event loop nor its
interpreter is held by them and every core works.

They are started once a server has read so many records that it will read more, are kept warm, and
are given up when they fail again and again: then threads read, as before they were there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import orjson

from catalogue.readings import Rows
from catalogue.records import EntityClass
from mappings.context import Context
from search_api.federation.background import Background
from search_api.federation.reading_process import LENGTH_BYTES, PIPE_BYTES, frame
from search_api.garbage import left_alone

log = logging.getLogger("pan_commons.search_api.federation")

WORTH_IT = 200
"""Records read by the server itself before processes are started, which takes a second of each."""
BEHIND = 10
"""Steps of priority (``nice``). The event loop, waking up, takes the processor from such a process:
of the same priority it had to wait for it, 4 to 16 ms time and again, and no answer was the sooner
for that. Beside other programs it still gets a tenth of what one of them does."""
MOST_FAILURES = 3
END_WITHIN_S = 5.0
_BROKEN = (OSError, asyncio.IncompleteReadError, pickle.UnpicklingError, EOFError)


class NobodyReads(Exception):
    """No process gave an answer; the caller reads by itself."""


class ReadingProcesses:
    """Args:
    most: processes; no more than there are processors.
    background: where they are started; it is closed before they are.
    """

    def __init__(self, most: int, background: Background) -> None:
        self._most = min(most, os.cpu_count() or 1)
        self._background = background
        self._records = 0
        self._failures = 0
        self._started = False
        self._warm: set[asyncio.subprocess.Process] = set()
        self._idle: list[asyncio.subprocess.Process] = []
        self._waiting: deque[asyncio.Future[asyncio.subprocess.Process | None]] = deque()

    def note(self, records: int) -> None:
        """So many records were read by the server itself; begins to start processes when that has
        become worth it."""
        self._records += records
        if self._records < WORTH_IT or self._started or self._failures >= MOST_FAILURES:
            return
        self._started = True
        self._background.start(self.start)

    async def start(self) -> None:
        """Start those that are missing; gives back control when they are warm."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._most - len(self._warm)):
                tasks.start_soon(self._start)

    @property
    def warm(self) -> list[int]:
        """Process ids of those that can be asked."""
        return [process.pid for process in self._warm]

    @property
    def is_starting(self) -> bool:
        """Whether processes were asked for; stays so until one ends."""
        return self._started

    async def read(
        self,
        entity_class: EntityClass,
        items: Sequence[Any],
        context: Context,
        *,
        counted: bool,
    ) -> tuple[float, Rows]:
        """Seconds of a processor that it took, and what ``catalogue.readings.read_rows`` gives.

        Raises:
            NobodyReads: no process is there, or it failed.
        """
        if len(self._warm) < self._most:
            self.note(0)  # One was ended: another takes its place.
        plain = replace(context, options=dict(context.options))
        told = (entity_class, counted, plain, orjson.dumps(items))
        message = frame(pickle.dumps(told, protocol=5))
        process = await self._take()
        if process is None:
            raise NobodyReads
        # Whoever waits may be called off; the process's answer has to be taken all the same.
        with anyio.CancelScope(shield=True):
            try:
                answer = await self._exchange(process, message)
            except BaseException as problem:
                await self._end(process)
                if not isinstance(problem, _BROKEN):
                    self._started = False  # Ended because half an answer was waiting, by no fault.
                    raise
                self._failed(problem)
                raise NobodyReads from problem
        self._give_back(process)
        # Whoever waits for it gives it the next records before the caller looks at these.
        await asyncio.sleep(0)
        if answer is None:
            raise NobodyReads
        return answer

    async def close(self) -> None:
        """End the processes; to be called when nobody waits for them any more."""
        for process in list(self._warm):
            await self._end(process)

    async def _exchange(
        self, process: asyncio.subprocess.Process, message: bytes
    ) -> tuple[float, Rows] | None:
        assert process.stdin is not None
        process.stdin.write(message)
        await process.stdin.drain()
        body = await _body(process)
        with left_alone():
            took_s, rows = pickle.loads(body)  # noqa: S301 (our own child's)
        if isinstance(rows, str):  # the process is well; the objects are read here, and it shows
            log.warning("a process that reads answers failed: %s", rows)
            return None
        return took_s, rows

    async def _take(self) -> asyncio.subprocess.Process | None:
        """An idle process, first come first served; ``None`` when there are none any more."""
        if self._idle:
            return self._idle.pop()
        if not self._warm:
            return None
        # A future: everybody comes by here, and anyio's conditions take several rounds of the loop.
        given: asyncio.Future[asyncio.subprocess.Process | None]
        given = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled() and (process := given.result()) is not None:
                self._give_back(process)
            raise

    def _give_back(self, process: asyncio.subprocess.Process) -> None:
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(process)
                return
        self._idle.append(process)

    async def _start(self) -> None:
        try:
            process = await _spawned()
        except OSError as problem:
            self._failed(problem)
            return
        try:
            await _body(process)
        except BaseException as problem:
            await self._end(process)
            if not isinstance(problem, _BROKEN):
                raise
            self._failed(problem)
        else:
            self._warm.add(process)
            self._give_back(process)

    def _failed(self, problem: Exception) -> None:
        self._failures += 1
        self._started = False
        log.warning("a process that reads answers failed (%s); going on without it", problem)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._warm.discard(process)
        while not self._warm and self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(None)
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                process.kill()
            with anyio.move_on_after(END_WITHIN_S):
                # Not only waits: what it still had to say must be taken out of the pipe.
                await process.communicate()


async def _body(process: asyncio.subprocess.Process) -> bytes:
    """The next message of a process."""
    assert process.stdout is not None
    head = await process.stdout.readexactly(LENGTH_BYTES)
    return await process.stdout.readexactly(int.from_bytes(head, "big"))


async def _spawned() -> asyncio.subprocess.Process:
    process = None
    with anyio.CancelScope(shield=True):  # half started it could not be ended
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "search_api.federation.reading_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            # Ctrl-C is the server's; its end is theirs. No session of its own: Linux shares the
            # processors among sessions before it looks at priorities.
            process_group=0,
        )
    assert process is not None
    _give_way(process.pid)
    return process


def _give_way(pid: int) -> None:
    """Let a process run behind this one, from now on and while it starts."""
    with suppress(OSError):
        own = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, pid, own + BEHIND)
