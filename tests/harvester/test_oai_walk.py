"""When a list ends, told page by page (faults B03–B06, B20)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.oai_walk import COMPLETE_STOPS, Fingerprint, Walk, resumed
from harvester.oai_xml import OaiRecord, Token
from mappings.context import Header


def page(*names: str) -> bytes:
    marks = Fingerprint()
    marks.add([OaiRecord(Header(name, "2024"), False, None) for name in names])
    return marks.digest()


def test_a_fingerprint_depends_on_order_and_place() -> None:
    assert page("a", "b") != page("b", "a")
    assert page("ab") != page("a", "b")


def test_the_size_reached_ends_a_list_whose_token_is_refused() -> None:
    """Fault B04: the last full page has a token, and the next request is an error."""
    walk = Walk()
    assert walk.step(page("a"), 10, Token("t1", complete_list_size=20)) is None
    assert walk.ended_by_error("badResumptionToken") is None
    assert walk.step(page("b"), 10, Token("t2")) is None
    assert walk.ended_by_error("badResumptionToken") == "size_reached"
    assert walk.ended_by_error("noRecordsMatch") == "no_records_after_token"
    assert walk.ended_by_error("cannotDisseminateFormat") is None


def test_no_records_behind_a_token_below_the_size_is_no_end() -> None:
    """Fault B20."""
    walk = Walk()
    walk.step(page("a"), 10, Token("t1", complete_list_size=20))
    assert walk.ended_by_error("noRecordsMatch") == "incomplete"


def test_empty_pages_at_the_announced_size_are_the_end() -> None:
    walk = Walk()
    walk.step(page("a"), 10, Token("t1", complete_list_size=10))
    assert walk.step(page(), 0, Token("t2")) is None
    assert walk.step(page(), 0, Token("t3")) == "size_reached"


def test_repeats_are_borne_longer_while_something_is_missing() -> None:
    """Fault B03: a peer's fixture has three equal pages under new tokens, and then others."""
    walk = Walk()
    walk.step(page("a"), 1, Token("t0", complete_list_size=3))
    assert [walk.step(page("a"), 1, Token(f"t{n}")) for n in range(1, 4)] == [None] * 3
    assert walk.step(page("b"), 1, None) == "incomplete"
    assert walk.seen == 2


def test_a_resumed_walk_keeps_its_counts() -> None:
    """Fault B02."""
    walk = Walk(first_response_date="2024-01-01T00:00:00Z")
    walk.step(page("a"), 10, Token("t1", complete_list_size=12, expiration="2024-01-02"))
    again = resumed(walk.checkpoint(Token("t1")), max_pages=9, max_records=99)
    assert (again.sent, again.seen, again.complete_list_size) == ("t1", 10, 12)
    assert again.first_response_date == "2024-01-01T00:00:00Z"
    assert again.step(page("b"), 2, Token("")) == "empty_token"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abc"), max_size=3),
            st.sampled_from(["s", "t", "u"]),
            st.sampled_from([None, 0, 5, 10**6]),
        ),
        min_size=1,
    )
)
def test_every_hostile_server_is_left_in_the_end(
    pages: list[tuple[list[str], str, int | None]],
) -> None:
    """Fault B03: few tokens and few pages, over and over: the walk ends, and not as complete,
    unless the announced size was met."""
    walk = Walk()
    for number in range(1000):
        names, token, size = pages[number % len(pages)]
        stop = walk.step(page(*names), len(names), Token(token, complete_list_size=size))
        if stop is not None:
            assert stop not in COMPLETE_STOPS or stop == "size_reached"
            return
        walk.sent = token
    raise AssertionError("it walks for ever")
