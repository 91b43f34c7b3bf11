"""Fault I03: no document type, no entity, nothing fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from mapping_records import HEADER, dc, only

from mappings import Context, MappingError, crosswalk

BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<dc><identifier>10.5072/x</identifier><title>&b;</title></dc>"
)


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE dc SYSTEM "http://127.0.0.1:9/x.dtd">',
        b'<!DOCTYPE dc [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        b'<!DOCTYPE dc [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>',
        b'<?xml version="1.0"?>\n<!-- hello --><!DOCTYPE dc>',
        b"<!doctype dc>",
    ],
)
def test_a_document_type_is_refused(doctype: bytes) -> None:
    payload = doctype + b"<dc><title>&x;</title></dc>"
    with pytest.raises(MappingError, match="document type"):
        crosswalk("oai_dc", payload, Context("Demo"), HEADER)


def test_entity_expansion_is_refused_before_it_starts() -> None:
    with pytest.raises(MappingError, match="document type"):
        crosswalk("oai_dc", BOMB, Context("Demo"), HEADER)


def test_another_encoding_does_not_hide_a_document_type(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text = (
        '<?xml version="1.0" encoding="UTF-16"?>'
        f'<!DOCTYPE dc [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        "<dc><title>&x;</title></dc>"
    )
    with pytest.raises(MappingError, match="document type"):
        crosswalk("oai_dc", text.encode("utf-16"), Context("Demo"), HEADER)


def test_a_doctype_inside_a_description_is_only_text() -> None:
    inner = "<dc:identifier>10.5072/x</dc:identifier><dc:title><![CDATA[a <!DOCTYPE b]]></dc:title>"
    payload = b"<?xml version='1.0'?><!-- <!DOCTYPE --> " + dc(inner)
    assert only(crosswalk("oai_dc", payload, Context("Demo"), HEADER))["title"] == "a <!DOCTYPE b"


@pytest.mark.parametrize(
    "payload", [b"", b"<dc>", b"<dc", b"<?xml", b"<!-- ", b"no xml", b"<dc>&x;</dc>"]
)
def test_what_is_not_well_formed_is_a_mapping_error(payload: bytes) -> None:
    with pytest.raises(MappingError, match="well-formed"):
        crosswalk("oai_dc", payload, Context("Demo"), HEADER)


def test_a_broken_payload_does_not_spoil_the_next() -> None:
    good = dc("<dc:identifier>10.5072/x</dc:identifier><dc:title>T</dc:title>")
    for broken in (b"<dc>", b"<dc><a></b></dc>", b"\xff\xfe<", b"<dc>&x;</dc>", BOMB):
        with pytest.raises(MappingError):
            crosswalk("oai_dc", broken, Context("Demo"), HEADER)
        assert only(crosswalk("oai_dc", good, Context("Demo"), HEADER))["title"] == "T"
