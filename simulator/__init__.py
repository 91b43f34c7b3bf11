"""Facilities one can start: OAI-PMH and PaNOSC Search API servers with switchable faults.

``async with running(spec) as facility`` serves records on loopback; ``demo`` holds the facilities
of the demonstration, ``generate`` makes synthetic records from a seed.
"""

from __future__ import annotations

from simulator.dialects import DATAGATEWAY, DIALECTS, ILL, REFERENCE, SCICAT, XFEL, Dialect
from simulator.errors import SimulatorError
from simulator.facility import Facility, FacilitySpec, Request, running
from simulator.faults import KINDS, Fault, Faults, parse_faults
from simulator.oai_pmh import OaiOptions
from simulator.panosc_rest import RestOptions
from simulator.records import Record, Records

__all__ = [
    "DATAGATEWAY",
    "DIALECTS",
    "ILL",
    "KINDS",
    "REFERENCE",
    "SCICAT",
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
    "SimulatorError",
    "parse_faults",
    "running",
]
