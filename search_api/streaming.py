"""Sending a stream: its status is decided by its first message, its end is always said.

Until there is something to send, what goes wrong becomes an ordinary error. Afterwards it becomes
the last message, ``error``, in the same form. A client that does not read holds the sender up, and
nobody else; one that is gone ends everything that was done for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from search_api.replies import Stream
from search_api.responses import add_headers
from search_api.settings import ServerSettings

LAST_WORD_S = 1.0
"""How long a client that has stopped reading may take over a last message."""


class _Gone(Exception):
    """The client has left."""


class Sending:
    """One stream on its way to one client."""

    def __init__(
        self, request: web.Request, stream: Stream, settings: ServerSettings, request_id: str
    ) -> None:
        self._request = request
        self._stream = stream
        self._settings = settings
        self._request_id = request_id
        self._response: web.StreamResponse | None = None
        self._is_held_up = False

    @property
    def has_begun(self) -> bool:
        """Whether status and headers are sent, so that no other answer is possible."""
        return self._response is not None

    async def run(self) -> web.StreamResponse:
        """Send it all.

        Raises:
            What making the messages raises; ``fail`` then says it if ``has_begun``.
        """
        with contextlib.suppress(_Gone):
            await self._stream.tell(self._emit)
        # When it is gone, what was done for it has been given up on the way here.
        return await self._begun()

    async def fail(self, error: Mapping[str, Any]) -> web.StreamResponse:
        """Say as the last message that it will not be finished."""
        response = await self._begun()
        if self._is_held_up:
            # It does not read, and what cut the writing short has broken aiohttp's wait for it.
            self._hang_up()
            return response
        try:
            async with asyncio.timeout(LAST_WORD_S):
                await response.write(self._stream.encode({"event": "error", "error": error}))
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            self._hang_up()
        return response

    def _hang_up(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _emit(self, message: Mapping[str, Any]) -> None:
        response = await self._begun()
        self._is_held_up = True
        try:
            await response.write(self._stream.encode(message))
        except ConnectionError as error:
            raise _Gone from error
        self._is_held_up = False

    async def _begun(self) -> web.StreamResponse:
        if self._response is not None:
            return self._response
        response = web.StreamResponse(
            headers={
                "Content-Type": self._stream.content_type,
                "Cache-Control": "no-store",
                "Vary": "Accept, Origin",
                # Proxies must not wait for the whole of it (nginx's word for that).
                "X-Accel-Buffering": "no",
            }
        )
        add_headers(self._request, response.headers, self._settings, self._request_id)
        await response.prepare(self._request)
        self._response = response
        return response
