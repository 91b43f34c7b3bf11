"""Comparing store and engine completely, and repairing the engine (``index verify``).

Versions are compared entity by entity: with the same fingerprint the same change number means the
same terms. What the engine has not reached yet is outstanding, not wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import anyio.to_thread

from catalogue.documents import EngineDocument, engine_document
from catalogue.engines.base import Engine
from catalogue.errors import IndexBusy
from catalogue.fields import ENTITY_CLASSES
from catalogue.indexer import make_anew
from catalogue.plan import All
from catalogue.preparing import Outbox
from catalogue.records import Change, EntityClass
from catalogue.store import Store

PAGE = 5_000

Progress: TypeAlias = Callable[[int], None]


class VerifiedStore(Outbox, Protocol):
    """What verification needs of the record store."""

    def changes_of(self, keys: Sequence[str]) -> Mapping[str, Change]: ...


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found: keys that the engine lacks, has in another version, or should not have.

    ``position`` is how far the engine was; ``outstanding`` counts later changes. ``gone``: so many
    of those compared are tombstones.
    """

    position: int
    outstanding: int
    compared: int
    gone: int = 0
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    surplus: tuple[tuple[EntityClass, str, int, int], ...] = ()

    @property
    def sound(self) -> bool:
        return not (self.missing or self.stale or self.surplus)


async def verify(
    store: VerifiedStore, engine: Engine, progress: Progress | None = None
) -> Verification:
    """Compare every entity of the store with the engine's; ``progress`` is told how many so far."""
    position = await engine.position()
    reader = await engine.reader()
    held: dict[str, tuple[EntityClass, int, int]] = {}
    for name in ENTITY_CLASSES:
        entity_class: EntityClass = name  # type: ignore[assignment]
        for key, version in (await reader.versions(entity_class, All())).items():
            held[key] = (entity_class, *version)
    missing: list[str] = []
    stale: list[str] = []
    compared = gone = outstanding = reached = 0
    while True:
        changes = await _page(store, reached)
        if not changes:
            break
        reached = changes[-1].entity.change
        for change in changes:
            entity = change.entity
            compared += 1
            gone += entity.deleted
            found = held.pop(entity.key, None)
            if entity.change > position:
                outstanding += 1
            elif entity.deleted:
                if found is not None:
                    held[entity.key] = found
            elif found is None:
                missing.append(entity.key)
            elif found[2] != entity.change:
                stale.append(entity.key)
        if progress is not None:
            progress(compared)
    surplus = tuple((entity_class, key, o, c) for key, (entity_class, o, c) in held.items())
    return Verification(
        position, outstanding, compared, gone, tuple(missing), tuple(stale), surplus
    )


async def repair(store: VerifiedStore, engine: Engine, found: Verification) -> None:
    """Bring the engine in line with the store.

    Raises:
        IndexBusy: another process is writing the index: rebuild it instead.
    """
    position = await engine.expect(found.position)
    wrong = [*found.missing, *found.stale]
    documents = [
        EngineDocument(key, entity_class, ordinal, change + 1, deleted=True)
        for entity_class, key, ordinal, change in found.surplus
    ]
    for start in range(0, len(wrong), PAGE):
        changes = await _changes_of(store, wrong[start : start + PAGE])
        documents += [engine_document(change) for change in changes.values()]
        await engine.apply(documents)
        documents = []
    if documents:
        await engine.apply(documents)
    await engine.commit(position)


async def rebuild(
    store: Outbox,
    engine: Engine,
    progress: Progress | None = None,
    waiting: Callable[[IndexBusy], None] | None = None,
) -> int:
    """Make the index anew from the store beside the one in use; see ``indexer.make_anew``. Another
    process that does is waited for, and ``waiting`` is told so."""
    folder = store.folder if isinstance(store, Store) else None
    return await make_anew(store, engine, folder, waits=True, told=waiting, progress=progress)


async def _page(store: VerifiedStore, after: int) -> Sequence[Change]:
    return await anyio.to_thread.run_sync(lambda: store.changes_since(after, PAGE))


async def _changes_of(store: VerifiedStore, keys: Sequence[str]) -> Mapping[str, Change]:
    return await anyio.to_thread.run_sync(lambda: store.changes_of(keys))
