"""The deployment, as far as it can be held true without Docker: what it starts, asks and copies."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pan_commons import front_door
from search_api.routes import ROUTES

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
SERVICES: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
OURS = {name: one for name, one in SERVICES.items() if name != "elasticsearch"}
TAKEN = re.compile(r"\$\{(\w+):-([^}]*)\}")
COPIED = re.compile(r"^COPY (?!--from)(.+)$", re.MULTILINE)


def read_by_a_command(words: list[str]) -> None:
    """Raises what click would say of it."""
    command = front_door.get_command(click.Context(front_door), words[0])
    assert command is not None, words
    command.make_context(words[0], words[1:])


def dockerfile() -> str:
    return (COMPOSE / "Dockerfile").read_text()


@pytest.mark.parametrize("name", OURS)
def test_each_service_starts_with_a_command_that_there_is(name: str) -> None:
    read_by_a_command(list(OURS[name]["command"]))
    assert OURS[name]["read_only"], "nothing but volumes is written"
    assert OURS[name]["cap_drop"] == ["ALL"]


def addresses(words: list[str]) -> list[str]:
    return re.findall(r"https?://[^/\s']+(/[^'\s?]*)", " ".join(words))


@pytest.mark.parametrize("name", OURS)
def test_each_health_check_asks_what_there_is(name: str) -> None:
    how, *words = OURS[name]["healthcheck"]["test"]
    assert how == "CMD"
    if words[0] == "pan-commons":
        read_by_a_command(words[1:])
        return
    assert words[:2] == ["python", "-c"]
    compile(words[2], name, "exec")
    always = {route.path for route in ROUTES if route.always}
    assert set(addresses(words)) <= always


def test_the_daemon_is_healthy_only_while_it_is_at_work() -> None:
    assert "--expect-daemon" in SERVICES["daemon"]["healthcheck"]["test"]


def test_the_example_of_settings_has_all_of_them_with_their_defaults() -> None:
    taken = dict(TAKEN.findall((COMPOSE / "compose.yaml").read_text()))
    lines = re.findall(r"^#(\w+)=(.*)$", (COMPOSE / "env.example").read_text(), re.MULTILINE)
    assert dict(lines) == taken


def test_data_are_on_volumes_and_nowhere_else() -> None:
    declared = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["volumes"]
    named = {mount.split(":")[0] for one in SERVICES.values() for mount in one["volumes"]}
    assert {name for name in named if not name.startswith(("$", "."))} == set(declared)
    (folder,) = re.findall(r"PAN_COMMONS_DATA=(\S+)", dockerfile())
    assert f"VOLUME {folder}" in dockerfile()
    for one in OURS.values():
        assert any(mount.split(":")[1] == folder for mount in one["volumes"])
    words = list(SERVICES["demo"]["command"])
    assert words[words.index("--data") + 1].startswith(folder + "/")


def test_only_this_machine_is_served_until_somebody_says_otherwise() -> None:
    for name in ("api", "demo"):
        (port,) = SERVICES[name]["ports"]
        assert TAKEN.findall(port)[0] == ("PAN_COMMONS_BIND", "127.0.0.1")
    assert "ports" not in SERVICES["elasticsearch"]


def test_the_server_speaks_the_language_of_the_client() -> None:
    """The 8.x client speaks to 8.x servers."""
    (client,) = re.findall(
        r"^elasticsearch==(\d+)\.", (ROOT / "requirements/run.txt").read_text(), re.M
    )
    assert re.fullmatch(rf".*:{client}\.\d+\.\d+", SERVICES["elasticsearch"]["image"])


def copied() -> Iterator[str]:
    for line in COPIED.findall(dockerfile()):
        *origins, _ = line.split()
        yield from origins


def test_what_the_image_copies_is_enough_to_build_and_run(tmp_path: Path) -> None:
    for name in copied():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"]
    made = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        inside = set(file.namelist())
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for room in rooms["targets"]["wheel"]["only-include"]:
        for path in [ROOT / room] if room.endswith(".py") else (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in inside


def test_the_image_has_a_python_that_will_do() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    least = tuple(map(int, needed.removeprefix(">=").split(".")))
    found = re.findall(r"^FROM python:(\d+)\.(\d+)-", dockerfile(), re.MULTILINE)
    assert len(set(found)) == 1, "the environment is moved from one stage to the other"
    assert tuple(map(int, found[0])) >= least


def test_neither_secrets_nor_what_was_built_here_go_to_the_builder() -> None:
    kept_out = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".demo", ".elasticsearch", "compose/.env", "**/__pycache__"} <= set(
        kept_out
    )
    assert not [name for name in copied() if name in kept_out]


@pytest.mark.parametrize("unit", ["api", "daemon"])
def test_the_units_start_what_there_is(unit: str) -> None:
    text = (COMPOSE / "systemd" / f"pan-commons-{unit}.service").read_text()
    (started,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    program, *words = shlex.split(started)
    assert Path(program).name == "pan-commons"
    read_by_a_command(words)
    # Both see one folder, and so the one user that it belongs to.
    for line in ("DynamicUser=yes", "User=pan-commons", "StateDirectory=pan-commons"):
        assert f"\n{line}\n" in text
    assert "\nEnvironmentFile=-/etc/pan-commons/environment\n" in text
