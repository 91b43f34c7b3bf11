"""Who asks: the address that facilities can write to (semantics 10.5)."""

from __future__ import annotations

import re

CONTACT_VARIABLE = "PAN_COMMONS_CONTACT"
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+")


def is_email_address(text: str) -> bool:
    """Whether a facility can write to it."""
    return text.isascii() and _EMAIL.fullmatch(text) is not None
