"""Whether a daemon is at work: what ``status`` says of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from catalogue.catalogue import Catalogue
from catalogue.errors import StoreError
from catalogue.store import Store
from harvester.holders import this_process
from harvester.indexing import EngineSettings, IndexFollower
from harvester.presence import NOTE, SILENT_AFTER_S, Note, presence, present
from harvester.reports import presence_in_words
from pan_commons import run

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_daemon_is_seen_from_its_start_to_its_end(tmp_path: Path) -> None:
    assert presence(tmp_path, NOW).state == "none"
    with present(tmp_path, NOW) as note:
        later = NOW + timedelta(minutes=5)
        note.renew(later)
        found = presence(tmp_path, later)
        assert (found.state, found.started_at, found.seen_at) == ("working", NOW, later)
        told = presence_in_words(found, later)
        assert told.startswith("A daemon is at work: ")
        assert told.endswith(", started 5 min ago.")
    assert presence(tmp_path, NOW).state == "none"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("way", [-1, 1])
def test_one_that_is_not_heard_of_for_long_is_silent(tmp_path: Path, way: int) -> None:
    """Fault H10: whichever way the clock went."""
    with present(tmp_path, NOW):
        found = presence(tmp_path, NOW + way * timedelta(seconds=SILENT_AFTER_S + 1))
        assert found.state == "silent"
        assert "no sign any more" in presence_in_words(found, NOW)


def test_one_that_was_killed_is_none(tmp_path: Path) -> None:
    """Fault H01."""
    Note(tmp_path, NOW).renew(NOW)
    note = json.loads((tmp_path / NOTE).read_text())
    parts = this_process().rpartition(" ")
    note["holder"] = f"{parts[0]} {int(parts[2].rstrip(']')) + 1}]"
    (tmp_path / NOTE).write_text(json.dumps(note))
    assert presence(tmp_path, NOW).state == "none"
    assert "No daemon is at work" in presence_in_words(presence(tmp_path, NOW), NOW)


def test_in_a_copy_of_the_folder_there_is_no_daemon(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with present(folder, NOW):
        shutil.copytree(folder, tmp_path / "copy")
        assert presence(folder, NOW).state == "working"
        assert presence(tmp_path / "copy", NOW).state == "none"


def test_a_daemon_that_ends_leaves_the_note_of_another_one(tmp_path: Path) -> None:
    with present(tmp_path, NOW):
        told = json.loads((tmp_path / NOTE).read_text())
        (tmp_path / NOTE).write_text(json.dumps({**told, "holder": "elsewhere process 1 [m 1]"}))
    assert presence(tmp_path, NOW).holder == "elsewhere process 1 [m 1]"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"holder": 1, "started_at": 2, "seen_at": 3}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTE).write_text(text)
    assert presence(tmp_path, NOW).state == "none"


def test_a_monitor_can_ask_for_a_daemon_by_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--json", "--data", str(tmp_path))
    assert run(["status", *where]) == 0
    assert json.loads(capsys.readouterr().out)["daemon"]["state"] == "none"
    assert run(["status", "--expect-daemon", *where]) == 1
    with present(tmp_path, datetime.now(UTC)):
        assert run(["status", "--expect-daemon", *where]) == 0


def test_status_says_why_the_index_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It had been called behind, and nothing else."""
    Store.open(tmp_path).close()
    engine = ("--engine", "elasticsearch", "--elasticsearch-url", "http://127.0.0.1:9")
    assert run(["status", "--data", str(tmp_path), *engine]) == 0
    assert "change 0, and the index cannot be read: " in capsys.readouterr().err
    assert run(["status", "--json", "--data", str(tmp_path), *engine]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["indexed"], found["lag"]) == (None, None), "how far it is nobody knows"


def test_status_says_that_an_import_was_broken_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path) as store, pytest.raises(StoreError, match="line 2"):
        store.import_([b'{"kind": "pan-commons store", "format": 1}', b"{"], NOW)
    assert run(["status", "--data", str(tmp_path)]) == 0
    assert "No harvest begins: " in capsys.readouterr().err
    assert run(["status", "--json", "--data", str(tmp_path)]) == 0
    (reason,) = json.loads(capsys.readouterr().out)["no_harvest_begins"]
    assert "import it again" in reason
    assert run(["status", "--json", "--data", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out)["no_harvest_begins"] == []
    assert run(["status", "--data", str(tmp_path / "other")]) == 0
    assert "No harvest begins: " not in capsys.readouterr().err


def test_an_index_of_another_version_is_not_called_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 6.3: after an upgrade that changed the mapping nothing could be found, while the
    status said "everything indexed", and a harvest without news that all was well."""
    asyncio.run(make_empty(tmp_path))
    assert run(["status", "--data", str(tmp_path)]) == 0
    assert "everything indexed" in capsys.readouterr().err
    as_another_version(monkeypatch)
    assert run(["status", "--data", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert "everything indexed" not in told
    assert "Run: pan-commons index rebuild" in told
    assert run(["status", "--json", "--data", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lag"], "index rebuild" in found["index_problem"]) == (0, True)


async def test_a_harvest_without_news_says_that_the_index_is_another_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await make_empty(tmp_path)
    as_another_version(monkeypatch)
    follower = IndexFollower(EngineSettings(tmp_path, "tantivy", None))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.follow)
        await anyio.wait_all_tasks_blocked()
        indexing = await follower.finish()
    assert (indexing.lag, "index rebuild" in (indexing.problem or "")) == (0, True)
    assert "index rebuild" in caplog.text


def as_another_version(patch: pytest.MonkeyPatch) -> None:
    """With another mapping or analysis."""
    for module in ("fingerprint", "engines.tantivy", "engines.tantivy_generations"):
        patch.setattr(f"catalogue.{module}.fingerprint", lambda: "0123456789ab")


async def make_empty(folder: Path) -> None:
    async with Catalogue.open(folder):
        pass


def test_a_search_engine_that_hangs_does_not_keep_a_monitor_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For half a minute: longer than the health check of compose waits for the daemon's state."""
    monkeypatch.setattr("harvester.listings.ENGINE_ANSWERS_S", 0.05)
    Store.open(tmp_path).close()
    with socket.create_server(("127.0.0.1", 0)) as silent, present(tmp_path, datetime.now(UTC)):
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        engine = ("--engine", "elasticsearch", "--elasticsearch-url", url)
        assert run(["status", "--json", "--expect-daemon", "--data", str(tmp_path), *engine]) == 0
    assert "did not answer within" in json.loads(capsys.readouterr().out)["index_problem"]
