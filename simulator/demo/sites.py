"""The two invented facilities of the demonstration: a neutron source and a synchrotron."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from functools import cache

from simulator.facility import FacilitySpec
from simulator.generate import Site, dataset, document, records
from simulator.oai_pmh import OaiOptions
from simulator.panosc_rest import RestOptions
from simulator.records import Record
from simulator.vocabulary import NEUTRON_BEAMLINES, SYNCHROTRON_BEAMLINES, TOPICS

NEUTRONS = Site(
    "FNS", "Fjordlund Neutron Source (invented)", "FNS", "Europe/Stockholm", NEUTRON_BEAMLINES,
    prefers_labels=True,
)  # fmt: skip
SYNCHROTRON = Site(
    "LRL", "Lindenring Light Source (invented)", "LRL", "Europe/Berlin", SYNCHROTRON_BEAMLINES
)
API_PATH = "/api"
OAI_PATH = "/oai"
SET = "open_data"

NEUTRON_RECORDS = 400
SYNCHROTRON_RECORDS = 600
SHARED = tuple(range(20, NEUTRON_RECORDS, 40))
"""Numbers of neutron proposals that the synchrotron holds too, with a run of its own."""


@cache
def neutron_records(count: int = NEUTRON_RECORDS, seed: int = 0) -> tuple[Record, ...]:
    """The neutron source's proposals."""
    return tuple(records(NEUTRONS, count, seed))


def shared_record(number: int, seed: int = 0) -> Record:
    """A neutron proposal as the synchrotron holds it: the same DOI, one more run, by x-rays."""
    draw = random.Random(f"{seed}/shared/{number}")  # noqa: S311 (no secret is drawn)
    theirs = document(NEUTRONS, number, seed)
    beamline = draw.choice(SYNCHROTRON.beamlines)
    sample = draw.choice(TOPICS[beamline.topics[0]].samples)
    run = dataset(
        draw, SYNCHROTRON, beamline, f"10.5072/LRL-shared-{number:05d}", 1, sample,
        datetime.fromisoformat(theirs["startDate"]),
    )  # fmt: skip
    record = next(records(SYNCHROTRON, 1, seed, first=90_000 + number, sets=(SET,)))
    held = {**theirs, "datasets": [run], "publisher": SYNCHROTRON.title}
    held["members"] = [{**m, "id": f"lrl-{m['id']}"} for m in theirs["members"]]
    return replace(record, document=held)


@cache
def synchrotron_records(count: int = SYNCHROTRON_RECORDS, seed: int = 0) -> tuple[Record, ...]:
    """The synchrotron's own proposals, then those that it shares with the neutron source."""
    own = tuple(records(SYNCHROTRON, count, seed, sets=(SET,)))
    return own + tuple(shared_record(number, seed) for number in SHARED)


def neutron_source(port: int = 0) -> FacilitySpec:
    """PaNOSC REST only."""
    return FacilitySpec(
        NEUTRONS.name,
        title=NEUTRONS.title,
        records=neutron_records,
        rest=RestOptions(path=API_PATH),
        port=port,
        landing_pages=True,
    )


def synchrotron(port: int = 0) -> FacilitySpec:
    """OAI-PMH and PaNOSC REST over the same records."""
    return FacilitySpec(
        SYNCHROTRON.name,
        title=SYNCHROTRON.title,
        records=synchrotron_records,
        oai=OaiOptions(
            path=OAI_PATH,
            repository_name=SYNCHROTRON.title,
            sets={SET: "Open data"},
            deleted_record="persistent",
        ),
        rest=RestOptions(path=API_PATH),
        port=port,
        landing_pages=True,
    )


def generated(count: int, seed: int = 0, port: int = 0) -> FacilitySpec:
    """A synchrotron of any size, for trying things out: both protocols, records from a seed."""
    return replace(synchrotron(port), records=lambda: tuple(records(SYNCHROTRON, count, seed)))
