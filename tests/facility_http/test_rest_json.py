"""JSON answers: what is an error, what is odd, what is mended."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facility_http.errors import (
    AccessRefused,
    CutOff,
    FacilityHttpError,
    MalformedResponse,
    NotAccepted,
    NotOffered,
    NotTheProtocol,
)
from facility_http.rest_json import (
    count_in,
    error_in,
    identifier_of,
    is_ghost,
    objects_in,
    parse_json,
    parse_json_in_steps,
    record_of,
)


@pytest.mark.parametrize(
    ("answer", "http_status", "kind"),
    [
        ({"error": {"statusCode": 400, "name": "Error", "message": "no"}}, 400, NotAccepted),
        ({"error": {"statusCode": 404, "code": "MODEL_NOT_FOUND"}}, 404, NotOffered),
        ({"error": {"statusCode": 422, "message": "no"}}, 200, NotAccepted),
        ({"statusCode": 403, "message": "Unauthorized", "error": "Forbidden"}, 200, AccessRefused),
        ({"error": {"statusCode": 500, "message": "no"}}, 200, NotTheProtocol),
        ({"error": {"message": "no status"}}, 200, NotTheProtocol),
        ([], 404, NotOffered),
        ([], 401, AccessRefused),
        ([], 503, NotTheProtocol),
    ],
)
def test_an_error_is_an_error_whatever_its_status(
    answer: Any, http_status: int, kind: type[FacilityHttpError]
) -> None:
    """Fault A09, crosswalks 2.3: LoopBack's, DataGateway's and NestJS's objects."""
    assert type(error_in(answer, http_status)) is kind


@pytest.mark.parametrize("answer", [[], {"pid": "a"}, {"count": 3}, 7, {"statusCode": "of a run"}])
def test_what_is_no_error_is_none(answer: Any) -> None:
    assert error_in(answer, 200) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", NotTheProtocol),
        (b"  \n", NotTheProtocol),
        (b"<html></html>", NotTheProtocol),
        (b"null and void", MalformedResponse),
        (b'[{"pid": "a"}, {"pi', CutOff),
        (b'[{"pid": "a"},', CutOff),
        (b'{"a": 1', CutOff),
        (b'[{"pid": "a" "b"}]', MalformedResponse),
    ],
)
def test_bodies_that_are_no_json_are_told_apart(body: bytes, kind: type[FacilityHttpError]) -> None:
    """Faults C08, E09: cut off, empty, something else."""
    with pytest.raises(kind):
        parse_json(body)


def test_numbers_that_are_none_become_null_and_are_counted() -> None:
    """Fault D11."""
    value, mended = parse_json(b'[{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1.5}]')
    assert value == [{"a": None, "b": None, "c": None, "d": 1.5}]
    assert mended == Counter(nan=3)


def test_halves_of_surrogate_pairs_are_replaced_and_counted() -> None:
    value, mended = parse_json(b'{"a": "x\\ud800y", "b": "\\ud83d\\ude00"}')
    assert value == {"a": "x\ufffdy", "b": "😀"}
    assert mended == Counter(bad_unicode=1)
    orjson.dumps(value)


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_json(b"\xef\xbb\xbf[]") == ([], Counter())


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ({"count": 5}, 5),
        (5, 5),
        ("5", 5),
        ({"count": "5"}, 5),
        (None, None),
        (True, None),
        (-1, None),
        ({"total": 5}, None),
        (2.5, None),
        ([5], None),
    ],
)
def test_counts_come_in_many_forms(answer: Any, number: int | None) -> None:
    """Fault E04, crosswalks 2.1: ILL sends the bare number."""
    assert count_in(answer) == number


def test_entries_that_are_no_objects_are_counted() -> None:
    """Crosswalks 2.3: ghosts, nulls, 403 objects."""
    refused = {"statusCode": 403, "message": "Unauthorized access", "error": "Forbidden"}
    found = objects_in(
        [{"pid": "a"}, None, {"score": 0}, {"score": 0, "provider": "p", "pid": None}, refused, 7],
        Counter(),
    )
    assert [one["pid"] for one in found.items] == ["a"]
    assert found.length == 6
    assert found.odd == Counter(ghost=2, null=1, refused=1, no_object=1)


def test_what_is_no_list_is_no_page() -> None:
    with pytest.raises(MalformedResponse, match="dict came"):
        objects_in({"data": []}, Counter())


@pytest.mark.parametrize(
    ("item", "identifier"),
    [
        ({"pid": " 10.5072/a "}, "10.5072/a"),
        ({"pid": 1000001}, "1000001"),
        ({"pid": None, "id": "007"}, "007"),
        ({"pid": "", "doi": "10.5072/b"}, "10.5072/b"),
        ({"pid": True}, ""),
        ({}, ""),
    ],
)
def test_identifiers_keep_their_text(item: dict[str, Any], identifier: str) -> None:
    """Fault E09: "007" stays what it is; ESRF's numbers are text."""
    assert identifier_of(item) == identifier


def test_a_record_without_identifier_has_a_problem() -> None:
    record = record_of("Document", {"title": "x"})
    assert (record.header.identifier, record.problem) == ("", "no_identifier")
    record = record_of("Dataset", {"pid": "a/b", "updatedAt": "2024-01-01"})
    assert (record.header.identifier, record.format) == ("Dataset/a/b", "panosc-dataset")
    assert record.header.datestamp == "2024-01-01"
    assert not is_ghost({"title": "x", "score": 1})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(_JSON, st.integers(0, 200))
def test_any_json_is_read_and_any_cut_of_a_list_is_noticed(value: Any, length: int) -> None:
    """Fault C08."""
    body = json.dumps([value]).encode()
    assert parse_json(body)[0] == json.loads(body)
    cut = body[: min(length, len(body) - 1)]
    with pytest.raises(MalformedResponse):
        parse_json(cut)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_an_error_of_ours(body: bytes) -> None:
    try:
        value, _ = parse_json(body)
    except FacilityHttpError:
        return
    error_in(value, 200)
    orjson.dumps(value)


def outcome(parse: Any, body: bytes) -> Any:
    """What a parser makes of a body, or the kind of its complaint."""
    try:
        value, mended = parse(body)
    except FacilityHttpError as error:
        return type(error), str(error)
    return orjson.dumps(value), mended


_LIST_PIECES = st.sampled_from(
    ["[", "]", "[]", "{}", ",", " ", "\n", "1", "-0", "1e400", "NaN", "18446744073709551616",
     "null", '"a"', '"\\ud800"', '{"a":[1]}', '{"a":', "\ufeff", '"', "tru"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(_LIST_PIECES, max_size=12).map("".join) | st.lists(_JSON).map(json.dumps))
def test_reading_in_steps_is_reading(text: str) -> None:
    for body in (text.encode(), f"[{text}]".encode(), f" [{text},{text}] ".encode()):
        assert outcome(parse_json_in_steps, body) == outcome(parse_json, body)


def test_reading_in_steps_gives_way_often() -> None:
    body = orjson.dumps(
        [{"pid": f"10.5072/{number}", "title": "x" * 200} for number in range(2000)]
    )
    pauses: list[int] = []
    value, mended = parse_json_in_steps(body, lambda: pauses.append(1))
    assert value == orjson.loads(body)
    assert not mended
    assert len(body) // 32_768 - 1 <= len(pauses) <= len(body) // 32_768


def test_numbers_too_large_to_write_are_mended() -> None:
    """Fault D11: once a body is read leniently, its integers must still be writable."""
    value, _ = parse_json(b'[{"size": 18446744073709551616, "score": NaN}]')
    assert orjson.loads(orjson.dumps(value)) == [{"size": 18446744073709551616.0, "score": None}]
