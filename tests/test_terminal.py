"""What all commands share: here how far a long one is."""

from __future__ import annotations

import sys

import pytest

from pan_commons_terminal import COUNTED_AT_ONCE, Counting


class Seconds:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def lines_of(
    capsys: pytest.CaptureFixture[str], steps: int, each_s: float, **options: object
) -> list[str]:
    clock = Seconds()
    with Counting("records indexed", 4_000, monotonic=clock, **options) as counting:  # type: ignore[arg-type]
        for step in range(1, steps + 1):
            counting.reached(step * 10)
            clock.at += each_s
    return capsys.readouterr().err.splitlines()


def test_into_a_log_goes_a_line_every_ten_seconds_the_first_and_the_last_included(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines_of(capsys, 400, 0.0625) == [
        "… 10 of 4,000 records indexed",
        "… 1,610 of 4,000 records indexed",
        "… 3,210 of 4,000 records indexed",
        "… 4,000 of 4,000 records indexed",
    ]


def test_on_a_terminal_there_is_a_line_every_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert len(lines_of(capsys, 64, 0.0625)) == 5


def test_what_has_grown_meanwhile_is_never_more_than_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines_of(capsys, 401, 0.0)[-1] == "… 4,010 of 4,010 records indexed"


def test_nothing_is_said_of_nothing_or_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 0, 1.0) == []
    assert lines_of(capsys, 3, 1.0, silent=True) == []


def test_items_are_counted_as_they_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    many = COUNTED_AT_ONCE + 5
    with Counting("lines read", monotonic=Seconds()) as counting:
        assert sum(counting.each([1] * many)) == many
    assert capsys.readouterr().err.splitlines() == ["… 1,000 lines read", "… 1,005 lines read"]
