"""What one facility gives for one question: pages of a superset, read into entities.

The facility answers the part of the question that it can (``splitting``), page by page until
enough has come or its list ends. What words mean has lists of its own beside that of the words.
Everything it says is then looked at by the oracle. The take says whether every record that could
match was seen, and what could not be had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from catalogue.facilities import mapping_context
from catalogue.query import Node, Search
from catalogue.readings import Reading, joined, tied
from catalogue.threads import in_thread
from facility_http.rest_json import identifier_of
from mappings.identifiers import GLOBAL_SCHEMES, identify
from search_api.federation.details import Asks, Details, digest_of
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.paging import BY_PID, Learn, Pager, Shape
from search_api.federation.profiles import ClassProfile
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.readers import Readers
from search_api.federation.relations import (
    NO_RELATIONS,
    Item,
    Wanted,
    beyond,
    depends_on,
    wanted_by,
    wanted_relations,
)
from search_api.federation.splitting import (
    MOST_REMEMBERED,
    Piece,
    Split,
    conjunction_of,
    is_doi,
    likely_words,
    split_filter,
    split_meant,
)
from search_api.federation.takes import Need, Take

_SORTABLE = frozenset({"pid", "title", "name", "startDate", "endDate", "releaseDate",
                       "creationDate", "size"})  # fmt: skip
ALL_OF_FEW = Split({}, {}, sure=True, whole=False, operators=frozenset())
"""Nothing is sent, and all is left to the oracle."""
_WORD_FIELDS = {"Document": ("title", "summary"), "Dataset": ("title",), "Instrument": ("name",)}


TAKES = 8
"""Questions of other shapes for which it is remembered what was taken of one reading."""
_NO_TAKES: dict[Shape, Take] = {}


class ReadingCache:
    """Readings by what was read: the same body need not be mapped twice.

    ``most``: entities kept in all, some 5 kB each with what was worked out of them.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._size = 0
        self._held: dict[tuple[str, str, bytes], Reading] = {}
        self._names: dict[tuple[str, str, bytes], frozenset[str]] = {}
        self._takes: dict[tuple[str, str, bytes], dict[Shape, Take]] = {}

    def names(self, key: tuple[str, str, bytes], items: Sequence[Item]) -> frozenset[str]:
        """What the service calls the objects themselves; kept as long as what was read of them."""
        found = self._names.get(key)
        if found is None:
            found = frozenset(map(identifier_of, items))
            if key in self._held:
                self._names[key] = found
        return found

    def take(self, key: tuple[str, str, bytes], shape: Shape) -> Take | None:
        """What was taken of a reading for a question of that shape."""
        found = self._takes.get(key, _NO_TAKES).get(shape)
        return found if found is not None and self.get(key) is found.reading else None

    def put_take(self, key: tuple[str, str, bytes], shape: Shape, take: Take) -> None:
        """Keep what was taken, as long as what was read."""
        if key in self._held:
            kept = self._takes.setdefault(key, {})
            if len(kept) >= TAKES:
                kept.clear()
            kept[shape] = take

    def get(self, key: tuple[str, str, bytes]) -> Reading | None:
        found = self._held.pop(key, None)
        if found is not None:
            self._held[key] = found
        return found

    def put(self, key: tuple[str, str, bytes], reading: Reading) -> None:
        before = self._held.pop(key, None)
        self._takes.pop(key, None)
        self._held[key] = reading
        self._size += len(reading.said) - (len(before.said) if before else 0)
        while self._size > self._most and len(self._held) > 1:
            name = next(iter(self._held))
            self._size -= len(self._held.pop(name).said)
            self._names.pop(name, None)
            self._takes.pop(name, None)


@dataclass(slots=True)
class Collector:
    """Collects from one source. ``profile`` and ``datasets`` are those of the asked class and of
    Datasets, less what was learnt. ``documents``: collects the Documents that Datasets are of."""

    live: LiveSource
    profile: ClassProfile
    datasets: ClassProfile
    ask: Asks
    learn: Learn
    readings: ReadingCache
    readers: Readers
    documents: Collector | None = None

    async def collect(self, search: Search, need: Need) -> Take:
        """Collect for one question.

        Raises:
            FacilitySilent: nothing came; what came before a failure counts as a take.
        """
        split, list_filter = self._first_filter(search, need)
        first = self._pager(search, need, split, list_filter)
        first.documents = self._documents(search, need)
        meant = () if self._sees_all(split, list_filter, need) else need.meant
        others = [
            asyncio.create_task(
                self._if_any(self._pager(search, need, *asked, is_extra=True).run())
            )
            for one in meant
            if (asked := self._meant_filter(search, need, one)) is not None
        ]
        try:
            take = await first.run()
            found = [more for other in others if (more := await other) is not None]
            return self._together([take, *found]) if found else take
        finally:
            begun = [*others, *([first.documents] if first.documents is not None else [])]
            for other in begun:
                other.cancel()
            if begun:  # to wait for nobody takes a turn of the loop, too
                await asyncio.gather(*begun, return_exceptions=True)

    def _documents(self, search: Search, need: Need) -> asyncio.Task[Take | None] | None:
        """The service's Documents, being read, where its Datasets do not say enough of theirs: the
        list that questions for Documents share, of a service that has few. Of more only where the
        question looks at them."""
        documents = self.documents
        if documents is None or "datasets" not in documents.profile.relations:
            return None
        if "documents" in self.profile.relations and not beyond(search, self.profile):
            return None
        most = need.most if depends_on(search, ("documents",)) else need.few
        whole = replace(need, few=most, words=(), meant=(), beside=())
        if not documents.is_small(whole):
            return None
        return asyncio.create_task(
            self._if_any(documents.collect(Search("Document", search.now, limit=0), whole))
        )

    async def tied(self, reading: Reading, digest: bytes, documents: Take) -> Reading:
        """Datasets with the Documents that name them, the same reading as long as both lists are
        the same."""
        known = bool(digest and documents.digest)
        key = self._key(digest_of([b"tied", digest, documents.digest]))
        found = self.readings.get(key) if known else None
        if found is None:
            found = await in_thread(partial(tied, reading, documents.reading))
            if known:
                self.readings.put(key, found)
        return found

    def _pager(
        self, search: Search, need: Need, split: Split, asked: Item, *, is_extra: bool = False
    ) -> Pager:
        plain = wanted_relations(self.profile, self.datasets, files=need.files)
        # Conditions inside includes cut what is included: whole records are asked for by name
        # afterwards.
        wanted = wanted_by(split.joins, self.profile) if split.joins else plain
        return Pager(self, search, need, split, asked, wanted, plain, is_extra)

    async def _if_any(self, take: Awaitable[Take]) -> Take | None:
        """What a list gives that is only looked into for more; nothing where it fails."""
        try:
            return await take
        except FacilitySilent:
            return None

    def _together(self, takes: Sequence[Take]) -> Take:
        """Several lists of one facility as one take. Only the first can have been all."""
        first = takes[0]
        return replace(
            first,
            reading=self.whole([one.reading for one in takes], [one.digest for one in takes]),
            unseen=tuple(sorted({name for one in takes for name in one.unseen})),
            going_on=tuple(listed for one in takes for listed in one.going_on),
            age_s=max(one.age_s for one in takes),
            stale=any(one.stale for one in takes),
            lacks=next((one.lacks for one in takes if one.lacks), ""),
            without=tuple(sorted({name for one in takes for name in one.without})),
        )

    async def one(self, pid: str, need: Need) -> Take:
        """The thing of a pid, with its relations; a take without anything listed if there is none.

        Raises:
            FacilitySilent: no answer.
        """
        plain = _plain(pid)
        answer, wanted = await self._by_pid(plain, need)
        if not _found(answer) and is_doi(plain):
            answer = await self._by_doi(plain, wanted) or answer
        if not _found(answer) and plain != pid:
            answer, wanted = await self._by_pid(pid, need)
        assert answer.objects is not None
        details = self.details(wanted, need)
        items, digest = await details.of(answer.objects.items, answer.digest)
        return Take(
            await self.read(items, digest, need),
            complete=not answer.stale and not answer.lacks,
            missing=wanted.missing,
            unseen=tuple(sorted({*wanted.unseen, *details.unseen})),
            age_s=answer.age_s,
            stale=answer.stale,
            lacks=answer.lacks,
            without=answer.without,
        )

    async def _by_pid(self, pid: str, need: Need) -> tuple[FacilityAnswer, Wanted]:
        """What is there under a pid, with the relations that could be had."""
        wanted = wanted_relations(self.profile, self.datasets, files=need.files)
        entity_class = self.profile.entity_class
        filter_ = {"include": list(wanted.include)} if wanted.include else {}
        try:
            return await self.ask(Question(entity_class, filter_, pid=pid)), wanted
        except QuestionRefused:
            try:
                return await self.ask(Question(entity_class, {}, pid=pid)), NO_RELATIONS
            except QuestionRefused as refusal:
                raise self.unsupported(refusal) from refusal

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
        return Details(self.ask, self.profile.entity_class, wanted, self.datasets, need.files)

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

    def _sees_all(self, split: Split, asked: Item, need: Need) -> bool:
        """Whether the list with the words brings every record in any case."""
        total = self.profile.total
        if self.is_small(need):
            return True
        return split.sure and "query" not in asked and total is not None and total <= need.most

    def _meant_filter(self, search: Search, need: Need, meant: Node) -> tuple[Split, Item] | None:
        """What a list is asked for of what words mean, since a service looks for the words alone;
        nothing where it cannot choose by that. What has to stand beside them narrows it."""
        split = split_meant(meant, search.where, self.profile, self.datasets)
        if split is None:
            return None
        asked: Item = {}
        if need.beside and self.profile.scored:
            asked["query"] = " ".join(need.beside)
        elif need.beside:
            split = conjunction_of(split, self._likely_words(need.beside), self.profile)
        if self.profile.order and "query" not in asked:
            asked["order"] = _order(search)
        return split, asked

    def _likely_words(self, words: Sequence[str]) -> Piece | None:
        return likely_words(words, self.profile, _WORD_FIELDS[self.profile.entity_class])

    def _first_filter(self, search: Search, need: Need) -> tuple[Split, Item]:
        if self.is_small(need):
            # Of few records all are asked for, whatever is asked: the same list serves every
            # question.
            return ALL_OF_FEW, {"order": _order(search)} if self.profile.order else {}
        total = self.profile.total
        # Where all can be read, only what surely lets through all that matches is sent: exact.
        likely = search.text is not None or total is None or total > need.most
        split = split_filter(search.where, self.profile, likely=likely, datasets=self.datasets)
        sure, whole = split.sure, split.whole and search.text is None
        asked: Item = {}
        if search.text is not None:
            if self.profile.scored:
                asked["query"] = " ".join(need.words) or search.text.words
                sure = False
            else:
                split = conjunction_of(split, self._likely_words(need.words), self.profile)
                sure = split.sure
        if (sure, whole) != (split.sure, split.whole):
            split = self._as_sure(split, sure=sure, whole=whole)
        if self.profile.order and "query" not in asked:
            asked["order"] = _order(search)
        return split, asked

    def _as_sure(self, split: Split, *, sure: bool, whole: bool) -> Split:
        """The same sent, with what that is worth for this question; once for all such questions."""
        splits = self.profile.splits
        known: tuple[Split, Split] | None = splits.get((id(split), sure, whole))
        if known is None or known[0] is not split:
            if len(splits) >= MOST_REMEMBERED:
                splits.clear()
            known = splits[id(split), sure, whole] = (
                split,
                replace(split, sure=sure, whole=whole),
            )
        return known[1]

    def whole(self, readings: Sequence[Reading], digests: Sequence[bytes]) -> Reading:
        """The pages as one reading, the same one as long as the pages are the same."""
        if len(readings) == 1 or not all(digests):
            return joined(readings)
        key = self._key(digest_of(digests))
        found = self.readings.get(key)
        if found is None:
            found = joined(readings)
            self.readings.put(key, found)
        return found

    def taken(self, digest: bytes, shape: Shape) -> Take | None:
        """What was taken of the same body for a question of the same shape."""
        return self.readings.take(self._key(digest_of([digest])), shape)

    def remember(self, digest: bytes, shape: Shape, take: Take) -> None:
        """Keep what was taken of a body."""
        self.readings.put_take(self._key(digest_of([digest])), shape, take)

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


def _plain(pid: str) -> str:
    """A DOI, Handle or IGSN without what people write before it; anything else as it is."""
    named = identify(pid)
    return named.display if named.scheme in GLOBAL_SCHEMES else pid


def _found(answer: FacilityAnswer) -> bool:
    return bool(answer.objects and answer.objects.items)


def _order(search: Search) -> str:
    """The asked order where a service has the field, else that of pids: any that stays the same."""
    if len(search.sort) == 1 and search.sort[0].field in _SORTABLE and search.text is None:
        return f"{search.sort[0].field} {'DESC' if search.sort[0].descending else 'ASC'}"
    return BY_PID
