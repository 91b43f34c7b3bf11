"""What ``/metrics`` tells of sources that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from search_api.health import SHARED, Measurements


@pytest.mark.parametrize("several", [False, True])
def test_of_a_source_that_was_taken_out_nothing_is_told_any_more(
    several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several processes it was told as it had been last, and alarms went on for ever."""
    if several:
        monkeypatch.setenv(SHARED, str(tmp_path))
    else:
        monkeypatch.delenv(SHARED, raising=False)
    measured = Measurements()
    measured._renew(measured.held, {"gone": 1, "there": 0})
    measured._renew(measured.held, {"there": 1})
    told = generate_latest(measured.registry).decode()
    assert 'pan_commons_source_held{source="there"} 1.0' in told
    gone = [line for line in told.splitlines() if 'source="gone"' in line]
    assert gone == (['pan_commons_source_held{source="gone"} NaN'] if several else [])
    measured._renew(measured.held, {"gone": 0, "there": 1})
    told = generate_latest(measured.registry).decode()
    assert 'pan_commons_source_held{source="gone"} 0.0' in told
