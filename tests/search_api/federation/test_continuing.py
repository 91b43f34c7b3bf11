"""Snapshots survive their journey through ``serving.sqlite`` (semantics 9.3)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalogue.errors import CursorExpired
from catalogue.query import Search, Text
from catalogue.readings import make_pool, read_objects
from catalogue.statistics import CollectionStatistics
from mappings.context import Context
from search_api.federation.background import Background
from search_api.federation.continuing import (
    POOL_STEP,
    Pages,
    PoolRecords,
    Snapshot,
    from_bytes,
    is_ours,
    pool_to_bytes,
    to_bytes,
)
from search_api.federation.participants import Asked
from search_api.federation.reports import FacilityLine
from search_api.federation.serving_store import ServingStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORDS = {
    "document:doi:10.5072/a": {
        "class": "Document",
        "key": "document:doi:10.5072/a",
        "title": "A",
        "datasets": ["dataset:doi:10.5072/r", "dataset:doi:10.5072/gone"],
    },
    "dataset:doi:10.5072/r": {
        "class": "Dataset",
        "key": "dataset:doi:10.5072/r",
        "title": "R",
        "documents": ["document:doi:10.5072/a"],
    },
}
SNAPSHOT = Snapshot(
    live=(("document:doi:10.5072/a", 0.5),),
    indexed=(("document:ess:1", 0.25),),
    records=RECORDS,
    index_at=60,
    index_done=False,
    facilities=("ESS",),
    without=frozenset({3, 1}),
    match="any",
    collection=CollectionStatistics(10.0, {"text": 55.0}, {("text", "ice"): 2.5}),
    total=(7, "gte"),
    relaxed=True,
    lines=(
        FacilityLine("ESS", "stale", age_s=4.0, silent_since=NOW),
        FacilityLine("ILL", "paused", live=True, until=NOW, why="refused", missing=("members",)),
    ),
    partly=frozenset({"document:doi:10.5072/a"}),
)


def test_a_snapshot_is_read_as_it_was_written() -> None:
    assert from_bytes(to_bytes(SNAPSHOT)) == SNAPSHOT


def test_a_snapshots_records_are_entities_again_with_what_they_contain() -> None:
    pool = from_bytes(to_bytes(SNAPSHOT)).pool()
    (document,) = pool.of_class("Document")
    assert [child.key for child in document.children] == ["dataset:doi:10.5072/r"]


def test_a_pool_of_more_records_than_are_written_at_a_time_is_read_as_it_was_written() -> None:
    items = [
        {"pid": f"10.5072/{n}", "title": f"Ice\n{n}", "datasets": [{"pid": f"10.5072/{n}/r"}]}
        for n in range(POOL_STEP)
    ]
    pool = make_pool([read_objects("Document", items, Context("ESS", "ess"))], now=NOW)
    found = from_bytes(to_bytes(SNAPSHOT, "pool one"), pool_to_bytes(pool)).records
    assert found == {key: one.stored.record for key, one in pool.entities.items()}
    assert len(found) == 2 * POOL_STEP


def test_other_peoples_cursors_are_told_from_ours() -> None:
    for text in ("", "nonsense", "e30", "eyJrIjoicmFua2VkIn0", "A" * 600, "/../"):
        assert not is_ours(text)


class Noting(ServingStore):
    """Notes the names under which something was put, and how often that was."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.put: list[str] = []
        self.times = 0

    def put_snapshots(
        self, snapshots: Iterable[tuple[str, bytes, datetime]], now: datetime
    ) -> None:
        snapshots = list(snapshots)
        super().put_snapshots(snapshots, now)
        self.times += 1
        self.put += [name for name, _, _ in snapshots]


class Held(ServingStore):
    """A store that is slow to write until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()

    def put_snapshots(
        self, snapshots: Iterable[tuple[str, bytes, datetime]], now: datetime
    ) -> None:
        assert self.go.wait(10)
        super().put_snapshots(snapshots, now)


async def test_another_worker_that_is_asked_at_once_waits_for_what_is_being_written(
    tmp_path: Path,
) -> None:
    """Semantics 9.3: it told a script that its cursor of this instant was ten minutes old."""
    background, store, there = Background(), Held(tmp_path), ServingStore(tmp_path)
    search, looks = Search("Document", NOW, text=Text("ice")), 0

    async def let_go(seconds: float) -> None:
        nonlocal looks
        looks += 1
        store.go.set()
        await store.run(store.node)

    async def never(seconds: float) -> None:
        raise AssertionError("an old cursor is refused at once")

    async def at_once(seconds: float) -> None:
        """Nobody else's is waited for."""

    await background.open()
    cursor = Pages(store, background, lambda: NOW, pause=at_once).put(SNAPSHOT, search, Asked())
    later = Pages(there, background, lambda: NOW + timedelta(seconds=5), pause=never)
    with pytest.raises(CursorExpired):
        await later.get(cursor, search, Asked())
    other = Pages(there, background, lambda: NOW, pause=let_go)
    assert (await other.get(cursor, search, Asked())).live == SNAPSHOT.live
    assert looks
    await background.close()
    there.close()
    store.close()


async def test_another_worker_goes_on_and_records_of_one_pool_are_written_once(
    tmp_path: Path,
) -> None:
    """Semantics 9.3, 9.5: also where the same records answered several questions."""
    items = [
        {"pid": f"10.5072/{n}", "title": f"Ice {n}", "datasets": [{"pid": f"10.5072/{n}/r"}]}
        for n in range(3)
    ]
    pool = make_pool([read_objects("Document", items, Context("ESS", "ess"))], now=NOW)
    keys = [one.key for one in pool.of_class("Document")]
    snapshot = replace(SNAPSHOT, records=PoolRecords(pool, keys), live=((keys[0], 1.0),))
    background, store = Background(), Noting(tmp_path)
    pages = Pages(store, background, lambda: NOW)
    searches = [Search("Document", NOW, text=Text(word)) for word in ("ice", "water")]
    await background.open()
    cursors = [pages.put(snapshot, search, Asked()) for search in searches]
    other = Pages(ServingStore(tmp_path), background, lambda: NOW)
    while len(store.put) < 3:
        await store.run(store.node)
    await background.close()
    assert sorted(name.startswith("pool ") for name in store.put) == [False, False, True]
    assert store.times == 1  # What comes in one moment is written together.
    for cursor, search in zip(cursors, searches, strict=True):
        found = await other.get(cursor, search, Asked())
        assert found.live == snapshot.live
        assert {key: one.stored for key, one in found.pool().entities.items()}.keys() == set(
            pool.entities
        )
        for key, one in found.pool().entities.items():
            assert one.stored.record == pool.entities[key].stored.record
            assert [c.key for c in one.children] == [c.key for c in pool.entities[key].children]
    other.serving.close()
    store.close()
