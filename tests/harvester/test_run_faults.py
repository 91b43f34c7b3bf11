"""Runs against an endpoint with faults, by their number in the catalogue of faults."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from catalogue.records import PageReport
from harvester import oai_sweep
from harvester.place import Order
from harvester.progress import Silent
from simulator import Record, running
from tests.harvester.harvest_world import START, Clock, a_world, oai_record, oai_spec

ALL = {f"oai:test:{number:04}" for number in range(25)}


async def test_a_pause_of_a_day_parks_the_source(tmp_path: Path) -> None:
    """Fault A03: the worker is free at once, and the source says until when it is paused."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("error:503:86400@ListRecords")
        run = await world.harvest()
        assert (run.state, run.stop) == ("failed", "parked")
        status = world.store.source_status("test")
        assert status.memory["not_before"].startswith("2024-06-02T12:00")
        world.endpoint.faults.clear()
        assert (await world.harvest()).state == "ok"
        assert "not_before" not in world.store.source_status("test").memory


async def test_everything_but_the_poisoned_record_comes_in(tmp_path: Path) -> None:
    """Fault A08: the window is cut until one record is left, which goes to quarantine."""
    async with a_world(tmp_path, oai_spec(300, page_size=100)) as world:
        world.endpoint.faults.set("poison:oai:test:0123")
        run = await world.harvest()
        assert run.state == "partial", run
        assert world.held() == world.offered()
        (quarantined,) = world.store.quarantine("test")
        assert quarantined.identifier == "oai:test:0123"
        assert run.problems["not to be had: BadStatus"] == (1, ("oai:test:0123",))
        assert len(world.titles()) == 299
        # The next run asks for it again, and calls what is wrong by the same name: who acknowledged
        # it is not asked anew.
        again = await world.harvest()
        assert again.problems["not to be had: BadStatus"] == (1, ("oai:test:0123",))
        assert set(again.details["deviations"]) <= set(run.details["deviations"])
        world.endpoint.faults.clear()
        healed = await world.harvest()
        assert healed.state == "ok", healed
        assert world.store.quarantine("test") == ()
        assert len(world.titles()) == 300


async def test_an_endpoint_that_always_fails_is_given_up_soon(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("error:500@ListRecords,error:500@ListIdentifiers")
        run = await world.harvest()
        assert (run.state, run.stop) == ("failed", "bad_status")
        assert len(world.endpoint.requests) < 40


async def test_a_refused_token_restarts_the_window_and_not_the_harvest(tmp_path: Path) -> None:
    """Fault B01."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("expired-token@page3x1")
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == ALL
        assert run.problems["bad resumption token"][0] == 1


async def test_tokens_that_never_work_lead_to_windows_of_one_page(tmp_path: Path) -> None:
    """Fault B01: several restarts without progress, then shorter lists."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("expired-token@ListRecords")
        run = await world.harvest()
        assert run.state == "ok", run
        assert world.held() == ALL


async def test_a_token_from_an_earlier_run_may_fail_in_any_way(tmp_path: Path) -> None:
    """Fault B02: a stale token is answered with a database error."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        world.endpoint.faults.set("redirect@page4+")
        first = await world.harvest()
        assert (first.state, first.counts["received"]) == ("partial", 30)
        world.endpoint.faults.set("error:500@ListRecords@page4x3")
        run = await world.harvest()
        assert run.state == "ok", run
        assert run.details["stale_token"]
        assert world.held() == world.offered()


@pytest.mark.parametrize(
    ("fault", "stop", "state"),
    [
        ("loop-token", "repeated_token", "partial"),  # B03
        ("cyclic-token", "cyclic_token", "partial"),  # B03
        ("trailing-token", "no_records_after_token", "ok"),  # B04
        ("empty-token", "incomplete", "partial"),  # B06
        ("lost-token", "end_of_list", "ok"),  # B06: the list of identifiers brings the rest
        ("size:225176", "incomplete", "partial"),  # B20
        ("unordered", "empty_token", "ok"),  # B16
        ("odd-token", "empty_token", "ok"),  # B07
    ],
)
async def test_every_stop_has_a_name(tmp_path: Path, fault: str, stop: str, state: str) -> None:
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set(f"{fault}@ListRecords")
        run = await world.harvest()
        assert (run.stop, run.state) == (stop, state), run


async def test_an_early_end_shows_both_numbers_and_is_asked_again(tmp_path: Path) -> None:
    """Fault B20."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("empty-token@ListRecords")
        run = await world.harvest()
        assert any("10 of 25 announced" in reason for reason in run.problems), run.problems
        world.endpoint.faults.clear()
        run = await world.harvest()
        assert run.state == "ok"
        assert world.held() == ALL


async def test_a_set_that_does_not_survive_paging_brings_no_strangers(tmp_path: Path) -> None:
    """Fault B09: counted, and not kept under the set."""
    async with a_world(tmp_path, oai_spec(50), set="odd") as world:
        world.endpoint.faults.set("lost-set@ListRecords")
        run = await world.harvest()
        assert run.state == "partial"
        assert run.problems["outside the set asked for"][0] > 0
        odd = {f"oai:test:{number:04}" for number in range(1, 50, 2)}
        assert world.held() == odd


async def test_a_set_that_vanished_is_not_nothing_new(tmp_path: Path) -> None:
    """Fault B11."""
    async with a_world(tmp_path, set="gone") as world:
        run = await world.harvest()
        assert run.state == "partial"
        assert "the set gone does not exist there" in run.problems


async def test_a_source_that_is_silent_for_much_longer_than_ever_is_noticed(
    tmp_path: Path,
) -> None:
    """Fault B11: every run is a success, and nothing comes any more."""
    async with a_world(tmp_path) as world:
        for number in range(6):
            world.endpoint.records.put(oai_record(100 + number), world.clock())
            assert (await world.harvest()).state == "ok"
            world.clock.advance(days=3)
        reason = "nothing new for much longer than ever before"
        world.clock.advance(days=11)
        assert reason not in (await world.harvest()).problems, "two weeks are no news yet"
        world.clock.advance(days=2)
        run = await world.harvest()
        assert (run.state, run.details["quiet_days"]) == ("ok", 16)
        assert reason in run.problems
        world.endpoint.records.put(oai_record(200), world.clock())
        assert reason not in (await world.harvest()).problems
        world.clock.advance(days=60)
        assert reason not in (await world.harvest()).problems, "it has been that long before"


async def test_a_server_that_marks_everything_deleted_is_held(tmp_path: Path) -> None:
    """Fault B12."""
    async with a_world(tmp_path, oai_spec(deleted_record="persistent")) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        world.endpoint.faults.set("deleted")
        run = await world.harvest(Order(full=True))
        assert run.state == "held", run
        assert world.held() == ALL
        assert len(world.titles()) == 25


async def test_a_server_that_refuses_seconds_is_asked_in_days(tmp_path: Path) -> None:
    """Fault B13."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        world.endpoint.records.put(oai_record(99), world.clock())
        world.endpoint.faults.set("no-seconds")
        run = await world.harvest()
        assert run.state == "ok", run
        assert "oai:test:0099" in world.held()


@pytest.mark.parametrize("earliest", ["none", "2017-01-00T03.24.00Z", "2999-01-01"])
async def test_earliest_datestamp_is_a_hint_at_most(tmp_path: Path, earliest: str) -> None:
    """Fault B14."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set(f"earliest:{earliest}", "poison:oai:test:0007")
        await world.harvest()
        assert world.held() == ALL
        assert len(world.titles()) == 24


@pytest.mark.parametrize("off", ["5h", "-5h"])
async def test_windows_follow_the_servers_clock_not_ours(tmp_path: Path, off: str) -> None:
    """Fault B15."""
    hours = int(off.removesuffix("h"))
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set(f"clock:{off}")
        await world.harvest()
        world.clock.advance(minutes=10)
        theirs = world.clock() + timedelta(hours=hours)
        world.endpoint.records.put(oai_record(99), theirs)
        world.clock.advance(minutes=10)
        run = await world.harvest()
        assert run.counts["received"] == 1, run
        assert "oai:test:0099" in world.held()


@pytest.mark.parametrize("later_h", [0, 2, 13])
async def test_a_server_clock_that_goes_back_loses_nothing(tmp_path: Path, later_h: int) -> None:
    """Fault H10: the checkpoint lies in the server's future, or did when the record changed: what
    our own clock says has passed since then is asked for, and said so."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("clock:12h")
        await world.harvest()
        world.endpoint.faults.clear()
        world.clock.advance(minutes=1)
        world.endpoint.records.put(oai_record(99), world.clock())
        world.clock.advance(hours=later_h)
        run = await world.harvest()
        assert (run.state, run.details["harvest"]) == ("ok", "incremental")
        assert "server_clock_set_back" in run.details
        assert "oai:test:0099" in world.held()


@pytest.mark.parametrize("years", [-1, 1])
async def test_our_own_clock_loses_nothing_either(tmp_path: Path, years: int) -> None:
    """Fault H10: the server's clock goes on as ever; ours jumps, and is believed only where that
    asks for more."""
    async with a_world(tmp_path, server_clock=(theirs := Clock())) as world:
        await world.harvest()
        theirs.advance(minutes=1)
        world.endpoint.records.put(oai_record(99), theirs())
        theirs.advance(hours=5)
        world.clock.advance(days=365 * years)
        run = await world.harvest()
        assert (run.state, run.details["harvest"]) == ("ok", "incremental")
        assert "oai:test:0099" in world.held()


async def test_datestamps_of_the_day_change_nothing(tmp_path: Path) -> None:
    """Fault B18: every record is dated with the request, so every run brings all of them."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("datestamp-now")
        await world.harvest()
        before = world.store.last_change()
        world.clock.advance(days=40)
        run = await world.harvest()
        assert run.counts["unchanged"] == 25
        assert world.store.last_change() == before


async def test_gaps_between_pages_are_found_in_the_list_and_fetched(tmp_path: Path) -> None:
    """Fault B19."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("gap:3@ListRecords@page2", "duplicates:2@page3")
        run = await world.harvest()
        assert world.held() == ALL
        assert run.details["reconciliation"]["fetched"] == 3


async def test_told_deletions_are_believed_and_kept_as_tombstones(tmp_path: Path) -> None:
    """Fault B21 under persistent: no lists are compared."""
    async with a_world(tmp_path, oai_spec(deleted_record="persistent")) as world:
        await world.harvest()
        world.clock.advance(hours=1)
        world.endpoint.records.delete("oai:test:0003", world.clock())
        before = len(world.endpoint.requests)
        run = await world.harvest()
        assert (run.state, run.counts["deleted"]) == ("ok", 1)
        assert world.held() == world.offered()
        verbs = world.verbs()[before:]
        assert "ListIdentifiers" not in verbs
        world.clock.advance(hours=1)
        world.endpoint.records.put(oai_record(3, title="Back again"), world.clock())
        await world.harvest()
        assert world.titles()["10.5072/3"] == "Back again", "fault H06: it may come back"


async def test_leaving_the_set_is_not_being_deleted(tmp_path: Path) -> None:
    """Semantics 1.4, fault B21."""
    async with a_world(tmp_path, oai_spec(50), set="odd") as world:
        await world.harvest()
        world.clock.advance(hours=1)
        moved = oai_record(3)
        world.endpoint.records.put(
            Record(moved.identifier, moved.datestamp, ("even",), document=moved.document)
        )
        run = await world.harvest()
        assert run.state == "ok", run
        found = run.details["reconciliation"]
        assert (found["left_set"], found["deleted"]) == (1, 0)
        left = world.store.live_identifiers("test", None, 10, ("left_set",))
        assert left == ("oai:test:0003",)
        assert "10.5072/3" in world.titles(), "it still exists at the facility"


@pytest.mark.parametrize(
    ("repair", "state"),
    [(False, "partial"), (["control_characters"], "ok"), (["ampersands"], "partial"), (True, "ok")],
)
async def test_only_the_repairs_that_the_source_names_are_made(
    tmp_path: Path, repair: bool | list[str], state: str
) -> None:
    """Faults C01, C09: strict by default; what was mended is counted, record by record."""
    broken = payload_record(99, oai_record(99, title="B\x0bell").payload("oai_datacite").decode())
    sound = [oai_record(number) for number in range(12)]
    spec = oai_spec(records=[*sound, broken])
    async with a_world(tmp_path, spec, options={"repair": repair}) as world:
        run = await world.harvest()
        assert run.state == state, run
        assert ("repaired: control_characters" in run.problems) == (state == "ok")
        assert ("oai:test:0099" in {q.identifier for q in world.store.quarantine("test")}) == (
            state == "partial"
        )


async def test_odd_records_cost_nobody_else(tmp_path: Path) -> None:
    """Fault B22."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("missing-metadata:5@ListRecords")
        run = await world.harvest()
        assert run.state == "partial"
        refused = {one.identifier for one in world.store.quarantine("test")}
        assert refused
        assert len(world.titles()) == 25 - len(refused)


async def test_records_that_all_fail_are_no_success(tmp_path: Path) -> None:
    """Fault H04."""
    spec = oai_spec(
        records=[
            Record(f"oai:test:{n:04}", START, payloads={"oai_datacite": b"<oops/>"})
            for n in range(12)
        ]
    )
    async with a_world(tmp_path, spec) as world:
        run = await world.harvest()
        assert (run.state, run.stop) == ("failed", "all_quarantined")
        ((reason, (count, samples)),) = [
            item for item in run.problems.items() if item[0].startswith("quarantined")
        ]
        assert count == 12
        assert len(samples) == 10
        assert reason


async def test_a_source_that_goes_empty_is_held(tmp_path: Path) -> None:
    """Fault H05."""
    async with a_world(tmp_path) as world:
        await world.harvest()
        world.endpoint.records.clear()
        run = await world.harvest()
        assert (run.state, run.details["held"]) == ("held", "would take away all 25 records")
        assert world.held() == ALL
        assert len(world.titles()) == 25


async def test_changed_identifiers_are_held_and_named(tmp_path: Path) -> None:
    """Fault H07."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        await world.harvest()
        world.endpoint.records.clear()
        for number in range(60):
            old = oai_record(number)
            world.endpoint.records.put(
                Record(f"oai:new:{number}", old.datestamp, old.sets, document=old.document)
            )
        run = await world.harvest(Order(full=True))
        assert run.state == "held"
        approved = await world.harvest(Order(full=True, approved=60))
        assert approved.state == "ok", approved
        assert world.held() == world.offered()


async def test_a_page_is_durable_before_the_run_ends(tmp_path: Path) -> None:
    """Faults A02, H08, H11: what came before a failure stays, and the next run goes on from it."""
    async with a_world(tmp_path, oai_spec(60)) as world:
        world.endpoint.faults.set("redirect@page4+")
        run = await world.harvest()
        assert (run.state, run.stop) == ("partial", "bad_redirect")
        assert len(world.held()) == 30
        world.endpoint.faults.clear()
        before = len(world.endpoint.requests)
        run = await world.harvest()
        assert run.state == "ok"
        assert run.details["resumed"]
        lists = [r for r in list(world.endpoint.requests)[before:] if r.verb == "ListRecords"]
        assert len(lists) == 3, "pages four to six, and none of the first three again"
        assert world.held() == world.offered()


async def test_a_planted_key_is_found_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H12."""
    monkeypatch.setenv("TEST_KEY", "s3cret-hunter2")
    async with a_world(tmp_path, options={"api_key_variable": "TEST_KEY"}) as world:
        world.endpoint.faults.set("error:500", "html:403@page2")
        run = await world.harvest()
        assert run.state == "failed"
        assert "s3cret" not in repr(run)
        assert any("s3cret" in repr(r.headers) for r in world.endpoint.requests), "it was sent"
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert b"s3cret-hunter2" not in path.read_bytes(), path


def payload_record(number: int, payload: str) -> Record:
    return Record(f"oai:test:{number:04}", START, payloads={"oai_datacite": payload.encode()})


@pytest.mark.parametrize(
    "payload",
    [
        "<a>" * 5_000 + "</a>" * 5_000,
        "<a>" + "t" * 11_000_000 + "</a>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<a>&nbsp;</a>",
        "<a><b></a>",
    ],
    ids=["deep", "long", "doctype", "entity", "open"],
)
async def test_a_payload_beyond_any_bound_costs_its_own_record(
    tmp_path: Path, payload: str
) -> None:
    """Faults C07, C09, B22: a harvest cuts payloads as bytes; what parses them has bounds too."""
    sound = [oai_record(number) for number in range(12)]
    async with a_world(tmp_path, oai_spec(records=[*sound, payload_record(99, payload)])) as world:
        run = await world.harvest()
        assert run.state == "partial", run
        (refused,) = world.store.quarantine("test")
        assert refused.identifier == "oai:test:0099"
        assert len(world.titles()) == 12


async def test_an_answer_with_everything_in_it_is_committed_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H11: a server without paging, whose one page breaks the first time."""
    monkeypatch.setattr(oai_sweep, "PART_RECORDS", 100)
    async with a_world(tmp_path, oai_spec(2000, page_size=10_000)) as world:
        sizes: list[int] = []

        class Watch(Silent):
            def page(self, source: str, report: PageReport) -> None:
                sizes.append(report.received)

        world.endpoint.faults.set("truncate@page1x1")
        run = await world.harvest(watcher=Watch())
        assert run.state == "ok", run
        assert len(sizes) > 4
        assert max(sizes) < 1000, "a part and what a network buffer holds"
        assert sum(sizes) == 2000, "the page that broke gave no record twice"
        assert world.held() == world.offered()


@pytest.mark.parametrize("token", ["expired by its date", "older than the operator allows"])
async def test_a_token_that_is_over_is_not_sent(tmp_path: Path, token: str) -> None:
    """Fault B02: the window begins again; the server is not even asked."""
    options = {"token_ttl_s": 3600} if "operator" in token else {}
    spec = oai_spec(60, token_lifetime_s=None if options else 3600)
    async with a_world(tmp_path, spec, options=options) as world:
        world.endpoint.faults.set("redirect@page4+")
        first = await world.harvest()
        assert first.counts["received"] == 30
        world.endpoint.faults.clear()
        world.clock.advance(hours=2)
        before = len(world.endpoint.requests)
        run = await world.harvest()
        assert run.state == "ok", run
        assert run.details["stale_token"]
        lists = [r for r in list(world.endpoint.requests)[before:] if r.verb == "ListRecords"]
        assert "resumptionToken" not in lists[0].params
        assert run.counts["unchanged"] == 30
        assert world.held() == world.offered()


async def test_a_certificate_that_ends_soon_is_said_before(tmp_path: Path) -> None:
    """Fault A12."""
    async with a_world(tmp_path) as world:
        for days, said in ((30, False), (20, True), (-1, True)):
            world.http.certificates["127.0.0.1"] = world.clock() + timedelta(days=days)
            run = await world.harvest()
            assert ("certificate_ends" in run.details) == said


async def test_a_source_that_has_moved_is_harvested_and_its_new_address_said(
    tmp_path: Path,
) -> None:
    """Fault A10: one that is followed in silence is a facility lost when the old address ends."""
    async with a_world(tmp_path) as world, running(oai_spec(25)) as elsewhere:
        assert "moved_to" not in (await world.harvest()).details
        world.endpoint.faults.set(f"redirect:{elsewhere.oai_url}")
        run = await world.harvest()
        assert (run.state, run.details["moved_to"]) == ("ok", elsewhere.oai_url)


async def test_a_server_that_was_years_ahead_is_harvested_whole_again(tmp_path: Path) -> None:
    """Fault H10: the next full harvest is not due in years."""
    async with a_world(tmp_path) as world:
        world.endpoint.faults.set("clock:87600h")
        await world.harvest()
        world.endpoint.faults.clear()
        world.clock.advance(days=1)
        run = await world.harvest()
        assert (run.state, run.details["harvest"]) == ("ok", "full")
        world.clock.advance(days=1)
        assert (await world.harvest()).details["harvest"] == "incremental"


async def test_the_operators_own_times_are_kept(tmp_path: Path) -> None:
    """Faults B17, B18, B21: overlap, full harvests and comparisons as often as the options say."""
    options = {"overlap_s": 7200, "full_days": 2, "reconcile_days": 1}
    async with a_world(tmp_path, options=options) as world:
        await world.harvest()
        kinds, compared, starts = [], [], []
        for _ in range(5):
            world.clock.advance(hours=12)
            before = len(world.endpoint.requests)
            run = await world.harvest()
            asked = list(world.endpoint.requests)[before:]
            kinds.append(run.details["harvest"])
            compared.append(any(r.verb == "ListIdentifiers" for r in asked))
            starts += [r.params.get("from") for r in asked if r.verb == "ListRecords"]
        assert kinds == ["incremental", "incremental", "incremental", "full", "incremental"]
        assert compared == [False, True, False, True, False]
        assert starts[0] == "2024-06-01T10:00:00Z"


async def test_the_operators_own_limits_hold_deletions(tmp_path: Path) -> None:
    """Faults B12, H05: one in twenty-five is too much where the operator says so."""
    options = {"hold_share": 0.01, "hold_records": 1}
    async with a_world(tmp_path, oai_spec(50), options=options) as world:
        await world.harvest()
        for number in (1, 2):
            world.endpoint.records.delete(f"oai:test:{number:04}", world.clock())
        run = await world.harvest()
        assert run.state == "held", run
        assert world.held() == {f"oai:test:{number:04}" for number in range(50)}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing-metadata:2", "quarantined: record: expected metadata"),
        (
            "illegal-characters",
            "quarantined: payload: expected well-formed XML (PCDATA invalid Char value 3)",
        ),
        (
            "second-declaration",
            "quarantined: record: expected well-formed XML (an XML declaration inside the answer)",
        ),
    ],
)
async def test_the_same_fault_in_many_records_is_one_reason(
    tmp_path: Path, fault: str, reason: str
) -> None:
    """Fault H04: wherever in its record it is, or an operator sees a line for each."""
    async with a_world(tmp_path, oai_spec(25, page_size=3)) as world:
        world.endpoint.faults.set(fault)
        run = await world.harvest()
        assert list(run.problems) == [reason]
        assert run.problems[reason][0] > 5
