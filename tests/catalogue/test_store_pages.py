"""Pages of records: new, changed, unchanged, deleted, quarantined (semantics 1, fault H06)."""

from __future__ import annotations

from typing import Any

import pytest
from store_world import World, dataset, document, record, tombstone

from catalogue.errors import NotFound
from catalogue.records import SourceRecord
from mappings.context import Header, Mapped, Problem
from mappings.errors import MappingError

A = "doi:10.5072/a"


def paper(title: str = "A", **more: Any) -> SourceRecord:
    return record("oai:a", document(A, title=title), **more)


def test_a_new_record_is_kept_with_its_payload_and_provenance(world: World) -> None:
    report = world.put(paper(payload=b"<a/>", datestamp="2026-01-01", sets=("open",)))
    assert (report.received, report.new, report.entities, report.last_change) == (1, 1, 1, 1)
    (stored,) = world.store.stored_records(f"document:{A}")
    assert stored.payload == b"<a/>"
    assert stored.header == Header("oai:a", "2026-01-01", ("open",))
    assert (stored.source, stored.facility, stored.state) == ("ess-oai", "ESS", "live")
    assert stored.harvested_at == world.now
    assert set(stored.versions) == {"crosswalk", "panet", "units", "context"}


def test_an_unchanged_record_takes_no_change_number(world: World) -> None:
    world.put(paper())
    report = world.put(paper())
    assert (report.unchanged, report.changed, report.entities) == (1, 0, 0)
    assert world.store.last_change() == 1


def test_an_unchanged_payload_still_moves_the_datestamp(world: World) -> None:
    """Fault B18: datestamps that do not mean "changed"."""
    world.put(paper(datestamp="2026-01-01"))
    world.put(paper(datestamp="2026-02-01"))
    (stored,) = world.store.stored_records(f"document:{A}")
    assert stored.header.datestamp == "2026-02-01"
    assert world.store.last_change() == 1


def test_a_changed_payload_with_the_same_meaning_takes_no_change_number(world: World) -> None:
    """Semantics 1.6: the hash covers the normalised entity."""
    world.put(paper(payload=b"<a/>"))
    report = world.put(paper(payload=b"<a />"))
    assert (report.changed, report.entities) == (1, 0)
    (stored,) = world.store.stored_records(f"document:{A}")
    assert stored.payload == b"<a />"


def test_a_changed_record_gets_the_next_change_number(world: World) -> None:
    world.put(paper())
    report = world.put(paper("B"))
    assert (report.changed, report.entities, report.last_change) == (1, 1, 2)
    entity = world.store.entity(f"document:{A}")
    assert entity is not None
    assert (entity.record["title"], entity.change, entity.changed_at) == ("B", 2, world.now)


def test_a_tombstone_deletes_and_a_return_brings_back_under_the_same_ordinal(world: World) -> None:
    """Fault H06: live, deleted, returned."""
    world.put(paper())
    before = world.store.entity(f"document:{A}")
    assert world.put(tombstone("oai:a")).deleted == 1
    gone = world.store.entity(f"document:{A}")
    assert before is not None
    assert gone is not None
    assert gone.deleted
    assert gone.record == {
        "class": "Document",
        "key": f"document:{A}",
        "facility": "ESS",
        "facilities": ["ESS"],
        "provider": "https://ess.example/api",
    }
    assert world.store.count("Document") == 0
    assert world.put(tombstone("oai:a")).deleted == 0
    assert world.put(paper()).entities == 1
    back = world.store.entity(f"document:{A}")
    assert back is not None
    assert (back.deleted, back.ordinal, back.change) == (False, before.ordinal, 3)
    assert world.store.source_status("ess-oai").records == 1


def test_a_tombstone_of_something_never_seen_is_remembered_and_harmless(world: World) -> None:
    assert world.put(tombstone("oai:x")).deleted == 0
    assert world.store.last_change() == 0
    assert world.store.live_identifiers("ess-oai", states=("deleted",)) == ("oai:x",)


def test_reconciliation_deletes_by_name_and_knows_what_left_the_set(world: World) -> None:
    """Semantics 1.4: no longer in set is not deleted."""
    world.put(paper(), record("oai:b", document("doi:10.5072/b")))
    report = world.put(deleted=["oai:a", "oai:unknown"], left_set=["oai:b"])
    assert report.deleted == 1
    assert world.changed(0) == {f"document:{A}": True, "document:doi:10.5072/b": False}
    assert world.store.live_identifiers("ess-oai") == ()
    assert world.store.live_identifiers("ess-oai", states=("left_set",)) == ("oai:b",)
    world.put(record("oai:b", document("doi:10.5072/b")))
    assert world.store.live_identifiers("ess-oai") == ("oai:b",)


def test_live_identifiers_come_in_pages(world: World) -> None:
    world.put(*(record(f"oai:{n}", document(f"doi:10.5072/{n}")) for n in "cabd"))
    first = world.store.live_identifiers("ess-oai", limit=3)
    assert first == ("oai:a", "oai:b", "oai:c")
    assert world.store.live_identifiers("ess-oai", after=first[-1], limit=3) == ("oai:d",)


def test_the_same_identifier_in_two_sources_is_two_records(world: World) -> None:
    """Fault H07."""
    world.put(record("1", document(A, title="ESS")))
    world.put(record("1", document("doi:10.5072/b", title="ILL")), of="ill-oai")
    assert world.store.count("Document") == 2


def test_of_one_identifier_twice_in_a_page_the_newer_datestamp_wins(world: World) -> None:
    """Fault F12."""
    world.put(paper("new", datestamp="2026-02-02"), paper("old", datestamp="2026-01-01"))
    entity = world.store.entity(f"document:{A}")
    assert entity is not None
    assert entity.record["title"] == "new"


def test_an_older_page_that_comes_late_in_a_run_does_not_overwrite(world: World) -> None:
    """Fault F12: in another run the facility is believed."""
    world.put(paper("new", datestamp="2026-02-02"))
    assert world.put(paper("old", datestamp="2026-01-01")).unchanged == 1
    entity = world.store.entity(f"document:{A}")
    assert entity is not None
    assert entity.record["title"] == "new"
    world.finish()
    assert world.put(paper("old", datestamp="2026-01-01")).changed == 1


def test_what_cannot_be_mapped_goes_to_quarantine_and_the_page_goes_on(world: World) -> None:
    error = MappingError("resource/identifier", None, "a DOI")
    report = world.put(paper(), record("oai:bad", payload=b"<bad/>", error=error))
    assert (report.new, report.quarantined, report.entities) == (2, 1, 1)
    (held,) = world.store.quarantine("ess-oai")
    assert (held.identifier, held.path, held.since) == ("oai:bad", "resource/identifier", world.now)
    assert "expected a DOI" in held.reason
    assert world.store.quarantined_payload("ess-oai", "oai:bad") == b"<bad/>"
    problems = world.store.runs("ess-oai")[0].problems
    assert problems == {"quarantined: resource/identifier: expected a DOI": (1, ("oai:bad",))}
    with pytest.raises(NotFound):
        world.store.quarantined_payload("ess-oai", "oai:a")


def test_a_mapped_record_that_breaks_keeps_what_it_said_until_it_can_be_read(world: World) -> None:
    world.put(paper())
    world.put(paper(payload=b"<broken/>", error=MappingError("$", "x", "y")))
    first = world.now
    entity = world.store.entity(f"document:{A}")
    assert entity is not None
    assert not entity.deleted
    assert world.store.source_status("ess-oai").quarantined == 1
    world.put(paper(payload=b"<broken/>", error=MappingError("$", "x", "y")))
    assert world.store.quarantine()[0].since == first
    world.put(paper("B"))
    assert world.store.quarantine() == ()
    assert world.store.source_status("ess-oai").quarantined == 0


def test_a_deleted_record_leaves_quarantine(world: World) -> None:
    world.put(record("oai:bad", error=MappingError("$", "x", "y")))
    world.put(tombstone("oai:bad"))
    assert world.store.quarantine() == ()
    assert world.store.source_status("ess-oai").quarantined == 0


def test_fields_that_could_not_be_read_are_counted_by_reason(world: World) -> None:
    """Fault H04."""
    problem = Problem("date", "32.13.2020", "no date")
    mapped = Mapped((document(A),), problems=(problem,))
    world.put(SourceRecord(Header("oai:a"), "oai_datacite", b"<a/>", mapped))
    assert world.store.runs()[0].problems == {"date: no date": (1, ("oai:a",))}


def test_a_local_pid_finds_one_entity_at_each_facility(world: World) -> None:
    """Semantics 1.2: local pids are scoped by facility."""
    world.put(record("1", document("local:ESS:1000001", pid="1000001")))
    world.put(record("1", document("local:ILL:1000001", pid="1000001")), of="ill-oai")
    found = world.store.find("Document", "pid:1000001")
    assert [item.record["facility"] for item in found] == ["ESS", "ILL"]


@pytest.mark.parametrize(
    "pid", ["10.5072/A", "https://doi.org/10.5072/a", "doi:10.5072/a", "old-1", "10.5072/second"]
)
def test_any_writing_of_any_identifier_finds_the_entity(world: World, pid: str) -> None:
    world.put(record("1", document(A, alternateIds=["old-1", "https://doi.org/10.5072/SECOND"])))
    assert [item.key for item in world.store.find("Document", pid)] == [f"document:{A}"]
    assert world.store.find("Dataset", pid) == ()


def test_an_alternate_identifier_goes_with_its_record(world: World) -> None:
    world.put(record("1", document(A, alternateIds=["old-1"])))
    world.put(record("1", document(A, alternateIds=["old-2"])))
    assert world.store.find("Document", "old-1") == ()
    assert len(world.store.find("Document", "old-2")) == 1
    world.put(tombstone("1"))
    assert world.store.find("Document", "old-2") == ()
    assert world.store.find("Document", "10.5072/a") == ()


def test_classes_never_merge(world: World) -> None:
    """Semantics 1.2: a Document and a Dataset share a DOI."""
    world.put(record("1", document(A), dataset(A)))
    assert (world.store.count("Document"), world.store.count("Dataset")) == (1, 1)
