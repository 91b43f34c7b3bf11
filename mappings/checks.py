"""The schema compiled to plain functions: the same verdict as pydantic, many times quicker.

``compiled(model)`` reads a pydantic model's fields and writes a Python function of straight lines
that says whether a dictionary surely fits. It may only err on the side of "no":
``schema.validated`` then asks pydantic itself, which also finds the words for what is wrong. A
test holds the two together.

The entities of a harvest have few *shapes* (their names, in order). A shape that comes again and
again gets a function of its own, which looks no name up.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from math import isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

MOST_COMPARED = 6
"""Up to so many fields, comparing names is quicker than looking each up."""
MOST_REMEMBERED = 4096
OFTEN = 32
"""So many entities of one shape pay for the writing of its own function."""
MOST_SHAPES = 512
SHARED = "access"
"""The field whose value several entities of one record share."""
Check = Callable[..., bool]
"""Takes a value and, optionally, the object that was found to fit as another's ``SHARED``."""

_NEVER = "never"
"""The name of what is never true, for what nobody compiled: pydantic decides."""


@lru_cache(maxsize=64)
def compiled(model: type[BaseModel]) -> Check:
    """A function that is true only of dictionaries which ``model`` takes in strict mode."""
    writer = _Writer()
    writer.dictionary(model, "value", "    ")
    shapes = _Shapes(model, writer.function())

    def fits(value: Any, known: object = None) -> bool:
        return type(value) is dict and shapes[tuple(value)](value, known)

    return fits


class _Shapes(dict[tuple[Any, ...], Check]):
    """Names of a dictionary, in order → the check for it: its own, if it comes often. Bounded.

    Writing a function takes as long as mapping some ten records, so nobody who sends another order
    of names each time can make others wait.
    """

    def __init__(self, model: type[BaseModel], otherwise: Check) -> None:
        super().__init__()
        fields = model.model_fields.items()
        self._model = model
        self._otherwise = otherwise
        self._names = {field.alias or name for name, field in fields}
        self._required = {field.alias or name for name, field in fields if field.is_required()}
        self._seen: dict[tuple[Any, ...], int] = {}

    def __missing__(self, names: tuple[Any, ...]) -> Check:
        times = self._seen.get(names, 0) + 1
        if len(self._seen) >= MOST_SHAPES:
            self._seen.clear()
            self.clear()
        self._seen[names] = times
        if times < OFTEN or not self._required <= set(names) <= self._names:
            return self._otherwise
        writer = _Writer()
        writer.straight(self._model, names)
        made = self[names] = writer.function()
        return made


class _Writer:
    """The lines of one function, and the objects that they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"utf8": _utf8, "isfinite": isfinite, _NEVER: False}
        self._numbers = count(1)

    def function(self) -> Check:
        """The function of ``value`` and ``known`` that these lines make."""
        source = "\n".join(("def fits(value, known=None):", *self.lines, "    return True", ""))
        exec(compile(source, "<check>", "exec"), self.names)  # noqa: S102
        made: Check = self.names["fits"]
        return made

    def straight(self, model: type[BaseModel], names: tuple[str, ...]) -> None:
        """Lines that return False unless ``value``, with these names in this order, fits."""
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        items = [f"item{next(self._numbers)}" for _ in names]
        self.lines.append(f"    {', '.join(items)}, = value.values()")
        texts = []
        for name, item in zip(names, items, strict=True):
            annotation, indent = annotation_of(fields[name]), "    "
            if _is_text(annotation):
                texts.append(item)
                continue
            if name == SHARED:
                self.lines.append(f"    if {item} is not known or known is None:")
                indent = "        "
            self.value(annotation, item, indent)
        if texts:
            # Looked at together: mostly all of them are ASCII.
            types_of = " is ".join(f"type({item})" for item in texts)
            self._refuse_unless(f"({types_of} is str and {' and '.join(texts)})", "    ")
            together = "".join(f"{{{item}}}" for item in texts)
            alone = " and ".join(f"utf8({item})" for item in texts)
            self._refuse_unless(f'(f"{together}".isascii() or ({alone}))', "    ")

    def dictionary(self, model: type[BaseModel], name: str, indent: str) -> None:
        """Lines that return False unless the variable ``name`` is a dictionary of ``model``."""
        if name != "value" and len(model.model_fields) <= MOST_COMPARED:
            self._small_dictionary(model, name, indent)
            return
        number = next(self._numbers)
        required = sum(field.is_required() for field in model.model_fields.values())
        self._refuse_unless(f"type({name}) is dict", indent)
        self.lines.append(f"{indent}left{number} = len({name}) - {required}")
        for python_name, field in model.model_fields.items():
            inner, item = indent, f"item{next(self._numbers)}"
            alias = field.alias or python_name
            if field.is_required():
                self._refuse_unless(f"{alias!r} in {name}", indent)
            else:
                inner = f"{indent}    "
                self.lines += [f"{indent}if {alias!r} in {name}:", f"{inner}left{number} -= 1"]
            self.lines.append(f"{inner}{item} = {name}[{alias!r}]")
            if name == "value" and python_name == SHARED:
                self.lines.append(f"{inner}if {item} is not known or known is None:")
                inner = f"{inner}    "
            self.value(annotation_of(field), item, inner)
        self._refuse_unless(f"not left{number}", indent)

    def _small_dictionary(self, model: type[BaseModel], name: str, indent: str) -> None:
        """The same for few fields: what is there is compared with names, not names looked up."""
        number = next(self._numbers)
        key, item = f"key{number}", f"item{number}"
        required = sum(field.is_required() for field in model.model_fields.values())
        self._refuse_unless(f"type({name}) is dict", indent)
        self.lines += [f"{indent}left{number} = {required}"] if required else []
        self.lines.append(f"{indent}for {key}, {item} in {name}.items():")
        inner, word = f"{indent}        ", "if"
        # Required fields first: they are always there, and few are wanted beside them.
        fields = sorted(model.model_fields.items(), key=lambda pair: not pair[1].is_required())
        for python_name, field in fields:
            self.lines.append(f"{indent}    {word} {key} == {field.alias or python_name!r}:")
            if field.is_required():
                self.lines.append(f"{inner}left{number} -= 1")
            self.value(annotation_of(field), item, inner)
            word = "elif"
        self.lines += [f"{indent}    else:", f"{inner}return False"]
        if required:
            self._refuse_unless(f"not left{number}", indent)

    def value(self, annotation: Any, name: str, indent: str) -> None:
        """Lines that return False unless the variable ``name`` fits the annotation."""
        annotation = _without_none(annotation)
        if _is_model(annotation):
            self.dictionary(annotation, name, indent)
        elif get_origin(annotation) is list:
            item = f"item{next(self._numbers)}"
            self._refuse_unless(f"type({name}) is list", indent)
            self.lines.append(f"{indent}for {item} in {name}:")
            self.value(get_args(annotation)[0], item, f"{indent}    ")
        else:
            self._refuse_unless(self.expression(annotation, name), indent)

    def expression(self, annotation: Any, name: str) -> str:
        """An expression that is true only of scalars which fit the annotation."""
        annotation = _without_none(annotation)
        origin = get_origin(annotation)
        if origin is Annotated:
            base = _without_none(get_args(annotation)[0])
            return self._constrained(base, _constraints(annotation), name)
        if origin is Literal:
            return (
                f"(type({name}) is str and {name} in {self._keep(frozenset(get_args(annotation)))})"
            )
        if origin in (Union, types.UnionType):
            return f"({' or '.join(self.expression(one, name) for one in get_args(annotation))})"
        if annotation is str:
            return f"(type({name}) is str and {_valid(name)})"
        if annotation is bool:
            return f"({name} is True or {name} is False)"
        return _NEVER

    def _constrained(self, base: Any, constraints: list[Any], name: str) -> str:
        if base is str:
            pattern = next((p for one in constraints if (p := getattr(one, "pattern", None))), None)
            text = f"type({name}) is str and {name} and {_valid(name)}"
            if pattern is None:
                return f"({text})" if constraints == [MinLen(1)] else _NEVER
            # "$" of Rust's patterns is the very end, Python's also stands before a last newline.
            # Nobody wants the groups.
            whole = re.sub(r"(?<!\\)\((?!\?)", "(?:", re.sub(r"\$\Z", r"\\Z", pattern))
            seen = self._keep(_Remembered(re.compile(whole, re.ASCII).match))
            return f"(type({name}) is str and ({name} in {seen} or {seen}.take({name})))"
        if base is int or base is float:
            low, high = _bounds(constraints)
            inside = f"{self._keep(low)} <= {name} <= {self._keep(high)}"
            finite = f" and isfinite({name})" if base is float else ""
            return f"(type({name}) is {base.__name__}{finite} and {inside})"
        return _NEVER

    def _keep(self, thing: Any) -> str:
        """A name in the function's globals for an object."""
        name = f"kept{next(self._numbers)}"
        self.names[name] = thing
        return name

    def _refuse_unless(self, expression: str, indent: str) -> None:
        self.lines += [f"{indent}if not {expression}:", f"{indent}    return False"]


class _Remembered(set[str]):
    """Texts that match a pattern. Keys and dates come several times in one record."""

    def __init__(self, match: Callable[[str], object]) -> None:
        super().__init__()
        self._match = match

    def take(self, text: str) -> bool:
        """Whether a text matches; if so it is remembered."""
        if self._match(text) is None or not (text.isascii() or _utf8(text)):
            return False
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self.add(text)
        return True


def _valid(name: str) -> str:
    """An expression that is true of valid Unicode."""
    return f"({name}.isascii() or {name}.isprintable() or utf8({name}))"


def annotation_of(field: FieldInfo) -> Any:
    """A field's annotation with its constraints, which pydantic keeps apart."""
    annotation: Any = field.annotation
    return Annotated[(annotation, *field.metadata)] if field.metadata else annotation


def _is_text(annotation: Any) -> bool:
    """Whether an annotation is that of a text which is not empty, and no more."""
    annotation = _without_none(annotation)
    if get_origin(annotation) is not Annotated or get_args(annotation)[0] is not str:
        return False
    return _constraints(annotation) == [MinLen(1)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation


def _constraints(annotation: Any) -> list[Any]:
    found = []
    for one in get_args(annotation)[1:]:
        found += one.metadata if isinstance(one, FieldInfo) else [one]
    return found


def _bounds(constraints: list[Any]) -> tuple[float, float]:
    """Bounds that are at least as narrow as those asked (whole numbers: exactly)."""
    low, high = float("-inf"), float("inf")
    for one in constraints:
        if isinstance(one, Ge):
            low = one.ge  # type: ignore[assignment]
        elif isinstance(one, Gt):
            low = one.gt + 1  # type: ignore[operator]
        elif isinstance(one, Le):
            high = one.le  # type: ignore[assignment]
        elif isinstance(one, Lt):
            high = one.lt - 1  # type: ignore[operator]
    return low, high


def _utf8(text: str) -> bool:
    """Whether a text has no lone surrogates, which neither pydantic nor JSON take."""
    if text.isascii() or text.isprintable():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
