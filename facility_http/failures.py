"""What went wrong, named: aiohttp's exceptions and HTTP statuses become ours, in this one place."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import aiohttp

from facility_http.addresses import SPELLING, RefusedAddress
from facility_http.errors import (
    AccessRefused,
    BadRedirect,
    BadStatus,
    BrokenBody,
    CertificateTrouble,
    ChallengePage,
    ConnectionFailed,
    CutOff,
    FacilityHttpError,
    ForbiddenAddress,
    MalformedResponse,
    NotTheProtocol,
    TimedOut,
    TransportError,
)
from facility_http.waiting import read_retry_after

if TYPE_CHECKING:
    from facility_http.answers import Response

# Words that bot walls put into their pages and headers (fault A11): Cloudflare, Anubis, Imperva,
# AWS WAF, DDoS-Guard, generic captcha pages.
_CHALLENGE = re.compile(
    rb"(?i)just a moment|cf[-_]chl|challenge-platform|attention required|anubis|making sure you"
    rb"(?:'|&#39;|\xe2\x80\x99)re not a bot|captcha|_incapsula_|ddos-guard|aws-?waf|"
    rb"checking your browser|enable javascript and cookies|proof[- ]of[- ]work"
)
_CHALLENGE_HEADERS = ("cf-mitigated", "x-amzn-waf-action", "x-sucuri-block")

# OpenSSL's verify codes, in words an operator can act on (fault A12).
_VERIFY_CODES = {
    9: ("not_yet_valid", "is not valid yet (check this machine's clock)"),
    10: ("expired", "has expired"),
    18: ("self_signed", "is self-signed"),
    19: ("unknown_authority", "ends at an authority that is not trusted here"),
    20: ("incomplete_chain", "comes without its intermediate certificate, or from an unknown CA"),
    21: ("incomplete_chain", "comes without its intermediate certificate, or from an unknown CA"),
    62: ("wrong_host", "is for another host name"),
    64: ("wrong_host", "is for another address"),
}


_HOW_ENCRYPTED = re.compile(r" ssl:(?:<[^>]*>|\w+)")
"""Of the library's message; an object's address says nothing to people."""


def translate(
    error: BaseException, url: str, clean: Callable[[str], str] = lambda text: text
) -> FacilityHttpError:
    """Make our exception of one raised by aiohttp, asyncio, ssl or the operating system.

    Args:
        url: already redacted.
        clean: takes secrets out of the library's own message.
    """
    said = clean(_HOW_ENCRYPTED.sub("", str(error)) or type(error).__name__)
    if _is_refused_address(error):
        inner = clean(str(getattr(error, "os_error", error)))
        return ForbiddenAddress(inner, url=url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_trouble(error.certificate_error, url)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_trouble(error, url)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.ServerFingerprintMismatch):
        return CertificateTrouble(f"no TLS connection: {said}", url=url, reason="handshake")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TimedOut("no connection in time", url=url, limit="connect")
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
        return TimedOut("the server fell silent", url=url, limit="read_gap")
    if isinstance(error, aiohttp.ClientPayloadError):
        return BrokenBody(f"the body ended early: {said}", url=url)
    redirected = isinstance(error, aiohttp.RedirectClientError | aiohttp.TooManyRedirects)
    if isinstance(error, aiohttp.InvalidUrlClientError) and not redirected:
        # Old spellings of an address (127.1, 2130706433) that would get past a look at the name.
        return ForbiddenAddress(f"{said}; {SPELLING}", url=url)
    if redirected or isinstance(error, aiohttp.InvalidURL):
        return BadRedirect(f"not an address that can be asked: {said}", url=url)
    if isinstance(error, aiohttp.NonHttpUrlClientError):
        return ForbiddenAddress("only http and https are asked", url=url)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectionFailed(f"the host name cannot be resolved: {said}", url=url)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_trouble(error, url, clean)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return ConnectionFailed(f"no connection to the proxy: {said}", url=url)
    if isinstance(error, aiohttp.ClientResponseError):
        return ConnectionFailed(f"no valid HTTP answer: {clean(error.message)}", url=url)
    if isinstance(error, aiohttp.ClientError | OSError):
        return ConnectionFailed(f"no connection: {said}", url=url)
    return TransportError(f"{type(error).__name__}: {said}", url=url)


def _is_refused_address(error: BaseException) -> bool:
    inner = getattr(error, "os_error", error)
    # With several addresses aiohttp joins the messages and loses the type.
    return isinstance(inner, RefusedAddress) or (
        isinstance(error, OSError) and RefusedAddress.marker in str(inner)
    )


def _proxy_trouble(
    error: aiohttp.ClientHttpProxyError, url: str, clean: Callable[[str], str]
) -> TransportError:
    """The proxy does not let us through, or does not get through itself."""
    said = f"the proxy answers HTTP {error.status} {clean(error.message)}".rstrip()
    if error.status in (401, 403, 407):
        return AccessRefused(said, url=url, status=error.status)
    return ConnectionFailed(said, url=url)


def _certificate_trouble(error: BaseException, url: str) -> CertificateTrouble:
    code = getattr(error, "verify_code", 0)
    said = getattr(error, "verify_message", str(error))
    reason, words = _VERIFY_CODES.get(code, ("unknown", f"is refused: {said}"))
    return CertificateTrouble(
        f"the certificate {words} ({said}); an extra CA can be named with ca_file",
        url=url,
        reason=reason,
    )


def judge_status(
    response: Response, error: FacilityHttpError, now: datetime, clean: Callable[[str], str]
) -> FacilityHttpError:
    """Say what is wrong when a body held no answer of the protocol.

    An error of the protocol stands whatever the status (fault A09). Anything malformed under a
    status of its own (503, 403 …) is that status (fault A01); under 2xx it may be a bot wall.
    """
    if not isinstance(error, MalformedResponse):
        return error
    url = clean(response.url)
    status = response.status
    wall = _challenge(response)
    if status in (429, 503) and not wall:
        return _status_error(response, now, url)
    if wall and not isinstance(error, CutOff):
        return ChallengePage(
            f"blocked by a challenge page ({wall}); the operator of the endpoint has to let "
            f"harvesters pass [HTTP {status}]",
            url=url,
            status=status,
        )
    if 200 <= status < 300:
        return _describe(response, error, url)
    return _status_error(response, now, url)


def _status_error(response: Response, now: datetime, url: str) -> FacilityHttpError:
    status = response.status
    if status in (401, 403, 407):
        lost = response.credential_lost_at
        why = f"; the key is not sent to {lost}, where a redirect led" if lost else ""
        return AccessRefused(f"access refused (HTTP {status}){why}", url=url, status=status)
    retry_after_s = read_retry_after(response.headers.get("Retry-After"), now)
    return BadStatus(
        f"HTTP {status} without an answer of the protocol",
        url=url,
        status=status,
        retry_after_s=retry_after_s if status in (429, 503) else None,
    )


def _describe(response: Response, error: MalformedResponse, url: str) -> FacilityHttpError:
    """Complete a reader's complaint by what was received."""
    error.url = error.url or url
    error.excerpt = error.excerpt or response.excerpt[:300].decode("utf-8", "replace")
    if isinstance(error, NotTheProtocol):
        kind = response.content_type or "no content type"
        held = "an empty body" if not response.excerpt.strip() else f"a body of type {kind}"
        error.args = (f"{url}: {error.reason}: received {held} [HTTP {response.status}]",)
    elif url not in str(error):
        error.args = (f"{url}: {error.reason}",)
    return error


def _challenge(response: Response) -> str | None:
    """Name the sign of a bot wall, or ``None``."""
    for header in _CHALLENGE_HEADERS:
        if header in response.headers:
            return header
    if "html" not in response.content_type and not _looks_like_html(response.excerpt):
        return None
    found = _CHALLENGE.search(response.excerpt)
    return found.group().decode("utf-8", "replace").lower() if found else None


def _looks_like_html(excerpt: bytes) -> bool:
    start = excerpt.lstrip()[:200].lower()
    return start.startswith((b"<!doctype html", b"<html"))
