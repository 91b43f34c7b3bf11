"""A sample of a Search API's records: what scoring them live needs to know (semantics 8).

Answers to questions are no sample, since every record in them has the question's words. So some
records of each class are read as a harvest would read them, and counted as the index would.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import anyio.to_thread
import orjson

from catalogue.facilities import Source
from catalogue.fields import elements
from catalogue.readings import FORMATS, Reading, make_pool, read_objects
from catalogue.record_store import RecordStore
from catalogue.statistics import statistics_of, to_json
from facility_http.errors import FacilityHttpError
from facility_http.http import Fetcher
from facility_http.panosc_client import SearchApi
from harvester.panosc_rest import PanoscClient
from mappings.context import Context

SAMPLED = 1_000
"""Records of each class that are read at least, where there are so many."""
_PAGE = 100
MOST_NAMES = 300
_MARK = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


Counted = Callable[[str, Sequence[str]], set[str]]
"""Gives which of the keys of a class are counted elsewhere."""


def nobody_else(name: str, keys: Sequence[str]) -> set[str]:
    """Where nothing is known of others."""
    return set()


async def sample_service(
    http: Fetcher,
    api: SearchApi,
    context: Context,
    *,
    classes: tuple[str, ...],
    counted: Counted = nobody_else,
) -> dict[str, Any]:
    """Class → ``statistics`` of a sample in the form of ``catalogue.statistics.to_json``;
    ``sampled``, how many records it has; ``share`` of them that are counted, since what others hold
    may be counted there; ``counted``: marks of these; ``always``: relations that every object of it
    has something in; ``parameters``: by name, in which ``units`` they came and whether all
    values were ``numbers``; and ``techniques``: by PaNET id, which ``pids`` and ``names`` were
    linked to it.

    A class that cannot be read is left out.

    Args:
        counted: which of these keys are counted elsewhere already.
    """
    items: dict[str, list[dict[str, Any]]] = {}
    for name in classes:
        if name in FORMATS:
            items[name] = await _read(http, api, name)

    def count() -> dict[str, Any]:
        readings = {
            name: read_objects(name, items[name], context, counted=True)
            for name in FORMATS
            if items.get(name)
        }
        pool = make_pool(list(readings.values()), now=_EPOCH)
        listed = {key for reading in readings.values() for key in reading.listed}
        found: dict[str, Any] = {}
        for name in FORMATS:
            held = [one for one in pool.of_class(name) if one.key in listed]
            if held:
                theirs = counted(name, [one.key for one in held])
                own = [one for one in held if one.key not in theirs]
                found[name] = {
                    "statistics": to_json(statistics_of(own)),
                    "sampled": len(held),
                    "share": len(own) / len(held),
                    "counted": marks_of(one.key for one in own),
                    "always": _always(items[name]),
                    "parameters": _parameters(items[name]),
                    "techniques": _techniques(readings[name]),
                }
        return found

    return await anyio.to_thread.run_sync(count)


def counted_elsewhere(store: RecordStore, source: Source) -> Counted:
    """What of a source's sample is counted without it: by the index, where another facility that
    was harvested has it, or in the sample of another source that is asked live.

    Records that several have are counted once that way, as one index would (semantics 8.1). Of
    facilities larger than a sample only what both samples hold is known to be the same.
    """
    others = [
        one
        for one in store.sources()
        if one.mode != "indexed" and one.facility != source.facility and one.enabled
    ]

    def counted(name: str, keys: Sequence[str]) -> set[str]:
        theirs = {
            key
            for key, entity in store.entities(keys).items()
            if not entity.deleted
            and {str(one) for one in entity.record.get("facilities") or ()} - {source.facility}
        }
        for one in others:
            memory = store.source_status(one.name).memory or {}
            found = (memory.get("capabilities") or {}).get("classes", {}).get(name) or {}
            marked = _marks_in(found.get("counted"))
            theirs |= {key for key in keys if _mark(key) in marked}
        return theirs

    return counted


def marks_of(keys: Iterable[str]) -> str:
    """Keys in short: enough to know one again."""
    return base64.b64encode(b"".join(map(_mark, sorted(keys)))).decode()


def _mark(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_MARK).digest()


def _marks_in(text: object) -> set[bytes]:
    try:
        held = base64.b64decode(text) if isinstance(text, str) else b""
    except ValueError:
        return set()
    return {held[at : at + _MARK] for at in range(0, len(held), _MARK)}


def summarised(memory: Mapping[str, Any]) -> dict[str, Any]:
    """A source's memory for people: of a sample's statistics only how large it was."""
    profile = memory.get("capabilities")
    if not isinstance(profile, Mapping):
        return dict(memory)
    classes = {
        name: {
            key: {"records": value.get("records")} if key == "statistics" else value
            for key, value in found.items()
            if key not in ("counted", "parameters", "techniques")
        }
        for name, found in profile.get("classes", {}).items()
    }
    return {**memory, "capabilities": {**profile, "classes": classes}}


def _always(items: Sequence[Mapping[str, Any]]) -> list[str]:
    names = {name for item in items for name, value in item.items() if isinstance(value, list)}
    return sorted(name for name in names if all(item.get(name) for item in items))


def _parameters(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of a sample by name, the ``MOST_NAMES`` most frequent."""
    rows = [
        row
        for item in items
        for row in item.get("parameters") or ()
        if isinstance(row, Mapping) and isinstance(row.get("name"), str)
    ]
    names = Counter(str(row["name"]) for row in rows)
    found: dict[str, Any] = {
        name: {"units": [], "numbers": True} for name, _ in names.most_common(MOST_NAMES)
    }
    for row in rows:
        one = found.get(row["name"])
        if one is None:
            continue
        unit, value = row.get("unit"), row.get("value")
        if unit not in one["units"]:
            one["units"].append(unit)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        one["numbers"] = one["numbers"] and is_number
    return found


def _techniques(reading: Reading) -> dict[str, Any]:
    """How a sample spells techniques, by what they were linked to; the ``MOST_NAMES`` most frequent
    spellings."""
    spelled = Counter(
        (str(one["panet"]), str(one.get("pid") or ""), str(one.get("name") or ""))
        for said in reading.said.values()
        if said.entity_class == "Dataset"
        for one in elements(said.part(), "techniques")
        if one.get("panet")
    )
    found: dict[str, Any] = {}
    for (panet, *spellings), _ in spelled.most_common(MOST_NAMES):
        one = found.setdefault(panet, {"pids": [], "names": []})
        for spelling, known in zip(spellings, one.values(), strict=True):
            if spelling and spelling not in known:
                known.append(spelling)
    return found


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


__all__ = ["SAMPLED", "counted_elsewhere", "sample_service", "summarised"]
