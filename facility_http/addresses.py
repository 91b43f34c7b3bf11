"""Which addresses may be connected to (faults I01, I02).

The check sits where sockets are made, so the address tested is the address used, whatever a name
resolved to a moment before and whatever spelling (``127.1``, ``0x7f000001``) it had.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from facility_http.errors import ForbiddenAddress
from facility_http.places import Target

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services; no catalogue lives there, so even internal sources may not ask them.
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
        "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    )
)  # fmt: skip
# Carrier-grade NAT, 6to4 relays, site-local, local NAT64 and documentation ranges are not "private"
# to every Python.
_ALSO_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "240.0.0.0/4", "fec0::/10", "64:ff9b:1::/48", "3fff::/20",
    )
)  # fmt: skip
IF_INTERNAL = "list the source as internal if that is meant"
SPELLING = "write it as four numbers, such as 192.0.2.1"
"""What to do about a refusal, where something can be done."""

_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))


class RefusedAddress(OSError):
    """Raised inside aiohttp's connector; ``http.translate`` turns it into ForbiddenAddress."""

    marker = "address not allowed"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{self.marker}: {address} is {reason}")


@functools.lru_cache(maxsize=4096)
def reason_to_refuse(address: str, *, internal: bool) -> str | None:
    """Say what ``address`` (a literal IP address) is that must not be connected to, and what can be
    done about it, or ``None``.

    ``internal`` is the operator's word that private addresses are meant.
    """
    try:
        ip = _inner(ipaddress.ip_address(address.split("%", 1)[0]))
    except ValueError:
        return f"no IP address; {SPELLING}"
    if ip in METADATA_ADDRESSES:
        return "a metadata service of a cloud, which no source may ask"
    if ip.is_multicast or ip.is_unspecified:
        return "a multicast or unspecified address, which no source may ask"
    kind = None if internal else _not_public(ip)
    return None if kind is None else f"{kind}; {IF_INTERNAL}"


def _not_public(ip: Address) -> str | None:
    if ip.is_loopback:
        return "a loopback address"
    if ip.is_link_local:
        return "a link-local address"
    listed = any(ip in net for net in _ALSO_PRIVATE)
    if listed or ip.is_private or ip.is_reserved or not ip.is_global:
        return "a private or reserved address"
    return None


def _inner(ip: Address) -> Address:
    """Unwrap an IPv4 address carried inside an IPv6 one (mapped, NAT64, 6to4, compatible)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    carried = ip.ipv4_mapped or ip.sixtofour
    if carried is None and int(ip) > 1 and any(ip in net for net in _EMBEDDING):
        carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return carried or ip


def check_address(here: Target, *, internal: bool, clean: Callable[[str], str]) -> None:
    """Refuse other schemes, user info and literal addresses that are not allowed.

    Args:
        clean: takes secrets out of the address, for messages.

    Raises:
        ForbiddenAddress: it is one of those.
    """
    place = here.place
    reason = _why_not(place.scheme, place.host, bool(place.user or place.password), internal)
    if reason is not None:
        raise ForbiddenAddress(reason, url=clean(here.text))


@functools.lru_cache(maxsize=1_024)
def _why_not(scheme: str, host: str | None, has_user: bool, internal: bool) -> str | None:
    if scheme not in ("http", "https") or not host:
        return "only http and https addresses with a host are asked"
    if has_user:
        return "an address must not hold user or password"
    try:
        host.encode("idna")
    except UnicodeError:
        return "the host name cannot be one"
    literal = host.replace(".", "").isdigit() and host.count(".") == 3
    if literal or ":" in host:
        reason = reason_to_refuse(host, internal=internal)
        if reason is not None:
            return f"{host} is {reason}"
    return None


class CheckedSockets:
    """A socket factory for aiohttp that refuses addresses before connecting."""

    def __init__(self, *, internal: bool) -> None:
        self.internal = internal

    def __call__(self, address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, peer = address_info
        reason = reason_to_refuse(str(peer[0]), internal=self.internal)
        if reason is not None:
            raise RefusedAddress(str(peer[0]), reason)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made
