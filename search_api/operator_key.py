"""The one guard of all routes that only the operator may use (fault I09, semantics 11.1).

The key is in the environment or in a file, and is sent in a header. Without a key these routes are
closed; neither key nor attempt is ever shown or logged.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from search_api.errors import BadRequest, OperatorOnly
from search_api.settings import ServerSettings

HEADER = "X-Operator-Key"
LEAST_CHARACTERS = 16


def read_operator_key(settings: ServerSettings) -> str | None:
    """The key that the settings name; ``None`` for none.

    Raises:
        BadRequest: the file cannot be read, or the key is too short to keep anybody out.
    """
    key = settings.operator_key.strip()
    if settings.operator_key_file:
        try:
            key = Path(settings.operator_key_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"The operator's key cannot be read from {settings.operator_key_file}: "
                f"{getattr(error, 'strerror', None) or 'not UTF-8'}.",
                field="operator_key_file",
            ) from error
        if not key:
            raise BadRequest(f"{settings.operator_key_file} is empty.", field="operator_key_file")
    if key and len(key) < LEAST_CHARACTERS:
        raise BadRequest(
            f"The operator's key is shorter than {LEAST_CHARACTERS} characters.",
            field="operator_key",
        )
    return key or None


def check_operator(key: str | None, given: str | None) -> None:
    """Let pass whoever sent the key.

    Raises:
        OperatorOnly: no key is set, or another one was sent, or none.
    """
    if key is None:
        raise OperatorOnly("This is closed: the server has no operator's key.")
    sent = (given or "").encode("utf-8", errors="replace")
    if not hmac.compare_digest(key.encode(), sent):
        raise OperatorOnly(f"Only the operator may see this, with the key in {HEADER}.")
