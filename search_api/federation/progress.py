"""Telling how an answer grows while facilities are still waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from search_api.federation.accounting import Outcome
from search_api.federation.session import FederatedAnswer, Session
from search_api.federation.takes import Need

Arrived = Callable[[FederatedAnswer, Sequence[str]], Awaitable[None]]
"""Is told of an answer, and of the facilities that are still waited for."""


async def ask_telling(session: Session, need: Need, arrived: Arrived) -> list[Outcome]:
    """Ask all live sources, and tell of an answer whenever there is more to tell.

    The index speaks first; what comes while an answer is put together or sent goes into the next
    one. So whoever listens slowly hears less often and holds up nobody; the last answer, where
    nobody is waited for, is the caller's to make.

    Raises:
        What ``arrived`` raises, and what the question's own fault is. Nobody is asked on then.
    """
    teller = _Teller(session, arrived)
    outcomes: list[Outcome] = []
    failure: Exception | None = None

    async def tell() -> None:
        nonlocal failure
        try:
            await teller.run()
        except Exception as error:
            # Out of a task group it would come as a group of errors.
            failure = error
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        outcomes = await session.ask(need, teller.note)
    if failure is not None:
        raise failure
    return outcomes


class _Teller:
    """Knows what has come, and what of it was told."""

    def __init__(self, session: Session, arrived: Arrived) -> None:
        self._session = session
        self._arrived = arrived
        self._names = [live.facility.name for live in session.participants.live]
        self._outcomes: list[Outcome] = []
        self._told = -1
        self._more = anyio.Event()

    async def note(self, outcome: Outcome) -> None:
        """A facility has answered, or will not."""
        self._outcomes.append(outcome)
        self._more.set()

    async def run(self) -> None:
        """Tell until nobody is waited for."""
        while waiting := self._waiting():
            self._more = anyio.Event()
            outcomes = list(self._outcomes)
            if len(outcomes) > self._told and self._session.can_speak(outcomes, waiting):
                self._told = len(outcomes)
                answer = await self._session.assemble(outcomes, waiting=waiting)
                if self._waiting():
                    await self._arrived(answer, waiting)
            if len(self._outcomes) == len(outcomes):
                await self._more.wait()

    def _waiting(self) -> list[str]:
        come = {one.live.facility.name for one in self._outcomes}
        return sorted(set(self._names) - come)
