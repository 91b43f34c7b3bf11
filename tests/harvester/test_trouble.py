"""What lasts for hours is said now and then, and its end."""

from __future__ import annotations

from harvester.trouble import Trouble


def test_what_lasts_is_said_at_growing_distances_and_at_its_end() -> None:
    now = 0.0
    trouble = Trouble(lambda: now)
    said = []
    for _ in range(4 * 3600):
        if trouble.again("The disk is full."):
            said.append(now)
        now += 0.5
    assert said == [0, 60, 180, 420, 900, 1860, 3780]
    assert trouble.over()
    assert not trouble.over(), "there is none any more"
    assert trouble.again("The disk is full."), "a new one is said at once"


def test_another_problem_is_said_at_once_and_none_twice_in_turn() -> None:
    trouble = Trouble(lambda: 0.0)
    texts = ["full", "locked", "full", "locked", "full"]
    assert [trouble.again(text) for text in texts] == [True, True, False, False, False]


def test_what_comes_after_an_hour_comes_every_hour() -> None:
    now = 0.0
    trouble = Trouble(lambda: now)
    said = []
    for _ in range(10 * 60):
        if trouble.again("locked"):
            said.append(now / 60)
        now += 60
    assert said == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]
