"""Opening a catalogue: which store, which engine, and what to do when the index is damaged."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread

from catalogue.catalogue import Catalogue
from catalogue.cursors import SnapshotFile
from catalogue.engines.base import Engine
from catalogue.engines.tantivy import TantivyEngine
from catalogue.errors import EngineDamaged, QueryError, StoreError
from catalogue.store import Store


class CatalogueOpening:
    """Either awaited or entered; see ``Catalogue.open``."""

    def __init__(
        self,
        folder: Path,
        engine: str,
        elasticsearch_url: str | None,
        read_only: bool,
        demo: bool | None,
        taking_over: bool = False,
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._url = elasticsearch_url
        self._read_only = read_only
        self._demo = demo
        self._taking_over = taking_over
        self._catalogue: Catalogue | None = None

    def __await__(self) -> Generator[Any, None, Catalogue]:
        return self._open().__await__()

    async def __aenter__(self) -> Catalogue:
        self._catalogue = await self._open()
        return self._catalogue

    async def __aexit__(self, *error: object) -> None:
        if self._catalogue is not None:
            await self._catalogue.close()

    async def _records(self, open_store: Callable[[], Store]) -> Store:
        """The store; for a node that has only Elasticsearch, the records kept there (10.4)."""
        alone = self._engine == "elasticsearch" and self._read_only
        if alone and self._url and await anyio.to_thread.run_sync(_is_empty, self._folder):
            from catalogue.engines.elasticsearch_records import ElasticsearchRecords
            from catalogue.engines.elasticsearch_settings import prefix_of

            return cast(Store, ElasticsearchRecords(self._url, prefix_of(), self._folder))
        return await anyio.to_thread.run_sync(open_store)

    async def _identity(self, store: Store) -> str | None:
        """Of which store the index that is to be written has to be."""
        if self._read_only:
            return None
        return await anyio.to_thread.run_sync(store.identity)

    async def _open(self) -> Catalogue:
        def open_store() -> Store:
            return Store.open(self._folder, demo=self._demo, read_only=self._read_only)

        store = await self._records(open_store)
        engine: Engine | None = None
        try:
            engine = make_engine(
                self._folder,
                self._engine,
                self._url,
                read_only=self._read_only,
                store=await self._identity(store),
                taking_over=self._taking_over,
            )
            catalogue = Catalogue(
                store, engine, SnapshotFile(self._folder), read_only=self._read_only
            )
            try:
                await engine.open()
            except EngineDamaged:
                if self._read_only:
                    raise
                async with catalogue.indexer.alone():
                    await catalogue.indexer.restart()
        except BaseException:
            with anyio.CancelScope(shield=True):
                if engine is not None:
                    await engine.close()
                await anyio.to_thread.run_sync(store.close)
            raise
        return catalogue


def _is_empty(folder: Path) -> bool:
    """Whether a data folder holds no records at all."""
    try:
        with Store.open(folder, read_only=True) as store:
            return store.last_change() == 0
    except StoreError:
        return True


def make_engine(
    folder: Path,
    name: str,
    elasticsearch_url: str | None,
    *,
    read_only: bool = False,
    store: str | None = None,
    taking_over: bool = False,
) -> Engine:
    """The engine that a name and an address mean.

    Args:
        store: identity of the record store: an index of another one is not gone on with.
        taking_over: a rebuild is to make a shared index this store's, whoever's it was.
    """
    if name == "tantivy":
        return TantivyEngine(folder, read_only=read_only, store=store)
    if name == "elasticsearch":
        if not elasticsearch_url:
            raise QueryError("The engine elasticsearch needs an address (ELASTICSEARCH_URL).")
        from catalogue.engines.elasticsearch_settings import engine_from

        return engine_from(
            elasticsearch_url, read_only=read_only, store=store, taking_over=taking_over
        )
    raise QueryError(f"There is no engine {name!r}.")
