"""What a failed request says of the facility: the state to show, the words, what the breaker hears.

The words are safe to show: no address, no key, nothing of a body but a short error message of the
service's own, redacted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from facility_http.errors import (
    AccessRefused,
    BadRedirect,
    BadStatus,
    BodyRefused,
    BrokenBody,
    CertificateTrouble,
    ChallengePage,
    ConnectionFailed,
    CutOff,
    FacilityHttpError,
    ForbiddenAddress,
    MalformedResponse,
    NotAccepted,
    NotOffered,
    NotTheProtocol,
    TimedOut,
)
from search_api.federation.breaker import Trouble
from search_api.federation.errors import Silence

REFUSALS = frozenset({400, 413, 414, 422})
"""Statuses by which a service says that it does not take a question."""

_MESSAGE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of a failure.

    ``refused_with``: the question is not taken, with this status; no silence then. ``trouble``:
    what the breaker is told; ``None``: nothing, the facility is well or not to blame. ``of_class``:
    it concerns this class of the source only. ``asked_s``: its Retry-After.
    """

    state: Silence
    reason: str
    trouble: Trouble | None = None
    of_class: bool = False
    asked_s: float | None = None
    refused_with: int | None = None

    @property
    def contact(self) -> bool:
        """Whether the facility said something that made sense."""
        return self.trouble is None or self.trouble == "access"


def judge(error: FacilityHttpError, limit_s: float, clean: Callable[[str], str]) -> Verdict:
    """Judge a failure of one request.

    Args:
        limit_s: the facility's limit, for the words.
        clean: takes secrets out of a text.
    """
    match error:
        case NotAccepted():
            return _refused(error.status or 400, clean(error.message))
        case NotOffered():
            return Verdict("unsupported", "does not offer this")
        case BadStatus():
            return _of_status(error)
        case AccessRefused():
            known = f" (HTTP {error.status})" if error.status else ""
            return Verdict("failed", f"access refused{known}", "access", of_class=True)
        case TimedOut():
            return Verdict("timed_out", f"no answer within {limit_s:.3g} s", "timed_out")
        case _:
            return Verdict("failed", *_OTHERS[_kind_of(error)])


Words = tuple[str, Trouble | None]

_OTHERS: dict[type[FacilityHttpError], Words] = {
    ConnectionFailed: ("no connection", "unreachable"),
    BrokenBody: ("the answer broke off", "unreachable"),
    ChallengePage: ("blocked by a challenge page for browsers", "access"),
    CertificateTrouble: ("its certificate does not stand", "access"),
    ForbiddenAddress: ("its address may not be asked from here", "access"),
    BadRedirect: ("redirected in a circle or to nowhere", "broken"),
    # Asking for less may help, waiting does not.
    BodyRefused: ("the answer is too large or wrongly compressed", None),
    CutOff: ("the answer ends early", "broken"),
    NotTheProtocol: ("the answer is none of a Search API", "broken"),
    MalformedResponse: ("the answer is not what was asked for", "broken"),
    FacilityHttpError: ("the request failed", "broken"),
}


def _kind_of(error: FacilityHttpError) -> type[FacilityHttpError]:
    return next(kind for kind in type(error).__mro__ if kind in _OTHERS)


def _of_status(error: BadStatus) -> Verdict:
    status = error.status or 0
    if status in REFUSALS:
        return _refused(status, "")
    if status == 429 or error.retry_after_s is not None:
        asked_s = error.retry_after_s
        for_s = "" if asked_s is None else f", come back in {asked_s:.0f} s"
        return Verdict(
            "failed", f"asks for a pause (HTTP {status}{for_s})", "too_many", asked_s=asked_s
        )
    return Verdict("failed", f"HTTP {status}", "broken")


def _refused(status: int, message: str) -> Verdict:
    plain = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return Verdict("failed", plain[:_MESSAGE_CHARS], refused_with=status)
