"""Sources of mode live are asked and never harvested; commands say which mode means what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from click.testing import CliRunner

from catalogue.store import Store
from harvester import listings
from harvester.commands import COMMANDS
from harvester.daemon import Daemon
from harvester.harvest_command import Wanted, carry_out
from harvester.keys import ConfigurationError
from harvester.live_outlook import mode_in_words, outlook
from harvester.place import Order
from harvester.run import Harvesting
from harvester.sources import Configuration
from pan_commons_terminal import Settings
from simulator import DIALECTS, FacilitySpec, RestOptions, running
from tests.harvester.harvest_world import a_world
from tests.harvester.test_harvest_commands import FACILITY, settings_for
from tests.search_api.federation.federation_world import documents

SOURCE = """
[sources.{name}]
facility = "ONE"
protocol = "panosc"
url = "{url}"
mode = "{mode}"
internal = true
options = {{ retries = 0 }}
"""


def with_modes(tmp_path: Path, url: str, *modes: str) -> Settings:
    sources = "".join(SOURCE.format(name=f"one-{mode}", url=url, mode=mode) for mode in modes)
    return settings_for(tmp_path, FACILITY.format(name="ONE") + sources)


def spec(dialect: str = "reference") -> FacilitySpec:
    return FacilitySpec("ONE", rest=RestOptions(dialect=DIALECTS[dialect]))


async def run(settings: Settings, *arguments: str) -> Any:
    """A command in a thread, as it brings its own event loop."""
    group = next(one for one in COMMANDS if one.name == arguments[0])
    given = [*arguments[1:], "--data", str(settings.data), "--config", str(settings.config)]
    return await anyio.to_thread.run_sync(
        lambda: CliRunner().invoke(group, given, catch_exceptions=False)
    )


async def test_harvest_takes_both_and_leaves_live_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(spec()) as endpoint:
        for one in documents(0, 3):
            endpoint.database.put_document(one)
        settings = with_modes(tmp_path, endpoint.api_url, "live", "both")
        for names in ((), ("ONE",)):
            assert await carry_out(settings, Wanted(names, Order())) == 0
            assert [one["source"] for one in json.loads(capsys.readouterr().out)["runs"]] == [
                "one-both"
            ]
        with pytest.raises(ConfigurationError, match=r"asked live .* and not harvested"):
            await carry_out(settings, Wanted(("one-live",), Order()))


async def test_the_daemon_leaves_live_sources_alone(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        live = replace(world.source, name="live", mode="live", protocol="panosc")
        both = replace(live, name="both", mode="both")
        configuration = Configuration(None, (world.facility,), (live, both))
        world.store.put_configuration([world.facility], [live, both])
        shared = Harvesting(world.store, world.http, world.clock, stopping=world.stopping)
        daemon = Daemon(shared, configuration, lambda: configuration, lambda *_: None)
        assert [source.name for _, source in await daemon._due()] == ["both"]


async def test_a_check_says_what_asking_live_will_mean(tmp_path: Path) -> None:
    async with running(spec("xfel")) as endpoint:
        for one in documents(0, 3):
            endpoint.database.put_document(one)
        settings = with_modes(tmp_path, endpoint.api_url, "live")
        listed = json.loads((await run(settings, "sources", "list", "--json")).stdout)
        assert listed["sources"][0]["checked_at"] is None
        assert "never" in (await run(settings, "sources", "list")).stdout
        result = await run(settings, "sources", "check", "one-live", "--json")
        found = json.loads(result.stdout)["findings"]
        assert found["mode"] == "live: asked when somebody searches, never harvested"
        assert found["Document: asked live"].startswith("words cannot be asked")
        listed = json.loads((await run(settings, "sources", "list", "--json")).stdout)
        (one,) = listed["sources"]
        assert one["mode"] == "live"
        assert one["checked_at"]
        assert "asked live" in (await run(settings, "status")).stdout
        shown = json.loads((await run(settings, "sources", "show", "one-live", "--json")).stdout)
        assert shown["mode"] == "live"


async def test_a_check_that_found_nothing_is_none(tmp_path: Path) -> None:
    settings = with_modes(tmp_path, "http://127.0.0.1:9/api", "live")
    assert (await run(settings, "sources", "check", "one-live")).exit_code == 1
    listed = json.loads((await run(settings, "sources", "list", "--json")).stdout)
    assert listed["sources"][0]["checked_at"] is None
    assert "never checked" in (await run(settings, "status")).stdout


async def test_a_check_that_fails_makes_an_old_profile_no_younger(tmp_path: Path) -> None:
    async with running(spec()) as endpoint:
        endpoint.database.put_document(documents(0, 1)[0])
        settings = with_modes(tmp_path, endpoint.api_url, "live")
        await run(settings, "sources", "check", "one-live")
        for fault in ("error:502", "error:404", "error:401"):
            endpoint.faults.set(fault)
            assert (await run(settings, "sources", "check", "one-live")).exit_code == 1, fault
    with Store.open(settings.data, read_only=True) as store:
        memory = store.source_status("one-live").memory
    assert memory["capabilities"]["classes"]["Document"]["total"] == 1
    assert memory["capabilities_at"] < memory["checked_at"]


async def test_an_added_source_says_what_its_mode_means(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, FACILITY.format(name="ONE"))
    url = "http://127.0.0.1:9/api"
    given = ("--facility", "ONE", "--protocol", "panosc", "--url", url, "--internal")
    result = await run(settings, "sources", "add", "new", *given, "--mode", "live")
    assert result.exit_code == 0, result.output
    assert "never harvested" in result.stderr
    configuration = listings.read_configuration(settings)
    assert configuration.source("new").mode == "live"


READ_HERE = "words cannot be asked: its records are read in pages and searched here; "
PART_OF = "words are asked as parts of titles and summaries, and scored here; "
ONE_PAGE = "only its first page can be had, so answers say 'at least'"
NO_SAMPLE = "no sample could be taken, so its hits are scored with the others' statistics"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            {"scores": "scored", "operators": {"gt": "yes", "lt": "yes"}},
            "it ranks by words, and is scored again here; conditions are asked",
        ),
        (
            {"operators": {"ilike": "yes", "gte": "yes"}},
            f"{PART_OF}conditions are asked, except ranges of dates and values",
        ),
        (
            {"operators": {"gt": "ignored"}, "skip": False},
            f"{READ_HERE}conditions are looked at here; {ONE_PAGE}",
        ),
        (
            {"operators": {}, "statistics": {"records": 0}},
            f"{READ_HERE}conditions are looked at here; {NO_SAMPLE}",
        ),
    ],
)
def test_the_outlook_in_words(found: dict[str, Any], words: str) -> None:
    usual = {"skip": True, "keyset": False, "scores": "none", "statistics": {"records": 9}}
    assert outlook({**usual, **found}) == words


def test_a_mode_in_words() -> None:
    from catalogue.facilities import Source

    oai = Source("a", "A", "oai-pmh", "https://a.example/oai", "oai_dc")
    assert "only Search APIs" in mode_in_words(oai)
    api = replace(oai, protocol="panosc")
    assert 'mode = "both" would' in mode_in_words(api)
    assert "for when it does not answer" in mode_in_words(replace(api, mode="both"))
