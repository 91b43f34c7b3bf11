"""Several sources' records of one thing → one entity (§1.1, §1.2, §1.3, §1.6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import SourceEntity, content_hash, merge_entities
from mappings.rights import decide, evidence

KEY = "document:doi:10.5072/a"


def _part(source: str, trust: int, harvested: str = "2026-01-01", **fields: Any) -> SourceEntity:
    entity = {
        "class": "Document", "key": KEY, "pid": "10.5072/A", "facility": source.upper(),
        "kind": "data", "access": decide([]), **fields,
    }  # fmt: skip
    return SourceEntity(source, source.upper(), trust, harvested, entity)


def test_fields_come_from_the_most_trusted_source_that_has_them() -> None:
    merged = merge_entities(
        [_part("b", 2, title="B", summary="from b"), _part("a", 1, title="A", type="proposal")]
    )
    assert (merged["title"], merged["summary"], merged["type"]) == ("A", "from b", "proposal")
    assert merged["provenance"]["title"] == "a"
    assert merged["provenance"]["summary"] == "b"
    assert (merged["facility"], merged["facilities"]) == ("A", ["A", "B"])


def test_of_equal_trust_the_newer_record_is_believed() -> None:
    old = _part("a", 1, "2025-01-01", title="old")
    new = _part("b", 1, "2026-01-01", title="new")
    assert merge_entities([old, new])["title"] == "new"
    same = merge_entities([_part("b", 1, title="b"), _part("a", 1, title="a")])
    assert same["title"] == "a"


def test_lists_are_joined_and_name_all_their_sources() -> None:
    merged = merge_entities(
        [
            _part("a", 1, keywords=["Ice"], datasets=["dataset:local:A:1"],
                  techniques=[{"name": "SAXS", "panet": "PaNET01188"}, {"name": "odd"}],
                  links=[{"rel": "landing", "url": "https://a"}]),
            _part("b", 2, keywords=["ice", "water"], datasets=["dataset:local:B:1"],
                  techniques=[{"name": "small angle", "panet": "PaNET01188"}, {"name": "ODD"}],
                  links=[{"rel": "landing", "url": "https://a"}]),
        ]
    )  # fmt: skip
    assert merged["keywords"] == ["Ice", "water"]
    assert merged["datasets"] == ["dataset:local:A:1", "dataset:local:B:1"]
    assert [technique["name"] for technique in merged["techniques"]] == ["SAXS", "odd"]
    assert merged["links"] == [{"rel": "landing", "url": "https://a"}]
    assert merged["provenance"]["keywords"] == "a, b"
    assert merged["provenance"]["links"] == "a"


def test_dates_that_belong_together_come_from_one_source() -> None:
    merged = merge_entities(
        [
            _part("a", 1, startDate="2020-01-01", startSeconds=1),
            _part("b", 2, startDate="2019-01-01", endDate="2019-02-02", endSeconds=2),
        ]
    )
    assert merged["startDate"] == "2020-01-01"
    assert "endDate" not in merged


def test_evidence_is_joined_and_decided_anew() -> None:
    """§2.2: the less trusted source knows of a restriction."""
    open_access = decide([evidence("open", "a", "open")])
    closed = decide([evidence("restricted", "b", "closed")])
    merged = merge_entities([_part("a", 1, access=open_access), _part("b", 2, access=closed)])
    assert merged["access"]["restriction"] == "restricted"
    assert "openFrom" not in merged["access"]
    assert len(merged["access"]["evidence"]) == 2
    assert merged["provenance"]["access"] == "a, b"


def test_real_datasets_come_before_derived_ones() -> None:
    """§1.3."""
    derived = _part("a", 1, derived=True, title="derived", size=1)
    real = _part("b", 9, title="real")
    merged = merge_entities([derived, real])
    assert (merged["title"], merged["size"]) == ("real", 1)
    assert "derived" not in merged
    assert merge_entities([derived])["derived"] is True


def test_a_kind_that_says_something_is_believed_before_other() -> None:
    assert merge_entities([_part("a", 1, kind="other"), _part("b", 2, kind="poster")])["kind"] == (
        "poster"
    )
    assert merge_entities([_part("a", 1, kind="other")])["kind"] == "other"


def test_an_instrument_has_neither_kind_nor_access() -> None:
    entity = {"class": "Instrument", "key": "instrument:local:A:1", "pid": "1", "name": "D33"}
    merged = merge_entities([SourceEntity("a", "A", 1, "2026", entity)])
    assert merged["facility"] == "A"
    assert not {"kind", "access"} & merged.keys()


def test_different_things_are_never_merged() -> None:
    other = SourceEntity("b", "B", 1, "2026", {"class": "Dataset", "key": "dataset:doi:10.5072/a"})
    with pytest.raises(ValueError, match="all of one key"):
        merge_entities([_part("a", 1), other])
    with pytest.raises(ValueError, match="at least one"):
        merge_entities([])


def test_the_hash_is_of_the_content_and_not_of_its_provenance() -> None:
    """§1.6."""
    one = merge_entities([_part("a", 1, title="T")])
    assert content_hash(one) == content_hash({**one, "provenance": {}, "facilities": ["X"]})
    assert content_hash(one) != content_hash({**one, "title": "U"})
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert len(content_hash({})) == 32


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["x", "y", None])),
        min_size=1, max_size=4, unique_by=lambda row: row[0],
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_of_arrival_does_not_matter(rows: list[Any], chance: Any) -> None:
    parts = [
        _part(source, trust, **({"title": title} if title else {})) for source, trust, title in rows
    ]
    shuffled = list(parts)
    chance.shuffle(shuffled)
    assert merge_entities(parts) == merge_entities(shuffled)
