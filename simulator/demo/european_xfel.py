"""European XFEL (demo copy): the open proposal 700000 and nothing else.

The OAI-PMH record is the one that the European XFEL showed at the PaNOSC closing event
(2022-11-30), with the oddities of the real endpoint: a Ruby hash in ``request``, a baseURL that is
not the URL harvested, two addresses, root ``panoscType``, 'No Sample', an empty wavelength,
``deletedRecord`` no. The list of samples is only partly legible in the source: the legible names
are given. E-mail addresses are replaced by ones of example.org. ``oai_dc``, ``oai_datacite`` and
the Search API say the same facts in their forms.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulator.dialects import XFEL
from simulator.facility import FacilitySpec
from simulator.oai_pmh import OaiOptions
from simulator.panosc_rest import RestOptions
from simulator.records import Record

NAME = "EuXFEL"
DOI = "10.22003/XFEL.EU-DATA-700000-00"
OAI_PATH = "/metadata/oai-pmh/oai2"
API_PATH = "/metadata/api/panosc/v1"
LANDING_PAGES = "https://in.xfel.eu/metadata/doi/"

SUMMARY = (
    "The European XFEL (EuXFEL) example data proposal contains experimental datasets from various "
    "original beam-times, ..."
)
TECHNIQUES = (
    ("coherent diffraction imaging", "PaNET01174"),
    ("serial femtosecond crystallography", "PaNET01168"),
    ("small angle x-ray scattering", "PaNET01188"),
    ("x-ray photon correlation spectroscopy", "PaNET01205"),
    ("x-ray powder diffraction", "PaNET01101"),
)
SAMPLES = (
    "Water",
    "Lysozyme",
    "Lithium Titanate",
    "No Sample",
    "Vycor",
    "Sucrose Solution 33 v/v",
    "Potassium hexacyanoferrate(II) trihydrate",
    "Xenon",
)
SIZE_BYTES = 9_074_975_744


def document() -> dict[str, Any]:
    """The proposal as nested PaNOSC JSON, as its Search API has it."""
    techniques = []
    for name, term in TECHNIQUES:
        iri = f"http://purl.org/pan-science/PaNET/{term}"
        techniques.append({"pid": iri, "name": name, "panetId": iri})
    samples = [
        {"pid": f"700000-sample-{number}", "name": name}
        for number, name in enumerate(SAMPLES, 1)
        if name != "No Sample"
    ]
    members = [
        {"id": "700000-1", "role": "owner", "person": _person(1, "Fabio Dall'Antonia")},
        {"id": "700000-2", "role": "contributor", "person": _person(2, "Luca Gelisio")},
    ]
    return {
        "pid": DOI,
        "doi": DOI,
        "isPublic": True,
        "type": "proposal",
        "title": "Example Data",
        "summary": SUMMARY,
        "startDate": "2017-11-08T00:00:00+01:00",
        "releaseDate": "2018-01-01T00:00:00+01:00",
        "members": members,
        "datasets": [
            {
                "pid": DOI,
                "title": "Example Data",
                "isPublic": True,
                "creationDate": "2017-11-08T00:00:00+01:00",
                "size": SIZE_BYTES,
                "techniques": techniques,
                "samples": samples,
            }
        ],
        "publisher": "European XFEL",
        "publicationYear": "2017",
        "resourceType": "Investigation",
        "landingPageBase": LANDING_PAGES,
    }


def _person(number: int, name: str) -> dict[str, Any]:
    return {"id": f"xfel-person-{number}", "fullName": name}


def panosc_payload() -> bytes:
    """The ``panosc`` element as the real endpoint wrote it in 2022."""
    values = (
        ("id", DOI),
        ("name", "Example Data"),
        ("description", SUMMARY),
        ("owner", "Fabio Dall'Antonia"),
        ("contributor", "Luca Gelisio"),
        ("embargoEndDate", "2018-01-01T00:00:00+01:00"),
        ("startDate", "2017-11-08T00:00:00+01:00"),
        ("path", LANDING_PAGES + DOI.replace("/", "%2F")),
        ("technique", ", ".join(name for name, _ in TECHNIQUES)),
        ("sampleName", ", ".join(SAMPLES)),
        ("size", str(SIZE_BYTES)),
    )
    inner = "".join(f"<panosc:{name}>{value}</panosc:{name}>" for name, value in values)
    return (
        '<panosc:panoscType xmlns:panosc="http://scicat.esss.se/panosc">'
        f"{inner}<panosc:wavelength/></panosc:panoscType>"
    ).encode()


def records() -> tuple[Record, ...]:
    """The one record, as item ``oai:xfel.eu:30`` of the set ``openaire_data``."""
    return (
        Record(
            "oai:xfel.eu:30",
            datetime(2022, 10, 27, 9, 59, 47, tzinfo=UTC),
            ("openaire_data",),
            document=document(),
            payloads={"panosc": panosc_payload()},
        ),
    )


def facility(port: int = 0) -> FacilitySpec:
    """What to start for the demo copy."""
    return FacilitySpec(
        NAME,
        title="European XFEL (demo copy)",
        records=records,
        oai=OaiOptions(
            path=OAI_PATH,
            repository_name="European XFEL Proposals and Datasets Repository",
            base_url="https://in.xfel.eu/metadata",
            admin_emails=("first.admin@example.org", "second.admin@example.org"),
            prefixes={"panosc": "panosc", "oai_dc": "oai_dc", "oai_datacite": "oai_datacite"},
            sets={"openaire_data": "OpenAIRE data"},
            deleted_record="no",
            ruby_request=True,
            earliest="2019-02-14T14:27:59Z",
        ),
        rest=RestOptions(path=API_PATH, dialect=XFEL),
        port=port,
    )
