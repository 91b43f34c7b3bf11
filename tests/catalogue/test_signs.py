"""What shows which terms may be among wholes misses none of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catalogue import analysis
from catalogue.signs import Signs, identifiers_are_plain
from tests.catalogue.test_analysis import MIXED


@given(st.lists(st.text() | MIXED, max_size=4))
def test_no_whole_of_plain_identifiers_is_missed(identifiers: list[str]) -> None:
    listed = "\n".join(identifiers).lower()
    if identifiers_are_plain(listed, len(identifiers)):
        signs = Signs((), [listed])
        for identifier in identifiers:
            assert all(map(signs.may_have, analysis.identifier_wholes(identifier)))
            again = analysis.identifier_wholes(identifier.lower())
            assert analysis.identifier_wholes(identifier) == again


def test_signs_show_what_identifiers_are_not_found_by() -> None:
    signs = Signs([" neutron-ray ", " x-ray "], ["10.5072/lyso-zyme-3", "running-s"])
    assert signs.may_have("x-ray")
    assert not signs.may_have("ray")
    assert signs.may_have("lysozyme3")
    assert signs.may_have("run")  # as "runnings" is stemmed, and nothing else
    assert not signs.may_have("lysozymes")
    assert not signs.may_have("ice")
