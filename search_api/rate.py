"""How many requests one client may make: an allowance for each, which fills steadily (fault I08).

Who a client is, is what the socket says; behind proxies of one's own, as many of which must be
named, what the outermost of them says. An IPv6 client is its network of 64 bits, since that is what
one subscriber has.

An allowance is one number, the instant from which it is full again, in a table of fixed size. The
processes of one ``serve`` have the table in memory that they share, so a client has the same
allowance however its connections are spread over them. They take no lock: two that look at one
client in the same microsecond count one request less. A row whose instant has passed says no more
than no row, so forgetting it costs nothing; where all that a client may have are in use, the one
that is full soonest makes room.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from time import monotonic

from search_api.errors import TooManyRequests

MOST_CLIENTS = 32_768
"""Rows of a table: clients remembered at most."""
WAYS = 8
"""Rows in which one client may stand."""
SECRET_BYTES = 16
NOTHING = 1e-6
"""Of one request; what sums of doubles are wrong by."""


def table_bytes(most_clients: int = MOST_CLIENTS) -> int:
    """The room that a table takes: a secret, and two numbers of eight bytes for each client."""
    return SECRET_BYTES + 16 * _rows(most_clients)


def _rows(most_clients: int) -> int:
    return max(1, most_clients // WAYS) * WAYS


def prepare_table(memory: memoryview) -> None:
    """Give the table in zeroed memory the secret by which clients are spread over its rows, so that
    nobody can choose addresses that push another out."""
    memory[:SECRET_BYTES] = secrets.token_bytes(SECRET_BYTES)


class RateLimiter:
    """Counts the requests of each client.

    Args:
        per_s: requests a second on average; 0 for no limit.
        burst: requests at once after a pause.
        spare_loopback: do not count clients on this machine.
        clock: seconds; of the machine, where processes share the table.
        memory: a table that is prepared and shared with other processes; else it is our own.
    """

    def __init__(
        self,
        per_s: float,
        burst: int,
        *,
        spare_loopback: bool = True,
        clock: Callable[[], float] = monotonic,
        most_clients: int = MOST_CLIENTS,
        memory: memoryview | None = None,
    ) -> None:
        self._per_s = per_s
        self._burst = max(1, burst)
        self._spare_loopback = spare_loopback
        self._clock = clock
        rows = _rows(most_clients)
        if memory is None:
            memory = memoryview(bytearray(table_bytes(most_clients)))
            prepare_table(memory)
        self._secret = bytes(memory[:SECRET_BYTES])
        numbers = memory[SECRET_BYTES : SECRET_BYTES + 16 * rows]
        self._names = numbers[: 8 * rows].cast("Q")
        self._full_at = numbers[8 * rows :].cast("d")
        self._places: dict[str, tuple[int, int]] = {}

    def take(self, address: str | None) -> None:
        """Count one request of the client at ``address``.

        Raises:
            TooManyRequests: its allowance is used up; says in how many seconds it is not.
        """
        if self._per_s <= 0:
            return
        client = client_of(address, self._spare_loopback)
        if client is None:
            return
        now = self._clock()
        place = self._place(client)
        full_at = max(now, self._full_at[place])
        left = self._burst - (full_at - now) * self._per_s
        if left < 1 - NOTHING:
            raise TooManyRequests(self._per_s, max(1, math.ceil((1 - left) / self._per_s)))
        self._full_at[place] = full_at + 1 / self._per_s

    def _place(self, client: str) -> int:
        """The row of a client, which may have to be taken from another."""
        known = self._places.get(client)
        if known is not None and self._names[known[0]] == known[1]:
            return known[0]
        digest = blake2b(client.encode(), digest_size=8, key=self._secret).digest()
        name = int.from_bytes(digest, "little") or 1
        first = name % (len(self._names) // WAYS) * WAYS
        places = range(first, first + WAYS)
        place = next((place for place in places if self._names[place] == name), None)
        if place is None:
            place = min(places, key=self._full_at.__getitem__)
            self._full_at[place] = 0.0
            self._names[place] = name
        if len(self._places) >= len(self._names):
            self._places.clear()
        self._places[client] = place, name
        return place


@lru_cache(maxsize=4_096)
def client_of(address: str | None, spare_loopback: bool) -> str | None:
    """The name under which a client is counted; ``None`` for one that is not."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return (address or "unknown")[:64]
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        found = mapped
    if spare_loopback and found.is_loopback:
        return None
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def address_of(peer: str | None, forwarded: str, proxies: int) -> str | None:
    """The client's address.

    Args:
        peer: whom the socket is connected to.
        forwarded: the values of ``X-Forwarded-For``, to whose end each proxy adds its client.
        proxies: how many proxies of one's own stand in front; what clients wrote themselves lies
            before what these added, and is not believed.
    """
    if proxies <= 0:
        return peer
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    return hops[-proxies] if len(hops) >= proxies else (hops[0] if hops else peer)
