"""What can go wrong while answering, each with the HTTP status it becomes.

SearchApiError
├── BadRequest            400  ``field`` names the place, ``allowed`` what would be right
│   └── BrokenBody             the body is not packed as its headers say
├── OperatorOnly          403  only for whoever operates the server
├── UnknownThing          404  no such record, or no such path
├── WrongMethod           405
├── NotAcceptable         406
├── AmbiguousPid          409  several facilities use this local pid for different things
├── CursorGone            410
├── TooLarge              413
├── UriTooLong            414
├── WrongMediaType        415
├── TooManyRequests       429  of this one client; ``retry_after_s``
├── Overloaded            503  shed before any work; ``retry_after_s``
├── DeadlinePassed        503  the answer took longer than its deadline
├── Relayed               what the catalogue raised, under its own name and status
├── FederationError       503  about one facility asked live, see ``federation.errors``
├── NothingToServe        exit 1: no data folder, or nothing in it
├── PortInUse             exit 1
└── ClientError           what ``client.py`` raises
    ├── ServerUnreachable
    └── ServerRefused     the server answered with an error; ``status``, ``name``, ``message``
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

LAST_OF_CONNECTION = {"Connection": "close"}
"""What is left of a body is not read, so the next request needs another connection."""


class SearchApiError(Exception):
    """Base of everything that ``search_api`` raises on purpose; ``status`` is for HTTP."""

    status = 500
    exit_code = 1
    code: str | None = None

    def details(self) -> Mapping[str, Any]:
        """What the error object tells machines besides status, name and message."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to the error."""
        return {}


def nearest_word(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word most like ``word``, compared without case; ``None`` when none is near."""
    by_folded = {candidate.casefold(): candidate for candidate in allowed}
    matches = difflib.get_close_matches(word.casefold()[:100], by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


class BadRequest(SearchApiError):
    """The request cannot be meant as it stands.

    Args:
        message: one sentence on what is wrong.
        field: where, as the client wrote it (``where.titel``, ``limit``).
        allowed: what would have been right there, in the order to show.
        given: the wrong word, for finding the nearest right one.
    """

    status = 400
    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        allowed: Iterable[str] = (),
        given: str | None = None,
    ) -> None:
        self.field = field
        self.allowed = tuple(allowed)
        self.nearest = nearest_word(given, self.allowed) if given is not None else None
        sentence = message
        if self.nearest is not None:
            sentence += f" Did you mean {self.nearest!r}?"
        if self.allowed:
            sentence += f" Allowed: {', '.join(self.allowed)}."
        super().__init__(sentence)

    def details(self) -> Mapping[str, Any]:
        details: dict[str, Any] = {}
        if self.field is not None:
            details["field"] = self.field
        if self.allowed:
            details["allowed"] = list(self.allowed)
        if self.nearest is not None:
            details["nearest"] = self.nearest
        return details


class BrokenBody(BadRequest):
    """The body is not packed as its headers say, or is cut off."""

    def headers(self) -> Mapping[str, str]:
        return LAST_OF_CONNECTION


class OperatorOnly(SearchApiError):
    """Only whoever operates the server may see this (semantics 11.1)."""

    status = 403


class UnknownThing(SearchApiError):
    """There is no such record or path."""

    status = 404

    def __init__(
        self, message: str, *, code: str | None = None, facilities: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self._facilities = dict(facilities or {})

    def headers(self) -> Mapping[str, str]:
        """How the facilities stand: one that is missing may have the thing (fault G01)."""
        return self._facilities


class WrongMethod(SearchApiError):
    """The path is right, the method is not."""

    status = 405

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"{method} is not possible here; allowed: {', '.join(self.allowed)}.")

    def headers(self) -> Mapping[str, str]:
        return {"Allow": ", ".join(self.allowed)}


class NotAcceptable(SearchApiError):
    """None of the forms the client accepts is offered."""

    status = 406


def article(word: str) -> str:
    """The indefinite article before ``word``."""
    return "an" if word[:1] in "AEIOUaeiou" else "a"


class AmbiguousPid(SearchApiError):
    """Several facilities use this pid for different things (semantics 1.2)."""

    status = 409
    code = "AMBIGUOUS_PID"

    def __init__(self, model: str, pid: str, candidates: Iterable[Mapping[str, str]]) -> None:
        self.candidates = list(candidates)
        names = sorted({candidate["facility"] for candidate in self.candidates})
        super().__init__(
            f'"{pid}" is {article(model)} {model} of several facilities ({", ".join(names)}): '
            f"add ?facility= with one of these names."
        )

    def details(self) -> Mapping[str, Any]:
        return {"candidates": self.candidates}


class CursorGone(SearchApiError):
    """The cursor is unknown or older than it is kept."""

    status = 410


class TooLarge(SearchApiError):
    """The body is larger than the server reads."""

    status = 413

    def headers(self) -> Mapping[str, str]:
        return LAST_OF_CONNECTION


class UriTooLong(SearchApiError):
    """The address is longer than the server reads; filters can be sent by POST."""

    status = 414


class WrongMediaType(SearchApiError):
    """The body is not JSON."""

    status = 415


class TooManyRequests(SearchApiError):
    """One client asks more often than it may (fault I08)."""

    status = 429

    def __init__(self, per_s: float, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            f"A client may make {per_s:g} requests a second; try again in {retry_after_s} s."
        )

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class Overloaded(SearchApiError):
    """More requests are under way than the server works on."""

    status = 503

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"Too many requests are under way; try again in {retry_after_s} s.")

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class DeadlinePassed(SearchApiError):
    """The answer took longer than its deadline and was given up."""

    status = 503

    def __init__(self, deadline_s: float) -> None:
        super().__init__(
            f"The answer was not ready within {deadline_s:g} s; ask for less at a time."
        )

    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "5"}


class Relayed(SearchApiError):
    """An error of the catalogue, under its own name and status."""

    def __init__(self, message: str, status: int, name: str) -> None:
        super().__init__(message)
        self.status = status
        self.name = name


class NothingToServe(SearchApiError):
    """There is no data folder to serve."""


class PortInUse(SearchApiError):
    """Another program listens on the address already."""


class ClientError(SearchApiError):
    """Base of what the Python client raises."""


class ServerUnreachable(ClientError):
    """No answer came from the server."""


class ServerRefused(ClientError):
    """The server answered with an error."""

    def __init__(self, status: int, name: str, message: str) -> None:
        self.status = status
        self.name = name
        self.message = message
        super().__init__(f"{message} ({status} {name})")
