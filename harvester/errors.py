"""What can go wrong while harvesting, beyond what goes wrong over HTTP.

FacilityHttpError                    facility_http.errors: transport, bodies, answers, credentials
└── HarvestError                     exit code 1 unless said otherwise
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
    ├── ConfigurationError           harvester.keys: a mistake in what the operator wrote
    │   └── NoSuchSource             harvester.keys: no source of that name is configured
    ├── WindowsIgnored               from and until are not heard, and a list fails in its middle
    ├── LedgerFault                  harvester.ledger: the harvest's own notes cannot be kept
    ├── NoFiles                      harvester.fleet: no more files may be open
    └── OrderError                   harvester.place: what is asked for cannot be done here

It is one tree with that of HTTP, since the fetcher also passes on and decides about the errors of
the protocol: whoever means "anything that a harvest can meet" catches ``FacilityHttpError``.
"""

from __future__ import annotations

from collections.abc import Sequence

from facility_http.errors import FacilityHttpError


class HarvestError(FacilityHttpError):
    """Base of what ``harvester`` adds to the errors of asking a facility."""


class WindowsIgnored(HarvestError):
    """The endpoint gives the whole list whatever ``from`` and ``until`` say, so that a list which
    fails in its middle cannot be cut (fault B18)."""


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
