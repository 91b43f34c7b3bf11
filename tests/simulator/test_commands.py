"""``pan-commons simulate`` says where its facilities are, and what is wrong with a wish."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pan_commons import run


def test_it_serves_until_terminated_and_says_where() -> None:
    command = [sys.executable, "-m", "pan_commons", "simulate", "--json"]
    with subprocess.Popen(
        [*command, "--records", "3", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        (facility,) = json.loads(process.stdout.readline())["facilities"]
        with urllib.request.urlopen(facility["api"] + "/Documents/count") as reply:
            assert json.load(reply) == {"count": 3}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_an_unknown_facility_is_wrong_use_and_names_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["simulate", "--facility", "Atlantis"]) == 2
    assert "EuXFEL, FNS, LRL" in capsys.readouterr().err


def test_an_unknown_fault_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--fault", "explode"]) == 2
    assert "no fault 'explode'" in capsys.readouterr().err


def test_a_file_that_is_no_database_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "db.json"
    broken.write_text("[]")
    assert run(["simulate", "--db", str(broken)]) == 2
    assert str(broken) in capsys.readouterr().err


def test_the_list_of_faults_has_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--list-faults"]) == 0
    assert "loop-token" in capsys.readouterr().out
