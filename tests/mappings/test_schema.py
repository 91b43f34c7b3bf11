"""The schema: strict where we write, the same verdict by pydantic and by its compiled form."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_records import DATA, mapped
from pydantic import BaseModel, ValidationError

import mappings
from mappings import MappingError, checks, schema
from mappings.schema import MODELS, json_schema, validated
from mappings.versions import VERSIONS

FILES = {
    "panosc_xfel_700000.xml": "panosc",
    "panosc_value_and_units.xml": "panosc",
    "oai_dc_icat.xml": "oai_dc",
    "oai_datacite_esrf_embargoed.xml": "oai_datacite",
    "datacite_hzb_no_namespace.xml": "datacite",
    "datacite_kernel3_collection.xml": "datacite",
    "openaire_embargo_range.xml": "openaire",
    "rest_document_with_everything.json": "panosc-document",
    "scicat_published_v4.json": "scicat-publisheddata",
    "scicat_dataset_desy.json": "scicat-dataset",
}
ENTITIES = [
    entity for name, format_name in FILES.items() for entity in mapped(format_name, name).entities
]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: str(entity["key"]))
def test_what_is_written_is_what_the_model_dumps(entity: dict[str, Any]) -> None:
    """Nothing is converted: the dictionary equals the model's own JSON form."""
    model = MODELS[entity["class"]].model_validate(entity)
    assert model.model_dump(by_alias=True, exclude_none=True) == entity
    assert model.model_validate_json(model.model_dump_json(by_alias=True, exclude_none=True))
    with pytest.raises(ValidationError, match="frozen"):
        model.key = "x"


def _classes() -> list[type[BaseModel]]:
    return [
        value
        for _, value in inspect.getmembers(schema, inspect.isclass)
        if issubclass(value, BaseModel) and value.__module__ == schema.__name__
    ]


@pytest.mark.parametrize("model", _classes(), ids=lambda model: model.__name__)
def test_every_field_of_the_schema_is_compiled(model: type[BaseModel]) -> None:
    """A field nobody compiled would send every record through the slow way."""
    for name, field in model.model_fields.items():
        writer = checks._Writer()
        writer.value(checks.annotation_of(field), name, "")
        assert not any(checks._NEVER in line for line in writer.lines if "if not" in line), name


SPOILERS: list[Any] = [
    None,
    "",
    "x",
    "\ud800",
    "ok\n",
    5,
    -1,
    2**60,
    1.5,
    float("nan"),
    float("inf"),
    True,
    [],
    {},
    [None],
    [""],
    [{}],
    ["document:doi:10.5072/a\n"],
    "document:doi:10.5072/a",
    "2020-13-45T99:99:99Z",
    b"x",
    "2020-01-01\n",
    "０0-0",
    {"name": "x"},
    [{"name": "x", "value": True}],
    ("x",),
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in items:
        deeper = (*path, step)
        found += _paths(inner, deeper) if isinstance(inner, dict | list) else [deeper]
    return found


def _straight(entity: dict[str, Any]) -> checks.Check:
    """The check of an entity's class, after so many of its shape that this has its own."""
    check = checks.compiled(MODELS[entity["class"]])
    for _ in range(checks.OFTEN):
        assert check(entity)
    return check


def _general(model: type[BaseModel]) -> checks.Check:
    """The check of a class for any shape."""
    writer = checks._Writer()
    writer.dictionary(model, "value", "    ")
    return writer.function()


def _spoilt(entity: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    spoilt = copy.deepcopy(entity)
    *way, last = data.draw(st.sampled_from(_paths(spoilt)))
    place: Any = spoilt
    for step in way:
        place = place[step]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        place[last] = data.draw(st.sampled_from(SPOILERS))
    elif action == "remove":
        del place[last]
    elif isinstance(place, dict):
        place[data.draw(st.sampled_from(["surprise", "unit", "doi", "size"]))] = data.draw(
            st.sampled_from(SPOILERS)
        )
    return spoilt


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ENTITIES), st.data())
def test_the_compiled_check_never_takes_what_pydantic_refuses(
    entity: dict[str, Any], data: st.DataObject
) -> None:
    _straight(entity)
    spoilt = _spoilt(entity, data)
    model = MODELS.get(str(spoilt.get("class")), MODELS["Document"])
    try:
        model.model_validate(spoilt)
    except ValidationError:
        assert not checks.compiled(model)(spoilt)
        with pytest.raises(MappingError):
            validated(spoilt)
    else:
        assert validated(spoilt) is spoilt


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ENTITIES), st.data())
def test_a_shape_that_comes_often_is_judged_as_any_other(
    entity: dict[str, Any], data: st.DataObject
) -> None:
    often, any_shape = _straight(entity), _general(MODELS[entity["class"]])
    spoilt = _spoilt(entity, data)
    assert often(spoilt) == any_shape(spoilt)


def test_only_shapes_that_come_often_and_fit_get_a_function() -> None:
    general = _general(MODELS["Document"])
    shapes = checks._Shapes(MODELS["Document"], general)
    entity = ENTITIES[0]
    for _ in range(checks.OFTEN - 1):
        assert shapes[tuple(entity)] is general
    assert shapes[tuple(entity)] is not general
    for odd in ({**entity, "surprise": 1}, {"class": "Document"}, {5: 6}):
        for _ in range(checks.OFTEN):
            assert shapes[tuple(odd)] is general


def test_no_order_of_names_is_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST_SHAPES", 3)
    shapes = checks._Shapes(MODELS["Document"], _general(MODELS["Document"]))
    for _ in range(checks.OFTEN):
        shapes[tuple(ENTITIES[0])]
    assert len(shapes) == 1
    for number in range(10):
        shapes[(str(number),)]
    assert not shapes
    assert len(shapes._seen) <= 3


def test_real_records_take_the_quick_way() -> None:
    for entity in ENTITIES:
        assert checks.compiled(MODELS[entity["class"]])(entity), entity["key"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"title": 5}, "Document.title"),
        ({"surprise": 1}, "Document.surprise"),
        ({"members": [{"person": {}}]}, "Document.members.0.person.fullName"),
        ({"startDate": "today"}, "Document.startDate"),
    ],
)
def test_a_refusal_names_the_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(MappingError) as refusal:
        validated({**ENTITIES[0], **change})
    assert refusal.value.path == path


class _Text(str):
    """A string that is not exactly ``str``: only pydantic can judge it."""

    __slots__ = ()


def test_what_the_quick_check_cannot_judge_is_left_to_pydantic() -> None:
    entity = {**ENTITIES[0], "title": _Text("x")}
    assert not checks.compiled(MODELS["Document"])(entity)
    assert validated(entity) is entity


@pytest.mark.parametrize("title", ["lone \ud800", "", 5, None, ["x"]])
def test_a_title_is_a_text_of_valid_unicode(title: Any) -> None:
    entity = {**ENTITIES[0], "title": title}
    assert not checks.compiled(MODELS["Document"])(entity)
    if title is not None:  # pydantic takes null for "absent", which we never write
        with pytest.raises(MappingError):
            validated(entity)


@pytest.mark.parametrize(
    ("field", "value"),
    [("isPublic", 1), ("datasets", "x"), ("datasets", ["x"]), ("kind", "recipe"),
     ("startSeconds", 2**60), ("startSeconds", True), ("members", [5]), ("keywords", ["\x85", ""])],
)  # fmt: skip
def test_wrong_values_are_refused_both_ways(field: str, value: Any) -> None:
    entity = {**ENTITIES[0], field: value}
    assert not checks.compiled(MODELS["Document"])(entity)
    with pytest.raises(MappingError):
        validated(entity)


def test_invisible_characters_are_text_all_the_same() -> None:
    entity = {**ENTITIES[0], "title": "a\u200bb"}
    assert checks.compiled(MODELS["Document"])(entity)


def test_a_field_that_nobody_compiled_is_left_to_pydantic() -> None:
    class Odd(BaseModel):
        when: Annotated[bytes, "anything"]

    assert not checks.compiled(Odd)({"when": b"x"})


def test_another_class_is_refused() -> None:
    with pytest.raises(MappingError, match="Document, Dataset or Instrument"):
        validated({"class": "Recipe"})
    with pytest.raises(MappingError):
        validated({})


def test_the_json_schema_is_exported_with_its_version() -> None:
    exported = json_schema()
    assert exported["version"] == schema.SCHEMA_VERSION
    assert set(MODELS) <= exported["$defs"].keys()
    document = exported["$defs"]["Document"]
    assert document["additionalProperties"] is False
    assert {"class", "key", "pid", "kind", "access", "facility"} == set(document["required"])
    for model in _classes():
        if model.__name__ not in ("Strict", "Record"):
            assert model.__name__ in exported["$defs"]


def test_records_carry_three_versions() -> None:
    """§1.6."""
    assert VERSIONS.keys() == {"crosswalk", "panet", "units"}
    assert all(isinstance(version, str) and version for version in VERSIONS.values())


def test_errors_travel_between_processes() -> None:
    error = MappingError("$.pid", "x" * 500, "a pid")
    back = pickle.loads(pickle.dumps(error))
    assert (back.path, back.value, back.expected) == (error.path, error.value, error.expected)
    assert str(MappingError("a", None, "b")) == "a: found nothing, expected b"


def test_the_package_offers_what_it_lists() -> None:
    for name in mappings.__all__:
        assert getattr(mappings, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mappings.nonsense


def test_all_test_records_are_used() -> None:
    """A record that no test names would only seem to guard something."""
    tests = "".join(path.read_text("utf-8") for path in DATA.parents[1].glob("mappings/*.py"))
    for path in DATA.iterdir():
        assert path.name in tests or path.name == "README.md", path.name
