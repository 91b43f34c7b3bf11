"""All formats over the same named situations: what each makes of one and the same thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson
import pytest
from mapping_records import dc, resource

from mappings import Context, Header, Mapped, access_at, crosswalk

CONTEXT = Context("Demo", "demo", "Europe/Paris", probes=("photon",))
HEADER = Header("oai:demo:7", "2026-01-01T00:00:00Z")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a facility knows; every format writes down as much of it as it can."""

    pid: str | None = "10.5072/Demo-7"
    title: str | None = "Ice under pressure"
    summary: str | None = "We measured ice."
    person: str | None = "Doe, Jane"
    technique: str | None = None
    start: str | None = None
    end: str | None = None
    release: str | None = None
    license: str | None = None
    statement: str | None = None


def _panosc(facts: Facts) -> bytes:
    fields = {
        "id": facts.pid, "name": facts.title, "description": facts.summary, "owner": facts.person,
        "technique": facts.technique, "startDate": facts.start, "endDate": facts.end,
        "embargoEndDate": facts.release, "license": facts.license,
    }  # fmt: skip
    inner = "".join(f"<{name}>{escape(text or '')}</{name}>" for name, text in fields.items())
    return f"<panoscType>{inner}</panoscType>".encode()


def _oai_dc(facts: Facts) -> bytes:
    when = f"Created: {facts.start}/{facts.end}" if facts.start else None
    fields = [
        ("identifier", facts.pid), ("title", facts.title), ("description", facts.summary),
        ("creator", facts.person), ("subject", facts.technique), ("date", when),
        ("date", f"Available: {facts.release}" if facts.release else None),
        ("rights", facts.license), ("rights", facts.statement),
    ]  # fmt: skip
    return dc("".join(f"<dc:{name}>{escape(text)}</dc:{name}>" for name, text in fields if text))


def _datacite(facts: Facts) -> bytes:
    date = "".join(
        f"<date dateType={quoteattr(kind)}>{text}</date>"
        for kind, text in (
            ("Collected", f"{facts.start}/{facts.end}" if facts.start else None),
            ("Available", facts.release),
        )
        if text
    )
    rights = "".join(
        f"<rights>{escape(text)}</rights>" for text in (facts.license, facts.statement) if text
    )
    return resource(
        f"<identifier identifierType='DOI'>{escape(facts.pid or ':unav')}</identifier>"
        f"<titles><title>{escape(facts.title or '')}</title></titles>"
        f"<creators><creator><creatorName>{escape(facts.person or ':null')}</creatorName></creator>"
        f"</creators><dates>{date}</dates><rightsList>{rights}</rightsList>"
        f"<subjects><subject>{escape(facts.technique or '')}</subject></subjects><descriptions>"
        f"<description descriptionType='Abstract'>{escape(facts.summary or '')}</description>"
        "</descriptions>"
    )


def _rest(facts: Facts) -> bytes:
    technique = [{"name": facts.technique}] if facts.technique else []
    record = {
        "pid": facts.pid, "doi": facts.pid, "title": facts.title, "summary": facts.summary,
        "members": [{"person": {"fullName": facts.person}, "role": "creator"}],
        "startDate": facts.start, "endDate": facts.end, "releaseDate": facts.release,
        "license": facts.license,
        "isPublic": True if facts.statement and "open" in facts.statement else None,
        "datasets": [{"pid": "run-1", "techniques": technique}] if technique else [],
    }  # fmt: skip
    return orjson.dumps(record)


def _scicat(facts: Facts) -> bytes:
    record = {
        "doi": facts.pid, "title": facts.title, "abstract": facts.summary,
        "creator": [facts.person], "license": facts.license,
        "status": "registered" if facts.statement and "open" in facts.statement else None,
        "keywords": [facts.technique],
    }  # fmt: skip
    return orjson.dumps(record)


WRITERS: dict[str, Callable[[Facts], bytes]] = {
    "panosc": _panosc,
    "oai_dc": _oai_dc,
    "oai_datacite": _datacite,
    "datacite": _datacite,
    "openaire": _datacite,
    "panosc-document": _rest,
    "scicat-publisheddata": _scicat,
}
each_format = pytest.mark.parametrize("format_name", WRITERS)


def _map(format_name: str, facts: Facts) -> Mapped:
    return crosswalk(format_name, WRITERS[format_name](facts), CONTEXT, HEADER)


def _document(format_name: str, facts: Facts) -> dict[str, Any]:
    return _map(format_name, facts).entities[0]


@each_format
def test_an_ordinary_record(format_name: str) -> None:
    document = _document(format_name, Facts())
    assert document["key"] == "document:doi:10.5072/demo-7"
    assert (document["pid"], document["doi"]) == ("10.5072/Demo-7", "10.5072/Demo-7")
    assert (document["title"], document["summary"]) == ("Ice under pressure", "We measured ice.")
    assert document["members"][0]["person"] == {
        "fullName": "Jane Doe", "firstName": "Jane", "lastName": "Doe",
    }  # fmt: skip
    assert document["kind"] == "data"
    assert access_at(document["access"], NOW).state == "unknown"


@each_format
def test_a_missing_title(format_name: str) -> None:
    """Fault D07."""
    for title in (None, "", " ", ":unav"):
        document = _document(format_name, Facts(title=title))
        assert "title" not in document
        assert document["summary"] == "We measured ice."


@each_format
def test_umlauts_greek_and_markup(format_name: str) -> None:
    """Fault D03."""
    facts = Facts(title="α-Fe<sub>2</sub>O<sub>3</sub> <i>für</i> 10<sup>21</sup>\n  Ångström")
    assert _document(format_name, facts)["title"] == "α-Fe2O3 für 10²¹ Ångström"


@each_format
@pytest.mark.parametrize(
    "spelling",
    ["https://doi.org/10.5072/DEMO-7", "doi:10.5072/demo-7", "10.5072%2FDemo-7", "10.5072/demo-7."],
)
def test_one_doi_in_many_spellings(format_name: str, spelling: str) -> None:
    """Fault D04."""
    document = _document(format_name, Facts(pid=spelling))
    assert document["key"] == "document:doi:10.5072/demo-7"


@each_format
def test_something_that_only_looks_like_a_doi(format_name: str) -> None:
    """Fault D05: the facility's own identifier, scoped by it."""
    document = _document(format_name, Facts(pid="doi:beamtime 7"))
    assert "doi" not in document
    assert document["key"].startswith("document:local:Demo:")


@each_format
def test_nobody_as_creator(format_name: str) -> None:
    for nobody in ("al.", ":null", "", "default"):
        assert "members" not in _document(format_name, Facts(person=nobody))


@each_format
def test_a_technique_that_is_known(format_name: str) -> None:
    dataset = _map(format_name, Facts(technique="small angle x-ray scattering")).entities[1]
    assert dataset["class"] == "Dataset"
    assert [technique["panet"] for technique in dataset["techniques"]] == ["PaNET01188"]


@pytest.mark.parametrize("format_name", ["panosc", "panosc-document"])
def test_a_technique_that_is_unknown_stays_as_text(format_name: str) -> None:
    dataset = _map(format_name, Facts(technique="water divination")).entities[1]
    assert dataset["techniques"] == [{"name": "water divination"}]


@pytest.mark.parametrize(
    "format_name", [name for name in WRITERS if name != "scicat-publisheddata"]
)
def test_experiment_and_release_at_new_year(format_name: str) -> None:
    """§3.1, §2.5: years on the local calendar; the bare date opens at its end."""
    facts = Facts(
        start="2018-01-01T00:00:00+01:00", end="2018-01-02T00:00:00+01:00", release="2030-05-05"
    )
    document = _document(format_name, facts)
    assert document["startDate"] == "2017-12-31T23:00:00Z"
    assert document["years"] == {"first": 2018, "last": 2018}
    assert document["releaseDate"] == "2030-05-05"
    assert document["access"]["embargoUntil"] == "2030-05-05T22:00:00Z"
    assert access_at(document["access"], NOW).state == "embargoed"


@each_format
def test_a_release_never_becomes_a_date_of_the_experiment(format_name: str) -> None:
    """Fault D02."""
    document = _document(format_name, Facts(release="2019-05-05"))
    assert not {"startDate", "endDate", "years", "startSeconds"} & document.keys()


@each_format
def test_a_licence_alone_does_not_open(format_name: str) -> None:
    """§2.2."""
    document = _document(format_name, Facts(license="https://creativecommons.org/licenses/by/4.0/"))
    assert document["license"] == "CC-BY-4.0"
    answer = access_at(document["access"], NOW)
    assert (answer.state, "licence" in answer.reason) == ("unknown", True)


@pytest.mark.parametrize("format_name", [name for name in WRITERS if name != "panosc"])
def test_a_statement_of_open_access_opens(format_name: str) -> None:
    document = _document(format_name, Facts(statement="info:eu-repo/semantics/openAccess"))
    assert access_at(document["access"], NOW).state == "open"


@each_format
def test_a_record_maps_the_same_twice(format_name: str) -> None:
    facts = Facts(technique="SAXS", release="2030", license="CC-BY-4.0")
    assert _map(format_name, facts) == _map(format_name, facts)
