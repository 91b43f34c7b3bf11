"""What can go wrong while a facility is asked over HTTP.

FacilityHttpError                exit code 1 unless said otherwise
├── TransportError               the exchange itself failed: url, status, attempts
│   ├── ConnectionFailed         no such host, refused, reset, unreachable
│   ├── TimedOut                 over the connect, read-gap or whole-request limit
│   ├── BrokenBody               good headers, then the body ended early
│   ├── BadStatus                an HTTP status that carries no answer of the protocol
│   ├── AccessRefused            401, 403, 407: credentials missing, wrong or lost on a redirect
│   ├── ChallengePage            a bot wall answered in place of the endpoint
│   ├── CertificateTrouble       the certificate is expired, foreign, incomplete …; never ignored
│   ├── BadRedirect              too many, circular, or to no http(s) address
│   └── Parked                   the server asks for a pause longer than a worker waits: not_before
├── ForbiddenAddress             private, loopback, link-local or metadata (faults I01, I02)
├── BodyRefused                  over the cap of bytes or of the compression ratio, or corrupt
├── MalformedResponse            the answer is not what the protocol says
│   ├── CutOff                   it ends before its closing tag or bracket (fault C08)
│   └── NotTheProtocol           well-formed perhaps, but another kind of document
├── ServiceError                 a Search API says no: status and its own message
│   ├── NotOffered               the endpoint does not exist there
│   └── NotAccepted              this filter is not accepted (400, 422)
├── MissingCredential            exit code 2: a variable or file that a source names is not there
└── BadProxy                     proxies: exit code 2: what is named is no proxy

``harvester.errors`` adds the errors of OAI-PMH and of harvesting to the tree. Messages never hold
credentials: they are redacted before they are raised (fault H12).
"""

from __future__ import annotations

from datetime import datetime


class FacilityHttpError(Exception):
    """Base of everything that goes wrong when a facility is asked.

    ``retries`` says how often the same request is worth repeating: ``None`` as often as the
    fetcher's own limit allows, 0 never.
    """

    exit_code = 1
    retries: int | None = 0
    retry_after_s: float | None = None


class MissingCredential(FacilityHttpError):
    """The environment variable or file that should hold a key is not there."""

    exit_code = 2


class TransportError(FacilityHttpError):
    """The exchange with a server failed.

    Args:
        message: what happened, in words, redacted.
        url: the address asked, redacted.
        status: HTTP status, if there was one.
    """

    retries: int | None = None

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url
        self.status = status
        self.attempts = 1


class ConnectionFailed(TransportError):
    """No connection: no such host, refused, reset, unreachable."""


class TimedOut(TransportError):
    """One of the limits ran out: ``limit`` is ``connect``, ``read_gap`` or ``whole``."""

    def __init__(self, message: str, *, url: str = "", limit: str = "whole") -> None:
        super().__init__(message, url=url)
        self.limit = limit


class BrokenBody(TransportError):
    """Good headers, then the body ended before its stated end (fault A07)."""


class BadStatus(TransportError):
    """A status that says no, with a body that holds no answer of the protocol."""

    def __init__(
        self, message: str, *, url: str, status: int, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, url=url, status=status)
        self.retry_after_s = retry_after_s
        if status not in _PASSING_STATUSES:
            self.retries = 0
        elif status == 500:
            # A page that always fails must not cost the patience kept for busy servers (fault A08).
            self.retries = 2


_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})


class AccessRefused(TransportError):
    """401, 403 or 407 without an answer of the protocol."""

    retries = 0


class ChallengePage(TransportError):
    """A bot wall answered in place of the endpoint (fault A11)."""

    retries = 0


class CertificateTrouble(TransportError):
    """The server's certificate does not stand; ``reason`` is a short name such as ``expired``."""

    retries = 0

    def __init__(self, message: str, *, url: str = "", reason: str = "unknown") -> None:
        super().__init__(message, url=url)
        self.reason = reason


class BadRedirect(TransportError):
    """Redirected too often, in a circle, or to something that is no http(s) address."""

    retries = 0


class Parked(TransportError):
    """The server asks for a pause above the cap: come back at ``not_before`` (UTC; fault A03)."""

    retries = 0

    def __init__(self, message: str, *, url: str, status: int, not_before: datetime) -> None:
        super().__init__(message, url=url, status=status)
        self.not_before = not_before


class ForbiddenAddress(FacilityHttpError):
    """An address that no source may ask, or only one listed as internal (faults I01, I02)."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url


class BodyRefused(FacilityHttpError):
    """The body is over a cap, or its compression is corrupt (faults A07, I04)."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url


class MalformedResponse(FacilityHttpError):
    """The answer is not what the protocol says.

    ``excerpt`` is the beginning of the body, for people; ``identifier`` the last record that was
    read before the fault, to look near it.
    """

    # A second look is cheap and heals a passing PHP warning; more would hammer a broken page.
    retries: int | None = 1

    def __init__(
        self, message: str, *, url: str = "", excerpt: str = "", identifier: str | None = None
    ) -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.reason = message
        self.url = url
        self.excerpt = excerpt
        self.identifier = identifier


class CutOff(MalformedResponse):
    """The answer ends before its closing tag or bracket: transient (fault C08)."""

    retries = None


class NotTheProtocol(MalformedResponse):
    """Another kind of document than was asked for, e.g. an HTML page."""


class ServiceError(FacilityHttpError):
    """A Search API answered with an error object; ``status`` and ``message`` are its own."""

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url
        self.status = status
        self.message = message


class NotOffered(ServiceError):
    """The service does not have this endpoint or object (404, 405, 501)."""


class NotAccepted(ServiceError):
    """The service does not accept this filter (400, 422, or a 500 that every such filter gets)."""
