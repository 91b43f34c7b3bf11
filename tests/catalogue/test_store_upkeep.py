"""Payload dictionaries, history, backup, check, compaction, export and import, remap."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from store_world import (
    NOON,
    World,
    dataset,
    document,
    facility,
    record,
    source,
    tombstone,
)

from catalogue.errors import ImportUnfinished, MixedData, NotFound, StoreError
from catalogue.records import PageCommit, SourceRecord
from catalogue.store import Store, ready
from catalogue.store.payloads import SAMPLES
from mappings.context import Context, Header, Mapped
from mappings.errors import MappingError

A = "document:doi:10.5072/a"


def markup(n: int) -> bytes:
    return (
        f'<resource xmlns="http://datacite.org/schema/kernel-4"><identifier identifierType="DOI">'
        f"10.5072/{n}</identifier><titles><title>Experiment {n * 7919 % 1000} on beamline "
        f"{n % 13}</title></titles><publisher>European Spallation Source</publisher></resource>"
    ).encode()


def many(count: int, start: int = 0) -> list[SourceRecord]:
    return [
        record(f"oai:{n}", document(f"doi:10.5072/{n}"), payload=markup(n))
        for n in range(start, start + count)
    ]


# -- payloads -------------------------------------------------------------------------------------


def test_payloads_are_compressed_with_a_dictionary_once_there_are_samples(world: World) -> None:
    world.put(*many(SAMPLES))
    dictionary = world.store.dictionary("ess-oai", "oai_datacite")
    assert dictionary is not None
    world.put(*many(100, SAMPLES))
    sizes = world.store._database.connection().execute(
        "SELECT dictionary != 0, avg(length(body)) FROM payloads GROUP BY 1 ORDER BY 1"
    )
    (_, plain), (_, trained) = sizes.fetchall()
    assert trained < plain / 2
    for n in (3, SAMPLES + 3):
        (stored,) = world.store.stored_records(f"document:doi:10.5072/{n}")
        assert stored.payload == markup(n)


def test_compaction_compresses_the_old_ones_too_and_shrinks_the_file(world: World) -> None:
    world.put(*many(SAMPLES))
    world.put(*(tombstone(f"oai:{n}") for n in range(SAMPLES // 2)))
    before = world.store.dictionary("ess-oai", "oai_datacite")
    report = world.store.compact(NOON)
    assert report.repacked == SAMPLES
    assert report.bytes_after < report.bytes_before
    assert world.store.dictionary("ess-oai", "oai_datacite") != before
    assert world.store.check().problems == ()
    (stored,) = world.store.stored_records("document:doi:10.5072/999")
    assert stored.payload == markup(999)


def test_records_rendered_elsewhere_are_the_same_in_the_store(world: World) -> None:
    """A crosswalk process sends bytes; pickled, since that is how they travel."""
    world.put(*many(SAMPLES), of="ill-oai")
    error = MappingError("$", "x", "y")
    page = [
        record("1", document("doi:10.5072/x", datasets=[]), dataset("doi:10.5072/x")),
        record("2", payload=b"<broken/>", error=error),
        tombstone("3"),
    ]
    dictionary = world.store.dictionary("ill-oai", "oai_datacite")
    sent = pickle.loads(pickle.dumps(ready(page, "ESS", dictionary)))
    report = world.put(*sent)
    assert (report.new, report.quarantined, report.entities) == (2, 1, 2)
    assert world.put(*page).unchanged == 3
    (held,) = world.store.quarantine()
    assert (held.identifier, held.reason) == ("2", str(error))
    (stored,) = world.store.stored_records("document:doi:10.5072/x")
    assert stored.payload == page[0].payload


def test_history_keeps_the_newest_superseded_versions(world: World) -> None:
    for n in range(9):
        world.put(record("1", document("doi:10.5072/a", title=f"{n}"), payload=b"%d" % n))
    history = [version.payload for version in world.store.history("ess-oai", "1")]
    assert history == [b"7", b"6", b"5", b"4", b"3"]
    world.put(tombstone("1"))
    assert world.store.history("ess-oai", "1")[0].payload == b"8"
    with pytest.raises(NotFound):
        world.store.history("ess-oai", "2")


# -- backup and check -----------------------------------------------------------------------------


def test_a_backup_is_a_store_as_it_was(world: World, tmp_path: Path) -> None:
    world.put(record("1", document("doi:10.5072/a")))
    target = tmp_path / "copies" / "one.sqlite"
    report = world.store.backup(target, NOON)
    assert (report.path, report.last_change) == (target, 1)
    assert report.size_bytes == target.stat().st_size
    world.put(record("2", document("doi:10.5072/b")))
    assert [path.name for path in target.parent.iterdir()] == ["one.sqlite"]
    (tmp_path / "restored").mkdir()
    target.rename(tmp_path / "restored" / "store.sqlite")
    with Store.open(tmp_path / "restored") as restored:
        assert restored.count("Document") == 1
        assert restored.check().problems == ()


def test_a_backup_never_overwrites(world: World, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        world.store.backup(tmp_path / "x", NOON)
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("DELETE FROM parts", "live entity without content"),
        ("UPDATE counters SET live = 7 WHERE class = 1 AND derived = 0", "count of live entities"),
        ("UPDATE sources SET live = 7", "count of live records"),
        ("UPDATE entities SET change = 99", "change number that was never given"),
        ("UPDATE payloads SET dictionary = 5", "payload whose dictionary is missing"),
        ("UPDATE payloads SET body = x'00'", "cannot be read"),
        ("UPDATE records SET payload_hash = x'00'", "not the one that was received"),
        ("DELETE FROM records", "refers to a row of records"),
        ("UPDATE records SET quarantined = 1", "quarantine that disagrees"),
    ],
)
def test_check_says_what_is_wrong(world: World, harm: str, says: str) -> None:
    world.put(record("1", document("doi:10.5072/a")))
    report = world.store.check()
    assert (report.problems, report.records, report.entities) == ((), 1, 1)
    with sqlite3.connect(world.store.path) as connection:
        connection.execute(harm)
    connection.close()
    assert any(says in problem for problem in world.store.check().problems)


# -- export and import ----------------------------------------------------------------------------


def filled(world: World) -> None:
    world.put(record("0", document("doi:10.5072/a", title="old"), payload=b"\xff\xfe"))
    world.put(
        record("0", document("doi:10.5072/a", title="new"), payload="größer".encode(), sets=("s",)),
        record("1", dataset("doi:10.5072/d", documents=[A]), datestamp="2026-01-01"),
        record("2", payload=b"<broken/>", error=MappingError("$", "x", "y")),
        checkpoint={"token": "t"},
    )
    world.put(record("i", document("doi:10.5072/a", summary="long")), of="ill-oai")
    world.put(record("3", document("doi:10.5072/gone")), checkpoint={"token": "t"})
    world.put(tombstone("3"), checkpoint={"token": "t"})
    world.store.remember("ess-oai", {"since": "yesterday"})


def test_an_export_makes_an_equal_store(world: World, tmp_path: Path) -> None:
    filled(world)
    lines = list(world.store.export(NOON))
    assert all(line.endswith(b"\n") and orjson.loads(line)["kind"] for line in lines)
    with Store.open(tmp_path / "other") as other:
        report = other.import_(lines, NOON)
        assert (report.records, report.skipped) == (5, 0)
        assert other.check().problems == ()
        assert other.facilities() == world.store.facilities()
        assert other.sources() == world.store.sources()
        assert other.demo is False
        for key in (A, "dataset:doi:10.5072/d"):
            mine, theirs = world.store.entity(key), other.entity(key)
            assert mine is not None
            assert theirs is not None
            assert theirs.record == mine.record
            assert other.stored_records(key) == world.store.stored_records(key)
        assert other.quarantine() == world.store.quarantine()
        assert other.history("ess-oai", "0") == world.store.history("ess-oai", "0")
        status = other.source_status("ess-oai")
        assert (status.records, status.memory) == (3, {"since": "yesterday"})
        assert status.last_run is not None
        assert (status.last_run.state, status.last_run.stop) == ("stopped", "interrupted")
        run = other.begin_run("ess-oai", kind="full", holder="x", now=NOON)
        assert run.checkpoint == {"token": "t"}
        again = other.commit_page(
            run, PageCommit((record("1", dataset("doi:10.5072/d", documents=[A])),), None, NOON)
        )
        assert (again.unchanged, again.entities) == (1, 0)


def test_equally_trusted_sources_have_their_say_in_the_same_order_after_an_import(
    world: World, tmp_path: Path
) -> None:
    """Semantics 1.2: an export and its import answer alike, also where two sources contradict."""
    facilities = [facility("ESS"), facility("ILL")]
    alike = [source(name, "ESS", trust=10) for name in ("ess-oai", "ess-rest")]
    world.store.put_configuration(facilities, alike)
    key = "document:doi:10.5072/b"
    # What was said last counts, whatever the sources' names and whoever was there first.
    world.put(record("a", document("doi:10.5072/a", title="of the api")), of="ess-rest")
    world.put(record("a", document("doi:10.5072/a", title="of the list")))
    world.put(record("b", document("doi:10.5072/b", title="of the list")))
    world.put(record("b", document("doi:10.5072/b", title="of the api")), of="ess-rest")
    with Store.open(tmp_path / "other") as other:
        other.import_(world.store.export(NOON), NOON)
        for one, title in ((A, "of the list"), (key, "of the api")):
            mine, theirs = world.store.entity(one), other.entity(one)
            assert mine is not None
            assert theirs is not None
            assert theirs.record["title"] == title
            assert theirs.record == mine.record


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_an_export_that_is_compressed_is_said_to_be(
    pack: Callable[[bytes], bytes], world: World, tmp_path: Path
) -> None:
    """It was "line 1 is not JSON: surrogates not allowed"."""
    filled(world)
    packed = pack(b"".join(world.store.export(NOON)))
    with (
        Store.open(tmp_path / "other") as other,
        pytest.raises(StoreError, match=r"compressed; unpack it .* pan-commons index import -"),
    ):
        other.import_(packed.splitlines(keepends=True), NOON)


def test_an_import_that_was_interrupted_is_continued(world: World, tmp_path: Path) -> None:
    filled(world)
    lines = list(world.store.export(NOON))
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(StoreError, match=f"line {len(lines)} is not JSON"):
            other.import_([*lines[:-1], b'{"kind": "rec'], NOON)
        with pytest.raises(ImportUnfinished, match="import it again"):
            # From the dates of the export on: what did not come in would never be asked for.
            other.begin_run("ess-oai", kind="harvest", holder="test", now=NOON)
        report = other.import_(lines, NOON)
        assert report.records + report.skipped == 5
        assert other.check().problems == ()
        other.begin_run("ess-oai", kind="harvest", holder="test", now=NOON, is_dead=lambda _: True)
        with pytest.raises(StoreError, match="records already"):
            other.import_(lines, NOON)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "line 1 does not say"),
        ([b"{}"], "line 1 does not say"),
        ([b"[]"], "line 1 is not a JSON object"),
        ([b'{"kind": "pan-commons store", "format": 9}'], "format 9, this version reads 1"),
        ([b'{"kind": "pan-commons store", "format": 1}', b'{"kind": "x"}'], "line 2: nobody knows"),
        (
            [b'{"kind": "pan-commons store", "format": 1}', b'{"kind": "facility"}'],
            "line 2: not as an export has it",
        ),
        (
            [b'{"kind": "pan-commons store", "format": 1}', b'{"kind": "record", "source": "x"}'],
            "line 2: source x was not named before",
        ),
    ],
)
def test_a_file_that_is_no_export_is_refused_by_line(
    tmp_path: Path, lines: list[bytes], says: str
) -> None:
    with Store.open(tmp_path) as store, pytest.raises(StoreError, match=says):
        store.import_(lines, NOON)


def test_an_export_of_real_data_is_not_taken_into_a_demo(world: World, tmp_path: Path) -> None:
    with Store.open(tmp_path / "demo", demo=True) as demo, pytest.raises(MixedData):
        demo.import_(world.store.export(NOON), NOON)


# -- remap (1.6) ----------------------------------------------------------------------------------


def titled(title: str):  # type: ignore[no-untyped-def]
    """A crosswalk that calls everything by one title, and cannot read ``<broken/>``."""

    def mapper(_: str, payload: bytes, context: Context, header: Header) -> Mapped:
        assert context.facility == "ESS"
        if payload == b"<broken/>":
            raise MappingError("$", "x", "y")
        return Mapped((document(f"doi:10.5072/{header.identifier}", title=title),))

    return mapper


def other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_versions(), "crosswalk", "next")


def _versions() -> dict[str, str]:
    from mappings.versions import VERSIONS

    return VERSIONS


def test_remap_takes_only_what_other_versions_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(record("a", document("doi:10.5072/a", title="old")))
    world.put(record("b", document("doi:10.5072/b", title="new")))
    assert world.store.remap(titled("new"), now=NOON).examined == 0
    other_versions(monkeypatch)
    since = world.store.last_change()
    report = world.store.remap(titled("new"), now=NOON)
    assert (report.examined, report.changed, report.entities) == (2, 1, 1)
    assert world.changed(since) == {A: False}
    (stored,) = world.store.stored_records(A)
    assert stored.versions["crosswalk"] == "next"
    assert world.store.remap(titled("new"), now=NOON).examined == 0


def test_a_dry_run_says_what_would_become_different_and_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(record("a", document("doi:10.5072/a", title="old"), dataset("doi:10.5072/a")))
    other_versions(monkeypatch)
    before = world.store.last_change()
    report = world.store.remap(titled("new"), now=NOON, dry_run=True)
    assert [(one.key, one.change, one.fields) for one in report.differences] == [
        ("dataset:doi:10.5072/a", "goes", ()),
        (A, "changes", ("title",)),
    ]
    assert world.store.last_change() == before
    assert world.store.remap(titled("new"), now=NOON).examined == 1


def test_remap_goes_on_where_it_was_interrupted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(*(record(f"{n}", document(f"doi:10.5072/{n}", title="old")) for n in range(450)))
    other_versions(monkeypatch)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.store.remap(titled("new"), now=NOON, progress=stop)
    assert world.store.remap(titled("new"), now=NOON).examined == 250


def test_remap_moves_records_into_quarantine_and_out_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(record("a", document("doi:10.5072/a"), payload=b"<broken/>"))
    world.put(record("b", payload=b"<b/>", error=MappingError("$", "x", "y")))
    other_versions(monkeypatch)
    report = world.store.remap(titled("new"), now=NOON)
    assert (report.quarantined, report.released) == (1, 1)
    assert [held.identifier for held in world.store.quarantine()] == ["a"]
    assert world.store.entities([A, "document:doi:10.5072/b"]).keys() == {
        A,
        "document:doi:10.5072/b",
    }
    assert world.store.check().problems == ()


def test_a_record_that_is_harvested_meanwhile_is_left_to_the_harvest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(record("a", document("doi:10.5072/a", title="old")))
    other_versions(monkeypatch)

    def slow(form: str, payload: bytes, context: Context, header: Header) -> Mapped:
        world.put(record("a", document("doi:10.5072/a", title="harvested")))
        mapped: Mapped = titled("remapped")(form, payload, context, header)
        return mapped

    assert world.store.remap(slow, now=NOON).skipped == 1
    entity = world.store.entity(A)
    assert entity is not None
    assert entity.record["title"] == "harvested"


def test_quarantined_records_can_be_replayed_by_name(world: World) -> None:
    error = MappingError("$", "x", "y")
    world.put(*(record(n, payload=b"<%s/>" % n.encode(), error=error) for n in "ab"))
    report = world.store.replay(titled("new"), now=NOON, source="ess-oai", identifiers=["a"])
    assert (report.examined, report.released) == (1, 1)
    assert [held.identifier for held in world.store.quarantine()] == ["b"]
    assert world.store.source_status("ess-oai").quarantined == 1
    assert world.store.replay(titled("new"), now=NOON).released == 1


def test_a_crosswalk_that_stumbles_costs_one_record(world: World) -> None:
    error = MappingError("$", "x", "y")
    world.put(record("a", payload=b"<a/>", error=error), record("b", payload=b"<b/>", error=error))

    def stumbling(form: str, payload: bytes, context: Context, header: Header) -> Mapped:
        if header.identifier == "a":
            raise KeyError("title")
        mapped: Mapped = titled("new")(form, payload, context, header)
        return mapped

    report = world.store.replay(stumbling, now=NOON)
    assert (report.released, report.quarantined) == (1, 1)
    assert "KeyError" in world.store.quarantine()[0].reason
