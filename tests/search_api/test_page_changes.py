"""From one page of hits to the next: the changes say all, and move as little as they can."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search_api.page_changes import applied, changes

Json = dict[str, Any]


def hit(key: str, score: float = 0.5, **more: Any) -> Json:
    return {"key": key, "score": score, **more}


PAGES = st.lists(
    st.builds(
        hit,
        st.sampled_from("abcdefghijkl"),
        st.sampled_from([0.1, 0.5, 0.9]),
        title=st.sampled_from(["one", "two"]),
    ),
    unique_by=lambda one: str(one["key"]),
)


@given(PAGES, PAGES)
def test_changes_lead_from_any_page_to_any_other(before: list[Json], after: list[Json]) -> None:
    assert applied(before, changes(before, after)) == after


@given(PAGES)
def test_a_page_that_stays_has_no_changes(page: list[Json]) -> None:
    assert not any(changes(page, page).values())


def test_only_what_must_move_is_moved() -> None:
    before = [hit(key) for key in "abcde"]
    after = [hit(key) for key in "eabxcd"]
    found = changes(before, after)
    assert [one["key"] for one in found["moved"]] == ["e"]
    assert found["added"] == [{"position": 3, "hit": hit("x")}]
    assert found["removed"] == []


def test_another_score_is_not_another_hit() -> None:
    before = [hit("a", 0.5, title="one"), hit("b", 0.4, title="two")]
    after = [hit("a", 0.6, title="one"), hit("b", 0.4, title="three")]
    found = changes(before, after)
    assert found["rescored"] == {"a": 0.6}
    assert found["changed"] == [after[1]]
    assert found["moved"] == []
