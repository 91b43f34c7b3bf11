"""The breakers at work: who may be asked now, and what a request's end means for the next ones.

Every process has them in memory and looks at the shared ones once in ``LOOK_AGAIN_S``; what changes
is written at once. So a healthy facility costs no look at the disk, and a probe is taken in one
transaction: one at a time over all workers (fault G13).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from catalogue.records import EntityClass
from search_api.federation.background import to_the_end
from search_api.federation.breaker import (
    CLOSED,
    PAUSES,
    Breaker,
    opened,
    paused_until,
    probed,
    probing,
    released,
    state_of,
)
from search_api.federation.errors import FacilitySilent
from search_api.federation.questions import Standing
from search_api.federation.serving_store import Contact, ServingStore
from search_api.federation.verdicts import Verdict

LOOK_AGAIN_S = 1.0
CLASSES: tuple[EntityClass, ...] = ("Document", "Dataset", "Instrument")


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to make one request; ``probes`` names the breakers that it is the probe of."""

    source: str
    of_class: str
    probes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        return (self.source, self.of_class)


class Pausing:
    """All breakers of this node.

    Args:
        now: wall clock; pauses are shared between processes.
        monotonic: for looking again.
        random: gives [0, 1).
    """

    def __init__(
        self,
        serving: ServingStore,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._serving = serving
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._known: dict[str, Breaker] = {}
        self._in_a_row: Counter[str] = Counter()
        self._looked_at: float | None = None
        self.contacts: Mapping[str, Contact] = {}

    @property
    def is_old(self) -> bool:
        """Whether it is time to look at what other workers have found."""
        looked_at = self._looked_at
        return looked_at is None or self._monotonic() - looked_at >= LOOK_AGAIN_S

    def will_look(self) -> None:
        """Say that somebody is about to look, so that nobody else does."""
        self._looked_at = self._monotonic()

    async def look(self) -> None:
        """Take over what the shared memory says."""
        self.will_look()
        self._known, self.contacts = await self._serving.run(self._read)

    def _read(self) -> tuple[dict[str, Breaker], Mapping[str, Contact]]:
        return self._serving.breakers(), self._serving.contacts()

    def check(self, source: str, entity_class: str) -> None:
        """Say at once, from memory, that a source is paused.

        Raises:
            FacilitySilent: paused, until when, and why.
        """
        known = self._known
        if not known:
            return  # as mostly
        for name in (source, class_name(source, entity_class)):
            breaker = known.get(name, CLOSED)
            if not breaker.is_open:
                continue
            now = self._now().timestamp()
            if state_of(breaker, now) == "open":
                raise self._paused(source, breaker, paused_until(breaker, now))

    async def enter(self, source: str, entity_class: str, lease_s: float) -> Pass:
        """Leave to make a request; where a pause is over, as its one probe.

        Args:
            lease_s: how long the probe may take before another one is made.

        Raises:
            FacilitySilent: paused, or somebody else is probing.
        """
        self.check(source, entity_class)
        names = (source, class_name(source, entity_class))
        half_open = [name for name in names if self._known.get(name, CLOSED).is_open]
        if not half_open:
            return _free_pass(source, entity_class)
        probes: list[str] = []
        now = self._now().timestamp()
        for name in half_open:
            breaker, mine = await self._change(name, lambda one: probing(one, now, lease_s))
            if mine:
                probes.append(name)
            elif breaker.is_open:
                await self.leave(Pass(*names, tuple(probes)))
                until = max(paused_until(breaker, now), min(breaker.probe_until, now + lease_s))
                raise self._paused(source, breaker, until)
        return Pass(*names, tuple(probes))

    async def leave(self, leave: Pass) -> None:
        """Give a pass back without a result."""
        for name in leave.probes:
            await self._change(name, released)

    async def went_well(self, leave: Pass) -> None:
        """The facility answered."""
        for name in leave.names:
            self._in_a_row.pop(name, None)
        if not leave.probes:
            return
        now = self._now().timestamp()
        for name in leave.probes:
            await self._change(name, lambda one: probed(one, now))

    async def failed(self, leave: Pass, verdict: Verdict) -> None:
        """The facility failed, by its own fault."""
        trouble = verdict.trouble
        if trouble is None:
            await self.went_well(leave)
            return
        name = leave.of_class if verdict.of_class else leave.source
        # A probe of the whole source that finds one class refused has found the source well.
        rest = Pass(*leave.names, tuple(probe for probe in leave.probes if probe != name))
        await (self.went_well(rest) if verdict.of_class else self.leave(rest))
        is_probe = name in leave.probes
        if not is_probe and self._known.get(name, CLOSED).is_open:
            return  # It was sent before the pause began, and tells nothing new.
        self._in_a_row[name] += 1
        if not is_probe and self._in_a_row[name] < PAUSES[trouble].after:
            return
        self._in_a_row.pop(name, None)
        now = self._now().timestamp()

        def open_it(breaker: Breaker) -> Breaker | None:
            if breaker.is_open and not is_probe:
                return None  # Another worker was first.
            return opened(breaker, trouble, verdict.reason, now, self._random, verdict.asked_s)

        await self._change(name, open_it)

    def standing(self, source: str) -> Standing:
        """Of the source as a whole."""
        return self._standing(source)

    def standing_by_class(self, source: str) -> dict[str, Standing]:
        """Of its classes, those that are not asked as usual: one may be behind a login."""
        found = {name: self._standing(class_name(source, name)) for name in CLASSES}
        return {name: one for name, one in found.items() if one[0] != "closed"}

    def _standing(self, name: str) -> Standing:
        now = self._now().timestamp()
        breaker = self._known.get(name, CLOSED)
        state = state_of(breaker, now)
        if state == "closed":
            return state, None, None
        return state, _instant(paused_until(breaker, now)), breaker.reason

    async def _change(
        self, name: str, change: Callable[[Breaker], Breaker | None]
    ) -> tuple[Breaker, bool]:
        # Whoever leaves while this is written must know whether the probe was his.
        breaker, changed = await to_the_end(
            self._serving.run(self._serving.change_breaker, name, change)
        )
        self._known[name] = breaker
        return breaker, changed

    def _paused(self, source: str, breaker: Breaker, until: float) -> FacilitySilent:
        return FacilitySilent(source, "paused", breaker.reason, until=_instant(until))


def class_name(source: str, entity_class: str) -> str:
    """The name of the breaker for one class of a source."""
    return f"{source}/{entity_class}"


@lru_cache(maxsize=1_024)
def _free_pass(source: str, entity_class: str) -> Pass:
    return Pass(source, class_name(source, entity_class))


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
