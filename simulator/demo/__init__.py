"""The facilities of the demonstration."""

from __future__ import annotations

from simulator.demo import european_xfel
from simulator.facility import FacilitySpec

XFEL_PORT = 8091


def facilities() -> tuple[FacilitySpec, ...]:
    """All demo facilities with their usual ports."""
    return (european_xfel.facility(XFEL_PORT),)
