"""Techniques as a resource: PaNET as the ontology service of ExPaNDS answers it.

One resource at ``/techniques`` and ``/api/Techniques``, with the fields of both models. It answers
as official PaNET does, the cut graph notwithstanding (semantics 4.2), and has no default limit,
since portals fill their technique picker from it. ``pan_ontology`` turns a condition on techniques
into one on PaNET ids.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalogue.query import Node, Scalar
from mappings.techniques import Panet, Term, canonical_iri, load_panet
from search_api.conditions import (
    NEGATIONS,
    Leaf,
    Reading,
    expect_list,
    expect_object,
    plain_node,
    read_leaves,
)
from search_api.errors import BadRequest, UnknownThing
from search_api.loopback import (
    Projection,
    read_count,
    read_fields,
    read_order,
    refuse_unknown_keys,
)
from search_api.model import TECHNIQUE
from search_api.presentation import sorted_rows
from search_api.rows import holds
from search_api.technique_conditions import technique_ids

Json = dict[str, Any]
Predicate = Callable[[Mapping[str, Any]], bool]

SHOWN = replace(TECHNIQUE, ours={**TECHNIQUE.ours, "createdAt": "integer"})
"""A technique as it is answered; nobody need ask for what was read at one instant."""
FILTER_KEYS = ("where", "limit", "skip", "offset", "order", "fields", "include")


@dataclass(frozen=True, slots=True)
class TechniqueQuestion:
    """A filter on the techniques themselves."""

    holds: Predicate
    limit: int | None
    skip: int
    rows: Callable[[list[Json]], list[Json]]
    projection: Projection


@functools.cache
def technique_rows() -> tuple[Json, ...]:
    """All terms of PaNET in both models' fields, by id (5 ms, once a process)."""
    panet: Panet = load_panet()
    rows = []
    for identifier in sorted(panet.terms):
        term = panet.terms[identifier]
        rows.append(
            {
                "pid": term.iri,
                "name": term.label,
                "panetId": term.iri,
                "synonym": list(term.synonyms),
                "relatives": [canonical_iri(i) for i in panet.official_relatives(identifier)],
                "children": [canonical_iri(i) for i in panet.official_children(identifier)],
                "parents": [canonical_iri(i) for i in panet.official_parents(identifier)],
            }
        )
    return tuple(rows)


def find_techniques(
    given: Mapping[str, Any] | None, reading: Reading, created_at: int
) -> tuple[list[Json], int]:
    """The techniques that a filter selects, and how many there are before ``limit``.

    ``created_at`` (milliseconds since 1970) is when this server read the ontology.
    """
    question = read_technique_filter(given or {}, reading)
    found = question.rows([row for row in technique_rows() if question.holds(row)])
    end = None if question.limit is None else question.skip + question.limit
    shown = [_shown(row, question.projection, created_at) for row in found[question.skip : end]]
    return shown, len(found)


def read_technique_filter(given: Mapping[str, Any], reading: Reading) -> TechniqueQuestion:
    refuse_unknown_keys(given, "filter", FILTER_KEYS, "filter on techniques")
    order = read_order(SHOWN, given.get("order"), "order")
    where = given.get("where")
    skip = given["skip"] if "skip" in given else given.get("offset")
    return TechniqueQuestion(
        read_predicate({} if where is None else where, reading, "where"),
        read_count(given.get("limit"), "limit") or None,
        read_count(skip, "skip") or 0,
        lambda rows: sorted_rows(rows, order),
        read_fields(SHOWN, given.get("fields"), "fields"),
    )


def find_technique(name: str, projection: Projection, created_at: int) -> Json:
    """One technique by IRI, short id, label or synonym.

    Raises:
        UnknownThing: PaNET has no such term.
    """
    wanted = technique_named(name).iri
    row = next(row for row in technique_rows() if row["pid"] == wanted)
    return _shown(row, projection, created_at)


def technique_named(name: str) -> Term:
    """The term of an IRI, short id, label or synonym.

    Raises:
        UnknownThing: PaNET has no such term.
    """
    panet = load_panet()
    term = panet.find(name)
    ids = (term.id,) if term is not None else technique_ids(name)
    if len(ids) != 1:
        raise UnknownThing(f'Unknown "Technique" id "{name[:200]}".', code="MODEL_NOT_FOUND")
    return panet.term(ids[0])


def _shown(row: Mapping[str, Any], projection: Projection, created_at: int) -> Json:
    whole = {**row, "createdAt": created_at}
    return {name: value for name, value in whole.items() if projection.shows(name)}


def pan_ontology(where: object, reading: Reading, path: str = "where") -> Json:
    """``whereIn`` about techniques to ``whereOut`` about PaNET ids (crosswalks 2.4).

    A term stands for itself and everything below it in official PaNET; a negated condition gives
    ``nin``; an unknown term gives an empty list. A name that PaNET does not have but that we know
    (a label of an earlier release) stands for the term as it does in conditions on Datasets.
    """
    given = expect_object(where, path)
    for joiner in ("and", "or"):
        if joiner in given:
            parts = expect_list(given[joiner], f"{path}.{joiner}")
            return {
                joiner: [
                    pan_ontology(part, reading, f"{path}.{joiner}[{number}]")
                    for number, part in enumerate(parts)
                ]
            }
    leaves = [_in_todays_words(leaf) for leaf in _leaves_of(given, reading, path)]
    negated = any(leaf.op in NEGATIONS for leaf in leaves)
    positive = [replace(leaf, op=NEGATIONS.get(leaf.op, leaf.op)) for leaf in leaves]
    relatives = {
        iri
        for row in technique_rows()
        if all(_leaf_holds(leaf, row) for leaf in positive)
        for iri in row["relatives"]
    }
    return {"pid": {"nin" if negated else "inq": sorted(relatives)}}


def _leaves_of(given: Mapping[str, Any], reading: Reading, path: str) -> list[Leaf]:
    return [
        leaf
        for name, value in given.items()
        for leaf in read_leaves(TECHNIQUE, name, value, reading, f"{path}.{name}")
    ]


def _in_todays_words(leaf: Leaf) -> Leaf:
    """The condition with names that PaNET does not have as the labels of what they stand for."""
    if leaf.field != "name" or NEGATIONS.get(leaf.op, leaf.op) not in ("eq", "inq"):
        return leaf
    panet = load_panet()
    names: list[Scalar] = []
    for operand in leaf.operands:
        known = not isinstance(operand, str) or panet.named(operand)
        names += [operand] if known else [panet.term(i).label for i in technique_ids(str(operand))]
    op = "nin" if leaf.op in NEGATIONS else "inq"
    return replace(leaf, op=op, operands=tuple(names))


def read_predicate(where: object, reading: Reading, path: str, depth: int = 0) -> Predicate:
    """A ``where`` on techniques as a function of a row; ``name`` means label or synonym."""
    if depth > 12:
        raise BadRequest("Conditions are nested deeper than 12 levels.", field=path)
    tests: list[Predicate] = []
    for name, value in expect_object(where, path).items():
        place = f"{path}.{name}"
        if name in ("and", "or"):
            parts = [
                read_predicate(part, reading, f"{place}[{number}]", depth + 1)
                for number, part in enumerate(expect_list(value, place))
            ]
            tests.append(_all(parts) if name == "and" else _any(parts))
        elif name == "text":
            tests += [
                _test(leaf)
                for leaf in read_leaves(TECHNIQUE, "name", {"ilike": value}, reading, place)
            ]
        else:
            tests += [_test(leaf) for leaf in read_leaves(TECHNIQUE, name, value, reading, place)]
    return _all(tests)


def _all(tests: list[Predicate]) -> Predicate:
    return lambda row: all(test(row) for test in tests)


def _any(tests: list[Predicate]) -> Predicate:
    return lambda row: any(test(row) for test in tests)


def _test(leaf: Leaf) -> Predicate:
    if leaf.op in NEGATIONS:
        positive = replace(leaf, op=NEGATIONS[leaf.op])
        return lambda row: not _leaf_holds(positive, row)
    return lambda row: _leaf_holds(leaf, row)


def _leaf_holds(leaf: Leaf, row: Mapping[str, Any]) -> bool:
    """Whether any of the row's values for the field meets the condition. IRIs compare in every
    form they are written in."""
    node = _as_name(leaf)
    return any(holds("Technique", node, {"name": value}) for value in _values(leaf.field, row))


def _values(field: str, row: Mapping[str, Any]) -> list[str]:
    value = row[field]
    values = list(value) if isinstance(value, list) else [value]
    return [*values, *row["synonym"]] if field == "name" else values


def _as_name(leaf: Leaf) -> Node:
    operands = leaf.operands
    if leaf.field not in ("name", "synonym") and leaf.op in ("eq", "inq"):
        panet = load_panet()
        operands = tuple(
            term.iri if isinstance(o, str) and (term := panet.find(o)) is not None else o
            for o in operands
        )
    return plain_node(Leaf("name", "text", leaf.op, operands, leaf.path))
