"""Ten facilities, checked and harvested once for all tests that ask them live."""

from __future__ import annotations

import pytest

from simulator.simulated_time import run_simulated
from tests.search_api.federation.live_world import Prepared, prepare


@pytest.fixture(scope="session")
def ten_facilities(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Ten dialects, 120 Documents, a fifth of them held by two or three."""
    folder = tmp_path_factory.mktemp("ten")
    return run_simulated(lambda loop: prepare(loop, folder))


@pytest.fixture(scope="session")
def mixed_facilities(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Three facilities have been harvested, three are live with a copy, four are only live."""
    folder = tmp_path_factory.mktemp("mixed")
    modes = {**{f"F{n}": "indexed" for n in (0, 1, 2)}, **{f"F{n}": "both" for n in (3, 4, 5)}}
    return run_simulated(lambda loop: prepare(loop, folder, modes=modes))


@pytest.fixture(scope="session")
def apart_facilities(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Sixty Documents, none of them held twice."""
    folder = tmp_path_factory.mktemp("apart")
    return run_simulated(lambda loop: prepare(loop, folder, 60, shared=0.0))
