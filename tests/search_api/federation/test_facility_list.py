"""How facilities asked live fare: ``/api/facilities``, the status object, measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalogue.facilities import Facility, Source
from catalogue.records import SourceStatus
from search_api.facilities import FacilityState
from search_api.facility_list import capabilities_json, state_of
from search_api.federation.questions import FacilityFigures, LiveSource
from search_api.federation.service import Checks, Lessons
from search_api.federation.serving_store import ServingStore
from tests.search_api.federation.federation_world import NOW, Part, documents
from tests.search_api.federation.served_world import Json, Served, served

OLD = Part("Old", documents(0, 5), mode="indexed", harvested=True)
BOTH = Part("Both", documents(5, 5), mode="both", harvested=True)
LIVE = Part("Live", documents(10, 5), dialect="xfel")
UNCHECKED = Part("Unchecked", documents(15, 2), checked=False)


async def facilities(there: Served) -> dict[str, Json]:
    found = await (await there.client.get("/api/facilities")).json()
    return {one["name"]: one for one in found}


async def test_facilities_tell_how_asking_them_goes(tmp_path: Path) -> None:
    """fault G12: whoever is paused is seen to be, and until when."""
    async with served(tmp_path, OLD, BOTH, LIVE, UNCHECKED) as there:
        before = await facilities(there)
        assert before["Old"]["live"] is None
        assert {before[name]["live"]["state"] for name in ("Both", "Live")} == {"not_asked"}
        assert (before["Live"]["state"], before["Both"]["state"]) == ("live", "ok")
        await there.client.get("/api/search?q=lysozyme")
        there.there.facilities["Live"].faults.set("error:401")
        await there.client.get("/api/search?q=water")
        after = await facilities(there)
        both, live = after["Both"]["live"], after["Live"]["live"]
        assert (both["state"], both["mode"], both["source"]) == ("answering", "both", "both-rest")
        assert both["latency_ms"]["p50"] > 0
        assert (both["error_rate"], both["breaker"]["state"]) == (0.0, "closed")
        assert both["last_contact"].startswith("2026-03-01T12:00:00")
        assert live["state"] == "paused"
        assert live["breaker"]["state"] == "closed"
        pause = live["breaker"]["classes"]["Document"]
        assert (pause["state"], pause["why"]) == ("open", "access refused (HTTP 401)")
        assert pause["until"] > live["last_contact"]
        status = await (await there.client.get("/api/")).json()
        states = {one["name"]: one["live"] for one in status["facilities"]}
        assert states["Old"] is None
        assert (states["Live"], states["Both"]) == ("paused", "answering")


async def test_capabilities_are_told_in_short(tmp_path: Path) -> None:
    async with served(tmp_path, BOTH, LIVE, UNCHECKED) as there:
        found = await facilities(there)
        whole = found["Both"]["live"]["capabilities"]
        assert (whole["origin"], whole["aged"], whole["age_s"]) == ("checked", False, 0.0)
        assert whole["classes"]["Document"]["total"] == 5
        assert "gt" in whole["classes"]["Document"]["operators"]
        assert "datasets" in whole["classes"]["Document"]["relations"]
        assert whole["classes"]["Document"]["sampled_records"] == 5
        poor = found["Live"]["live"]["capabilities"]["classes"]["Document"]
        assert not {"gt", "lt", "between", "like"} & set(poor["operators"])
        assert poor["text"] == "none" or poor["text"] == "ranked"
        never = found["Unchecked"]["live"]["capabilities"]
        assert (never["origin"], never["aged"], never["checked_at"]) == (
            "never checked",
            True,
            None,
        )


@pytest.mark.parametrize(("days", "aged"), [(29, False), (31, True)])
def test_a_check_of_long_ago_is_called_aged(days: int, aged: bool) -> None:
    live = live_source(checked_at=NOW - timedelta(days=days))
    shown = capabilities_json(live, frozenset({("Document", "between")}), NOW, 30)
    assert shown["aged"] is aged
    assert shown["age_s"] == days * 86_400
    assert shown["classes"]["Document"]["unknown_operators"] == ["between"]
    assert shown["classes"]["Document"]["operators"] == ["gt"]


def test_what_is_configured_does_not_age() -> None:
    live = live_source(checked_at=None)
    source = replace(live.source, options={"capabilities": live.capabilities})
    shown = capabilities_json(replace(live, source=source), frozenset(), NOW, 30)
    assert (shown["origin"], shown["aged"]) == ("configured", False)


def live_source(checked_at: Any) -> LiveSource:
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json", mode="live")
    profile = {
        "classes": {"Document": {"state": "served", "operators": {"gt": "yes", "between": "yes"}}}
    }
    return LiveSource(source, Facility("A", "A", "https://a.example/api"), profile, checked_at)


@pytest.mark.parametrize(
    ("breaker", "contact_s", "failure_s", "state"),
    [
        ("closed", None, None, "not_asked"),
        ("closed", 5, None, "answering"),
        ("closed", 5, 9, "answering"),
        ("closed", 9, 5, "failing"),
        ("closed", None, 5, "failing"),
        ("open", 5, 9, "paused"),
        ("half_open", 9, 5, "probed"),
    ],
)
def test_a_state_in_one_word(
    breaker: Any, contact_s: float | None, failure_s: float | None, state: str
) -> None:
    """Seconds ago of the last answer and the last failure."""

    def at(ago_s: float | None) -> Any:
        return None if ago_s is None else NOW - timedelta(seconds=ago_s)

    figures = FacilityFigures(
        "a", 1, 0.0, None, None, None, at(contact_s), at(failure_s), None, breaker, None, None, 0, 0
    )
    assert state_of(figures) == state


async def test_no_secret_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fault H12"""
    monkeypatch.setenv("SECRET_OF_LIVE", "s3cr3t-key")
    keyed = replace(LIVE, options={"api_key_variable": "SECRET_OF_LIVE"})
    async with served(tmp_path, keyed) as there:
        await there.client.get("/api/search?q=lysozyme")
        there.there.facilities["Live"].faults.set("error:500")
        await there.client.get("/api/search?q=water")
        for path in ("/api/facilities", "/api/", "/metrics", "/api/search?q=ice"):
            text = await (await there.client.get(path)).text()
            assert "s3cr3t-key" not in text
            assert "SECRET_OF_LIVE" not in text


async def test_each_facility_has_its_measurements(tmp_path: Path) -> None:
    """fault G12"""
    async with served(tmp_path, BOTH, LIVE) as there:
        there.there.facilities["Live"].faults.set("error:401")
        await there.client.get("/api/search?q=lysozyme")
        text = await (await there.client.get("/metrics")).text()
    values = {
        (one.name, one.labels.get("source"), one.labels.get("outcome")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert values["pan_commons_live_questions_total", "both-rest", "answered"] > 0
    assert values["pan_commons_live_questions_total", "live-rest", "failed"] > 0
    assert values["pan_commons_live_request_seconds_count", "both-rest", None] > 0
    assert values["pan_commons_live_breaker", "both-rest", None] == 0
    assert values["pan_commons_live_breaker", "live-rest", None] == 2


async def test_a_new_check_forgets_what_was_learned_before_it(tmp_path: Path) -> None:
    """What a service did not know it may know by now (fault E08)."""
    checked = NOW - timedelta(days=1)
    with_clock = {"at": checked}
    serving = ServingStore(tmp_path)
    lessons = Lessons(serving, lambda: NOW, lambda source: with_clock["at"])
    await lessons.learn("a", "Document", "between")
    assert await lessons.learned("a") == {("Document", "between")}
    other = Lessons(serving, lambda: NOW, lambda source: checked)
    assert await other.learned("a") == {("Document", "between")}
    with_clock["at"] = NOW + timedelta(hours=1)
    assert await lessons.learned("a") == frozenset()
    assert await anyio.to_thread.run_sync(serving.learned, "a") == frozenset()
    serving.close()


def checked(at: datetime) -> tuple[FacilityState, ...]:
    facility = Facility("A", "A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json", mode="live")
    memory = {"capabilities": {}, "capabilities_at": at.isoformat()}
    return (FacilityState(facility, [(source, SourceStatus("a", 0, 0, None, None, None, memory))]),)


class States:
    """As far as checks are concerned."""

    all: tuple[FacilityState, ...] = ()


def test_a_new_look_at_the_states_tells_of_a_new_check() -> None:
    states: Any = States()
    checks = Checks(states)
    assert checks("a") is None
    states.all = checked(NOW)
    assert checks("a") == NOW
    states.all = checked(NOW + timedelta(hours=1))
    assert checks("a") == NOW + timedelta(hours=1)
