"""What a server process needs to ask facilities live, opened with it and closed with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from catalogue.catalogue import Catalogue
from facility_http.contact import CONTACT_VARIABLE
from search_api.facilities import FacilityState, FacilityStates
from search_api.federation.asking import Asker
from search_api.federation.background import Background
from search_api.federation.continuing import Pages
from search_api.federation.federated import Federation
from search_api.federation.metrics import FederationMeasurements
from search_api.federation.participants import live_source
from search_api.federation.reading_processes import ReadingProcesses
from search_api.federation.serving_store import ServingStore
from search_api.settings import ServerSettings


class LiveService:
    """Asker, memory and federation of one process; an async context manager.

    Args:
        environment: where the sources' keys are looked up, and the contact if none is given.
        contact: e-mail address that facilities can write to.
        reading_processes: how many may be started to read facilities' answers; none where only one
            question will be asked.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        states: FacilityStates,
        settings: ServerSettings,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] = os.environ,
        measurements: FederationMeasurements | None = None,
        contact: str | None = None,
        reading_processes: int = 0,
    ) -> None:
        self.serving = ServingStore(catalogue.store.folder)
        self.node = self.serving.node()
        self._background = Background()
        contact = contact or environment.get(CONTACT_VARIABLE, "").strip() or None
        self.asker = Asker(
            self.serving,
            settings,
            node=self.node,
            contact=contact,
            now=now,
            monotonic=monotonic,
            environment=environment,
            measurements=measurements,
        )
        self.lessons = Lessons(self.serving, now, Checks(states))
        self.processes = (
            ReadingProcesses(reading_processes, self._background) if reading_processes else None
        )
        self.federation = Federation(
            catalogue,
            states,
            self.asker,
            self.lessons,
            settings,
            now,
            monotonic,
            Pages(self.serving, self._background, now),
            contact is not None,
            processes=self.processes,
        )

    async def __aenter__(self) -> Self:
        await self._background.open()
        await self.asker.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.asker.__aexit__(kind, error, trace)
        await self._background.close()
        if self.processes is not None:
            await self.processes.close()
        self.serving.close()


class Lessons:
    """Operators that services turned out not to know, shared by the workers.

    Args:
        checked_at: when a source was last checked; what was learned before is forgotten.
    """

    def __init__(
        self,
        serving: ServingStore,
        now: Callable[[], datetime],
        checked_at: Callable[[str], datetime | None] = lambda source: None,
    ) -> None:
        self._serving = serving
        self._now = now
        self._checked_at = checked_at
        self._known: dict[str, frozenset[tuple[str, str]]] = {}
        self._known_since: dict[str, datetime | None] = {}

    async def learned(self, source: str) -> frozenset[tuple[str, str]]:
        """(class, operator) pairs, read once for each check of the source."""
        checked_at = self._checked_at(source)
        if source not in self._known or self._known_since[source] != checked_at:
            if checked_at is not None:
                await self._serving.run(self._serving.unlearn, source, checked_at)
            self._known[source] = await self._serving.run(self._serving.learned, source)
            self._known_since[source] = checked_at
        return self._known[source]

    async def learn(self, source: str, entity_class: str, what: str) -> None:
        """Remember, here and for the other workers."""
        known = await self.learned(source)
        self._known[source] = known | {(entity_class, what)}
        await self._serving.run(self._serving.learn, source, entity_class, what, self._now())


class Checks:
    """When sources that are asked live were checked, looked up once for each look at the states:
    every question asks for each of its sources."""

    def __init__(self, states: FacilityStates) -> None:
        self._states = states
        self._seen: tuple[FacilityState, ...] | None = None
        self._found: dict[str, datetime | None] = {}

    def __call__(self, source: str) -> datetime | None:
        seen = self._states.all
        if seen is not self._seen:
            live = [one for state in seen if (one := live_source(state)) is not None]
            self._found = {one.source.name: one.checked_at for one in live}
            self._seen = seen
        return self._found.get(source)
