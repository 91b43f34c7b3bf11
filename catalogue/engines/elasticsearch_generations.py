"""The generations of the indices of one prefix: what they are called, how they are made, and which
one the aliases name.

For each class there is one index ``<prefix>-<class>-<fingerprint>-<n>`` under the alias
``<prefix>-<class>``; ``<fingerprint>-<n>`` is the generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import elasticsearch
from elasticsearch import AsyncElasticsearch

from catalogue.engines.elasticsearch_client import translated
from catalogue.engines.elasticsearch_mapping import mapping, settings
from catalogue.engines.elasticsearch_silence import Silence
from catalogue.fields import ENTITY_CLASSES
from catalogue.fingerprint import next_generation


class Generations:
    """Those of one prefix.

    Args:
        shards, replicas: of each class's index, when it is made.
    """

    def __init__(
        self,
        client: AsyncElasticsearch,
        prefix: str,
        shards: int,
        replicas: int,
        silence: Silence,
    ) -> None:
        self._client = client
        self._silence = silence
        self._prefix = prefix
        self._shards = shards
        self._replicas = replicas

    def alias(self, class_name: str) -> str:
        return f"{self._prefix}-{class_name.lower()}"

    def index(self, class_name: str, generation: str | None) -> str:
        return f"{self.alias(class_name)}-{generation}"

    def written(self, class_name: str, generation: str | None) -> str:
        """The alias by which a generation's index is written."""
        return f"{self.index(class_name, generation)}-written"

    def indices_of(self, generation: str | None) -> str:
        """Its indices, as one name."""
        return ",".join(self.index(name, generation) for name in ENTITY_CLASSES)

    async def exists(self, generation: str) -> bool:
        """Whether it has all its indices."""
        async with translated("looking for its indices"):
            return bool(await self._client.indices.exists(index=self.indices_of(generation)))

    async def create(self, generation: str, *, aliased: bool) -> None:
        """Make what it lacks; ``aliased`` makes it the one in use."""
        for name in ENTITY_CLASSES:
            aliases: dict[str, Any] = {self.written(name, generation): {}}
            if aliased:
                aliases[self.alias(name)] = {}
            body = {
                "settings": settings(self._shards, self._replicas),
                "mappings": mapping(name),
                "aliases": aliases,
            }
            await self._create_index(self.index(name, generation), body)

    async def create_shared(self) -> None:
        """The small indices that all generations share."""
        for part in ("meta", "raw"):
            await self._create_index(
                f"{self._prefix}-{part}",
                {
                    "settings": {"number_of_shards": 1, "number_of_replicas": self._replicas},
                    "mappings": {
                        "dynamic": "strict",
                        "properties": {"value": {"type": "object", "enabled": False}},
                    },
                },
            )

    async def _create_index(self, name: str, body: Mapping[str, Any]) -> None:
        async with translated(f"making {name}"):
            try:
                await self._client.indices.create(index=name, body=dict(body))
            except elasticsearch.BadRequestError as error:
                if "resource_already_exists" not in str(error):
                    raise

    async def current(self) -> str | None:
        """The generation that the aliases point to."""
        async with self._silence.broken_by("looking for its indices"):
            try:
                # Asked of our own indices only, as a user may have rights on no others.
                found = await self._silence.asking.indices.get_alias(
                    index=f"{self._prefix}-*", name=self.alias("Document")
                )
            except elasticsearch.NotFoundError:
                return None
        names = sorted(found.keys())
        return names[-1].removeprefix(f"{self.alias('Document')}-") if names else None

    async def next(self) -> str:
        """What one made now is to be called."""
        return next_generation(await self._indices())

    async def use(self, generation: str | None) -> None:
        """Move the aliases to it at once; the indices of all others go."""
        own = {self.index(name, generation) for name in ENTITY_CLASSES}
        former = [index for index in await self._indices() if index not in own]
        actions: list[Mapping[str, Any]] = []
        for name in ENTITY_CLASSES:
            held = [index for index in former if index.startswith(f"{self.alias(name)}-")]
            actions += [{"remove_index": {"index": index}} for index in held]
            actions.append(
                {"add": {"index": self.index(name, generation), "alias": self.alias(name)}}
            )
        async with translated("moving to the new indices"):
            await self._client.indices.update_aliases(actions=actions)

    async def remove(self, generation: str) -> None:
        """Remove its indices, as far as they are there."""
        async with translated("removing what was begun"):
            await self._client.indices.delete(
                index=self.indices_of(generation), ignore_unavailable=True
            )

    async def remove_all(self) -> None:
        """Remove every index of the prefix, notes and all."""
        async with translated("removing its indices"):
            found = await self._client.indices.get(
                index=f"{self._prefix}-*", ignore_unavailable=True, allow_no_indices=True
            )
            if found:
                await self._client.indices.delete(index=",".join(found.keys()))

    async def _indices(self) -> list[str]:
        """The indices of all generations."""
        async with translated("looking for its indices"):
            answer = await self._client.indices.get(
                index=",".join(f"{self.alias(name)}-*" for name in ENTITY_CLASSES),
                ignore_unavailable=True,
                allow_no_indices=True,
            )
        return list(answer)
