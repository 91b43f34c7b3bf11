"""``pan-commons map`` and ``technique`` as a person and a script use them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from mappings.schema import SCHEMA_VERSION, json_schema
from pan_commons import run

DUBLIN_CORE = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Demo</dc:title>'
    "<dc:identifier>doi:10.5072/demo-1</dc:identifier><dc:relation>unplaced</dc:relation></oai_dc:dc>"
)


def test_link_reads_lines_and_writes_lines_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SAXS/WAXS\nlysozyme\n"))
    assert run(["technique", "link", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["id"] for one in first["links"]] == ["PaNET01188", "PaNET01191"]
    assert set(first["links"][0]) == {"id", "label", "confidence", "rule", "matched"}
    assert second == {"text": "lysozyme", "links": []}


def test_a_term_is_shown_by_its_acronym(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["technique", "show", "SAXS", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["id"] == "PaNET01188"
    assert shown["probe"] == "photon"


def test_a_name_that_is_no_technique_is_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["technique", "show", "lysozyme"]) == 1
    assert "no technique of PaNET" in capsys.readouterr().err


def test_the_tree_goes_as_deep_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["technique", "tree", "PaNET01124", "--depth", "1", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert "PaNET01188" in {child["id"] for child in tree["children"]}
    assert all(child["children"] == [] for child in tree["children"])


def test_map_shows_entities_and_what_was_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.xml"
    record.write_text(DUBLIN_CORE, encoding="utf-8")
    assert run(["map", str(record), "--format", "oai_dc"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["entities"][0]["pid"] == "10.5072/demo-1"
    assert "unplaced" in json.dumps(shown)


@pytest.mark.parametrize(
    ("content", "form"), [("<not xml", "oai_dc"), (DUBLIN_CORE, "no-such-format")]
)
def test_what_cannot_be_mapped_is_one_sentence_and_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, form: str
) -> None:
    record = tmp_path / "record.xml"
    record.write_text(content, encoding="utf-8")
    assert run(["map", str(record), "--format", form]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("pan-commons: ")
    assert "Traceback" not in error


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["map", "no-such-file", "--format", "oai_dc"]) == 1
    assert "no-such-file" in capsys.readouterr().err


def test_import_writes_the_table_and_says_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owl = tmp_path / "panet.ttl"
    owl.write_text(
        "@prefix owl: <http://www.w3.org/2002/07/owl#> ."
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> ."
        "@prefix p: <http://purl.org/pan-science/PaNET/> ."
        'p:PaNET01188 a owl:Class ; rdfs:label "SAXS, renamed" .',
        encoding="utf-8",
    )
    assert run(["technique", "import", str(owl), "--output", str(tmp_path / "terms.tsv")]) == 0
    printed = capsys.readouterr()
    assert "PAN_COMMONS_PANET" in printed.err
    assert "SAXS, renamed\tsmall angle x-ray scattering" in (tmp_path / "terms.tsv").read_text()


def test_a_term_is_shown_to_people_with_its_place_in_the_graph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["technique", "show", "PaNET01188"]) == 0
    shown = capsys.readouterr().out
    for text in ("small angle x-ray scattering", "SAXS", "PaNET01124", "PaNET01184", "photon"):
        assert text in shown


def test_a_name_of_several_techniques_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["technique", "show", "SAXS/WAXS"]) == 1
    error = capsys.readouterr().err
    assert "PaNET01188" in error
    assert "PaNET01191" in error


def test_the_tree_is_drawn_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["technique", "tree", "small angle scattering", "--depth", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (own,) = [line for line in lines if "PaNET01188" in line]
    (below,) = [line for line in lines if "PaNET01274" in line]
    assert below.index("anomalous") > own.index("small angle x-ray")


def test_links_are_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["technique", "link", "powder diffraction", "lysozyme", "--probe", "neutron"]) == 0
    shown = capsys.readouterr().out
    assert "PaNET01100" in shown
    assert "no technique of PaNET" in shown


def test_map_reads_standard_input_and_says_what_was_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = DUBLIN_CORE.replace("<dc:relation>", "<dc:date>tomorrow</dc:date><dc:relation>")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(record.encode())))
    assert run(["map", "-", "--format", "oai_dc"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (problem,) = shown["problems"]
    assert (problem["path"], problem["value"]) == ("dc/date", "tomorrow")


def test_an_import_is_reported_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    owl = tmp_path / "panet.ttl"
    owl.write_text(
        "@prefix owl: <http://www.w3.org/2002/07/owl#> ."
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> ."
        "@prefix p: <http://purl.org/pan-science/PaNET/> ."
        'p:PaNET01188 a owl:Class ; rdfs:label "SAXS, renamed" .'
        'p:PaNET01777 a owl:Class ; rdfs:label "new" ; rdfs:subClassOf p:PaNET01188 .',
        encoding="utf-8",
    )
    output = tmp_path / "deep" / "terms.tsv"
    assert run(["technique", "import", str(owl), "--output", str(output), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["added"] == ["PaNET01777"]
    assert report["relabelled"] == ["PaNET01188"]
    assert "PaNET01168" in report["missing"]
    assert report["unnecessary_exceptions"] == []
    assert output.exists()


RECORD = (
    '<record xmlns="http://www.openarchives.org/OAI/2.0/"><header><identifier>oai:demo:7'
    "</identifier><setSpec>open</setSpec><datestamp>2020-01-01</datestamp></header><metadata>"
    "<resource><titles><title>Demo</title></titles>"
    "<rightsList><rights>info:eu-repo/semantics/openAccess</rights></rightsList></resource>"
    "</metadata></record>"
)


def test_a_whole_record_is_mapped_with_its_own_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SciCat's constants are known by the header's datestamp."""
    record = tmp_path / "record.xml"
    record.write_text(RECORD, encoding="utf-8")
    assert run(["map", str(record), "--format", "openaire"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["entities"]
    assert document["pid"] == "oai:demo:7"
    assert [piece["says"] for piece in document["access"]["evidence"]] == ["constant"]
    assert run(["map", str(record), "--format", "openaire", "--identifier", "mine"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["entities"]
    assert document["pid"] == "mine"


def test_a_record_without_a_header_is_mapped_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.xml"
    record.write_text("<record><metadata><resource/></metadata></record>", encoding="utf-8")
    assert run(["map", str(record), "--format", "datacite"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["entities"]
    assert document["pid"] == "example"


def test_the_json_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["map", "--schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema()
    assert printed["version"] == SCHEMA_VERSION
