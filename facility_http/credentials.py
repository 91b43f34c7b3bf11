"""Keys that some endpoints ask for: read from environment or file, kept out of sight (fault H12).

They travel only in a header, only to the origin they were configured for (fault I05), and never
in a message: whatever is raised or logged goes through ``Redactor`` first, before any shortening.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from facility_http.errors import MissingCredential

MASK = "[redacted]"
# Whoever asks facilities logs below one of these.
_OUR_LOGGERS = ("facility_http", "harvester", "pan_commons.search_api")

_USER_INFO = re.compile(r"(?<=://)[^/@\s?#]+@")
_KEY_ARGUMENT = re.compile(
    r"(?i)(?<=[?&])((?:api|access|auth|client|secret|private)?[-_.]?"
    r"(?:key|apikey|token|secret|password|passwd|signature|sig)=)[^&#\s\"'<>]+"
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A header with a secret value; ``repr`` masks it.

    ``origin`` is (scheme, host, port) of the source: nobody else is sent it.
    """

    header: str
    value: str = field(repr=False)
    origin: tuple[str, str, int] = ("", "", 0)


def read_credential(
    options: Mapping[str, Any],
    origin: tuple[str, str, int],
    environment: Mapping[str, str],
) -> Credential | None:
    """Read the key that a source's options name, if they name one.

    ``api_key_variable`` or ``api_key_file`` say where it is; ``api_key_header`` the header, by
    default ``Authorization``, where a bare key is sent as a bearer token.

    Raises:
        MissingCredential: the variable or file is missing, empty, or holds a line break.
    """
    variable, path = options.get("api_key_variable"), options.get("api_key_file")
    if variable:
        value = environment.get(str(variable), "").strip()
        place = f"the environment variable {variable}"
    elif path:
        place = f"the file {path}"
        try:
            value = Path(str(path)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            # Never the problem itself: what cannot be decoded is a key, and would be shown.
            why = problem.strerror if isinstance(problem, OSError) else "it is no text"
            raise MissingCredential(f"{place} cannot be read: {why}") from None
    else:
        return None
    if not value:
        raise MissingCredential(f"{place} should hold a key and is empty or not set")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        # A line break in a header value would smuggle further headers (fault I09).
        raise MissingCredential(f"{place} holds a key with a control character")
    header = str(options.get("api_key_header") or "Authorization")
    if header.lower() == "authorization" and " " not in value:
        value = f"Bearer {value}"
    return Credential(header=header, value=value, origin=origin)


class Redactor(logging.Filter):
    """Takes secrets out of text: known values in any spelling, and what looks like one in a URL.

    As a ``logging.Filter`` it also cleans whole log records.
    """

    def __init__(self) -> None:
        super().__init__()
        self._values: set[str] = set()

    def learn(self, credential: Credential | None) -> None:
        """Remember a value, with and without its scheme word, plain and percent-encoded."""
        if credential is None:
            return
        for value in (credential.value, credential.value.split(" ", 1)[-1]):
            # Very short values would mask ordinary words; they are no secrets either.
            if len(value) >= 4:
                self._values |= {value, quote(value, safe=""), quote(value), quote_plus(value)}

    def clean(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        text = _USER_INFO.sub(f"{MASK}@", text)
        text = _KEY_ARGUMENT.sub(rf"\g<1>{MASK}", text)
        return _AUTHORIZATION.sub(rf"\g<1> {MASK}", text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a log record in place; always lets it pass."""
        record.msg = self.clean(record.getMessage())
        record.args = None
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            record.exc_text = self.clean(logging.Formatter().formatException(record.exc_info))
            record.exc_info = (type(error), None, None)  # type: ignore[assignment]
        return True


def everybody_who_hears() -> list[logging.Filterer]:
    """Our loggers and every handler there is: a logger's filter does not see its children's
    records, a handler's does (fault H12)."""
    ours = [logging.getLogger(name) for name in _OUR_LOGGERS]
    listeners: list[logging.Filterer] = [*ours, *logging.getLogger().handlers]
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            listeners += logger.handlers
    return list(dict.fromkeys(listeners))
