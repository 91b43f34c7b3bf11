"""Random LoopBack filters: our server's answers against a plain reading of the same JSON.

The plain reading below knows nothing of the catalogue: it walks the payloads as they were sent,
with Python's own comparisons, for every operator, nested joins, units and techniques.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.facilities import Facility, Source
from mappings.techniques import load_panet

Json = Mapping[str, Any]

TECHNIQUES = ["SANS", "SAXS", "USAXS", "XES"]
WORDS = ["alpha", "Beta", "gamma ray", "Größe", "a_b", "100%", "(x)"]
ROLES = ["owner", "principal investigator"]
PEOPLE = ["Marie Curie", "Lise Meitner", "Wu"]
TYPES = ["proposal", "publication"]
DATES = ["2017-11-08T00:00:00Z", "2018-01-01T00:00:00+01:00", "2020-02-29", "2021-06-01T12:00:00Z"]
UNITS = ["K", "celsius"]
CELSIUS = 273.15


def panet_id(name: str) -> str:
    (term, *_) = load_panet().named(name)
    return term.id


def world(seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)

    def some(**fields: Any) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if value is not None}

    def dataset(number: int, run: int) -> dict[str, Any]:
        techniques = draw.sample(TECHNIQUES, draw.randint(0, 2))
        files = [f"{draw.choice(WORDS)}.h5" for _ in range(draw.randint(0, 2))]
        instrument = draw.choice(["Loki", "D22"])
        return some(
            pid=f"20.500.99999/{number}-{run}",
            title=f"{draw.choice(WORDS)} run {run}",
            creationDate=draw.choice([*DATES, None]),
            size=draw.choice([1, 10, 2**40, None]),
            isPublic=draw.choice([True, True, False]),
            techniques=[{"name": name} for name in techniques],
            samples=[{"pid": s, "name": s} for s in draw.sample(WORDS, draw.randint(0, 2))],
            instrument={"pid": instrument, "name": instrument},
            parameters=[
                {"name": "sample_temperature", "value": draw.choice([4, 20, 300]), "unit": unit}
                for unit in draw.sample(UNITS, draw.randint(0, 1))
            ],
            files=[{"id": place, "name": name} for place, name in enumerate(files)],
        )

    documents = []
    for number in range(30):
        datasets = [dataset(number, run) for run in range(draw.randint(0, 3))]
        documents.append(
            some(
                pid=f"10.5072/doc-{number:02}",
                title=f"{draw.choice(WORDS)} {draw.choice(WORDS)}",
                summary=draw.choice([*WORDS, None]),
                type=draw.choice(TYPES),
                isPublic=draw.choice([True, False, None]),
                startDate=draw.choice([*DATES, None]),
                keywords=draw.sample(WORDS, draw.randint(0, 2)) or None,
                members=[
                    {"role": draw.choice(ROLES), "person": {"fullName": draw.choice(PEOPLE)}}
                    for _ in range(draw.randint(0, 2))
                ],
                datasets=datasets,
            )
        )
    return documents


WORLD = world(7)


def elasticsearch_engine() -> Any:
    """The real Elasticsearch, as the catalogue's tests have it; skipped with the reason."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "catalogue"))
    from engine_servers import elasticsearch_url

    from catalogue.engines.elasticsearch import ElasticsearchEngine

    return ElasticsearchEngine(elasticsearch_url(), prefix=f"test-{secrets.token_hex(4)}")


@pytest.fixture(
    scope="module",
    params=["tantivy", pytest.param("elasticsearch", marks=pytest.mark.elasticsearch)],
)
def server(background: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    engine = elasticsearch_engine() if request.param == "elasticsearch" else None
    facility = Facility("A", "Facility A", "https://a.example/api")
    source = Source("a", "A", "panosc", "https://a.example/api", "panosc-json")
    payloads = [("panosc-document", document) for document in WORLD]
    return background((facility, source, payloads), engine=engine)


# --- the plain reading ------------------------------------------------------------------------


def instant(value: Any) -> datetime:
    parsed = datetime.fromisoformat(str(value))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def compares(value: Any, op: str, operand: Any, field: str) -> bool:
    """One condition on one value that is there."""
    if field in ("startDate", "creationDate"):
        value, operand = instant(value), [instant(o) for o in _listed(operand)]
        operand = operand if op == "inq" else operand[0]
    checks: dict[str, Callable[[], bool]] = {
        "eq": lambda: value == operand,
        "gt": lambda: value > operand,
        "gte": lambda: value >= operand,
        "lt": lambda: value < operand,
        "lte": lambda: value <= operand,
        "inq": lambda: value in operand,
        "like": lambda: re.search(pattern_of(operand), value) is not None,
        "ilike": lambda: re.search(pattern_of(operand), value, re.IGNORECASE) is not None,
        "regexp": lambda: re.search(operand, value) is not None,
    }
    return checks[op]()


def pattern_of(text: str) -> str:
    return ".*".join(map(re.escape, text.split("%")))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


NEGATED = {"neq": "eq", "nin": "inq", "nlike": "like", "nilike": "ilike"}


def field_holds(thing: Json, field: str, op: str, operand: Any) -> bool:
    if op in NEGATED:
        return not field_holds(thing, field, NEGATED[op], operand)
    if op == "between":
        # Of a list, one and the same element is between the two.
        low, high = operand
        return any(
            field_holds({field: one}, field, "gte", low)
            and field_holds({field: one}, field, "lte", high)
            for one in _listed(thing.get(field))
        )
    if field == "isPublic":
        # What is sent as not public is restricted; what is not sent is not known to be open.
        return compares(thing.get(field) is True, op, operand, field)
    value = thing.get(field)
    if value is None:
        return False
    return any(compares(one, op, operand, field) for one in _listed(value))


def where_holds(thing: Json, where: Json, text_fields: tuple[str, ...]) -> bool:
    for name, condition in where.items():
        if name == "and":
            good = all(where_holds(thing, part, text_fields) for part in condition)
        elif name == "or":
            good = any(where_holds(thing, part, text_fields) for part in condition)
        elif name == "text":
            good = any(field_holds(thing, field, "ilike", condition) for field in text_fields)
        elif isinstance(condition, Mapping):
            good = all(field_holds(thing, name, op, value) for op, value in condition.items())
        else:
            good = field_holds(thing, name, "eq", condition)
        if not good:
            return False
    return True


TEXT_FIELDS = {
    "Document": ("title", "summary"),
    "datasets": ("title",),
    "samples": ("name", "description"),
    "files": ("name",),
    "instrument": ("name", "facility"),
    "person": ("fullName",),
}


def kelvin(value: float, unit: str) -> float:
    return value + CELSIUS if unit == "celsius" else float(value)


def related(thing: Json, relation: str) -> list[Json]:
    return _listed(thing[relation]) if thing.get(relation) else []


def include_holds(thing: Json, include: Json) -> bool:
    scope = include.get("scope") or {}
    where = scope.get("where") or {}
    relation = include["relation"]
    below = [one for one in scope.get("include", ()) if inner(one)]
    if not where and not below:
        return True
    if relation == "techniques":
        return techniques_hold(thing, where)
    if relation == "parameters":
        return any(parameter_holds(row, where) for row in related(thing, relation))
    fields = TEXT_FIELDS.get(relation, ())
    return any(
        where_holds(row, where, fields) and all(include_holds(row, one) for one in below)
        for row in related(thing, relation)
    )


def inner(include: Json) -> bool:
    scope = include.get("scope") or {}
    return bool(scope.get("where")) or any(inner(one) for one in scope.get("include", ()))


def techniques_hold(thing: Json, where: Json) -> bool:
    tags = {panet_id(row["name"]) for row in related(thing, "techniques")}

    def tagged(name: str) -> bool:
        return bool(tags & load_panet().descendants(panet_id(name)))

    (condition,) = where.values()
    if "and" in where:
        return all(techniques_hold(thing, part) for part in condition)
    if not isinstance(condition, Mapping):
        return tagged(condition)
    ((op, operand),) = condition.items()
    found = any(tagged(name) for name in _listed(operand))
    return not found if op in ("neq", "nin") else found


def parameter_holds(row: Json, where: Json) -> bool:
    parts = {name: value for part in where["and"] for name, value in part.items()}
    ((op, operand),) = parts["value"].items()
    held = kelvin(row["value"], row["unit"])
    asked = [kelvin(float(one), parts["unit"]) for one in _listed(operand)]
    return {
        "gt": held > asked[0],
        "gte": held >= asked[0],
        "lt": held < asked[0],
        "lte": held <= asked[0],
        "between": asked[0] <= held <= asked[-1],
    }[op]


# --- drawing filters ----------------------------------------------------------------------------

texts = st.sampled_from([*WORDS, "a", "run 1", "zzz", "alpha gamma ray"])
patterns = st.sampled_from(["alph", "ETA", "öß", "a_b", "%", "100%", "(x)", "a%a", "run"])


def text_conditions(field: str) -> st.SearchStrategy[Any]:
    return st.one_of(
        texts.map(lambda text: {field: text}),
        st.tuples(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), texts).map(
            lambda pair: {field: {pair[0]: pair[1]}}
        ),
        st.tuples(st.sampled_from(["inq", "nin"]), st.lists(texts, max_size=3)).map(
            lambda pair: {field: {pair[0]: pair[1]}}
        ),
        st.lists(texts, min_size=2, max_size=2).map(lambda two: {field: {"between": sorted(two)}}),
        st.tuples(st.sampled_from(["like", "ilike", "nlike", "nilike"]), patterns).map(
            lambda pair: {field: {pair[0]: pair[1]}}
        ),
        st.sampled_from(["^alpha", "run [01]$", "B.ta", "(gamma|Gr)"]).map(
            lambda pattern: {field: {"regexp": pattern}}
        ),
    )


def date_conditions(field: str) -> st.SearchStrategy[Any]:
    return st.tuples(
        st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), st.sampled_from(DATES)
    ).map(lambda pair: {field: {pair[0]: pair[1]}})


def number_conditions(field: str) -> st.SearchStrategy[Any]:
    numbers = st.sampled_from([0, 1, 9.5, 10, 2**40])
    return st.one_of(
        st.tuples(st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"]), numbers).map(
            lambda pair: {field: {pair[0]: pair[1]}}
        ),
        st.lists(numbers, min_size=2, max_size=2).map(
            lambda two: {field: {"between": sorted(two)}}
        ),
    )


def combined(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda below: st.one_of(
            st.lists(below, min_size=1, max_size=3).map(lambda parts: {"and": parts}),
            st.lists(below, min_size=1, max_size=3).map(lambda parts: {"or": parts}),
        ),
        max_leaves=5,
    )


public = st.tuples(st.sampled_from(["eq", "neq"]), st.booleans()).map(
    lambda pair: {"isPublic": {pair[0]: pair[1]}}
)
document_where = combined(
    st.one_of(
        text_conditions("title"),
        text_conditions("summary"),
        text_conditions("type"),
        text_conditions("keywords"),
        date_conditions("startDate"),
        public,
        patterns.filter(lambda text: "%" not in text).map(lambda text: {"text": text}),
    )
)
dataset_where = combined(
    st.one_of(
        text_conditions("title"), date_conditions("creationDate"), number_conditions("size"), public
    )
)
names = st.sampled_from(["SAXS", "SANS", "XES", "small angle scattering", "USAXS"])
technique_leaf = st.one_of(
    names.map(lambda name: {"name": name}),
    names.map(lambda name: {"name": {"neq": name}}),
    st.lists(names, min_size=1, max_size=2).map(lambda many: {"name": {"inq": many}}),
    st.lists(names, min_size=1, max_size=2).map(lambda many: {"name": {"nin": many}}),
)
technique_where = st.one_of(
    technique_leaf, st.lists(technique_leaf, min_size=2, max_size=2).map(lambda two: {"and": two})
)
parameter_where = st.builds(
    lambda op, value, unit: {
        "and": [{"name": "sample_temperature"}, {"value": {op: value}}, {"unit": unit}]
    },
    st.sampled_from(["gt", "gte", "lt", "lte"]),
    st.sampled_from([0, 3.5, "10", 20.5, 280, 290]),
    st.sampled_from(UNITS),
)


def scoped(relation: str, where: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return where.map(lambda drawn: {"relation": relation, "scope": {"where": drawn}})


dataset_include = st.one_of(
    scoped("techniques", technique_where),
    scoped("parameters", parameter_where),
    scoped("samples", combined(text_conditions("name"))),
    scoped("files", combined(text_conditions("name"))),
    scoped("instrument", text_conditions("name")),
    st.sampled_from([{"relation": "techniques"}, {"relation": "files"}]),
)
member_include = st.builds(
    lambda role, name: {
        "relation": "members",
        "scope": {
            "where": {"role": role},
            "include": [{"relation": "person", "scope": {"where": {"fullName": name}}}],
        },
    },
    st.sampled_from(ROLES),
    st.sampled_from(PEOPLE),
)
datasets_include = st.builds(
    lambda where, below: {
        "relation": "datasets",
        "scope": {**({"where": where} if where else {}), "include": below},
    },
    st.one_of(st.none(), dataset_where),
    st.lists(dataset_include, max_size=2),
)
document_filters = st.fixed_dictionaries(
    {},
    optional={
        "where": document_where,
        "include": st.lists(datasets_include | member_include, max_size=2),
    },
)
dataset_filters = st.fixed_dictionaries(
    {},
    optional={"where": dataset_where, "include": st.lists(dataset_include, max_size=2)},
)

EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(parent=EXAMPLES, max_examples=3_000)


def check(server: Any, path: str, things: list[Any], class_name: str, given_filter: Any) -> None:
    fields = TEXT_FIELDS[class_name]
    expected = sorted(
        thing["pid"]
        for thing in things
        if where_holds(thing, given_filter.get("where") or {}, fields)
        and all(include_holds(thing, one) for one in given_filter.get("include", ()))
    )
    answer = server.found(path, {**given_filter, "limit": 1000})
    assert isinstance(answer, list), (given_filter, answer)
    assert sorted(item["pid"] for item in answer) == expected, json.dumps(given_filter)
    assert server.found(path + "/count", given_filter) == {"count": len(expected)}
    includes = given_filter.get("include", ())
    if len({one["relation"] for one in includes}) == len(includes):
        for item in answer:
            for include in includes:
                check_rows(item, include)


def check_rows(item: Any, include: Json) -> None:
    """Included to-many relations are arrays, full where the join is inner."""
    relation = include["relation"]
    if relation in ("instrument", "person"):
        return
    assert isinstance(item[relation], list)
    negated = relation == "techniques"
    if inner(include) and not negated:
        assert item[relation]
    nested = (include.get("scope") or {}).get("include", ())
    if len({one["relation"] for one in nested}) == len(nested):
        for row in item[relation]:
            for below in nested:
                check_rows(row, below)


@EXAMPLES
@given(document_filters)
def test_documents_are_those_of_the_plain_reading(server: Any, drawn: Any) -> None:
    check(server, "/api/Documents", WORLD, "Document", drawn)


@EXAMPLES
@given(dataset_filters)
def test_datasets_are_those_of_the_plain_reading(server: Any, drawn: Any) -> None:
    datasets = [dataset for document in WORLD for dataset in document["datasets"]]
    check(server, "/api/Datasets", datasets, "datasets", drawn)


@pytest.mark.soak
@MANY
@given(document_filters)
def test_documents_are_those_of_the_plain_reading_soaked(server: Any, drawn: Any) -> None:
    check(server, "/api/Documents", WORLD, "Document", drawn)


@pytest.mark.soak
@MANY
@given(dataset_filters)
def test_datasets_are_those_of_the_plain_reading_soaked(server: Any, drawn: Any) -> None:
    datasets = [dataset for document in WORLD for dataset in document["datasets"]]
    check(server, "/api/Datasets", datasets, "datasets", drawn)
