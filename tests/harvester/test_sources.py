"""Configuration: what operators write, and what they are told when it is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.facilities import Service
from harvester.added import add_source, remove_source, write_toml
from harvester.keys import ConfigurationError, NoSuchSource
from harvester.sources import ADDED_NAME, SHIPPED, Configuration, load_configuration

GOOD = """
[contact]
email = "data@example.org"

[facilities.NSX]
title = "A neutron source"
provider = "https://search.example.org/api"
country = "SE"
ror = "02550n020"
time_zone = "Europe/Stockholm"
probes = ["neutron"]
releases_automatically = true

[[facilities.NSX.services]]
name = "Landing page"
template = "https://doi.org/{doi}"

[sources.nsx-oai]
facility = "NSX"
protocol = "oai-pmh"
url = "https://oai.example.org/oai"
format = "oai_datacite"
set = "openaire_data"
schedule = "6h"

[sources.nsx-oai.options]
page_size = 50
pace_s = 0.5

[sources.nsx-api]
facility = "NSX"
protocol = "panosc"
url = "https://search.example.org/api"
mode = "both"
trust = 10
"""


def read(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Configuration:
    path = tmp_path / "operator.toml"
    path.write_text(text, encoding="utf-8")
    return load_configuration(path, tmp_path / "data", environment or {})


def test_a_good_file_becomes_facilities_and_sources(tmp_path: Path) -> None:
    configuration = read(tmp_path, GOOD)
    facility = configuration.facility("NSX")
    assert configuration.contact == "data@example.org"
    assert facility.probes == ("neutron",)
    assert facility.ror == "https://ror.org/02550n020"
    assert facility.services == (Service("Landing page", "https://doi.org/{doi}"),)
    oai, api = configuration.source("nsx-oai"), configuration.source("nsx-api")
    assert (oai.format, oai.set, oai.options) == (
        "oai_datacite",
        "openaire_data",
        {"page_size": 50, "pace_s": 0.5},
    )
    assert (api.format, api.mode, api.trust, api.enabled) == ("panosc-json", "both", 10, True)


def test_what_a_search_api_can_do_may_be_configured(tmp_path: Path) -> None:
    profile = '{ classes = { Document = { state = "served", operators = { gt = "yes" } } } }'
    text = GOOD.replace("trust = 10", f"options = {{ capabilities = {profile} }}")
    found = read(tmp_path, text).source("nsx-api").options["capabilities"]
    assert found["classes"]["Document"]["operators"] == {"gt": "yes"}


def test_the_shipped_file_lists_the_real_facilities_without_demo_data(tmp_path: Path) -> None:
    configuration = load_configuration(None, tmp_path, {})
    names = {facility.name for facility in configuration.facilities}
    assert {"ESRF", "ILL", "ESS", "EuXFEL", "MAXIV", "PSI", "CERIC", "ALBA"} <= names
    assert {"HZDR", "HZB", "DESY", "ISIS", "Elettra", "Diamond"} <= names
    assert not any(source.demo for source in configuration.sources)
    assert configuration.facility("EuXFEL").lists_only_open
    assert configuration.contact is None, "whoever harvests says who they are (semantics 10.5)"


def test_every_shipped_source_that_is_disabled_says_why() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    disabled = [line for line in lines if line.startswith("enabled = false")]
    assert disabled
    assert all("#" in line for line in disabled)


def test_the_contact_may_come_from_the_environment_but_the_file_wins(tmp_path: Path) -> None:
    environment = {"PAN_COMMONS_CONTACT": "me@example.org"}
    assert read(tmp_path, GOOD, environment).contact == "data@example.org"
    without = GOOD.replace('[contact]\nemail = "data@example.org"', "")
    assert read(tmp_path, without, environment).contact == "me@example.org"
    with pytest.raises(ConfigurationError, match="PAN_COMMONS_CONTACT is 'me'"):
        read(tmp_path, without, {"PAN_COMMONS_CONTACT": "me"})


@pytest.mark.parametrize(
    ("change", "to", "says"),
    [
        ('country = "SE"', 'contry = "SE"', r"facilities\.NSX\.contry .* did you mean 'country'"),
        ('country = "SE"', 'country = "Sweden"', "two capital letters"),
        ("page_size = 50", 'repair = ["all"]', 'false, or a list of "ampersands"'),
        ("page_size = 50", "repair = [[]]", 'false, or a list of "ampersands"'),
        ("[contact]", "removed = 5\n[contact]", "removed should be a list of names"),
        ("[contact]", "removed = [[]]\n[contact]", "removed should be a list of names"),
        ("page_size = 50", 'proxy = "socks5://p"', "'none', or an http or https address"),
        ('"Europe/Stockholm"', '"Europe/Stokholm"', "did you mean 'Europe/Stockholm'"),
        ('["neutron"]', '["neutrons"]', 'a list of "photon", "neutron"'),
        ('"02550n020"', '"ror"', "ROR id such as"),
        ('protocol = "panosc"', 'protocol = "panosk"', "did you mean 'panosc'"),
        ('"https://oai.example.org/oai"', '"ftp://oai.example.org"', "http or https"),
        ('"https://oai.example.org/oai"', '"https://u:secret@x.org/oai"', "without user"),
        ('"https://oai.example.org/oai"', '"https://x.org:port/oai"', "http or https"),
        (
            '"https://oai.example.org/oai"',
            '"https://x.org/?repo=a&verb=Identify"',
            "base URL alone",
        ),
        ('facility = "NSX"', 'facility = "NSY"', r"did you mean 'NSX'"),
        ('format = "oai_datacite"', "", r"nsx-oai\.format is missing"),
        ('mode = "both"', 'format = "oai_dc"', "it is 'panosc-json' and may be left out"),
        ('mode = "both"', 'set = "x"', "for oai-pmh only"),
        (
            'mode = "both"',
            "options = { capabilities = { classes = { Proposal = {} } } }",
            "a profile as",
        ),
        ('schedule = "6h"', 'mode = "live"', 'only Search APIs .protocol = "panosc"'),
        ("trust = 10", "trust = true", "a whole number"),
        ("trust = 10", "demo = true", "kept apart"),
        ('schedule = "6h"', 'schedule = "6 hours"', "interval such as '6h'"),
        ('schedule = "6h"', 'schedule = "61 * * * *"', "cron expression"),
        ("page_size = 50", "pagesize = 50", "did you mean 'page_size'"),
        ("page_size = 50", "page_size = 0", "from 1 to"),
        ("pace_s = 0.5", "pace_s = -1", "seconds from 0"),
        ('"data@example.org"', '"data"', "e-mail address"),
        ("{doi}", "{uuid}", "{doi}, {pid} and {proposal}"),
        ("[sources.nsx-api]", '[sources."nsx api"]', "letters, digits"),
        ("[sources.nsx-api]", "[source.nsx-api]", "did you mean 'sources'"),
        ('title = "A neutron source"', "", r"facilities\.NSX\.title is missing"),
        ("[contact]", "[contact", "no valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_would_be_right(
    tmp_path: Path, change: str, to: str, says: str
) -> None:
    assert change in GOOD
    with pytest.raises(ConfigurationError, match=says) as caught:
        read(tmp_path, GOOD.replace(change, to, 1))
    assert "operator.toml" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    """Fault H12."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, GOOD.replace("https://oai.", "https://user:hunter2@oai.", 1))
    assert "hunter2" not in str(caught.value)


def test_missing_unreadable_and_non_utf8_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no configuration file"):
        load_configuration(tmp_path / "none.toml", tmp_path, {})
    with pytest.raises(ConfigurationError, match="is a folder"):
        load_configuration(tmp_path, tmp_path, {})
    path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "M\xfcller"')
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        load_configuration(path, tmp_path, {})


def test_an_unknown_source_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'nsx-api'"):
        read(tmp_path, GOOD).source("nsx-ap")


@pytest.mark.parametrize("name", ["nsx-ap", "elsewhere"])
def test_an_unknown_source_is_answered_with_what_there_is_and_where(
    tmp_path: Path, name: str
) -> None:
    """Whoever forgot ``--config`` saw a name of the shipped file suggested, and nothing else."""
    configuration = read(tmp_path, GOOD)
    with pytest.raises(NoSuchSource) as problem:
        configuration.source(name)
    told = str(problem.value)
    assert all(source.name in told for source in configuration.sources)
    assert f"Read was {configuration.file}; another file is named with --config" in told
    add_source(tmp_path, "nsx-api", {"schedule": "6h"})
    again = load_configuration(configuration.file, tmp_path, {})
    with pytest.raises(NoSuchSource, match=rf"and {tmp_path / ADDED_NAME}; another file"):
        again.source(name)
    with pytest.raises(NoSuchSource, match="Read was the shipped configuration"):
        load_configuration(None, tmp_path / "nowhere", {}).source(name)


def test_adding_and_removing_never_rewrite_the_operators_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    read(tmp_path, GOOD)
    before = (tmp_path / "operator.toml").read_bytes()
    add_source(
        data,
        "new",
        {"facility": "N 2", "protocol": "oai-pmh", "url": "https://n.example/oai", "format": "x"},
        {"title": 'Neu "2" ✨', "provider": "https://n.example/"},
    )
    remove_source(data, "nsx-oai")
    remove_source(data, "nsx-oai")
    configuration = load_configuration(tmp_path / "operator.toml", data, {})
    assert [source.name for source in configuration.sources] == ["nsx-api", "new"]
    assert configuration.facility("N 2").title == 'Neu "2" ✨'
    assert configuration.removed == ("nsx-oai",)
    assert configuration.origins["new"] == data / "sources.toml"
    assert (tmp_path / "operator.toml").read_bytes() == before
    assert sorted(path.name for path in data.iterdir()) == [".sources.toml.lock", "sources.toml"]


def test_adding_a_listed_source_again_only_lays_keys_upon_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    read(tmp_path, GOOD)
    remove_source(data, "nsx-oai")
    add_source(data, "nsx-oai", {"enabled": False})
    source = load_configuration(tmp_path / "operator.toml", data, {}).source("nsx-oai")
    assert source.enabled is False
    assert source.url == "https://oai.example.org/oai"


values = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    lambda children: st.lists(children, max_size=3),
    max_leaves=6,
)
tables = st.recursive(
    st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), values),
    lambda children: st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=8), values | children
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_what_is_written_as_toml_is_read_back_alike(document: dict[str, object]) -> None:
    assert tomllib.loads(write_toml(document)) == document
