"""Records that came live, as they are shown: made once, and anew where they say something else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from catalogue.facilities import Facility
from catalogue.readings import Pool, make_pool, read_objects
from mappings.context import Context
from search_api.facilities import FacilityState, FacilityStates
from search_api.federation.overlay import MOST_REMEMBERED, Overlay
from search_api.hits import LiveRecords, load_children

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DOCUMENT = {
    "pid": "10.5072/one",
    "title": "Lysozyme under pressure",
    "isPublic": False,
    "releaseDate": "2026-05-02T00:00:00.000Z",
    "datasets": [{"pid": "10.5072/one/1", "title": "Run 1"}],
}


def pool_of(*documents: dict[str, Any]) -> Pool:
    reading = read_objects("Document", documents, Context("F", "f-live"))
    return make_pool([reading], now=NOW)


def states(title: str = "F") -> FacilityStates:
    found = FacilityStates(cast(Any, None), 60.0)
    found.read_now((FacilityState(Facility("F", title, "https://f.example/api"), ()),))
    return found


async def shown(pool: Pool, known: FacilityStates, now: datetime) -> tuple[dict[str, Any], bool]:
    """The record as it is shown, and whether it was at hand."""
    overlay = Overlay(pool, cast(Any, None))
    (entity,) = (one.stored for one in pool.of_class("Document"))
    records = LiveRecords(overlay, known, now)
    at_hand = records.has(entity)
    children = {} if at_hand else await load_children(overlay, [entity])
    return records.of(entity, children.get(entity.key)), at_hand


async def test_a_record_is_put_together_once_and_each_asker_may_add_to_it() -> None:
    pool, known = pool_of(DOCUMENT), states()
    first, at_hand = await shown(pool, known, NOW)
    assert not at_hand
    first["score"] = 0.5
    again, at_hand = await shown(pool, known, NOW + timedelta(hours=1))
    assert at_hand
    assert again == {name: value for name, value in first.items() if name != "score"}
    assert again["datasets"] == 1


async def test_a_record_whose_embargo_has_passed_is_shown_anew() -> None:
    """Semantics 2: access is decided at the moment of the question."""
    pool, known = pool_of(DOCUMENT), states()
    before, _ = await shown(pool, known, NOW)
    after, at_hand = await shown(pool, known, NOW + timedelta(days=2))
    assert not at_hand
    assert (before["access"]["state"], after["access"]["state"]) == ("embargoed", "unknown")
    back, at_hand = await shown(pool, known, NOW)
    assert not at_hand
    assert back["access"]["state"] == "embargoed"


async def test_a_record_follows_what_is_configured_of_its_facility() -> None:
    pool, known = pool_of(DOCUMENT), states()
    await shown(pool, known, NOW)
    known.read_now((FacilityState(Facility("F", "F", "https://other.example/api"), ()),))
    again, at_hand = await shown(pool, known, NOW)
    assert not at_hand
    assert again["provider"] == "https://other.example/api"


async def test_a_record_that_was_at_hand_stays_so_while_others_push_it_out() -> None:
    many = [{**DOCUMENT, "pid": f"10.5072/{n}", "datasets": [{"pid": f"10.5072/{n}/1"}]}
            for n in range(MOST_REMEMBERED + 2)]  # fmt: skip
    pool, known = pool_of(*many), states()
    overlay = Overlay(pool, cast(Any, None))
    first, *others = (one.stored for one in pool.of_class("Document"))
    for page in ([first], [first, *others]):
        records = LiveRecords(overlay, known, NOW)
        children = await load_children(overlay, [one for one in page if not records.has(one)])
        for one in reversed(page):
            assert records.of(one, children.get(one.key))["datasets"] == 1
