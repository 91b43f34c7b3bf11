"""Every exception of the HTTP library has a name of ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from facility_http.addresses import RefusedAddress
from facility_http.errors import FacilityHttpError, ForbiddenAddress, TransportError
from facility_http.failures import translate
from harvester.errors import (
    PROTOCOL_ERRORS,
    NoMetadataFormats,
    NoRecordsMatch,
    UnknownProtocolError,
    protocol_error,
)

KEY = ConnectionKey("example.org", 443, True, True, None, None, None)
REQUEST = aiohttp.RequestInfo(URL("https://example.org/"), "GET", {}, URL("https://example.org/"))  # type: ignore[arg-type]
SOCKET_ERROR = OSError(111, "Connection refused")


def _all_below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.startswith("aiohttp"):
            yield from _all_below(below)


def _made(kind: type[BaseException]) -> BaseException:
    """An exception of that class, however it wants to be constructed."""
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(KEY, ssl.SSLCertVerificationError("certificate has expired"))  # type: ignore[arg-type]
    if issubclass(kind, aiohttp.client_exceptions.UnixClientConnectorError):
        return kind("/run/socket", KEY, SOCKET_ERROR)
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(KEY, SOCKET_ERROR)
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(REQUEST, (), status=400, message="bad")
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"a", b"b", "example.org", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind("http://x y/")
    return kind("what happened")


@pytest.mark.parametrize("kind", sorted(set(_all_below(aiohttp.ClientError)), key=str))
def test_every_client_exception_is_translated(kind: type[BaseException]) -> None:
    """A new version of the library with a new exception fails here when it is not mapped."""
    translated = translate(_made(kind), "https://example.org/")
    assert isinstance(translated, FacilityHttpError)
    assert type(translated) is not TransportError, f"{kind.__name__} has no name of ours"
    assert "https://example.org/" in str(translated)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), ssl.SSLError("x")])
def test_exceptions_of_the_system_are_translated(error: BaseException) -> None:
    assert type(translate(error, "u")) is not TransportError


def test_a_refused_address_is_found_inside_joined_exceptions() -> None:
    """Fault I02: with several addresses the library joins the messages and loses the type."""
    joined = OSError(f"Multiple exceptions: {RefusedAddress('10.0.0.1', 'private')}, other")
    error = aiohttp.ClientConnectorError(KEY, joined)
    assert isinstance(translate(error, "u"), ForbiddenAddress)


def test_messages_are_redacted_before_they_are_raised() -> None:
    """Fault H12."""
    error = aiohttp.ClientPayloadError("at https://x/?key=planted")
    assert "planted" not in str(translate(error, "u", lambda text: text.replace("planted", "*")))


def test_every_code_of_the_protocol_has_its_class() -> None:
    """Codes come from the specification, 3.6; a peer's lookup by name lost noMetadataFormats."""
    assert set(PROTOCOL_ERRORS) == {
        "badArgument",
        "badResumptionToken",
        "badVerb",
        "cannotDisseminateFormat",
        "idDoesNotExist",
        "noRecordsMatch",
        "noMetadataFormats",
        "noSetHierarchy",
    }
    for code, kind in PROTOCOL_ERRORS.items():
        assert kind.__name__ == code[0].upper() + code[1:]
    made = protocol_error([("noMetadataFormats", "none")], verb="ListMetadataFormats")
    assert isinstance(made, NoMetadataFormats)
    assert isinstance(protocol_error([("odd", "")], verb="Identify"), UnknownProtocolError)


def test_of_several_errors_the_fault_goes_before_the_empty_list() -> None:
    made = protocol_error([("noRecordsMatch", "none"), ("badArgument", "from")], verb="ListRecords")
    assert made.code == "badArgument"
    assert "noRecordsMatch" in str(made)
    assert isinstance(protocol_error([("noRecordsMatch", "")], verb="ListRecords"), NoRecordsMatch)


def test_an_object_s_address_is_no_message() -> None:
    key = aiohttp.client_reqrep.ConnectionKey("h.example", 443, True, True, None, None, None)
    inner = OSError(-2, "Name or service not known")
    for kind in (aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError):
        said = str(translate(kind(key, inner), "https://h.example/"))
        assert "h.example:443 [Name or service not known]" in said
        assert "ssl" not in said
