"""Snapshots survive their journey through ``serving.sqlite`` (semantics 9.3)."""

from __future__ import annotations

from datetime import UTC, datetime

from catalogue.statistics import CollectionStatistics
from search_api.federation.continuing import Snapshot, from_bytes, is_ours, to_bytes
from search_api.federation.reports import FacilityLine

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


def test_other_peoples_cursors_are_told_from_ours() -> None:
    for text in ("", "nonsense", "e30", "eyJrIjoicmFua2VkIn0", "A" * 600, "/../"):
        assert not is_ours(text)
