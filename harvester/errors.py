"""What can go wrong while harvesting.

HarvestError                     exit code 1 unless said otherwise
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
├── ProtocolError                an OAI-PMH error code: verb, code, message
│   ├── BadArgument              badArgument
│   ├── BadResumptionToken       badResumptionToken
│   ├── BadVerb                  badVerb
│   ├── CannotDisseminateFormat  cannotDisseminateFormat
│   ├── IdDoesNotExist           idDoesNotExist
│   ├── NoRecordsMatch           noRecordsMatch
│   ├── NoMetadataFormats        noMetadataFormats
│   ├── NoSetHierarchy           noSetHierarchy
│   └── UnknownProtocolError     any other code
├── ServiceError                 a Search API says no: status and its own message
│   ├── NotOffered               the endpoint does not exist there
│   └── NotAccepted              this filter is not accepted (400, 422)
└── MissingCredential            exit code 2: a variable or file that a source names is not there

Messages never hold credentials: they are redacted before they are raised (fault H12).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class HarvestError(Exception):
    """Base of everything that ``harvester`` raises on purpose.

    ``retries`` says how often the same request is worth repeating: ``None`` as often as the
    fetcher's own limit allows, 0 never.
    """

    exit_code = 1
    retries: int | None = 0
    retry_after_s: float | None = None


class MissingCredential(HarvestError):
    """The environment variable or file that should hold a key is not there."""

    exit_code = 2


class TransportError(HarvestError):
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


class ForbiddenAddress(HarvestError):
    """An address that only a source listed as internal may reach (faults I01, I02)."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url


class BodyRefused(HarvestError):
    """The body is over a cap, or its compression is corrupt (faults A07, I04)."""

    def __init__(self, message: str, *, url: str = "") -> None:
        super().__init__(f"{url}: {message}" if url else message)
        self.url = url


class MalformedResponse(HarvestError):
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


class ProtocolError(HarvestError):
    """An OAI-PMH error, ``http://www.openarchives.org/OAI/openarchivesprotocol.html`` 3.6.

    ``code`` is as sent; ``verb`` the verb asked.
    """

    def __init__(self, message: str, *, verb: str, code: str, url: str = "") -> None:
        super().__init__(f"{verb}: {code}" + (f" ({message})" if message else ""))
        self.verb = verb
        self.code = code
        self.message = message
        self.url = url


class BadArgument(ProtocolError):
    """The request has illegal, missing or repeated arguments."""


class BadResumptionToken(ProtocolError):
    """The resumption token is invalid or expired."""


class BadVerb(ProtocolError):
    """The verb is illegal, missing or repeated."""


class CannotDisseminateFormat(ProtocolError):
    """The metadata format is not supported by the item or by the repository."""


class IdDoesNotExist(ProtocolError):
    """The identifier is unknown or illegal in this repository."""


class NoRecordsMatch(ProtocolError):
    """From, until, set and metadataPrefix together give an empty list."""


class NoMetadataFormats(ProtocolError):
    """There are no metadata formats for this item."""


class NoSetHierarchy(ProtocolError):
    """The repository has no sets."""


class UnknownProtocolError(ProtocolError):
    """A code that the protocol does not know."""


# An explicit table: looking classes up by name lost noMetadataFormats in an existing client.
PROTOCOL_ERRORS: dict[str, type[ProtocolError]] = {
    "badArgument": BadArgument,
    "badResumptionToken": BadResumptionToken,
    "badVerb": BadVerb,
    "cannotDisseminateFormat": CannotDisseminateFormat,
    "idDoesNotExist": IdDoesNotExist,
    "noRecordsMatch": NoRecordsMatch,
    "noMetadataFormats": NoMetadataFormats,
    "noSetHierarchy": NoSetHierarchy,
}


def protocol_error(errors: Sequence[tuple[str, str]], *, verb: str, url: str = "") -> ProtocolError:
    """Make the exception for the error elements of one answer: (code, text) each.

    When several codes are sent, one that is a fault goes before ``noRecordsMatch``, which alone
    is harmless.
    """
    ordered = sorted(errors, key=lambda error: error[0] == "noRecordsMatch")
    code, message = ordered[0]
    others = "; ".join(f"{other}: {text}" for other, text in ordered[1:])
    kind = PROTOCOL_ERRORS.get(code, UnknownProtocolError)
    return kind(
        "; ".join(part for part in (message, others) if part), verb=verb, code=code, url=url
    )


class ServiceError(HarvestError):
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
