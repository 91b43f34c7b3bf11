"""What all tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from catalogue.threads import Driver
from simulator.simulated_time import SimulatedLoop

SHARED_DATA = "PAN_COMMONS_SHARED_DATA"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party reference data, which is not part of the project.

    It is looked for beside the checkout; elsewhere, name it in ``PAN_COMMONS_SHARED_DATA``.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get(SHARED_DATA, beside))
    if not folder.is_dir():
        pytest.skip(f"third-party reference data not found; set {SHARED_DATA} to its folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def simulated_time_waits_for_questions() -> None:
    """Simulated time stands still while a question is driven in a thread of the catalogue's own:
    the simulator knows the other rooms' threads only where they are anyio's."""
    in_one_thread = Driver.in_one_thread

    async def counted(self: Driver, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        loop = asyncio.get_running_loop() if asyncio._get_running_loop() else None
        if not isinstance(loop, SimulatedLoop):
            return await in_one_thread(self, work)
        with loop.thread_at_work():
            return await in_one_thread(self, work)

    Driver.in_one_thread = counted  # type: ignore[method-assign]
