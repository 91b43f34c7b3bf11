"""What can go wrong in the simulator.

SimulatorError
├── UnknownFault       no fault of this name, or its argument or condition cannot be read
├── UnknownFacility    no demo facility has this name
├── BadRecords         a file of records cannot be read
└── PortInUse          somebody else listens there
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Base of everything that ``simulator`` raises on purpose."""

    exit_code = 1


class UnknownFault(SimulatorError):
    """A fault was asked for that nobody can make."""

    exit_code = 2


class UnknownFacility(SimulatorError):
    """A facility was named that the demo does not have."""

    exit_code = 2


class BadRecords(SimulatorError):
    """The file given as records is missing or of another form."""

    exit_code = 2


class PortInUse(SimulatorError):
    """The port is taken."""
