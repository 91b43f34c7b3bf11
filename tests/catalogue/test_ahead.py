"""Engine documents made before their entities have numbers: right, or not there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_world import NOON, World, dataset, document, instrument, record

from catalogue.ahead import Ahead, Foresight, foresee
from catalogue.catalogue import Catalogue
from catalogue.documents import engine_document
from catalogue.engines.tantivy import TantivyEngine
from catalogue.engines.tantivy_documents import rendered
from catalogue.errors import EngineError
from catalogue.indexer import Indexer
from catalogue.plan import All
from catalogue.records import (
    Foreseen,
    PageCommit,
    PageReport,
    ReadyRecord,
    SourceRecord,
)
from catalogue.store import ready
from catalogue.store.ready import parts_of
from catalogue.verifying import verify
from mappings import crosswalk
from mappings.context import Context, Header, Mapped
from mappings.crosswalks import XML_FORMATS
from simulator.demo.sites import neutron_records, synchrotron_records

NUMBERING = TantivyEngine.numbering
FORESIGHT = Foresight("https://ess.example/api", NUMBERING.render)


def foreseen(one: SourceRecord) -> ReadyRecord:
    """A record of ESS as a harvest prepares it."""
    assert isinstance(one.mapped, Mapped)
    (made,) = ready([one], "ESS")
    (bodies,) = foresee([(one.mapped.entities, made.parts)], "ESS", FORESIGHT)
    return made._replace(foreseen=bodies)


def put(world: World, *records: SourceRecord, of: str = "ess-oai") -> PageReport:
    """Commit a page of records that bring their engine documents."""
    page = PageCommit([foreseen(one) for one in records], None, NOON, provider=FORESIGHT.provider)
    return world.store.commit_page(world.run(of), page)


def fields(body: bytes) -> dict[str, Any]:
    """A rendered document; terms and words stand in no order."""
    read: dict[str, Any] = orjson.loads(body)
    for name in ("words", "wholes", "terms", "tags", "params", "all_params"):
        read[name] = sorted(read.get(name, "").split())
    for name in ("spaced", "panet", "suggestions"):
        read[name] = sorted(read.get(name, ()))
    return read


def assert_right(world: World, report: PageReport) -> None:
    """Each document is the one that the outbox gives."""
    changes = world.store.changes_since(report.last_change - report.entities)
    by_number = {change.entity.change: rendered(engine_document(change)) for change in changes}
    for one in report.foreseen:
        ahead, read = NUMBERING.number(one), by_number[one.change]
        assert ahead[:-1] == read[:-1]
        assert fields(ahead.body) == fields(read.body)


FULL = (
    document("doi:10.5072/a", title="Water in ice", summary="A long story.", datasets=[
        "dataset:doi:10.5072/t", "dataset:doi:10.5072/s",
    ], members=[{"person": {"fullName": "Ångström, Jane"}, "role": "creator"}]),
    dataset("doi:10.5072/s", title="First", documents=["document:doi:10.5072/a"], size=12),
    dataset("doi:10.5072/t", title="Second", documents=["document:doi:10.5072/a"],
            techniques=[{"name": "SAXS", "panet": "PaNET01188"}]),
)  # fmt: skip


def test_a_record_that_speaks_for_itself_brings_its_engine_documents(tmp_path: Path) -> None:
    world = World(tmp_path)
    report = put(world, record("one", *FULL))
    assert [one.key for one in report.foreseen] == [entity["key"] for entity in FULL]
    assert len(report.foreseen[0].links) == 2
    assert_right(world, report)


@pytest.mark.parametrize("form", ["panosc", "oai_dc", "oai_datacite", "datacite"])
def test_documents_of_every_format_are_those_of_the_outbox(tmp_path: Path, form: str) -> None:
    world = World(tmp_path)
    context = Context("ESS", "ess-oai", probes=("neutron",))
    records = []
    for one in (*neutron_records(40), *synchrotron_records(40)):
        header, payload = Header(one.identifier), one.payload(form)
        mapped = crosswalk(form, payload, context, header)
        records.append(SourceRecord(header, form, payload, mapped))
    report = put(world, *records)
    # This writer of DataCite names the instrument, which many records do: only once it is known
    # are documents of others with it foreseen.
    assert len(report.foreseen) > 100 or "datacite" in form
    assert_right(world, report)
    later = [replace(one, header=Header("again-" + one.header.identifier)) for one in records]
    assert_right(world, put(world, *later))


FIXTURES = Path(__file__).parents[1] / "data" / "mappings"


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.xml")), ids=lambda path: path.stem)
def test_documents_of_what_facilities_send_are_those_of_the_outbox(
    tmp_path: Path, path: Path
) -> None:
    world = World(tmp_path)
    context, header = Context("ESS", "ess-oai", probes=("photon",)), Header(path.stem)
    form = next(name for name in sorted(XML_FORMATS, reverse=True) if path.stem.startswith(name))
    mapped = crosswalk(form, path.read_bytes(), context, header)
    report = put(world, SourceRecord(header, form, path.read_bytes(), mapped))
    assert_right(world, report)
    if path.stem in ("oai_datacite_esrf_embargoed", "oai_dc_icat"):
        assert report.foreseen


KEYS = ("doi:10.5072/a", "doi:10.5072/b", "doi:10.5072/c")


@st.composite
def stated(draw: st.DrawFn) -> dict[str, Any]:
    """One entity as a record may state it."""
    kind = draw(st.sampled_from(["document", "document", "dataset", "derived", "instrument"]))
    key = draw(st.sampled_from(KEYS))
    some = st.lists(st.sampled_from(KEYS), unique=True, max_size=2)
    if kind == "document":
        return document(key, title=key, datasets=[f"dataset:{one}" for one in draw(some)])
    if kind == "instrument":
        return instrument(key, pid=key)
    more: dict[str, Any] = {"documents": [f"document:{one}" for one in draw(some)]}
    if kind == "derived":
        more["derived"] = True
    elif draw(st.booleans()):
        more["instrumentKey"] = "instrument:" + draw(st.sampled_from(KEYS))
    return dataset(key, title=draw(st.sampled_from(["x", "y"])), **more)


statements = st.lists(stated(), min_size=1, max_size=3, unique_by=lambda entity: entity["key"])
pages = st.lists(st.lists(statements, min_size=1, max_size=3), min_size=1, max_size=4)
DERIVED = dataset("doi:10.5072/a", derived=True, documents=["document:doi:10.5072/a"])
REAL = dataset("doi:10.5072/b", documents=["document:doi:10.5072/a"])


@given(pages)
@example([[[document("doi:10.5072/a"), DERIVED, REAL]]])
@example([[[document("doi:10.5072/a"), DERIVED], [REAL]]])
@example([[[document("doi:10.5072/a"), DERIVED]], [[REAL]]])
@settings(max_examples=60, deadline=None)
def test_what_others_speak_of_too_is_left_to_the_outbox(
    drawn: Sequence[Sequence[Sequence[dict[str, Any]]]],
) -> None:
    """Whatever several records say of each other's entities, before, beside or after."""
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name))
        for number, page in enumerate(drawn):
            source = ("ess-oai", "ess-rest")[number % 2]
            records = [record(f"{number}/{place}", *one) for place, one in enumerate(page)]
            assert_right(world, put(world, *records, of=source))
        world.store.close()


BEAMLINE = instrument("local:ESS:I", pid="x")


def with_beamline(number: int) -> SourceRecord:
    """A record as ESRF sends them: it repeats what the instrument is."""
    key = f"doi:10.5072/{number}"
    data = dataset(key, documents=[f"document:{key}"], instrumentKey=BEAMLINE["key"], derived=True)
    return record(str(number), document(key, datasets=[data["key"]]), data, BEAMLINE)


def test_what_names_a_known_instrument_is_foreseen(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = put(world, with_beamline(1), with_beamline(2))
    assert not first.foreseen, "the instrument came with them"
    second = put(world, with_beamline(3), with_beamline(4))
    assert len(second.foreseen) == second.entities == 4
    assert_right(world, second)
    other = record("o", {**BEAMLINE, "name": "Renamed"})
    third = put(world, with_beamline(5), other)
    assert not third.foreseen, "it is another now"
    assert_right(world, third)


def test_a_facility_that_moved_meanwhile_has_none_foreseen(tmp_path: Path) -> None:
    """Where it answers is a term of each document."""
    world = World(tmp_path)
    moved = replace(world.store.facilities()[0], provider="https://elsewhere.example/api")
    world.store.put_configuration([moved, *world.store.facilities()[1:]], world.store.sources())
    assert not put(world, record("one", *FULL)).foreseen


def test_a_relation_to_something_else_is_not_foreseen() -> None:
    elsewhere = dataset("doi:10.5072/s", documents=["document:doi:10.5072/elsewhere"])
    parts = parts_of([elsewhere], "ESS")
    assert foresee([([elsewhere], parts), ((), ())], "ESS", FORESIGHT) == [(), ()]


def test_a_record_that_analysis_stumbles_over_is_left_to_the_indexer() -> None:
    """Fault H03: it costs no harvest."""
    odd = document("doi:10.5072/a", years="the eighties")
    fine = document("doi:10.5072/b")
    said = [([one], parts_of([one], "ESS")) for one in (odd, fine)]
    stumbled, went_well = foresee(said, "ESS", FORESIGHT)
    assert stumbled == ()
    assert len(went_well) == 1


def page_of(world: World, number: int) -> PageReport:
    return put(world, record(str(number), document(f"doi:10.5072/{number}", title=f"No {number}")))


def test_pages_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    world, ahead = World(tmp_path), Ahead()
    ahead.open(NUMBERING)
    first, second = page_of(world, 1), page_of(world, 2)
    ahead.put(second)
    ahead.put(first)
    taken = ahead.take(0)
    assert taken is not None
    assert taken.until == first.last_change
    assert ahead.next_begin(0, 9) == first.last_change
    assert ahead.take(second.last_change) is None
    assert ahead.take(first.last_change) is None, "what was passed is let go of"


def test_what_is_not_the_whole_page_or_not_wanted_or_too_much_is_not_kept(tmp_path: Path) -> None:
    world, ahead = World(tmp_path), Ahead(most_bytes=1)
    report = page_of(world, 1)
    assert ahead.foresight("x") is None, "nobody takes them"
    ahead.put(report)
    ahead.open(NUMBERING)
    assert ahead.take(0) is None
    assert ahead.foresight("x") is not None
    ahead.put(replace(report, foreseen=()))
    assert ahead.take(0) is None
    ahead.put(report)
    assert ahead.foresight("x") is None, "there is no room for more"
    ahead.put(page_of(world, 2))
    assert ahead.take(0) is not None
    assert ahead.take(report.last_change) is None
    ahead.put(report)
    ahead.open(None)
    ahead.open(NUMBERING)
    assert ahead.take(0) is None


REMARK = record("r", dataset("doi:10.5072/r", documents=["document:doi:10.5072/a"]))


async def test_the_indexer_takes_what_is_made_ahead_and_reads_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault F12: whatever is missing in between comes from the outbox, in order."""
    world, ahead = World(tmp_path), Ahead()
    async with Catalogue.open(tmp_path) as catalogue:
        ahead.open(catalogue.engine.numbering)
        catalogue.indexer.ahead = ahead
        taken: list[Foreseen] = []

        def number(one: Foreseen) -> Any:
            taken.append(one)
            return NUMBERING.number(one)

        monkeypatch.setattr(catalogue.engine, "numbering", NUMBERING._replace(number=number))
        for page in range(1, 7):
            report = page_of(world, page)
            if page not in (2, 5):
                ahead.put(report)
        put(world, record("3", document("doi:10.5072/3", title="Another by now")))
        alone = [record(f"{n}", document(f"doi:10.5072/{n}")) for n in range(11, 16)]
        some = put(world, record("7", *FULL), *alone, REMARK)
        assert 0 < len(some.foreseen) < some.entities
        ahead.put(some)
        assert await catalogue.indexer.index_once()
        assert [one.change for one in taken] == [1, 3, 4, 6, *range(11, 16)]
        assert await catalogue.indexer.lag() == 0
        reader = await catalogue.engine.reader()
        versions = await reader.versions("Document", All())
        assert sorted(change for _, change in versions.values()) == [
            1,
            2,
            4,
            5,
            6,
            7,
            8,
            *range(11, 16),
        ]


@pytest.mark.parametrize("incident", ["none", "let go", "rebuilt", "emptied"])
async def test_what_lies_ahead_is_applied_at_once_and_committed_later(
    tmp_path: Path, incident: str
) -> None:
    """Faults F12, F13: whatever befell the index in between, no position is beyond what it has."""
    world, ahead = World(tmp_path), Ahead()
    async with Catalogue.open(tmp_path) as catalogue:
        engine, indexer = catalogue.engine, catalogue.indexer
        ahead.open(engine.numbering)
        indexer.ahead = ahead
        async with Catalogue.open(tmp_path) as operator:
            rebuilt = await operator.engine.beside()
            await Indexer(world.store, rebuilt).index_once()
            for page in range(1, 4):
                ahead.put(page_of(world, page))
                await indexer.apply_ahead(50)
            assert ahead.empty
            assert await engine.position() == 0
            assert await (await engine.reader()).count("Document", All()) == 0
            if incident == "let go":
                assert isinstance(engine, TantivyEngine)
                await engine.release()
            elif incident == "rebuilt":
                await operator.engine.replace_with(rebuilt)
            elif incident == "emptied":
                await rebuilt.discard()
                await engine.restart_empty()
        ahead.put(page_of(world, 4))
        await indexer.index_once()
        assert await indexer.lag() == 0
        assert await (await engine.reader()).count("Document", All()) == 4
        assert (await verify(world.store, engine)).sound


async def test_what_was_kept_before_anybody_waited_does_not_hold_up_what_lies_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pages of a harvest are there before the index is open: they are read from the
    outbox where they are few, and left to the next pass where they are many."""
    world, ahead = World(tmp_path), Ahead()
    async with Catalogue.open(tmp_path) as catalogue:
        engine, indexer = catalogue.engine, catalogue.indexer
        page_of(world, 1), page_of(world, 2)
        ahead.open(engine.numbering)
        indexer.ahead = ahead
        ahead.put(page_of(world, 3))
        with monkeypatch.context() as patch:
            patch.setattr("catalogue.indexer.LONG_WAY", 2)
            await indexer.apply_ahead(50)
        assert not ahead.empty
        page_of(world, 4)
        ahead.put(page_of(world, 5))
        await indexer.apply_ahead(50)
        assert ahead.empty
        assert await engine.position() == 0
        await indexer.index_once()
        assert await indexer.lag() == 0
        assert await (await engine.reader()).count("Document", All()) == 5
        assert (await verify(world.store, engine)).sound


async def test_documents_that_cannot_be_applied_come_from_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault H09."""
    world, ahead = World(tmp_path), Ahead()
    async with Catalogue.open(tmp_path) as catalogue:
        ahead.open(catalogue.engine.numbering)
        catalogue.indexer.ahead = ahead
        for page in (1, 2):
            ahead.put(page_of(world, page))
        with monkeypatch.context() as patch:
            patch.setattr(catalogue.engine, "apply", _fails)
            with pytest.raises(EngineError, match="disk"):
                await catalogue.indexer.apply_ahead(50)
        await catalogue.indexer.index_once()
        assert (await verify(world.store, catalogue.engine)).sound


async def _fails(_documents: object) -> None:
    raise EngineError("The disk is full.")
