"""Erasure on request: nothing of it is left, and it does not come back (semantics 11.1)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from store_world import NOON, World, dataset, document, instrument, record, tombstone

from catalogue.errors import NotFound
from catalogue.records import SourceRecord
from catalogue.store import Store
from catalogue.store.forgotten import person_form, plain_text, words_of
from catalogue.store.payloads import SAMPLES
from mappings.errors import MappingError

A = "document:doi:10.5072/a"
B = "document:doi:10.5072/b"
SECRET = b"Zaphodium"


def on_disk(world: World) -> bytes:
    """Every byte of the data folder."""
    return b"".join(path.read_bytes() for path in sorted(world.store.folder.iterdir()))


def secret(title: str = "Zaphodium I") -> SourceRecord:
    return record(
        "oai:a",
        document("doi:10.5072/a", title=title, datasets=["dataset:doi:10.5072/a"]),
        dataset("doi:10.5072/a", derived=True, documents=[A]),
        payload=b"<title>" + title.encode() + b"</title>",
    )


# -- records --------------------------------------------------------------------------------------


def test_whoever_still_reads_what_was_forgotten_is_told_of(tmp_path: Path) -> None:
    """The write-ahead log keeps it as long as a reader looks at the state of before."""
    world = World(tmp_path, busy_timeout_s=0.1)
    world.put(secret())
    with closing(sqlite3.connect(world.store.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        left = world.store.forget("oai:a", now=NOON).left
    assert left is not None
    assert "is being read as it was before" in left
    world.store.compact(NOON)
    assert SECRET not in on_disk(world)


@pytest.mark.parametrize("name", ["https://doi.org/10.5072/A", A, "oai:a"])
def test_a_forgotten_record_is_gone_and_stays_gone(world: World, name: str) -> None:
    world.put(secret(), record("oai:b", document("doi:10.5072/b")))
    world.put(secret("Zaphodium II"))
    since = world.store.last_change()
    report = world.store.forget(name, now=NOON)
    assert report.kind == "record"
    assert report.records == [("ess-oai", "oai:a")]
    assert (report.payloads, report.history) == (1, 1)
    assert world.changed(since) == {A: True, "dataset:doi:10.5072/a": True}
    assert set(report.entities) == {A, "dataset:doi:10.5072/a"}
    assert world.put(secret("Zaphodium III")).forgotten == 1
    gone = world.store.entity(A)
    assert gone is not None
    assert gone.deleted
    assert world.store.source_status("ess-oai").records == 1
    assert SECRET not in on_disk(world)
    assert world.store.check().problems == ()


def test_a_forgotten_entity_does_not_come_in_through_another_source(world: World) -> None:
    world.put(secret())
    world.store.forget("10.5072/a", now=NOON)
    report = world.put(
        record(
            "x",
            document("doi:10.5072/b", title="other", datasets=["dataset:doi:10.5072/a"]),
            dataset("doi:10.5072/a", title="Zaphodium"),
        ),
        of="ill-oai",
    )
    assert report.entities == 1
    (stored,) = world.store.stored_records(B)
    assert stored.payload is None
    assert SECRET not in on_disk(world)


def test_only_what_was_asked_for_is_taken_from_a_record_that_speaks_of_more(world: World) -> None:
    world.put(
        record(
            "p",
            document("doi:10.5072/b", datasets=["dataset:doi:10.5072/s"]),
            dataset("doi:10.5072/s", title="Zaphodium"),
            instrument("local:ESS:I"),
        )
    )
    report = world.store.forget("dataset:doi:10.5072/s", now=NOON)
    assert (report.records, report.payloads) == ([], 1)
    assert world.store.count("Document") == 1
    assert world.store.count("Dataset") == 0
    assert world.store.children([B], "datasets") == {B: ()}
    assert SECRET not in on_disk(world)
    assert world.store.check().problems == ()


def test_a_quarantined_record_is_found_by_the_identifier_in_it(world: World) -> None:
    payload = b"<id>10.5072/Quarantined</id>"
    world.put(record("q", payload=payload, error=MappingError("$", "x", "y")))
    report = world.store.forget("https://doi.org/10.5072/quarantined", now=NOON, kind="record")
    assert report.records == [("ess-oai", "q")]
    assert world.store.quarantine() == ()
    assert b"10.5072/Quarantined" not in on_disk(world)
    again = record("q", payload=payload, error=MappingError("$", "x", "y"))
    assert world.put(again).forgotten == 1
    assert world.store.check().problems == ()


def quarantined(name: str, payload: str) -> SourceRecord:
    return record(name, payload=payload.encode(), error=MappingError("$", "x", "y"))


def test_no_other_quarantined_record_goes_with_one_whose_identifier_begins_alike(
    world: World,
) -> None:
    world.put(
        quarantined("one", "<id>https://doi.org/10.5072/TEST.1</id>"),
        quarantined("ten", "<id>10.5072/test.10</id>"),
        quarantined("version", "<id>10.5072/test.1.2</id>"),
        quarantined("part", "<id>10.5072/test.1/a</id>"),
    )
    report = world.store.forget("10.5072/test.1", now=NOON)
    assert report.records == [("ess-oai", "one")]


def test_a_person_named_in_quarantine_is_a_person_all_the_same(world: World) -> None:
    """Else only the quarantined record would go, and the name stay wherever else it is."""
    member = {"role": "author", "person": {"fullName": "Anna Zaphod"}}
    world.put(
        quarantined("q", "<creator>Anna Zaphod</creator>"),
        record("a", document("doi:10.5072/a", members=[member]), payload=b"<by>Anna Zaphod</by>"),
    )
    report = world.store.forget("Anna Zaphod", now=NOON)
    assert (report.kind, report.payloads) == ("person", 2)
    assert b"Zaphod" not in on_disk(world)


@pytest.mark.parametrize("name", ["glass", "10.5072/mistyped", "oai:mistyped 1", " ", "--"])
def test_what_is_neither_stored_nor_a_full_name_is_not_taken_for_a_person(
    world: World, name: str
) -> None:
    """A mistyped identifier is an error, and a word no reason to erase every payload with it."""
    world.put(
        record("a", document("doi:10.5072/a", title="glass"), payload=b"<title>glass</title>"),
        quarantined("q", "<title>glass</title>"),
    )
    with pytest.raises(NotFound):
        world.store.forget(name, now=NOON)
    assert len(world.store.quarantine()) == 1
    (stored,) = world.store.stored_records(A)
    assert stored.payload is not None


def test_a_record_that_is_not_there_cannot_be_forgotten(world: World) -> None:
    with pytest.raises(NotFound, match="nothing is stored under"):
        world.store.forget("document:doi:10.5072/x", now=NOON, kind="record")


def test_dictionaries_that_learnt_from_a_record_are_replaced(world: World) -> None:
    """A dictionary is made of pieces of its samples."""
    world.put(
        *(
            record(
                f"{n}",
                document(f"doi:10.5072/{n}"),
                payload=b"<r>Zaphodium Beeblebrox %d</r>" % n,
            )
            for n in range(SAMPLES)
        )
    )
    old = world.store.dictionary("ess-oai", "oai_datacite")
    assert old is not None
    assert b"Zaphodium" in old.body
    world.put(
        *(
            record(f"{n}", document(f"doi:10.5072/{n}"), payload=b"<r>plain number %d</r>" % n)
            for n in range(1, SAMPLES)
        )
    )
    world.put(*(tombstone(f"{n}") for n in range(1, SAMPLES)))
    world.store.forget("10.5072/0", now=NOON)
    # What is left of it is in the history of the others, which was not asked for.
    new = world.store.dictionary("ess-oai", "oai_datacite")
    assert new is None or b"Beeblebrox" not in new.body
    assert world.store.check().problems == ()


# -- persons --------------------------------------------------------------------------------------


def signed(identifier: str, *people: dict[str, Any], **more: Any) -> SourceRecord:
    members = [{"role": "creator", "person": person} for person in people]
    entity = document(f"doi:10.5072/{identifier}", members=members, **more)
    names = "".join(f"<creatorName>{p['fullName']}</creatorName>" for p in people)
    return record(identifier, entity, payload=f"<r><i>{identifier}</i>{names}</r>".encode())


ANNA = {"fullName": "Müller, Anna", "orcid": "0000-0002-1825-0097"}
BEN = {"fullName": "Ben Okri"}


def test_a_forgotten_person_is_taken_out_of_records_that_stay(world: World) -> None:
    world.put(signed("a", ANNA, BEN), signed("b", BEN))
    since = world.store.last_change()
    report = world.store.forget("anna MULLER", now=NOON)
    assert report.kind == "person"
    assert (report.records, report.payloads, report.entities) == ([], 1, [A])
    assert world.changed(since) == {A: False}
    entity = world.store.entity(A)
    assert entity is not None
    assert [m["person"]["fullName"] for m in entity.record["members"]] == ["Ben Okri"]
    (stored,) = world.store.stored_records(A)
    assert stored.payload is None
    (other,) = world.store.stored_records(B)
    assert other.payload is not None
    assert "Müller".encode() not in on_disk(world)


def test_a_forgotten_person_does_not_return_with_the_next_harvest(world: World) -> None:
    world.put(signed("a", ANNA, BEN))
    world.store.forget("0000-0002-1825-0097", now=NOON)
    world.put(signed("a", ANNA, BEN), signed("c", ANNA, BEN, title="new"))
    for key in (A, "document:doi:10.5072/c"):
        entity = world.store.entity(key)
        assert entity is not None
        assert [m["person"]["fullName"] for m in entity.record["members"]] == ["Ben Okri"]
    assert "Müller".encode() not in on_disk(world)


def test_superseded_versions_and_quarantine_are_searched_for_a_person(world: World) -> None:
    world.put(signed("a", ANNA))
    world.put(signed("a", BEN))
    payload = orjson.dumps({"contact": {"firstName": "Anna", "lastName": "Müller"}})
    world.put(record("q", payload=payload, error=MappingError("$", "x", "y")))
    report = world.store.forget("Anna Müller", now=NOON, kind="person")
    assert (report.payloads, report.history) == (1, 1)
    assert world.store.quarantined_payload("ess-oai", "q") is None
    assert world.store.history("ess-oai", "a") == ()
    again = record("q", payload=payload + b" ", error=MappingError("$", "x", "y"))
    world.put(again)
    assert world.store.quarantined_payload("ess-oai", "q") is None


def test_what_cannot_be_erased_is_said(world: World, tmp_path: Path) -> None:
    world.put(signed("a", ANNA, summary="As Anna Müller has shown."))
    world.store.backup(tmp_path / "b.sqlite", NOON)
    for _ in world.store.export(NOON, tmp_path / "never-written.jsonl"):
        pass
    report = world.store.forget("Anna Müller", now=NOON)
    assert report.still_mentioned == [A]
    assert [(copy.kind, copy.exists) for copy in report.copies] == [
        ("backup", True),
        ("export", False),
    ]
    assert report.copies[0].path == tmp_path / "b.sqlite"


def test_a_name_is_stored_as_a_salted_digest_only(world: World) -> None:
    world.store.forget("Xenophon Quirk", now=NOON)
    assert b"Xenophon" not in on_disk(world)
    assert b"xenophon" not in on_disk(world)


def test_what_was_forgotten_stays_forgotten_in_an_import(world: World, tmp_path: Path) -> None:
    world.put(signed("a", BEN))
    world.store.forget("Anna Müller", now=NOON)
    with Store.open(tmp_path / "other") as other:
        other.import_(list(world.store.export(NOON)), NOON)
        run = other.begin_run("ess-oai", kind="full", holder="x", now=NOON)
        from catalogue.records import PageCommit

        other.commit_page(run, PageCommit((signed("b", ANNA, BEN),), None, NOON))
        entity = other.entity(B)
        assert entity is not None
        assert len(entity.record["members"]) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller, Anna", "anna muller"),
        ("https://orcid.org/0000-0002-1825-0097", "0000000218250097"),
        ("Jean-Luc O'Hara", "o hara jean luc"),
        ("李 明", "明 李"),
    ],
)
def test_a_name_is_the_same_in_any_writing(one: str, other: str) -> None:
    assert person_form(one) == person_form(other)


@pytest.mark.parametrize(
    "payload",
    [
        "<a><given>Anna</given> <family>Müller</family></a>",
        "<a>M&#252;ller, Anna</a>",
        '{"firstName": "Anna", "lastName": "M\\u00fcller"}',
    ],
)
def test_names_are_found_whatever_the_markup(payload: str) -> None:
    assert set(words_of(plain_text(payload.encode()))) == {"anna", "muller"}
