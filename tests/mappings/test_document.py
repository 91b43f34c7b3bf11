"""``docs/crosswalks.md`` is what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings import FORMATS
from mappings.document import main, page

PAGE = Path(__file__).parents[2] / "docs" / "crosswalks.md"


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails: ``python -m mappings.document > docs/crosswalks.md``."""
    main()
    assert capsys.readouterr().out == PAGE.read_text("utf-8")


def test_every_format_has_its_section() -> None:
    text = page()
    for name in FORMATS:
        assert f"`{name}`" in text
    assert "| embargoEndDate | Document.releaseDate, access.embargoUntil |" in text
