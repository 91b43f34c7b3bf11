"""Items of a live list: the same JSON as put together anew, for as long as it says the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from catalogue.answers import Hit
from catalogue.facilities import Facility
from catalogue.readings import Pool, make_pool, read_objects
from mappings.context import Context
from search_api.cache import FOREVER
from search_api.facilities import FacilityState, FacilityStates
from search_api.federation.overlay import MOST_REMEMBERED, Overlay
from search_api.live_items import written_items
from search_api.model import MODEL
from search_api.presentation import list_items

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
OPEN = {"pid": "10.5072/open", "title": "Ice „Ih“", "isPublic": True, "releaseDate": "2020-01-01"}
LATER = {
    "pid": "10.5072/later",
    "title": "Lysozyme under pressure",
    "isPublic": True,
    "releaseDate": "2026-05-02T00:00:00.000Z",
}
SILENT = {"pid": "10.5072/silent"}


def pool_of(*documents: dict[str, Any]) -> Pool:
    reading = read_objects("Document", documents, Context("F", "f-live"))
    return make_pool([reading], now=NOW)


def states(url: str = "https://f.example/api") -> FacilityStates:
    found = FacilityStates(cast(Any, None), 60.0)
    found.read_now((FacilityState(Facility("F", "F", url), ()),))
    return found


def page(pool: Pool, score: float = 0.5) -> list[Hit]:
    return [Hit(one.stored, score) for one in pool.of_class("Document")]


def written(pool: Pool, known: FacilityStates, now: datetime, score: float = 0.5) -> bytes:
    overlay = Overlay(pool, cast(Any, None))
    items, _ = written_items(MODEL["Document"], page(pool, score), overlay, known, now)
    return orjson.dumps(items)


def anew(pool: Pool, known: FacilityStates, now: datetime, score: float = 0.5) -> bytes:
    found = [(hit.entity.record, hit.score) for hit in page(pool, score)]
    return orjson.dumps(list_items(MODEL["Document"], found, now, known.provider_of))


def test_items_read_as_those_that_are_put_together_anew() -> None:
    pool, known = pool_of(OPEN, LATER, SILENT), states()
    for score in (0.5, 0, 1e-7, 0.123456):
        assert written(pool, known, NOW, score) == anew(pool, known, NOW, score)


def test_an_item_whose_embargo_has_passed_is_written_anew() -> None:
    """Semantics 2: access is decided at the moment of the question."""
    pool, known = pool_of(OPEN, LATER), states()
    overlay = Overlay(pool, cast(Any, None))
    _, until = written_items(MODEL["Document"], page(pool), overlay, known, NOW)
    before = written(pool, known, NOW)
    for now in (NOW + timedelta(hours=1), until, until + timedelta(days=1)):
        assert written(pool, known, now) == anew(pool, known, now)
    assert written(pool, known, until) != before
    assert NOW < until < FOREVER


def test_another_address_of_the_facility_is_told_at_once() -> None:
    pool, known = pool_of(OPEN), states()
    written(pool, known, NOW)
    known.read_now((FacilityState(Facility("F", "F", "https://other.example/api"), ()),))
    assert b"other.example" in written(pool, known, NOW)


def test_few_items_are_remembered() -> None:
    many = [{"pid": f"10.5072/many-{n}"} for n in range(MOST_REMEMBERED + 50)]
    pool, known = pool_of(*many), states()
    assert written(pool, known, NOW) == anew(pool, known, NOW)
    assert len(pool.remembered) <= MOST_REMEMBERED
