"""Whatever comes in: a ``Mapped`` that the schema takes, or a ``MappingError``; in linear time."""

from __future__ import annotations

import errno
import sys
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from mapping_records import DATA

from mappings import FORMATS, Context, Header, MappingError, UnknownFormat, content_hash, crosswalk
from mappings.crosswalks import JSON_FORMATS, XML_FORMATS
from mappings.schema import MODELS

CONTEXT = Context("Demo", "demo", "Europe/Berlin", probes=("neutron",), lists_only_open=True)
HEADER = Header("oai:demo:1", "2020-01-01")
RELAXED = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
    st.sampled_from(
        [
            "10.5072/x",
            "https://doi.org/10.5072/y",
            "2018-01-01T00:00:00+01:00",
            "2018/2019",
            "2018",
            "n/a",
            "SAXS, tomography",
            "5.70 MiB",
            "Doe, Jane",
            "info:eu-repo/semantics/openAccess",
            "CC-BY-4.0",
            "https://example.org",
            "<p>x</p>",
            "PaNET01188",
            "0000-0002-1825-0097",
            "hdl:21.1/x",
            "Created: /",
            "Available: 2018",
            "1.34E+12",
            "keV",
            "No Sample",
            "\u0130",
            "1" * 400,
        ]
    ),
)


def _check(format_name: str, payload: Any) -> None:
    try:
        result = crosswalk(format_name, payload, CONTEXT, HEADER)
    except MappingError:
        return
    for entity in result.entities:
        MODELS[entity["class"]].model_validate(entity)
        content_hash(entity)
    assert crosswalk(format_name, payload, CONTEXT, HEADER) == result


NAMES = sorted(
    {name for _, rules in XML_FORMATS.values() for name in rules.readers}
    | {
        "panosc", "dc", "resource", "creator", "contributor", "title", "date", "subject", "rights",
        "creatorName", "nameIdentifier", "affiliation", "relatedItem", "relatedIdentifier", "size",
        "relatedItemIdentifier", "value", "units", "payload", "oai_datacite", "description", "x",
    }
)  # fmt: skip
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "dateType",
            "subjectScheme",
            "valueURI",
            "relationType",
            "relatedItemType",
            "titleType",
            "resourceTypeGeneral",
            "descriptionType",
            "rightsURI",
            "nameType",
            "contributorType",
            "{urn:x}relationType",
            "affiliationIdentifier",
        ]
    ),
    st.one_of(
        TEXTS, st.sampled_from(["Collected", "Available", "IsCollectedBy", "Instrument", "HasPart"])
    ),
    max_size=2,
)


@st.composite
def _element(draw: st.DrawFn, children: st.SearchStrategy[list[Any]]) -> Any:
    namespace = draw(st.sampled_from(["", "{urn:x}", "{http://scicat.esss.se/panosc}"]))
    element = etree.Element(namespace + draw(st.sampled_from(NAMES)))
    for name, value in draw(ATTRIBUTES).items():
        element.set(name, value)
    element.text = draw(TEXTS)
    for child in draw(children):
        element.append(child)
        child.tail = draw(st.sampled_from([None, "tail"]))
    if draw(st.integers(0, 9)) == 0:
        element.append(etree.Comment("c"))
    return element


TREES = st.recursive(
    _element(st.just([])), lambda inner: _element(st.lists(inner, max_size=4)), max_leaves=12
)


@RELAXED
@given(st.sampled_from(sorted(XML_FORMATS)), TREES)
def test_any_tree_of_elements(format_name: str, tree: Any) -> None:
    _check(format_name, tree)


@RELAXED
@given(st.sampled_from(sorted(XML_FORMATS)), st.lists(TREES, max_size=5))
def test_any_children_of_the_right_root(format_name: str, children: list[Any]) -> None:
    root = {"panosc": "panosc", "oai_dc": "dc"}.get(format_name, "resource")
    element = etree.Element(root)
    element.extend(children)
    _check(format_name, element)


@RELAXED
@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_any_bytes(format_name: str, payload: bytes) -> None:
    _check(format_name, payload)


KEYS = sorted(
    {name for _, rules in JSON_FORMATS.values() for name in rules.readers}
    | {
        "name",
        "value",
        "unit",
        "v",
        "u",
        "person",
        "fullName",
        "orcid",
        "affiliation",
        "path",
        "role",
        "dataFileList",
        "nameIdentifiers",
        "contributorType",
        "$date",
        "panetId",
        "surname",
        "facility",
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.integers(10**25, 10**35),
    st.text(max_size=5),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=4)), inner, max_size=5),
    ),
    max_leaves=20,
)


@RELAXED
@given(st.sampled_from(sorted(JSON_FORMATS)), JSON)
def test_any_json(format_name: str, value: Any) -> None:
    _check(format_name, value)


@RELAXED
@given(st.sampled_from(sorted(JSON_FORMATS)), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_members_of_a_record(format_name: str, value: dict[str, Any]) -> None:
    _check(format_name, {"pid": "10.5072/x", **value})


def _long(format_name: str, count: int) -> Any:
    """A record in which everything is repeated ``count`` times."""
    if format_name in XML_FORMATS:
        root = {"panosc": "panosc", "oai_dc": "dc"}.get(format_name, "resource")
        element = etree.Element(root)
        for name in (
            "title",
            "description",
            "identifier",
            "creator",
            "owner",
            "orcidOfOwner",
            "odd",
        ):
            for number in range(count):
                etree.SubElement(element, name).text = f"Text {number}"
        for name, inner in (("creators", "creator"), ("relatedIdentifiers", "relatedIdentifier"),
                            ("descriptions", "description"), ("subjects", "subject")):  # fmt: skip
            parent = etree.SubElement(element, name)
            for number in range(count):
                child = etree.SubElement(parent, inner)
                child.text = f"10.5072/{number}"
                etree.SubElement(child, "creatorName").text = f"Doe, Jane {number}"
        return element
    many = [{"pid": f"p{n}", "name": f"Doe, Jane {n}", "value": n} for n in range(count)]
    record: dict[str, Any] = dict.fromkeys(KEYS, many)
    return {**record, "pid": "1", "doi": "10.5072/a", "id": "1", "name": "x", "title": "x" * count}


@pytest.mark.parametrize("format_name", FORMATS)
def test_work_grows_no_faster_than_the_record(format_name: str) -> None:
    """Calls are counted, not seconds: the same on a busy machine."""

    few, many = 30, 240

    def calls(count: int) -> int:
        payload = _long(format_name, count)
        made = 0

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            crosswalk(format_name, payload, CONTEXT, HEADER)
        except MappingError:
            pytest.fail("a long record is still a record")
        finally:
            sys.setprofile(before)
        return made

    for count in (few, many):  # what is made once and kept is made before counting
        calls(count)
    assert calls(many) < many / few * calls(few) * 1.5


@pytest.mark.parametrize("format_name", sorted(XML_FORMATS))
def test_deep_elements_do_not_exhaust_the_stack(format_name: str) -> None:
    root = {"panosc": "panosc", "oai_dc": "dc"}.get(format_name, "resource")
    element = current = etree.Element(root)
    for _ in range(2_000):
        current = etree.SubElement(current, "deep")
    current.text = "x"
    crosswalk(format_name, element, CONTEXT, HEADER)
    bottom: Any = 1
    for _ in range(2_000):
        bottom = {"a": [bottom]}
    for name in ("scientificMetadata", "odd", "members"):
        crosswalk("scicat-dataset", {"pid": "1", name: bottom}, CONTEXT, HEADER)


def test_payloads_of_the_wrong_sort() -> None:
    with pytest.raises(MappingError, match="bytes or an XML element"):
        crosswalk("panosc", {"pid": "1"}, CONTEXT, HEADER)
    with pytest.raises(MappingError, match="a JSON object"):
        crosswalk("panosc-document", etree.Element("x"), CONTEXT, HEADER)
    with pytest.raises(UnknownFormat, match="no crosswalk for 'marc'; known: panosc, oai_dc"):
        crosswalk("marc", b"", CONTEXT, HEADER)
    for zone in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(MappingError, match="time zone"):
            crosswalk("panosc", b"<panosc/>", Context("Demo", time_zone=zone), HEADER)


def test_a_process_that_may_open_no_more_files_refuses_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole pages had gone to quarantine, since time zones are files."""

    def none_left(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("mappings.crosswalks.zone", none_left)
    with pytest.raises(OSError, match="Too many"):
        crosswalk("panosc", b"<panosc/>", CONTEXT, HEADER)


def test_the_payload_is_not_changed() -> None:
    for path in sorted(DATA.glob("*.json")):
        format_name = {"scicat_p": "scicat-publisheddata", "scicat_d": "scicat-dataset"}.get(
            path.name[:8], "panosc-document"
        )
        record = orjson.loads(path.read_bytes())
        crosswalk(format_name, record, CONTEXT, HEADER)
        assert record == orjson.loads(path.read_bytes())
