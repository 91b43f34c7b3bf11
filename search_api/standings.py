"""How a facility stands in an answer, in words; ``line`` is one of an answer's ``facilities``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MISSING = ("timed_out", "failed", "paused", "unsupported")


def standing(line: Mapping[str, Any]) -> str:
    """In words how a facility stands in an answer."""
    state, why = line["state"], line.get("why")
    because = f": {why}" if why else ""
    if state == "answered":
        return _answered(line) + because
    if state == "stale":
        return f"not reached{because}; what it told us {_age(line.get('age_s'))} ago stands in"
    if state == "paused":
        return "paused" + _until(line.get("until")) + because
    return str(state).replace("_", " ") + because


def _answered(line: Mapping[str, Any]) -> str:
    if not line.get("live"):
        return "in the index"
    age_s = line.get("age_s")
    kept = f", {_age(age_s)} old" if age_s else ""
    short = ", scored in part" if line.get("missing") else ""
    return f"answered in {line['elapsed_ms']:.0f} ms{kept}{short}"


def _until(instant: datetime | str | None) -> str:
    if instant is None:
        return ""
    found = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f" until {found:%H:%M:%S} UTC"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "some time"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


__all__ = ["MISSING", "standing"]
