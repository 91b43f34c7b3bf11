"""Details of related things that a list did not bring: second requests, by pid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import anyio

from catalogue.records import EntityClass
from facility_http.panosc_client import MEMBERS_IN_FULL
from facility_http.rest_json import identifier_of
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.profiles import ClassProfile
from search_api.federation.questions import FacilityAnswer, Question
from search_api.federation.relations import (
    ALL,
    DETAILS,
    MAX_DETAILED,
    Item,
    Wanted,
    chunks,
    dataset_pids,
    with_datasets,
    with_members,
)

AT_ONCE = 4
"""Portions under way together: half of what a facility is asked at most."""


class Asks(Protocol):
    """One facility under one deadline: what is left of ``Asker.ask``."""

    async def __call__(self, question: Question) -> FacilityAnswer: ...


@dataclass(slots=True)
class Details:
    """Fills in what ``wanted`` says has to come by a second request.

    ``unseen`` collects what could not be had, for the facility's line.
    """

    ask: Asks
    entity_class: EntityClass
    wanted: Wanted
    datasets: ClassProfile
    files: bool = False
    unseen: set[str] = field(default_factory=set)

    async def of(self, items: list[Item], digest: bytes) -> tuple[list[Item], bytes]:
        """The objects with what a second request brings, and the digest of all that was read."""
        digests = [digest]
        if self.wanted.datasets and items:
            pids = dataset_pids(items)
            if len(pids) > MAX_DETAILED:
                self.unseen.add(DETAILS["Dataset"])
            include: list[Mapping[str, Any]] = [
                {"relation": name}
                for ours, name in self.datasets.relations.items()
                if ours != "documents" and (ours != "files" or self.files)
            ]
            some, what = pids[:MAX_DETAILED], DETAILS["Dataset"]
            found = await self._named("Dataset", some, include, digests, what)
            if not set(some) <= set(map(identifier_of, found)):
                self.unseen.add(what)
            items = with_datasets(items, found)
        if self.wanted.members and items:
            # Also where none came: SciCat sends members only with their people (crosswalks 2.3).
            pids = [pid for item in items if (pid := identifier_of(item))]
            what = DETAILS["Document"]
            found = await self._named("Document", pids, [MEMBERS_IN_FULL], digests, what)
            named = _with_members(found)
            if not _with_members(items) <= named or (named and not _name_anybody(found)):
                self.unseen.add(what)
            items = with_members(items, found)
        return items, digest_of(digests)

    async def again(
        self, items: list[Item], digest: bytes, include: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Item], bytes]:
        """The objects whole, by their names: conditions inside includes left out related things
        that do not satisfy them."""
        digests = [digest]
        pids = [pid for item in items if (pid := identifier_of(item))]
        found = await self._named(self.entity_class, pids, include, digests, ALL)
        whole = {identifier_of(one): one for one in found}
        if not all(identifier_of(item) in whole for item in items):
            self.unseen.add(ALL)
        return [whole.get(identifier_of(item), item) for item in items], digest_of(digests)

    async def _named(
        self,
        entity_class: EntityClass,
        pids: Sequence[str],
        include: Sequence[Mapping[str, Any]],
        digests: list[bytes],
        what: str,
    ) -> list[Item]:
        """Objects by pid, with relations, a few portions at a time; where one cannot be had,
        ``what`` is noted as unseen."""
        portions = chunks(pids)
        answers: list[FacilityAnswer | None] = [None] * len(portions)
        waiting = iter(range(len(portions)))

        async def some() -> None:
            for number in waiting:
                answers[number] = await self._portion(entity_class, portions[number], include)

        if len(portions) == 1:
            await some()
        else:
            async with anyio.create_task_group() as group:
                for _ in range(min(AT_ONCE, len(portions))):
                    group.start_soon(some)
        found: list[Item] = []
        for answer in answers:
            if answer is None or answer.objects is None:
                self.unseen.add(what)
                continue
            found += answer.objects.items
            digests.append(answer.digest)
        return found

    async def _portion(
        self, entity_class: EntityClass, pids: Sequence[str], include: Sequence[Mapping[str, Any]]
    ) -> FacilityAnswer | None:
        where: Item = {"pid": pids[0] if len(pids) == 1 else {"inq": list(pids)}}
        filter_: Item = {"where": where, "limit": len(pids)}
        if include:
            filter_["include"] = list(include)
        try:
            return await self.ask(Question(entity_class, filter_))
        except (FacilitySilent, QuestionRefused):
            return None


def _with_members(items: Sequence[Item]) -> set[str]:
    return {identifier_of(item) for item in items if item.get("members")}


def _name_anybody(items: Sequence[Item]) -> bool:
    """Whether any member comes with a person: some services drop what is nested silently."""
    members = [one for item in items for one in item.get("members") or ()]
    return any(isinstance(one, dict) and one.get("person") for one in members)


def digest_of(digests: Sequence[bytes]) -> bytes:
    """Of all that was read; empty where something of it has none."""
    return blake2b(b"".join(digests), digest_size=16).digest() if all(digests) else b""
