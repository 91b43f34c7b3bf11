"""What all tests share."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED_DATA = "PAN_COMMONS_SHARED_DATA"
TEST_RUN = "PAN_COMMONS_TEST_RUN"
"""The folder that all processes of a test run share. A process whose number lies there in a file
``*.pid`` ends with the run."""

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[TEST_RUN] = tempfile.mkdtemp(prefix="pan-commons-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ.pop(TEST_RUN))
    for number in folder.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number.read_text()), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


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
