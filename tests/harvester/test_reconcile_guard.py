"""When an operator is asked, and the notes on disk from which that is decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harvester.guard import Guard
from harvester.ledger import Ledger, LedgerFault, ledger_path
from harvester.place import Order
from tests.harvester.harvest_world import a_world, oai_spec


@pytest.mark.parametrize(
    ("live", "gone", "held"),
    [
        (1000, 0, False),
        (1000, 100, False),  # ten in a hundred, not more
        (1000, 101, True),
        (100, 20, False),  # a fifth, but only twenty records
        (100, 21, True),
        (30, 15, False),
        (30, 16, True),  # more than half
        (4, 2, False),
        (1, 1, True),  # all of it
    ],
)
def test_many_deletions_wait_for_the_operator(live: int, gone: int, held: bool) -> None:
    """Faults B12, H05."""
    reason = Guard().reason_to_hold(live=live, gone=gone)
    assert (reason is not None) == held


def test_approval_covers_what_was_seen_and_a_little_more_but_not_everything() -> None:
    guard = Guard()
    assert guard.reason_to_hold(live=1000, gone=600, approved=550) is None
    assert guard.reason_to_hold(live=1000, gone=900, approved=550) is not None


def test_nearly_all_identifiers_new_is_doubted_except_the_first_time() -> None:
    """Fault H07: a platform that changes its identifiers."""
    guard = Guard()
    assert guard.reason_to_doubt(live=500, listed=500, new=480) is not None
    assert guard.reason_to_doubt(live=0, listed=500, new=500) is None
    assert guard.reason_to_doubt(live=500, listed=600, new=100) is None
    assert guard.reason_to_doubt(live=3, listed=10, new=10) is None, "a small start may grow"


def pages_of(*identifiers: str):  # type: ignore[no-untyped-def]
    def live(after: str | None, limit: int) -> Sequence[str]:
        rest = [one for one in sorted(identifiers) if after is None or one > after]
        return rest[:limit]

    return live


def test_the_ledger_finds_what_is_gone_and_what_was_missed(tmp_path: Path) -> None:
    ledger = Ledger(ledger_path(tmp_path, "a/b"), "one")
    ledger.list_(["a", "b", "new"])
    ledger.tell_deleted(["b", "never seen"])
    live = pages_of("a", "b", "gone")
    assert list(ledger.told_and_live(live)) == [["b"]]
    assert list(ledger.live_and_unlisted(live)) == [["gone"]]
    assert ledger.listed_and_unknown(10) == ["new"]
    ledger.untell(["b"])
    assert list(ledger.told_and_live(live)) == []
    ledger.discard()
    assert list((tmp_path / "harvesting").iterdir()) == []


def test_a_killed_harvest_finds_its_ledger_and_another_harvest_does_not(tmp_path: Path) -> None:
    """Fault H08."""
    path = ledger_path(tmp_path, "s")
    first = Ledger(path, "one")
    first.tell_deleted(["x"])
    first.close()
    again = Ledger(path, "one")
    assert again.resumed
    assert again.count_told() == 1
    again.close()
    other = Ledger(path, "two")
    assert not other.resumed
    assert other.count_told() == 0
    other.close()


def test_a_damaged_ledger_is_thrown_away_and_said_so(tmp_path: Path) -> None:
    """Fault H08: it must not block every later resume."""
    path = ledger_path(tmp_path, "s")
    path.parent.mkdir()
    path.write_bytes(b"no database, but long enough to be taken for one" * 200)
    ledger = Ledger(path, "one")
    assert not ledger.resumed
    ledger.list_(["a"])
    assert ledger.count_listed() == 1
    ledger.close()


def test_a_ledger_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    """Fault H09."""
    (tmp_path / "harvesting").write_text("a file where the folder should be")
    with pytest.raises(LedgerFault):
        Ledger(ledger_path(tmp_path, "s"), "one")


async def test_a_deletion_that_is_told_and_not_listed_any_more_counts_once(tmp_path: Path) -> None:
    """Faults B21, H05: under ``transient`` each is seen both ways, and 8 % are 8 %."""
    spec = oai_spec(200, page_size=100, deleted_record="transient")
    async with a_world(tmp_path, spec) as world:
        await world.harvest()
        world.clock.advance(days=1)
        for identifier in world.endpoint.records.identifiers()[:16]:
            world.endpoint.records.delete(identifier, world.clock())
        record = await world.harvest()
        assert (record.state, record.counts["deleted"]) == ("ok", 16)
        assert world.held() == world.offered()


async def test_what_is_held_waits_until_the_lists_are_compared_again(tmp_path: Path) -> None:
    """Fault H05: the daemon's next run sees only what is new, finds nothing odd and is ok."""
    async with a_world(tmp_path, oai_spec(50, deleted_record="persistent")) as world:
        await world.harvest()
        records = list(world.endpoint.records)

        def waiting() -> Any:
            return world.store.source_status(world.source.name).waiting

        assert waiting() is None
        world.endpoint.records.clear()
        for record in records[:20]:
            world.endpoint.records.put(record)
        world.clock.advance(days=1)
        held = await world.harvest(Order(full=True))
        assert held.state == "held"
        expected = {"run": held.number, "reason": held.details["held"]}
        assert waiting() == expected
        world.clock.advance(days=1)
        assert (await world.harvest()).state == "ok"
        assert waiting() == expected
        for record in records[20:]:
            world.endpoint.records.put(record)
        assert (await world.harvest(Order(full=True))).state == "ok"
        assert waiting() is None


async def test_what_is_shown_of_a_held_run_is_never_more_than_there_is(tmp_path: Path) -> None:
    spec = oai_spec(50, deleted_record="transient")
    async with a_world(tmp_path, spec) as world:
        await world.harvest()
        world.clock.advance(days=1)
        for identifier in world.endpoint.records.identifiers():
            world.endpoint.records.delete(identifier, world.clock())
        record = await world.harvest()
        assert record.details["held"] == "would take away all 50 records"
