"""The interface behind which another database can take SQLite's place."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from catalogue.record_store import Configuration, Entities, Provenance, RecordStore, Runs
from catalogue.store import Store


@pytest.mark.parametrize("part", [Configuration, Runs, Provenance, Entities, RecordStore])
def test_the_store_keeps_to_the_interface(part: type) -> None:
    promised = {
        name: member
        for name, member in vars(part).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }
    assert promised
    for name, member in promised.items():
        ours = inspect.getattr_static(Store, name)
        if isinstance(member, property):
            assert isinstance(ours, property), name
        else:
            assert inspect.signature(ours) == inspect.signature(member), name


def test_sqlite_is_known_to_the_store_only() -> None:
    """Design: whoever wants another database has one package to replace."""
    rooms = Path(__file__).resolve().parents[2] / "catalogue"
    allowed = {"catalogue/store", "catalogue/cursors.py"}
    knowing = {
        str(path.relative_to(rooms.parent))
        for path in rooms.rglob("*.py")
        if "sqlite3" in path.read_text("utf-8")
    }
    assert {
        name for name in knowing if not any(name.startswith(place) for place in allowed)
    } == set()


def test_importing_the_interface_brings_no_database() -> None:
    code = "import catalogue.record_store, sys; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
