"""The command line's front door: promised names, one sentence for what goes wrong, exit codes."""

from __future__ import annotations

import inspect
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import pan_commons
from catalogue.store import Store
from pan_commons import COMMANDS, OF_COMMANDS, front_door, run
from pan_commons_terminal import configuration_of
from simulator.demo import configuration

PROMISED = (
    "demo simulate sources harvest runs quarantine index map technique search serve daemon status "
    "forget"
)

FAMILIES = ("sources", "runs", "quarantine", "index", "technique")


def every_command(group: click.Group, context: click.Context) -> list[tuple[str, click.Command]]:
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", one) for inner, one in every_command(command, context)]
        else:
            found.append((name, command))
    return found


def test_the_promised_commands_are_there() -> None:
    assert set(PROMISED.split()) == set(COMMANDS)


def test_every_command_takes_json_and_teaches_in_its_help() -> None:
    context = click.Context(front_door)
    for name, command in every_command(front_door, context):
        options = {option for one in command.params for option in one.opts}
        assert "--json" in options, name
        assert command.help, name
        for one in command.params:
            assert not isinstance(one, click.Option) or one.help, (name, one.name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_of_commands_says_in_whole_sentences_what_they_are_for(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([family, "--help"]) == 0
    told = capsys.readouterr().out
    assert "..." not in told.partition("Commands:")[2]
    context = click.Context(front_door)
    group = front_door.get_command(context, family)
    assert isinstance(group, click.Group)
    said = " ".join(told.split())
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert " ".join(command.get_short_help_str(1_000).split()) in said


def test_the_examples_of_every_command_are_read_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("store.jsonl").touch()
    context = click.Context(front_door)
    for name, command in every_command(front_door, context):
        for words in examples_of(command, name):
            start = ["pan-commons", *name.split()]
            assert words[: len(start)] == start
            command.make_context(name, words[len(start) :], parent=context)
    for family in FAMILIES:
        group = front_door.get_command(context, family)
        assert isinstance(group, click.Group)
        for words in examples_of(group, family):
            assert words[:2] == ["pan-commons", family]
            inner = group.get_command(context, words[2])
            assert inner is not None
            inner.make_context(words[2], words[3:], parent=context)


def examples_of(command: click.Command, name: str) -> list[list[str]]:
    _, _, told = inspect.cleandoc(command.help or "").partition("\b\nExample:\n")
    examples = told.replace("\\\n", " ").splitlines()
    assert examples, name
    return [shlex.split(example) for example in examples]


def test_commands_are_listed_without_loading_a_room() -> None:
    code = (
        "import sys; from pan_commons import run; assert run(['--help']) == 0;"
        "sys.exit(bool({'aiohttp', 'anyio', 'harvester', 'mappings'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_a_mistyped_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["serach"]) == 2
    assert "Did you mean search?" in capsys.readouterr().err


def test_an_option_before_the_command_is_told_where_it_belongs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for option in OF_COMMANDS:
        assert run([option, "x", "status"]) == 2
        assert f"pan-commons status {option} " in " ".join(capsys.readouterr().err.split())
    assert run(["--colour", "status"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_in_the_demos_folder_its_own_facilities_are_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configuration_of(tmp_path, {}) is None
    (tmp_path / "demo.toml").write_text(configuration(first_port=8091))
    assert configuration_of(tmp_path, {"PAN_COMMONS_CONFIG": "own.toml"}) == Path("own.toml")
    assert run(["sources", "list", "--json", "--data", str(tmp_path)]) == 0
    names = {one["source"] for one in json.loads(capsys.readouterr().out)["sources"]}
    assert "lrl-oai" in names
    assert "esrf-oai" not in names


@pytest.mark.parametrize("words", ["status", "search x", "serve", "harvest", "runs list"])
def test_a_data_folder_that_is_a_file_is_wrong_use(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``status`` said "[Errno 20]", others that nothing was harvested into it yet."""
    (tmp_path / "store.sqlite").touch()
    assert run([*words.split(), "--data", str(tmp_path / "store.sqlite")]) == 2
    assert "store.sqlite is a file; name a folder" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "1.5", "last"])
def test_no_number_of_a_run_ends_in_a_trace(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that SQLite cannot hold did."""
    Store.open(tmp_path).close()
    for command in ("show", "stop", "approve", "acknowledge"):
        assert run(["runs", command, "--data", str(tmp_path), "--", number]) == 2
        assert "RUN" in capsys.readouterr().err


def test_what_the_system_refuses_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store.open(tmp_path / "data").close()
    (tmp_path / "file").touch()
    for words, code, told in (
        (["index", "export", str(tmp_path / "no" / "x")], 1, "No such file or directory"),
        (["index", "import", str(tmp_path)], 2, "is a directory"),
        (["daemon", "--data", str(tmp_path / "file" / "data")], 1, "Not a directory"),
    ):
        assert (
            run([*words, *([] if "--data" in words else ["--data", str(tmp_path / "data")])])
            == code
        )
        said = " ".join(capsys.readouterr().err.split())
        assert told in said
        assert "Errno" not in said


def test_what_is_foreseen_is_one_sentence_and_never_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "x", "--data", str(tmp_path / "nothing")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pan-commons: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value", "arguments", "told"),
    [
        ("PAN_COMMONS_LOG", "loud", ["sources", "list"], "it can be DEBUG, INFO, WARNING, ERROR"),
        ("PAN_COMMONS_PANET", "/nowhere", ["technique", "show", "SAXS"], "technique import"),
        ("PAN_COMMONS_PANET", "/nowhere", ["search", "SAXS"], "technique import"),
        ("PAN_COMMONS_PANET", __file__, ["technique", "show", "SAXS"], "no table of PaNET's terms"),
    ],
)
def test_a_wrong_variable_is_named_and_never_a_trace(
    variable: str, value: str, arguments: list[str], told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pan_commons", *arguments],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 2)
    assert variable in done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_with_json_errors_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "x", "--json", "--data", str(tmp_path / "nothing")]) == 1
    assert set(json.loads(capsys.readouterr().out)["error"]) == {"name", "message"}


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (["serach"], 2, "UsageError"),
        (["search", "--limit", "many"], 2, "BadParameter"),
        (["runs", "show"], 2, "MissingParameter"),
        (["runs", "show", "1"], 1, "NothingKept"),
        (["index", "status"], 1, "NothingKept"),
        (["harvest", "nobody"], 2, "NoSuchSource"),
        (["technique", "show", "zzz"], 1, "UnknownTechnique"),
        (["forget", "a name"], 130, "Interrupted"),
    ],
)
def test_with_json_every_error_is_one_line_of_json_and_has_its_exit_code(
    arguments: list[str],
    code: int,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run([*arguments, "--json", *([] if code == 2 else ["--data", str(tmp_path)])]) == code
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert json.loads(told.out)["error"]["name"] == name
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["sources", "list"],
        ["runs", "list"],
        ["quarantine", "list"],
        ["quarantine", "replay"],
        ["status"],
        ["simulate", "--list-faults"],
        ["map", "--schema"],
        ["technique", "link", "nothing of the kind"],
    ],
)
def test_with_json_an_answer_is_json_also_where_there_is_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json", "--data", str(tmp_path)]) == 0
    assert "error" not in json.loads(capsys.readouterr().out)


def test_an_error_of_ours_inside_a_group_is_found() -> None:
    from catalogue.errors import NotFound

    mine = NotFound("gone")
    group = ExceptionGroup("tasks", [ValueError("no"), ExceptionGroup("inner", [mine])])
    assert pan_commons.first_of_ours(group) is mine
    assert pan_commons.first_of_ours(ValueError("no")) is None


def test_the_light_path_loads_no_server() -> None:
    code = (
        "import sys; from pan_commons import run; run(['technique', 'show', 'SAXS', '--json']);"
        "sys.exit('aiohttp' in sys.modules or 'tantivy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_who_only_looks_does_not_wait_for_what_harvests(tmp_path: Path) -> None:
    """`sources list` had loaded crosswalks and an HTTP client: most of its second and a half."""
    (tmp_path / "demo.toml").write_text(configuration(first_port=8091))
    code = (
        "import sys; from pan_commons import run;"
        "codes = [run([*line.split(), '--json', '--data', sys.argv[1]]) for line in sys.argv[2:]];"
        "sys.exit(any(codes) or 'aiohttp' in sys.modules or 'harvester.run' in sys.modules)"
    )
    commands = ("sources list", "status", "runs list", "quarantine list")
    done = subprocess.run([sys.executable, "-c", code, tmp_path, *commands], capture_output=True)
    assert done.returncode == 0


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pan-commons ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_answer_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    """Fault H09: also when the disk that the answer was to go to is full."""
    command = [str(Path(sys.executable).with_name("pan-commons")), "sources", "list", *more]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*command, "--data", str(tmp_path)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("pan-commons: ")
    assert "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr
