"""The documents say what is built: guarded faults, rules that exist, settings that work."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import click
import pytest

from harvester.keys import OPTION_KEYS
from pan_commons import front_door
from search_api.routes import ROUTES
from search_api.settings import ServerSettings
from tests.written_commands import commands_in, inline_commands

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mappings", "catalogue", "facility_http", "harvester", "search_api", "simulator")
FAULT = re.compile(r"\b([A-I](?:0[1-9]|1\d|2[0-2]))\b")
RULE = re.compile(r"(?:§|semantics )(\d{1,2}(?:\.\d{1,2})?)")
CITED_FAULT = re.compile(r"[Ff]aults? ((?:[A-I]\d\d(?:, | and |–|-)?)+)")
VARIABLE = re.compile(r"\b(PAN_COMMONS_[A-Z_]+[A-Z]|ELASTICSEARCH_[A-Z_]+[A-Z])\b")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def faults_in_tests() -> set[str]:
    """Numbers that a test names in its name, its docstring or a comment."""
    found: set[str] = set()
    for path in python_files("tests"):
        if path == Path(__file__) or "simulator" in path.parts:  # imitating is not guarding
            continue
        text = path.read_text(encoding="utf-8")
        found |= {number for match in CITED_FAULT.findall(text) for number in FAULT.findall(match)}
        found |= {name.upper() for name in re.findall(r"_([a-i]\d\d)_", text)}
    return found


def faults_in_docs() -> set[str]:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| ([A-I]\d\d) \|", text, re.MULTILINE))


def rules_in_docs() -> set[str]:
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    return set(re.findall(r"§(\d{1,2}(?:\.\d{1,2})?)", text))


def test_every_fault_in_the_docs_is_guarded_by_a_test() -> None:
    assert faults_in_docs() - faults_in_tests() == set()


def test_every_fault_that_a_test_names_is_in_the_docs() -> None:
    assert faults_in_tests() - faults_in_docs() == set()


def test_every_rule_that_is_cited_exists() -> None:
    cited = {
        (rule, path.relative_to(ROOT).as_posix())
        for path in python_files(*ROOMS, "tests", "benchmarks")
        if path != Path(__file__)
        for rule in RULE.findall(path.read_text(encoding="utf-8"))
    }
    known = rules_in_docs()
    assert {(rule, path) for rule, path in cited if rule not in known} == set()


def settings_in_code() -> set[str]:
    used = {f"PAN_COMMONS_{row.name.upper()}" for row in fields(ServerSettings)}
    for path in (*python_files(*ROOMS), *ROOT.glob("pan_commons*.py")):
        used |= set(VARIABLE.findall(path.read_text(encoding="utf-8")))
    return used


def test_every_setting_is_documented_and_nothing_else() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(VARIABLE.findall(page)) == settings_in_code()


def test_every_option_of_a_source_is_documented_and_nothing_else() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page.partition("### Options of a source")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(OPTION_KEYS)


def test_the_servers_settings_are_documented_with_their_defaults() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for row in fields(ServerSettings):
        default = f"`{row.default}`" if row.default != "" else "(empty)"
        line = f"| `PAN_COMMONS_{row.name.upper()}` | {default} | {row.metadata['help']} |"
        assert line in page


def test_the_deployment_sets_nothing_that_nobody_reads() -> None:
    own = {"PAN_COMMONS_VERSION", "PAN_COMMONS_BIND", "PAN_COMMONS_PORT", "PAN_COMMONS_DEMO_PORT",
           "PAN_COMMONS_CONFIG_FOLDER"}  # fmt: skip
    for path in (ROOT / "compose").rglob("*"):
        if path.is_file():
            named = set(VARIABLE.findall(path.read_text(encoding="utf-8")))
            assert named - own - settings_in_code() == set(), path.name


def test_the_changelog_knows_the_version() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"[{version}]" in changelog or "[Unreleased]" in changelog


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/semantics.md",
        "docs/settings.md",
        "docs/portals.md",
    ],
)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


DOCUMENTS = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md",
             *(f"docs/{page}.md" for page in ("settings", "semantics", "crosswalks", "portals")),
             "benchmarks/README.md")  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_that_a_document_names_are_read_by_them(name: str) -> None:
    """Blocks and spans; what README.md shows is carried out in tests/test_demo.py."""
    blocks = [one.words[1:] for one in commands_in(ROOT / name) if one.words[0] == "pan-commons"]
    for words in (*blocks, *inline_commands(ROOT / name)):
        is_read(words)


def is_read(words: Sequence[str]) -> None:
    """Raises what click would say; a command that is only named needs no arguments."""
    if words[-1] in ("--help", "--schema"):
        words = words[:-1]  # These are carried out while they are read.
    if not words:
        return
    command, context = front_door.get_command(click.Context(front_door), words[0]), None
    assert command is not None, words
    rest = list(words[1:])
    while isinstance(command, click.Group) and rest:
        context = click.Context(command)
        command, rest = command.get_command(context, rest[0]), rest[1:]
        assert command is not None, words
    assert command.name is not None
    rest = [{"--engine": "tantivy", "--port": "8080"}[rest[at - 1]] if one == "…" else one
            for at, one in enumerate(rest)]  # fmt: skip
    if rest:
        command.make_context(command.name, rest, parent=context)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_makes_is_in_the_makefile(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    named = {one.words[1] for one in commands_in(ROOT / name) if one.words[0] == "make"}
    named |= set(re.findall(r"`make (\w+)`", (ROOT / name).read_text(encoding="utf-8")))
    assert named - targets == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_addresses_that_a_document_names_are_routes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    served = {path.rstrip("/") for route in ROUTES for path in (route.path, *route.also)}
    named = re.findall(r"`(?:GET |POST )?(/(?:api|health|metrics)[^`?\s]*)", text)
    assert {path for path in named if path not in served} == set()


def tracked_texts() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    return [name for name in listed if not name.endswith((".png", ".txt", ".pem"))]


def test_no_file_keeps_both_sides_of_a_merge() -> None:
    """docs/settings.md showed its readers the markers of one for a day."""
    marker = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
    assert [
        name
        for name in tracked_texts()
        if marker.search((ROOT / name).read_text("utf-8", "replace"))
    ] == []


def test_nothing_tracked_names_a_path_of_some_machine() -> None:
    text_files = tracked_texts()
    home = re.compile(r"/(?:home|Users)/[a-z]+/|/root/")
    text_files.remove("tests/test_docs.py")
    assert [n for n in text_files if home.search((ROOT / n).read_text("utf-8", "replace"))] == []
