"""An event loop whose time passes only when nobody has anything to do.

Servers, clients and simulated facilities that share one such loop (and talk over loopback) live
through an hour in the seconds that their work takes: whenever every socket is silent and no thread
is at work, time jumps to the next timer. Nothing needs to be told: ``asyncio.sleep``, anyio's
deadlines, aiohttp's time-outs and ``loop.time`` all agree.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio.to_thread

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock says when a simulated loop begins."""

_SETTLING_S = 0.0005
"""How long silence must last (really) before time jumps: loopback is quick, not instant."""
_THREAD_POLL_S = 0.05


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets as ever; where it would wait for a timer, time jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.is_busy: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        while True:
            events = super().select(_SETTLING_S)
            if events:
                return events
            if self.is_busy() or timeout is None:
                events = super().select(_THREAD_POLL_S)
                if events:
                    return events
                continue
            self.now_s += timeout
            return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The loop; ``time()`` begins at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._jumping.is_busy = lambda: self.in_threads > 0
        self.in_threads = 0
        super().__init__(self._jumping)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._jumping.now_s

    def now(self) -> datetime:
        """The simulated instant, aware UTC."""
        return START + timedelta(seconds=self.time())

    @contextmanager
    def thread_at_work(self) -> Iterator[None]:
        """Time stands still meanwhile."""
        self.in_threads += 1
        try:
            yield
        finally:
            self.in_threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait for the threads as long as that takes really: five simulated minutes, which Python
        3.12 and later would give them, are over at once."""
        await super().shutdown_default_executor()

    def run_in_executor(  # type: ignore[no-untyped-def, override]
        self, executor, func, *args
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        working = self.thread_at_work()
        working.__enter__()
        future.add_done_callback(lambda _: working.__exit__(None, None, None))
        return future


@contextmanager
def _threads_watched(loop: SimulatedLoop) -> Iterator[None]:
    """anyio has its own threads, with many limiters: its one entry is where to count them."""
    run_sync = anyio.to_thread.run_sync

    async def counted(*args: Any, **options: Any) -> Any:
        with loop.thread_at_work():
            return await run_sync(*args, **options)

    anyio.to_thread.run_sync = counted  # type: ignore[assignment]
    try:
        yield
    finally:
        anyio.to_thread.run_sync = run_sync


def run_simulated(main: Callable[[SimulatedLoop], Coroutine[Any, Any, T]]) -> T:
    """Run ``main(loop)`` to its end in simulated time; one at a time in a process."""

    async def begin() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        with _threads_watched(loop):
            return await main(loop)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(begin())
