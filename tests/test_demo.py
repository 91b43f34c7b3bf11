"""The whole road: one command from nothing to a true answer, in real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harvester.sources import SHIPPED
from pan_commons import run
from simulator.demo import sites
from tests.written_commands import commands_in, pairs_in, pairs_told

DOI = "10.22003/XFEL.EU-DATA-700000-00"
STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo as it runs: where it answers, where its data are, its facilities' processes."""

    url: str
    data: Path
    processes: dict[str, int]

    def get(self, path: str, accept: str = "application/json") -> Any:
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20) as reply:
            body = reply.read().decode()
        return json.loads(body) if accept == "application/json" else body


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that nobody listens on."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    data = tmp_path_factory.mktemp("demo")
    port = free_ports(4)
    command = [sys.executable, "-m", "pan_commons", "demo", "--json", "--data", str(data)]
    command += ["--port", str(port), "--facility-port", str(port + 1)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout if line.startswith('{"url"'))
        said = next(lines)
        yield Demo(said["url"], data, {one["name"]: one["pid"] for one in said["facilities"]})
        # Twice, as who is impatient presses Ctrl-C, and as make passes it on.
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_TIMEOUT_S) == 0
    for left in range(port, port + 4):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", left))


def test_proposal_700000_is_the_first_answer(demo: Demo) -> None:
    answer = demo.get("/api/search?q=lysozyme+SFX")
    hit = answer["hits"][0]
    assert (hit["type"], hit["doi"]) == ("Document", DOI)
    assert len(hit["techniques"]) == 5
    assert all(one["panetId"].startswith("http://purl.org/") for one in hit["techniques"])
    assert "Lysozyme" in {sample["name"] for sample in hit["samples"]}
    assert 0 < hit["score"] < 1


def test_a_sentence_finds_it_too(demo: Demo) -> None:
    sentence = quote("serial femtosecond crystallography of lysozyme")
    answer = demo.get(f"/api/search?q={sentence}")
    assert answer["hits"][0]["doi"] == DOI
    assert not answer["relaxed"]


def test_it_is_open_for_a_reason_and_nothing_claims_since_when(demo: Demo) -> None:
    """§2.3: the embargo was to end on 2018-01-01; the record does not say when it opened."""
    access = demo.get("/api/search?q=lysozyme+SFX")["hits"][0]["access"]
    assert access["state"] == "open"
    assert "lists only open proposals" in access["reason"]
    assert "2018-01-01 (local time)" in access["reason"]
    assert access["open_from"] is None
    assert "open_since" not in access


def test_the_portals_form_has_the_derived_dataset(demo: Demo) -> None:
    wanted = quote(json.dumps({"include": [{"relation": "datasets"}]}))
    document = demo.get(f"/api/Documents/{quote(DOI, safe='')}?filter={wanted}")
    (dataset,) = document["datasets"]
    assert dataset["pid"] == DOI
    assert document["type"] == "proposal"


def test_a_proposal_that_two_facilities_hold_is_one_hit_that_names_both(demo: Demo) -> None:
    doi = f"10.5072/FNS-{sites.SHARED[0]:05d}"
    answer = demo.get("/api/search?q=" + quote(f'"{doi}"'))
    (hit,) = [hit for hit in answer["hits"] if hit["doi"] == doi]
    assert sorted(hit["facilities"]) == ["FNS", "LRL"]


def test_the_page_is_for_those_who_accept_html_and_the_status_object_for_others(
    demo: Demo,
) -> None:
    page = demo.get("/?q=lysozyme+SFX", accept="text/html")
    assert "Example Data" in page
    assert "PaNET" in page
    status = demo.get("/")
    assert len(status["data_providers"]) == 3


README = Path(__file__).parents[1] / "README.md"
LONG = ("serve", "daemon")
"""These are what the demo itself runs."""


def test_what_the_readme_asks_the_demo_is_answered_as_it_shows(demo: Demo) -> None:
    asked = [one for one in commands_in(README) if one.words[0] == "curl"]
    assert len(asked) == 3
    for one in asked:
        words = [word.replace("http://127.0.0.1:8080", demo.url) for word in one.words]
        told = subprocess.run([*words, "-sSf"], capture_output=True, text=True, check=True).stdout
        if one.answer:
            found = pairs_in(json.loads(told))
            assert {pair for pair in pairs_told(one.answer) if pair not in found} == set()
            assert len(pairs_told(one.answer)) >= 9
        elif "application/x-ndjson" in one.words[2]:
            assert json.loads(told.splitlines()[-1])["event"] == "end"
        else:
            assert {one["name"] for one in json.loads(told)} == {"EuXFEL", "FNS", "LRL"}


def test_the_commands_of_the_readme_do_what_they_say(
    demo: Demo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the demo's facilities for the real ones: its own source of the same name, and one of
    its Search APIs for that of My Lab, which is no demo and goes into another folder."""
    api = next(one["url"] for one in sources_of(demo) if one["source"] == "fns-api")
    monkeypatch.setenv("PAN_COMMONS_DATA", str(demo.data))
    done: list[str] = []
    for one in commands_in(README):
        if one.words[0] == "export":
            name, _, value = one.words[1].partition("=")
            if name != "PATH":
                monkeypatch.setenv(name, value)
        if one.words[0] != "pan-commons" or one.words[1] in LONG:
            continue
        words = list(one.words[1:])
        if "https://search.mylab.example/api" in words:
            words[words.index("https://search.mylab.example/api")] = api
            words.append("--internal")
            monkeypatch.setenv("PAN_COMMONS_DATA", str(tmp_path / "own"))
            (tmp_path / "own.toml").touch()  # The shipped file has facilities far away.
            monkeypatch.setenv("PAN_COMMONS_CONFIG", str(tmp_path / "own.toml"))
        capsys.readouterr()
        assert run(words) == 0, (words, capsys.readouterr())
        done.append(" ".join(words[:2]))
        assert "MyLab" in capsys.readouterr().out or "--live" not in words
    assert done == [
        "sources list", "sources check", "harvest xfel-oai", "search SAXS lysozyme", "status",
        "sources add", "sources check", "search SAXS lysozyme",
    ]  # fmt: skip


def sources_of(demo: Demo) -> list[dict[str, Any]]:
    command = ["sources", "list", "--json", "--data", str(demo.data)]
    told = subprocess.run(
        [sys.executable, "-m", "pan_commons", *command], capture_output=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(told.stdout)["sources"]
    return found


def test_the_store_refuses_real_sources(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """§10.5: whether or not an address to write to is configured, before anybody is asked."""
    command = ["harvest", "xfel-oai", "--data", str(demo.data), "--config", str(SHIPPED)]
    assert run(command) == 2
    assert "PAN_COMMONS_CONTACT" in capsys.readouterr().err
    monkeypatch.setenv("PAN_COMMONS_CONTACT", "someone@example.org")
    assert run(command) == 1
    assert "demo data" in capsys.readouterr().err


def test_a_facility_that_falls_silent_is_named_and_its_records_stay(
    demo: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    before = demo.get("/api/search?facility=FNS&limit=1")["total"]["value"]
    os.kill(demo.processes["Fjordlund Neutron Source (invented)"], signal.SIGKILL)
    assert run(["harvest", "fns-api", "--json", "--data", str(demo.data)]) in (1, 3)
    capsys.readouterr()
    silent = {one["name"]: one["silent_since"] for one in demo.get("/api/facilities")}
    assert silent["FNS"] is not None
    assert silent["LRL"] is None
    assert demo.get("/api/search?facility=FNS&limit=1")["total"]["value"] == before > 0
