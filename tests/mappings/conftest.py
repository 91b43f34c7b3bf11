"""Fixtures of the mappings' tests."""

from __future__ import annotations

import sys
from pathlib import Path

# Helpers of a test folder are modules beside the tests; with importlib mode pytest adds no path.
sys.path.insert(0, str(Path(__file__).parent))
