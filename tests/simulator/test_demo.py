"""The demo facilities: one real record, the others invented, and all of them say so."""

from __future__ import annotations

import tomllib

import aiohttp

from mappings.techniques import load_panet
from simulator import running
from simulator.demo import configuration, european_xfel, facilities, facility, sites
from simulator.generate import NOTICE, document

SFX = "PaNET01168"


def test_the_demo_copy_holds_proposal_700000_and_nothing_else() -> None:
    (only,) = european_xfel.records()
    assert only.document is not None
    assert only.document["pid"] == "10.22003/XFEL.EU-DATA-700000-00"


def test_generated_records_are_invented_and_say_so() -> None:
    for record in (*sites.neutron_records(), *sites.synchrotron_records()):
        assert record.document is not None
        assert record.document["pid"].startswith("10.5072/")
        assert NOTICE in record.document["summary"]


def test_no_generated_record_has_serial_femtosecond_crystallography() -> None:
    label = load_panet().term(SFX).label
    for record in (*sites.neutron_records(), *sites.synchrotron_records()):
        assert record.document is not None
        named = {t["name"] for d in record.document["datasets"] for t in d["techniques"]}
        assert label not in {name.lower() for name in named}
        assert "SFX" not in record.document["title"] + record.document["summary"]


def test_a_document_depends_on_site_seed_and_number_only() -> None:
    assert document(sites.NEUTRONS, 7) == document(sites.NEUTRONS, 7)
    assert document(sites.NEUTRONS, 7) != document(sites.NEUTRONS, 7, seed=1)
    assert document(sites.NEUTRONS, 7) != document(sites.NEUTRONS, 8)


def test_some_proposals_are_held_by_both_invented_facilities() -> None:
    neutrons = {r.document["pid"] for r in sites.neutron_records() if r.document}
    light = {r.document["pid"] for r in sites.synchrotron_records() if r.document}
    assert len(neutrons & light) == len(sites.SHARED) > 0


def test_the_configuration_names_every_facility_where_it_listens() -> None:
    read = tomllib.loads(configuration(first_port=9001))
    assert set(read["facilities"]) == {spec.name for spec in facilities()}
    assert read["sources"]["fns-api"]["url"] == "http://127.0.0.1:9002/api"
    assert all(source["demo"] for source in read["sources"].values())


async def test_the_shared_proposal_is_answered_by_both() -> None:
    pid = f"10.5072/FNS-{sites.SHARED[0]:05d}".replace("/", "%2F")
    async with (
        running(facility("fns")) as neutrons,
        running(facility("LRL")) as light,
        aiohttp.ClientSession() as session,
    ):
        for one in (neutrons, light):
            async with session.get(f"{one.api_url}/Documents/{pid}") as reply:
                assert reply.status == 200
