"""Identifiers that a sweep has met."""

from __future__ import annotations

import errno
import sqlite3
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.ledger import Ledger, LedgerFault
from harvester.outcomes import stop_name
from harvester.seen import Seen

identifiers = st.lists(st.text(st.characters(), max_size=3), max_size=30)


@given(identifiers, st.integers(0, 5))
def test_it_tells_new_from_known_like_a_set(added: list[str], in_memory: int) -> None:
    seen, known = Seen(in_memory), set[str]()
    for one in added:
        assert seen.add(one) == (one not in known)
        known.add(one)
        assert len(seen) == len(known)


def test_memory_does_not_grow_with_what_was_seen() -> None:
    """Fault H11."""
    seen = Seen(in_memory=100)
    for number in range(200):
        seen.add(f"10.5072/{number}")
    tracemalloc.start()
    try:
        for number in range(20_000):
            seen.add(f"10.5072/{number}")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(seen) == 20_000
    assert most < 100_000


def test_the_file_is_closed_with_the_set() -> None:
    """Left open, it took the place of another file for as long as nobody looked for litter."""
    seen = Seen(in_memory=0)
    seen.add("a")
    connection = seen._connection
    assert connection is not None
    del seen
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_full_disk_is_told_in_our_own_words() -> None:
    """Fault H09."""
    seen = Seen(in_memory=0)
    seen.add("a")
    assert seen._connection is not None
    seen._connection.execute("PRAGMA max_page_count=3")
    with pytest.raises(LedgerFault, match="temporary file") as raised:
        all(seen.add(f"10.5072/{number}") for number in range(1_000))
    assert isinstance(raised.value.__cause__, sqlite3.DatabaseError)


def test_notes_that_cannot_be_opened_are_not_called_a_full_disk(tmp_path: Path) -> None:
    """A process with too many files open had every run end as disk_full."""
    (tmp_path / "s.sqlite").mkdir()
    with pytest.raises(LedgerFault) as told:
        Ledger(tmp_path / "s.sqlite", "1")
    assert stop_name(told.value) == "ledger_fault"
    full = LedgerFault("no room")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert stop_name(full) == "disk_full"
