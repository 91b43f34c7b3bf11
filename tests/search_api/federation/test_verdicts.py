"""What each failure says of a facility, and that none is left without words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facility_http import errors
from facility_http.errors import (
    AccessRefused,
    BadStatus,
    BodyRefused,
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
from search_api.federation.verdicts import Verdict, judge

HOST = "http://secret.example.org/api/Documents?filter=%7B%7D"


def verdict(error: FacilityHttpError) -> Verdict:
    return judge(error, 4.0, lambda text: text.replace("hunter2", "[redacted]"))


def every_kind(kind: type[FacilityHttpError] = FacilityHttpError) -> Iterator[type]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from every_kind(below)


def made(kind: type) -> FacilityHttpError:
    """An error of that kind, whatever its constructor asks for."""
    error: FacilityHttpError = kind.__new__(kind, f"{HOST}: something")
    error.args = (f"{HOST}: something",)
    error.__dict__.update(url=HOST, status=502, message="something", limit="whole", reason="x")
    return error


@pytest.mark.parametrize("kind", sorted(set(every_kind()), key=lambda kind: kind.__name__))
def test_every_kind_of_failure_has_words_and_no_address(kind: type) -> None:
    found = verdict(made(kind))
    assert found.reason or found.refused_with
    assert "secret.example.org" not in found.reason


@pytest.mark.parametrize(
    ("error", "state", "trouble", "of_class"),
    [
        (ConnectionFailed("x", url=HOST), "failed", "unreachable", False),
        (TimedOut("x", url=HOST), "timed_out", "timed_out", False),
        (BadStatus("x", url=HOST, status=502), "failed", "broken", False),
        (BadStatus("x", url=HOST, status=503), "failed", "broken", False),
        (BadStatus("x", url=HOST, status=503, retry_after_s=5), "failed", "too_many", False),
        (BadStatus("x", url=HOST, status=429), "failed", "too_many", False),
        (AccessRefused("x", url=HOST, status=403), "failed", "access", True),
        (ChallengePage("x", url=HOST, status=403), "failed", "access", False),
        (CertificateTrouble("x", url=HOST, reason="expired"), "failed", "access", False),
        (ForbiddenAddress("x", url=HOST), "failed", "access", False),
        (CutOff("x", url=HOST), "failed", "broken", False),
        (NotTheProtocol("x", url=HOST), "failed", "broken", False),
        (MalformedResponse("x", url=HOST), "failed", "broken", False),
        (BodyRefused("x", url=HOST), "failed", None, False),
        (NotOffered("x", status=404), "unsupported", None, False),
    ],
)
def test_failures_are_told_apart(
    error: FacilityHttpError, state: str, trouble: str | None, of_class: bool
) -> None:
    found = verdict(error)
    assert (found.state, found.trouble, found.of_class) == (state, trouble, of_class)
    assert found.refused_with is None


@pytest.mark.parametrize("status", [400, 413, 414, 422])
def test_a_refusal_is_no_failure(status: int) -> None:
    for error in (NotAccepted("no", status=status), BadStatus("no", url=HOST, status=status)):
        found = verdict(error)
        assert (found.refused_with, found.trouble, found.contact) == (status, None, True)


def test_what_a_service_says_is_cleaned_and_short() -> None:
    """Faults H12 and I09."""
    found = verdict(NotAccepted("bad\r\nkey\x00 hunter2 " + "x" * 900, status=400))
    assert found.reason.startswith("bad key [redacted] xxx")
    assert len(found.reason) == 200
    assert found.reason.isprintable()


def test_only_what_made_sense_is_a_contact() -> None:
    assert verdict(AccessRefused("x", status=401)).contact
    assert verdict(NotOffered("x", status=404)).contact
    assert not verdict(ConnectionFailed("x")).contact
    assert not verdict(BadStatus("x", url=HOST, status=502)).contact
