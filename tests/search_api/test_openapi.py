"""The description is true: requests made from it get the answers it describes.

Two of schemathesis' checks ask that exactly what the schema allows is accepted. They are made where
JSON Schema can say what is meant. For filters and searches it cannot: whether a unit is known, or a
pattern runs in linear time; and numbers as text are accepted there on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from catalogue.facilities import Facility, Source
from search_api.openapi import description
from search_api.routes import ROUTES
from search_api.search import PARAMETERS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
QUIET = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
]
DESCRIBED = description("1")
OPERATIONS = [(path, method) for path, methods in DESCRIBED["paths"].items() for method in methods]
ASKED = ("Documents", "Datasets", "Instruments", "techniques", "/api/search")
PLAIN = [path for path in DESCRIBED["paths"] if not any(word in path for word in ASKED)]
"""Paths without filters and searches. Of the two names of ``/api/records`` one is needed, and which
combinations of parameters are right OpenAPI cannot say."""
WITH_PARAMETERS = [
    path
    for path in PLAIN
    if "{" not in path  # what is in a path we choose ourselves
    and any(one["in"] == "query" for one in DESCRIBED["paths"][path]["get"]["parameters"])
]
ELAPSED = re.compile(r'"elapsed_ms":[0-9.]+,')
PIDS = st.sampled_from(["10.5072/1", "d1", "i", "PaNET01188", "unknown", "document:doi:10.5072/1"])


@pytest.fixture(scope="module")
def server(background: Callable[..., Any]) -> Any:
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payload = {
        "pid": "10.5072/1",
        "title": "A study",
        "type": "proposal",
        "isPublic": True,
        "startDate": "2018-01-01T00:00:00Z",
        "keywords": ["one", "two"],
        "members": [{"id": 1, "role": "owner", "person": {"id": "p", "fullName": "Wu"}}],
        "datasets": [
            {
                "pid": "d1",
                "title": "run",
                "size": 5,
                "techniques": [{"name": "SAXS"}],
                "samples": [{"name": "water"}],
                "instrument": {"pid": "i", "name": "Loki"},
                "parameters": [{"name": "temperature", "value": 5, "unit": "K"}],
                "files": [{"id": 1, "name": "a.h5"}],
            }
        ],
    }
    return background((facility, source, [("panosc-document", payload)]))


@pytest.fixture(scope="module")
def schema(server: Any) -> Any:
    loaded = schemathesis.openapi.from_dict(DESCRIBED)
    loaded.config.update(base_url=f"http://127.0.0.1:{server.port}")
    return loaded


def try_operation(
    schema: Any,
    path: str,
    method: str,
    examples: int,
    checks: Sequence[Any] = CHECKS,
    mode: GenerationMode = GenerationMode.POSITIVE,
) -> None:
    operation = schema[path][method]

    @settings(max_examples=examples, deadline=None, suppress_health_check=QUIET, database=None)
    @given(case=operation.as_strategy(generation_mode=mode), pid=PIDS)
    def try_one(case: Any, pid: str) -> None:
        if case.path_parameters:
            case.path_parameters = dict.fromkeys(case.path_parameters, pid)
        case.call_and_validate(checks=checks)

    try_one()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described(path: str, method: str, schema: Any) -> None:
    try_operation(schema, path, method, 3)


@pytest.mark.parametrize("path", [path for path in PLAIN if path != "/api/records"])
def test_what_the_description_allows_is_accepted(path: str, schema: Any) -> None:
    try_operation(schema, path, "get", 5, [positive_data_acceptance])


@pytest.mark.parametrize("path", WITH_PARAMETERS)
def test_what_the_description_forbids_is_refused(path: str, schema: Any) -> None:
    try_operation(schema, path, "get", 5, [negative_data_rejection], GenerationMode.NEGATIVE)


@pytest.mark.parametrize("path", [path for path, method in OPERATIONS if method == "get"])
async def test_what_a_form_sends_empty_is_as_if_it_were_not_there(path: str, server: Any) -> None:
    named = [one["name"] for one in DESCRIBED["paths"][path]["get"]["parameters"]
             if one.get("allowEmptyValue")]  # fmt: skip
    address = f"http://127.0.0.1:{server.port}{path.replace('{pid}', 'd1')}"
    async with aiohttp.ClientSession() as session:

        async def answer(asked: str) -> tuple[int, str]:
            async with session.get(asked) as response:
                return response.status, ELAPSED.sub("", await response.text())

        expected = await answer(address)
        for name in named:
            assert await answer(f"{address}?{name}=") == expected, name


@pytest.mark.soak
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described_soaked(path: str, method: str, schema: Any) -> None:
    try_operation(schema, path, method, 200)


def test_every_route_is_described_once() -> None:
    assert {route.path for route in ROUTES} == set(DESCRIBED["paths"])
    operations = [
        operation["operationId"]
        for methods in DESCRIBED["paths"].values()
        for operation in methods.values()
    ]
    assert len(operations) == len(set(operations))


def test_every_reference_leads_somewhere() -> None:
    known = DESCRIBED["components"]["schemas"]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].rpartition("/")[2] in known
            for below in value.values():
                walk(below)
        elif isinstance(value, list):
            for below in value:
                walk(below)

    walk(DESCRIBED)


def test_every_search_parameter_is_described() -> None:
    described = {one["name"] for one in DESCRIBED["paths"]["/api/search"]["get"]["parameters"]}
    assert described == {parameter.name for parameter in PARAMETERS}
