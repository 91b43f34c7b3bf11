"""What a server says when there are no more connections to be had."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from search_api.connections import TELL_AGAIN_S, Exhaustion


async def test_a_server_without_connections_says_so_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """asyncio wrote 25 MB of traces in twelve seconds."""
    now = [0.0]
    exhaustion = Exhaustion(lambda: now[0])
    loop = asyncio.get_running_loop()
    none_left = {"message": "accept", "exception": OSError(errno.EMFILE, os.strerror(errno.EMFILE))}
    for seconds in (0.0, 1.0, TELL_AGAIN_S, TELL_AGAIN_S + 1):
        now[0] = seconds
        exhaustion.tell(loop, none_left)
    exhaustion.tell(loop, {"message": "another fault", "exception": ValueError("ours")})
    told = [record.getMessage().splitlines()[0] for record in caplog.records]
    said = "No further connection can be taken: Too many open files."
    assert told == [said, said, "another fault"]
