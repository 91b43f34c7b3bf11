"""Details of related things that a list did not bring: second requests, by pid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from catalogue.records import EntityClass
from facility_http.panosc_client import MEMBERS_IN_FULL
from facility_http.rest_json import identifier_of
from search_api.federation.errors import FacilitySilent, QuestionRefused
from search_api.federation.profiles import ClassProfile
from search_api.federation.questions import FacilityAnswer, Question
from search_api.federation.relations import (
    DETAILS,
    MAX_DETAILED,
    Item,
    Wanted,
    chunks,
    dataset_pids,
    with_datasets,
    with_members,
)


class Asks(Protocol):
    """One facility under one deadline: what is left of ``Asker.ask``."""

    async def __call__(self, question: Question) -> FacilityAnswer: ...


@dataclass(slots=True)
class Details:
    """Fills in what ``wanted`` says has to come by a second request.

    ``unseen`` collects what could not be had, for the facility's line.
    """

    ask: Asks
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
            found = await self._named("Dataset", pids[:MAX_DETAILED], include, digests)
            items = with_datasets(items, found)
        if self.wanted.members and items:
            # Also where none came: SciCat sends members only with their people (crosswalks 2.3).
            pids = [pid for item in items if (pid := identifier_of(item))]
            found = await self._named("Document", pids, [MEMBERS_IN_FULL], digests)
            items = with_members(items, found)
        if not all(digests):
            return items, b""
        return items, blake2b(b"".join(digests), digest_size=16).digest()

    async def _named(
        self,
        entity_class: EntityClass,
        pids: Sequence[str],
        include: Sequence[Mapping[str, Any]],
        digests: list[bytes],
    ) -> list[Item]:
        """Objects by pid, with relations; what cannot be had is noted as unseen."""
        found: list[Item] = []
        for portion in chunks(pids):
            where: Item = {"pid": portion[0] if len(portion) == 1 else {"inq": portion}}
            filter_ = {"where": where, "include": list(include), "limit": len(portion)}
            try:
                answer = await self.ask(Question(entity_class, filter_))
            except (FacilitySilent, QuestionRefused):
                self.unseen.add(DETAILS[entity_class])
                continue
            assert answer.objects is not None
            found += answer.objects.items
            digests.append(answer.digest)
        return found
