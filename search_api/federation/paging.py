"""One list of a facility being read, page by page, and whether nothing was left out on the way.

How far it is read depends on whether that can make the answer exact. Where the service keeps an
order and it is known how many there are, all pages but the first are asked for together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import anyio

from catalogue.query import Node, Search
from catalogue.readings import Reading
from catalogue.records import EntityClass
from facility_http.rest_json import Objects
from search_api.federation.details import Asks, Details, digest_of
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.profiles import ClassProfile
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.relations import (
    ALL,
    NO_RELATIONS,
    Item,
    Wanted,
    are_left_out,
    beyond,
    depends_on,
    excludes_by,
)
from search_api.federation.splitting import Split
from search_api.federation.takes import Need, Take

PAGE = 1_000
"""Objects asked for at a time where a service has no cap of its own."""
UNCHECKED_PAGE = 100
PAGES_AT_ONCE = 4
"""Pages of one list under way together: half of what a facility is asked at most."""
CHOSEN_PAGES = 5
"""Pages of which conditions inside includes choose; they may be short or empty (fault E12)."""
BY_PID = "pid ASC"


def _tell_all(documents: Take) -> bool:
    """Whether all Documents came with their Datasets and members: then it is known whose each
    Dataset is, and what is said there."""
    lost = {one for one in documents.missing if one in ("datasets", "members")}
    return documents.complete and not documents.unseen and not lost


class Learn(Protocol):
    """Remembers operators that a service turned out not to know, for a class."""

    async def __call__(self, entity_class: EntityClass, operators: frozenset[str]) -> None: ...


class Reads(Protocol):
    """What a list's pages are handed to: ``collecting.Collector``."""

    live: LiveSource
    profile: ClassProfile
    ask: Asks
    learn: Learn

    def is_small(self, need: Need) -> bool: ...

    def details(self, wanted: Wanted, need: Need) -> Details: ...

    def unsupported(self, refusal: QuestionRefused) -> FacilitySilent: ...

    def names(self, items: Sequence[Item], digest: bytes) -> frozenset[str]: ...

    async def read(self, items: Sequence[Item], digest: bytes, need: Need) -> Reading: ...

    def whole(self, readings: Sequence[Reading], digests: Sequence[bytes]) -> Reading: ...

    async def tied(self, reading: Reading, digest: bytes, documents: Take) -> Reading: ...

    def taken(self, digest: bytes, shape: Shape) -> Take | None: ...

    def remember(self, digest: bytes, shape: Shape, take: Take) -> None: ...


class Shape(NamedTuple):
    """All of a question that decides what is taken of a body, once that is the whole list: two of
    one shape take the same."""

    profile: ClassProfile
    split: Split
    wanted: Wanted
    plain: Wanted
    where: Node
    asked: tuple[str, ...]
    has_text: bool
    is_counted: bool
    limit: int
    most: int
    without: tuple[str, ...]

    # By those few that differ; the others are compared.
    def __hash__(self) -> int:
        return hash((self.asked, self.has_text, self.limit))


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: how many objects were asked for and came, and what they are."""

    limit: int
    answer: FacilityAnswer
    objects: Objects
    names: frozenset[str]
    reading: Reading
    digest: bytes


@dataclass(slots=True)
class _Seen:
    """What has come so far. ``ended``: the list has; ``broken``: some of it cannot be had."""

    pages: list[_Page] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    skip: int = 0
    ended: bool = False
    broken: bool = False

    def add(self, page: _Page, step: int) -> bool:
        """Take a page in; gives whether it brought anything new."""
        is_fresh = not page.names <= self.names
        self.names |= page.names
        self.pages.append(page)
        self.skip += step
        return is_fresh


@dataclass(slots=True)
class Pager:
    """One list being read. ``asked``: what the filter has besides conditions, includes and page.
    ``wanted``: what it includes; ``plain``: what is wanted of each object in the end.
    ``is_extra``: it is of no use without its conditions. ``documents``: those that Datasets are of,
    being read beside."""

    collector: Reads
    search: Search
    need: Need
    split: Split
    asked: Item
    wanted: Wanted
    plain: Wanted
    is_extra: bool = False
    refused: bool = False
    has_counted: bool = False
    documents: asyncio.Task[Take | None] | None = None

    async def run(self) -> Take:
        """Read the list, and beside it the service's count where that will be needed.

        Raises:
            FacilitySilent: nothing came; what came before a failure counts as a take.
        """
        counting = asyncio.create_task(self._counted()) if self._wants_count() else None
        try:
            return await self._read(counting)
        finally:
            if counting is not None:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)

    async def _read(self, counting: asyncio.Task[int | None] | None) -> Take:
        details = self.collector.details(self.plain, self.need)
        enough = await self._enough(counting)
        limit = min(self._page_size(), enough)
        seen = _Seen()
        first = await self._answer(0, limit)
        shape = self._shape(first, limit) if counting is None else None
        if shape is not None:
            known = self.collector.taken(first.digest, shape)
            if known is not None:
                return known
        self._take(seen, await self._page(first, limit, details))
        if self.refused:
            enough = await self._enough(None)
        if enough - seen.skip > limit and self._can_jump(seen):
            total = await self._known_total(counting)
            await self._read_together(seen, limit, total, enough, details)
        while seen.skip < enough and not seen.ended and not seen.broken and self._wants_more(seen):
            try:
                size = min(limit, enough - seen.skip)
                page = await self._page(await self._answer(seen.skip, size), size, details)
            except FacilitySilent:
                seen.broken = True
                break
            self._take(seen, page)
        take = await self._taken(seen, counting, details)
        if shape is not None and len(seen.pages) == 1 and seen.ended and not self.has_counted:
            self.collector.remember(first.digest, shape, take)
        return take

    def _shape(self, first: FacilityAnswer, limit: int) -> Shape | None:
        """What decides about the take, where that is this answer alone: no second request brings
        details, no other list stands beside it, and nothing is known to be lacking."""
        plain, search = self.plain, self.search
        is_plain = not (self.split.joins or plain.datasets or plain.members or self.refused)
        if not is_plain or self.documents is not None or first.stale or first.age_s or first.lacks:
            return None
        return Shape(
            self.collector.profile,
            self.split,
            self.wanted,
            plain,
            search.where,
            (*self.asked, self.asked.get("order", "")),
            search.text is not None,
            bool(self.need.words),
            limit,
            self.need.most,
            first.without,
        )

    async def _taken(
        self, seen: _Seen, counting: asyncio.Task[int | None] | None, details: Details
    ) -> Take:
        pages = seen.pages
        digests = [page.digest for page in pages]
        reading = self.collector.whole([page.reading for page in pages], digests)
        digest = digests[0] if len(digests) == 1 else digest_of(digests)
        documents = await self.documents if self.documents is not None else None
        listed, ages = reading.listed, [page.answer.age_s for page in pages]
        if documents is not None:
            reading = await self.collector.tied(reading, digest, documents)
            digest = digest_of([digest, documents.digest])
            ages.append(documents.age_s)
        are_known = documents is not None and _tell_all(documents)
        goes_on = not seen.ended and not seen.broken and self._can_go_on(seen)
        stale = any(page.answer.stale for page in pages)
        odd = any(page.objects.odd.total() for page in pages)
        further = () if are_known else beyond(self.search, self.collector.profile)
        unseen = tuple(sorted({*self.plain.unseen, *details.unseen, *further}))
        complete = seen.ended and not seen.broken and self.split.sure and not odd
        complete = complete and not reading.dropped and not stale
        if excludes_by(self.search, unseen):
            raise FacilitySilent(
                self.collector.live.source.name,
                "unsupported",
                f"what the question excludes could not be looked at: {', '.join(unseen)}",
            )
        missing = self.plain.missing
        if are_known:
            missing = tuple(name for name in missing if name != "documents")
        hidden = [name for name in missing if name == "documents"]
        complete = complete and not depends_on(self.search, (*unseen, *hidden))
        lacks = next((page.answer.lacks for page in pages if page.answer.lacks), "")
        complete = complete and not lacks
        complete = complete and await self._is_whole(len(seen.names), counting)
        return Take(
            reading,
            complete,
            await self._number(complete, seen.skip),
            missing,
            unseen,
            going_on=(listed,) if goes_on else (),
            age_s=max(ages),
            stale=stale,
            lacks=lacks,
            without=tuple(sorted({one for page in pages for one in page.answer.without})),
            digest=digest,
        )

    def _can_go_on(self, seen: _Seen) -> bool:
        if self.split.joins:
            return len(seen.names) >= self.need.candidates
        return seen.skip < self.need.most

    # --- how far, and how many at a time --------------------------------------------------------

    async def _enough(self, counting: asyncio.Task[int | None] | None) -> int:
        """How many objects are read at most: all that may be where that makes the answer exact."""
        need = self.need
        few = min(need.candidates, need.most)
        if self.split.joins:
            # Places in the list, of which few come: the others do not satisfy the condition.
            return CHOSEN_PAGES * self._page_size()
        if self._must_see_all():
            return need.most
        if not self._may_be_exact():
            return few
        total = self.collector.profile.total
        if counting is not None:
            total = await counting
        # Unknown: the list itself tells, within the bound.
        return need.most if total is None or total <= need.most else few

    def _must_see_all(self) -> bool:
        """Whether the best may be anywhere in the list: no order and no ranking that helps."""
        if self.collector.is_small(self.need):
            return True
        if self.search.text is not None:
            return "query" not in self.asked or bool(self.search.sort)
        return bool(self.search.sort) and not self._is_in_order()

    def _is_in_order(self) -> bool:
        """Whether the service lists the objects in the order that is asked for."""
        sort = self.search.sort
        named = str(self.asked.get("order", "")).partition(" ")[0]
        return len(sort) == 1 and sort[0].field == named

    def _may_be_exact(self) -> bool:
        """Whether what is sent lets through all that matches, and others too: only reading them all
        tells how many match (semantics 9.5)."""
        return self.search.text is None and self.split.sure and not self.split.whole

    def _wants_more(self, seen: _Seen) -> bool:
        """Whether too few were chosen yet, where conditions inside includes choose."""
        return not self.split.joins or len(seen.names) < self.need.candidates

    def _page_size(self) -> int:
        profile = self.collector.profile
        page = profile.largest_limit or (PAGE if profile.checked else UNCHECKED_PAGE)
        return page if self.split.joins else min(page, self.need.most)

    def _can_jump(self, seen: _Seen) -> bool:
        """Whether pages may be asked for out of their turn: the order stays, and pages are full."""
        profile = self.collector.profile
        first = seen.pages[0]
        is_full = first.objects.length == first.limit == len(first.names)
        is_ordered = "order" in self.asked and not self.split.joins
        return profile.checked and profile.skip and is_ordered and is_full

    async def _known_total(self, counting: asyncio.Task[int | None] | None) -> int | None:
        """How many objects the list has, as far as that can be known."""
        if counting is not None and not self.refused:
            return await counting
        if self.split.where:
            return await self._counted() if self.collector.profile.counts else None
        return self.collector.profile.total

    # --- pages ----------------------------------------------------------------------------------

    async def _read_together(
        self, seen: _Seen, limit: int, total: int | None, enough: int, details: Details
    ) -> None:
        """The pages behind the first, a few at a time, and one that is short or empty as the last;
        what fails is missing, the others stay."""
        starts = list(range(seen.skip, min((total or 0) + 1, enough), limit))
        found: dict[int, _Page | None] = {}
        waiting = iter(starts)

        async def some() -> None:
            for start in waiting:
                try:
                    size = min(limit, enough - start)
                    found[start] = await self._page(await self._answer(start, size), size, details)
                except FacilitySilent:
                    found[start] = None

        async with anyio.create_task_group() as group:
            for _ in range(min(PAGES_AT_ONCE, len(starts))):
                group.start_soon(some)
        for start in starts:
            page = found[start]
            if page is None:
                seen.broken = True
            else:
                self._take(seen, page)

    async def _page(self, answer: FacilityAnswer, limit: int, details: Details) -> _Page:
        """A page with all that its objects need."""
        objects = answer.objects
        assert objects is not None
        items, digest = objects.items, answer.digest
        if are_left_out(items, self.wanted, self.collector.profile):
            details.unseen.add(ALL)
        if self.split.joins:
            # They are asked for once more: no more of them than are looked at.
            items = items[: self.need.candidates]
            items, digest = await details.again(items, digest, self.plain.include)
        items, digest = await details.of(items, digest)
        names = self.collector.names(items, digest)
        reading = await self.collector.read(items, digest, self.need)
        return _Page(limit, answer, objects, names, reading, digest)

    def _take(self, seen: _Seen, page: _Page) -> None:
        if self.split.joins:
            self._take_chosen(seen, page)
            return
        length = page.objects.length
        is_fresh = seen.add(page, length)
        seen.ended = not length or not is_fresh or self._is_last(length, page.limit, seen.skip)
        if is_fresh or not length:
            return
        # The same objects again: the service ignores skip, so the rest cannot be had.
        total = self.collector.profile.total
        seen.broken = seen.broken or total is None or total > len(seen.names)

    def _take_chosen(self, seen: _Seen, page: _Page) -> None:
        """A page of which conditions inside includes chose: before it was cut, or after, when it
        may be short or empty although more follows (fault E12)."""
        total = self.collector.profile.total
        empty = not page.objects.length and bool(seen.pages) and not seen.pages[-1].objects.length
        seen.add(page, page.limit)
        seen.ended = empty or (total is not None and seen.skip >= total)

    def _is_last(self, length: int, limit: int, seen: int) -> bool:
        """A short page is the last, unless parents were dropped after it was cut (fault E12)."""
        profile = self.collector.profile
        if not profile.checked or length >= limit:
            return False
        narrowed = self.split.where or "query" in self.asked
        # More were there at the check: the service may cut pages shorter than it used to.
        return bool(narrowed) or profile.total is None or seen >= profile.total

    async def _answer(self, skip: int, limit: int) -> FacilityAnswer:
        collector = self.collector
        entity_class = collector.profile.entity_class
        try:
            return await collector.ask(Question(entity_class, self._filter(skip, limit)))
        except QuestionRefused as refusal:
            if self.refused or skip or self.is_extra:
                raise self.collector.unsupported(refusal) from refusal
            await self._simplify(refusal)
            try:
                return await collector.ask(Question(entity_class, self._filter(skip, limit)))
            except QuestionRefused:
                self.wanted = self.plain = NO_RELATIONS
                self.asked.pop("order", None)
                try:
                    return await collector.ask(Question(entity_class, self._filter(skip, limit)))
                except QuestionRefused as last:
                    raise self.collector.unsupported(last) from last

    async def _simplify(self, refusal: QuestionRefused) -> None:
        """The service refused: ask without conditions, and remember which operators it was. Not of
        a 500, which may have come by chance, nor where it may be a condition inside an include."""
        self.refused = True
        profile = self.collector.profile
        blamed = self.split.operators - {"eq"} if not self.split.joins else frozenset()
        if blamed and refusal.refused_with != 500:
            await self.collector.learn(profile.entity_class, blamed)
        self.split = Split({}, {}, True, False, frozenset())
        self.wanted = self.plain
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

    # --- counts ---------------------------------------------------------------------------------

    def _wants_count(self) -> bool:
        """Whether only the service's own count can tell that nothing was left out: parents without
        children may be lost, or there is no number of the check to compare with."""
        profile = self.collector.profile
        looks_at_all = self._must_see_all() or self._may_be_exact()
        if not looks_at_all or not self.split.sure or not self._can_count():
            return False
        nested = bool(self.wanted.include) and not profile.keeps_parents
        return nested or bool(self.split.where) or profile.total is None

    def _can_count(self) -> bool:
        profile = self.collector.profile
        return profile.counts or (profile.tells_total and not self.split.where)

    async def _counted(self) -> int | None:
        """The service's count of what the list is asked for; ``None`` without an answer."""
        self.has_counted = True
        where = {"where": dict(self.split.where)}
        try:
            answer = await self.collector.ask(
                Question(self.collector.profile.entity_class, where, count=True)
            )
        except (FacilitySilent, QuestionRefused):
            return None
        return None if answer.lacks else answer.number

    async def _is_whole(self, seen: int, counting: asyncio.Task[int | None] | None) -> bool:
        """Whether nothing was left out: pages may be short, begin at the wrong place, or lack
        parents without children (faults E03, E12)."""
        profile = self.collector.profile
        if counting is not None and not self.refused:
            return await counting == seen
        if self.split.where:
            return not self._can_count() or await self._counted() == seen
        if profile.total is None:
            # Of a service that was never checked an empty page proves nothing (fault E07).
            return profile.checked or await self._counted() == seen
        if seen == profile.total:
            return True
        # Another number than at the check: something came, went, or was lost on the way.
        return await self._counted() == seen if self._can_count() else seen > profile.total

    async def _number(self, complete: bool, seen: int) -> int | None:
        """The facility's own count, where the question is wholly its and not all was seen."""
        profile = self.collector.profile
        if complete or not self.split.whole or not profile.counts or self.refused:
            return None
        number = await self._counted()
        return number if number is not None and number >= seen else None
