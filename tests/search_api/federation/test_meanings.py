"""What words of a question mean is asked of facilities, too, which look for the words alone.

The truth is the plain evaluator over all records (semantics 7.1, 7.2, 9.5).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from catalogue.answers import Total
from catalogue.query import Pattern, TechniqueIn, all_of
from catalogue.records import EntityClass
from mappings.techniques import load_panet
from tests.search_api.federation.federation_world import (
    SETTINGS,
    WORDS,
    Part,
    World,
    document,
    world,
)

LARGE = replace(SETTINGS, live_whole=5, live_depth=100)
"""Of settings under which the facilities below are too large to be read to their ends."""
SANS = {
    "pid": "http://purl.org/pan-science/PaNET/PaNET01189",
    "name": "small angle neutron scattering",
}
XRD = {"pid": "http://purl.org/pan-science/PaNET/PaNET01216", "name": "x-ray diffraction"}
KINDS = ("reference", "xfel", "scicat", "ill", "datagateway", "full-text", "substring", "no-text")


def tagged(count: int, *, childless: int = 0) -> list[dict[str, Any]]:
    """Documents whose titles and summaries name no technique; each ninth has a tag."""
    made = []
    for n in range(count):
        title = f"{WORDS[n % 10]} and {WORDS[(n * 7 + 3) % 10]} number {n}"
        one = document(n, title, techniques=[SANS, XRD] if n % 9 == 0 else [XRD])
        if n % 50 == 49 and childless:
            one["datasets"] = []
        made.append(one)
    return made


def sent(there: World, name: str, since: int = 0) -> list[dict[str, Any]]:
    """The filters that a facility was sent."""
    return [orjson.loads(text) for text in there.asked(name)[since:] if text]


CLASSES: tuple[EntityClass, ...] = ("Document", "Dataset")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_technique_in_words_finds_what_is_tagged_with_it(tmp_path: Path, kind: str) -> None:
    """Of a facility too large to be read whole, whatever it can do with words."""
    part = Part("Far", tagged(250), dialect=kind)
    async with world(tmp_path, part, settings=LARGE) as there:
        for entity_class, match in product(CLASSES, ("all", "any")):
            asked = {"words": "small angle neutron scattering", "match": match}
            expected = there.truth(entity_class, **asked)
            found = await there.ask(entity_class, limit=100, **asked)
            assert [hit.entity.key for hit in found.answer.hits] == expected
            assert found.answer.total == Total(len(expected), "gte")
            assert not found.answer.relaxed
        for entity_class, words in product(CLASSES, ("lysozyme SANS", "SANS -lysozyme")):
            expected = there.truth(entity_class, words=words)
            found = await there.ask(entity_class, words=words, limit=100)
            assert {hit.entity.key for hit in found.answer.hits} == set(expected), words
            assert found.answer.total == Total(len(expected), "gte")
        # Nothing is cut off a record by what chose it.
        found = await there.ask("Dataset", words="SANS", limit=1)
        assert len(found.answer.hits[0].entity.record["techniques"]) == 2


async def test_documents_without_datasets_hide_none_that_have_some(tmp_path: Path) -> None:
    """Fault E12: that a service loses parents by an include inside an include does no harm where
    only those with such children are wanted."""
    part = Part("Far", tagged(250, childless=6))
    async with world(tmp_path, part, settings=LARGE) as there:
        where = TechniqueIn(("PaNET01189",))
        for asked in ({"words": "small angle neutron scattering"}, {"where": where}):
            found = await there.ask(limit=100, **asked)
            expected = there.truth(**asked)
            assert {hit.entity.key for hit in found.answer.hits} == set(expected), asked


@pytest.mark.parametrize("kind", ["reference", "scicat", "full-text", "no-text"])
async def test_a_quantity_in_words_finds_what_was_measured_at_it(tmp_path: Path, kind: str) -> None:
    """Semantics 5.3, 7.1"""
    made = tagged(240)
    for n, one in enumerate(made):
        kelvin = 77 if n % 8 == 7 else 300
        rows = [{"name": "sample_temperature", "value": kelvin, "unit": "K"}]
        one["datasets"][0]["parameters"] = rows
    async with world(tmp_path, Part("Far", made, dialect=kind), settings=LARGE) as there:
        for words in ("at 77 K", "SANS at 77 K", "lysozyme at 77 K"):
            expected = there.truth("Dataset", words=words)
            assert expected
            found = await there.ask("Dataset", words=words, limit=100)
            assert {hit.entity.key for hit in found.answer.hits} == set(expected), words
            assert found.answer.total.relation == "gte"


async def test_what_is_read_whole_is_asked_no_second_time(tmp_path: Path) -> None:
    settings = replace(SETTINGS, live_whole=5)
    parts = [Part("Small", tagged(4)), Part("Mute", tagged(40), dialect="no-text")]
    async with world(tmp_path, *parts, settings=settings) as there:
        before = {part.name: len(there.asked(part.name)) for part in parts}
        # A small facility's Documents, which questions share, tell whose its Datasets are.
        lists = {"Small": 2, "Mute": 1}
        found = await there.ask("Dataset", words="SANS", limit=100)
        assert found.answer.total == Total(len(there.truth("Dataset", words="SANS")), "eq")
        for part in parts:
            asked = sent(there, part.name, before[part.name])
            assert len(asked) == lists[part.name], part.name


async def test_a_facility_that_does_not_take_the_second_question_answers_the_first(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, Part("Far", tagged(250)), settings=LARGE) as there:
        there.refuse("Far", "inq")
        found = await there.ask("Dataset", words="SANS lysozyme", match="any", limit=100)
        expected = set(there.truth("Dataset", words="lysozyme"))
        assert {hit.entity.key for hit in found.answer.hits} == expected
        assert found.answer.total == Total(len(expected), "gte")
        assert [line.state for line in found.lines] == ["answered"]
        assert await there.federation.lessons.learned("far-rest") == frozenset()


async def test_what_is_refused_inside_an_include_is_blamed_on_no_operator_outside(
    tmp_path: Path,
) -> None:
    """Crosswalks 2.3: only what a service surely does not know is learnt."""
    asked = all_of(Pattern(("title",), "lysozyme", ignore_case=True), TechniqueIn(("PaNET01189",)))
    async with world(tmp_path, Part("Far", tagged(250)), settings=LARGE) as there:
        there.refuse("Far", "inq")
        found = await there.ask("Dataset", where=asked, limit=100)
        assert found.answer.total.value == len(there.truth("Dataset", where=asked))
        assert await there.federation.lessons.learned("far-rest") == frozenset()


ASKED_WIDELY: tuple[dict[str, Any], ...] = (
    {"words": "scattering"},
    {"where": TechniqueIn(("PaNET00200",))},
)


async def test_a_wide_technique_is_asked_for_in_an_address_that_servers_take(
    tmp_path: Path,
) -> None:
    """Most take 8 kB. What the facility is known to have comes first (semantics 4.1)."""
    assert len(load_panet().descendants("PaNET00200")) > 100
    async with world(tmp_path, Part("Far", tagged(250)), settings=LARGE) as there:
        for entity_class, asked in product(CLASSES, ASKED_WIDELY):
            since = len(there.asked("Far"))
            found = await there.ask(entity_class, limit=10, **asked)
            chosen = [one for one in there.asked("Far")[since:] if "PaNET00200" in one]
            # The simulator's server refuses longer ones before it knows what they ask.
            assert chosen
            assert all(len(quote(one)) < 8_000 for one in chosen)
            assert len(found.answer.hits) == 10


async def test_techniques_are_asked_for_in_the_facilitys_own_spelling(tmp_path: Path) -> None:
    """A facility's own numbers, and names that PaNET writes otherwise (semantics 4.3)."""
    made = tagged(250)
    own = {"pid": "7", "name": "Small-Angle Neutron Scattering (SANS)"}
    for one in made:
        rows = one["datasets"][0]["techniques"]
        one["datasets"][0]["techniques"] = [own if row is SANS else row for row in rows]
    by_filter = {"where": TechniqueIn(("PaNET01189",))}
    async with world(tmp_path, Part("Far", made), settings=LARGE) as there:
        for entity_class, asked in product(CLASSES, ({"words": "SANS"}, by_filter)):
            expected = there.truth(entity_class, **asked)
            assert expected
            found = await there.ask(entity_class, limit=100, **asked)
            assert {hit.entity.key for hit in found.answer.hits} == set(expected), asked
