"""What each key of the configuration may hold: one table of keys and checks each.

A check gives the value as the program wants it, or raises ``ValueError`` with what would be
right, as the end of a sentence that begins "it should be".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit
from zoneinfo import available_timezones

from catalogue.facilities import Mode, Protocol
from facility_http.contact import is_email_address
from harvester.errors import HarvestError
from harvester.schedule import ScheduleError, parse_schedule

PROBES = ("photon", "neutron", "muon", "electron", "ion", "positron")
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
MODES: tuple[str, ...] = get_args(Mode)
MOST_SHOWN = 40
HOW_TO_SAY_WHO = (
    'real facilities are asked only with an address they can write to: put [contact] email = "…" '
    "into the configuration, or set PAN_COMMONS_CONTACT."
)
CLASSES = ("Documents", "Datasets", "Instruments", "Techniques")

_ROR = re.compile(r"(?:https://ror\.org/)?(0[a-z0-9]{8})", re.ASCII)


class ConfigurationError(HarvestError):
    """The configuration cannot be meant; the message names file, key and what would be right."""

    exit_code = 2


class NoSuchSource(ConfigurationError):
    """No source of that name is configured; the message says what is, in which file."""


Check = Callable[[Any], Any]
"""Gives the value, or raises ``ValueError`` with what would be right."""


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or, with no near word, the list of what there is."""
    choices = sorted(known)
    by_folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {by_folded[near[0]]!r}?"
    if not choices:
        return "; none are configured."
    return f"; known: {some_of(choices)}."


def some_of(names: Sequence[str]) -> str:
    """Names in a row, the first of them where they are many: some repositories have 20,000 sets."""
    if len(names) <= MOST_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_SHOWN])} and {len(names) - MOST_SHOWN:,} more"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text in quotes")
    if any(ord(character) < 32 for character in value):
        raise ValueError("a text without control characters")
    return value.strip()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise ValueError("a number of seconds from 0 to 86400")
    return float(value)


def _days(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 36_600:
        raise ValueError("a number of days, at least 0")
    return float(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("a share above 0, at most 1")
    return float(value)


def _one_of(choices: Iterable[str]) -> Check:
    known = tuple(choices)

    def check(value: Any) -> str:
        if value not in known:
            near = suggest(value, known) if isinstance(value, str) else ""
            raise ValueError("one of " + ", ".join(known) + near.rstrip("?."))
        return str(value)

    return check


def _probes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(probe in PROBES for probe in value):
        raise ValueError("a list of " + ", ".join(f'"{probe}"' for probe in PROBES))
    return tuple(value)


def _time_zone(value: Any) -> str:
    name = _text(value)
    zones = available_timezones()
    if name not in zones:
        near = difflib.get_close_matches(name, zones, n=1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise ValueError(f"an IANA time zone such as 'Europe/Berlin'{hint}")
    return name


def _url(value: Any) -> str:
    url = _text(value)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as problem:
        raise ValueError(f"an http or https address ({problem})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("an http or https address with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address without user or password (name a variable in `options`)")
    if parts.fragment or any(character.isspace() for character in url):
        raise ValueError("an address without fragment or blanks")
    if {"verb", "filter"} & parse_qs(parts.query, keep_blank_values=True).keys():
        raise ValueError("the base URL alone, without verb=… or filter=…")
    return url


def _proxy(value: Any) -> str:
    if value == "none":
        return "none"
    try:
        return _url(value)
    except ValueError as right:
        raise ValueError(f"'none', or {right}") from None


def _repair(value: Any) -> bool | tuple[str, ...]:
    from harvester.oai_repairs import REPAIRS

    if isinstance(value, bool):
        return value
    named = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not named or not value or not all(name in REPAIRS for name in value):
        names = ", ".join(f'"{name}"' for name in sorted(REPAIRS))
        raise ValueError(f"true, false, or a list of {names}")
    return tuple(value)


def _country(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{2}", value):
        raise ValueError("two capital letters (ISO 3166), such as 'DE'")
    return value


def _ror(value: Any) -> str:
    match = _ROR.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a ROR id such as '02550n020'")
    return f"https://ror.org/{match.group(1)}"


def _schedule(value: Any) -> str:
    try:
        return parse_schedule(_text(value)).text
    except ScheduleError as problem:
        raise ValueError(f"a schedule: {problem}".rstrip(".")) from None


def email_address(value: Any) -> str:
    address = _text(value)
    if not is_email_address(address):
        raise ValueError("an e-mail address that a facility can write to")
    return address


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def _tables(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("a list of tables, [[...]]")
    return value


def _template(value: Any) -> str:
    template = _text(value)
    fields = set(re.findall(r"\{([^{}]*)\}", template))
    if not template.startswith(("http://", "https://")) or fields - {"doi", "pid", "proposal"}:
        raise ValueError("an http address that may hold {doi}, {pid} and {proposal}")
    return template


def _classes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(entry in CLASSES for entry in value):
        raise ValueError("a list of " + ", ".join(f'"{entry}"' for entry in CLASSES))
    return tuple(value)


def _capabilities(value: Any) -> Mapping[str, Any]:
    classes = value.get("classes") if isinstance(value, dict) else None
    if not isinstance(classes, dict) or not all(
        name.removesuffix("s") + "s" in CLASSES and isinstance(found, dict)
        for name, found in classes.items()
    ):
        raise ValueError("a profile as `sources check --json` of a like service writes it")
    return {"version": 2, **value}


FACILITY_KEYS: Mapping[str, Check] = {
    "title": _text,
    "provider": _url,
    "country": _country,
    "ror": _ror,
    "home": _url,
    "time_zone": _time_zone,
    "probes": _probes,
    "lists_only_open": _flag,
    "releases_automatically": _flag,
    "document_type": _text,
    "services": _tables,
    "demo": _flag,
}
SERVICE_KEYS: Mapping[str, Check] = {"name": _text, "template": _template, "login": _flag}
SOURCE_KEYS: Mapping[str, Check] = {
    "facility": _text,
    "protocol": _one_of(PROTOCOLS),
    "url": _url,
    "format": _text,
    "set": _text,
    "mode": _one_of(MODES),
    "trust": _whole(0, 1_000_000),
    "internal": _flag,
    "demo": _flag,
    "enabled": _flag,
    "schedule": _schedule,
    "options": _table,
}
STORAGE_KEYS: Mapping[str, Check] = {
    "budget_mib": _whole(1, 1_000_000_000),
    "least_free_mib": _whole(200, 1_000_000_000),
}
OPTION_KEYS: Mapping[str, Check] = {
    # how to ask
    "page_size": _whole(1, 100_000),
    "pace_s": _seconds,
    "timeout_s": _seconds,
    "live_timeout_s": _seconds,
    "capabilities": _capabilities,
    "retries": _whole(0, 20),
    "repair": _repair,
    "token_encoding": _one_of(("escaped", "raw")),
    "send_prefix_with_token": _flag,
    "token_ttl_s": _seconds,
    "list_size_is_wrong": _flag,
    "ca_file": _text,
    "proxy": _proxy,
    # credentials are named, never written here (fault H12)
    "api_key_variable": _text,
    "api_key_file": _text,
    "api_key_header": _text,
    # when and how much
    "overlap_s": _seconds,
    "window_days": _days,
    "reconcile_days": _days,
    "full_days": _days,
    "max_pages": _whole(1, 10_000_000),
    "max_records": _whole(1, 1_000_000_000),
    # how to read
    "crosswalk": _text,
    "is_public_is_constant": _flag,
    "keyword_separator": _text,
    "classes": _classes,
    # when to ask an operator (semantics 1.4; faults B12, H05)
    "hold_share": _share,
    "hold_records": _whole(1, 1_000_000_000),
}
