"""What facilities say at this moment becomes entities as the store would make them (1.2, 1.3)."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime
from typing import Any

from catalogue.readings import Pool, Reading, joined, make_pool, read_objects, tied
from catalogue.records import StoredEntity
from mappings.context import Context

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def context(name: str) -> Context:
    return Context(name, f"{name.lower()}-rest")


def document(pid: str, title: str | None, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "title": title, "type": "proposal", "isPublic": True, **more}


def read(name: str, *items: dict[str, Any]) -> Reading:
    return read_objects("Document", items, context(name))


def pool(*readings: Reading, **more: Any) -> Pool:
    return make_pool(readings, now=NOW, **more)


RUN = {"pid": "10.5072/run", "title": "Run", "isPublic": True}


def test_objects_become_entities_with_their_children_and_their_facility() -> None:
    reading = read("ESS", document("10.5072/a", "A", datasets=[RUN], score=0.7))
    assert reading.listed == ("document:doi:10.5072/a",)
    assert reading.own_scores == {"document:doi:10.5072/a": 0.7}
    found = pool(reading, providers={"ESS": "https://ess.example/api"})
    (entity,) = found.of_class("Document")
    record = entity.stored.record
    assert (record["facility"], record["facilities"]) == ("ESS", ["ESS"])
    assert record["provider"] == "https://ess.example/api"
    assert record["provenance"]["title"] == "ess-rest"
    assert record["datasets"] == ["dataset:doi:10.5072/run"]
    assert [child.key for child in entity.children] == ["dataset:doi:10.5072/run"]
    (dataset,) = found.of_class("Dataset")
    assert dataset.stored.record["documents"] == ["document:doi:10.5072/a"]


def test_datasets_are_tied_to_documents_of_another_list() -> None:
    """Semantics 2.2: each thing is as its own list has it, but for what only Documents tell."""
    datasets = read_objects("Dataset", [{**RUN, "size": 7}], context("ESS"))
    embargoed = document("10.5072/a", "A", releaseDate="2030-01-01T00:00:00Z", datasets=[RUN])
    whole = tied(datasets, read("ESS", embargoed, document("10.5072/b", "B")))
    assert whole.listed == ("dataset:doi:10.5072/run",)
    found = pool(whole)
    (dataset,) = found.of_class("Dataset")
    record = dataset.stored.record
    assert (record["documents"], record["size"]) == (["document:doi:10.5072/a"], 7)
    assert record["access"]["embargoUntil"].startswith("2030-01-01")
    assert "embargoUntil" not in pool(datasets).of_class("Dataset")[0].stored.record["access"]
    assert len(found.of_class("Document")) == 2


def test_one_malformed_object_does_not_break_the_list() -> None:
    """Fault G11: a null title, a ghost and an object without any identifier among good ones."""
    reading = read("ESS", document("10.5072/a", None), {"score": 0}, document("10.5072/b", "B"))
    assert reading.dropped == 1
    assert len(reading.listed) == 2


def test_local_numbers_are_two_things_and_dois_are_one() -> None:
    """Semantics 1.2, faults G08, G09: ESRF 1000001 and ALBA 1000001 are two things; a DOI is one
    everywhere, and every field remembers whose it is."""
    found = pool(
        read("ESRF", document("1000001", "At ESRF"), document("10.5072/x", "Same", summary="S")),
        read("ALBA", document("1000001", "At ALBA"), document("10.5072/X", "Same", license="CC0")),
    )
    keys = [entity.stored.key for entity in found.of_class("Document")]
    assert len(keys) == 3
    merged = found.entities["document:doi:10.5072/x"].stored.record
    assert set(merged["facilities"]) == {"ESRF", "ALBA"}
    assert merged["summary"] == "S"
    assert merged["provenance"]["summary"] == "esrf-rest"


def test_a_copy_in_the_store_fills_gaps_and_is_named_for_them() -> None:
    held = StoredEntity(
        "document:doi:10.5072/a",
        "Document",
        5,
        9,
        False,
        {
            "class": "Document",
            "key": "document:doi:10.5072/a",
            "pid": "10.5072/a",
            "title": "Old title",
            "summary": "Only the copy has it.",
            "access": {"evidence": []},
            "facility": "ILL",
            "facilities": ["ILL"],
            "provider": "https://ill.example/api",
            "provenance": {"title": "ill-oai", "summary": "ill-oai"},
        },
    )
    found = pool(read("ESS", document("10.5072/a", "New title")), held={held.key: held})
    record = found.entities[held.key].stored.record
    assert record["title"] == "New title"
    assert record["summary"] == "Only the copy has it."
    assert record["facilities"] == ["ESS", "ILL"]
    assert record["provenance"]["summary"] == "ill-oai"
    assert record["provenance"]["title"] == "ess-rest"
    assert "\0" not in str(record["provenance"])


def test_pages_of_one_list_are_one_reading_and_repeats_count_once() -> None:
    """Fault G10: a facility that repeats itself says nothing twice."""
    one = read("ESS", document("10.5072/a", "A", score=1), document("10.5072/b", "B"))
    two = read("ESS", document("10.5072/b", "B again", summary="More"), document("10.5072/c", "C"))
    whole = joined([one, two])
    assert [key.rpartition("/")[2] for key in whole.listed] == ["a", "b", "c"]
    assert whole.said["document:doi:10.5072/b"].part()["title"] == "B"
    assert whole.said["document:doi:10.5072/b"].part()["summary"] == "More"


def test_what_is_said_twice_alike_is_not_read_anew() -> None:
    """Lists of one facility overlap; what was worked out of a record holds as long as nothing is
    added to it."""
    same = document("10.5072/a", "Lysozyme", datasets=[RUN])
    more = document("10.5072/a", "Lysozyme", datasets=[RUN, {**RUN, "pid": "10.5072/r2"}])
    context = Context("ESS", "ess-rest")
    readings = [
        read_objects("Document", [one], context, counted=True) for one in (same, same, more)
    ]
    key = "document:doi:10.5072/a"
    twice = joined(readings[:2]).said[key]
    assert twice.row is readings[0].said[key].row
    whole = joined(readings).said[key]
    assert len(whole.contained) == 2
    assert not whole.row.is_counted


def test_what_only_one_facility_says_is_made_once_and_never_mixed_up() -> None:
    """The entities of a reading are kept for the next question; a facility that joins changes them
    for that question alone."""
    reading = read("ESS", document("10.5072/a", "A", datasets=[RUN]))
    first = pool(reading).entities["document:doi:10.5072/a"]
    assert pool(reading).entities["document:doi:10.5072/a"] is first
    other = read("ILL", document("10.5072/a", "A of ILL", datasets=[{**RUN, "pid": "10.5072/r2"}]))
    both = pool(reading, other).entities["document:doi:10.5072/a"]
    assert len(both.children) == 2
    assert pool(reading).entities["document:doi:10.5072/a"] is first
    assert len(first.children) == 1


def test_a_record_is_kept_in_as_much_memory_as_it_takes() -> None:
    """What orjson gives holds memory for several times as much."""
    items = [{"pid": f"10.5072/{n}", "title": f"Study {n}", "summary": "x " * 300}
             for n in range(100)]  # fmt: skip
    read_objects("Document", items, Context("F", "f-live"), counted=True)
    tracemalloc.start()
    try:
        reading = read_objects("Document", items, Context("F", "f-live"), counted=True)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    rows = [said.row for said in reading.said.values()]
    assert len(rows) == len(items)
    assert held < 4 * sum(len(row.written) + len(row.text) + len(row.words) for row in rows)
