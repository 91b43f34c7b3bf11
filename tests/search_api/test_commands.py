"""``pan-commons serve`` and ``search``: as processes and as commands, messages, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from catalogue.catalogue import Catalogue
from catalogue.errors import StoreError, StoreFull, StoreReadOnly
from catalogue.facilities import Facility, Source
from catalogue.store import Store
from pan_commons import run
from pan_commons_terminal import Settings
from search_api.answer_view import title_of
from search_api.commands import COMMANDS
from search_api.errors import PortInUse
from search_api.serving import address, check_folder, check_port, open_catalogue
from search_api.settings import ServerSettings


@pytest.fixture
async def data(tmp_path: Path, keep: Any) -> Path:
    folder = tmp_path / "data"
    async with Catalogue.open(folder) as catalogue:
        facility = Facility("A", "Facility A", "https://a.example/api")
        source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
        payload = {
            "pid": "10.5072/1",
            "title": "SANS of lysozyme",
            "isPublic": True,
            "datasets": [{"pid": "d1", "title": "run", "techniques": [{"name": "SANS"}]}],
        }
        await keep(catalogue, facility, source, [("panosc-document", payload)])
    return folder


@pytest.mark.parametrize("kind", [StoreReadOnly, StoreFull])
async def test_a_server_starts_over_a_disk_that_takes_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch, kind: type[StoreError]
) -> None:
    """Fault H09: what was harvested is searched all the same."""
    really = Store.open

    def refusing(folder: Path, *, read_only: bool = False, **more: Any) -> Store:
        if not read_only:
            raise kind(f"{folder} takes nothing")
        return really(folder, read_only=True, **more)

    monkeypatch.setattr(Store, "open", refusing)
    settings = Settings(data, None, "tantivy", None, as_json=False)
    async with open_catalogue(settings, index=False) as catalogue:
        assert catalogue.store.count("Document") == 1


def call(*arguments: str) -> Any:
    command = next(one for one in COMMANDS if one.name == "search")
    return CliRunner().invoke(command, list(arguments), catch_exceptions=True)


def test_search_prints_a_table(data: Path) -> None:
    result = call("lysozyme SANS", "--data", str(data))
    assert result.exit_code == 0, result.output
    assert "1 found" in result.stdout
    assert "10.5072/1" in result.stdout
    assert "small angle neutron scattering (PaNET01189)" in result.stderr


@pytest.mark.parametrize("words", [["-lysozyme"], ["lysozyme", "-ice"]])
def test_a_word_to_be_left_out_that_looks_like_an_option_is_told_how_it_is_written(
    words: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", *words, "--data", str(data)]) == 2
    assert "goes behind --" in " ".join(capsys.readouterr().err.split())
    assert run(["search", "--data", str(data), "--", "-nothing"]) == 0
    assert run(["search", "--data", str(data), "--", "--"]) == 0
    assert run(["search", "x", "--nothing"]) == 2
    assert "goes behind --" not in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--live",)])
def test_a_search_that_finds_nothing_draws_no_empty_table(
    more: tuple[str, ...], data: Path
) -> None:
    result = call("zirconium", "--data", str(data), *more)
    assert result.exit_code == 0, result.output
    assert "Nothing found for zirconium" in result.stdout
    assert "identifier" not in result.stdout


def test_where_a_facility_is_missing_nothing_is_found_at_the_others() -> None:
    assert title_of("x", {"value": 0, "relation": "gte"}) == (
        "Nothing found for x at the facilities that answered"
    )
    assert title_of("", {"value": 1842, "relation": "gte"}) == "at least 1,842 found"


def test_search_explains_scores_in_words_and_numbers(data: Path) -> None:
    """Semantics 8.4: also for people, not only in JSON."""
    result = call("lysozyme", "--data", str(data), "--explain")
    assert result.exit_code == 0, result.output
    assert "points" in result.stderr
    assert "the word “lysozyme”" in result.stderr
    assert "the word" not in call("lysozyme", "--data", str(data)).stderr


def test_search_answers_json_with_the_shape_of_the_server(data: Path) -> None:
    result = call("lysozyme", "--data", str(data), "--json", "--facility", "A", "--open")
    answer = json.loads(result.stdout)
    assert answer["hits"][0]["doi"] == "10.5072/1"
    assert answer["total"] == {"value": 1, "relation": "eq"}


def test_search_says_what_is_wrong(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "x", "--data", str(tmp_path / "none")]) == 1
    assert "There is no data folder" in capsys.readouterr().err
    assert run(["search", "x", "--data", str(data), "--year", "soon"]) == 2
    assert "is not a year" in capsys.readouterr().err
    assert run(["search", "x", "--url", "http://127.0.0.1:9"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert run(["search", "x", "--url", "127.0.0.1:9"]) == 1
    assert "write http://" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_port_in_use_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match="another program listens there"):
            check_port("127.0.0.1", port)
        assert run(["serve", "--data", str(data), "--port", str(port)]) == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_told(host: str) -> None:
    with pytest.raises(PortInUse, match="name another with --host"):
        check_port(host, 8080)


def test_addresses_are_ones_that_a_browser_opens() -> None:
    assert address("0.0.0.0", 80) == "http://127.0.0.1:80/"
    assert address("::1", 80) == "http://[::1]:80/"


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_answers_and_ends_on_a_signal(workers: str, data: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "pan_commons", "serve", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *command, "--port", str(port), "--workers", workers, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        assert f"http://127.0.0.1:{port}/" in said
        found = await asyncio.wait_for(answer_of(port), 30)
        assert found["hits"][0]["doi"] == "10.5072/1"
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0


async def test_a_server_over_a_folder_in_which_nothing_is_says_so(tmp_path: Path) -> None:
    """It may have been mistyped."""
    port = str(free_port())
    command = [sys.executable, "-m", "pan_commons", "serve", "--data", str(tmp_path / "new")]
    process = await asyncio.create_subprocess_exec(
        *command, "--port", port, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 30)
    assert said.startswith(f"Nothing is kept in {tmp_path / 'new'} yet")
    assert "--data" in said


async def test_a_server_that_is_newer_than_the_index_says_so_when_it_starts(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "Serving", and answered every question with 409."""
    settings = Settings(data, None, "tantivy", None, as_json=False)
    await check_folder(settings, ServerSettings())
    assert capsys.readouterr().err == ""
    for module in ("fingerprint", "engines.tantivy", "engines.tantivy_generations"):
        monkeypatch.setattr(f"catalogue.{module}.fingerprint", lambda: "0123456789ab")
    await check_folder(settings, ServerSettings())
    assert "Run: pan-commons index rebuild" in capsys.readouterr().err


def test_what_no_process_could_serve_is_told_once(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the processes had ended with a trace, and was started again for ever."""
    (tmp_path / "file").write_text("")
    port = str(free_port())
    workers = ["serve", "--workers", "2", "--port", port, "--data"]
    assert run([*workers, str(tmp_path / "file" / "data")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("pan-commons: ")
    assert told.count("\n") == 1
    monkeypatch.setenv("PAN_COMMONS_OPERATOR_KEY", "short")
    assert run([*workers, str(data)]) == 2
    assert "shorter than 16" in capsys.readouterr().err


async def test_a_client_has_one_allowance_however_many_processes_serve(data: Path) -> None:
    """Fault I08: its connections are spread over them, and its requests are counted together."""
    port, burst = free_port(), 40
    command = [sys.executable, "-m", "pan_commons", "serve", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *(*command, "--port", str(port), "--workers", "2"),
        env={
            **os.environ,
            "PAN_COMMONS_LIMIT_LOOPBACK": "true",
            "PAN_COMMONS_REQUESTS_PER_S": "0.001",
            "PAN_COMMONS_REQUEST_BURST": str(burst),
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            await ready_processes(port, 2)
            seen = [await status_and_process(port, "/api/facilities") for _ in range(3 * burst)]
            told = {await measured_by(port) for _ in range(8)}
    finally:
        # And no process serves on when the one that started it is gone, however that ended.
        process.kill()
        await asyncio.wait_for(process.wait(), 30)
    async with asyncio.timeout(30):
        while await is_served(port):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)
    assert len({served_by for _, served_by in seen}) == 2
    assert [status for status, _ in seen] == [200] * burst + [429] * 2 * burst
    # Whoever is asked tells of all of them.
    assert len({served_by for served_by, _ in told}) == 2
    assert {counted for _, counted in told} == {burst}


async def is_served(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def measured_by(port: int) -> tuple[str, int]:
    """Which process answered, and how many facility lists it says were given."""
    line = 'pan_commons_requests_total{operation="findFacilities",status="200"} '
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as found,
    ):
        (count,) = [one for one in (await found.text()).splitlines() if one.startswith(line)]
        return found.headers["X-Request-Id"][:12], int(float(count.removeprefix(line)))


async def ready_processes(port: int, count: int) -> None:
    """Come back once so many processes answer; nobody's health is limited."""
    ready: set[str] = set()
    while len(ready) < count:
        try:
            status, process = await status_and_process(port, "/health/live")
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
            continue
        ready |= {process} if status == 200 else set()


async def status_and_process(port: int, path: str) -> tuple[int, str]:
    """The status, and which process answered on a connection of its own: the first part of the
    request's number is the process's."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as found,
    ):
        return found.status, found.headers["X-Request-Id"][:12]


async def answer_of(port: int) -> Any:
    """The answer, as soon as the worker processes listen."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/api/search?q=lysozyme") as found:
                    return await found.json()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
