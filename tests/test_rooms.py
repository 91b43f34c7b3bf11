"""The rooms of the house know only the rooms below them (ARCHITECTURE.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT = {
    "mappings": set(),
    "catalogue": {"mappings"},
    "facility_http": {"mappings", "catalogue"},
    "harvester": {"mappings", "catalogue", "facility_http"},
    "search_api": {"mappings", "catalogue", "facility_http"},
    "simulator": {"mappings"},
}
OURS = {*MAY_IMPORT, "pan_commons", "pan_commons_demo", "tests", "benchmarks"}


def imported_rooms(source: str) -> Iterator[str]:
    """First parts of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_import_check_sees_imports_inside_functions() -> None:
    source = "def f():\n    from harvester.run import harvest\n"
    assert list(imported_rooms(source)) == ["harvester"]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules
    forbidden = OURS - MAY_IMPORT[room] - {room}
    wrong = [
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules
        for name in imported_rooms(module.read_text(encoding="utf-8"))
        if name in forbidden
    ]
    assert wrong == []


def test_asking_facilities_knows_of_the_catalogue_only_what_a_facility_is() -> None:
    named = {
        node.module
        for module in (ROOT / "facility_http").rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in named if name.startswith("catalogue")} <= {"catalogue.facilities"}


def test_the_terminal_helpers_import_nothing_of_ours() -> None:
    source = (ROOT / "pan_commons_terminal.py").read_text(encoding="utf-8")
    assert not (set(imported_rooms(source)) & OURS)
