"""What a facility shows beside its protocols: the status object, and pages of its records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from simulator.protocol import Answer

if TYPE_CHECKING:
    from simulator.facility import FacilitySpec


def status_of(spec: FacilitySpec, started: datetime, now: datetime) -> Answer:
    """The status object one level above the Search API (crosswalks 2.3)."""
    uptime_s = max((now - started).total_seconds(), 0.0)
    hours, rest = divmod(int(uptime_s), 3600)
    if spec.rest is not None and spec.rest.dialect.name == "scicat":
        value: dict[str, Any] = {
            "uptime_seconds": uptime_s,
            "uptime": f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}",
            "api_version": "simulated",
            "facility": spec.name,
            "environment": "simulated",
            "scoring_enabled": True,
        }
    else:
        value = {"started": started.isoformat(), "uptime": uptime_s}
    return Answer(json.dumps(value).encode(), "application/json; charset=utf-8")


def landing_page(spec: FacilitySpec, row: Mapping[str, Any]) -> Answer:
    """A page for one record of an invented facility, which says so."""
    title = escape(str(row.get("title", "")))
    text = escape(str(row.get("summary", "")))
    return Answer(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f"<h1>{title}</h1><p>{escape(str(row['pid']))}</p><p>{text}</p>"
            f"<p>{escape(spec.title or spec.name)} is an invented facility; "
            "this record is synthetic.</p></html>"
        ).encode(),
        "text/html; charset=utf-8",
    )
