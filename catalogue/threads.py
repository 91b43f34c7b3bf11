"""Work that blocks, in worker threads: one hop for a whole question, not one for each of its steps.

Handing over between threads costs little by itself, but they all share one interpreter: with eight
clients asking, a question that went to a thread and back for each step took 3.1 ms of processor
time, and 1.8 ms in one go (measured on two cores). A hop by anyio's worker threads takes some 60 µs
of it, one of ours 17. Where many ask at once, answers wait for each other for a moment and wake the
event loop together: awake, it takes the interpreter from the questions and gives it back at each
call to the network, which cost more than a quarter of the processor time when it woke for each.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread

Result = TypeVar("Result")
Work = Callable[[], Coroutine[Any, Any, Any]]

AT_ONCE = 4
"""Questions worked on at the same time, where there are long ones among them."""

IN_TURN = 2
"""Threads that answer short questions: while one searches, which needs no interpreter, the other
has it. They gave 1.2 times the rate of one alone where the machine had nothing else to do, and a
tenth less at a load of 20; more of them wait for the interpreter in each other's way."""

PATIENCE_S = 0.01
"""When no question was answered for so long and others wait, another thread helps, so that long
questions do not hold up short ones."""

IDLE_LOOKS = 5
"""How often that time may pass without any work being done before another thread helps."""

TOGETHER = 8
"""Answers that wake the event loop together at most; never more than questions are waiting."""

HELD_S = 0.003
"""How old the first of them may be when another is held back; ``PATIENCE_S`` later all go."""

LINGER_S = 0.5
"""A thread that helps ends when nothing was left to do for so long, or another is free."""


class _Abandoned(Exception):
    """Nobody waits for the question any more."""


class _Job:
    """A question on its way through a worker thread. ``left``: whoever asked has gone."""

    __slots__ = ("future", "left", "results", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any], results: _Results) -> None:
        self.work = work
        self.future = future
        self.results = results
        self.left = False


class _Place(threading.local):
    """What this thread is at: the question that it drives."""

    job: _Job | None = None


_PLACE = _Place()


async def in_thread(function: Callable[[], Result]) -> Result:
    """The result of a function that blocks: from a worker thread, or at once where this coroutine
    is being driven in one (see ``in_one_thread``)."""
    job = _PLACE.job
    if job is None:
        return await anyio.to_thread.run_sync(function)
    if job.left:
        raise _Abandoned
    return function()


class _Results:
    """Answers on their way back to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.under_way = 0
        self.delivered = 0
        self.is_watched = False
        self._ready: deque[tuple[_Job, Any, BaseException | None]] = deque()
        self._waking = False
        self._held_since = 0.0

    def put(self, job: _Job, result: Any, error: BaseException | None, behind: int) -> None:
        """From a worker thread: hand over, and wake the loop unless it is being woken, or others
        will be ready at once.

        Args:
            behind: questions that wait for a thread. The loop looks after who waits (``_watch``),
                and for held answers with that.
        """
        ready = self._ready
        ready.append((job, result, error))
        if self._waking:
            return
        if len(ready) < min(behind, TOGETHER):
            now = time.monotonic()
            if len(ready) == 1:
                self._held_since = now
            if now - self._held_since < HELD_S:
                return
        self._waking = True
        try:
            self.loop.call_soon_threadsafe(self.deliver)
        except RuntimeError:
            ready.clear()  # The loop is closed: nobody waits.

    def deliver(self) -> None:
        """On the loop: give everybody the answer that is ready."""
        # First, so that what is put from now on wakes the loop again.
        self._waking = False
        while self._ready:
            job, result, error = self._ready.popleft()
            self.under_way -= 1
            self.delivered += 1
            if job.future.done():
                continue
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)


class _Waiting(Executor):
    """Hands one job to the threads by way of the loop's own ``run_in_executor``, so that a loop
    which looks whether threads are at work sees this one. asyncio's own futures pass unchanged."""

    def __init__(self, jobs: SimpleQueue[_Job | None]) -> None:
        self._jobs = jobs

    def submit(self, job: Any, /, *args: Any, **options: Any) -> Any:
        self._jobs.put(job)
        return job.future


class Driver:
    """Drives coroutines that wait for nothing but ``in_thread``, each in one worker thread. The
    threads end with it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = _Waiting(self._jobs)
        self._progress = _Progress()
        self._ends: list[weakref.finalize[Any, Driver]] = []
        self._helpers: list[threading.Thread] = []
        self._results: _Results | None = None

    async def in_one_thread(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the coroutine that ``work`` makes. When whoever asked is cancelled, the
        coroutine ends at its next step."""
        if _PLACE.job is not None:
            return await work()
        loop = asyncio.get_running_loop()
        results = self._results
        if results is None or results.loop is not loop:
            results = self._results = _Results(loop)
        job = _Job(work, loop.create_future(), results)
        results.under_way += 1
        if len(self._ends) < min(results.under_way, IN_TURN, self._at_once):
            self._start(_serve)
            self._ends.append(weakref.finalize(self, self._jobs.put, None))
        if results.under_way > 1 and not results.is_watched:
            self._watch(results)
        try:
            result: Result = await loop.run_in_executor(self._waiting, cast(Any, job))
            return result
        except asyncio.CancelledError:
            job.left = True
            raise

    def close(self) -> None:
        """Let the threads end once they have answered what they were asked. Another question would
        begin a new one."""
        for end in self._ends:
            end()
        self._ends.clear()

    def _start(
        self, serve: Callable[[SimpleQueue[_Job | None], _Progress], None]
    ) -> threading.Thread:
        given = (self._jobs, self._progress)
        made = threading.Thread(target=serve, args=given, daemon=True, name="questions")
        made.start()
        return made

    def _watch(self, results: _Results) -> None:
        """Look in a moment whether those at work are held up."""
        results.is_watched = True
        look = partial(self._help, results, results.delivered, time.process_time(), IDLE_LOOKS)
        results.loop.call_later(PATIENCE_S, look)

    def _help(self, results: _Results, delivered: int, spent_s: float, looks: int) -> None:
        results.is_watched = False
        results.deliver()
        if self._jobs.empty():
            return
        if results.delivered == delivered:
            if time.process_time() - spent_s < PATIENCE_S / 2 and looks:
                # Nobody is at work here: another program has the processor, or the disk is slow.
                results.is_watched = True
                look = partial(self._help, results, delivered, spent_s, looks - 1)
                results.loop.call_later(PATIENCE_S, look)
                return
            self._helpers = [one for one in self._helpers if one.is_alive()]
            if len(self._helpers) + len(self._ends) < self._at_once:
                self._helpers.append(self._start(_serve_meanwhile))
        self._watch(results)


def is_driven() -> bool:
    """Whether this is a worker thread that drives a question: there is no event loop here."""
    return _PLACE.job is not None


@dataclass(slots=True)
class _Progress:
    """Questions that the threads which do not end have finished."""

    finished: int = 0


def _serve(jobs: SimpleQueue[_Job | None], progress: _Progress) -> None:
    """A worker thread: one question after the other until it is told to end."""
    while (job := jobs.get()) is not None:
        _work_on(job, jobs)
        progress.finished += 1
        del job


def _serve_meanwhile(jobs: SimpleQueue[_Job | None], progress: _Progress) -> None:
    """Another, while these are held up: more at once would wait for the interpreter."""
    finished = progress.finished
    while progress.finished == finished:
        try:
            job = jobs.get(timeout=LINGER_S)
        except Empty:
            return
        if job is None:
            jobs.put(None)
            return
        _work_on(job, jobs)
        del job


def _work_on(job: _Job, jobs: SimpleQueue[_Job | None]) -> None:
    result, error = None, None
    if not job.future.cancelled():
        try:
            result = _drive(job)
        except BaseException as raised:
            error = raised
    job.results.put(job, result, error, jobs.qsize())


def _drive(job: _Job) -> Any:
    _PLACE.job = job
    coroutine = job.work()
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    finally:
        _PLACE.job = None
    coroutine.close()
    raise RuntimeError("A question waited for something else than a thread's work.")


__all__ = ["Driver", "in_thread", "is_driven"]
