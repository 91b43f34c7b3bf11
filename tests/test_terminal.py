"""Tables on terminals of any width."""

from __future__ import annotations

from random import Random

import pytest
from rich.console import Console, RenderableType

from pan_commons_terminal import (
    LONGEST_WORD,
    column_widths,
    paragraphs,
    spoken,
    table_of,
    without_empty,
)

COLUMNS = ("Run", "Source", "State", "Why it ended", "Quarantined")
ROWS = [["12", "xfel-oai", "partial", "no_records_after_token", "17"], ["11", "b", "ok", "", "0"]]


def drawn(what: RenderableType, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as shown:
        console.print(what)
    return shown.get()


def test_a_table_that_has_room_breaks_no_word() -> None:
    widths = column_widths(COLUMNS, ROWS, 80)
    assert widths is not None
    text = drawn(table_of("Runs", COLUMNS, ROWS, widths), 80)
    assert all(word in text for row in ROWS for word in row)
    assert "Quarantined" in text


def test_where_a_table_has_no_room_its_rows_are_paragraphs() -> None:
    assert column_widths(COLUMNS, ROWS, 60) is None
    text = drawn(paragraphs("Runs", COLUMNS, ROWS), 60)
    assert "12  xfel-oai\n" in text
    assert "Why it ended: no_records_after_token" in " ".join(text.split())
    assert "Why it ended: ·" not in " ".join(text.split())


@pytest.mark.parametrize("seed", range(50))
def test_columns_fill_no_more_than_the_width_and_hold_each_word(seed: int) -> None:
    random = Random(seed)
    columns, width = ("one", "two", "three"), random.randint(20, 120)

    def cell() -> str:
        words = ["é" * random.randint(1, 50) for _ in range(random.randint(0, 4))]
        return random.choice(" \n").join(words)

    rows = [[cell() for _ in columns] for _ in range(random.randint(0, 5))]
    widths = column_widths(columns, rows, width)
    words = [
        [word for cell in cells for word in cell.split()]
        for cells in zip(columns, *rows, strict=True)
    ]
    least = [min(LONGEST_WORD, max(map(len, found))) for found in words]
    room = width - 3 * len(columns) - 1
    assert (widths is None) == (sum(least) > room)
    if widths is not None:
        assert sum(widths) <= room
        assert all(size >= held for size, held in zip(widths, least, strict=True))


def test_where_room_is_short_columns_with_nothing_in_them_go() -> None:
    columns = ("Run", "Kind", "Why it ended")
    rows = [["12", "", "end of list"], ["11", "", ""]]
    assert without_empty(columns, rows, 80) == (columns, rows)
    narrow = without_empty(columns, rows, 20)
    assert narrow == (["Run", "Why it ended"], [["12", "end of list"], ["11", ""]])
    assert without_empty(columns, [], 10) == (columns, [])


def test_facts_are_spoken_as_people_read_them() -> None:
    facts = {"seen": 1842, "asked_live": True, "left": None, "names": ["a", "b"], "none": []}
    assert spoken(facts) == "seen: 1,842\nasked live: yes\nnames: a, b"
    assert spoken({"Document": {"stop": "end", "count": 2}}) == "Document: stop: end, count: 2"
    assert [spoken(one) for one in (None, False, 0.5, "text", ())] == ["", "no", "0.5", "text", ""]
