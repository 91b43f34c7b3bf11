"""Open or not: from evidence to a state with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.dates import instant
from mappings.rights import (
    STATES,
    AccessState,
    access_at,
    access_statement,
    decide,
    evidence,
    is_licence_like,
    licence,
)

DUE = "2024-03-04T00:00:00Z"
BEFORE = datetime(2024, 3, 3, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2024, 3, 4, tzinfo=UTC)


def _embargo(value: str = DUE) -> dict[str, str]:
    return evidence("embargo_until", "date", value, DUE)


def _says(*words: str) -> list[dict[str, str]]:
    return [evidence(word, "rights", word) for word in words]


def _states(pieces: list[dict[str, str]]) -> tuple[str, str]:
    block = decide(pieces)
    return access_at(block, BEFORE).state, access_at(block, AFTER).state


@pytest.mark.parametrize(
    ("pieces", "states"),
    [
        ([], ("unknown", "unknown")),
        (_says("open"), ("open", "open")),
        (_says("licence"), ("unknown", "unknown")),
        (_says("constant"), ("unknown", "unknown")),
        (_says("embargoed"), ("unknown", "unknown")),
        (_says("restricted"), ("restricted", "restricted")),
        (_says("metadata_only"), ("metadata_only", "metadata_only")),
        (_says("lists_only_open"), ("open", "open")),
        (_says("releases_automatically"), ("unknown", "unknown")),
        ([_embargo()], ("embargoed", "unknown")),
        ([_embargo(), *_says("releases_automatically")], ("embargoed", "open")),
        ([_embargo(), *_says("lists_only_open")], ("embargoed", "open")),
        ([_embargo(), *_says("open")], ("embargoed", "open")),
        ([_embargo(), *_says("licence")], ("embargoed", "unknown")),
    ],
)
def test_each_kind_of_evidence(pieces: list[dict[str, str]], states: tuple[str, str]) -> None:
    """§2.1, §2.2."""
    assert _states(pieces) == states


@pytest.mark.parametrize(
    ("pieces", "states"),
    [
        (_says("open", "restricted"), ("restricted", "restricted")),
        (_says("open", "embargoed"), ("unknown", "unknown")),
        (_says("open", "metadata_only"), ("metadata_only", "metadata_only")),
        (_says("restricted", "metadata_only"), ("metadata_only", "metadata_only")),
        (_says("lists_only_open", "restricted"), ("restricted", "restricted")),
        ([_embargo(), *_says("open", "embargoed")], ("embargoed", "unknown")),
        ([_embargo(), *_says("open", "restricted")], ("embargoed", "unknown")),
        ([_embargo(), *_says("lists_only_open", "restricted")], ("embargoed", "unknown")),
    ],
)
def test_contradictions_are_answered_on_the_cautious_side(
    pieces: list[dict[str, str]], states: tuple[str, str]
) -> None:
    """§2.2, fault D12."""
    assert _states(pieces) == states


def test_of_several_embargoes_the_latest_holds() -> None:
    later = evidence("embargo_until", "other", "2030", "2031-01-01T00:00:00.500Z")
    block = decide([_embargo(), later, *_says("open")])
    assert block["openFrom"] == block["embargoUntil"] == "2031-01-01T00:00:00.500Z"


def _year(later: bool = False) -> dict[str, str]:
    says = "published_later" if later else "published"
    return evidence(says, "year", "2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")


def test_a_year_of_publication_is_no_proof_but_nothing_was_out_before_it() -> None:
    block = decide([_year()])
    assert access_at(block, datetime(2023, 6, 1, tzinfo=UTC)).state == "embargoed"
    assert access_at(block, AFTER).state == "unknown"
    assert "says nothing" in access_at(block, AFTER).reason
    opened = decide([_year(), *_says("open")])
    assert opened["openFrom"] == "2024-01-01T00:00:00Z"


def test_a_year_later_than_the_experiment_is_an_embargo_to_its_end() -> None:
    block = decide([_year(later=True)])
    answer = access_at(block, AFTER)
    assert (answer.state, answer.until) == ("embargoed", "2025-01-01T00:00:00Z")
    assert answer.reason == "embargo until 2025-01-01, by the year of publication"
    assert decide([_year(), *_says("embargoed")])["embargoUntil"] == "2025-01-01T00:00:00Z"


def test_open_since_only_where_a_source_gives_the_date() -> None:
    """§2.3."""
    opened = evidence("opened", "registered", "2022-10-27", "2022-10-27T09:59:47Z")
    block = decide([opened, *_says("open")])
    assert block["openSince"] == block["openFrom"] == "2022-10-27T09:59:47Z"
    assert access_at(block, AFTER) == AccessState(
        "open",
        "the record says that access is open; open since 2022-10-27T09:59:47Z",
        "2022-10-27T09:59:47Z",
    )
    assert access_at(block, datetime(2020, 1, 1, tzinfo=UTC)).reason == (
        "opens on 2022-10-27T09:59:47Z"
    )
    assert "openSince" not in decide([opened])
    early = evidence("opened", "registered", "2022", "2022-01-01T00:00:00Z")
    embargoed = decide([early, _embargo(), *_says("open")])
    assert (embargoed["openFrom"], embargoed["openSince"]) == (DUE, "2022-01-01T00:00:00Z")
    late = evidence("opened", "registered", "2030", "2030-01-01T00:00:00Z")
    assert "openSince" not in decide([late, _embargo(), *_says("open")])


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([_embargo("2024-03-04T01:00:00+01:00")], "ended on 2024-03-04 (local time)"),
        ([_embargo("2024-03-03")], "ended on 2024-03-03 (end of the day)"),
        ([_embargo()], "ended on 2024-03-04, but nobody confirmed"),
        ([_embargo("March")], "ended on 2024-03-04, but nobody confirmed"),
        (_says("embargoed"), "an embargo without a date"),
        (_says("licence"), "does not prove that the data are open"),
        (_says("constant"), "the same of every record"),
        ([], "says nothing about access"),
    ],
)
def test_the_reason_is_in_words(pieces: list[dict[str, str]], words: str) -> None:
    assert words in access_at(decide(pieces), AFTER).reason


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (_says("open"), "the record says that access is open"),
        (_says("lists_only_open"), "this facility lists only open proposals"),
        (
            [_embargo(), *_says("releases_automatically")],
            "this facility releases data when the embargo ends; the embargo ended on 2024-03-04",
        ),
    ],
)
def test_the_reason_for_openness(pieces: list[dict[str, str]], words: str) -> None:
    answer = access_at(decide(pieces), AFTER)
    assert answer.reason == words
    assert answer.open_from in (None, DUE)


def test_evidence_is_kept_once_in_a_fixed_order() -> None:
    pieces = [*_says("open", "licence"), *_says("open")]
    assert decide(pieces) == decide(list(reversed(pieces)))
    assert len(decide(pieces)["evidence"]) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("info:eu-repo/semantics/openAccess", "open"),
        ("OpenAccess", "open"),
        ("info:eu-repo/semantics/closedAccess", "restricted"),
        ("http://purl.org/coar/access_right/c_abf2", "open"),
        ("http://purl.org/coar/access_right/c_f1cf", "embargoed"),
        ("https://purl.org/coar/access_right/c_16ec", "restricted"),
        ("http://purl.org/coar/access_right/c_14cb", "metadata_only"),
        ("Metadata-only access", "metadata_only"),
        ("Available to the public.", "constant"),
        ("CC BY 4.0", None),
    ],
)
def test_access_statements(text: str, says: str | None) -> None:
    assert access_statement(text) == says


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("cc by-nc-sa 4.0 International", "CC-BY-NC-SA-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-sa/3.0/", "CC-BY-SA-3.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("CC0 Public Domain Dedication (CC0-1.0)", "CC0-1.0"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("https://spdx.org/licenses/MIT.html", "MIT"),
        ("CC-BY", None),
        ("ESS", None),
        ("(no licence)", None),
        ("https://creativecommons.org/licenses/odd/4.0/", None),
        ("x" * 400, None),
    ],
)
def test_licences_become_spdx(text: str, spdx: str | None) -> None:
    assert licence(text) == spdx


def test_a_licence_without_version_is_still_a_licence() -> None:
    assert is_licence_like("CC-BY")
    assert is_licence_like("CC0-1.0")
    assert not is_licence_like("ESS")


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["open", "embargoed", "restricted", "metadata_only", "licence", "constant",
                         "lists_only_open", "releases_automatically"]).map(lambda w: _says(w)[0]),
        st.sampled_from([_embargo(), _year(), _year(later=True),
                         evidence("opened", "p", "2022", "2022-01-01T00:00:00Z")]),
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=100)
@given(PIECES)
def test_openness_once_gained_is_not_lost_by_mere_time(pieces: list[dict[str, str]]) -> None:
    """The state changes only at the dates that the block names: engines index the spans."""
    block: dict[str, Any] = decide(pieces)
    moments = [datetime(year, 1, 1, tzinfo=UTC) for year in range(1960, 2040)]
    states = [access_at(block, when).state for when in moments]
    assert set(states) <= set(STATES)
    if "open" in states:
        assert set(states[states.index("open") :]) == {"open"}
        assert instant(block["openFrom"]) <= moments[states.index("open")]
    assert decide(block["evidence"]) == block
