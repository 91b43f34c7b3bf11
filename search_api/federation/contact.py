"""Who asks: the e-mail address that facilities can write to, as the harvester finds it."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from facility_http.contact import CONTACT_VARIABLE, is_email_address

log = logging.getLogger("pan_commons.search_api.federation")

ADDED = "sources.toml"
"""What ``sources add`` writes, in the data folder."""


def configured_contact(
    config: Path | None, data: Path, environment: Mapping[str, str] = os.environ
) -> str | None:
    """``[contact] email`` of the operator's file or of what ``sources add`` wrote, else
    ``PAN_COMMONS_CONTACT``.

    A file that cannot be read and an address that is none are logged, and there is no contact: a
    server goes on without, and asks no real facility (semantics 10.5).
    """
    found: object = None
    for path in (*([config] if config is not None else []), data / ADDED):
        found = _email_in(path) or found
    found = found or environment.get(CONTACT_VARIABLE, "").strip()
    if not found:
        return None
    if isinstance(found, str) and is_email_address(found):
        return found
    log.warning("%r is no e-mail address that a facility can write to; there is no contact", found)
    return None


def _email_in(path: Path) -> object:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        log.warning("the configuration %s cannot be read (%s)", path, problem)
        return None
    table = document.get("contact")
    return table.get("email") if isinstance(table, dict) else None
