"""Crosswalks beside Sickle's dictionary of the same records, in one run.

Ours: from the parsed element to validated entities with linked techniques and a content hash each.
Sickle: from the same parsed record to its dictionary of names and texts, and nothing else. Records
are all different (names, dates, titles, sizes), so caches help as they do in a real harvest: only
with what really repeats. Processor time of this process, best of several rounds taken in turn.

Run: ``python -m benchmarks.crosswalks [RECORDS]``.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree
from sickle.models import Record

from mappings import Context, Header, content_hash, crosswalk

CONTEXT = Context("Demo", "demo-oai", "Europe/Paris", probes=("photon",))
_FAMILY = [
    "Doe", "Roe", "Müller", "Ångström", "Dall'Antonia", "Gutfreund", "Pojer", "Choiniere",
    "Šimůnek", "García",
]  # fmt: skip
_GIVEN = [
    "Jane", "Richard", "Élodie", "Luca", "Philipp", "Florence", "Jonah", "Zoë", "Ana", "María",
    "Jiří", "Fabio",
]  # fmt: skip
_WORDS = [
    "structure", "dynamics", "of", "lysozyme", "at", "high", "pressure", "in", "thin", "films",
    "of", "perovskite", "membrane", "proteins", "during", "catalysis", "under", "shear",
    "magnetic", "order", "nanoparticles", "ageing", "battery", "cathode", "water", "ice",
]  # fmt: skip
_TECHNIQUES = (
    "small angle x-ray scattering", "SAXS", "x-ray powder diffraction", "tomography",
    "x-ray absorption spectroscopy", "macromolecular crystallography", "XRF mapping",
    "phase contrast", "in situ", "soft matter", "battery", "cultural heritage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """Records per second of one core that a format must reach."""

    format: str
    records_per_s: int
    make: Callable[[random.Random, int], str]


def datacite_record(chance: random.Random, number: int) -> str:
    """A record of about 2.1 kB as ESRF writes them: creators, contributors, dates, subjects,
    rights, size."""
    return _datacite_record(chance, number, is_long=True)


def short_datacite_record(chance: random.Random, number: int) -> str:
    """A record of about 1.4 kB: two or three creators, some with their laboratory, and a
    short abstract."""
    return _datacite_record(chance, number, is_long=False)


def _datacite_record(chance: random.Random, number: int, *, is_long: bool) -> str:
    day, year = chance.randint(1, 28), chance.randint(2015, 2025)
    people = "".join(
        f"<creator><creatorName nameType='Personal'>{_person(chance)}</creatorName>"
        + (_laboratory(chance) if is_long or chance.random() < 0.5 else "")
        + "</creator>"
        for _ in range(chance.randint(1, 4) if is_long else chance.randint(2, 3))
    )
    subjects = "".join(
        f"<subject>{word}</subject>" for word in chance.sample(_TECHNIQUES, 3 if is_long else 2)
    )
    contributors = (
        '<contributors><contributor contributorType="DataCollector">'
        f"<contributorName>{_person(chance)}</contributorName></contributor></contributors>"
        if is_long
        else ""
    )
    head = (
        '<oai_datacite xmlns="http://schema.datacite.org/oai/oai-1.1/"><schemaVersion>4.3'
        "</schemaVersion><payload>"
        '<resource xmlns="http://datacite.org/schema/kernel-4">'
        f'<identifier identifierType="DOI">10.5072/DEMO-ES-{number}</identifier>'
        f"<creators>{people}</creators>{contributors}"
        f"<titles><title>{_sentence(chance, 8)} {number}</title></titles>"
        f"<publisher>Demo Facility</publisher><publicationYear>{year + 3}</publicationYear>"
        f'<subjects><subject subjectScheme="Proposal">MX-{number}</subject>'
        f'<subject subjectScheme="Instrument">ID{chance.randint(1, 32)}</subject>{subjects}'
        "</subjects>"
        f'<dates><date dateType="Collected">{year}-03-{day:02d}T07:30:{number % 60:02d}Z/'
        f"{year}-04-{day:02d}T06:00:00Z</date>"
        f'<date dateType="Available">{year + 3}-04-{day:02d}</date></dates>'
        '<resourceType resourceTypeGeneral="Dataset">Experiment Session</resourceType>'
    )
    sizes = f"<sizes><size>{chance.randint(1, 9999) / 100} GiB</size></sizes>" if is_long else ""
    named = ' rightsIdentifier="CC-BY-4.0"' if is_long else ""
    return (
        f"{head}{sizes}"
        f'<rightsList><rights rightsURI="https://creativecommons.org/licenses/by/4.0/"{named}>'
        'CC BY 4.0</rights></rightsList><descriptions><description descriptionType="Abstract">'
        f"{_sentence(chance, 60 if is_long else 12)}</description></descriptions>"
        "</resource></payload></oai_datacite>"
    )


def dublin_core_record(chance: random.Random, number: int) -> str:
    """A record as icat.oaipmh writes them."""
    day, year = chance.randint(1, 28), chance.randint(2015, 2025)
    people = "".join(f"<dc:creator>{_person(chance)}</dc:creator>" for _ in range(3))
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{_sentence(chance, 8)} {number}</dc:title>"
        f"<dc:identifier>doi:10.5072/demo-{number}</dc:identifier>{people}"
        f"<dc:date>Created: {year}-03-{day:02d}T07:00:{number % 60:02d}Z/"
        f"{year}-03-{day:02d}T23:00:00Z</dc:date>"
        f"<dc:date>Available: {year + 3}-03-{day:02d}T00:00:00Z</dc:date>"
        f"<dc:description>{_sentence(chance, 60)}</dc:description>"
        "<dc:publisher>Demo Facility</dc:publisher><dc:type>Collection</dc:type>"
        "<dc:rights>CC0 Public Domain Dedication (CC0-1.0)</dc:rights></oai_dc:dc>"
    )


GOALS = (
    Goal("oai_datacite", 10_000, datacite_record),
    Goal("oai_dc", 25_000, dublin_core_record),
)


def _person(chance: random.Random) -> str:
    return f"{chance.choice(_FAMILY)}-{chance.randint(1, 500)}, {chance.choice(_GIVEN)}"


def _laboratory(chance: random.Random) -> str:
    return f"<affiliation>Laboratory {chance.randint(1, 400)}, Lund, Sweden</affiliation>"


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words)).capitalize()


def envelopes(goal: Goal, count: int, seed: int = 7) -> list[etree._Element]:
    """OAI-PMH records with header and metadata, all different, from a seed."""
    chance = random.Random(seed)
    page = "".join(
        f"<record><header><identifier>oai:demo:{number}</identifier>"
        "<datestamp>2026-01-01T00:00:00Z</datestamp></header>"
        f"<metadata>{goal.make(chance, number)}</metadata></record>"
        for number in range(count)
    )
    namespace = "http://www.openarchives.org/OAI/2.0/"
    text = f'<ListRecords xmlns="{namespace}">{page}</ListRecords>'
    return list(etree.fromstring(text.encode()))


def run_ours(goal: Goal, records: list[etree._Element]) -> int:
    header = Header("oai:demo:1", "2026-01-01T00:00:00Z")
    hashes = 0
    for record in records:
        mapped = crosswalk(goal.format, record[1][0], CONTEXT, header)
        for entity in mapped.entities:
            hashes += len(content_hash(entity)) > 0
    return hashes


def run_sickle(records: list[etree._Element]) -> int:
    return sum(len(Record(record).metadata) > 0 for record in records)


def measure(goal: Goal, count: int, rounds: int = 15) -> tuple[float, float]:
    """Records per second of processor time: ours, Sickle's."""
    ours = sickle = float("inf")
    run_ours(goal, envelopes(goal, 200, seed=rounds))
    gc.freeze()  # PaNET and the schema stay: as in a worker that lives long
    for round_number in range(rounds):
        records = envelopes(goal, count, seed=round_number)
        gc.collect()
        started = time.process_time()
        run_ours(goal, records)
        ours = min(ours, time.process_time() - started)
        started = time.process_time()
        run_sickle(records)
        sickle = min(sickle, time.process_time() - started)
    return count / ours, count / sickle


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(
        f"{'format':14}{'ours/s':>10}{'goal/s':>10}{'ours/goal':>11}{'sickle/s':>11}{'ours/sickle':>13}"
    )
    for goal in GOALS:
        ours, sickle = measure(goal, count)
        print(
            f"{goal.format:14}{ours:10,.0f}{goal.records_per_s:10,}"
            f"{ours / goal.records_per_s:11.2f}"
            f"{sickle:11,.0f}{ours / sickle:13.2f}"
        )


if __name__ == "__main__":
    main()
