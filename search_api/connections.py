"""What a server says when there are no more connections to be had."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

TELL_AGAIN_S = 60.0

logger = logging.getLogger("pan_commons.search_api.http")


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
