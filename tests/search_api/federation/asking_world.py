"""Simulated facilities asked live: clocks that are moved, sources, askers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from catalogue.facilities import Facility, Source
from catalogue.records import EntityClass
from search_api.federation.asking import Asker
from search_api.federation.questions import FacilityAnswer, LiveSource, Question
from search_api.federation.serving_store import ServingStore
from search_api.settings import ServerSettings
from simulator import DIALECTS, FacilitySpec, Record, RestOptions, running
from simulator import Facility as Simulated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNT = 7
EVERY = Question("Document", {"limit": 100})


@dataclass
class Clock:
    """A wall clock that only tests move. Deadlines go by the event loop's clock, which runs."""

    instant: datetime = NOW

    def __call__(self) -> datetime:
        return self.instant

    def move(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


def documents(count: int = COUNT) -> list[dict[str, Any]]:
    """Proposals ``10.5072/0`` …, each with one dataset."""
    return [
        {
            "pid": f"10.5072/{number}",
            "title": f"Lysozyme {number}",
            "type": "proposal",
            "isPublic": True,
            "datasets": [{"pid": f"20.500/{number}", "title": f"Run {number}", "isPublic": True}],
        }
        for number in range(count)
    ]


@asynccontextmanager
async def facility(
    faults: str = "", *, name: str = "Test", count: int = COUNT, dialect: str = "reference"
) -> AsyncIterator[Simulated]:
    """A Search API with ``documents(count)``."""
    records = [Record(one["pid"], NOW, document=one) for one in documents(count)]
    spec = FacilitySpec(
        name, records=records, rest=RestOptions(dialect=DIALECTS[dialect]), faults=faults
    )
    async with running(spec) as simulated:
        yield simulated


def live(
    at: Simulated | str,
    *,
    name: str = "test",
    classes: Mapping[str, Any] | None = None,
    internal: bool = True,
    **options: Any,
) -> LiveSource:
    """A source at a simulated facility, or at an address."""
    url = at if isinstance(at, str) else at.api_url
    source = Source(
        name, "Test", "panosc", url, "panosc-json", mode="live", internal=internal, options=options
    )
    profile = {"version": 1, "classes": classes} if classes is not None else {}
    return LiveSource(source, Facility("Test", "Test facility", url), profile, None)


@dataclass
class World:
    """An asker with its memory and its clock."""

    asker: Asker
    serving: ServingStore
    clock: Clock

    async def ask(
        self, source: LiveSource, question: Question = EVERY, *, within_s: float = 5.0
    ) -> FacilityAnswer:
        return await self.asker.ask(source, question, deadline=self.asker.monotonic() + within_s)


def settings(**own: Any) -> ServerSettings:
    """Settings for tests: short limits, nothing kept unless asked for."""
    return ServerSettings(**{"facility_timeout_s": 2.0, "facility_cache_s": 0.0, **own})


@asynccontextmanager
async def asking(
    *,
    serving: ServingStore | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
    measurements: Any = None,
    node: str = "here",
    **own: Any,
) -> AsyncIterator[World]:
    """An asker whose pauses are at their full length."""
    store, moved = serving or ServingStore(None), clock or Clock()
    asker = Asker(
        store,
        settings(**own),
        node=node,
        contact="tests@example.org",
        now=moved,
        random=lambda: 0.0,
        environment=environment or {},
        measurements=measurements,
    )
    async with asker:
        yield World(asker, store, moved)
    if serving is None:
        store.close()


def pids(answer: FacilityAnswer) -> list[str]:
    """The pids of an answer's objects, in their order."""
    assert answer.objects is not None
    return [str(one["pid"]) for one in answer.objects.items]


def expected(count: int = COUNT) -> list[str]:
    return [f"10.5072/{number}" for number in range(count)]


def of(entity_class: EntityClass, **filter_: Any) -> Question:
    return Question(entity_class, filter_)
