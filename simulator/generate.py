"""Synthetic records that read like the field's: proposals with datasets, from a seed.

The same site, seed and number always give the same document, in whatever order they are made.
Every description says that the record is synthetic. Identifiers are under 10.5072, the prefix
that DataCite keeps for tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from mappings.techniques import load_panet
from simulator.records import Record
from simulator.vocabulary import (
    AFFILIATIONS,
    FIRST_NAMES,
    LAST_NAMES,
    TOPICS,
    Beamline,
    Range,
    Sample,
    Topic,
)

NOTICE = "This record is synthetic: generated for demonstration, no such experiment took place."
EMBARGO_YEARS = 3
LICENCES = ("CC-BY-4.0", "CC-BY-4.0", "CC0-1.0")
FIRST_PERIOD = datetime(2018, 1, 15, 8, tzinfo=UTC)
PERIOD_DAYS = 3_200


@dataclass(frozen=True, slots=True)
class Site:
    """An invented facility. ``doi_stem``: DOIs are ``10.5072/{doi_stem}-{number}``.

    ``prefers_labels``: sends technique names only, without PaNET identifiers, as many do.
    """

    name: str
    title: str
    doi_stem: str
    time_zone: str
    beamlines: tuple[Beamline, ...]
    prefers_labels: bool = False


@cache
def _technique(identifier: str) -> tuple[str, str]:
    term = load_panet().term(identifier)
    return term.iri, term.label


def _local(when: datetime, zone: str) -> str:
    return when.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _person(draw: random.Random, site: Site) -> dict[str, Any]:
    first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
    number = FIRST_NAMES.index(first) * len(LAST_NAMES) + LAST_NAMES.index(last)
    return {
        "id": f"{site.doi_stem.lower()}-person-{number}",
        "fullName": f"{first} {last}",
        "firstName": first,
        "lastName": last,
    }


def _members(draw: random.Random, site: Site, pid: str) -> list[dict[str, Any]]:
    members = []
    for place, role in enumerate(("principal investigator", "member", "local contact"), 1):
        home = draw.randrange(len(AFFILIATIONS))
        name, address, city, country = AFFILIATIONS[home]
        members.append(
            {
                "id": f"{pid}-member-{place}",
                "role": role,
                "person": _person(draw, site),
                "affiliation": {
                    "id": home + 1,
                    "name": name,
                    "address": address,
                    "city": city,
                    "country": country,
                },
            }
        )
    return members


def _value(draw: random.Random, span: Range) -> float | int:
    value = round(draw.uniform(span.low, span.high), span.digits)
    return int(value) if span.digits == 0 else value


def _parameters(draw: random.Random, beamline: Beamline, sample: Sample) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": span.name, "value": _value(draw, span), "unit": span.unit}
        for span in beamline.parameters
    ]
    if sample.formula:
        parameters.append({"name": "chemical_formula", "value": sample.formula, "unit": ""})
    return parameters


def _techniques(site: Site, identifiers: list[str]) -> list[dict[str, str]]:
    techniques = []
    for identifier in identifiers:
        iri, label = _technique(identifier)
        if site.prefers_labels:
            pid = f"{site.doi_stem.lower()}-technique-{identifier[-4:]}"
            techniques.append({"pid": pid, "name": label.title()})
        else:
            techniques.append({"pid": iri, "name": label, "panetId": iri})
    return techniques


def instrument(site: Site, beamline: Beamline) -> dict[str, str]:
    """The instrument as the Search API has it."""
    number = site.beamlines.index(beamline) + 1
    pid = f"20.500.5072/{site.doi_stem.lower()}-instrument-{number}"
    return {"pid": pid, "name": beamline.name, "facility": site.name}


def dataset(
    draw: random.Random,
    site: Site,
    beamline: Beamline,
    document_pid: str,
    run: int,
    sample: Sample,
    when: datetime,
) -> dict[str, Any]:
    """One run: techniques, sample, instrument, parameters and files."""
    count = draw.randint(1, len(beamline.techniques))
    pid = f"{document_pid}.{run}"
    size = int(10 ** draw.uniform(7, 12))
    stem = f"run_{run:04d}"
    return {
        "pid": pid,
        "title": f"{sample.name}, run {run}",
        "isPublic": True,
        "creationDate": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "size": size,
        "techniques": _techniques(site, draw.sample(beamline.techniques, count)),
        "instrument": instrument(site, beamline),
        "samples": [
            {
                "pid": f"{pid}-sample",
                "name": sample.name,
                "description": f"{sample.name} (synthetic)",
            }
        ],
        "parameters": _parameters(draw, beamline, sample),
        "files": [
            {
                "id": f"{pid}-file-{part}",
                "name": f"{stem}_{part}.nxs",
                "path": f"/data/{stem}",
                "size": size // 2,
            }
            for part in (1, 2)
        ],
    }


def _text(
    topic: Topic, beamline: Beamline, samples: list[Sample], question: str
) -> tuple[str, str]:
    label = _technique(beamline.techniques[0])[1]
    title = f"{question.capitalize()} of {samples[0].name} by {label}"
    others = f", compared with {samples[1].name}" if len(samples) > 1 else ""
    summary = (
        f"{NOTICE} We study {question} in {samples[0].name}{others} at {beamline.name}, "
        f"a question of {topic.keywords[0]}."
    )
    return title, summary


def document(site: Site, number: int, seed: int = 0, *, now_year: int = 2026) -> dict[str, Any]:
    """Proposal ``number`` of the site as nested PaNOSC JSON.

    About a third are still under embargo at the end of ``now_year``, which is past the usual three
    years for the others; some are restricted, and some say nothing about access.
    """
    draw = random.Random(f"{seed}/{site.name}/{number}")  # noqa: S311 (no secret is drawn)
    beamline = draw.choice(site.beamlines)
    topic = TOPICS[draw.choice(beamline.topics)]
    samples = draw.sample(topic.samples, draw.randint(1, 2))
    title, summary = _text(topic, beamline, samples, draw.choice(topic.questions))
    start = FIRST_PERIOD + timedelta(days=draw.randrange(PERIOD_DAYS), hours=draw.randrange(12))
    end = start + timedelta(days=draw.randint(1, 5))
    pid = f"10.5072/{site.doi_stem}-{number:05d}"
    made: dict[str, Any] = {
        "pid": pid,
        "doi": pid,
        "type": "proposal",
        "title": title,
        "summary": summary,
        "startDate": _local(start, site.time_zone),
        "endDate": _local(end, site.time_zone),
        "keywords": [*topic.keywords, beamline.name],
        "members": _members(draw, site, pid),
        "parameters": [],
        "datasets": [
            dataset(draw, site, beamline, pid, run, samples[run % len(samples)], start)
            for run in range(1, draw.randint(1, 3) + 1)
        ],
        "publisher": site.title,
        "proposal": f"{site.doi_stem.upper()}-{number}",
    }
    made |= _access(draw, end, site, now_year)
    return made


def _access(draw: random.Random, end: datetime, site: Site, now_year: int) -> dict[str, Any]:
    kind = draw.choices(("embargo", "restricted", "silent"), (85, 5, 10))[0]
    if kind == "silent":
        return {"isPublic": True}
    if kind == "restricted":
        return {"isPublic": False, "accessRights": "restrictedAccess"}
    release = end.replace(year=end.year + EMBARGO_YEARS, day=min(end.day, 28))
    past = release.year <= now_year - 1
    return {
        "isPublic": past,
        "releaseDate": _local(release, site.time_zone),
        "license": draw.choice(LICENCES),
        "accessRights": "openAccess" if past else "embargoedAccess",
    }


def records(
    site: Site, count: int, seed: int = 0, *, first: int = 1, sets: tuple[str, ...] = ()
) -> Iterator[Record]:
    """``count`` items in the order of their numbers, one minute apart in their datestamps."""
    since = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(first, first + count):
        yield Record(
            f"oai:{site.name.lower()}.example.org:{number}",
            since + timedelta(minutes=number),
            sets,
            document=document(site, number, seed),
        )
