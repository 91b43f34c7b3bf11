"""Engines to test with."""

from __future__ import annotations

from pathlib import Path

from catalogue.engines.base import Engine
from catalogue.engines.tantivy import TantivyEngine

ENGINES = ["tantivy"]


async def open_engine(name: str, folder: Path) -> Engine:
    """A new, empty engine."""
    engine = TantivyEngine(folder)
    await engine.open()
    return engine
