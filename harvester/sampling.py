"""A sample of a Search API's records: what scoring them live needs to know (semantics 8).

Answers to questions are no sample, since every record in them has the question's words. So some
records of each class are read as a harvest would read them, and counted as the index would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import orjson

from catalogue.readings import FORMATS, make_pool, read_objects
from catalogue.statistics import statistics_of, to_json
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher
from facility_http.panosc_client import SearchApi
from harvester.panosc_rest import PanoscClient
from mappings.context import Context

SAMPLED = 1_000
"""Records of each class that are read at least, where there are so many."""
_PAGE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def sample_service(
    http: Fetcher, api: SearchApi, context: Context, *, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Class → ``statistics`` of a sample in the form of ``catalogue.statistics.to_json``, and
    ``always``: relations that every object of it has something in.

    A class that cannot be read is left out.
    """
    items: dict[str, list[dict[str, Any]]] = {}
    for name in classes:
        if name in FORMATS:
            items[name] = await _read(http, api, name)

    def count() -> dict[str, Any]:
        readings = [
            read_objects(name, items[name], context, counted=True)
            for name in FORMATS
            if items.get(name)
        ]
        pool = make_pool(readings, now=_EPOCH)
        listed = {key for reading in readings for key in reading.listed}
        found: dict[str, Any] = {}
        for name in FORMATS:
            held = [one for one in pool.of_class(name) if one.key in listed]
            if held:
                found[name] = {
                    "statistics": to_json(statistics_of(held)),
                    "always": _always(items[name]),
                }
        return found

    return await anyio.to_thread.run_sync(count)


def summarised(memory: Mapping[str, Any]) -> dict[str, Any]:
    """A source's memory for people: of a sample's statistics only how large it was."""
    profile = memory.get("capabilities")
    if not isinstance(profile, Mapping):
        return dict(memory)
    classes = {
        name: {
            key: {"records": value.get("records")} if key == "statistics" else value
            for key, value in found.items()
        }
        for name, found in profile.get("classes", {}).items()
    }
    return {**memory, "capabilities": {**profile, "classes": classes}}


def _always(items: Sequence[Mapping[str, Any]]) -> list[str]:
    names = {name for item in items for name, value in item.items() if isinstance(value, list)}
    return sorted(name for name in names if all(item.get(name) for item in items))


async def _read(http: Fetcher, api: SearchApi, name: str) -> list[dict[str, Any]]:
    """Up to ``SAMPLED`` objects of a class with their relations."""
    client = PanoscClient(http, api.base_url)
    client.api = api
    pages = -(-SAMPLED // _PAGE)
    client.options = replace(
        client.options, page_size=_PAGE, classes=(name,), passes=1, max_pages=pages
    )
    found: list[dict[str, Any]] = []
    try:
        async with aclosing(client.pages()) as sweep:
            async for page in sweep:
                found += [orjson.loads(r.payload) for r in page.records if r.payload is not None]
                if len(found) >= SAMPLED:
                    break
    except FacilityHttpError:
        # What was read before still tells something.
        pass
    return found


__all__ = ["SAMPLED", "sample_service", "summarised"]
