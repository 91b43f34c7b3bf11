"""LoopBack ``where`` conditions become nodes of the catalogue's query tree.

Operators mean what LoopBack 3 means by them (like and its kin are substrings, semantics 6.2;
``%`` stands for any text, as SQL providers need it). Unknown fields and operators and impossible
values are refused with the place, what is allowed and the nearest right word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import re2

from catalogue.facilities import Facility
from catalogue.query import (
    MAX_CLAUSES,
    MAX_DEPTH,
    And,
    AtFacility,
    Compare,
    Everything,
    Exists,
    Node,
    Not,
    Nothing,
    OneOf,
    Or,
    Pattern,
    Scalar,
)
from mappings.people import role
from search_api.errors import BadRequest
from search_api.filter_text import is_index, untangle
from search_api.model import FieldType, PanoscClass
from search_api.settings import ServerSettings
from search_api.values import number_of, typed_value

OPERATORS = (
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "inq",
    "nin",
    "like",
    "nlike",
    "ilike",
    "nilike",
    "regexp",
)
NEGATIONS = {"neq": "eq", "nin": "inq", "nlike": "like", "nilike": "ilike"}
ORDERED = frozenset({"gt", "gte", "lt", "lte", "between"})
PATTERNS = frozenset({"like", "nlike", "ilike", "nilike", "regexp"})

_REGEXP_LITERAL = re.compile(r"^/(.*)/([a-z]*)$", re.DOTALL)


@dataclass(slots=True)
class Reading:
    """What reading one request needs and counts.

    ``now`` decides what is open; ``facilities`` tie a ``provider`` to a facility. ``clauses``
    counts the conditions read so far (at most ``MAX_CLAUSES``).
    """

    now: datetime
    facilities: Sequence[Facility]
    settings: ServerSettings
    clauses: int = field(default=0)

    def count_clause(self, path: str) -> None:
        self.clauses += 1
        if self.clauses > MAX_CLAUSES:
            raise BadRequest(f"More than {MAX_CLAUSES} conditions in one filter.", field=path)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition on one field: ``operands`` are typed already; ``path`` is for messages."""

    field: str
    kind: FieldType
    op: str
    operands: tuple[Scalar, ...]
    path: str


LeafReader = Callable[[Leaf], Node]


def read_where(
    panosc_class: PanoscClass, where: object, reading: Reading, path: str = "where"
) -> Node:
    """Compile a ``where`` object for things of ``panosc_class``.

    Raises:
        BadRequest: names the place, what is allowed there and the nearest right word.
    """
    return read_tree(
        panosc_class, where, reading, path, lambda leaf: leaf_node(panosc_class, leaf, reading)
    )


def read_tree(
    panosc_class: PanoscClass,
    where: object,
    reading: Reading,
    path: str,
    read_leaf: LeafReader,
    depth: int = 0,
) -> Node:
    """Walk ``and``/``or`` to any depth and give each single condition to ``read_leaf``."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"Conditions are nested deeper than {MAX_DEPTH} levels.", field=path)
    nodes: list[Node] = []
    for name, value in expect_object(where, path).items():
        place = f"{path}.{name}"
        if name in ("and", "or"):
            parts = [
                read_tree(panosc_class, part, reading, f"{place}[{number}]", read_leaf, depth + 1)
                for number, part in enumerate(expect_list(value, place))
            ]
            nodes.append(all_of(parts) if name == "and" else any_of(parts))
        elif name == "text":
            nodes.append(_text_node(panosc_class, value, reading, place, read_leaf))
        else:
            leaves = read_leaves(panosc_class, name, value, reading, place)
            nodes.append(all_of([read_leaf(leaf) for leaf in leaves]))
    return all_of(nodes)


def read_leaves(
    panosc_class: PanoscClass, name: str, value: object, reading: Reading, path: str
) -> list[Leaf]:
    """The conditions on one field: a bare value, or an object of operators."""
    allowed = panosc_class.all_fields
    kind = allowed.get(name)
    if kind is None:
        raise BadRequest(
            f"{panosc_class.name} has no field {name[:100]!r}.",
            field=path,
            allowed=(*allowed, "and", "or", *(("text",) if panosc_class.text_fields else ())),
            given=name,
        )
    value = untangle(value)
    if not isinstance(value, Mapping):
        if isinstance(value, list):
            raise BadRequest(
                f"{name!r} is compared with a list; for one of several values use inq.", field=path
            )
        return [_leaf(name, kind, "eq", value, reading, path)]
    if not value:
        raise BadRequest(f"{name!r} has no operator.", field=path, allowed=OPERATORS)
    return [
        _leaf(name, kind, op, operand, reading, f"{path}.{op}") for op, operand in value.items()
    ]


def _leaf(
    name: str,
    kind: FieldType,
    op: str,
    operand: object,
    reading: Reading,
    path: str,
) -> Leaf:
    reading.count_clause(path)
    if op not in OPERATORS:
        raise BadRequest(
            f"There is no operator {op[:100]!r}.", field=path, allowed=OPERATORS, given=op
        )
    if op in ("inq", "nin", "between"):
        values = expect_list(operand, path)
        if op == "between" and len(values) != 2:
            raise BadRequest("between takes a list of two values.", field=path)
        if len(values) > reading.settings.max_values:
            raise BadRequest(
                f"{op} takes at most {reading.settings.max_values} values.", field=path
            )
    else:
        values = [operand]
    if op in ORDERED and kind == "boolean":
        raise BadRequest(
            f"{op} is not possible on a boolean.", field=path, allowed=("eq", "neq", "inq", "nin")
        )
    if op in PATTERNS:
        if kind not in ("text", "texts", "scalar"):
            raise BadRequest(
                f"{op} needs a text field, {name!r} is a {kind}.",
                field=path,
                allowed=[other for other in OPERATORS if other not in PATTERNS],
            )
        return Leaf(name, kind, op, (_pattern_text(values[0], path, reading),), path)
    operands = tuple(typed_value(kind, value, path) for value in values)
    if op in ORDERED and any(value is None for value in operands):
        raise BadRequest(f"{op} cannot compare with null.", field=path)
    return Leaf(name, kind, op, operands, path)


def _pattern_text(value: object, path: str, reading: Reading) -> str:
    if not isinstance(value, str):
        raise BadRequest("The pattern must be text.", field=path)
    if len(value) > reading.settings.max_pattern_chars:
        raise BadRequest(
            f"The pattern is longer than {reading.settings.max_pattern_chars} characters.",
            field=path,
        )
    return value


def _text_node(
    panosc_class: PanoscClass, value: object, reading: Reading, path: str, read_leaf: LeafReader
) -> Node:
    """The operator ``text``: a substring, without case, of any of the class's text fields."""
    if not panosc_class.text_fields:
        raise BadRequest(
            f"{panosc_class.name} has no text fields.",
            field=path,
            allowed=tuple(panosc_class.all_fields),
        )
    reading.count_clause(path)
    text = _pattern_text(value, path, reading)
    return any_of(
        [read_leaf(Leaf(name, "text", "ilike", (text,), path)) for name in panosc_class.text_fields]
    )


def leaf_node(panosc_class: PanoscClass, leaf: Leaf, reading: Reading) -> Node:
    """The node of one condition on a plain field."""
    if leaf.field == "provider":
        return _provider_node(leaf, reading)
    if leaf.field == "facility" and leaf.op in ("eq", "neq", "inq", "nin"):
        return _facility_node(panosc_class, leaf)
    if panosc_class.name == "Member" and leaf.field == "role":
        return plain_node(_in_one_spelling(leaf))
    return plain_node(leaf)


def _in_one_spelling(leaf: Leaf) -> Leaf:
    """A condition on a role under the one spelling that it is kept in, as sent besides: clients of
    ILL ask for "principal_investigator"."""
    if leaf.op not in ("eq", "neq", "inq", "nin"):
        return leaf
    spellings = [
        form
        for operand in leaf.operands
        for form in ((operand, role(operand)) if isinstance(operand, str) else (operand,))
    ]
    op = "nin" if leaf.op in NEGATIONS else "inq"
    return replace(leaf, op=op, operands=tuple(dict.fromkeys(spellings)))


def plain_node(leaf: Leaf) -> Node:
    """A condition that reads the field as it is stored."""
    op = NEGATIONS.get(leaf.op, leaf.op)
    node: Node
    if op == "eq":
        node = _equal(leaf.field, leaf.kind, leaf.operands[0])
    elif op == "inq":
        node = _one_of(leaf)
    elif op == "between" and leaf.kind == "texts":
        # Of several values one and the same is meant, as by LoopBack.
        node = Compare(leaf.field, "between", *leaf.operands)
    elif op == "between":
        low, high = leaf.operands
        node = And((Compare(leaf.field, "gte", low), Compare(leaf.field, "lte", high)))
    elif op in ("like", "ilike", "regexp"):
        node = pattern_node((leaf.field,), op, str(leaf.operands[0]), leaf.path)
    else:
        node = Compare(leaf.field, op, leaf.operands[0])  # type: ignore[arg-type]
    return Not(node) if leaf.op in NEGATIONS else node


def _equal(name: str, kind: FieldType, value: Scalar) -> Node:
    if value is None:
        return Not(Exists(name))
    if kind == "scalar":
        return any_of([Compare(name, "eq", form) for form in scalar_forms(value)])
    return Compare(name, "eq", value)


def _one_of(leaf: Leaf) -> Node:
    present: list[Scalar] = [value for value in leaf.operands if value is not None]
    if leaf.kind == "scalar":
        present = [form for value in present for form in scalar_forms(value)]
    nodes: list[Node] = [OneOf(leaf.field, tuple(present))] if present else []
    if len(nodes) == 0 or len(present) < len(leaf.operands):
        nodes += [Not(Exists(leaf.field))] if None in leaf.operands else []
    return any_of(nodes)


def scalar_forms(value: Scalar) -> tuple[Scalar, ...]:
    """A value of a field that holds numbers or text: portals send numbers as text."""
    if isinstance(value, str):
        number = number_of(value)
        return (value,) if number is None else (value, number)
    return (value,)


def _provider_node(leaf: Leaf, reading: Reading) -> Node:
    if leaf.op not in ("eq", "neq", "inq", "nin"):
        raise BadRequest(
            f"{leaf.op} is not possible on provider.",
            field=leaf.path,
            allowed=("eq", "neq", "inq", "nin"),
        )
    wanted = {str(value).rstrip("/") for value in leaf.operands}
    names = tuple(
        facility.name for facility in reading.facilities if facility.provider.rstrip("/") in wanted
    )
    node: Node = AtFacility(names) if names else Nothing()
    return Not(node) if leaf.op in NEGATIONS else node


def _facility_node(panosc_class: PanoscClass, leaf: Leaf) -> Node:
    names = tuple(str(value) for value in leaf.operands if value is not None)
    node: Node = AtFacility(names) if names else Nothing()
    if panosc_class.name == "Instrument":
        # The facility of an instrument is a field of the model, also inside a Dataset.
        node = any_of([OneOf(name, names) for name in ("facility", "facilities") if names])
    return Not(node) if leaf.op in NEGATIONS else node


def pattern_node(fields: tuple[str, ...], op: str, text: str, path: str) -> Node:
    """``like``, ``ilike`` or ``regexp`` on the original strings of ``fields``."""
    if op != "regexp":
        fold = op == "ilike"
        if "%" not in text:
            return Pattern(fields, text, "substring", fold)
        pieces = ".*".join(re2.escape(piece) for piece in text.split("%"))
        return Pattern(fields, pieces, "regexp", fold)
    literal = _REGEXP_LITERAL.match(text)
    source, flags = (literal.group(1), literal.group(2)) if literal else (text, "")
    check_regexp(source, path)
    return Pattern(fields, source, "regexp", "i" in flags)


def check_regexp(source: str, path: str) -> None:
    """Refuse what RE2 cannot run in linear time, with its reason (fault I07)."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        re2.compile(source, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else "not a regular expression"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise BadRequest(
            f"The regular expression cannot be used: {text[:200]} "
            f"(RE2 syntax: no look-around, no back-references).",
            field=path,
        ) from None


def all_of(nodes: Iterable[Node]) -> Node:
    """``And`` without needless layers."""
    kept = tuple(node for node in nodes if not isinstance(node, Everything))
    return Everything() if not kept else kept[0] if len(kept) == 1 else And(kept)


def any_of(nodes: Iterable[Node]) -> Node:
    """``Or`` without needless layers."""
    kept = tuple(node for node in nodes if not isinstance(node, Nothing))
    return Nothing() if not kept else kept[0] if len(kept) == 1 else Or(kept)


def expect_object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRequest(f"{path} must be a JSON object.", field=path)
    return value


def expect_list(value: object, path: str) -> list[Any]:
    """A JSON array; the bracket form's arrays come as objects with numbers as names (fault E11)."""
    if isinstance(value, Mapping) and value and all(is_index(name) for name in value):
        return [value[name] for name in sorted(value, key=int)]
    if not isinstance(value, list):
        raise BadRequest(f"{path} must be a JSON array.", field=path)
    return value
