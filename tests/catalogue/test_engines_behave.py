"""What a person sees of a search, on every engine (semantics 4, 7, 8, 9; faults F09, F14)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from engine_bench import Bench
from engine_servers import ENGINES, open_engine
from search_world import NOW, SANS, SAXS, SFX, SSX, Entities, parameter, person, technique

from catalogue.cursors import question_digest
from catalogue.errors import CursorExpired, QueryError, QueryTooCostly
from catalogue.query import (
    And,
    Compare,
    Everything,
    Facet,
    Join,
    Node,
    Not,
    OpenAt,
    Pattern,
    Search,
    Sort,
    TechniqueIn,
    Text,
    all_of,
    data_only,
)

OPEN = {"openFrom": "2020-01-01T00:00:00Z", "evidence": []}


def small_world() -> Entities:
    world = Entities()
    id02 = world.put("Instrument", "id02", name="ID02")
    sfx = world.dataset("d-sfx", techniques=[technique(SFX, "SFX")], samples=[{"name": "lysozyme"}],
                        instrument={"name": "SPB/SFX"})  # fmt: skip
    ssx = world.dataset("d-ssx", techniques=[technique(SSX)], samples=[{"name": "insulin"}])
    # fmt: off
    saxs = world.dataset("d-saxs", techniques=[technique(SAXS)], instrumentKey=id02,
                         instrument={"name": "ID02"}, samples=[{"name": "silica"}],
                        parameters=[parameter("temperature", -196, "°C", dimension="temperature",
                                              low=77.15, canonical="sample_temperature")])
    # fmt: on
    both = world.dataset("d-both", techniques=[technique(SANS)], samples=[{"name": "lysozyme"}])
    world.document("sfx", title="Serial femtosecond crystallography of lysozyme", datasets=[sfx],
                   years={"first": 2017, "last": 2017}, startDate="2017-11-07T23:00:00Z",
                   members=[person("Ada Müller", "pi"), person("Li Wei")], access=OPEN)  # fmt: skip
    world.document("ssx", title="Serial synchrotron work on insulin crystals", datasets=[ssx],
                   summary="胰岛素蛋白质结晶与X射线 (Łódź)",
                   startDate="2019-01-01T00:00:00Z")  # fmt: skip
    world.document("saxs", title="Silica spheres", summary="X-ray scattering at 12.4 keV",
                   datasets=[saxs, both], access=OPEN,
                   startDate="2019-01-01T00:00:00Z")  # fmt: skip
    world.document("poster", title="Poster on lysozyme", kind="poster")
    return world


@pytest.fixture(scope="module", params=ENGINES)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("behave")
    with asyncio.Runner() as runner:
        made = Bench(small_world(), runner.run(open_engine(request.param, folder)), folder, runner)
        yield made
        made.close()


def test_a_tag_meets_a_recognised_technique_and_ranks_above_words(bench: Bench) -> None:
    """Semantics 7.1: all words, a technique by its own words or by a tag."""
    answer = bench.ask(text=Text("lysozyme SFX"), where=data_only())
    assert [hit.entity.record["pid"] for hit in answer.hits] == ["10.5072/sfx"]
    assert [one.id for one in answer.recognised] == [SFX]
    assert not answer.relaxed
    assert dict(answer.not_data) == {}


def test_posters_stay_out_and_are_counted(bench: Bench) -> None:
    """Semantics 1.7."""
    answer = bench.ask(text=Text("lysozyme"), where=data_only())
    assert "poster" not in str([hit.entity.key for hit in answer.hits])
    assert dict(answer.not_data) == {"poster": 1}


def test_similarity_changes_order_never_membership(bench: Bench) -> None:
    """Semantics 4.1, 4.2: SSX is near SFX, and no hit of it; the cut edge keeps SFX out of SSX."""
    assert bench.names(where=TechniqueIn((SFX,))) == ["sfx"]
    assert bench.names(where=TechniqueIn((SSX,))) == ["ssx"]
    near_first = bench.names(text=Text("serial", techniques=(SSX,)))
    assert near_first == ["ssx", "sfx"]
    assert bench.names(text=Text("serial", techniques=(SFX,))) == ["sfx", "ssx"]


def test_near_techniques_are_offered_with_their_own_counts(bench: Bench) -> None:
    answer = bench.ask(where=TechniqueIn((SFX,)), related=True)
    assert SANS not in [one.id for one in answer.related]
    assert all(one.count > 0 for one in answer.related)


def test_what_nothing_matches_whole_is_found_in_part_and_said_so(bench: Bench) -> None:
    """Semantics 7.1."""
    answer = bench.ask(text=Text("insulin spheres"))
    assert answer.relaxed
    assert {hit.entity.record["pid"] for hit in answer.hits} == {"10.5072/ssx", "10.5072/saxs"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('"serial femtosecond"', ["sfx"]),
        ('"femtosecond serial"', []),
        ("serial -insulin", ["sfx"]),
        ("xray", ["saxs"]),
        ("x-ray", ["saxs"]),
        ("muller", ["sfx"]),
        ("MÜLLER", ["sfx"]),
        ("insul*", ["ssx"]),
        ("10.5072/saxs", ["saxs"]),
        ("https://doi.org/10.5072/d-both", ["saxs"]),
        ("small angle x-ray scattering", ["saxs"]),
        ("SPB/SFX", ["sfx"]),
        ("lodz", ["ssx"]),
        ("结晶", ["ssx"]),
        ("白质结*", ["ssx"]),
        ("晶*", ["ssx"]),
        ("结白", []),
        ("x射线", ["ssx"]),
    ],
)
def test_words_find_what_a_scientist_means(bench: Bench, words: str, expected: list[str]) -> None:
    answer = bench.ask(text=Text(words, recognise=False))
    found = [] if answer.relaxed else [hit.entity.record["pid"][8:] for hit in answer.hits]
    assert found == expected


@pytest.mark.parametrize(
    "words",
    [
        "usb-c/",
        "a AND (",
        "[* TO",
        '"',
        "+",
        "-",
        "*",
        "\\",
        "title:x^2",
        "/[/",
        "\0",
        "ﬁ ſ",
        "()*",
    ],
)
def test_no_text_breaks_the_parser(bench: Bench, words: str) -> None:
    """Fault F14."""
    assert bench.ask(text=Text(words)).total.value >= 0


def test_an_unknown_word_is_answered_with_a_known_one(bench: Bench) -> None:
    answer = bench.ask(text=Text("lysozime"))
    assert (answer.total.value, answer.suggestion) == (0, "lysozyme")


def test_the_parts_of_a_score_add_up(bench: Bench) -> None:
    """Semantics 8.3, 8.4."""
    answer = bench.ask(text=Text("serial SFX insulin", match="any"), explain=True)
    for hit in answer.hits:
        assert hit.explanation is not None
        parts = sum(part["points"] for part in hit.explanation.parts)
        assert parts == pytest.approx(hit.explanation.text + hit.explanation.technique, rel=1e-4)
        assert hit.score == pytest.approx(parts / hit.explanation.best_possible, rel=1e-3)
        assert 0 < hit.score < 1


def test_a_quantity_in_the_sentence_is_met_by_a_parameter(bench: Bench) -> None:
    """Semantics 5.3: it applies to listed names of its dimension, and the answer says which."""
    answer = bench.ask(text=Text("silica at 77.15 K"))
    assert [hit.entity.record["pid"] for hit in answer.hits] == ["10.5072/saxs"]
    assert not answer.relaxed
    (found,) = answer.recognised
    assert (found.kind, found.text) == ("quantity", "77.15 K")
    assert "sample_temperature" in found.label


def test_highlights_are_offsets_of_the_original(bench: Bench) -> None:
    (hit,) = bench.ask(text=Text("femtosecond crystals", match="any"), limit=1).hits
    title = hit.entity.record["title"]
    marked = [title[start:end] for start, end in hit.highlights["title"]]
    assert marked in (["femtosecond", "crystallography"], ["femtosecond"], ["crystals"])


def test_conditions_in_one_scope_hold_for_the_same_child(bench: Bench) -> None:
    """Semantics 9.4: one Dataset has the technique, another the sample."""

    def dataset(*nodes: Node) -> Node:
        return Join("datasets", And(nodes))

    lysozyme = Join("samples", Compare("name", "eq", "lysozyme"))
    assert bench.names(where=dataset(TechniqueIn((SAXS,)), lysozyme)) == []
    assert bench.names(where=dataset(TechniqueIn((SANS,)), lysozyme)) == ["saxs"]
    separately = And((Join("datasets", TechniqueIn((SAXS,))), Join("datasets", lysozyme)))
    assert bench.names(where=separately) == ["saxs"]


def test_members_are_matched_one_by_one(bench: Bench) -> None:
    def member(role: str, name: str) -> Node:
        full_name = Join("person", Compare("fullName", "eq", name))
        return Join("members", And((Compare("role", "eq", role), full_name)))

    assert bench.names(where=member("pi", "Ada Müller")) == ["sfx"]
    assert bench.names(where=member("pi", "Li Wei")) == []


def test_joins_work_in_every_direction(bench: Bench) -> None:
    title = Pattern(("title",), "silica", ignore_case=True)
    assert bench.names("Dataset", where=Join("documents", title)) == ["d-saxs", "d-both"]
    assert bench.names("Instrument", where=Join("datasets", TechniqueIn((SAXS,)))) == ["id02"]


def test_an_instrument_none_of_whose_datasets_will_do_is_not_found(bench: Bench) -> None:
    some = Join("datasets", Compare("title", "eq", "nowhere to be found"))
    assert bench.names("Instrument", where=some) == []
    assert bench.names("Instrument", where=Not(some)) == ["id02"]


def test_openness_is_asked_at_an_instant(bench: Bench) -> None:
    """Semantics 2.1, 2.4: open only, and how many are unknown."""
    answer = bench.ask(where=all_of(data_only(), OpenAt(NOW)))
    assert len(answer.hits) == 2
    assert answer.unknown_access == 1
    before = NOW.replace(year=2019)
    assert bench.names(where=OpenAt(before)) == []


def test_facets_leave_out_their_own_filter(bench: Bench) -> None:
    where = all_of(TechniqueIn((SAXS,)), data_only())
    facets = bench.ask(where=where, facets=(Facet("technique", 1000), Facet("sample"))).facets
    counts = {one.id: one.count for one in facets["technique"]}
    assert counts[SFX] == 1
    assert {one.id for one in facets["sample"]} == {"silica", "lysozyme"}


def test_sorting_puts_the_undated_last(bench: Bench) -> None:
    """Semantics 3.1."""
    assert bench.names(sort=(Sort("startDate"),)) == ["sfx", "ssx", "saxs", "poster"]
    assert bench.names(sort=(Sort("startDate", True),)) == ["ssx", "saxs", "sfx", "poster"]
    assert bench.names(sort=(Sort("title"),)) == ["poster", "sfx", "ssx", "saxs"]
    by_two = (Sort("startDate", True), Sort("title", True))
    assert bench.names(sort=by_two) == ["saxs", "ssx", "sfx", "poster"]


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"sort": (Sort("startDate"),)},
        {"sort": (Sort("startDate", True),)},
        {"sort": (Sort("title"),)},
        {"text": Text("serial lysozyme silica poster", match="any")},
    ],
)
def test_pages_and_cursors_go_through_everything_once(
    bench: Bench, question: dict[str, object]
) -> None:
    """Semantics 9.2, 9.3."""
    whole = bench.names(**question)
    assert len(whole) == 4
    by_skip = [bench.names(skip=n, limit=1, **question)[0] for n in range(4)]
    assert by_skip == whole
    answer = bench.ask(limit=1, **question)
    seen = [hit.entity.key.rpartition("/")[2] for hit in answer.hits]
    while answer.cursor:
        answer = bench.ask(limit=1, cursor=answer.cursor, **question)
        assert answer.total.value == 4
        seen += [hit.entity.key.rpartition("/")[2] for hit in answer.hits]
    assert seen == whole


def test_a_cursor_is_kept_ten_minutes_and_belongs_to_its_question(bench: Bench) -> None:
    text = Text("serial lysozyme", match="any")
    cursor = bench.ask(text=text, limit=1).cursor
    question = Search("Document", NOW, text=text, limit=1, cursor=cursor)
    assert bench.run(bench.catalogue.search(question)).hits
    with pytest.raises(CursorExpired, match="first page"):
        bench.run(bench.catalogue.search(replace(question, now=NOW + timedelta(minutes=11))))
    with pytest.raises(QueryError, match="another question"):
        bench.ask(where=data_only(), cursor=cursor)
    with pytest.raises(QueryError, match="no cursor"):
        bench.ask(cursor="nonsense")


def tampered(search: Search, **fields: object) -> str:
    """A cursor that somebody has made for a question."""
    made = {"q": question_digest(search), **fields}
    return base64.urlsafe_b64encode(json.dumps(made).encode()).decode().rstrip("=")


@pytest.mark.parametrize("sort", [(), (Sort("startDate"),), (Sort("title"),)])
def test_no_place_is_too_far_behind_the_end(bench: Bench, sort: tuple[Sort, ...]) -> None:
    """By a made cursor as by skip: the embedded engine once ended the process (fault F09)."""
    question = Search("Document", NOW, sort=sort)
    for place in (10**6, 10**12, 2**61):
        cursor = tampered(question, k="skip", a=place)
        assert not bench.ask(sort=sort, limit=5, cursor=cursor).hits
        assert not bench.ask(sort=sort, limit=5, skip=place).hits


@pytest.mark.parametrize(
    "fields",
    [
        {"k": "skip", "a": -5},
        {"k": "skip", "a": "1"},
        {"k": "skip", "a": 2**70},
        {"k": "ranked", "a": -1, "s": "x", "i": "x", "e": 2**40},
        {"k": "view", "a": -1, "v": {}, "b": 1.0, "e": 2**40},
        {"k": "after", "o": None, "v": None},
        {"k": ["skip"], "a": 1},
        {"k": "ranked", "a": 0, "s": "x", "i": "y", "e": 2**60},
        {"k": "view", "a": 0, "v": {}, "b": 1.0, "e": 2**60},
        {"k": "view", "a": 0, "v": {}, "b": 1.0, "e": -(2**60)},
        {"k": "view", "a": 0, "v": {}, "b": "nan", "e": 2**31},
    ],
)
def test_a_place_that_is_none_is_refused(bench: Bench, fields: dict[str, object]) -> None:
    with pytest.raises(QueryError, match="no cursor of ours"):
        bench.ask(limit=5, cursor=tampered(Search("Document", NOW), **fields))


def test_deep_scored_pages_are_refused_with_the_way_on(bench: Bench) -> None:
    """Fault F09."""
    with pytest.raises(QueryTooCostly, match="cursor"):
        bench.ask(text=Text("serial"), skip=10_000, limit=10)


@pytest.mark.parametrize("skip", [0, 1, 1_000])
def test_no_hits_may_be_asked_for_with_words(bench: Bench, skip: int) -> None:
    whole = bench.ask(text=Text("lysozyme"))
    answer = bench.ask(text=Text("lysozyme"), skip=skip, limit=0)
    assert not answer.hits
    assert answer.total == whole.total
    assert whole.total.value > 0


def test_beyond_the_end_there_is_nothing(bench: Bench) -> None:
    answer = bench.ask(skip=60_000, limit=10)
    assert (list(answer.hits), answer.total.value) == ([], 4)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Compare("nonsense", "eq", 1), "no field 'nonsense'"),
        (Join("nonsense", Everything()), "no relation 'nonsense'"),
        (Compare("startDate", "gt", "soon"), "is no date"),
        (Pattern(("title",), "(", "regexp"), "cannot be read"),
        (Join("members", Join("person", Compare("shoeSize", "eq", 1))), "no field 'shoeSize'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(bench: Bench, where: Node, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        bench.ask(where=where)


def test_a_tree_beyond_all_bounds_is_refused(bench: Bench) -> None:
    deep: Node = Everything()
    for _ in range(20):
        deep = Not(deep)
    with pytest.raises(QueryTooCostly, match="deeper"):
        bench.ask(where=deep)
    with pytest.raises(QueryTooCostly, match="conditions"):
        bench.ask(where=And(tuple(Compare("pid", "eq", n) for n in range(2000))))


def test_completions_come_from_titles_samples_instruments_and_people(bench: Bench) -> None:
    found = bench.run(bench.catalogue.suggest("li", 10))
    assert [(one.kind, one.text, one.count) for one in found] == [("person", "Li Wei", 1)]
    found = bench.run(bench.catalogue.suggest("LYS", 10))
    assert [(one.kind, one.text, one.count) for one in found] == [("sample", "lysozyme", 2)]


@pytest.mark.parametrize("typed", ["x" * 2_000, "\ufdfa" * 200, "(" * 300, "lys" + " " * 3_000])
def test_whatever_is_typed_can_be_completed(bench: Bench, typed: str) -> None:
    """Folding makes 18 letters of one sign; the server takes no longer pattern than 1,000."""
    found = bench.run(bench.catalogue.suggest(typed))
    assert {one.kind for one in found} <= {"sample"}


def test_what_the_asker_has_from_elsewhere_is_left_out_of_everything(bench: Bench) -> None:
    whole = bench.ask(limit=100, facets=(Facet("facility"),))
    first = whole.hits[0].entity
    rest = bench.ask(limit=100, facets=(Facet("facility"),), without=frozenset({first.ordinal}))
    assert [hit.entity.key for hit in rest.hits] == [hit.entity.key for hit in whole.hits[1:]]
    assert rest.total.value == whole.total.value - 1
    counted = sum(one.count for one in rest.facets["facility"])
    assert counted == sum(one.count for one in whole.facets["facility"]) - 1


SPACED = ("ID 02", "ID02", "ID\t02", "ID\u00a002", "ID\u202802", "ID\x1f02", " ID02", "ID0\n2")


@pytest.mark.parametrize("engine", ENGINES)
def test_names_with_any_white_space_are_told_apart(engine: str, tmp_path: Path) -> None:
    """Semantics 6.2, 9.4: equality and substrings take each character as it stands."""
    world = Entities()
    keys = {
        name: world.dataset(f"d{n}", instrument={"name": name}) for n, name in enumerate(SPACED)
    }

    def named(part: str, *, whole: bool) -> set[str]:
        where = Compare("name", "eq", part) if whole else Pattern(("name",), part)
        asked = Join("instrument", where)
        found = held.ask("Dataset", where=asked, text=None, limit=100)
        return {hit.entity.key for hit in found.hits}

    with asyncio.Runner() as runner:
        held = Bench(world, runner.run(open_engine(engine, tmp_path)), tmp_path, runner)
        try:
            for name, key in keys.items():
                assert named(name, whole=True) == {key}
            for part in ("D0", "D 0", "\t0", "\u00a0", "D", "02", "\u2028", "\x1f0", " ", "\n"):
                wanted = {key for name, key in keys.items() if part in name}
                assert named(part, whole=False) == wanted, part
        finally:
            held.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_scores_come_in_order_across_the_ends_of_pages(engine: str, tmp_path: Path) -> None:
    """Semantics 8.3: however many are as good as the last of a page."""
    world = Entities()
    for number in range(45):
        world.document(f"same-{number:02}", title="Silica spheres")
    world.document("best", title="Silica silica spheres")
    with asyncio.Runner() as runner:
        bench = Bench(world, runner.run(open_engine(engine, tmp_path)), tmp_path, runner)
        try:
            text = Text("silica", match="any")
            whole = bench.names(text=text)
            pages = [bench.names(text=text, skip=at, limit=4, plain=True) for at in range(0, 48, 4)]
        finally:
            bench.close()
    assert whole == ["best", *(f"same-{number:02}" for number in range(45))]
    assert [name for page in pages for name in page] == whole
