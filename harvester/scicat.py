"""SciCat's own catalogue: published data and their datasets (crosswalks 3.5).

API: ``/publisheddata`` and ``/datasets`` of SciCat's backend, versions 3 and 4
(https://github.com/SciCatProject/scicat-backend-next, read 2026). Lists take
``filter={"limits": {"skip", "limit", "order"}}``; without ``limit`` they end at 100. Each published
record names its datasets, which are asked for one by one: some are refused (403), some are named
with their prefix twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import orjson

from facility_http.errors import (
    AccessRefused,
    BadStatus,
    BodyRefused,
    MalformedResponse,
    NotAccepted,
    NotOffered,
    TimedOut,
)
from facility_http.http import Access, Fetcher
from facility_http.panosc_client import RestOptions, SearchApi
from facility_http.rest_json import RestRecord, count_in, identifier_of, is_ghost, read_json
from harvester.panosc_places import Place, Reading
from harvester.panosc_rest import RestPage
from harvester.seen import Seen
from mappings.context import Header

FORMATS = {"Document": "scicat-publisheddata", "Dataset": "scicat-dataset"}

_PATHS = {"Document": "publisheddata", "Dataset": "datasets"}
_PIDS = ("pidArray", "datasetPids")
_SMALLER_MAY_HELP = (BadStatus, TimedOut, BodyRefused, MalformedResponse)
_MOST_BLOCKS = 10_000


class ScicatClient:
    """Sweeps one SciCat; gives the same pages as ``PanoscClient``.

    Args:
        base_url: with the version, e.g. ``https://scicat.ess.eu/api/v3``.
        options: ``page_size`` and ``max_pages`` count.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        base_url: str,
        *,
        access: Access | None = None,
        options: RestOptions | None = None,
    ) -> None:
        self.api = SearchApi(fetcher, base_url, access=access)
        self.options = options or RestOptions()
        self._blocks_offered = True

    async def pages(
        self, resume: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[RestPage, None]:
        """Published records, each followed by its datasets, page by page.

        Raises:
            NotOffered: there is no list of published data. FacilityHttpError: no answer.
        """
        place = Place.read(resume, "Document")
        place.strategy = "offset"
        reading = Reading(place=place, page_size=self.options.page_size, ordered=True)
        datasets = Seen()
        while True:
            reading.count = await self._count()
            while not reading.over(self.options.max_pages):
                objects = await self._window(reading)
                if objects is None:
                    continue
                fresh = await anyio.to_thread.run_sync(reading.take, objects)
                records: list[RestRecord] = []
                for item in fresh:
                    records.append(_record("Document", item))
                    records += await self._datasets_of(item, datasets, reading)
                if records:
                    yield RestPage(
                        "Document",
                        tuple(records),
                        checkpoint=place.checkpoint("Document", (), reading.distinct),
                        count=reading.count,
                        seen=reading.distinct,
                        notes=dict(reading.take_notes()),
                    )
            stop = reading.finished(self.options.passes)
            if stop is not None:
                break
            reading.next_pass(keyset=False)
        yield RestPage(
            "Document",
            (),
            checkpoint={"done": ["Document"]},
            stop=stop,
            last=True,
            count=reading.count,
            seen=reading.distinct,
            notes=dict(reading.take_notes()),
        )

    async def get(self, entity_class: str, pid: str) -> RestRecord | None:
        """One published record or dataset; ``None`` when there is none.

        Raises:
            AccessRefused: it exists and is not shown. FacilityHttpError: no answer.
        """
        if entity_class == "Dataset":
            item = await self._dataset(pid)
        else:
            item = await self._one("Document", pid)
        return None if item is None else _record(entity_class, item)

    async def _window(self, reading: Reading) -> Any:
        window = reading.window()
        order = "doi:desc" if reading.place.down else "doi:asc"
        limits = {"skip": window["skip"], "limit": window["limit"], "order": order}
        path, arguments = _PATHS["Document"], _filter({"limits": limits})
        try:
            objects = await self.api.ask(path, arguments, read=self.api.read_list)
            if not objects.length and reading.expects_more():
                # A passing empty page must not end the list (fault E07).
                objects = await self.api.ask(path, arguments, read=self.api.read_list)
            reading.unreadable = 0
        except _SMALLER_MAY_HELP:
            if reading.shrink():
                return None
            reading.note({"unreadable": 1})
            reading.unreadable += 1
            if reading.unreadable > 3:
                raise
            reading.step_over()
            return None
        return objects

    async def _count(self) -> int | None:
        try:
            value, _ = await self.api.ask(
                f"{_PATHS['Document']}/count", trying=True, read=read_json
            )
        except (NotOffered, NotAccepted, MalformedResponse, AccessRefused):
            return None
        return count_in(value)

    async def _datasets_of(
        self, item: Mapping[str, Any], known: Seen, reading: Reading
    ) -> list[RestRecord]:
        records = []
        for pid in _dataset_pids(item):
            if not known.add(pid):
                continue
            try:
                found = await self._dataset(pid)
            except AccessRefused:
                reading.note({"dataset_refused": 1})
                continue
            if found is None:
                reading.note({"dataset_missing": 1})
            else:
                records.append(_record("Dataset", found))
        return records

    async def _dataset(self, pid: str) -> dict[str, Any] | None:
        """A dataset with its data blocks, which hold the files."""
        found = None
        for spelling in _spellings(pid):
            found = await self._one("Dataset", spelling)
            if found is not None:
                break
        if found is None or "origdatablocks" in found or not self._blocks_offered:
            return found
        path = f"{_PATHS['Dataset']}/{quote(identifier_of(found), safe='')}/origdatablocks"
        try:
            blocks = await self.api.ask(path, trying=True, read=self.api.read_list)
        except (NotOffered, NotAccepted):
            self._blocks_offered = False
            return found
        except (AccessRefused, MalformedResponse):
            return found
        return {**found, "origdatablocks": blocks.items[:_MOST_BLOCKS]}

    async def _one(self, entity_class: str, pid: str) -> dict[str, Any] | None:
        path = f"{_PATHS[entity_class]}/{quote(pid, safe='')}"
        try:
            value, _ = await self.api.ask(path, trying=True, read=read_json)
        except (NotOffered, NotAccepted):
            return None
        return value if isinstance(value, dict) and not is_ghost(value) else None


def _record(entity_class: str, item: Mapping[str, Any]) -> RestRecord:
    name = "doi" if entity_class == "Document" else "pid"
    identifier = item.get(name)
    text = identifier.strip() if isinstance(identifier, str) else identifier_of(item)
    changed = item.get("updatedAt")
    return RestRecord(
        Header(
            f"{entity_class}/{text}" if text else "", changed if isinstance(changed, str) else None
        ),
        FORMATS[entity_class],
        orjson.dumps(item),
        None if text else "no_identifier",
    )


def _dataset_pids(item: Mapping[str, Any]) -> Sequence[str]:
    for name in _PIDS:
        value = item.get(name)
        if isinstance(value, list):
            return [pid for pid in value if isinstance(pid, str) and pid.strip()]
    return ()


def _spellings(pid: str) -> Sequence[str]:
    """The pid, and without the first of two equal prefixes (crosswalks 3.5)."""
    prefix, _, rest = pid.partition("/")
    return (pid, rest) if rest.startswith(f"{prefix}/") else (pid,)


def _filter(value: Mapping[str, Any]) -> dict[str, str]:
    return {"filter": orjson.dumps(value).decode()}
