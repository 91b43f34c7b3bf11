"""How many requests one client may make: a bucket of tokens for each, filled steadily (fault I08).

Who a client is, is what the socket says; behind proxies of one's own, as many of which must be
named, what the outermost of them says. An IPv6 client is its network of 64 bits, since that is what
one subscriber has.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from time import monotonic

from search_api.errors import TooManyRequests

MOST_CLIENTS = 20_000
"""Clients remembered; who has not been seen for longest is forgotten, and starts anew."""


class RateLimiter:
    """Counts the requests of each client of one server process.

    Args:
        per_s: requests a second on average; 0 for no limit.
        burst: requests at once after a pause.
        spare_loopback: do not count clients on this machine.
    """

    def __init__(
        self,
        per_s: float,
        burst: int,
        *,
        spare_loopback: bool = True,
        clock: Callable[[], float] = monotonic,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        self._per_s = per_s
        self._burst = max(1, burst)
        self._spare_loopback = spare_loopback
        self._clock = clock
        self._most_clients = most_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str | None) -> None:
        """Count one request of the client at ``address``.

        Raises:
            TooManyRequests: its bucket is empty; says in how many seconds it is not.
        """
        if self._per_s <= 0:
            return
        client = client_of(address, self._spare_loopback)
        if client is None:
            return
        now = self._clock()
        left, seen = self._buckets.get(client, (float(self._burst), now))
        left = min(self._burst, left + (now - seen) * self._per_s)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequests(self._per_s, max(1, math.ceil((1 - left) / self._per_s)))


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
