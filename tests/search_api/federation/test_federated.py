"""Facilities and catalogue answer as if they were one index (semantics 8, 9.5; faults G)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search_api.federation.federation_world import Part, documents, world

DIALECTS = ("reference", "xfel", "scicat", "ill", "datagateway")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_gives_what_one_index_would(tmp_path: Path, dialect: str) -> None:
    parts = [
        Part("Old", documents(0, 30), mode="indexed", harvested=True),
        Part("Now", documents(30, 30), dialect=dialect),
    ]
    async with world(tmp_path, *parts) as there:
        for words in ("lysozyme", "SAXS crystal", "protein ice", "nothing of the kind"):
            found = await there.ask(words=words, limit=100)
            assert [hit.entity.key for hit in found.answer.hits] == there.truth(words=words)
            assert found.answer.total.relation == "eq"
            assert {line.name: line.state for line in found.lines} == {
                "Old": "answered",
                "Now": "answered",
            }
