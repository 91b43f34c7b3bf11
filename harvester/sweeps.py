"""Which protocol carries out a harvest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalogue.facilities import Source
from facility_http.http import Fetcher
from harvester.pages import Journal, Sweep
from harvester.place import Order


@dataclass(frozen=True, slots=True)
class Situation:
    """What a sweep knows before its first request."""

    source: Source
    order: Order
    memory: Mapping[str, Any]
    checkpoint: Mapping[str, Any] | None
    records: int
    now: Callable[[], datetime]


async def open_sweep(http: Fetcher, situation: Situation, journal: Journal) -> Sweep:
    """The sweep for the source's protocol, ready to yield pages.

    Raises:
        FacilityHttpError: the endpoint does not even say what it is.
    """
    if situation.source.protocol == "oai-pmh":
        from harvester.oai_sweep import open_oai_sweep

        return await open_oai_sweep(http, situation, journal)
    from harvester.rest_sweep import open_rest_sweep

    return await open_rest_sweep(http, situation, journal)
