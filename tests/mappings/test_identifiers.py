"""Identifiers: one canonical form for comparing, the facility's own for display."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.identifiers import (
    LONGEST,
    doi,
    doi_inside,
    entity_key,
    handle,
    identify,
    igsn,
    orcid,
    ror,
    undoubled,
    web_link,
)

RESOLVERS = (
    "",
    "doi:",
    "DOI: ",
    "doi ",
    "https://doi.org/",
    "http://doi.org/",
    "https://dx.doi.org/",
    "http://dx.doi.org/",
    "https://www.doi.org/",
    "doi.org/",
    "dx.doi.org/",
    "info:doi/",
    "urn:doi:",
    "HTTPS://DOI.ORG/",
    "https://doi.org/doi:",
)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("ending", ["", ".", ",", ";", " ", '"', ").", "]"])
def test_one_doi_has_many_spellings(resolver: str, ending: str) -> None:
    """Fault D04: every resolver host, prefix and trailing punctuation."""
    found = identify(f"{resolver}10.22003/XFEL.EU-DATA-700000-00{ending}")
    assert found.scheme == "doi"
    assert found.canonical == "10.22003/xfel.eu-data-700000-00"
    assert found.display == "10.22003/XFEL.EU-DATA-700000-00"


def test_a_percent_encoded_doi_is_decoded_once() -> None:
    assert doi("https://doi.org/10.22003%2FXFEL.EU-DATA") == "10.22003/XFEL.EU-DATA"
    assert doi("10.22003%2FXFEL.EU-DATA") == "10.22003/XFEL.EU-DATA"
    assert doi("10.5072/a%20b") == "10.5072/a%20b"


def test_balanced_brackets_belong_to_a_doi() -> None:
    assert doi("10.1016/0022-0248(78)90001-2") == "10.1016/0022-0248(78)90001-2"
    assert doi("(10.1016/S0022(78)1)") is None
    assert doi("10.1016/S0022(78)1)") == "10.1016/S0022(78)1"


@pytest.mark.parametrize(
    "text",
    [
        "doi:not-a-doi",
        "10.5072",
        "10.5072/",
        "doi:",
        "11.5072/x",
        "10./x",
        "10.5072/ x",
        "",
        "doi:10.a/x",
    ],
)
def test_what_looks_like_a_doi_but_is_none(text: str) -> None:
    """Fault D05."""
    assert doi(text) is None


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("20.500.12269/BRIGHTNESS/MB0033", "20.500.12269/brightness/mb0033"),
        ("https://hdl.handle.net/21.11151/Ab-1", "21.11151/ab-1"),
        ("hdl:11023101/XRR_7", "11023101/xrr_7"),
        ("11023101/XRR_7", "11023101/xrr_7"),
        ("hdl:21.11151%2FX", "21.11151/x"),
    ],
)
def test_handles_may_have_several_slashes(text: str, canonical: str) -> None:
    assert (identify(text).scheme, identify(text).canonical) == ("hdl", canonical)


@pytest.mark.parametrize(
    "text", ["PID.SAMPLE.PREFIX/ds1", "2020/05", "/DESY/petra3/p08", "a/b", "1/2"]
)
def test_local_names_with_a_slash_are_no_handles(text: str) -> None:
    """SciCat's default prefix is the same at every new installation: it must stay local."""
    assert identify(text).scheme == "local"
    assert handle(text) is None


def test_a_handle_with_prefix_10_is_a_doi() -> None:
    assert identify("hdl:10.5072/X").scheme == "local"
    assert identify("https://hdl.handle.net/10.5072/X").scheme == "url"
    assert handle("hdl:10.5072/X") is None


def test_igsn_only_where_it_says_so() -> None:
    assert (identify("IGSN: abc123").scheme, identify("igsn:abc123").canonical) == (
        "igsn",
        "abc123",
    )
    assert igsn("https://igsn.org/HZB001") == "HZB001"
    assert igsn("ABC123") is None
    assert igsn("igsn:?") is None


@pytest.mark.parametrize(
    "text",
    ["0000-0002-1825-0097", "https://orcid.org/0000-0002-1825-0097", "0000000218250097",
     "ORCID: 0000-0002-1825-0097", "http://www.orcid.org/0000-0002-1825-0097/"],
)  # fmt: skip
def test_an_orcid_in_any_writing(text: str) -> None:
    assert orcid(text) == "0000-0002-1825-0097"
    assert identify(text).scheme == "orcid"


def test_the_orcid_check_digit_may_be_x() -> None:
    assert orcid("0000-0002-1694-233x") == "0000-0002-1694-233X"


@pytest.mark.parametrize(
    "text", ["0000-0000-0000-0000", "0000-0002-1825-0098", "default", "", "0000-0002-1825"]
)
def test_placeholders_and_wrong_check_digits_are_no_orcid(text: str) -> None:
    """30 of 455 ESS records have 0000-0000-0000-0000."""
    assert orcid(text) is None


@pytest.mark.parametrize(
    "code",
    ["02550n020", "01xtjs520", "03eh3y714", "01zy2cs03", "02aj13c28", "01js2sh04", "05etxs293"],
)
def test_ror_ids_of_known_facilities(code: str) -> None:
    assert ror(code) == ror(f"https://ror.org/{code.upper()}") == code


@pytest.mark.parametrize("text", ["02550n021", "12550n020", "02550n02", "0255On020", ""])
def test_wrong_ror_ids(text: str) -> None:
    assert ror(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "ftp://example.org/x",
        "http://",
        "https:///x",
        "http://a b",
        'http://a"b',
        "http://a\nb",
        "https://example.org/" + "x" * 2000,
        "http://[<",
    ],
)
def test_links_are_web_addresses_or_nothing(text: str) -> None:
    """Fault I06: nothing that breaks out of an attribute, no other scheme."""
    assert web_link(text) is None


def test_a_web_address_is_kept_as_sent() -> None:
    assert web_link(" HTTPS://example.org/A%2Fb?q=1#x ") == "HTTPS://example.org/A%2Fb?q=1#x"


def test_local_identifiers_are_scoped_by_facility() -> None:
    """§1.2: ESRF 1000001 and ALBA 1000001 are two things; a DOI is one everywhere."""
    assert entity_key("Document", "1000001", "ESRF") == "document:local:ESRF:1000001"
    assert entity_key("Document", "1000001", "ALBA") != entity_key("Document", "1000001", "ESRF")
    for facility in ("ESRF", "ALBA"):
        assert entity_key("Dataset", "doi:10.5072/A", facility) == "dataset:doi:10.5072/a"
    assert entity_key("Document", "10.5072/a", "X") != entity_key("Dataset", "10.5072/a", "X")
    assert entity_key("Instrument", "https://example.org/i", "X").startswith("instrument:local:X:")


def test_doubled_prefixes_are_taken_off() -> None:
    assert undoubled("20.500.12269/20.500.12269/A") == "20.500.12269/A"
    assert undoubled("a/a/a/b") == "a/b"
    assert undoubled("a/a/") == "a/a/"
    assert undoubled("plain") == "plain"


def test_a_doi_inside_a_citation() -> None:
    assert doi_inside("Doe J., Nature 5 (2020), https://doi.org/10.5072/NAT.7.") == "10.5072/NAT.7"
    assert doi_inside("no identifier here 10.5/x") is None


def test_texts_beyond_all_identifiers_are_not_looked_at() -> None:
    long = "10.5072/" + "x" * LONGEST
    assert doi(long + ")") is None
    assert handle(long) is None
    assert igsn("igsn:" + long) is None
    assert identify(long).scheme == "local"


IDENTIFIERS = st.one_of(
    st.text(max_size=30),
    st.builds("{}10.{}/{}{}".format, st.sampled_from(RESOLVERS), st.integers(1000, 99999),
              st.text(max_size=15), st.sampled_from(["", ".", ")", "%2F", "]]"])),
    st.builds("{}20.500.{}/{}".format, st.sampled_from(["", "hdl:"]), st.integers(10, 99999),
              st.text(max_size=15)),
)  # fmt: skip


@settings(max_examples=100)
@given(IDENTIFIERS)
def test_canonical_and_display_forms_are_idempotent(text: str) -> None:
    found = identify(text)
    if found.scheme in ("doi", "hdl"):
        for form in (found.canonical, found.display):
            again = identify(form)
            assert (again.scheme, again.canonical) == (found.scheme, found.canonical)
    assert entity_key("Document", text, "X") == entity_key("Document", text, "X")
