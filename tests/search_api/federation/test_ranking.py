"""One order for what comes from the index and from facilities (semantics 8.3, 9.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalogue.query import Sort
from search_api.federation.ranking import Deck, Ranked, score_order, sort_order

SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), max_size=30)


def ranked(scores: list[float], prefix: str, *, live: bool) -> list[Ranked]:
    made = [
        Ranked(score_order(score, f"{prefix}{place}"), f"{prefix}{place}", score, live)
        for place, score in enumerate(scores)
    ]
    return sorted(made, key=lambda one: one.order)


@given(SCORES, SCORES, st.integers(1, 7), st.integers(1, 9))
def test_pages_dealt_are_the_merged_ranking_cut_into_pages(
    live: list[float], indexed: list[float], page: int, chunk: int
) -> None:
    """Fault G04: whatever portions the index is fetched in, no hit is skipped or comes twice."""
    ours, index = ranked(live, "l", live=True), ranked(indexed, "i", live=False)
    deck = Deck(list(ours))
    dealt: list[Ranked] = []
    while not deck.is_empty:
        while deck.ready() < page and not deck.index_done:
            fetched = index[deck.index_at : deck.index_at + chunk]
            deck.add(fetched, chunk, got=len(fetched), most=1_000)
        dealt += deck.deal(page)
    assert dealt == sorted([*ours, *index], key=lambda one: one.order)


def test_nothing_is_dealt_that_the_rest_of_the_index_could_come_before() -> None:
    deck = Deck(ranked([0.1], "l", live=True))
    deck.add(ranked([0.9, 0.8], "i", live=False), 2, got=2, most=1_000)
    assert deck.ready() == 2
    deck.add([], 2, got=0, most=1_000)
    assert deck.ready() == 3


def test_sort_values_stand_in_their_order_and_the_undated_last() -> None:
    """Semantics 3.1: either way round, what has no date comes last; ties by key."""
    dated = {"startDate": "2018-01-01T00:00:00Z", "title": "b"}
    later = {"startDate": "2019-01-01T00:00:00Z", "title": "A"}
    undated = {"title": "ä"}
    for descending, expected in ((False, ["d", "l", "u"]), (True, ["l", "d", "u"])):
        sort = (Sort("startDate", descending),)
        orders = {
            key: sort_order(record, "Document", sort, key)
            for key, record in (("u", undated), ("d", dated), ("l", later))
        }
        assert sorted(orders, key=lambda key: orders[key]) == expected
    titles = [
        (sort_order(record, "Document", (Sort("title", True),), key), key)
        for key, record in (("u", undated), ("d", dated), ("l", later))
    ]
    assert [key for _, key in sorted(titles)] == ["d", "u", "l"]
