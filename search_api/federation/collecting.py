"""What one facility gives for one question: pages of a superset, read into entities.

The facility answers the part of the question that it can (``splitting``), page by page until
enough has come or its list ends. Everything it says is then looked at by the oracle. The take says
whether every record that could match was seen, and what could not be had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

from catalogue.facilities import mapping_context
from catalogue.query import Everything, Search
from catalogue.readings import Reading, joined
from catalogue.records import EntityClass
from facility_http.rest_json import identifier_of
from search_api.federation.details import Asks, Details
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.profiles import ClassProfile
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.readers import Readers
from search_api.federation.relations import (
    NO_RELATIONS,
    Item,
    Wanted,
    depends_on,
    wanted_relations,
)
from search_api.federation.splitting import (
    Split,
    conjunction_of,
    is_doi,
    likely_words,
    split_filter,
)

PAGE = 1_000
"""Objects asked for at a time where a service has no cap of its own."""
UNCHECKED_PAGE = 100
_SORTABLE = frozenset({"pid", "title", "name", "startDate", "endDate", "releaseDate",
                       "creationDate", "size"})  # fmt: skip
_WORD_FIELDS = {"Document": ("title", "summary"), "Dataset": ("title",), "Instrument": ("name",)}


class Learn(Protocol):
    """Remembers operators that a service turned out not to know, for a class."""

    async def __call__(self, entity_class: EntityClass, operators: frozenset[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Need:
    """How much of a facility a question needs.

    ``candidates``: records to look at for the page. ``most``: records to look at in any case no
    more. ``few``: a facility with at most so many records is looked at whole. ``words``: of the
    text, for services that search substrings. ``files``: whether files are wanted.
    """

    candidates: int
    most: int
    few: int
    words: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """What came. ``complete``: every record that could match was looked at. ``number``: the
    facility's own count of all that match, where it can be believed. ``missing`` and ``unseen``:
    see ``relations.Wanted``. ``more``: asking deeper may bring more."""

    reading: Reading
    complete: bool
    number: int | None = None
    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    more: bool = False
    age_s: float = 0.0
    stale: bool = False


class ReadingCache:
    """Readings by what was read: the same body need not be mapped twice.

    ``most``: entities kept in all, some 5 kB each with what was worked out of them.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._size = 0
        self._held: dict[tuple[str, str, bytes], Reading] = {}
        self._names: dict[tuple[str, str, bytes], frozenset[str]] = {}

    def names(self, key: tuple[str, str, bytes], items: Sequence[Item]) -> frozenset[str]:
        """What the service calls the objects themselves; kept as long as what was read of them."""
        found = self._names.get(key)
        if found is None:
            found = frozenset(map(identifier_of, items))
            if key in self._held:
                self._names[key] = found
        return found

    def get(self, key: tuple[str, str, bytes]) -> Reading | None:
        found = self._held.pop(key, None)
        if found is not None:
            self._held[key] = found
        return found

    def put(self, key: tuple[str, str, bytes], reading: Reading) -> None:
        before = self._held.pop(key, None)
        self._held[key] = reading
        self._size += len(reading.said) - (len(before.said) if before else 0)
        while self._size > self._most and len(self._held) > 1:
            name = next(iter(self._held))
            self._size -= len(self._held.pop(name).said)
            self._names.pop(name, None)


@dataclass(slots=True)
class Collector:
    """Collects from one source. ``profile`` and ``datasets`` are those of the asked class and of
    Datasets, less what was learnt."""

    live: LiveSource
    profile: ClassProfile
    datasets: ClassProfile
    ask: Asks
    learn: Learn
    readings: ReadingCache
    readers: Readers

    async def collect(self, search: Search, need: Need) -> Take:
        """Collect for one question.

        Raises:
            FacilitySilent: nothing came; what came before a failure counts as a take.
        """
        split, list_filter = self._first_filter(search, need)
        wanted = wanted_relations(self.profile, self.datasets, files=need.files, joins=split.joins)
        pager = _Pager(self, search, need, split, list_filter, wanted)
        return await pager.run()

    async def one(self, pid: str, need: Need) -> Take:
        """The thing of a pid, with its relations; a take without anything listed if there is none.

        Raises:
            FacilitySilent: no answer.
        """
        wanted = wanted_relations(self.profile, self.datasets, files=need.files)
        entity_class = self.profile.entity_class
        filter_ = {"include": list(wanted.include)} if wanted.include else {}
        try:
            answer = await self.ask(Question(entity_class, filter_, pid=pid))
        except QuestionRefused:
            wanted = NO_RELATIONS
            try:
                answer = await self.ask(Question(entity_class, {}, pid=pid))
            except QuestionRefused as refusal:
                raise self.unsupported(refusal) from refusal
        if not (answer.objects and answer.objects.items) and is_doi(pid):
            answer = await self._by_doi(pid, wanted) or answer
        assert answer.objects is not None
        details = self.details(wanted, need)
        items, digest = await details.of(answer.objects.items, answer.digest)
        return Take(
            await self.read(items, digest, need),
            complete=not answer.stale,
            missing=wanted.missing,
            unseen=tuple(sorted({*wanted.unseen, *details.unseen})),
            age_s=answer.age_s,
            stale=answer.stale,
        )

    async def _by_doi(self, doi: str, wanted: Wanted) -> FacilityAnswer | None:
        """Things whose pid is a number and whose DOI stands in a field of its own (ESRF)."""
        spellings = list(dict.fromkeys((doi, doi.upper(), doi.lower())))
        several = self.profile.can("inq") and len(spellings) > 1
        filter_: Item = {"where": {"doi": {"inq": spellings} if several else doi}, "limit": 2}
        if wanted.include:
            filter_["include"] = list(wanted.include)
        try:
            return await self.ask(Question(self.profile.entity_class, filter_))
        except QuestionRefused:
            return None

    def details(self, wanted: Wanted, need: Need) -> Details:
        return Details(self.ask, wanted, self.datasets, need.files)

    def unsupported(self, refusal: QuestionRefused) -> FacilitySilent:
        """The facility is well, and of no help with this question."""
        said = f": {refusal.message}" if refusal.message else ""
        return FacilitySilent(
            self.live.source.name,
            "unsupported",
            f"it does not take the question (HTTP {refusal.refused_with}){said}",
        )

    def is_small(self, need: Need) -> bool:
        """Whether the facility is looked at whole, as few records as it has."""
        total = self.profile.total
        return total is not None and total <= need.few

    def _first_filter(self, search: Search, need: Need) -> tuple[Split, Item]:
        small = self.is_small(need)
        # Of few records all are asked for, whatever is asked: the same list serves every question.
        where = Everything() if small else search.where
        split = split_filter(where, self.profile, likely=True)
        sure, whole = split.sure, split.whole and not small and search.text is None
        asked: Item = {}
        if search.text is not None and not small:
            if self.profile.scored:
                asked["query"] = " ".join(need.words) or search.text.words
                sure = False
            else:
                fields = _WORD_FIELDS[self.profile.entity_class]
                words = likely_words(need.words, self.profile, fields)
                split = conjunction_of(split, words, self.profile)
                sure = split.sure
        if (sure, whole) != (split.sure, split.whole):
            split = replace(split, sure=sure, whole=whole)
        if self.profile.order and "query" not in asked:
            asked["order"] = _order(search)
        return split, asked

    def whole(self, readings: Sequence[Reading], digests: Sequence[bytes]) -> Reading:
        """The pages as one reading, the same one as long as the pages are the same."""
        if len(readings) == 1 or not all(digests):
            return joined(readings)
        key = self._key(blake2b(b"".join(digests), digest_size=16).digest())
        found = self.readings.get(key)
        if found is None:
            found = joined(readings)
            self.readings.put(key, found)
        return found

    def names(self, items: Sequence[Item], digest: bytes) -> frozenset[str]:
        """The services' own names of objects."""
        return self.readings.names(self._key(digest), items)

    def _key(self, digest: bytes) -> tuple[str, str, bytes]:
        return (self.live.source.name, self.profile.entity_class, digest)

    async def read(self, items: Sequence[Item], digest: bytes, need: Need) -> Reading:
        """The objects as entities; from the cache where the same were read before."""
        entity_class, key = self.profile.entity_class, self._key(digest)
        found = self.readings.get(key) if digest else None
        if found is None:
            context = mapping_context(self.live.facility, self.live.source)
            counted = bool(need.words)
            found = await self.readers.read(entity_class, items, context, counted=counted)
            if digest:
                self.readings.put(key, found)
        return found


def _order(search: Search) -> str:
    """The asked order where a service has the field, else that of pids: any that stays the same."""
    if len(search.sort) == 1 and search.sort[0].field in _SORTABLE and search.text is None:
        return f"{search.sort[0].field} {'DESC' if search.sort[0].descending else 'ASC'}"
    return "pid ASC"


@dataclass(slots=True)
class _Pager:
    """One list being read."""

    collector: Collector
    search: Search
    need: Need
    split: Split
    asked: Item
    wanted: Wanted
    refused: bool = False

    async def run(self) -> Take:
        """Read the list, and beside it the service's count where that will be needed."""
        counting = asyncio.create_task(self._counted()) if self._wants_count() else None
        try:
            return await self._read(counting)
        finally:
            if counting is not None:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)

    async def _read(self, counting: asyncio.Task[int | None] | None) -> Take:
        collector, need, profile = self.collector, self.need, self.collector.profile
        enough = need.most if self._must_see_all() else min(need.candidates, need.most)
        page = min(
            profile.largest_limit or (PAGE if profile.checked else UNCHECKED_PAGE), need.most
        )
        readings: list[Reading] = []
        digests: list[bytes] = []
        seen: set[str] = set()
        skip, odd, ended, broken = 0, 0, False, False
        age_s, stale = 0.0, False
        details = collector.details(self.wanted, need)
        while skip < enough and not ended:
            limit = min(page, enough - skip)
            try:
                answer = await self._page(skip, limit)
                objects = answer.objects
                assert objects is not None
                items, digest = await details.of(objects.items, answer.digest)
            except FacilitySilent:
                if not readings:
                    raise
                broken = True
                break
            age_s, stale = max(age_s, answer.age_s), stale or answer.stale
            odd += objects.odd.total()
            named = collector.names(items, digest)
            fresh = not named <= seen
            seen |= named
            readings.append(await collector.read(items, digest, need))
            digests.append(digest)
            skip += objects.length
            ended = not objects.length or not fresh or self._is_last(objects.length, limit, skip)
            if fresh or not objects.length:
                continue
            # The same objects again: the service ignores skip, so the rest cannot be had.
            broken = bool(profile.total is None or profile.total > len(seen))
        reading = collector.whole(readings, digests)
        complete = ended and not broken and self.split.sure and not odd and not reading.dropped
        unseen = tuple(sorted({*self.wanted.unseen, *details.unseen}))
        complete = complete and not depends_on(self.search, unseen)
        complete = complete and not stale and await self._is_whole(len(seen), counting)
        return Take(
            reading,
            complete,
            await self._number(complete, skip),
            self.wanted.missing,
            unseen,
            more=not ended and not broken and skip < need.most,
            age_s=age_s,
            stale=stale,
        )

    def _wants_count(self) -> bool:
        """Whether only the service's own count can tell that nothing was left out: parents without
        children may be lost, or there is no number of the check to compare with."""
        profile = self.collector.profile
        if not self._must_see_all() or not self.split.sure or not self._can_count():
            return False
        nested = bool(self.wanted.include) and not profile.keeps_parents
        return nested or bool(self.split.where) or profile.total is None

    def _can_count(self) -> bool:
        profile = self.collector.profile
        return profile.counts or (profile.tells_total and not self.split.where)

    async def _counted(self) -> int | None:
        """The service's count of what the list is asked for; ``None`` without an answer."""
        where = {"where": dict(self.split.where)}
        try:
            answer = await self.collector.ask(
                Question(self.collector.profile.entity_class, where, count=True)
            )
        except (FacilitySilent, QuestionRefused):
            return None
        return answer.number

    async def _is_whole(self, seen: int, counting: asyncio.Task[int | None] | None) -> bool:
        """Whether nothing was left out: pages may be short, begin at the wrong place, or lack
        parents without children (faults E03, E12)."""
        profile = self.collector.profile
        if counting is not None and not self.refused:
            return await counting == seen
        if self.split.where:
            return not self._can_count() or await self._counted() == seen
        if profile.total is None or seen == profile.total:
            return True
        # Another number than at the check: something came, went, or was lost on the way.
        return await self._counted() == seen if self._can_count() else seen > profile.total

    def _must_see_all(self) -> bool:
        """Whether the best may be anywhere in the list: no order and no ranking that helps."""
        if self.collector.is_small(self.need):
            return True
        if self.search.text is not None:
            return not self.collector.profile.scored
        return bool(self.search.sort) and self.asked.get("order", "pid ASC") == "pid ASC"

    def _is_last(self, length: int, limit: int, seen: int) -> bool:
        """A short page is the last, unless parents were dropped after it was cut (fault E12)."""
        profile = self.collector.profile
        if not profile.checked or length >= limit or self.split.joins:
            return False
        narrowed = self.split.where or "query" in self.asked
        # More were there at the check: the service may cut pages shorter than it used to.
        return bool(narrowed) or profile.total is None or seen >= profile.total

    async def _page(self, skip: int, limit: int) -> FacilityAnswer:
        collector = self.collector
        entity_class = collector.profile.entity_class
        try:
            return await collector.ask(Question(entity_class, self._filter(skip, limit)))
        except QuestionRefused as refusal:
            if self.refused or skip:
                raise self.collector.unsupported(refusal) from refusal
            await self._simplify(refusal)
            try:
                return await collector.ask(Question(entity_class, self._filter(skip, limit)))
            except QuestionRefused:
                self.wanted = NO_RELATIONS
                self.asked.pop("order", None)
                try:
                    return await collector.ask(Question(entity_class, self._filter(skip, limit)))
                except QuestionRefused as last:
                    raise self.collector.unsupported(last) from last

    async def _simplify(self, refusal: QuestionRefused) -> None:
        """The service refused: ask without conditions, and remember which operators it was. Not of
        a 500, which may have come by chance."""
        self.refused = True
        profile = self.collector.profile
        blamed = self.split.operators - {"eq"}
        if blamed and refusal.refused_with != 500:
            await self.collector.learn(profile.entity_class, blamed)
        self.split = Split({}, {}, True, False, frozenset())
        if "query" in self.asked:
            del self.asked["query"]
            self.split = replace(self.split, sure=True)

    def _filter(self, skip: int, limit: int) -> Mapping[str, Any]:
        filter_: Item = dict(self.asked)
        if self.split.where:
            filter_["where"] = self.split.where
        if self.wanted.include:
            filter_["include"] = list(self.wanted.include)
        filter_["limit"] = limit
        if skip:
            filter_["skip"] = skip
        return filter_

    async def _number(self, complete: bool, seen: int) -> int | None:
        """The facility's own count, where the question is wholly its and not all was seen."""
        profile = self.collector.profile
        if complete or not self.split.whole or not profile.counts or self.refused:
            return None
        try:
            answer = await self.collector.ask(
                Question(profile.entity_class, {"where": dict(self.split.where)}, count=True)
            )
        except (FacilitySilent, QuestionRefused):
            return None
        return answer.number if answer.number is None or answer.number >= seen else None
