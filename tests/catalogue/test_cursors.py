"""Where the rankings of cursors are kept when their file cannot be written (semantics 10.2)."""

from __future__ import annotations

import logging
import resource
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from search_world import NOW

from catalogue.cursors import FILE_NAME, KEPT, MOST_IN_MEMORY, Snapshot, SnapshotFile

RANKED = Snapshot([3, 1], [0.9, 0.5], 2)


def test_a_file_that_cannot_be_used_is_replaced_by_memory_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).mkdir()
    snapshots = SnapshotFile(tmp_path)
    with caplog.at_level(logging.WARNING):
        for number in range(MOST_IN_MEMORY + 1):
            snapshots.put(f"n{number}", RANKED, NOW + KEPT)
    assert [message.count("own cursors") for message in caplog.messages] == [1]
    assert snapshots.get("n0", NOW) is None
    assert snapshots.get("n1", NOW) == RANKED
    assert snapshots.get("n1", NOW + KEPT + timedelta(seconds=1)) is None
    assert snapshots.get("never", NOW) is None


def test_a_full_disk_costs_no_cursor(tmp_path: Path) -> None:
    """Fault H09, with the system's limit for files in place of the disk's."""
    snapshots = SnapshotFile(tmp_path)
    snapshots.put("before", RANKED, NOW + KEPT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
    try:
        snapshots.put("amid", Snapshot(range(5_000), [0.5] * 5_000, 5_000), NOW + KEPT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    snapshots.put("after", RANKED, NOW + KEPT)
    kept = [snapshots.get(name, NOW) for name in ("before", "amid", "after")]
    assert [one and one.total for one in kept] == [2, 5_000, 2]
    with closing(SnapshotFile(tmp_path)) as another:
        assert another.get("amid", NOW) is None
    snapshots.close()
