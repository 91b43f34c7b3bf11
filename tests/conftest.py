"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = "PAN_COMMONS_SHARED_DATA"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party reference data, which is not part of the project.

    It is looked for beside the checkout; elsewhere, name it in ``PAN_COMMONS_SHARED_DATA``.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get(SHARED_DATA, beside))
    if not folder.is_dir():
        pytest.skip(f"third-party reference data not found; set {SHARED_DATA} to its folder")
    return folder
