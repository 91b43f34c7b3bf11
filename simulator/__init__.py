"""Facilities one can start: OAI-PMH and PaNOSC Search API servers with switchable faults.

``async with running(spec) as facility`` serves records on loopback; ``demo`` holds the facilities
of the demonstration, ``generate`` makes synthetic records from a seed.
"""

from __future__ import annotations

from simulator.dialects import (
    DATAGATEWAY,
    DEAF,
    DIALECTS,
    ESRF,
    FULL_TEXT,
    ILL,
    NO_TEXT,
    REFERENCE,
    SCICAT,
    SUBSTRING,
    TEXT_KINDS,
    XFEL,
    Dialect,
)
from simulator.errors import SimulatorError
from simulator.facility import Facility, FacilitySpec, Request, running, running_all
from simulator.faults import KINDS, Fault, Faults, parse_faults
from simulator.oai_pmh import OaiOptions
from simulator.panosc_rest import RestOptions
from simulator.records import Record, Records
from simulator.scripts import BEHAVIOURS, Schedule, flapping, random_walk

__all__ = [
    "BEHAVIOURS",
    "DATAGATEWAY",
    "DEAF",
    "DIALECTS",
    "ESRF",
    "FULL_TEXT",
    "ILL",
    "KINDS",
    "NO_TEXT",
    "REFERENCE",
    "SCICAT",
    "SUBSTRING",
    "TEXT_KINDS",
    "XFEL",
    "Dialect",
    "Facility",
    "FacilitySpec",
    "Fault",
    "Faults",
    "OaiOptions",
    "Record",
    "Records",
    "Request",
    "RestOptions",
    "Schedule",
    "SimulatorError",
    "flapping",
    "parse_faults",
    "random_walk",
    "running",
    "running_all",
]
