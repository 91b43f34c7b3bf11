"""``pan-commons status`` tells of pauses that servers shared, whether one is running or not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from pan_commons import front_door
from search_api.federation.breaker import opened
from search_api.federation.kept_standings import kept_standings
from search_api.federation.pausing import class_name
from search_api.federation.serving_store import Contact, ServingStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIGURATION = """
[facilities.A]
title = "A"
provider = "http://127.0.0.1:1/api"
demo = true
[sources.a-live]
facility = "A"
protocol = "panosc"
url = "http://127.0.0.1:1/api"
format = "panosc-json"
mode = "live"
internal = true
demo = true
"""


def pause(folder: Path, name: str, now: datetime) -> None:
    store = ServingStore(folder)
    store.change_breaker(
        name, lambda one: opened(one, "access", "HTTP 403", now.timestamp(), lambda: 0.0)
    )
    store.note_contacts([("a-live", Contact(now.timestamp() - 60, now.timestamp(), "HTTP 403"))])
    store.close()


def test_nothing_is_told_and_nothing_made_where_no_server_has_been(tmp_path: Path) -> None:
    assert kept_standings(tmp_path, NOW) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_pause_of_one_class_is_the_sources_worst_standing(tmp_path: Path) -> None:
    pause(tmp_path, class_name("a-live", "Dataset"), NOW)
    found = kept_standings(tmp_path, NOW)["a-live"]
    assert (found["breaker"], found["because"]) == ("open", "HTTP 403")
    assert datetime.fromisoformat(found["paused_until"]) > NOW
    assert datetime.fromisoformat(found["last_contact"]) == NOW - timedelta(seconds=60)


def test_a_pause_that_is_over_waits_for_a_probe(tmp_path: Path) -> None:
    pause(tmp_path, "a-live", NOW)
    found = kept_standings(tmp_path, NOW + timedelta(hours=2))["a-live"]
    assert (found["breaker"], found["paused_until"]) == ("half_open", None)


def test_status_shows_it_to_people_and_machines(tmp_path: Path) -> None:
    config, data = tmp_path / "sources.toml", tmp_path / "data"
    config.write_text(CONFIGURATION)
    data.mkdir()
    pause(data, "a-live", datetime.now(UTC))
    arguments = ["status", "--data", str(data), "--config", str(config)]
    told = CliRunner().invoke(front_door, [*arguments, "--json"], catch_exceptions=False)
    (source,) = json.loads(told.stdout)["sources"]
    assert source["live"]["breaker"] == "open"
    shown = CliRunner().invoke(front_door, arguments, catch_exceptions=False)
    assert "not asked until" in shown.stdout
    assert "HTTP 403" in shown.stdout
