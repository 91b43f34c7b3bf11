"""Every number and switch of the server, in one table: name, default, unit and reason."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from search_api.errors import BadRequest

PREFIX = "PAN_COMMONS_"
NEAR = 0.8
"""How much alike names are of which one is taken for the other, mistyped."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
POSITIVE = frozenset(
    {"default_limit", "max_limit", "max_ranked", "max_body_bytes", "max_uri_bytes", "max_in_flight"}
    | {"deadline_s", "idle_timeout_s", "facility_timeout_s", "facility_at_once", "live_deadline_s"}
)
"""Numbers that nothing works without."""


def _setting(default: Any, help_text: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help_text}, repr=not secret)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server behaves; each row can be set as ``PAN_COMMONS_<NAME>``."""

    default_limit: int = _setting(100, "Items a PaNOSC list holds when no limit is asked for.")
    max_limit: int = _setting(1_000, "Items a list holds at most, whatever is asked (fault I08).")
    search_limit: int = _setting(20, "Hits of /api/search when no limit is asked for.")
    max_ranked: int = _setting(10_000, "skip + limit of scored results; beyond it, the cursor.")
    max_included: int = _setting(50_000, "Related things one answer includes at most.")
    max_files: int = _setting(10_000, "Files one page of a Dataset's file list holds at most.")
    max_body_bytes: int = _setting(262_144, "Bytes of a request body.")
    max_uri_bytes: int = _setting(65_536, "Bytes of an address; longer filters go by POST.")
    max_values: int = _setting(1_000, "Values in one inq or nin.")
    max_pattern_chars: int = _setting(256, "Characters of like and regexp operands.")
    max_text_chars: int = _setting(2_000, "Characters of a text query.")
    max_alternatives: int = _setting(128, "Alternatives that a parameter condition opens into.")
    deadline_s: float = _setting(10.0, "Seconds after which an answer is given up.")
    idle_timeout_s: float = _setting(
        75.0, "Seconds a connection may be open without a whole request."
    )
    max_in_flight: int = _setting(256, "Requests under way before more are shed with 503.")
    retry_after_s: int = _setting(2, "Seconds a shed client is asked to wait.")
    requests_per_s: float = _setting(100.0, "Requests a second of one client; 0 for any number.")
    request_burst: int = _setting(1_000, "Requests that one client may make at once.")
    limit_loopback: bool = _setting(False, "Whether clients on this machine are limited, too.")
    trusted_proxies: int = _setting(
        0, "Own proxies in front that add to X-Forwarded-For; 0: the socket tells who asks."
    )
    operator_key: str = _setting(
        "", "Opens history and superseded versions to whoever sends it; empty: closed.", secret=True
    )
    operator_key_file: str = _setting("", "File that holds the operator's key.")
    cache_bytes: int = _setting(33_554_432, "Bytes of answers kept for a moment; 0 for none.")
    cache_s: float = _setting(60.0, "Seconds an answer is kept at most, on an unchanged index.")
    look_again_s: float = _setting(0.02, "Seconds between two looks at how far the index is.")
    compress_above_bytes: int = _setting(1_024, "Answers larger than this are compressed.")
    cors_origins: str = _setting("*", "Origins that may read answers; * for any, empty for none.")
    status_max_age_s: int = _setting(2, "Seconds facility states are kept between two looks.")
    facility_timeout_s: float = _setting(
        4.0, "Seconds one request to a live facility may take, if it is not known to be slower."
    )
    facility_longest_s: float = _setting(
        20.0, "The same for one that is; so much is learnt at most from how long it took."
    )
    facility_wait_s: float = _setting(
        1.5, "Seconds an answer waits for a live facility that is usually quick; longer for others."
    )
    facility_at_once: int = _setting(8, "Requests to one live facility at a time; more wait.")
    facility_body_bytes: int = _setting(16_777_216, "Bytes of one answer of a live facility.")
    facility_cache_s: float = _setting(30.0, "Seconds a live answer is good; 0 keeps none.")
    facility_cache_brief_s: float = _setting(3.0, "The same for empty and for odd live answers.")
    facility_stale_s: float = _setting(3_600.0, "Age up to which one stands in for a failure.")
    facility_cache_bytes: int = _setting(33_554_432, "Bytes of live answers kept in memory.")
    facility_single_flight: int = _setting(1, "1: equal live questions share a request; 0: none.")
    profile_max_age_days: float = _setting(
        30.0, "Days after which what a check found a live facility to be able to do is called aged."
    )
    live_deadline_s: float = _setting(4.0, "Seconds for an answer that facilities are asked for.")
    live_reserve_s: float = _setting(
        0.5,
        "Of these, for putting it together: at most a quarter, but more when busy.",
    )
    live_depth: int = _setting(1_000, "Records looked at for one question at each live facility.")
    live_whole: int = _setting(500, "A live facility with at most so many records is read whole.")
    live_readers: int = _setting(
        2, "Processes that read live answers beside each server process; 0: its own threads do."
    )
    live_candidates: int = _setting(50, "Records asked for at least where a facility ranks.")
    environment: str = _setting("production", "Name of the installation, shown by the status.")
    hosting_facility: str = _setting("PaN Commons", "Who runs it, shown by the status object.")
    docker_image_version: str = _setting("", "Image version, shown by the status object.")


def settings_from(environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Read the settings that ``environment`` names; a bad value is reported with its name."""
    given: dict[str, Any] = {}
    for row in fields(ServerSettings):
        name = PREFIX + row.name.upper()
        text = environment.get(name)
        if text is None:
            continue
        kind: Any = type(row.default)
        try:
            value = _switch(text) if kind is bool else kind(text)
        except ValueError:
            raise BadRequest(f"{name} is {text!r}, expected {KINDS[kind]}.", field=name) from None
        if kind in (int, float) and not _is_possible(row.name, value):
            least = "more than 0" if row.name in POSITIVE else "0 or more"
            raise BadRequest(f"{name} is {text!r}, expected a number, {least}.", field=name)
        given[row.name] = value
    return ServerSettings(**given)


def mistyped(environment: Mapping[str, str] = os.environ) -> list[tuple[str, str]]:
    """Variables that are no setting, with the setting that each was meant to be: nobody reads them,
    and nobody would ever say so."""
    known = [row.name.upper() for row in fields(ServerSettings)]
    found = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
        found += [(variable, PREFIX + near[0])] if near else []
    return found


def _is_possible(name: str, value: float) -> bool:
    return math.isfinite(value) and (value > 0 if name in POSITIVE else value >= 0)


def _switch(text: str) -> bool:
    folded = text.strip().casefold()
    if folded in ("true", "1", "yes", "on"):
        return True
    if folded in ("false", "0", "no", "off", ""):
        return False
    raise ValueError(text)
