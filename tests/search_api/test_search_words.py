"""``field:value`` in the text of a search is a filter, and what is no field stays a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from catalogue.catalogue import Catalogue
from catalogue.facilities import Facility, Source
from search_api.conditions import Reading
from search_api.errors import BadRequest
from search_api.search import read_search
from search_api.search_words import Named, split_words


@pytest.mark.parametrize(
    ("text", "rest", "named"),
    [
        ("lysozyme", "lysozyme", ()),
        ("lysozyme technique:SAXS", "lysozyme", (Named("technique", "SAXS", False),)),
        ("-facility:ILL bone", "bone", (Named("facility", "ILL", True),)),
        ("+Facility:ILL", "", (Named("facility", "ILL", False),)),
        ('person:"Eva Müller" x', "x", (Named("person", "Eva Müller", False),)),
        ("author:Wu", "", (Named("person", "Wu", False),)),
        ("format:HDF5", "", (Named("file_format", "HDF5", False),)),
        ('"said title:x" y', '"said title:x" y', ()),
        ('-"title: x"', '-"title: x"', ()),
        ("Fe:Ni https://doi.org/10.1/a doi:10.1/b 10:30", None, ()),
        ("title: x", "title: x", ()),
        ('title:"" x', 'title:"" x', ()),
        ('title:a"b x', 'title:a"b x', ()),
    ],
)
def test_fields_are_taken_out_of_the_words(
    text: str, rest: str | None, named: tuple[Named, ...]
) -> None:
    assert split_words(text) == (text if rest is None else rest, named)


@given(st.text(alphabet='ab :"-+titleyear1 ', max_size=60))
def test_nothing_is_lost_of_any_text(text: str) -> None:
    rest, named = split_words(text)
    kept = "".join(rest.split()) + "".join("".join(one.value.split()) for one in named)
    assert len(kept) <= len("".join(text.split()))
    if not named:
        assert rest == text


@pytest.fixture
async def server(catalogue: Catalogue, keep: Any, serve: Any) -> TestClient[Any, Any]:
    def document(number: int, **fields: Any) -> tuple[str, Any]:
        dataset = {
            "pid": f"d{number}",
            "title": "run",
            "techniques": [{"name": fields.pop("technique")}],
            "samples": [{"name": fields.pop("sample")}],
            "instrument": {"pid": f"i{number}", "name": fields.pop("instrument")},
        }
        shown = {"pid": f"10.5072/{number}", "type": "proposal", "datasets": [dataset], **fields}
        return "panosc-document", shown

    def people(name: str) -> list[Any]:
        return [{"role": "owner", "person": {"fullName": name}}]

    first = document(
        1,
        title="Study of bone",
        technique="SANS",
        sample="Bone",
        instrument="D22",
        members=people("Eva Müller"),
        startDate="2018-05-01T00:00:00Z",
    )
    second = document(
        2,
        title="Study of wood",
        technique="SAXS",
        sample="Oak",
        instrument="SPB/SFX",
        members=people("Chien-Shiung Wu"),
        startDate="2020-05-01T00:00:00Z",
    )
    for name, payload in (("ILL", first), ("ESS", second)):
        facility = Facility(name, f"Facility {name}", f"https://{name}.example/api")
        source = Source(name, name, "panosc", facility.provider, "panosc-json")
        await keep(catalogue, facility, source, [payload])
    client: TestClient[Any, Any] = await serve(catalogue)
    return client


@pytest.mark.parametrize(
    ("q", "pids"),
    [
        ("study technique:SANS", [1]),
        ("study -technique:SANS", [2]),
        ("technique:SAXS technique:SANS", [1, 2]),
        ("-technique:SAXS -technique:SANS", []),
        ("facility:ill", [1]),
        ("instrument:spb", [2]),
        ("instrument:D22", [1]),
        ("sample:oak", [2]),
        ('person:"eva müller"', [1]),
        ("author:wu", [2]),
        ("year:2018", [1]),
        ("year:2018 year:2019-", [1, 2]),
        ("title:wood", [2]),
        ("-title:wood study", [1]),
        ("pid:10.5072/1", [1]),
        ("kind:data", [1, 2]),
        ("kind:all", [1, 2]),
        ("-kind:data", []),
        ("access:unknown", [1, 2]),
        ("study titel:wood", []),
    ],
)
async def test_a_field_filters(q: str, pids: list[int], server: TestClient[Any, Any]) -> None:
    assert await pids_of(server, q=q) == [f"10.5072/{number}" for number in pids]


@pytest.mark.parametrize(
    ("q", "pids"),
    [
        ("technique:SAXS", [2]),
        ("-sample:oak", [1]),
        ("person:müller", [1]),
        ("instrument:spb", [2]),
    ],
)
async def test_a_field_filters_datasets_too(
    q: str, pids: list[int], server: TestClient[Any, Any]
) -> None:
    assert await pids_of(server, q=q, type="datasets") == [f"d{number}" for number in pids]


async def pids_of(server: TestClient[Any, Any], **parameters: str) -> list[str]:
    """Pids of what is found, in order; nothing when the words had to be relaxed."""
    response = await server.get("/api/search", params=parameters)
    answer = await response.json()
    assert response.status == 200, answer
    return [] if answer["relaxed"] else sorted(hit["pid"] for hit in answer["hits"])


def test_a_text_has_only_so_many_fields(reading: Callable[[], Reading]) -> None:
    """fault I08"""
    read_search(reading(), [("q", "-title:a " * 32)], 10)
    with pytest.raises(BadRequest, match="More than 32"):
        read_search(reading(), [("q", "-title:a " * 33)], 10)


@pytest.mark.parametrize("q", ["year:soon", "access:perhaps", "kind:poem", "level:low"])
def test_a_value_that_a_field_cannot_have_is_refused(
    q: str, reading: Callable[[], Reading]
) -> None:
    with pytest.raises(BadRequest):
        read_search(reading(), [("q", q)], 10)
