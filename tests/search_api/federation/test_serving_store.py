"""The disposable memory of a server's workers (semantics 10.2)."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from search_api.federation.breaker import Breaker, opened, probing
from search_api.federation.serving_store import FILE_NAME, Contact, KeptBody, ServingStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = NOW.timestamp()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServingStore]:
    made = ServingStore(tmp_path)
    yield made
    made.close()


def kept(question: bytes, body: bytes = b"[]", stale_for_s: float = 60.0) -> KeptBody:
    return KeptBody(question, "ess", body, EPOCH, EPOCH + stale_for_s)


def pause(breaker: Breaker) -> Breaker:
    return opened(breaker, "unreachable", "refused", EPOCH, lambda: 0.0)


def test_workers_share_breakers_and_identity(store: ServingStore, tmp_path: Path) -> None:
    """Fault G12."""
    other = ServingStore(tmp_path)
    breaker, changed = store.change_breaker("ess", pause)
    assert changed
    assert other.breakers() == {"ess": breaker}
    assert other.node() == store.node()
    other.close()


def test_one_of_many_workers_gets_the_probe(tmp_path: Path) -> None:
    """Fault G13: the lease is taken in one transaction."""
    stores = [ServingStore(tmp_path) for _ in range(4)]
    stores[0].change_breaker("ess", pause)
    taken: list[bool] = []
    together = threading.Barrier(len(stores))

    def try_it(one: ServingStore) -> None:
        together.wait()
        taken.append(one.change_breaker("ess", lambda b: probing(b, EPOCH + 6, 5.0))[1])

    threads = [threading.Thread(target=try_it, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()
    assert sorted(taken) == [False, False, False, True]


def test_contacts_only_move_forward(store: ServingStore) -> None:
    store.note_contacts([("ess", Contact(answered_at=100.0))])
    store.note_contacts([("ess", Contact(failed_at=90.0, reason="HTTP 500"))])
    store.note_contacts([("ess", Contact(answered_at=50.0, failed_at=80.0, reason="older"))])
    assert store.contacts() == {"ess": Contact(100.0, 90.0, "HTTP 500")}


def test_what_was_learned_is_forgotten_by_the_next_check(store: ServingStore) -> None:
    store.learn("ess", "Document", "operator:between", NOW)
    store.learn("ess", "Dataset", "order", NOW + timedelta(hours=2))
    store.learn("ill", "Dataset", "order", NOW)
    assert store.learned("ess") == {("Document", "operator:between"), ("Dataset", "order")}
    store.unlearn("ess", before=NOW + timedelta(hours=1))
    assert store.learned("ess") == {("Dataset", "order")}
    assert store.learned("ill") == {("Dataset", "order")}


def test_answers_are_kept_as_long_as_they_may_be_shown(store: ServingStore) -> None:
    store.keep_answers([kept(b"q", b'[{"pid":"1"}]')], NOW)
    found = store.kept_answer(b"q", NOW)
    assert found is not None
    assert found.body == b'[{"pid":"1"}]'
    assert store.kept_answer(b"q", NOW + timedelta(seconds=60)) is None
    assert store.kept_answer(b"other", NOW) is None


def test_answers_and_snapshots_are_bounded(tmp_path: Path) -> None:
    store = ServingStore(tmp_path, most_bytes=2_000)
    for number in range(10):
        end = NOW + timedelta(seconds=60 + number)
        store.put_snapshots([(f"s{number}", bytes(500), end)], NOW)
    names = [f"s{number}" for number in range(10) if store.snapshot(f"s{number}", NOW)]
    assert names == ["s6", "s7", "s8", "s9"]
    store.close()


def test_small_ones_are_bounded_too_but_not_added_up_one_by_one(tmp_path: Path) -> None:
    """To add them up reads them all: with thousands there, each new one took as long as that."""
    store = ServingStore(tmp_path, most_bytes=6_400)
    assert store._file is not None
    asked: list[str] = []
    store._file.set_trace_callback(asked.append)
    for number in range(500):
        end = NOW + timedelta(seconds=60 + number)
        store.put_snapshots([(f"s{number}", bytes(20), end)], NOW)
    store._file.set_trace_callback(None)
    there = [number for number in range(500) if store.snapshot(f"s{number}", NOW)]
    assert there == list(range(500 - len(there), 500))
    assert 6_400 <= 20 * len(there) <= 6_400 + 6_400 // 64
    assert sum("sum(" in one for one in asked) < 500 // 4
    store.close()


def test_it_is_told_whose_answers_are_kept(store: ServingStore) -> None:
    assert store.sources_of_answers() == frozenset()
    store.keep_answers([kept(b"q"), kept(b"r")], NOW)
    assert store.sources_of_answers() == {kept(b"q").source}


def test_a_snapshot_ends_when_it_said(store: ServingStore) -> None:
    store.put_snapshots([("page", b"x", NOW + timedelta(seconds=5))], NOW)
    assert store.snapshot("page", NOW) == b"x"
    assert store.snapshot("page", NOW + timedelta(seconds=5)) is None


def works(store: ServingStore) -> bool:
    store.change_breaker("ess", pause)
    store.keep_answers([kept(b"q")], NOW)
    return set(store.breakers()) == {"ess"} and store.kept_answer(b"q", NOW) is not None


def test_a_damaged_file_is_said_and_memory_takes_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database " * 1000)
    with caplog.at_level(logging.WARNING):
        store = ServingStore(tmp_path)
    assert store.in_memory
    assert works(store)
    assert "stays in memory" in caplog.text
    store.close()


def test_damage_that_shows_later_costs_nothing_either(tmp_path: Path) -> None:
    store = ServingStore(tmp_path)
    store.keep_answers([kept(b"q")], NOW)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE answers SET body = x'00'")
    connection.close()
    assert store.kept_answer(b"q", NOW) is None
    assert store.in_memory
    assert works(store)
    store.close()


def test_workers_that_make_the_file_at_once_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says BUSY at once where its log is switched on, whatever the timeout."""
    connect = sqlite3.connect
    neighbour = connect(tmp_path / FILE_NAME, isolation_level=None)

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*arguments, **options)
        made.set_trace_callback(begin_to_write)
        return made

    def begin_to_write(statement: str) -> None:
        if "journal_mode" in statement:
            neighbour.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(sqlite3, "connect", connect)

    monkeypatch.setattr(sqlite3, "connect", watched)
    monkeypatch.setattr(time, "sleep", lambda _: neighbour.close())
    store = ServingStore(tmp_path)
    assert not store.in_memory
    assert works(store)
    store.close()


def test_a_folder_that_is_not_there_is_no_obstacle(tmp_path: Path) -> None:
    store = ServingStore(tmp_path / "nowhere")
    assert store.in_memory
    assert works(store)
    store.close()


def test_another_version_begins_anew(tmp_path: Path) -> None:
    store = ServingStore(tmp_path)
    store.change_breaker("ess", pause)
    store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 77")
    connection.close()
    store = ServingStore(tmp_path)
    assert store.breakers() == {}
    assert works(store)
    assert not store.in_memory
    store.close()


async def test_it_can_be_asked_off_the_event_loop(store: ServingStore) -> None:
    breaker, _ = await store.run(store.change_breaker, "ess", pause)
    assert breaker.is_open
    assert await store.run(store.breakers) == {"ess": breaker}
