"""A sweep over a PaNOSC Search API that stays complete while the list moves under it.

Each class is listed by its pid where the service honours that (``pid > x``, ordered), else by
``skip``. What counts is never the length of a page but the identifiers seen: a class is done when
they meet the service's own count, or when a further pass brings nothing new (faults E01–E07).

The *spine* of a page is asked for without nested includes, because those lose parents without
children at some services (crosswalks 2.2); persons and affiliations come by a second request for
the same page, until the service has shown that it loses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.to_thread

from facility_http.errors import (
    AccessRefused,
    BadStatus,
    BodyRefused,
    FacilityHttpError,
    MalformedResponse,
    NotAccepted,
    NotOffered,
    TimedOut,
)
from facility_http.http import Access, Fetcher
from facility_http.panosc_client import MEMBERS_IN_FULL, RestOptions, SearchApi
from facility_http.rest_json import Objects, RestRecord, identifier_of, record_of
from harvester.panosc_places import Place, Reading

COMPLETE_STOPS = frozenset({"end_of_class", "not_offered"})
"""Class stops that mean: everything there is was read. The others: ``count_disagrees`` (passes
bring nothing new and the count is higher), ``ceiling`` (pages beyond some point are refused),
``end_with_gaps`` (as many are missing as came as ghosts, nulls or refusals), ``skip_ignored``,
``refused`` (the whole class), ``broken_off`` (it fails, while another class answers),
``page_limit``."""

# Failures that a smaller page may get round; all others are about the service as a whole.
_SMALLER_MAY_HELP = (BadStatus, TimedOut, BodyRefused, MalformedResponse, NotAccepted)
_UNREADABLE_IN_A_ROW = 3
_FILES_PAGE = 1000


@dataclass(frozen=True, slots=True)
class RestPage:
    """Objects of one class that were not seen before in this sweep.

    ``checkpoint`` goes to ``PanoscClient.pages(resume=…)``. ``stop`` names why the class ended, on
    its last page, ``why`` in whose words; ``last``: the sweep is over. ``count`` is the service's
    number, ``seen`` ours.
    ``notes`` counts what was odd on this page (``ghost``, ``null``, ``refused``, ``nan`` …);
    ``not_offered`` names relations that this service cannot give: they are unknown, not none.
    """

    entity_class: str
    records: tuple[RestRecord, ...]
    checkpoint: Mapping[str, Any]
    stop: str | None = None
    why: str | None = None
    last: bool = False
    count: int | None = None
    seen: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    not_offered: tuple[str, ...] = ()


class PanoscClient:
    """Sweeps one PaNOSC Search API.

    Args:
        fetcher: shared by all sources.
        base_url: e.g. ``https://search.panosc.ess.eu/api``.
        access: credentials, internal addresses, pace.
        options: page size, classes, caps.
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

    async def get(self, entity_class: str, pid: str) -> RestRecord | None:
        """One object with its relations, or ``None`` when the service says there is none.

        Raises:
            AccessRefused: it exists and is not shown. FacilityHttpError: no answer.
        """
        await self.api.learn_relations(entity_class)
        include = self._include(entity_class, nested=True)
        item = await self.api.get(entity_class, pid, {"include": include} if include else None)
        return None if item is None else record_of(entity_class, self._offered(entity_class, item))

    async def pages(
        self, resume: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[RestPage, None]:
        """Sweep all classes, page by page; each page's checkpoint continues behind it.

        A class that gives nothing while another one answers does not keep that one back, in this
        sweep and in those to come: it ends as ``broken_off``, and the next sweep is a whole one.
        One that fails on its way is gone on with first.

        Raises:
            NotOffered: the service has none of the classes.
            FacilityHttpError: it does not answer any more; what came before stands.
        """
        done = list((resume or {}).get("done", ()))
        failure: FacilityHttpError | None = None
        offered = bool(done)
        # No place is kept behind what is not shown as long as nothing was shown at all.
        kept: list[RestPage] = []
        for entity_class in self.options.classes:
            if entity_class in done:
                continue
            reading = Reading(Place.read(resume, entity_class), self.options.page_size)
            before = reading.distinct
            try:
                async with aclosing(self._sweep(entity_class, reading, done)) as pages:
                    async for page in pages:
                        offered = offered or page.stop != "not_offered"
                        kept.append(page)
                        while offered and kept:
                            yield kept.pop(0)
            except AccessRefused as error:
                # One class behind a login must not keep the others back.
                failure = error
                kept.append(self._ended(entity_class, Reading(), done, "refused"))
            except _SMALLER_MAY_HELP as error:
                if reading.distinct > before or not await self._others_answer(entity_class):
                    raise
                failure = error
                ended = self._ended(entity_class, reading, done, "broken_off")
                kept.append(replace(ended, why=str(error)))
            done.append(entity_class)
        if not offered:
            raise failure or NotOffered("none of the classes is served here")
        for page in kept:
            yield page

    async def _others_answer(self, entity_class: str) -> bool:
        """Whether what failed is one class, and not the service."""
        for other in self.options.classes:
            if other != entity_class:
                try:
                    await self.api.find(other, {"limit": 1}, trying=True)
                except FacilityHttpError:
                    continue
                return True
        return False

    def _ended(
        self, entity_class: str, reading: Reading, done: Sequence[str], stop: str
    ) -> RestPage:
        """The last page of a class: no records, its stop, and the next class's beginning."""
        finished = [*done, entity_class]
        return RestPage(
            entity_class,
            records=(),
            checkpoint={"done": finished},
            stop=stop,
            last=all(one in finished for one in self.options.classes),
            count=reading.count,
            seen=reading.distinct,
            notes=dict(reading.take_notes()),
            not_offered=self.api.able(entity_class).not_offered,
        )

    async def _sweep(
        self, entity_class: str, reading: Reading, done: Sequence[str]
    ) -> AsyncGenerator[RestPage, None]:
        api, able, place = self.api, self.api.able(entity_class), reading.place
        try:
            await api.find(entity_class, {"limit": 1}, trying=True)
            reading.count = await api.count(entity_class)
            await api.learn_relations(entity_class)
            await api.learn_order(entity_class, 8)
        except NotOffered:
            yield self._ended(entity_class, reading, done, "not_offered")
            return
        if place.strategy is None:
            place.strategy = "keyset" if able.keyset else "offset"
        reading.ordered = bool(able.order)
        while True:
            async with aclosing(self._read_pass(entity_class, reading, done)) as pages:
                async for page in pages:
                    yield page
            reading.count = await api.count(entity_class)
            stop = reading.finished(self.options.passes)
            if stop is not None:
                break
            reading.next_pass(keyset=bool(able.keyset))
        self._note_silent_relations(entity_class, reading)
        yield self._ended(entity_class, reading, done, stop)

    async def _read_pass(
        self, entity_class: str, reading: Reading, done: Sequence[str]
    ) -> AsyncGenerator[RestPage, None]:
        """One run through the list; ends at an empty page, or where pages bring nothing new."""
        while not reading.over(self.options.max_pages):
            window = reading.window()
            problem: str | None = None
            try:
                objects = await self._window(entity_class, window, reading)
                reading.unreadable = 0
            except _SMALLER_MAY_HELP as error:
                if reading.shrink():
                    continue
                bare = await self._bare(entity_class, window, reading, error)
                if bare is None:
                    continue
                objects, problem = bare
            fresh = await anyio.to_thread.run_sync(reading.take, objects)
            if entity_class == "Dataset" and problem is None:
                fresh = [await self._with_files(item, reading) for item in fresh]
            records = tuple(
                record_of(entity_class, self._offered(entity_class, item), problem)
                for item in fresh
            )
            reading.note(self.api.mended)
            self.api.mended.clear()
            if records:
                yield RestPage(
                    entity_class,
                    records,
                    checkpoint=reading.place.checkpoint(entity_class, done, reading.distinct),
                    count=reading.count,
                    seen=reading.distinct,
                    notes=dict(reading.take_notes()),
                    not_offered=self.api.able(entity_class).not_offered,
                )

    async def _window(
        self, entity_class: str, window: Mapping[str, Any], reading: Reading
    ) -> Objects:
        """The objects of one window with their relations, none lost by joining."""
        able = self.api.able(entity_class)
        nested = able.nested_drops is False
        include = self._include(entity_class, nested=nested)
        filter_ = {**window, "include": include} if include else dict(window)
        objects = await self.api.find(entity_class, filter_)
        if not objects.length and reading.expects_more():
            # A passing empty page must not end the list (fault E07).
            objects = await self.api.find(entity_class, filter_)
        reading.keys.update(key for item in objects.items for key in item)
        if entity_class == "Document" and objects.items and not nested:
            await self._add_people(objects.items, window)
        return objects

    async def _add_people(self, items: Sequence[dict[str, Any]], window: Mapping[str, Any]) -> None:
        """Persons and affiliations for a page of Documents, by a second request for it."""
        able = self.api.able("Document")
        if able.relations.get("members") is None or able.relations.get("people", "") is None:
            return
        try:
            found = await self.api.find(
                "Document", {**window, "include": [MEMBERS_IN_FULL]}, trying=True
            )
        except NotAccepted:
            able.relations["people"] = None
            return
        able.relations["people"] = "people"
        full = {identifier_of(item): item.get("members") for item in found.items}
        for item in items:
            pid = identifier_of(item)
            if full.get(pid):
                item["members"] = full[pid]
            elif pid in full:
                able.nested_drops = False
            elif item.get("members"):
                single = await self.api.get("Document", pid, {"include": [MEMBERS_IN_FULL]})
                if single is not None and single.get("members"):
                    item["members"] = single["members"]
            elif found.length < len(items):
                able.nested_drops = True

    async def _bare(
        self,
        entity_class: str,
        window: Mapping[str, Any],
        reading: Reading,
        error: FacilityHttpError,
    ) -> tuple[Objects, str] | None:
        """A single object that fails with its relations: asked for without, and marked (A08).

        Raises:
            FacilityHttpError: ``error``, when this happens again and again: it is not the object.
        """
        reading.note({"unreadable": 1})
        reading.unreadable += 1
        if reading.unreadable > _UNREADABLE_IN_A_ROW:
            if reading.place.skip and isinstance(error, BadStatus | NotAccepted):
                reading.ceiling()
                return None
            raise error
        try:
            objects = await self.api.find(entity_class, window, trying=True)
        except _SMALLER_MAY_HELP:
            reading.step_over()
            return None
        return objects, f"its relations cannot be read: {type(error).__name__}"

    async def _with_files(self, item: dict[str, Any], reading: Reading) -> dict[str, Any]:
        """Files that could not be included come by a second request, if there is such a way."""
        able = self.api.able("Dataset")
        pid = identifier_of(item)
        included = able.relations.get("files") is not None and "files" in reading.keys
        if included or "files" in item or not pid or able.files_endpoint is False:
            return item
        files: list[dict[str, Any]] = []
        try:
            while True:
                found = await self.api.files(pid, len(files), _FILES_PAGE)
                before = {identifier_of(one) or one.get("name") for one in files}
                fresh = [
                    one
                    for one in found.items
                    if (identifier_of(one) or one.get("name")) not in before
                ]
                files += fresh
                if not fresh or found.length < _FILES_PAGE:
                    break
        except (NotOffered, NotAccepted):
            able.files_endpoint = able.files_endpoint or False
            return item
        except AccessRefused:
            reading.note({"files_refused": 1})
            return item
        able.files_endpoint = True
        return {**item, "files": files}

    def _include(self, entity_class: str, *, nested: bool) -> list[Mapping[str, Any]]:
        able = self.api.able(entity_class)
        include: list[Mapping[str, Any]] = []
        for name, spelling in able.relations.items():
            if spelling is None or name == "people":
                continue
            full = name == "members" and nested and able.relations.get("people", "") is not None
            include.append(MEMBERS_IN_FULL if full else {"relation": spelling})
        return include

    def _offered(self, entity_class: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """The object without empty relations that the service cannot give: unknown, not none."""
        able = self.api.able(entity_class)
        kept = {
            key: value
            for key, value in item.items()
            if value not in ([], None) or key not in able.not_offered
        }
        if "document" in kept and "documents" not in kept and entity_class == "Dataset":
            parent = kept.pop("document")
            kept["documents"] = parent if isinstance(parent, list) else [parent] if parent else []
        return kept

    def _note_silent_relations(self, entity_class: str, reading: Reading) -> None:
        """Relations that were accepted and never sent, over a whole class."""
        able = self.api.able(entity_class)
        if not reading.distinct:
            return
        for name, spelling in list(able.relations.items()):
            if spelling is not None and name != "people" and spelling not in reading.keys:
                if name == "files" and able.files_endpoint:
                    continue
                reading.note(Counter({f"never_sent_{name}": 1}))
