"""How a question becomes an address, and its answer objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from facility_http.errors import (
    BadStatus,
    FacilityHttpError,
    NotAccepted,
    NotOffered,
)
from facility_http.http import Fetcher
from search_api.federation.lines import Line
from search_api.federation.parsing import Parsed, Parser
from search_api.federation.questions import LiveSource, Question
from search_api.quoting import quoted

CONDITIONAL = frozenset({"where", "include", "order", "fields", "skip", "text", "query"})
"""Parts of a filter that a service may fail on; ``limit`` alone is as plain as can be."""

_RELATION = re.compile(r"[A-Za-z][A-Za-z. ]{0,60}")

CANARY: Mapping[str, Any] = {"limit": 1}


# A facility with few records is asked for the same list by every question.
_quoted = lru_cache(maxsize=256)(quoted)


def path_of(live: LiveSource, question: Question) -> str:
    """The endpoint's name, as its last check found it."""
    known = live.of_class(question.entity_class).get("path")
    return known if isinstance(known, str) and known else f"{question.entity_class}s"


def address_of(live: LiveSource, question: Question, path: str) -> str:
    """The whole address, percent-encoded; the filter is one JSON value (fault E11)."""
    base = _base(live.source.url)
    name, asked = "filter", question.filter
    if question.count:
        path += "/count"
        name, asked = "where", question.filter.get("where") or {}
    elif question.pid is not None:
        path += "/" + quote(question.pid, safe="")
    if not asked:
        return f"{base}/{path}"
    return f"{base}/{path}?{name}={_as_argument(asked)}"


def _as_argument(asked: Mapping[str, Any]) -> str:
    """The object as JSON, percent-encoded: part by part, since questions differ in few parts."""
    parts = [
        f"{_quoted(orjson.dumps(name))}%3A{_quoted(orjson.dumps(value))}"
        for name, value in asked.items()
    ]
    return f"%7B{'%2C'.join(parts)}%7D"


@lru_cache(maxsize=256)
def _base(url: str) -> str:
    return url.split("#", 1)[0].rstrip("/")


def is_plain(question: Question) -> bool:
    """Whether nothing in the question could be what a service fails on."""
    return question.pid is None and not (CONDITIONAL & set(question.filter))


def lacks_of(headers: Mapping[str, str]) -> str:
    """What an answer lacks by its own word: a node like ours, asked as a facility, may have missed
    some of its own (fault G01). In a form that is safe to show; empty: nothing."""
    missing = headers.get("X-Facilities-Missing", "").strip()
    if missing:
        shown = "".join(one for one in missing[:200] if one.isprintable())
        return f"it lacks what others have that did not answer it: {shown}"
    if headers.get("X-Total-Count-Relation", "").strip() == "gte":
        return "it does not know all that matches"
    return ""


def without_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The relations that a node like ours could not get of some of its own; words alone."""
    said = headers.get("X-Facilities-Without")
    if not said:
        return ()
    told = said[:2_000].split(",")
    names = {one.rpartition("=")[2].strip() for one in told}
    return tuple(sorted(name for name in names if _RELATION.fullmatch(name)))


class Said(NamedTuple):
    """A good answer as it came; ``lacks``: see ``lacks_of``, ``without``: see ``without_of``."""

    parsed: Parsed
    body: bytes
    lacks: str
    without: tuple[str, ...] = ()


class Request(NamedTuple):
    """Asks one facility over the network, ``limit_s`` being for all that it takes."""

    http: Fetcher
    parser: Parser
    live: LiveSource
    line: Line
    limit_s: float
    headers: Mapping[str, str]

    async def make(self, question: Question) -> Said:
        """Ask, and where the service fails find out whether it is the question.

        Raises:
            NotAccepted: also with 500, when this question fails twice and a plain one between does
                not (fault E10).
            FacilityHttpError: no answer.
        """
        try:
            return await self._find(question)
        except BadStatus as error:
            if error.status != 500 or is_plain(question):
                raise
            try:
                await self._find(Question(question.entity_class, CANARY))
            except FacilityHttpError:
                raise error from None
        try:
            return await self._find(question)
        except BadStatus as again:
            if again.status != 500:
                raise
            raise NotAccepted("", status=500) from again

    async def _find(self, question: Question) -> Said:
        """Ask; where a class was never checked, look for its endpoint in lower case too."""
        entity_class = question.entity_class
        path = path_of(self.live, question)
        if entity_class in self.line.lower_case:
            return await self._get(question, path.lower())
        try:
            return await self._get(question, path)
        except NotOffered:
            checked = bool(self.live.of_class(entity_class))
            if checked or question.pid is not None or path == path.lower():
                raise
        found = await self._get(question, path.lower())
        self.line.lower_case.add(entity_class)
        return found

    async def _get(self, question: Question, path: str) -> Said:
        address = address_of(self.live, question, path)
        try:
            async with self.http.open(
                address,
                access=self.line.access,
                accept="application/json",
                headers=self.headers,
            ) as response:
                body = await response.body()
                parsed = await self.parser.parse(question, body, status=response.status)
                told = response.headers
                return Said(parsed, body, lacks_of(told), without_of(told))
        except BadStatus as error:
            # Frameworks answer unknown paths with a page of their own.
            if error.status in (404, 405, 501):
                raise NotOffered(f"HTTP {error.status}", status=error.status) from error
            raise
