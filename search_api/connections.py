"""How many connections a server may have, and what it says when there are no more."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

MOST_FILES = 65_536
TELL_AGAIN_S = 60.0

logger = logging.getLogger("pan_commons.search_api.http")


def allow_connections() -> None:
    """Let this process have as many files and connections as it may: systems start it with 1,024
    of many more, for programs that count in bits (``select``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Exhaustion:
    """What an event loop does about faults that nobody awaits: one that has no connection left
    tries a thousand times a second, and asyncio logs each with its trace."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told_at: float | None = None

    def tell(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """The loop's exception handler."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(dict(context))
            return
        now = self._monotonic()
        if self._told_at is None or now - self._told_at >= TELL_AGAIN_S:
            self._told_at = now
            logger.error("No further connection can be taken: %s.", error.strerror)


__all__ = ["MOST_FILES", "Exhaustion", "allow_connections"]
