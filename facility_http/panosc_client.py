"""Requests to a PaNOSC Search API: one filter out, one list in (crosswalks 2.1, 2.2).

What services cannot do is found out once and remembered in ``Abilities``; no request repeats a
mistake that the service has already answered with 400.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from facility_http.answers import Response
from facility_http.errors import (
    MalformedResponse,
    NotAccepted,
    NotOffered,
    NotTheProtocol,
    TimedOut,
)
from facility_http.http import Access, Fetcher
from facility_http.rest_json import (
    Objects,
    count_in,
    identifier_of,
    is_ghost,
    objects_in,
    read_json,
)

Answer = TypeVar("Answer")
Filter = Mapping[str, Any]

_ACCEPT = "application/json"
# As objects it takes about six times that; a page above it is asked for in halves.
_MAX_JSON_BYTES = 64 << 20

RELATIONS: Mapping[str, tuple[str, ...]] = {
    "Document": ("members", "parameters", "datasets"),
    "Dataset": ("documents", "techniques", "instrument", "samples", "parameters", "files"),
    "Instrument": (),
    "Technique": (),
}
"""What a sweep asks to include with each class."""

SPELLINGS = {"documents": ("documents", "document")}
"""Relations that have another name at some facilities (crosswalks 1)."""

MEMBERS_IN_FULL: Filter = {
    "relation": "members",
    "scope": {"include": [{"relation": "person"}, {"relation": "affiliation"}]},
}


@dataclass(frozen=True, slots=True)
class RestOptions:
    """Switches for one service.

    ``page_size``: objects asked for at a time. ``classes``: those to sweep, singular. ``passes``:
    how often a class is listed at most until its count is met. ``max_pages``: a cap for a run.
    """

    page_size: int = 100
    classes: tuple[str, ...] = ("Document", "Dataset", "Instrument", "Technique")
    passes: int = 4
    max_pages: int = 1_000_000


def read_rest_options(options: Mapping[str, Any]) -> RestOptions:
    """Read a source's options ``page_size``, ``classes`` (``Documents`` …), ``max_pages``."""
    standard = RestOptions()
    names = options.get("classes")
    return RestOptions(
        page_size=int(options.get("page_size", standard.page_size)),
        classes=tuple(str(name).removesuffix("s") for name in names) if names else standard.classes,
        max_pages=int(options.get("max_pages", standard.max_pages)),
    )


@dataclass(slots=True)
class Abilities:
    """What is known of one class at one service; grows while it is asked.

    ``path``: the endpoint's name in the case that it answers to. ``relations``: the accepted name
    of each relation, ``None`` when it is not offered, missing while unknown. ``order``: whether
    ``order`` is honoured. ``keyset``: whether ``pid > x`` is, together with ``order``.
    ``largest_limit``: what a page is cut to. ``nested_drops``: whether a nested include loses
    parents without children (the reference provider and SciCat do).
    """

    path: str
    relations: dict[str, str | None] = field(default_factory=dict)
    files_endpoint: bool | None = None
    order: bool | None = None
    keyset: bool | None = None
    largest_limit: int | None = None
    nested_drops: bool | None = None

    @property
    def not_offered(self) -> tuple[str, ...]:
        """Relations that this service cannot include."""
        names = {name for name, found in self.relations.items() if found is None}
        return tuple(sorted(names - {"files"} if self.files_endpoint else names))


class SearchApi:
    """One PaNOSC Search API.

    Args:
        fetcher: shared by all sources.
        base_url: e.g. ``https://search.panosc.ess.eu/api``.
        access: credentials, internal addresses, pace.
    """

    def __init__(self, fetcher: Fetcher, base_url: str, *, access: Access | None = None) -> None:
        self._fetcher = fetcher
        self.base_url = base_url.split("#", 1)[0].rstrip("/")
        access = access or Access()
        limits = access.limits or fetcher.limits
        self._access = replace(
            access,
            limits=replace(limits, max_body_bytes=min(limits.max_body_bytes, _MAX_JSON_BYTES)),
        )
        self.abilities: dict[str, Abilities] = {}
        self.mended: Counter[str] = Counter()

    def able(self, entity_class: str) -> Abilities:
        """What is known of a class."""
        if entity_class not in self.abilities:
            self.abilities[entity_class] = Abilities(path=f"{entity_class}s")
        return self.abilities[entity_class]

    async def ask(
        self,
        path: str,
        arguments: Mapping[str, str] | None = None,
        *,
        trying: bool = False,
        read: Callable[[Response], Awaitable[Answer]],
    ) -> Answer:
        """Ask for a path below the base URL; ``trying`` is for requests that may well be refused.

        Raises:
            FacilityHttpError: see ``facility_http.errors``; ``NotAccepted`` also for a 500 while
                trying.
        """
        pairs = [f"{name}={quote(value, safe='')}" for name, value in (arguments or {}).items()]
        url = f"{self.base_url}/{path}" + ("?" + "&".join(pairs) if pairs else "")

        async def read_or_refuse(response: Response) -> Answer:
            try:
                return await read(response)
            except NotTheProtocol as error:
                # Frameworks answer unknown paths with a page of their own.
                if response.status in (404, 405, 501):
                    raise NotOffered(f"HTTP {response.status}", status=response.status) from error
                if not trying or response.status != 500:
                    raise
                # What fails on a filter will do so again: it is asked twice, no more (E10).
                refused = NotAccepted(f"HTTP 500: {error.reason}", status=500)
                refused.retries = 1
                raise refused from error

        return await self._fetcher.fetch(url, read_or_refuse, access=self._access, accept=_ACCEPT)

    async def find(self, entity_class: str, filter_: Filter, *, trying: bool = False) -> Objects:
        """One list; looks for the endpoint in lower case when it is not found in its own.

        Raises:
            NotOffered: there is no such endpoint. NotAccepted: it does not take this filter.
        """
        able = self.able(entity_class)
        arguments = {"filter": orjson.dumps(filter_).decode()} if filter_ else None
        try:
            return await self.ask(able.path, arguments, trying=trying, read=self.read_list)
        except NotOffered:
            if able.path == able.path.lower():
                raise
            lower = able.path.lower()
            found = await self.ask(lower, arguments, trying=trying, read=self.read_list)
            able.path = lower
            return found

    async def read_list(self, response: Response) -> Objects:
        """Read an answer that has to be a list."""
        value, mended = await read_json(response)
        self.mended.update(mended)
        return objects_in(value, mended)

    async def count(self, entity_class: str, where: Filter | None = None) -> int | None:
        """How many there are; ``None`` where the service does not say so in any known way."""
        arguments = {"where": orjson.dumps(where).decode()} if where else None
        path = f"{self.able(entity_class).path}/count"
        try:
            value, _ = await self.ask(path, arguments, trying=True, read=read_json)
        except (NotOffered, NotAccepted, MalformedResponse):
            return None
        return count_in(value)

    async def get(
        self, entity_class: str, pid: str, filter_: Filter | None = None
    ) -> dict[str, Any] | None:
        """One object by its pid, encoded in the path, else by a condition (fault E13).

        Returns:
            ``None`` when the service answered both ways that there is none.

        Raises:
            AccessRefused: there is one and it is not shown. FacilityHttpError: no answer.
        """
        value = await self.by_path(entity_class, pid, filter_)
        if value is not None:
            return value
        try:
            found = await self.find(
                entity_class, {**(filter_ or {}), "where": {"pid": pid}, "limit": 2}, trying=True
            )
        except NotAccepted:
            return None
        return next((one for one in found.items if identifier_of(one) == pid), None)

    async def by_path(
        self, entity_class: str, pid: str, filter_: Filter | None = None
    ) -> dict[str, Any] | None:
        """One object by its pid, percent-encoded in the path; ``None`` when none came."""
        arguments = {"filter": orjson.dumps(filter_).decode()} if filter_ else None
        path = f"{self.able(entity_class).path}/{quote(pid, safe='')}"
        try:
            value, _ = await self.ask(path, arguments, trying=True, read=read_json)
        except (NotOffered, NotAccepted, MalformedResponse):
            return None
        if isinstance(value, dict) and not is_ghost(value) and identifier_of(value) == pid:
            return value
        return None

    async def files(self, pid: str, skip: int, limit: int) -> Objects:
        """One page of a Dataset's files.

        Raises:
            NotOffered: no such endpoint. AccessRefused: they are not shown.
        """
        path = f"{self.able('Dataset').path}/{quote(pid, safe='')}/files"
        filter_ = orjson.dumps({"limit": limit, "skip": skip}).decode()
        return await self.ask(path, {"filter": filter_}, trying=True, read=self.read_list)

    async def learn_relations(self, entity_class: str) -> None:
        """Find out which relations can be included, by asking for a few objects with them.

        Refused means not offered. A relation that is accepted and never sent is told by the sweep,
        since objects without children may simply leave it out.
        """
        able = self.able(entity_class)
        missing = [name for name in RELATIONS[entity_class] if name not in able.relations]
        if not missing:
            return
        found = await self._try_including(entity_class, missing)
        if found is not None and all(name in found for name in missing if name in SPELLINGS):
            able.relations.update({name: name for name in missing})
            return
        for name in missing:
            able.relations[name] = await self._learn_relation(entity_class, name)

    async def _learn_relation(self, entity_class: str, name: str) -> str | None:
        """The spelling under which a relation is sent, else the first accepted one."""
        accepted = None
        for spelling in SPELLINGS.get(name, (name,)):
            keys = await self._try_including(entity_class, [spelling])
            if keys is not None and spelling in keys:
                return spelling
            if keys is not None and accepted is None:
                accepted = spelling
        return accepted

    async def _try_including(self, entity_class: str, names: Sequence[str]) -> set[str] | None:
        """The keys of a few objects with these relations; ``None`` when that is not accepted."""
        include = [{"relation": name} for name in names]
        try:
            found = await self.find(entity_class, {"include": include, "limit": 3}, trying=True)
        except (NotAccepted, TimedOut):
            # Some services hang on a relation they do not know (fault E10).
            return None
        return {key for item in found.items for key in item}

    async def learn_order(self, entity_class: str, size: int) -> None:
        """Find out whether ``order`` is honoured, and ``pid > x`` with it (keyset paging).

        Told by what comes back, never by the absence of an error (fault E08).
        """
        able = self.able(entity_class)
        if able.order is not None:
            return
        able.order = able.keyset = False
        try:
            up = await self._pids(entity_class, {"order": "pid ASC", "limit": size})
            down = await self._pids(entity_class, {"order": "pid DESC", "limit": size})
        except NotAccepted:
            return
        if len(up) < 2 or not down or up[0] == down[0] or len(set(up)) < len(up):
            return
        able.order = True
        middle = up[len(up) // 2 - 1]
        above = {"where": {"pid": {"gt": middle}}, "order": "pid ASC", "limit": size}
        nothing = {"where": {"pid": {"gt": down[0]}}, "order": "pid ASC", "limit": 2}
        try:
            rest = await self._pids(entity_class, above)
            beyond = await self._pids(entity_class, nothing)
        except NotAccepted:
            return
        expected = up[len(up) // 2 :]
        able.keyset = rest[: len(expected)] == expected and not beyond

    async def _pids(self, entity_class: str, filter_: Filter) -> list[str]:
        found = await self.find(entity_class, filter_, trying=True)
        return [identifier_of(item) for item in found.items]
