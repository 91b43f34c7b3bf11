"""``pan-commons index backup|check|export|import|compact|remap`` and ``forget``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from click.testing import CliRunner, Result
from store_world import World, document, record

from catalogue.commands import COMMANDS
from catalogue.errors import (
    CatalogueError,
    NotFound,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from catalogue.store import Store


def call(*words: str | Path) -> Result:
    commands = {command.name: command for command in COMMANDS}
    name, *rest = (str(word) for word in words)
    return CliRunner().invoke(commands[name], rest)


def fails(*words: str | Path) -> CatalogueError:
    result = call(*words)
    assert isinstance(result.exception, CatalogueError)
    return result.exception


@pytest.fixture
def folder(world: World) -> Path:
    """A data folder with one record."""
    payload = (
        b'<resource xmlns="http://datacite.org/schema/kernel-4">'
        b'<identifier identifierType="DOI">10.5072/a</identifier>'
        b"<titles><title>Lysozyme</title></titles></resource>"
    )
    world.put(record("oai:a", document("doi:10.5072/a", title="Lysozyme"), payload=payload))
    return world.store.folder


def test_backup_writes_into_the_data_folder_unless_told_otherwise(
    folder: Path, tmp_path: Path
) -> None:
    result = call("index", "backup", "--data", folder, "--json")
    assert result.exit_code == 0
    made = Path(orjson.loads(result.stdout)["path"])
    assert made.parent == folder / "backups"
    assert made.stat().st_size == orjson.loads(result.stdout)["size_bytes"]
    assert call("index", "backup", tmp_path / "x.sqlite", "--data", folder).exit_code == 0
    assert isinstance(fails("index", "backup", tmp_path / "x.sqlite", "--data", folder), StoreError)


def test_check_exits_with_1_when_the_store_is_not_sound(world: World, folder: Path) -> None:
    result = call("index", "check", "--data", folder)
    assert (result.exit_code, "1 records of sources make 1 entities: sound" in result.stderr) == (
        0,
        True,
    )
    world.store._database.connection().execute("UPDATE sources SET live = 3")
    result = call("index", "check", "--data", folder, "--json")
    assert result.exit_code == 1
    assert orjson.loads(result.stdout)["sound"] is False


def test_check_counts_nothing_where_nothing_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise StoreDamaged("it is damaged")

    monkeypatch.setattr("catalogue.store.inspection._problems", damaged)
    result = call("index", "check", "--data", folder)
    assert result.exit_code == 1
    assert result.output.splitlines() == ["it is damaged", "The store is not sound."]


def test_compact_says_what_it_gained(folder: Path) -> None:
    result = call("index", "compact", "--data", folder, "--json")
    assert orjson.loads(result.stdout).keys() == {"bytes_before", "bytes_after", "repacked"}


def test_export_and_import_make_another_folder(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    assert call("index", "export", target, "--data", folder).exit_code == 0
    assert isinstance(fails("index", "export", target, "--data", folder), StoreError)
    streamed = call("index", "export", "-", "--data", folder)
    assert len(streamed.stdout.splitlines()) == len(target.read_text().splitlines())
    result = call("index", "import", target, "--data", tmp_path / "new", "--json")
    assert orjson.loads(result.stdout) == {
        "records": 1,
        "skipped": 0,
        "entities": 1,
        "index": "up to date",
    }
    assert [path.name for path in tmp_path.glob("all*")] == ["all.jsonl"]
    with Store.open(tmp_path / "new") as store:
        assert store.entity("document:doi:10.5072/a") is not None


def test_remap_shows_differences_and_then_makes_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mappings.versions import VERSIONS

    monkeypatch.setitem(VERSIONS, "crosswalk", "next")
    result = call("index", "remap", "ess-oai", "--dry-run", "--data", folder, "--json")
    dry = orjson.loads(result.stdout)
    assert (dry["examined"], dry["changed"]) == (1, 1)
    assert ("document:doi:10.5072/a", "changes") in {
        (one["key"], one["change"]) for one in dry["differences"]
    }
    assert call("index", "remap", "--data", folder).exit_code == 0
    result = call("index", "remap", "--data", folder, "--json")
    assert orjson.loads(result.stdout)["examined"] == 0
    assert isinstance(fails("index", "remap", "nobody", "--data", folder), NotFound)


def test_forget_asks_first(world: World, folder: Path) -> None:
    result = call("forget", "10.5072/a", "--data", folder)
    assert result.exit_code == 1
    assert world.store.count("Document") == 1
    result = call("forget", "10.5072/a", "--data", folder, "--yes", "--json")
    assert orjson.loads(result.stdout)["records"] == [["ess-oai", "oai:a"]]
    assert orjson.loads(result.stdout)["index"] == "made anew"
    assert world.store.count("Document") == 0
    result = call("forget", "10.5072/a", "--record", "--data", folder, "--yes")
    assert isinstance(result.exception, NotFound)
    result = call("forget", "Anna Müller", "--data", folder, "--yes")
    assert "Forgotten as person: 0 records" in result.stderr


def test_forget_says_what_it_could_not_clean(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault H09: on a full disk it said "disk is full" and no more, when all was erased but for
    the log and the index; with an index that was not made anew its exit code was 0."""

    def no_room(*_: object) -> None:
        raise StoreFull("no space left to grow")

    with monkeypatch.context() as disk:
        disk.setattr("catalogue.store.forget.repack", no_room)
        result = call("forget", "10.5072/a", "--data", folder, "--yes")
    assert result.exit_code == 3
    assert "1 records" in result.stderr
    assert "(no space left to grow); then run: pan-commons index compact" in result.stderr
    result = call(
        "forget",
        "Anna Müller",
        "--data",
        folder,
        "--yes",
        "--engine",
        "elasticsearch",
        "--elasticsearch-url",
        "http://127.0.0.1:9",
    )
    assert result.exit_code == 3
    assert "run: pan-commons index rebuild" in result.stderr


def test_no_file_of_the_index_that_knew_a_forgotten_record_is_left(folder: Path) -> None:
    """An index keeps the words of what was deleted until its segments are merged."""
    assert call("index", "rebuild", "--data", folder).exit_code == 0
    segments = set(folder.rglob("*.term"))
    assert segments
    assert call("forget", "10.5072/a", "--data", folder, "--yes").exit_code == 0
    assert not [path for path in segments if path.exists()]


@pytest.mark.parametrize("command", ["backup", "check", "compact", "remap"])
def test_an_empty_folder_is_said_so_and_stays_empty(tmp_path: Path, command: str) -> None:
    problem = fails("index", command, "--data", tmp_path)
    assert "there is no store in" in str(problem)
    assert list(tmp_path.iterdir()) == []


def test_an_export_whose_reader_goes_away_ends_without_a_trace(world: World) -> None:
    """As in ``… index export - | head``."""
    world.put(*(record(f"oai:{n}", document(f"doi:10.5072/{n}")) for n in range(100)))
    program = "import pan_commons; pan_commons.main()"
    command = [sys.executable, "-c", program, "index", "export", "-", "--data"]
    process = subprocess.Popen(
        [*command, str(world.store.folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in said


def refusing_to_write(really: Any, kind: type[StoreError] = StoreReadOnly) -> Any:
    def open_(folder: Path, *, read_only: bool = False, **more: Any) -> Store:
        if not read_only:
            raise kind(f"{folder} cannot be written")
        return cast(Store, really(folder, read_only=True, **more))

    return open_


@pytest.mark.parametrize("kind", [StoreReadOnly, StoreFull])
def test_who_only_looks_needs_no_right_to_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[StoreError]
) -> None:
    assert call("index", "rebuild", "--data", folder).exit_code == 0
    monkeypatch.setattr(Store, "open", refusing_to_write(Store.open, kind))
    assert call("index", "status", "--data", folder).exit_code == 0
    assert call("index", "verify", "--data", folder).exit_code == 0
    assert call("index", "remap", "--dry-run", "--data", folder).exit_code == 0
    for command in (("verify", "--repair"), ("rebuild",), ("remap",)):
        assert isinstance(fails("index", *command, "--data", folder), kind)


@pytest.mark.parametrize("kind", [StoreReadOnly, StoreFull])
@pytest.mark.parametrize("command", ["check", "backup", "export"])
def test_what_is_on_a_disk_that_cannot_be_written_any_more_is_saved_from_there(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    kind: type[StoreError],
) -> None:
    """Fault H09: a system that finds its disk failing makes it read-only; SQLite wants room even to
    open a file for writing."""
    monkeypatch.setattr(Store, "open", refusing_to_write(Store.open, kind))
    target = [] if command == "check" else [tmp_path / "saved"]
    assert call("index", command, *target, "--data", folder).exit_code == 0
    assert all(path.stat().st_size > 0 for path in target)
    assert isinstance(fails("index", "compact", "--data", folder), kind)


def test_forget_reaches_the_index_of_an_engine_that_is_not_in_use(folder: Path) -> None:
    """Semantics 11.1: moving from one engine to the other leaves one behind."""
    assert call("index", "rebuild", "--data", folder).exit_code == 0
    segments = set(folder.rglob("*.term"))
    assert segments
    nobody = ("--engine", "elasticsearch", "--elasticsearch-url", "http://127.0.0.1:1")
    result = call("forget", "10.5072/a", "--yes", "--data", folder, *nobody)
    assert "search index: not up to date" in result.stderr
    assert not [path for path in segments if path.exists()]


def test_forget_says_when_the_index_that_is_not_in_use_could_not_be_made_anew(
    folder: Path,
) -> None:
    """Semantics 11.1: what still knows of it must not pass for clean."""
    assert call("index", "rebuild", "--data", folder).exit_code == 0
    (folder / "index").rename(folder / "before")
    (folder / "index").write_bytes(b"")
    nobody = ("--engine", "elasticsearch", "--elasticsearch-url", "http://127.0.0.1:1")
    result = call("forget", "10.5072/a", "--yes", "--json", "--data", folder, *nobody)
    assert result.exit_code == 3
    told = orjson.loads(result.stdout)
    assert "index rebuild --engine elasticsearch" in told["index"]
    assert "index rebuild --engine tantivy" in told["other_index"]
