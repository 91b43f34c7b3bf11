"""Fixtures of the catalogue's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers of a test folder are modules beside the tests; with importlib mode pytest adds no path.
sys.path.insert(0, str(Path(__file__).parent))

from store_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A new store with two facilities and three sources."""
    made = World(tmp_path / "data")
    yield made
    made.store.close()
