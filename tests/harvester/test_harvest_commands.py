"""The operator's commands, against facilities on loopback."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from catalogue.store import Store
from harvester import listings
from harvester.harvest_command import Wanted, approve, carry_out
from harvester.keys import ConfigurationError
from harvester.place import Order
from harvester.removal import remove
from harvester.reports import stamp
from pan_commons import run
from pan_commons_terminal import Settings
from simulator import Facility, running
from tests.harvester.harvest_world import oai_spec


def settings_for(tmp_path: Path, config: str) -> Settings:
    path = tmp_path / "sources.toml"
    path.write_text(config, encoding="utf-8")
    return Settings(tmp_path / "data", path, "tantivy", None, as_json=True)


FACILITY = """
[facilities.{name}]
title = "Facility {name}"
provider = "http://127.0.0.1/{name}"
demo = true
"""
SOURCE = """
[sources.{name}-oai]
facility = "{name}"
protocol = "oai-pmh"
url = "{url}"
format = "oai_datacite"
internal = true
options = {{ retries = 0 }}
"""


@asynccontextmanager
async def two_facilities(tmp_path: Path) -> AsyncIterator[tuple[Settings, Facility, Facility]]:
    async with running(oai_spec(25)) as one, running(oai_spec(12)) as two:
        config = "".join(
            FACILITY.format(name=name) + SOURCE.format(name=name, url=endpoint.oai_url)
            for name, endpoint in (("ONE", one), ("TWO", two))
        )
        yield settings_for(tmp_path, config), one, two


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


async def test_harvest_brings_all_sources_in_and_indexes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        code = await carry_out(settings, Wanted((), Order()))
        report = answer(capsys)
        assert code == 0
        assert [run["counts"]["new"] for run in report["runs"]] == [25, 12]
        assert report["index"]["lag"] == 0
        assert report["index"]["position"] > 0
        await listings.show_status(settings)
        status = answer(capsys)
        assert status["lag"] == 0
        assert {one["source"]: one["state"] for one in status["sources"]} == {
            "ONE-oai": "ok",
            "TWO-oai": "ok",
        }


async def test_an_index_that_cannot_be_opened_is_not_said_to_be_no_changes_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        away = replace(
            settings,
            engine="elasticsearch",
            elasticsearch_url="http://127.0.0.1:9",
            as_json=False,
        )
        assert await carry_out(away, Wanted(("ONE",), Order())) == 3
        assert "The index is not up to date: " in capsys.readouterr().err
        assert await carry_out(replace(away, as_json=True), Wanted(("ONE",), Order())) == 3
        assert answer(capsys)["index"]["lag"] is None


async def test_one_facility_that_fails_does_not_stop_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault H03; done in part is exit code 3."""
    async with two_facilities(tmp_path) as (settings, one, _):
        one.faults.set("error:404")
        code = await carry_out(settings, Wanted((), Order()))
        runs = {run["source"]: run for run in answer(capsys)["runs"]}
        assert code == 3
        assert runs["ONE-oai"]["state"] == "failed"
        assert "404" in runs["ONE-oai"]["details"]["error"]
        assert runs["TWO-oai"]["state"] == "ok"
        code = await carry_out(settings, Wanted(("ONE-oai",), Order()))
        assert code == 1


async def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        code = await carry_out(settings, Wanted(("ONE-oai",), Order(), dry_run=True))
        (one,) = answer(capsys)["dry_run"]
        assert code == 0
        assert (one["received"], one["mapped"], one["entities"]["Document"]) == (25, 25, 25)
        listings.list_runs(settings, None, 10)
        assert answer(capsys) == {"runs": []}


async def test_selecting_a_set_dates_and_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from datetime import UTC, datetime

    async with two_facilities(tmp_path) as (settings, _, _):
        received = []
        for order in (
            Order(record="oai:test:0004"),
            Order(set="odd"),
            Order(start=datetime(2024, 1, 2, tzinfo=UTC), end=datetime(2024, 1, 2, 12, tzinfo=UTC)),
        ):
            assert await carry_out(settings, Wanted(("ONE-oai",), order)) == 0
            (run,) = answer(capsys)["runs"]
            received.append(run["counts"]["received"])
            assert run["counts"]["deleted"] == 0
        assert received == [1, 12, 13]


async def test_an_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        with pytest.raises(ConfigurationError, match="did you mean 'ONE-oai'"):
            await carry_out(settings, Wanted(("ONE-oia",), Order()))


async def test_a_facility_all_of_whose_sources_are_disabled_is_not_said_to_be_unknown(
    tmp_path: Path,
) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        assert settings.config is not None
        text = settings.config.read_text(encoding="utf-8")
        off = text.replace("[sources.ONE-oai]", "[sources.ONE-oai]\nenabled = false")
        settings.config.write_text(off, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="ONE has no source that is enabled"):
            await carry_out(settings, Wanted(("ONE",), Order()))
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 0


async def test_a_real_source_wants_to_know_who_asks(tmp_path: Path) -> None:
    """Semantics 10.5: not one request before a contact address is configured."""
    async with running(oai_spec(3)) as endpoint:
        config = FACILITY + SOURCE
        config = config.format(name="REAL", url=endpoint.oai_url).replace("demo = true", "")
        settings = settings_for(tmp_path, config)
        with pytest.raises(ConfigurationError, match="PAN_COMMONS_CONTACT"):
            await carry_out(settings, Wanted((), Order()))
        assert not endpoint.requests


async def test_what_was_cut_short_is_due_and_not_put_off_by_the_schedule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon goes on with it at once; status had named the schedule's next time."""
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
        with Store.open(settings.data) as store:
            now = datetime.now(UTC)
            run = store.begin_run("ONE-oai", kind="harvest", holder="test", now=now)
            store.finish_run(run, "stopped", "shutdown", now)
        capsys.readouterr()
        await listings.show_status(settings)
        shown = {one["source"]: one["next_run_at"] for one in answer(capsys)["sources"]}
        assert shown["ONE-oai"] <= stamp(datetime.now(UTC)) < shown["TWO-oai"]


async def test_held_deletions_wait_for_approval_and_approval_is_idempotent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault H05."""
    async with two_facilities(tmp_path) as (settings, one, _):
        await carry_out(settings, Wanted(("ONE-oai",), Order()))
        capsys.readouterr()
        for number in range(20):
            one.records.delete(f"oai:test:{number:04}", one.clock())
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 3
        (held,) = answer(capsys)["runs"]
        assert held["state"] == "held"
        assert "20 of 25" in held["details"]["held"]
        assert held["counts"]["deleted"] == 0
        await listings.show_status(settings)
        shown = {one["source"]: one["waiting"] for one in answer(capsys)["sources"]}
        reason = held["details"]["held"]
        assert shown == {"ONE-oai": {"run": held["run"], "reason": reason}, "TWO-oai": None}
        people = replace(settings, as_json=False)
        listings.show_run(people, held["run"])
        assert f"pan-commons runs approve {held['run']}" in capsys.readouterr().out
        assert await approve(settings, held["run"]) == 0
        (run,) = answer(capsys)["runs"]
        listings.show_run(people, held["run"])
        assert f"approved by run {run['run']}" in capsys.readouterr().out
        assert (run["state"], run["counts"]["deleted"]) == ("ok", 20)
        await listings.show_status(settings)
        assert not any(one["waiting"] for one in answer(capsys)["sources"])
        assert await approve(settings, held["run"]) == 0
        assert answer(capsys)["run"] == run["run"]
        with pytest.raises(ConfigurationError, match="not held"):
            await approve(settings, run["run"])


async def test_an_approval_that_comes_too_late_lets_nothing_else_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault H05: what was shown came back, and by now as many others are gone."""
    async with two_facilities(tmp_path) as (settings, one, _):
        wanted = Wanted(("ONE-oai",), Order())
        await carry_out(settings, wanted)
        gone = [one.records.get(f"oai:test:{number:04}") for number in range(15)]
        for record in gone:
            one.records.delete(record.identifier, one.clock())
        assert await carry_out(settings, wanted) == 3
        capsys.readouterr()
        assert await carry_out(settings, Wanted(("ONE-oai",), Order(record="oai:test:0020"))) == 0
        for record in gone:
            one.records.put(record, one.clock())
        capsys.readouterr()
        assert await carry_out(settings, wanted) == 0
        (settled,) = answer(capsys)["runs"]
        for number in range(10, 25):
            one.records.delete(f"oai:test:{number:04}", one.clock())
        with pytest.raises(ConfigurationError, match=f"run {settled['run']} found nothing to"):
            await approve(settings, settled["run"] - 2)
        listings.show_run(replace(settings, as_json=False), settled["run"] - 2)
        assert f"run {settled['run']} found nothing to ask about" in capsys.readouterr().out
        with Store.open(settings.data, read_only=True) as store:
            assert len(store.live_identifiers("ONE-oai", None, 100)) == 25


async def test_removing_a_source_leaves_tombstones_and_is_idempotent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault H06."""
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
        capsys.readouterr()
        report = await remove(settings, "TWO-oai", False)
        assert report["deleted"] == 12
        again = await remove(settings, "TWO-oai", False)
        assert (again["already_removed"], again["deleted"]) == (True, 0)
        await listings.show_status(settings)
        status = answer(capsys)
        assert [one["source"] for one in status["sources"]] == ["ONE-oai"]
        assert 0 < status["space"]["used_bytes"] < status["space"]["free_bytes"]
        with pytest.raises(ConfigurationError, match="no source 'TWO-oai'"):
            await carry_out(settings, Wanted(("TWO-oai",), Order()))


async def test_what_is_left_of_a_source_that_has_another_name_now_is_shown_and_can_be_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault H06: nobody asks for these records any more, so that one that is deleted at the
    facility stays for good; `sources remove` knew no such source, and status did not show it."""
    async with two_facilities(tmp_path) as (settings, one, _):
        await carry_out(settings, Wanted((), Order()))
        assert settings.config is not None
        text = settings.config.read_text(encoding="utf-8")
        settings.config.write_text(text.replace("ONE-oai", "first-oai"), encoding="utf-8")
        await carry_out(settings, Wanted((), Order()))
        one.records.delete("oai:test:0020", one.clock())
        await carry_out(settings, Wanted((), Order()))
        capsys.readouterr()
        await listings.show_status(settings)
        assert answer(capsys)["unlisted"] == {"ONE-oai": 25}
        await listings.show_status(replace(settings, as_json=False))
        assert "25 records are left of ONE-oai" in capsys.readouterr().err
        with Store.open(settings.data) as store:
            assert store.count("Document") == 25
            report = await remove(settings, "ONE-oai", False)
            assert (report["already_removed"], report["deleted"]) == (False, 25)
            assert store.count("Document") == 24
        await listings.show_status(settings)
        assert answer(capsys)["unlisted"] == {}
        with pytest.raises(ConfigurationError, match="no source 'ONE-oai'"):
            await remove(settings, "ONE-oai", False)


async def test_what_a_removal_takes_away_is_not_found_any_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a daemon the index showed it until the next harvest."""
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
        folder = ["--data", str(settings.data), "--config", str(settings.config), "--json"]
        capsys.readouterr()
        words = ["sources", "remove", "ONE-oai", *folder]
        assert await anyio.to_thread.run_sync(run, words) == 0
        removed = answer(capsys)
        assert (removed["deleted"], removed["index"]) == (25, "up to date")
        await listings.show_status(settings)
        assert answer(capsys)["lag"] == 0


def run_command(settings: Settings, *arguments: str) -> tuple[int, str]:
    """A command through the front door, as a person types it."""
    from click.testing import CliRunner

    from pan_commons import front_door

    common = ["--data", str(settings.data), "--config", str(settings.config), "--json"]
    result = CliRunner().invoke(front_door, [*arguments, *common])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--record", "oai:x:1", "--from", "2024-01-01"), "leave out --from"),
        (("--record", "oai:x:1", "--until", "2024-01-01"), "leave out --from"),
        (("--record", " "), "--record is empty"),
        (("--set", ""), "--set is empty"),
        (("--full", "--set", "odd"), "--full is everything"),
        (("--from", "2024-01-02", "--until", "2024-01-01"), "--from is after --until"),
    ],
)
def test_flags_that_contradict_each_other_are_wrong_use(
    tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    """Fault B12: none is left out in silence, and none is sent empty."""
    from click.testing import CliRunner

    from pan_commons import front_door

    data = ["--data", str(tmp_path / "data")]
    result = CliRunner().invoke(front_door, ["harvest", "esrf-oai", *flags, *data])
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "data").exists()


async def test_a_real_source_is_not_added_to_a_folder_of_demo_data(tmp_path: Path) -> None:
    """Else no command would work there until it is removed (semantics 10.5)."""
    import anyio

    from catalogue.errors import MixedData

    async with two_facilities(tmp_path) as (settings, _, _):
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 0
        new = ["--facility", "NEW", "--title", "New", "--provider", "https://x.example/api"]
        new += ["--protocol", "oai-pmh", "--url", "https://x.example/oai", "--format", "oai_dc"]
        with pytest.raises(MixedData, match="holds demo data"):
            await anyio.to_thread.run_sync(
                lambda: run_command(settings, "sources", "add", "real", *new)
            )
        assert not (settings.data / "sources.toml").exists()


async def test_sources_are_added_checked_and_shown(tmp_path: Path) -> None:
    """The endpoint's answers tell what is wrong with a source before it is harvested."""
    import anyio

    async with running(oai_spec(25)) as endpoint:
        settings = settings_for(tmp_path, FACILITY.format(name="ONE"))

        async def command(*arguments: str) -> tuple[int, Any]:
            code, out = await anyio.to_thread.run_sync(lambda: run_command(settings, *arguments))
            return code, json.loads(out) if out.startswith("{") else out

        added = ("--url", endpoint.oai_url, "--facility", "ONE", "--protocol", "oai-pmh")
        assert settings.config is not None
        before = settings.config.read_bytes()
        code, answered = await command(
            "sources", "add", "new", *added, "--format", "oai_dc", "--internal"
        )
        assert (code, answered["added"]) == (0, True)
        assert settings.config.read_bytes() == before
        code, checked = await command("sources", "check", "new")
        assert (code, checked["problems"]) == (0, [])
        assert checked["findings"]["records"] == 25
        await command("sources", "add", "bad", *added, "--format", "oai_datacit", "--internal")
        code, checked = await command("sources", "check", "bad")
        assert code == 1
        assert "did you mean 'oai_datacite'" in checked["problems"][0]
        code, shown = await command("sources", "show", "new")
        assert (code, shown["memory"]["check"]["deletions"]) == (0, "no")
        code, listed = await command("sources", "list")
        assert [one["source"] for one in listed["sources"]] == ["new", "bad"]


async def test_what_is_known_of_a_source_is_acknowledged_by_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault B20; idempotent, and undone."""
    async with two_facilities(tmp_path) as (settings, one, _):
        one.faults.set("size:400")
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 3
        (run,) = answer(capsys)["runs"]
        number = str(run["run"])
        known = {"list_size": 1, "the list of identifiers ended early: incomplete": 1}
        for _ in range(2):
            code, out = run_command(settings, "runs", "acknowledge", number)
            assert (code, json.loads(out)["known"]) == (0, known)
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 0
        capsys.readouterr()
        code, out = run_command(settings, "runs", "acknowledge", number, "--undo")
        assert (code, json.loads(out)["known"]) == (0, {})
        with pytest.raises(ConfigurationError, match="nothing to acknowledge"):
            run_command(settings, "runs", "acknowledge", str(run["run"] + 1))


async def replay(settings: Settings, source: str | None = None, *, dry_run: bool = False) -> int:
    """``quarantine replay``, which runs an event loop of its own."""
    work = partial(listings.replay_quarantine, settings, source, dry_run=dry_run)
    return await anyio.to_thread.run_sync(work)


async def test_quarantine_is_listed_shown_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two_facilities(tmp_path) as (settings, one, _):
        one.faults.set("missing-metadata:5@ListRecords")
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 3
        capsys.readouterr()
        listings.list_quarantine(settings, "ONE-oai", 100)
        refused = answer(capsys)["quarantine"]
        assert refused
        listings.show_quarantined(settings, "ONE-oai", refused[0]["identifier"])
        assert answer(capsys)["identifier"] == refused[0]["identifier"]
        code = await replay(settings)
        assert (code, answer(capsys)["kept"]) == (1, len(refused)), "nothing there to map"
        one.faults.clear()
        assert await carry_out(settings, Wanted(("ONE-oai",), Order(full=True))) == 0
        capsys.readouterr()
        listings.list_quarantine(settings, None, 100)
        assert answer(capsys) == {"quarantine": []}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_quarantine_is_replayed_as_the_configuration_reads_it_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    """Fault B22: a format was named wrongly. What waits is read again as the mended file says,
    before any other command has told the store of it."""
    async with running(oai_spec(25)) as endpoint:
        right = FACILITY.format(name="ONE") + SOURCE.format(name="ONE", url=endpoint.oai_url)
        wrong = right.replace("{ retries", '{ crosswalk = "oai_dc", retries')
        settings = settings_for(tmp_path, wrong)
        assert await carry_out(settings, Wanted(("ONE-oai",), Order())) == 1
        capsys.readouterr()
        code = await replay(settings, dry_run=dry_run)
        assert (code, answer(capsys)["mapped"]) == (1, 0)
        assert settings.config is not None
        settings.config.write_text(right, encoding="utf-8")
        code = await replay(settings, "ONE-oai", dry_run=dry_run)
        assert (code, answer(capsys)["mapped"]) == (0, 25)
        listings.list_quarantine(settings, None, 100)
        assert len(answer(capsys)["quarantine"]) == (25 if dry_run else 0)
        if not dry_run:
            await listings.show_status(settings)
            assert answer(capsys)["lag"] == 0, "and they can be found"
            with Store.open(settings.data) as store:
                assert store.count("Document") == 25
            with closing(sqlite3.connect(settings.data / "store.sqlite")) as database:
                formats = database.execute("SELECT DISTINCT format FROM records").fetchall()
            assert formats == [("oai_datacite",)], "so the next remap reads them"


async def test_stored_records_are_mapped_anew_as_the_configuration_is_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Semantics 1.6: the store's copy of the configuration was that of the last harvest, and
    nothing was looked at. A dry run does not tell it either."""

    def remap(*more: str) -> dict[str, Any]:
        folder = ["--data", str(settings.data), "--config", str(settings.config), "--json"]
        assert run(["index", "remap", *more, *folder]) == 0
        return answer(capsys)

    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
        capsys.readouterr()
    assert settings.config is not None
    text = settings.config.read_text(encoding="utf-8")
    new = text.replace('title = "Facility ONE"', 'title = "Facility ONE"\nlists_only_open = true')
    settings.config.write_text(new, encoding="utf-8")
    for _ in range(2):
        dry = await anyio.to_thread.run_sync(remap, "--dry-run")
        assert (dry["examined"], dry["changed"]) == (25, 25)
    done = await anyio.to_thread.run_sync(remap)
    assert (done["examined"], done["changed"], done["entities"]) == (25, 25, 25)
    again = await anyio.to_thread.run_sync(remap)
    assert again["examined"] == 0
    with Store.open(settings.data, read_only=True) as store:
        assert [one.lists_only_open for one in store.facilities()] == [True, False]


async def test_replaying_quarantine_takes_no_source_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of other sources, such as the shipped one, says nothing of those in this folder."""
    async with two_facilities(tmp_path) as (settings, one, _):
        one.faults.set("missing-metadata:5@ListRecords")
        await carry_out(settings, Wanted((), Order()))
        capsys.readouterr()
        await replay(replace(settings, config=None))
        with Store.open(settings.data, read_only=True) as store:
            assert [source.name for source in store.sources()] == ["ONE-oai", "TWO-oai"]


async def test_a_source_taken_out_of_the_file_is_shown_and_removed_before_any_harvest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody had told the store: its records were counted without a name, and not to be removed.
    Another file, perhaps named by mistake, says nothing of the sources that it lacks."""
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
    assert settings.config is not None
    text = settings.config.read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    for file in (other, settings.config):
        file.write_text(text[: text.index("[sources.TWO-oai]")], encoding="utf-8")
        capsys.readouterr()
        await listings.show_status(replace(settings, config=file))
        found = answer(capsys)
        assert found["configured_by"] == str(settings.config)
        assert found["unlisted"] == ({} if file == other else {"TWO-oai": 12})
    with pytest.raises(ConfigurationError, match="no source"):
        await remove(replace(settings, config=other), "TWO-oai", False)
    assert (await remove(settings, "TWO-oai", False))["deleted"] == 12


async def test_status_says_when_the_file_that_was_harvested_with_is_not_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
    for config, said in ((settings.config, False), (None, True)):
        capsys.readouterr()
        await listings.show_status(replace(settings, config=config, as_json=False))
        assert (f"harvested as {settings.config} has it" in capsys.readouterr().err) == said


async def test_a_harvest_without_the_file_says_which_one_the_folder_was_harvested_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "There is no source", and suggested one of the shipped file."""
    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
    forgotten = replace(settings, config=None)
    told = f"What is here was harvested as {settings.config} has it"
    with pytest.raises(ConfigurationError, match=told):
        await carry_out(forgotten, Wanted(("ONE-oai",), Order()))
    for words in (["harvest"], ["sources", "show"], ["sources", "check"]):
        command = [*words, "ONE-oai", "--data", str(settings.data)]
        assert await anyio.to_thread.run_sync(run, command) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="no source 'x'") as problem:
        await carry_out(settings, Wanted(("x",), Order()))
    assert "What is here" not in str(problem.value)


async def test_a_forgotten_config_maps_nothing_by_the_shipped_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Semantics 1.6: sources of the same name stand in both. The store knows which file it was
    harvested with; another one that is named on purpose is gone by, and that is said."""

    def remap(*more: str) -> int:
        return run(["index", "remap", "--data", str(settings.data), *more])

    async with two_facilities(tmp_path) as (settings, _, _):
        await carry_out(settings, Wanted((), Order()))
    capsys.readouterr()
    assert settings.config is not None
    text = settings.config.read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(text, encoding="utf-8")
    monkeypatch.setattr("harvester.sources.SHIPPED", other)
    assert await anyio.to_thread.run_sync(remap) == 0, "it says the same"
    new = text.replace('title = "Facility ONE"', 'title = "Facility ONE"\nlists_only_open = true')
    other.write_text(new, encoding="utf-8")
    capsys.readouterr()
    for more in ((), ("--dry-run",)):
        assert await anyio.to_thread.run_sync(remap, *more) == 2
        told = capsys.readouterr().err
        assert f"ONE-oai: harvested as {settings.config} has it" in told
        assert "with --config" in told
    with pytest.raises(ConfigurationError, match="with --config"):
        await replay(replace(settings, config=None))
    assert await anyio.to_thread.run_sync(remap, "--config", str(other)) == 0
    told = capsys.readouterr().err
    assert f"otherwise in {other}, which is gone by" in told
    assert "25 changed" in told


async def test_a_repository_of_thousands_of_sets_is_shown_by_the_first_of_them(
    tmp_path: Path,
) -> None:
    import anyio

    sets = {f"set-{number:05}": "One of many" for number in range(3_000)}
    async with running(oai_spec(5, sets=sets)) as endpoint:
        settings = settings_for(tmp_path, FACILITY.format(name="ONE"))
        new = ["--url", endpoint.oai_url, "--facility", "ONE", "--protocol", "oai-pmh"]
        new += ["--format", "oai_dc", "--internal", "--set", "elsewhere"]
        for words in (("add", "new", *new), ("check", "new")):
            code, out = await anyio.to_thread.run_sync(
                lambda words=words: run_command(settings, "sources", *words)
            )
        found = json.loads(out)
        assert code == 1
        assert found["findings"]["sets"].endswith("set-00039 and 2,960 more")
        assert found["problems"][0].endswith("set-00039 and 2,960 more.")
