"""HTTP proxies between us and a facility, and what the check of addresses can still do then.

Through a proxy we connect to the proxy, whose address is the operator's word and may be private;
it is the proxy that looks the facility's name up and connects. The check on the address that is
connected to (fault I02) is then the proxy's to make, so we make ours before we ask it: a literal
address is checked as ever, a name is looked up here and refused when any of its addresses is not
allowed, and a name that only the inside knows (``intranet``, ``x.local``) is refused unless the
source is listed as internal. A name that cannot be looked up here, as is usual behind a proxy, is
left to the proxy: whoever has one should let it refuse private addresses too.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import aiohttp
from yarl import URL

from facility_http.addresses import IF_INTERNAL, reason_to_refuse
from facility_http.credentials import Credential
from facility_http.errors import FacilityHttpError, ForbiddenAddress

NO_PROXY = "none"
"""What a source's option ``proxy`` says to have none, whatever the environment names."""

# Names that only a resolver inside knows (RFC 6761, RFC 6762, RFC 8375, and usage).
_INSIDE = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp")


class BadProxy(FacilityHttpError):
    """The proxy that is named is none that can be used."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy: its address without user, and the password that it wants."""

    url: URL
    user: str | None = None
    credential: Credential | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy, and only it, is told: user and password (RFC 9110, 11.7.2)."""
        if self.user is None:
            return {}
        pair = f"{self.user}:{self.credential.value if self.credential else ''}"
        return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy is asked for which address; ``bypass`` is a list as ``NO_PROXY`` holds it."""

    by_scheme: Mapping[str, Proxy]
    bypass: str = ""

    def of(self, url: URL) -> Proxy | None:
        """The proxy for an address, or ``None``: it is asked directly."""
        proxy = self.by_scheme.get(url.scheme)
        if proxy is None:
            return None
        return None if _bypassed(url, self.bypass) else proxy


def _bypassed(url: URL, bypass: str) -> bool:
    """Whether a list such as ``localhost,.esrf.fr,host:8080`` or ``*`` names the address."""
    host = (url.host or "").rstrip(".").lower()
    for entry in bypass.lower().replace(",", " ").split():
        name = entry.removeprefix("*").removeprefix(".")
        if not name:
            return entry == "*"
        if name in (host, f"{host}:{url.port}") or f"{host}:{url.port}".endswith(f".{name}"):
            return True
        if host.endswith(f".{name}"):
            return True
    return False


def read_proxies(
    option: str | None, *, internal: bool, environment: Mapping[str, str] = os.environ
) -> Proxies | None:
    """The proxies of a source: those of its option ``proxy``, else those of the environment.

    Args:
        option: an address, ``none``, or nothing said.
        internal: the source is in this house: the environment's proxies, which lead out of it, are
            not for it; one named by its own option is.

    Raises:
        BadProxy: what is named is no http(s) address.
    """
    if option is not None:
        if option == NO_PROXY:
            return None
        proxy = read_proxy(option, "the option `proxy`")
        return Proxies({"http": proxy, "https": proxy})
    if internal:
        return None
    found = {}
    for scheme in ("http", "https"):
        # Upper-case HTTP_PROXY may come from a request's header where a web server started us.
        names = (f"{scheme}_proxy", "HTTPS_PROXY") if scheme == "https" else ("http_proxy",)
        for name in (*names, "all_proxy", "ALL_PROXY"):
            if environment.get(name):
                found[scheme] = read_proxy(environment[name], f"the environment variable {name}")
                break
    bypass = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return Proxies(found, bypass) if found else None


def read_proxy(text: str, place: str) -> Proxy:
    """Read one address; a password in it goes into no message.

    Raises:
        BadProxy: it is no http(s) address.
    """
    try:
        url = URL(text if "://" in text else f"http://{text}")
        host, user, password = url.host, url.raw_user, url.raw_password
        bare = url.with_user(None)
    except ValueError:
        raise BadProxy(f"{place} names no address of a proxy") from None
    if url.scheme not in ("http", "https") or not host:
        raise BadProxy(f"{place} should name an http(s) proxy, such as http://proxy:3128")
    secret = None if password is None else Credential("Proxy-Authorization", unquote(password))
    return Proxy(bare, None if user is None else unquote(user), secret)


async def check_target(
    here: URL, resolver: aiohttp.abc.AbstractResolver, *, internal: bool, shown: str
) -> None:
    """Look a name up before a proxy is asked for it.

    Args:
        shown: the address for messages, redacted.

    Raises:
        ForbiddenAddress: it leads, or may lead, to an address that is not allowed.
    """
    host = (here.host or "").rstrip(".").lower()
    try:
        found = [one["host"] for one in await resolver.resolve(host, here.port or 0)]
    except OSError:
        inside = ("." not in host and ":" not in host) or f".{host}".endswith(_INSIDE)
        if inside and not internal:
            raise ForbiddenAddress(
                f"{host} is a name that only the inside knows; {IF_INTERNAL}", url=shown
            ) from None
        return
    for address in found:
        reason = reason_to_refuse(address, internal=internal)
        if reason is not None:
            raise ForbiddenAddress(f"{address} is {reason}", url=shown)
