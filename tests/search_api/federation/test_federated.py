"""Facilities and catalogue answer as if they were one index (semantics 8, 9.5; faults G)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from catalogue.answers import Total
from catalogue.errors import CursorExpired, QueryError
from catalogue.query import (
    Compare,
    Everything,
    Facet,
    Join,
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
from facility_http.http import Fetcher
from search_api.federation.errors import NobodyAnswered, TooDeep
from search_api.federation.matching import Matcher
from search_api.federation.participants import Asked
from tests.search_api.federation.federation_world import (
    NOW,
    SETTINGS,
    Part,
    configured,
    document,
    documents,
    no_pause,
    remember,
    union,
    world,
)

SAXS = "PaNET01188"
TAGGED = {"pid": "http://purl.org/pan-science/PaNET/PaNET01188", "name": "SAXS"}
DIALECTS = ("reference", "xfel", "scicat", "ill", "datagateway")

LARGE = replace(SETTINGS, live_whole=6, live_depth=6)
"""What a facility has is more than is read of it whole."""


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_gives_what_one_index_would(tmp_path: Path, dialect: str) -> None:
    parts = [
        Part("Old", documents(0, 30), mode="indexed", harvested=True),
        Part("Now", documents(30, 30), dialect=dialect),
    ]
    async with world(tmp_path, *parts) as there:
        for words in ("lysozyme", "SAXS crystal", "protein ice", "nothing of the kind"):
            found = await there.ask(words=words, limit=100)
            assert [hit.entity.key for hit in found.answer.hits] == there.truth(words=words)
            assert found.answer.total.relation == "eq"
            assert {line.name: line.state for line in found.lines} == {
                "Old": "answered",
                "Now": "answered",
            }


async def test_words_that_nobody_has_are_answered_with_what_the_index_knows(
    tmp_path: Path,
) -> None:
    """The index alone said it, and nothing was said as soon as anybody was asked live."""
    old = Part("Old", documents(0, 12), mode="indexed", harvested=True)
    async with world(tmp_path, old, Part("Now", documents(12, 12))) as there:
        found = await there.ask(words="lysozime")
        assert (found.answer.total.value, found.answer.suggestion) == (0, "lysozyme")
        assert (await there.ask(words="lysozyme")).answer.suggestion is None
        assert (await there.ask(words="lysozime lysozyme")).answer.suggestion is None
        assert (await there.ask(words="qqqqqq")).answer.suggestion is None
        assert (await there.ask(words="lysozime", plain=True)).answer.suggestion is None
        live = await there.ask(words="lysozime", asked=Asked(mode="live"))
        assert live.answer.suggestion is None, "the index was not to be asked"


async def test_facets_counts_and_hits_are_those_of_the_union(tmp_path: Path) -> None:
    """Facets over everything, each without its own filter; a hit that three have is one hit."""
    shared = documents(0, 6)
    parts = [
        Part("Old", [*shared, *documents(10, 20)], mode="indexed", harvested=True),
        Part("One", [*shared[:4], *documents(40, 15)]),
        Part("Two", [*shared[2:], *documents(60, 15)], dialect="ill"),
    ]
    facets = tuple(Facet(name) for name in ("facility", "technique", "year", "kind"))
    where = all_of(TechniqueIn((SAXS,)), data_only())
    async with world(tmp_path, *parts) as there:
        found = await there.ask(where=where, facets=facets, limit=100, related=True)
        truth = Matcher.of(Search("Document", NOW, where=where, facets=facets), union(parts))
        assert {hit.entity.key for hit in found.answer.hits} == set(there.truth(where=where))
        assert found.answer.total.value == len(there.truth(where=where))
        for name, expected in truth.facets().items():
            assert {(c.id, c.count) for c in found.answer.facets[name]} == {
                (c.id, c.count) for c in expected
            }, name
        hits = {hit.entity.record["pid"]: hit.entity.record for hit in found.answer.hits}
        assert set(hits["10.5072/doc-0004"]["facilities"]) == {"Old", "Two"}
        whole = await there.ask(words="lysozyme", limit=100)
        everywhere = [
            hit.entity.record
            for hit in whole.answer.hits
            if len(hit.entity.record["facilities"]) == 3
        ]
        assert everywhere == [] or {"Old", "One", "Two"} == set(everywhere[0]["facilities"])
        totals = {line.name: line.total for line in found.lines}
        assert totals == {one.id: one.count for one in truth.facets()["facility"]}


async def test_a_silent_facility_is_named_and_never_an_empty_list(tmp_path: Path) -> None:
    """Faults G01, G05, G16: silence is no answer; what is known stands, the total is a bound."""
    parts = [
        Part("Old", documents(0, 10), mode="indexed", harvested=True),
        Part("Dead", documents(10, 10)),
    ]
    async with world(tmp_path, *parts) as there:
        await there.kill("Dead")
        found = await there.ask(words="lysozyme", limit=100)
        lines = {line.name: line for line in found.lines}
        assert lines["Dead"].state == "failed"
        assert lines["Dead"].why
        assert lines["Old"].state == "answered"
        assert found.answer.total.relation == "gte"
        assert found.answer.hits
        with pytest.raises(NobodyAnswered) as caught:
            await there.ask(words="lysozyme", asked=Asked(mode="live"))
        assert caught.value.status == 503
        assert "Dead" in str(caught.value)


async def test_a_copy_stands_in_for_a_silent_facility_and_is_marked(tmp_path: Path) -> None:
    """Fault G15, mode ``both``: live when it answers, the indexed copy with its age otherwise."""
    part = Part("Both", documents(0, 10), mode="both", harvested=True)
    async with world(tmp_path, part) as there:
        new = document(99, "Lysozyme of this minute")
        there.facilities["Both"].database.put_document(new)
        fresh = await there.ask(words="lysozyme", limit=100)
        assert [line.state for line in fresh.lines] == ["answered"]
        pids = {hit.entity.record["pid"] for hit in fresh.answer.hits}
        assert new["pid"] in pids
        assert len(pids) == len(fresh.answer.hits)  # nothing of the copy beside what came live
        await there.kill("Both")
        stale = await there.ask(words="lysozyme", limit=100)
        (line,) = stale.lines
        assert (line.state, line.live) == ("stale", True)
        assert line.age_s == 0.0
        assert {hit.entity.record["pid"] for hit in stale.answer.hits} == pids - {new["pid"]}
        assert stale.answer.total.relation == "gte"


@pytest.mark.parametrize("words", ["lysozyme crystal", None])
async def test_pages_are_pages_of_the_one_ranking(tmp_path: Path, words: str | None) -> None:
    """Fault G04: page two is page two, by skip and by cursor; what answers later is not in it."""
    parts = [
        Part("Old", documents(0, 25), mode="indexed", harvested=True),
        Part("One", documents(25, 25)),
        Part("Two", [*documents(50, 20), *documents(0, 5)], dialect="datagateway"),
    ]
    question: Any = {"words": words, "match": "any"} if words else {}
    async with world(tmp_path, *parts) as there:
        whole = await there.ask(limit=100, **question)
        expected = [hit.entity.key for hit in whole.answer.hits]
        assert len(set(expected)) == len(expected) == whole.answer.total.value
        # Records that two facilities have are counted twice among the statistics, so near ties may
        # stand the other way round than in one index; which records match is exact.
        assert set(expected) == set(there.truth(**question))
        scores = [hit.score for hit in whole.answer.hits]
        assert scores == sorted(scores, reverse=True)
        by_skip = []
        for skip in range(0, len(expected), 7):
            page = await there.ask(limit=7, skip=skip, **question)
            by_skip += [hit.entity.key for hit in page.answer.hits]
        assert by_skip == expected
        page = await there.ask(limit=7, **question)
        await there.kill("One")
        by_cursor = [hit.entity.key for hit in page.answer.hits]
        while page.answer.cursor is not None:
            again = await there.ask(limit=7, cursor=page.answer.cursor, **question)
            twice = await there.ask(limit=7, cursor=page.answer.cursor, **question)
            assert [h.entity.key for h in again.answer.hits] == [
                h.entity.key for h in twice.answer.hits
            ]
            page = again
            by_cursor += [hit.entity.key for hit in page.answer.hits]
            assert page.answer.total == whole.answer.total
        assert by_cursor == expected


async def test_datasets_of_a_document_that_only_the_index_has_belong_to_it(tmp_path: Path) -> None:
    """Semantics 1.2, 9.5: a facility names other Datasets of it than the one that was harvested."""
    dois = {n: f"10.5072/doc-{n:04}" for n in range(20)}
    old = [document(n, f"ice {n}", techniques=[TAGGED] if n % 2 else []) for n in dois]
    now = [document(n, f"ice {n}", pid=f"now-{n}", doi=doi) for n, doi in dois.items()]
    parts = [Part("Old", old, mode="indexed", harvested=True), Part("Now", now)]
    facets = (Facet("technique"),)
    async with world(tmp_path, *parts) as there:
        for asked in ({"where": TechniqueIn((SAXS,))}, {"words": "SAXS"}):
            found = await there.ask(limit=5, facets=facets, **asked)
            assert found.answer.total == Total(len(there.truth(**asked)), "eq") == Total(10, "eq")
            assert {one.id: one.count for one in found.answer.facets["technique"]}[SAXS] == 10
            assert len(found.answer.hits[0].entity.record["datasets"]) == 2
            await there.settle(found.answer.cursor)
            there.federation.pages._held.clear()  # as another worker, who has only the file
            rest = await there.ask(limit=20, cursor=found.answer.cursor, facets=facets, **asked)
            assert all(len(hit.entity.record["datasets"]) == 2 for hit in rest.answer.hits)
            assert len(rest.answer.hits) == 5
        # The Datasets themselves are still the index's to answer with.
        tagged = await there.ask("Dataset", where=TechniqueIn((SAXS,)), limit=20)
        assert tagged.answer.total.value == len(tagged.answer.hits) == 10
        assert len((await there.ask("Dataset", limit=50)).answer.hits) == 40


async def test_documents_of_a_dataset_that_only_the_index_has_are_its_own(tmp_path: Path) -> None:
    """Semantics 9.4: the same run was published with another Document elsewhere."""
    runs = [{"pid": f"10.5072/run-{n}", "title": "Run", "isPublic": True} for n in range(8)]
    old = [document(n, f"ice {n}", datasets=[run]) for n, run in enumerate(runs)]
    now = [document(n + 100, f"salt {n}", datasets=[run]) for n, run in enumerate(runs)]
    parts = [
        Part("Old", old, mode="indexed", harvested=True),
        Part("Now", now, dialect="ill"),
    ]
    async with world(tmp_path, *parts) as there:
        for title in ("ice", "salt"):
            where = Join("documents", Pattern(("title",), title))
            assert await there.total(entity_class="Dataset", where=where) == Total(8, "eq")
            none = await there.ask("Dataset", where=Not(where))
            assert none.answer.total == Total(0, "eq")
        found = await there.ask("Dataset", words="run")
        assert len(found.answer.hits[0].entity.record["documents"]) == 2


async def test_another_worker_continues_a_cursor(tmp_path: Path) -> None:
    """Semantics 9.3: the snapshot is in ``serving.sqlite``; ten minutes later it is gone."""
    parts = [
        Part("Old", documents(0, 10), mode="indexed", harvested=True),
        Part("Now", documents(10, 10)),
    ]
    async with world(tmp_path, *parts) as there:
        whole = await there.ask(words="lysozyme crystal ice", match="any", limit=100)
        first = await there.ask(words="lysozyme crystal ice", match="any", limit=4)
        await there.settle(first.answer.cursor)
        there.federation.pages._held.clear()
        second = await there.ask(
            words="lysozyme crystal ice", match="any", limit=4, cursor=first.answer.cursor
        )
        assert [hit.entity.key for hit in second.answer.hits] == [
            hit.entity.key for hit in whole.answer.hits[4:8]
        ]
        assert [(one.name, one.state, one.total) for one in second.lines] == [
            (one.name, one.state, one.total) for one in first.lines
        ]
        with pytest.raises(QueryError, match="another question"):
            await there.ask(words="water", limit=4, cursor=first.answer.cursor)
        there.federation.pages.now = lambda: NOW + timedelta(minutes=11)
        with pytest.raises(CursorExpired):
            await there.ask(
                words="lysozyme crystal ice", match="any", limit=4, cursor=first.answer.cursor
            )


@pytest.mark.parametrize("dialect", ["xfel", "datagateway", "ill"])
async def test_a_date_range_is_exact_whatever_a_facility_can_compare(
    tmp_path: Path, dialect: str
) -> None:
    """Fault E08; European XFEL has no lt, gt, and, between: the superset is paged through. Where it
    is larger than the bound the answer says "at least"."""
    part = Part("Now", documents(0, 40), dialect=dialect)
    where = all_of(
        Compare("startDate", "gte", "2014-01-01T00:00:00Z"),
        Compare("startDate", "lt", "2018-01-01T00:00:00Z"),
    )
    whole = replace(SETTINGS, live_whole=0)
    bounded = replace(SETTINGS, live_whole=0, live_depth=12)
    async with world(tmp_path, part, settings=whole) as there:
        expected = there.truth(where=where)
        found = await there.ask(where=where, limit=100)
        assert {hit.entity.key for hit in found.answer.hits} == set(expected)
        assert found.answer.total == Total(len(expected), "eq")
        by_date = await there.ask(where=where, limit=100, sort=(Sort("startDate", True),))
        dates = [hit.entity.record["startDate"] for hit in by_date.answer.hits]
        assert dates == sorted(dates, reverse=True)
        assert len(dates) == len(expected)
        there.federation.settings = bounded
        some = await there.ask(where=where, limit=10)
        if dialect == "xfel":
            assert some.answer.total.relation == "gte"
            assert some.answer.total.value <= len(expected)
        with pytest.raises(TooDeep, match="cursor"):
            await there.ask(words="lysozyme", limit=10, skip=3)


async def test_a_large_facility_that_ranks_gives_its_best_and_says_at_least(tmp_path: Path) -> None:
    """Faults G05, G06: its own score is evidence and nothing else."""
    part = Part("Rank", documents(0, 120), dialect="scicat")
    settings = replace(SETTINGS, live_whole=0, live_candidates=20)
    async with world(tmp_path, part, settings=settings) as there:
        found = await there.ask(words="lysozyme", limit=5, explain=True)
        assert found.answer.total.relation == "gte"
        assert all(0 < hit.score < 1 for hit in found.answer.hits)
        explained = found.answer.hits[0].explanation
        assert explained is not None
        evidence = [part for part in explained.parts if part["part"] == "evidence"]
        assert evidence
        assert evidence[0]["points"] == 0
        assert await there.total() == Total(120, "gte")


async def test_all_words_anywhere_beat_any_word_everywhere(tmp_path: Path) -> None:
    """Semantics 7.1 over the federation: the index alone must not fall back to any word where a
    facility has a record with all of them."""
    parts = [
        Part("Old", [document(1, "Only lysozyme")], mode="indexed", harvested=True),
        Part("Now", [document(2, "Lysozyme and xenon"), document(3, "Xenon")]),
    ]
    async with world(tmp_path, *parts) as there:
        strict = await there.ask(words="lysozyme xenon")
        assert [hit.entity.record["pid"] for hit in strict.answer.hits] == ["10.5072/doc-0002"]
        assert (strict.answer.relaxed, strict.answer.total) == (False, Total(1))
        loose = await there.ask(words="lysozyme xenon krypton")
        assert loose.answer.relaxed
        assert loose.answer.total == Total(3)


async def test_a_thing_is_found_by_its_pid_wherever_it_is(tmp_path: Path) -> None:
    """Fault E13; one that several have is merged and names all."""
    both = document(7, "Shared")
    parts = [
        Part("Old", [both, document(8, "Indexed")], mode="indexed", harvested=True),
        Part("Now", [both, document(9, "Live"), document(5, "Number", pid="1000001")]),
        Part("Ill", [document(4, "Other number", pid="1000001")], dialect="ill"),
    ]
    async with world(tmp_path, *parts) as there:
        for pid, facilities in (
            ("10.5072/doc-0007", [{"Old", "Now"}]),
            ("10.5072/DOC-0008", [{"Old"}]),
            ("10.5072/doc-0009", [{"Now"}]),
            ("1000001", [{"Now"}, {"Ill"}]),
            ("10.5072/none", []),
            ("https://doi.org/10.5072/doc-0009", [{"Now"}]),
            ("doi:10.5072/doc-0007", [{"Old", "Now"}]),
            ("10.5072%2Fdoc-0009", [{"Now"}]),
        ):
            found = await there.federation.find("Document", pid, Asked())
            held = [set(one.record["facilities"]) for one in found.entities]
            assert sorted(held, key=sorted) == sorted(facilities, key=sorted), pid


async def test_an_operator_that_turns_out_unknown_is_learnt(tmp_path: Path) -> None:
    """What the check found may be gone: the refused operators are not sent again."""
    part = Part("Now", documents(0, 20))
    where = Compare("startDate", "gte", "2014-01-01T00:00:00Z")
    async with world(tmp_path, part, settings=replace(SETTINGS, live_whole=0)) as there:
        there.refuse("Now", "gte")
        found = await there.ask(where=where, limit=100)
        assert {hit.entity.key for hit in found.answer.hits} == set(there.truth(where=where))
        assert ("Document", "gte") in await there.federation.lessons.learned("now-rest")
        asked = there.asked("Now")
        again = await there.ask(where=where, limit=100)
        assert again.answer.total == found.answer.total
        assert all("gte" not in one for one in there.asked("Now")[len(asked) :])


async def test_hits_are_marked_and_explained_wherever_they_come_from(tmp_path: Path) -> None:
    """Semantics 8.4: the parts add up to the score on the one scale, on both sides."""
    parts = [
        Part("Old", documents(0, 10), mode="indexed", harvested=True),
        Part("Now", documents(10, 10), dialect="scicat"),
    ]
    async with world(tmp_path, *parts) as there:
        first = await there.ask(words="lysozyme", explain=True, limit=2)
        hits = list(first.answer.hits)
        rest = await there.ask(words="lysozyme", explain=True, limit=50, skip=2)
        hits += rest.answer.hits
        assert {tuple(hit.entity.record["facilities"]) for hit in hits} == {("Old",), ("Now",)}
        for hit in hits:
            explained = hit.explanation
            assert explained is not None
            points = explained.text + explained.technique
            assert hit.score == pytest.approx(points / explained.best_possible, rel=1e-3)
            (start, end) = hit.highlights["title"][0]
            assert hit.entity.record["title"][start:end].lower() == "lysozyme"


@pytest.mark.parametrize("fault", ["skip-from-one", "short:2"])
async def test_a_list_that_loses_records_is_never_called_whole(tmp_path: Path, fault: str) -> None:
    """Faults E03, E04, G05: the service's own count tells that something was left out."""
    part = Part("Now", documents(0, 30))
    async with world(tmp_path, part) as there:
        assert await there.total() == Total(30, "eq")
        there.facilities["Now"].faults.add(fault, "cap-limit:10")
        total = await there.total(words="lysozyme")
        expected = len(there.truth(words="lysozyme"))
        assert total.relation == "gte" or total.value == expected
        assert total.value <= expected


@pytest.mark.parametrize("fails", ["error:502@Datasets", "error:400@Datasets"])
async def test_what_was_not_seen_of_a_record_is_no_exact_nothing(
    tmp_path: Path, fails: str
) -> None:
    """Faults G01, E12: where details of Datasets do not come, none "has no technique"."""
    part = Part("Flat", documents(0, 12), faults="include-depth:1")
    async with world(tmp_path, part) as there:
        where = TechniqueIn(("PaNET01188",))
        assert await there.total(where=where) == Total(3, "eq")
        there.facilities["Flat"].faults.set(f"include-depth:1,{fails}")
        assert (await there.total(where=where)).relation == "gte"
        assert (await there.total(words="saxs")).relation == "gte"
        assert (await there.total(where=Compare("type", "eq", "proposal"))).relation == "eq"
        answer = await there.ask(facets=(Facet("technique"),))
        assert answer.answer.total == Total(12, "eq")
        (line,) = answer.lines
        assert "details of datasets" in line.unseen
        assert "details of datasets" in line.json()["missing"]


@pytest.mark.parametrize(
    ("known", "later"),
    [("shallow-includes:1", ""), ("", "ignores-include"), ("include-depth:1", "empty@Datasets")],
)
async def test_includes_that_are_silently_dropped_are_no_exact_nothing(
    tmp_path: Path, known: str, later: str
) -> None:
    """Faults E08, E12: a service takes an include and sends nothing of it."""
    async with world(tmp_path, Part("Now", documents(0, 12), faults=known)) as there:
        if later:
            there.facilities["Now"].faults.add(later)
        found = await there.ask(where=TechniqueIn((SAXS,)), limit=20)
        if found.answer.total.relation == "eq":
            assert found.answer.total.value == len(there.truth(where=TechniqueIn((SAXS,))))
        else:
            assert any(line.unseen for line in found.lines)
        plain = await there.ask(limit=20, facets=(Facet("technique"),))
        counts = {one.id: one.count for one in plain.answer.facets["technique"]}
        assert counts.get(SAXS) == 3 or any(line.unseen for line in plain.lines)


async def test_who_is_left_when_nobody_knows_whom_to_exclude_is_not_guessed(tmp_path: Path) -> None:
    """Faults G01, G05: "not SAXS" of records whose techniques could not be had."""
    async with world(tmp_path, Part("Flat", documents(0, 12), faults="include-depth:1")) as there:
        there.facilities["Flat"].faults.add("error:502@Datasets")
        not_saxs, not_type = Not(TechniqueIn((SAXS,))), Not(Compare("type", "eq", "poster"))
        with pytest.raises(NobodyAnswered, match="details of datasets"):
            await there.ask(where=all_of(not_type, not_saxs))
        assert await there.total(where=not_type) == Total(12, "eq")


async def test_people_that_are_silently_left_out_are_not_nobody(tmp_path: Path) -> None:
    """Fault E12"""
    part = Part("Flat", documents(0, 12), faults="shallow-includes:1")
    async with world(tmp_path, part) as there:
        anybody = Join("members", Join("person", Compare("fullName", "eq", "A Doe")))
        found = await there.ask(where=anybody)
        assert found.answer.total.relation == "gte"
        assert "details of members" in found.lines[0].unseen


@pytest.mark.parametrize("modes", ["live live live", "live live indexed"])
async def test_what_several_hold_is_counted_once_in_the_collection(
    tmp_path: Path, modes: str
) -> None:
    """Fault G10: a word is as rare as in one index over all, however many facilities repeat it."""
    shared = [document(n, "lysozyme in glass") for n in range(10)]
    parts = [
        Part(f"F{n}", [*shared, *documents(20 + 10 * n, 8)], mode=mode, harvested=mode != "live")  # type: ignore[arg-type]
        for n, mode in enumerate(modes.split())
    ]
    async with world(tmp_path, *parts) as there:
        question: dict[str, Any] = {"words": "lysozyme water glass", "match": "any"}
        found = await there.ask(**question, limit=50)
        assert found.scorer is not None
        search = Search("Document", NOW, text=Text(question["words"], match="any"))
        matcher = Matcher.of(search, union(parts))
        true = there.true_scorer(matcher, matcher.matching())
        assert found.scorer.collection.documents == true.collection.documents == 34
        counted = found.scorer.collection.frequencies
        assert counted == pytest.approx(dict(true.collection.frequencies))
        assert [hit.entity.key for hit in found.answer.hits] == there.truth(**question)
        (line,) = [one for one in found.lines if one.name == "F0"]
        assert line.total == len([e for e in matcher.matching() if "F0" in e.facilities])
        # Checked again in another order, nobody leaves to others what they leave to it.
        async with Fetcher(sleep=no_pause) as http:
            for part in parts[:2]:
                pair = configured(part, there.facilities[part.name].api_url)
                await remember(there.catalogue, http, *pair)
        await there.states.refresh(NOW + timedelta(minutes=1))
        again = await there.ask(**question, limit=50)
        assert again.scorer is not None
        assert again.scorer.collection.documents == 34


async def test_what_only_another_class_tells_is_no_exact_nothing(tmp_path: Path) -> None:
    """Fault G01: Datasets that do not name their Documents may be any Document's."""
    async with world(tmp_path, Part("Now", documents(0, 12)), settings=LARGE) as there:
        where = Join("documents", Compare("type", "eq", "proposal"))
        assert (await there.ask("Dataset", where=where)).answer.total.relation == "gte"


@pytest.mark.parametrize("dialect", ["ill", "reference", "xfel", "datagateway", "scicat"])
async def test_documents_of_which_there_are_few_tell_whose_their_datasets_are(
    tmp_path: Path, dialect: str
) -> None:
    """Semantics 2.2, 9.5: where Datasets do not say enough of their Documents, these are read."""
    made = documents(0, 12)
    for n, one in enumerate(made):
        one["members"][0]["person"]["fullName"] = f"{'Ada' if n % 3 else 'Eva'} Doe"
        one["releaseDate"] = f"20{20 + n}-06-01T00:00:00.000Z"
    person = Join("members", Join("person", Pattern(("fullName",), "Eva")))
    wheres = (
        Join("documents", person),
        Not(Join("documents", person)),
        OpenAt(NOW),
        Join("documents", Compare("title", "eq", made[3]["title"])),
    )
    async with world(tmp_path, Part("Now", made, dialect=dialect)) as there:
        for where in wheres:
            found = await there.ask("Dataset", where=where, limit=20)
            if dialect == "scicat" and isinstance(where, OpenAt):
                continue  # It sends the first of January for every date.
            expected = set(there.truth("Dataset", where=where))
            assert {hit.entity.key for hit in found.answer.hits} == expected
            assert found.answer.total == Total(len(expected), "eq")
            assert "documents" not in found.lines[0].missing
        assert (await there.ask("Dataset")).answer.total == Total(12, "eq")
    async with world(tmp_path / "off", Part("Now", made, dialect=dialect)) as there:
        there.facilities["Now"].faults.set("error:502@Documents")
        found = await there.ask("Dataset", where=wheres[0])
        assert found.answer.total.relation == "gte"
        assert any("documents" in name for name in found.lines[0].without)


async def test_the_documents_of_datasets_are_asked_for_once(tmp_path: Path) -> None:
    keeping = replace(SETTINGS, facility_cache_s=30.0)
    async with world(tmp_path, Part("Now", documents(0, 12)), settings=keeping) as there:
        there.facilities["Now"].requests.clear()
        for words in ("run", "lysozyme", None):
            await there.ask("Dataset", **({} if words is None else {"words": words}))
        asked = [r for r in there.facilities["Now"].requests if r.path.endswith("/Documents")]
        assert len(asked) == 1


async def test_datasets_of_a_small_facility_count_exactly(tmp_path: Path) -> None:
    async with world(tmp_path, Part("Now", documents(0, 12))) as there:
        assert (await there.ask("Dataset")).answer.total == Total(12, "eq")


async def test_what_a_datasets_document_has_in_turn_is_not_seen_and_said_so(tmp_path: Path) -> None:
    """Faults G01, G05: Documents come with Datasets as they stand, without their members. What
    is to be left out by them cannot be told."""
    people = Join("members", Join("person", Pattern(("fullName",), "Doe")))
    asked = Join("documents", people)
    now = Part("Now", documents(0, 12), dialect="ill")
    async with world(tmp_path / "large", now, settings=LARGE) as there:
        assert len(there.truth("Dataset", where=asked)) == 12
        found = await there.ask("Dataset", where=asked)
        assert found.answer.total == Total(0, "gte")
        assert found.lines[0].unseen == ("documents.members",)
        with pytest.raises(NobodyAnswered):
            await there.ask("Dataset", where=Not(asked))
    async with world(tmp_path, now) as there:
        whole = Join("documents", Compare("type", "eq", "proposal"))
        assert await there.total(entity_class="Dataset", where=whole) == Total(12, "eq")


async def test_which_data_an_instrument_took_is_not_seen_and_said_so(tmp_path: Path) -> None:
    """Faults G01, G05: Instruments come without their Datasets."""
    made = documents(0, 12)
    for n, one in enumerate(made):
        one["datasets"][0]["instrument"] = {"pid": f"i{n % 4}", "name": f"BL{n % 4}"}
    async with world(tmp_path, Part("Now", made)) as there:
        assert await there.total(entity_class="Instrument") == Total(4, "eq")
        asked = Join("datasets", Everything())
        assert await there.total(entity_class="Instrument", where=asked) == Total(0, "gte")
        with pytest.raises(NobodyAnswered):
            await there.total(entity_class="Instrument", where=Not(asked))


@pytest.mark.parametrize("dialect", ["ill", "reference"])
async def test_a_dataset_is_not_open_while_its_document_is_embargoed(
    tmp_path: Path, dialect: str
) -> None:
    """Semantics 2.1, 9.5: where Datasets do not name their Documents, nobody can count them."""
    made = documents(0, 20)
    for n, one in enumerate(made):
        one["releaseDate"] = f"20{20 + n}-06-01T00:00:00.000Z"
    settings = SETTINGS if dialect == "ill" else LARGE
    async with world(tmp_path, Part("Now", made, dialect=dialect), settings=settings) as there:
        where = OpenAt(NOW)
        total = await there.total(entity_class="Dataset", where=where)
        if dialect == "ill":
            assert total == Total(len(there.truth("Dataset", where=where)), "eq")
        else:
            assert total.relation == "gte"


@pytest.mark.parametrize("mode", ["indexed", "live"])
async def test_a_mode_that_leaves_somebody_out_counts_at_least(tmp_path: Path, mode: Any) -> None:
    """Fault G05, semantics 9.5: who is named as missing is not counted."""
    old = Part("Old", documents(0, 5), mode="indexed", harvested=True)
    async with world(tmp_path, old, Part("Now", documents(5, 5))) as there:
        found = await there.ask(asked=Asked(mode=mode))
        assert found.answer.total == Total(5, "gte")
        named = Asked(mode=mode, facilities=("Old" if mode == "indexed" else "Now",))
        assert (await there.ask(asked=named)).answer.total == Total(5, "eq")


async def test_a_new_record_without_children_is_missed_by_nobody(tmp_path: Path) -> None:
    """At the check every record had Datasets, so includes were nested; now one has none, and the
    service drops it (crosswalks 2.2)."""
    part = Part("Now", documents(0, 10))
    async with world(tmp_path, part) as there:
        there.facilities["Now"].database.put_document({"pid": "10.5072/alone", "title": "Lysozyme"})
        total = await there.total(words="lysozyme")
        assert total.relation == "gte" or total.value == len(there.truth(words="lysozyme")) + 1


async def test_a_doi_that_stands_beside_a_number_is_found(tmp_path: Path) -> None:
    """ESRF: the pid is a number, the DOI a field of its own."""
    part = Part("Now", [document(3, "Numbered", pid="1000003", doi="10.15151/ESRF-ES-3")])
    async with world(tmp_path, part) as there:
        found = await there.federation.find("Document", "10.15151/esrf-es-3", Asked())
        assert [one.record["title"] for one in found.entities] == ["Numbered"]


async def test_facilities_are_asked_for_plain_words(tmp_path: Path) -> None:
    """Quotation marks and signs are ours; a facility would look for them literally."""
    part = Part("Rank", documents(0, 40), dialect="scicat")
    settings = replace(SETTINGS, live_whole=0)
    async with world(tmp_path, part, settings=settings) as there:
        await there.ask(words='"lysozyme in" +iron -water', limit=5)
        asked = [orjson.loads(one).get("query") for one in there.asked("Rank") if "query" in one]
        assert asked[-1] == "lysozyme in iron"


async def test_no_real_facility_is_asked_by_nobody(tmp_path: Path) -> None:
    """Semantics 10.5: neither for a page nor for a single thing, while no contact is configured."""
    async with world(tmp_path, Part("Now", documents(0, 5))) as there:
        (facility,), (source,) = there.catalogue.store.facilities(), there.catalogue.store.sources()
        there.catalogue.store.put_configuration([facility], [replace(source, internal=False)])
        await there.states.refresh(NOW + timedelta(seconds=10))
        there.federation.has_contact = False
        before = len(there.asked("Now"))
        with pytest.raises(NobodyAnswered, match="no contact address"):
            await there.ask(words="lysozyme")
        with pytest.raises(NobodyAnswered, match="no contact address"):
            await there.federation.find("Document", "10.5072/doc-0001", Asked())
        assert len(there.asked("Now")) == before
