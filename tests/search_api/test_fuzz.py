"""Nothing that a client sends gives a server error, a trace or a hang (faults E10, F14, I07, I08).

Filters are drawn from a grammar that knows the right words and uses them wrongly, from arbitrary
JSON, and from raw bytes; all go over HTTP to a real server.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from catalogue.facilities import Facility, Source
from search_api.conditions import OPERATORS
from search_api.model import MODEL
from search_api.search import PARAMETERS

FEW = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECE = settings(
    parent=FEW, max_examples=2_500, phases=(Phase.generate, Phase.shrink), database=None
)

PATHS = ["/api/Documents", "/api/Datasets", "/api/Instruments", "/techniques"]


@pytest.fixture(scope="module")
def server(background: Callable[..., Any]) -> Any:
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payloads = [
        (
            "panosc-document",
            {
                "pid": f"10.5072/{number}",
                "title": "Größe \ud7ff of α-Al₂O₃",
                "type": "proposal",
                "isPublic": True,
                "startDate": "2018-01-01T00:00:00Z",
                "members": [{"role": "owner", "person": {"fullName": "Wu"}}],
                "parameters": [{"name": "temperature", "value": 5, "unit": "K"}],
                "datasets": [
                    {
                        "pid": f"d{number}",
                        "title": "run",
                        "size": 5,
                        "techniques": [{"name": "SAXS"}],
                        "samples": [{"name": "water"}],
                        "instrument": {"pid": "i", "name": "Loki"},
                        "files": [{"id": 1, "name": "a.h5"}],
                    }
                ],
            },
        )
        for number in range(5)
    ]
    return background((facility, source, payloads))


def check(answer: tuple[int, Any, bytes], what: object) -> None:
    status, headers, body = answer
    assert status < 500, (status, what, body[:500])
    assert b"Traceback" not in body
    if status >= 400 and body and headers["Content-Type"].startswith("application/json"):
        error = json.loads(body)["error"]
        assert error["statusCode"] == status
        assert error["message"]


words = st.sampled_from(
    [
        *OPERATORS,
        *(name for one in MODEL.values() for name in (*one.all_fields, *one.relations)),
        *[
            "and",
            "or",
            "text",
            "near",
            "exists",
            "options",
            "where",
            "include",
            "relation",
            "scope",
            "limit",
            "skip",
        ],
        *("scope", "limit", "skip", "order", "fields", "query", "offset", "__proto__"),
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        [
            "SAXS",
            "small angle x-ray scattering",
            "2020-01-01",
            "9999-12-31T23:59:59Z",
            "0001-01-01",
            "1e999",
            "1e300",
            -1e300,
            "K",
            "celsius",
            "sample_temperature",
            "(a+)+$",
            "/x/i",
            "[",
            "a*b*c*d*",
            "%",
            "\u0000",
            "\ud7ff",
            "PaNET01188",
            "title DESC",
        ]
    ),
)
odd_json = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(words | st.text(max_size=5), below, max_size=3),
    ),
    max_leaves=8,
)


def condition_on(fields: list[str]) -> st.SearchStrategy[Any]:
    leaf = st.tuples(
        st.sampled_from(fields),
        st.one_of(scalars, st.dictionaries(st.sampled_from(OPERATORS), odd_json, max_size=2)),
    ).map(lambda pair: {pair[0]: pair[1]})
    return st.recursive(
        leaf,
        lambda below: st.tuples(st.sampled_from(["and", "or"]), st.lists(below, max_size=3)).map(
            lambda pair: {pair[0]: pair[1]}
        ),
        max_leaves=4,
    )


conditions = st.one_of(*(condition_on([*one.all_fields, "text"]) for one in MODEL.values()))
includes = st.recursive(
    st.one_of(words, odd_json),
    lambda below: st.fixed_dictionaries(
        {"relation": words},
        optional={
            "scope": st.fixed_dictionaries(
                {},
                optional={
                    "where": conditions,
                    "include": st.lists(below, max_size=2),
                    "limit": scalars,
                    "order": odd_json,
                    "fields": odd_json,
                },
            )
        },
    ),
    max_leaves=4,
)
filters = st.one_of(
    odd_json,
    st.fixed_dictionaries(
        {},
        optional={
            "where": conditions | odd_json,
            "include": st.lists(includes, max_size=2) | odd_json,
            "limit": scalars,
            "skip": scalars,
            "order": odd_json,
            "fields": odd_json,
            "query": scalars,
        },
    ),
)
parameters = st.lists(
    st.tuples(
        st.sampled_from([parameter.name for parameter in PARAMETERS]),
        st.one_of(
            st.text(max_size=15),
            st.sampled_from(
                ["true", "0", "-1", "2017-2019", "documents", "datasets", "open", "date", "-size",
                 "facility,technique,access", "sample_temperature:1..5 K", "SAXS", "all", "csv",
                 "1e400", '"a phrase', "-x", "+y", "a*", "10.5072/1", "MSwy"]
            ),
        ),
    ),
    max_size=4,
)  # fmt: skip


def fuzz_filters(server: Any, path: str, suffix: str, name: str, drawn: Any) -> None:
    address = f"{path}{suffix}?{name}={quote(json.dumps(drawn))}"
    check(server.ask(address), address)


def fuzz_body(server: Any, path: str, drawn: Any) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(drawn).encode()
    check(server.ask(path, method="POST", body=body, headers=headers), body)


def fuzz_bytes(server: Any, path: str, name: str, drawn: bytes) -> None:
    address = f"{path}?{name}={quote(drawn)}"
    check(server.ask(address), address)
    check(server.ask(f"{path}/{quote(drawn, safe='')}"), drawn)


def fuzz_search(server: Any, drawn: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in drawn)
    check(server.ask(f"/api/search?{query}"), query)
    check(server.ask(f"/?{query}", headers={"Accept": "text/html"}), query)


paths = st.sampled_from(PATHS)
suffixes = st.sampled_from(["", "", "/count", "/10.5072%2F1", "/d1/files"])
bracketed = st.lists(
    st.tuples(st.lists(words | st.sampled_from(["0", "1", ""]), max_size=5), st.text(max_size=6)),
    max_size=4,
)


@FEW
@given(paths, suffixes, st.sampled_from(["filter", "where"]), filters)
def test_filters_of_every_kind(server: Any, path: str, suffix: str, name: str, drawn: Any) -> None:
    fuzz_filters(server, path, suffix, name, drawn)


@FEW
@given(paths, filters)
def test_bodies_of_every_kind(server: Any, path: str, drawn: Any) -> None:
    fuzz_body(server, path, drawn)


@FEW
@given(
    paths, st.sampled_from(["filter", "where", "query", "filter[where]"]), st.binary(max_size=40)
)
def test_raw_bytes(server: Any, path: str, name: str, drawn: bytes) -> None:
    fuzz_bytes(server, path, name, drawn)


@FEW
@given(paths, bracketed)
def test_brackets_of_every_kind(server: Any, path: str, drawn: Any) -> None:
    pairs = ["filter" + "".join(f"[{p}]" for p in parts) + "=" + quote(v) for parts, v in drawn]
    check(server.ask(f"{path}?{'&'.join(pairs)}"), pairs)


@FEW
@given(parameters)
def test_search_parameters_of_every_kind(server: Any, drawn: Any) -> None:
    fuzz_search(server, drawn)


@FEW
@given(st.text(max_size=40))
def test_texts_of_every_kind(server: Any, drawn: str) -> None:
    check(server.ask("/api/search?q=" + quote(drawn)), drawn)
    check(server.ask("/api/suggest?q=" + quote(drawn)), drawn)
    check(server.ask("/techniques/" + quote(drawn, safe="")), drawn)


def fuzz_and_damage(server: Any, path: str, suffix: str, name: str, drawn: Any) -> None:
    """A filter as drawn, and its text damaged in three ways: still nearly a filter."""
    fuzz_filters(server, path, suffix, name, drawn)
    text = json.dumps(drawn).encode()
    for damaged in damage(text, random.Random(crc32(text))):
        address = f"{path}{suffix}?{name}={quote(damaged)}"
        check(server.ask(address), address)


def damage(text: bytes, random_: random.Random) -> list[bytes]:
    """Cut short, with another byte somewhere, and with a part twice; drawn from the text itself."""
    one, other = sorted(random_.randrange(len(text) + 1) for _ in "ab")
    place = random_.randrange(len(text))
    odd = random_.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"\\", b"\xff"])
    return [
        text[:one],
        text[:place] + odd + text[place + 1 :],
        text[:other] + text[one:],
    ]


FILTERS = st.tuples(paths, suffixes, st.sampled_from(["filter", "where"]), filters)
BODIES = st.tuples(paths, filters)
BYTES = st.tuples(paths, st.sampled_from(["filter", "where", "query"]), st.binary(max_size=60))
SOAKED: dict[str, tuple[int, st.SearchStrategy[Any], Callable[..., None]]] = {
    "filters": (10, FILTERS, fuzz_and_damage),
    "bodies": (2, BODIES, fuzz_body),
    "raw bytes": (4, BYTES, fuzz_bytes),
    "search parameters": (3, st.tuples(parameters), fuzz_search),
}
"""What is soaked: how many pieces of 2,500, what is drawn, who sends it. 25,000 filters are sent
as drawn and damaged in three ways: 100,000."""


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "piece"),
    [(kind, piece) for kind, (pieces, *_) in SOAKED.items() for piece in range(pieces)],
)
def test_soaked(kind: str, piece: int, server: Any) -> None:
    """Each piece is drawn from a seed of its own, so that all together are as many."""
    _, strategy, send = SOAKED[kind]

    @seed(piece)
    @PIECE
    @given(strategy)
    def try_one(drawn: tuple[Any, ...]) -> None:
        send(server, *drawn)

    try_one()
