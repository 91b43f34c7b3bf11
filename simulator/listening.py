"""A port that can be shut and opened again while it stays the facility's own.

A second socket is bound to the port and never listens: so nobody else is given the port while it
is shut, and who connects then is refused by the system itself.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from simulator.errors import PortInUse

BACKLOG = 128


class Door:
    """Where a facility listens. ``port`` is known once it has been opened.

    Args:
        runner: set up already.
        name: of the facility, for the error message.
        port: 0 lets the system choose.
    """

    def __init__(self, runner: web.AppRunner, name: str, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._runner, self._name = runner, name
        self._held: socket.socket | None = None
        self._site: web.SockSite | None = None

    @property
    def is_open(self) -> bool:
        return self._site is not None

    async def open(self) -> None:
        """Listen; nothing to do when open. Raises PortInUse: somebody else listens there."""
        if self._site is not None:
            return
        try:
            if self._held is None:
                self._held = await self._bound()
                self.port = self._held.getsockname()[1]
            listening = await self._bound()
            site = web.SockSite(self._runner, listening, backlog=BACKLOG)
            await site.start()
        except OSError as error:
            raise PortInUse(
                f"{self._name} cannot listen on {self.host}:{self.port}: {error.strerror}."
            ) from error
        self._site = site

    async def shut(self) -> None:
        """Refuse connections from now on, and break those that are open."""
        if self._site is None:
            return
        site, self._site = self._site, None
        await site.stop()
        server = self._runner.server
        for connection in list(server.connections) if server is not None else ():
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    def leave(self) -> None:
        """Give the port back."""
        if self._held is not None:
            self._held.close()
            self._held = None

    async def _bound(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound
