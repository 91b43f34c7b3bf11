"""Searches where the index is missing, empty, behind, or in a folder that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from catalogue.records import PageCommit
from catalogue.store import Store
from pan_commons import run
from pan_commons_terminal import Settings
from search_api.serving import ask_folder
from tests.search_api.conftest import NOW


@pytest.fixture
async def data(tmp_path: Path, keep: Any) -> Path:
    """A data folder with one record, indexed."""
    folder = tmp_path / "data"
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payload = {"pid": "10.5072/1", "type": "proposal", "title": "SANS of lysozyme"}
    async with Catalogue.open(folder) as catalogue:
        await keep(catalogue, facility, source, [("panosc-document", payload)])
    return folder


def told_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON and what was said of a search."""
    code = run(["search", *arguments, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out), told.err


def delete_records(folder: Path) -> None:
    """A change that no index knows of."""
    with Store.open(folder) as store:
        begun = store.begin_run("a", kind="full", holder="test", now=NOW)
        (identifier,) = store.live_identifiers("a", None, 10)
        store.commit_page(begun, PageCommit([], None, NOW, deleted=[identifier]))
        store.finish_run(begun, "ok", "end_of_list", NOW)


def test_a_missing_index_is_an_error_and_not_an_empty_answer(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / "index")
    code, answer, said = told_by(capsys, "lysozyme", "--data", str(data))
    assert code == 1
    assert "no search index" in answer["error"]["message"]
    assert "pan-commons index rebuild" in said
    assert not (data / "index").exists()
    assert run(["index", "rebuild", "--data", str(data)]) == 0
    capsys.readouterr()
    assert told_by(capsys, "lysozyme", "--data", str(data))[1]["total"]["value"] == 1


async def test_a_server_over_an_empty_index_says_that_it_is(
    data: Path, serve: Any, tmp_path: Path
) -> None:
    shutil.rmtree(data / "index")
    async with Catalogue.open(data) as catalogue:
        client = await serve(catalogue)
        for path in ("/api/search?q=lysozyme", "/api/Documents", "/api/Documents/count"):
            response = await client.get(path)
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "pan-commons index rebuild" in (await response.json())["error"]["message"]
        assert (await client.get("/health/ready")).status == 503
        page = await client.get("/?q=lysozyme", headers={"Accept": "text/html"})
        assert page.status == 503
        assert "This cannot be answered now" in await page.text()
        await catalogue.indexer.index_once()
        found = await (await client.get("/api/search?q=lysozyme")).json()
        assert found["total"] == {"value": 1, "relation": "eq"}
        assert (await client.get("/health/ready")).status == 200


async def test_where_nothing_is_kept_nothing_is_found(tmp_path: Path, serve: Any) -> None:
    async with Catalogue.open(tmp_path / "new") as catalogue:
        client = await serve(catalogue)
        found = await (await client.get("/api/search?q=lysozyme")).json()
        assert found["total"] == {"value": 0, "relation": "eq"}
        assert (await client.get("/health/ready")).status == 200


def test_a_folder_without_a_store_is_not_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer, _ = told_by(capsys, "lysozyme", "--data", str(tmp_path))
    assert code == 1
    assert "harvest first" in answer["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_ever_harvested_facilities_are_searched_live_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``sources add --mode live`` and ``sources check``, and then: "There is no search index yet".
    Here the facility is silent, which is another thing, and said."""
    config = tmp_path / "own.toml"
    config.write_text(
        '[facilities.A]\ntitle = "A"\nprovider = "http://127.0.0.1:9/api"\n'
        '[sources.a]\nfacility = "A"\nprotocol = "panosc"\nurl = "http://127.0.0.1:9/api"\n'
        'mode = "live"\ninternal = true\noptions = { retries = 0 }\n'
        '[contact]\nemail = "data@example.org"\n',
        encoding="utf-8",
    )
    where = ("--data", str(tmp_path / "data"), "--config", str(config))
    assert run(["sources", "check", "a", *where]) == 1
    capsys.readouterr()
    code, answer, _ = told_by(capsys, "lysozyme", *where)
    assert code == 1
    assert answer["error"]["name"] == "NobodyAnswered"


def test_an_index_that_is_behind_is_said_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", str(data))
    assert "index_behind" not in told_by(capsys, "lysozyme", *where)[1]
    delete_records(data)
    code, answer, _ = told_by(capsys, "lysozyme", *where)
    assert code == 3
    assert answer["index_behind"] > 0
    at_once = (*where, "--wait-ms", "0")
    for more in ((), ("--live",)):
        assert run(["search", "lysozyme", *at_once, *more]) == 3
        assert "changes behind" in capsys.readouterr().err
    assert run(["search", "lysozyme", *at_once, "--live", "--json"]) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["index_behind"]) == ("end", answer["index_behind"])
    assert run(["search", "lysozyme", *at_once, "--url", "http://127.0.0.1:9"]) == 2
    assert "--wait-ms is for a data folder" in " ".join(capsys.readouterr().err.split())


async def test_a_search_beside_whoever_indexes_waits_for_what_was_kept_before_it(
    data: Path,
) -> None:
    """Semantics 10.3: else nearly every search beside a busy daemon would be done in part."""
    settings = Settings(data, None, "tantivy", None, as_json=True)
    async with Catalogue.open(data) as daemon:
        assert daemon.engine.try_lock()
        delete_records(data)
        found: list[Any] = []

        async def ask() -> None:
            found.append(await ask_folder(settings, [("q", "lysozyme")], 60.0))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            await daemon.indexer.index_once()
    (answer,) = found
    assert answer["total"]["value"] == 0
    assert "index_behind" not in answer


def test_a_folder_that_cannot_be_written_is_searched_all_the_same(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's library would make a lock file beside the index, for readers too."""

    def held() -> dict[str, int]:
        files = (data / "index").rglob("*")
        return {str(file): file.stat().st_mtime_ns for file in files}

    for lock in (data / "index").rglob("*.lock"):
        lock.unlink()
    before = held()
    real = os.access

    def access(path: Any, mode: int, **more: Any) -> bool:
        return not (mode == os.W_OK and data in Path(path).parents) and real(path, mode, **more)

    monkeypatch.setattr(os, "access", access)
    code, answer, _ = told_by(capsys, "lysozyme", "--data", str(data))
    assert (code, answer["total"]["value"]) == (0, 1)
    assert held() == before
