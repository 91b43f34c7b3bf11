"""What is sent of a question lets through all that we would let through (issue: the residual)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from catalogue.query import (
    AtFacility,
    Compare,
    Everything,
    InYears,
    Join,
    Node,
    Not,
    OneOf,
    Or,
    Pattern,
    TechniqueIn,
    all_of,
)
from search_api.federation.profiles import ClassProfile, read_profile
from search_api.federation.splitting import conjunction_of, likely_words, split_filter
from simulator.dialects import XFEL
from simulator.loopback import OPERATORS, matches
from simulator.models import MODELS

ALL = frozenset(OPERATORS) | {"and", "or"}
ABLE = ClassProfile(
    "Document",
    checked=True,
    operators=ALL,
    relations={"datasets": "datasets", "members": "members"},
    nested=frozenset({"datasets"}),
    deep=frozenset({"datasets"}),
    joins=True,
)
LIKE_XFEL = replace(ABLE, operators=frozenset(XFEL.operators) & ALL)
AFTER = Compare("startDate", "gte", datetime(2018, 1, 1, tzinfo=UTC).isoformat())
BEFORE = Compare("startDate", "lt", "2019-01-01T00:00:00Z")
LYSOZYME = Pattern(("title",), "Lysozyme in", ignore_case=True)


def where(node: Node, profile: ClassProfile = ABLE, *, likely: bool = True) -> Any:
    return split_filter(node, profile, likely=likely).where


def test_dates_are_sent_with_room_for_every_way_of_comparing_them() -> None:
    assert where(AFTER) == {"startDate": {"gte": "2017-12-30T00:00:00.000Z"}}
    assert where(BEFORE) == {"startDate": {"lte": "2019-01-03T00:00:00.000Z"}}
    both = split_filter(all_of(AFTER, BEFORE), ABLE, likely=False)
    assert len(both.where["and"]) == 2
    assert both.sure
    assert not both.whole


def test_an_operator_that_a_facility_does_not_know_is_never_sent() -> None:
    """Crosswalks 2.3: European XFEL has no gt, lt, and, or, between, like, nlike, ilike."""
    asked = all_of(AFTER, BEFORE, LYSOZYME, Or((LYSOZYME, OneOf("type", ("proposal",)))))
    split = split_filter(asked, LIKE_XFEL, likely=True)
    assert split.operators <= LIKE_XFEL.operators
    assert "and" not in split.where
    assert len(split.where) == 1  # one condition a field, all in one object, need no "and"


def test_without_an_and_different_fields_share_one_object() -> None:
    ends = Compare("endDate", "lte", "2020-01-01T00:00:00Z")
    assert set(where(all_of(AFTER, ends), LIKE_XFEL)) == {"startDate", "endDate"}


def test_conditions_that_a_facility_drops_silently_are_not_sent() -> None:
    """Fault E08: SciCat removes conditions on type and isPublic."""
    profile = replace(ABLE, ignored=frozenset({"type", "isPublic"}))
    assert where(Compare("type", "eq", "proposal"), profile) == {}
    assert where(Compare("type", "eq", "proposal")) == {"type": "proposal"}


def test_a_substring_is_sent_as_its_longest_word() -> None:
    """Our titles have lost the blanks and mark-up that theirs may have; a word stays a word."""
    assert where(LYSOZYME) == {"title": {"ilike": "Lysozyme"}}
    assert where(LYSOZYME, replace(ABLE, like="sql")) == {"title": {"ilike": "%Lysozyme%"}}
    assert where(Pattern(("title",), "Å–θ", ignore_case=True)) == {}
    assert where(Pattern(("title",), "a.*b", "regexp")) == {}
    own_name = Pattern(("name", "facility"), "ESRF", ignore_case=True)
    assert where(own_name) == {}, "a facility may call itself otherwise than it is configured"


def test_a_doi_is_asked_for_in_the_spellings_it_comes_in() -> None:
    found = where(Compare("pid", "eq", "10.5072/Abc"))
    assert set(found["pid"]["inq"]) == {"10.5072/Abc", "10.5072/ABC", "10.5072/abc"}
    assert where(Compare("pid", "eq", "1000001")) == {"pid": "1000001"}


def test_negations_facilities_and_openness_stay_with_us() -> None:
    for node in (Not(LYSOZYME), Compare("title", "neq", "x"), Compare("isPublic", "eq", True)):
        split = split_filter(node, ABLE, likely=True)
        assert (split.where, split.whole) == ({}, False)
    assert split_filter(AtFacility(("ESS",)), ABLE, likely=True).whole
    assert split_filter(Everything(), ABLE, likely=True).whole


def test_years_and_techniques_only_narrow_where_many_records_are_to_choose_from() -> None:
    asked = all_of(InYears(2018, 2019), TechniqueIn(("PaNET01188",)))
    narrow = split_filter(asked, ABLE, likely=True)
    assert narrow.where == {"startDate": {"lte": "2020-01-03T00:00:00.000Z"}}
    inside = narrow.joins["datasets"]["include"][0]
    by_id, by_name = inside["scope"]["where"]["or"]
    assert "http://purl.org/pan-science/PaNET/PaNET01188" in by_id["pid"]["inq"]
    assert "small angle x-ray scattering" in by_name["name"]["inq"]
    assert not narrow.sure
    bare = split_filter(asked, ABLE, likely=False)
    assert (bare.where, bare.joins, bare.sure) == ({}, {}, True)


def test_joins_are_only_sent_where_they_join() -> None:
    node = Join("datasets", Compare("title", "eq", "Run 1"))
    assert split_filter(node, ABLE, likely=True).joins["datasets"]["where"] == {"title": "Run 1"}
    assert split_filter(node, replace(ABLE, joins=False), likely=True).joins == {}


def test_words_become_alternatives_where_only_substrings_can_be_searched() -> None:
    piece = likely_words(("ice", "wa.er", "salt"), ABLE, ("title", "summary"))
    assert piece is not None
    assert len(piece.where["or"]) == 4
    assert likely_words(("ice",), LIKE_XFEL, ("title",)) is None
    narrowed = conjunction_of(split_filter(AFTER, ABLE, likely=True), piece, ABLE)
    assert not narrowed.sure
    assert len(narrowed.where["and"]) == 2


def test_a_service_that_was_never_checked_is_asked_for_plain_lists() -> None:
    profile = read_profile({}, "Document")
    assert not profile.checked
    assert where(all_of(AFTER, LYSOZYME, Compare("pid", "eq", "10.5072/1")), profile) == {}


WORDS = st.sampled_from(["Lysozyme", "water", "in", "Ice", "10.5072/A", "10.5072/a", "proposal"])
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
INSTANTS = st.integers(1_420_070_400, 1_640_995_200).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.builds(Compare, st.just("startDate"), st.sampled_from(["gt", "gte", "lt", "lte"]), INSTANTS),
    st.builds(Compare, st.just("pid"), st.just("eq"), WORDS),
    st.builds(lambda t: Pattern(("title",), t, ignore_case=True), TEXTS),
    st.builds(lambda t: OneOf("pid", tuple(t)), st.lists(WORDS, min_size=1, max_size=3)),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda many: Or(tuple(many))),
        st.lists(inner, min_size=1, max_size=3).map(lambda many: all_of(*many)),
        inner.map(Not),
    ),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries({"pid": WORDS, "title": TEXTS, "startDate": INSTANTS})
PROFILES = st.sets(st.sampled_from(sorted(ALL))).map(
    lambda some: replace(ABLE, operators=frozenset(some) | {"eq"})
)


@given(NODES, RECORDS, PROFILES)
def test_what_we_let_through_the_facility_lets_through(
    node: Node, record: dict[str, Any], profile: ClassProfile
) -> None:
    """The superset property, against the reference's own evaluator of conditions."""
    from catalogue.oracle import Evaluator, Thing

    split = split_filter(node, profile, likely=False)
    assert split.operators <= profile.operators | {"and"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    if Evaluator(now).holds(node, Thing("Document", record)):
        assert not split.where or matches(MODELS["Document"], record, split.where)
