"""How far a facility's list is read, pages that come together, and what is claimed of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from catalogue.answers import Total
from catalogue.query import (
    Compare,
    Facet,
    Join,
    ParameterRange,
    Search,
    Sort,
    TechniqueIn,
    Text,
    all_of,
    data_only,
)
from mappings.parameter_names import parameter_names
from search_api.federation.matching import Matcher
from search_api.federation.paging import PAGES_AT_ONCE
from search_api.federation.questions import FacilityAnswer, Question
from search_api.federation.ranking import sort_order
from tests.search_api.federation.federation_world import (
    NOW,
    SETTINGS,
    Part,
    World,
    document,
    documents,
    union,
    world,
)

NOT_SMALL = replace(SETTINGS, live_whole=5)
SAXS = {"pid": "http://purl.org/pan-science/PaNET/PaNET01188", "name": "SAXS"}
XRD = {"pid": "http://purl.org/pan-science/PaNET/PaNET01216", "name": "x-ray diffraction"}
FOUR_YEARS = all_of(
    Compare("startDate", "gte", "2014-01-01T00:00:00Z"),
    Compare("startDate", "lt", "2018-01-01T00:00:00Z"),
)

TEMPERATURE = parameter_names("sample_temperature")
MANY_YEARS = Compare("startDate", "gte", "2012-01-01T00:00:00Z")


def skips(there: World, since: int) -> list[int]:
    """Where the pages began that the facility was asked for."""
    filters = [orjson.loads(text) for text in there.asked("Far")[since:] if text]
    return [one.get("skip", 0) for one in filters]


def together(there: World) -> list[int]:
    """How many questions were under way whenever one was asked."""
    ask, now, seen = there.federation.asker.ask, [0], []

    async def noting(live: Any, question: Question, **how: Any) -> FacilityAnswer:
        now[0] += 1
        seen.append(now[0])
        try:
            return await ask(live, question, **how)
        finally:
            now[0] -= 1

    there.federation.asker.ask = noting  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("limit", [0, 3, 10])
@pytest.mark.parametrize("dialect", ["reference", "xfel", "ill", "datagateway"])
async def test_what_a_facility_cannot_decide_is_exact_within_the_bound(
    tmp_path: Path, dialect: str, limit: int
) -> None:
    """Fault E08, semantics 9.5: the superset is paged through, however few hits a page shows."""
    part = Part("Far", documents(0, 130), dialect=dialect, faults="cap-limit:20")
    async with world(tmp_path, part, settings=NOT_SMALL) as there:
        expected = there.truth(where=FOUR_YEARS)
        found = await there.ask(where=FOUR_YEARS, limit=limit)
        assert found.answer.total == Total(len(expected), "eq")
        assert len(found.answer.hits) == min(limit, len(expected))


async def test_a_superset_beyond_the_bound_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Where all cannot be seen, a page's worth is enough, and the answer says "at least"."""
    small = replace(SETTINGS, live_whole=5, live_depth=100, live_candidates=20)
    async with world(tmp_path, Part("Far", documents(0, 130)), settings=small) as there:
        before = len(there.asked("Far"))
        found = await there.ask(where=Compare("startDate", "gte", "2000-01-01"), limit=5)
        assert len(found.answer.hits) == 5
        assert found.answer.total.relation == "gte"
        lists = [orjson.loads(text) for text in there.asked("Far")[before:] if text]
        assert [one["limit"] for one in lists] == [20]


async def test_a_page_that_is_not_full_is_looked_for_further_down(tmp_path: Path) -> None:
    """Fault E12: what matches may begin anywhere in a list that cannot be asked for it."""
    rare = [document(n, "lysozyme", type="rare") for n in range(90, 97)]
    many = [*documents(0, 90), *rare, *documents(97, 30)]
    small = replace(SETTINGS, live_whole=5, live_depth=120, live_candidates=20)
    part = Part("Far", many, faults="ignores-where:type")
    async with world(tmp_path, part, settings=small) as there:
        found = await there.ask(where=Compare("type", "eq", "rare"), limit=5)
        assert len(found.answer.hits) == 5
        assert found.answer.total.relation == "gte"


async def test_pages_behind_the_first_come_together_and_in_order(tmp_path: Path) -> None:
    part = Part("Far", documents(0, 130), faults="cap-limit:20")
    async with world(tmp_path, part, settings=NOT_SMALL) as there:
        before = len(there.asked("Far"))
        at_once = together(there)
        found = await there.ask(where=MANY_YEARS, limit=100)
        keys = [hit.entity.key for hit in found.answer.hits]
        assert keys == sorted(keys)
        assert 1 < max(at_once) <= PAGES_AT_ONCE + 1
        asked = skips(there, before)
        assert asked[0] == 0
        assert len(asked) == len(set(asked)) > PAGES_AT_ONCE
        assert found.answer.total == Total(len(there.truth(where=MANY_YEARS)), "eq")


@pytest.mark.parametrize("fault", ["error:502@Documents@page3", "stall@Documents@page3"])
async def test_a_page_that_fails_takes_no_other_with_it(tmp_path: Path, fault: str) -> None:
    """Faults E07, G05: the others are shown, and nothing is called exact."""
    settings = replace(NOT_SMALL, facility_timeout_s=0.5)
    part = Part("Far", documents(0, 130), faults="cap-limit:20")
    async with world(tmp_path, part, settings=settings) as there:
        there.facilities["Far"].faults.add(fault)
        found = await there.ask(where=MANY_YEARS, limit=100)
        expected = there.truth(where=MANY_YEARS)
        assert found.answer.total.relation == "gte"
        assert 0 < len(found.answer.hits) <= found.answer.total.value <= len(expected)
        assert {hit.entity.key for hit in found.answer.hits} < set(expected)


@pytest.mark.parametrize(
    "fault",
    ["moving:3", "sliding:3", "short:2", "skip-from-one", "ignores-skip", "unstable-order",
     "ignores-order", "ceiling:60", "ceiling-error:60", "empty@every3", "null-rows", "ghosts",
     "twice", "count-wrong:3", "count-all", "count-500", "cap-limit:7"],
)  # fmt: skip
@pytest.mark.parametrize("where", [MANY_YEARS, TechniqueIn(("PaNET01188",))])
async def test_a_list_that_loses_records_is_never_called_whole(
    tmp_path: Path, fault: str, where: Any
) -> None:
    """Faults E01 to E08, G05, G11, with pages that are asked for together: what is claimed exact is
    exact, and nothing comes twice."""
    part = Part("Far", documents(0, 130), faults="cap-limit:20")
    async with world(tmp_path, part, settings=NOT_SMALL) as there:
        there.facilities["Far"].faults.add(fault)
        expected = set(there.truth(where=where))
        found = await there.ask(where=where, limit=200)
        keys = [hit.entity.key for hit in found.answer.hits]
        assert len(keys) == len(set(keys))
        assert set(keys) <= expected
        total = found.answer.total
        if total.relation == "eq":
            assert set(keys) == expected
            assert total.value == len(expected)
        else:
            assert total.value <= len(expected)


@pytest.mark.parametrize("entity_class", ["Document", "Dataset"])
@pytest.mark.parametrize("dialect", ["reference", "scicat", "ill"])
async def test_conditions_inside_includes_choose_records_and_cut_none(
    tmp_path: Path, dialect: str, entity_class: Any
) -> None:
    """Fault E12: a record found by one of its techniques has its others, too."""
    made = [document(n, "ice", techniques=[SAXS, XRD] if n % 3 else [XRD]) for n in range(120)]
    part = Part("Far", made, dialect=dialect)
    some = replace(NOT_SMALL, live_depth=100)
    async with world(tmp_path, part, settings=some) as there:
        where, facets = TechniqueIn(("PaNET01188",)), (Facet("technique", size=50),)
        found = await there.ask(entity_class, where=where, facets=facets, limit=10)
        assert len(found.answer.hits) == 10
        counts = {one.id: one.count for one in found.answer.facets["technique"]}
        assert counts["PaNET01188"] == counts["PaNET01216"] == found.answer.total.value
        assert found.answer.total.relation == "gte"


async def test_records_that_were_cut_and_cannot_be_had_whole_say_so(tmp_path: Path) -> None:
    """Faults G01, E12."""
    made = [document(n, "ice", techniques=[SAXS, XRD] if n % 3 else [XRD]) for n in range(120)]
    some = replace(NOT_SMALL, live_depth=100)
    async with world(tmp_path, Part("Far", made), settings=some) as there:
        there.facilities["Far"].faults.add("error:502@Datasets@every2")
        found = await there.ask("Dataset", where=TechniqueIn(("PaNET01188",)), limit=10)
        (line,) = found.lines
        assert (line.state, line.unseen) == ("answered", ("all relations",))
        assert len(found.answer.hits) == 10
        assert found.answer.total.relation == "gte"


async def test_the_count_of_a_service_that_drops_conditions_is_not_believed(tmp_path: Path) -> None:
    """Faults E08, G05: at least twenty are not there where none is."""
    small = replace(SETTINGS, live_whole=5, live_depth=10)
    async with world(tmp_path, Part("Far", documents(0, 22)), settings=small) as there:
        where = Compare("pid", "eq", "10.5072/doc-0021")
        assert (await there.ask(where=where)).answer.total == Total(1, "eq")
        there.facilities["Far"].faults.add("ignores-where")
        found = await there.ask(where=where)
        assert found.answer.total == Total(0, "gte")
        assert (found.lines[0].total, found.lines[0].total_relation) == (0, "gte")


async def test_an_empty_page_of_an_unchecked_service_proves_nothing(tmp_path: Path) -> None:
    """Fault E07"""
    settings = replace(SETTINGS, live_depth=10)
    part = Part("Far", documents(0, 25), checked=False)
    async with world(tmp_path, part, settings=settings) as there:
        there.facilities["Far"].faults.add("short:1")
        assert (await there.total()).relation == "gte"


@pytest.mark.parametrize("dialect", ["reference", "xfel"])
async def test_likely_conditions_are_for_what_cannot_be_read_whole(
    tmp_path: Path, dialect: str
) -> None:
    """Semantics 9.5: within the bound a technique or a type is answered exactly, too."""
    part = Part("Far", documents(0, 120), dialect=dialect)
    async with world(tmp_path, part, settings=NOT_SMALL) as there:
        for where in (TechniqueIn(("PaNET01188",)), Compare("type", "eq", "proposal")):
            expected = there.truth(where=where)
            assert (await there.ask(where=where)).answer.total == Total(len(expected), "eq")


async def test_an_order_is_read_as_far_as_a_page_goes_in_either_direction(tmp_path: Path) -> None:
    """Semantics 9.5: also by pid, which lists are in anyway."""
    some = replace(NOT_SMALL, live_depth=100)
    async with world(tmp_path, Part("Far", documents(0, 150)), settings=some) as there:
        totals = [
            (await there.ask(where=data_only(), sort=(Sort("pid", way),))).answer.total
            for way in (False, True)
        ]
        assert totals == [Total(some.live_candidates, "gte")] * 2


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dialect", ["reference", "ill", "scicat"])
async def test_what_has_no_date_comes_last_wherever_a_facility_puts_it(
    tmp_path: Path, dialect: str, descending: bool
) -> None:
    """Semantics 3.1: many services begin with it in one of the directions."""
    made = documents(0, 150)
    for n, one in enumerate(made):
        if n % 2:
            del one["datasets"][0]["creationDate"]
    some = replace(NOT_SMALL, live_depth=150)
    order = (Sort("creationDate", descending),)
    async with world(tmp_path, Part("Far", made, dialect=dialect), settings=some) as there:
        search = Search("Dataset", NOW, sort=order)
        dated = [one for one in Matcher.of(search, union(there.parts)).matching()
                 if "creationDate" in one.stored.record]  # fmt: skip
        expected = sorted(sort_order(one.stored.record, "Dataset", order, one.key) for one in dated)
        found = await there.ask("Dataset", sort=order, limit=20)
        keys = [hit.entity.key for hit in found.answer.hits]
        assert keys == [key for *_, key in expected[:20]]


@pytest.mark.parametrize("dialect", ["full-text", "substring", "no-text"])
async def test_words_in_an_order_are_no_matter_of_the_facilitys_ranking(
    tmp_path: Path, dialect: str
) -> None:
    """The newest of all that match, not of those that the facility ranks highest."""
    made = [document(n, f"{'ice ' * (1 + n % 7)} number {n}", summary="-") for n in range(150)]
    for n, one in enumerate(made):
        one["startDate"] = f"{1990 + n % 7 if n % 7 else 2020}-01-{1 + n % 28:02}T00:00:00.000Z"
    some = replace(NOT_SMALL, live_depth=150)
    order = (Sort("startDate", True),)
    async with world(tmp_path, Part("Far", made, dialect=dialect), settings=some) as there:
        search = Search("Document", NOW, text=Text("ice"), sort=order)
        expected = sorted(
            sort_order(one.stored.record, "Document", order, one.key)
            for one in Matcher.of(search, union(there.parts)).matching()
        )
        found = await there.ask(words="ice", sort=order, limit=20)
        keys = [hit.entity.key for hit in found.answer.hits]
        assert keys == [key for *_, key in expected[:20]]


def heated(kelvin: float, unit: str, name: str = "sample_temperature") -> dict[str, Any]:
    value = {"K": kelvin, "celsius": kelvin - 273.15}[unit]
    return {"name": name, "value": value, "unit": unit}


@pytest.mark.parametrize("entity_class", ["Dataset", "Document"])
@pytest.mark.parametrize("dialect", ["reference", "scicat", "ill", "xfel"])
async def test_ranges_of_parameters_choose_among_many_records(
    tmp_path: Path, dialect: str, entity_class: Any
) -> None:
    """Semantics 5: in the facility's own units, and never narrower than what is asked."""
    made = []
    for n in range(140):
        one = document(n, "ice")
        rows = [heated(300, "K"), heated(4, "K", "cryostat temperature")]
        if n >= 100 and n % 5 == 0:
            rows = [heated(77.15, "K" if n % 2 else "celsius")]
        one["datasets"][0]["parameters"] = rows
        made.append(one)
    some = replace(NOT_SMALL, live_depth=100)
    async with world(tmp_path, Part("Far", made, dialect=dialect), settings=some) as there:
        rows = Join("parameters", ParameterRange(TEMPERATURE, "temperature", 70.0, 80.0))
        where = rows if entity_class == "Dataset" else Join("datasets", rows)
        expected = set(there.truth(entity_class, where=where))
        assert len(expected) == 8
        found = await there.ask(entity_class, where=where, limit=20)
        keys = {hit.entity.key for hit in found.answer.hits}
        assert keys <= expected
        assert found.answer.total.relation == "gte"
        if '"value"' in "".join(there.asked("Far")[-8:]):
            assert keys == expected
            record = found.answer.hits[0].entity.record
            if entity_class == "Dataset":
                assert len(record["parameters"]) == 1
        else:
            assert dialect in ("ill", "xfel")
