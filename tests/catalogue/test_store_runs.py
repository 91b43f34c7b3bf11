"""Runs, leases, checkpoints and what they say of a source (faults H01, H02, H04, H08, H10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from store_world import NOON, World, document, record

from catalogue.errors import LeaseHeld, LeaseLost, NotFound
from catalogue.records import PageCommit

A_MINUTE = timedelta(minutes=1)


def test_a_second_run_of_a_source_is_refused_and_told_who_is_at_it(world: World) -> None:
    """Fault H02."""
    run = world.run()
    with pytest.raises(LeaseHeld, match="ess-oai is being worked on by test") as refused:
        world.store.begin_run("ess-oai", kind="full", holder="other", now=world.now)
    assert (refused.value.holder, refused.value.run) == ("test", run.number)
    world.store.begin_run("ill-oai", kind="full", holder="other", now=world.now)


def test_a_heartbeat_keeps_the_lease(world: World) -> None:
    run = world.run()
    world.store.heartbeat(run, NOON + A_MINUTE / 2)
    with pytest.raises(LeaseHeld):
        world.store.begin_run("ess-oai", kind="full", holder="other", now=NOON + A_MINUTE)
    assert world.store.run(run.number).heartbeat_at == NOON + A_MINUTE / 2


def test_a_dead_run_is_taken_over_with_its_checkpoint_and_can_write_no_more(world: World) -> None:
    """Faults H01 and H08."""
    dead = world.run()
    world.put(record("1", document("doi:10.5072/1")), checkpoint={"token": "t1"})
    later = NOON + 2 * A_MINUTE
    run = world.store.begin_run("ess-oai", kind="full", holder="other", now=later)
    assert run.checkpoint == {"token": "t1"}
    assert run.fence > dead.fence
    held = world.store.run(dead.number)
    assert (held.state, held.stop, held.ended_at) == ("stopped", "interrupted", later)
    page = PageCommit((record("2", document("doi:10.5072/2")),), {"token": "t2"}, later)
    number = world.store.last_change()
    for write in (
        lambda: world.store.commit_page(dead, page),
        lambda: world.store.heartbeat(dead, later),
        lambda: world.store.finish_run(dead, "ok", None, later),
    ):
        with pytest.raises(LeaseLost, match="other holds it now"):
            write()
    assert world.store.last_change() == number
    assert world.store.run(run.number).state == "running"


def test_the_lease_of_a_process_that_certainly_ended_is_not_waited_for(world: World) -> None:
    """Fault H01: a restart goes on at once."""
    dead = world.run()
    again: dict[str, Any] = {"kind": "full", "holder": "other", "now": NOON}
    with pytest.raises(LeaseHeld):
        world.store.begin_run("ess-oai", **again, is_dead=lambda holder: holder != "test")
    run = world.store.begin_run("ess-oai", **again, is_dead=lambda holder: holder == "test")
    assert run.fence > dead.fence


def test_a_run_that_only_slept_goes_on(world: World) -> None:
    """Nobody took the lease over, so nothing is lost by going on."""
    run = world.run()
    world.store.heartbeat(run, NOON + 10 * A_MINUTE)
    world.put(record("1", document("doi:10.5072/1")))


def test_an_ended_run_cannot_write(world: World) -> None:
    run = world.run()
    world.finish()
    with pytest.raises(LeaseLost):
        world.store.commit_page(run, PageCommit((), None, world.now))


@pytest.mark.parametrize("jump", [timedelta(days=-300), timedelta(days=300)])
def test_a_clock_that_jumps_does_not_lock_a_source_for_ever(world: World, jump: timedelta) -> None:
    """Fault H10."""
    dead = world.run()
    run = world.store.begin_run("ess-oai", kind="full", holder="other", now=NOON + jump)
    assert run.fence > dead.fence


def test_a_finished_run_drops_its_checkpoint_and_an_unfinished_one_keeps_it(world: World) -> None:
    world.put(checkpoint={"token": "t1"})
    world.finish(state="failed", stop="timeout")
    assert world.run().checkpoint == {"token": "t1"}
    world.put(checkpoint={"token": "t2"})
    world.finish(state="ok")
    assert world.run().checkpoint is None


def test_a_run_shows_its_counts_problems_and_details(world: World) -> None:
    """Fault H04."""
    run = world.run()
    world.put(record("1", document("doi:10.5072/1")), record("2", document("doi:10.5072/2")))
    world.put(record("1", document("doi:10.5072/1")))
    world.store.add_problems(run, "no date", ["1", "2"])
    world.store.add_problems(run, "no date", ["2", "3"])
    world.finish(state="partial", stop="repeated_token", details={"pages": 2})
    (held,) = world.store.runs("ess-oai")
    counts = {name: count for name, count in held.counts.items() if count}
    assert counts == {"received": 3, "new": 2, "unchanged": 1, "entities": 2}
    assert held.problems == {"no date": (4, ("1", "2", "3"))}
    assert (held.state, held.stop, held.details) == ("partial", "repeated_token", {"pages": 2})
    annotated = world.store.annotate_run(held.number, {"approved": True}, "ok")
    assert (annotated.state, annotated.details) == ("ok", {"pages": 2, "approved": True})


def test_reasons_and_samples_are_bounded(world: World) -> None:
    run = world.run()
    world.store.add_problems(run, "same", [f"{n}" for n in range(500)])
    for n in range(150):
        world.store.add_problems(run, f"reason {n}", ["x"])
    problems = world.store.run(run.number).problems
    assert problems["same"] == (500, tuple(f"{n}" for n in range(10)))
    assert len(problems) == 101
    assert problems["further reasons"][0] == 51


def test_a_stop_can_be_asked_for(world: World) -> None:
    run = world.run()
    assert not world.store.stop_requested(run)
    world.store.request_stop(run.number)
    assert world.store.stop_requested(run)
    with pytest.raises(NotFound, match="no run 99"):
        world.store.request_stop(99)


def test_runs_are_listed_newest_first(world: World) -> None:
    for name in ("ess-oai", "ill-oai", "ess-oai"):
        world.run(name)
        world.finish(name)
    assert [run.number for run in world.store.runs()] == [3, 2, 1]
    assert [run.number for run in world.store.runs("ess-oai", limit=1)] == [3]


def test_a_source_is_silent_since_its_first_failure_after_the_last_contact(world: World) -> None:
    status = world.store.source_status("ess-oai")
    assert (status.last_run, status.silent_since, status.records) == (None, None, 0)
    world.put(record("1", document("doi:10.5072/1")))
    world.finish(state="ok", memory={"response_date": "2026-03-01T12:00:00Z"})
    success = world.now
    world.run()
    world.finish(state="failed")
    first_failure = world.now
    world.run()
    world.finish(state="failed")
    status = world.store.source_status("ess-oai")
    assert status.silent_since == first_failure
    assert (status.last_success_at, status.records) == (success, 1)
    assert status.memory == {"response_date": "2026-03-01T12:00:00Z"}
    assert status.last_run is not None
    assert status.last_run.state == "failed"
    world.run()
    world.finish(state="partial")
    assert world.store.source_status("ess-oai").silent_since is None


def test_memory_changes_key_by_key(world: World) -> None:
    world.store.remember("ess-oai", {"a": 1, "b": [2]})
    world.store.remember("ess-oai", {"a": None, "c": 3})
    assert world.store.source_status("ess-oai").memory == {"b": [2], "c": 3}


def test_an_unknown_source_is_named_with_those_that_there_are(world: World) -> None:
    with pytest.raises(NotFound, match="no source 'x'; there are: ess-oai, ess-rest, ill-oai"):
        world.store.source_status("x")


def test_a_lease_for_other_work_is_taken_prolonged_and_given_up(world: World) -> None:
    lease = world.store.acquire_lease("indexer", "a", NOON)
    with pytest.raises(LeaseHeld):
        world.store.acquire_lease("indexer", "b", NOON)
    lease = world.store.renew_lease(lease, NOON + A_MINUTE / 2)
    world.store.release_lease(lease)
    taken = world.store.acquire_lease("indexer", "b", NOON)
    assert taken.fence > lease.fence
    with pytest.raises(LeaseLost):
        world.store.renew_lease(lease, NOON)
    world.store.release_lease(lease)
    world.store.renew_lease(taken, NOON)
